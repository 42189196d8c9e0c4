"""Several test stands at once, each in a process of its own, that take cases from queues."""

import multiprocessing
import queue
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.failures.stand import Stand

__all__ = ["interruptible", "play"]

Player = Callable[[Stand, Iterable[Any]], Iterable[Any]]


def play(
    player: Player,
    heaps: Sequence[Sequence[Any]],
    workers: int,
    folder: str,
    environ: dict[str, str] | None = None,
) -> Iterator[Any]:
    """Play cases on several stands, in any order within a heap.

    Args:
        player: plays cases on one stand, one result each; a function of a module.
        heaps: of cases; every worker finishes one heap before it takes from the next.
        workers: how many stands.
        folder: for their files.
        environ: added to the environment of runs.

    Raises:
        RuntimeError: a worker died; its processes die with it.
    """
    context = multiprocessing.get_context("spawn")
    waiting = [context.Queue() for _ in heaps]
    results = context.Queue()
    for cases, line in zip(heaps, waiting, strict=True):
        for case in cases:
            line.put(case)
        for _ in range(workers):
            line.put(None)
    processes = [
        context.Process(target=_work, args=(player, number, folder, environ, waiting, results))
        for number in range(workers)
    ]
    for process in processes:
        process.start()
    over = 0
    broken: list[str] = []
    try:
        while over < workers:
            what, found = _next(results, processes)
            if what == "result":
                yield found
            else:
                over += 1
                broken += [found] if found else []
    finally:
        # Also when somebody interrupts it: their labs and runs end with them.
        for process in processes:
            process.join()
    if broken:
        raise RuntimeError("\n".join(broken))


def interruptible(results: Iterator[Any]) -> Iterator[Any]:
    """End in order when somebody has seen enough, so that what is known is told."""
    try:
        yield from results
    except KeyboardInterrupt:
        print("interrupted: --resume goes on from here", flush=True)


def _next(results: Any, processes: Sequence[Any]) -> tuple[str, Any]:
    while True:
        try:
            found: tuple[str, Any] = results.get(timeout=5.0)
        except queue.Empty:
            if not any(one.is_alive() for one in processes):
                raise RuntimeError("the workers died") from None
            continue
        return found


def _cases(line: Any) -> Iterator[Any]:
    """Take cases until there are no more, or whoever gives them is gone."""
    parent = multiprocessing.parent_process()
    while parent is not None and parent.is_alive():
        try:
            case = line.get(timeout=1.0)
        except queue.Empty:
            continue
        if case is None:
            return
        yield case


def _work(
    player: Player,
    number: int,
    folder: str,
    environ: dict[str, str] | None,
    waiting: Sequence[Any],
    results: Any,
) -> None:
    broken = ""
    try:
        with Stand(Path(folder) / f"stand-{number}", environ) as stand:
            for line in waiting:
                for done in player(stand, _cases(line)):
                    results.put(("result", done))
    except KeyboardInterrupt:
        broken = "interrupted"
    except Exception:  # noqa: BLE001 - told to whoever waits for the results
        broken = traceback.format_exc()
    results.put(("over", broken))
