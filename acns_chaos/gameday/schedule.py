"""Claims that are run on a schedule, where no cluster does it: the lab's stand-in for CronJobs.

Belongs here: the process that runs them, and whoever starts and ends it. Does not belong here: what
their runs prove (`acns_chaos.evidence.detecting`).

`python -m acns_chaos.gameday.schedule` reads one JSON object from standard input and runs each
claim in a process of its own, as the guard keeps its state in the process, again and again until
standard input ends: with whoever started it, however that ended. Each run is a line of the claim's
file (`claims_run.Played`). A claim is only asked: what has a method is refused.
"""

import fcntl
import importlib
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from acns_chaos.cluster.documents import parse
from acns_chaos.cluster.sources import read_bounded
from acns_chaos.cluster.target import VARIABLE
from acns_chaos.errors import GameDayError
from acns_chaos.evidence.claims_run import HELD_BY_PLAYER, file_of, is_held
from acns_chaos.evidence.values import mapping, text, word
from acns_chaos.gameday.plan_values import CLAIM, Detector

__all__ = ["in_use", "main", "play", "play_documents", "played_in", "using"]

# Seconds until it says that it plays, and until it is gone when it is to end.
START_TIMEOUT, STOP_TIMEOUT = 20.0, 5.0
# A file that is longer is cut to its last half; readers look at its end alone.
LONGEST_FILE = 1024 * 1024
LEAST_EVERY = 0.1
# What every run imports; by name, as it is the host that knows controls and probes.
_WARM = (
    "chaoslib.experiment",
    "acns_chaos.controls.guard",
    "acns_chaos.controls.lab",
    "acns_chaos.probes",
)

# The folder into which the player of this process's run writes.
_using: list[str] = []


def using(folder: str) -> None:
    """Say where this process's run finds the runs of claims; "" for nowhere."""
    _using[:] = [folder] if folder else []


def in_use() -> str:
    """The folder of `using`, "" when nobody plays."""
    return _using[0] if _using else ""


def played_in(folder: Path) -> bool:
    """Whether a player writes into a folder at this moment."""
    return is_held(folder)


@contextmanager
def play(claims: Sequence[Detector], folder: Path, environ: Mapping[str, str]) -> Iterator[None]:
    """Have claims run for the length of a block.

    Args:
        claims: detectors; those that are no claims, or that a CronJob runs, are passed over.
        folder: into which their runs are written; made when missing.
        environ: of the process, which must reach the cluster that is meant: with KUBECONFIG set, a
            lab is taken to be the one that this names.

    Raises:
        GameDayError: it does not begin; the sentence says why.
        DocumentError: a claim's file cannot be read.
    """
    documents = [
        {"name": one.name, "every": one.every, "document": _read(one.claim)}
        for one in claims
        if one.kind == CLAIM and not one.cronjob and one.claim is not None
    ]
    with play_documents(documents, folder, environ):
        yield


def _read(path: Path) -> Any:
    return parse(read_bounded(path), str(path))[0].value


