"""The report's figures: what a reviewer waits for, and what everybody pays who wants none.

`python -m tests.bench report`. Each command is measured from its start to its exit, in a process of
its own: the time on the wall, which a busy machine stretches, and beside it the processor's, which
it hardly does. The journals are real ones, of the runs kept under `tests/data/journals`.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from acns_chaos.evidence.signature import sign
from tests.bench.figures import show
from tests.docs.runs import FLAGSHIP, JOURNALS, KEPT
from tests.unit.gameday_played import make_day, remember, results

PROGRAM = str(Path(sys.executable).parent / "acns-chaos")
MANY = 200
# Days in the history of a game day.
DAYS = 10
RUNS, BEST_OF = 5, 9
ONE_S, MANY_S, MANY_MB, IMPORT_MS = 1.0, 1.5, 3.0, 150


@dataclass(frozen=True, slots=True)
class Taken:
    """What a process took, in seconds: on the wall, and of the processor."""

    wall: float
    processor: float


def command(*arguments: str) -> Taken:
    """Run our command to its end, which must be a good one."""
    with Path(os.devnull).open("r+b") as nowhere:
        files = [(os.POSIX_SPAWN_DUP2, nowhere.fileno(), number) for number in (0, 1)]
        began = time.perf_counter()
        process = os.posix_spawn(PROGRAM, [PROGRAM, *arguments], os.environ, file_actions=files)
        _, status, used = os.wait4(process, 0)
        wall = time.perf_counter() - began
    code = os.waitstatus_to_exitcode(status)
    assert code == 0, f"acns-chaos {' '.join(arguments[:2])} … ended with {code}"
    return Taken(wall, used.ru_utime + used.ru_stime)


def journals() -> list[dict[str, Any]]:
    """The real ones."""
    return [json.loads((JOURNALS / f"{name}.json").read_text("utf-8")) for name in KEPT]


def varied(count: int) -> Iterator[dict[str, Any]]:
    """So many runs, each with its own id and signed: the real ones again and again.

    Args:
        count: how many. Each is to be written before the next is asked for: it is the same object.
    """
    for number, one in enumerate(islice(cycle(journals()), count)):
        one["acns_chaos"]["run"] = f"bench-{number:04}"
        sign(one)
        yield one


def write(folder: Path, count: int) -> list[str]:
    """Write so many journals into a folder; returns their paths."""
    paths = []
    for number, one in enumerate(varied(count)):
        path = folder / f"{number:04}.json"
        path.write_text(json.dumps(one, indent=2), encoding="utf-8")  # as the host does
        paths.append(str(path))
    return paths


def measured(name: str, budget: float, *arguments: str) -> None:
    """Print the median of some runs of a command, in seconds."""
    command(*arguments)
    taken = [command(*arguments) for _ in range(RUNS)]
    processor = statistics.median(one.processor for one in taken)
    wall = statistics.median(one.wall for one in taken)
    show(name, wall, "s", budget, processor=round(processor, 3))


def size(name: str, page: Path, budget: float | None = None) -> None:
    """Print how large a page is."""
    show(name, page.stat().st_size / 1e6, "MB", budget)


def main() -> None:
    """Print all figures."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        paths = write(Path(folder), MANY)
        one = str(JOURNALS / f"{FLAGSHIP}.json")
        measured("report of one run, the whole command", ONE_S, "report", one, "-o", str(page))
        size("report of one run, its size", page)
        many = ("report", *paths, "-o", str(page))
        measured(f"report of {MANY} runs, the whole command", MANY_S, *many)
        size(f"report of {MANY} runs, its size", page, MANY_MB)
        day = make_day(Path(folder) / "day", results(MANY))
        history = Path(folder) / "history.sqlite"
        remember(history, DAYS, MANY)
        with_past = ("--history", str(history), "-o", str(page))
        name = f"report of a game day of {MANY} mutants"
        measured(f"{name}, the whole command", MANY_S, "gameday", "report", str(day), *with_past)
        size(f"{name}, its size", page, MANY_MB)
    imports()


def imports() -> None:
    """Print what the command costs when no report is made: its best time, and the processor's."""
    command("--help")
    taken = [command("--help") for _ in range(BEST_OF)]
    wall, processor = (min(getattr(one, what) for one in taken) * 1000 for what in Taken.__slots__)
    show("acns-chaos --help, best of nine", wall, "ms", IMPORT_MS, processor=round(processor, 1))