@contextmanager
def play_documents(
    claims: Sequence[Mapping[str, Any]], folder: Path, environ: Mapping[str, str]
) -> Iterator[None]:
    """As `play`, of claims as `{"name", "every" (seconds), "document"}`."""
    if not claims:
        yield
        return
    for one in claims:
        if mapping(one.get("document")).get("method") not in ([], None):
            raise GameDayError(f"The claim {text(one.get('name'))} does something: name another.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GameDayError(f"{folder} cannot be written: {error.strerror}.") from error
    process = subprocess.Popen(
        [sys.executable, "-m", "acns_chaos.gameday.schedule"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(environ),
        # Ctrl-C at the terminal is for the runner, which ends this one when all is restored.
        start_new_session=True,
    )
    try:
        _begin(process, {"folder": str(folder.absolute()), "claims": list(claims)})
        yield
    finally:
        _end(process)


def _begin(process: "subprocess.Popen[bytes]", order: Mapping[str, Any]) -> None:
    if process.stdin is None or process.stdout is None:
        raise GameDayError("The schedule of claims has no pipes.")
    said = b""
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            said = process.stdout.readline() if selector.select(START_TIMEOUT) else b""
    told = said.decode("utf-8", "replace").strip()
    if told != "plays":
        raise GameDayError(f"The schedule of claims does not begin: {told or 'it said nothing'}.")


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(OSError):
        if process.stdin:
            process.stdin.close()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        # It leads a session of its own, and its claims are in it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finally:
        if process.stdout:
            process.stdout.close()


# ---------------------------------------------------------------------- the process


def main() -> int:
    """Play what standard input says, until it ends."""
    # Unbuffered: the end of standard input is waited for by descriptor.
    with open(0, "rb", buffering=0, closefd=False) as stream:
        order = json.loads(stream.readline())
    folder = Path(order["folder"])
    lock = os.open(folder / HELD_BY_PLAYER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.write(1, b"somebody plays there already\n")
        return 1
    _warm()
    _one_cluster()
    claims: dict[int, str] = {}
    for one in order["claims"]:
        child = os.fork()
        if child == 0:
            # The lock is the first process's: it is gone with that one.
            os.close(lock)
            _play_one(one, folder)
        claims[child] = one["name"]
    os.write(1, b"plays\n")
    over = threading.Event()
    threading.Thread(target=_until_ended, args=(over,), daemon=True).start()
    # One that ends by itself is none that is looked at, so all end with it.
    os.waitpid(-1, 0)
    if not over.is_set():
        for child in claims:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
    return 0


def _warm() -> None:
    """Load what a run needs, once for all claims."""
    for name in _WARM:
        importlib.import_module(name)
    logging.getLogger("chaostoolkit").disabled = True


def _one_cluster() -> None:
    """Reach the lab that KUBECONFIG names by its context, so that none is started beside it."""
    import yaml

    path = os.environ.get("KUBECONFIG", "")
    if os.environ.get(VARIABLE, "lab") in ("", "lab") and path:
        with suppress(OSError, yaml.YAMLError):
            found = mapping(yaml.safe_load(Path(path).read_bytes()))
            os.environ[VARIABLE] = word(found.get("current-context"))


def _until_ended(over: threading.Event) -> None:
    """Wait for the end of standard input, which every process of the player sees."""
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    over.set()


def _play_one(claim: Mapping[str, Any], folder: Path) -> NoReturn:
    """Run one claim until the player ends; this process is its own, and ends here."""
    over = threading.Event()

    def watch() -> None:
        _until_ended(over)
        # As Ctrl-C, so that the host lets go of what it holds.
        os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=watch, daemon=True).start()
    with suppress(KeyboardInterrupt):
        _again_and_again(claim, folder / file_of(str(claim["name"])), over)
    raise SystemExit(0)


def _again_and_again(claim: Mapping[str, Any], file: Path, over: threading.Event) -> None:
    every = max(LEAST_EVERY, float(claim["every"]))
    while not over.is_set():
        started = datetime.now(UTC)
        deviated, why = _asked(claim["document"])
        if over.is_set():
            # It was interrupted, which says nothing.
            return
        ended = datetime.now(UTC)
        _write(
            file,
            {
                "claim": claim["name"],
                "started": started.isoformat(),
                "ended": ended.isoformat(),
                "deviated": deviated,
                "why": why,
            },
        )
        over.wait(max(0.0, every - (ended - started).total_seconds()))


def _asked(document: Mapping[str, Any]) -> tuple[bool | None, str]:
    """Run a claim as `chaos run` does.

    Returns:
        Whether it was missed, None when that cannot be told; and what its outcome says.
    """
    from copy import deepcopy

    from chaoslib.experiment import run_experiment
    from chaoslib.types import Strategy

    try:
        journal = run_experiment(deepcopy(dict(document)), strategy=Strategy.AFTER_METHOD)
    except Exception as error:  # noqa: BLE001 - whatever it is, the next run is another one
        return None, f"{type(error).__name__}: {text(error, 200)}"
    outcome = mapping(mapping(journal.get("acns_chaos")).get("outcome"))
    name = outcome.get("name")
    if name == "HELD":
        return False, ""
    return (True if name == "DEVIATED" else None), text(outcome.get("sentence") or name, 300)


def _write(file: Path, told: Mapping[str, Any]) -> None:
    line = json.dumps(told, separators=(",", ":")).encode() + b"\n"
    with suppress(OSError):
        if file.exists() and file.stat().st_size > LONGEST_FILE:
            kept = file.read_bytes()[-LONGEST_FILE // 2 :].partition(b"\n")[2]
            draft = file.with_name(f".{file.name}")
            draft.write_bytes(kept)
            draft.replace(file)
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
