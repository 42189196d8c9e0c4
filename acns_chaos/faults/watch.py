"""The runner's side of the watchdog: start it, talk to it, hear from it, let it go.

Its process is `watchdog`. A run without a ready watchdog writes nothing; a run whose watchdog dies
or falls silent ends itself in order, because nobody would restore after `kill -9` any more.

A signal raises in the main thread wherever it is, also in the middle of a write. So only a thread
of its own writes to the pipe, whole lines, and what must go out at once waits for nobody's answer.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from acns_chaos.cluster.private import private_folder
from acns_chaos.cluster.records import Record
from acns_chaos.cluster.target import Choice
from acns_chaos.errors import ApiError, Conflict, WatchdogGone
from acns_chaos.faults.recovery import Keeper

__all__ = ["Watch", "keep_ready"]

# Above the API client's own time-out, so that its answer is heard rather than guessed.
PATIENCE = 25.0
# How long a goodbye may take: while it holds records it restores them first.
GOODBYE = 100.0
BRIEF_GOODBYE = 10.0
# It says every 0.4 s that it is there; requests to a silent API server keep it busy for longer.
SILENCE = 15
# Says something and waits for no answer.
UNANSWERED = 0

Environment = Mapping[str, str]
# Of a process of many runs: the watchdog of the next one, with the environment it was started in;
# it knows of no run and reaches nothing before it is taken.
_ready: "list[tuple[subprocess.Popen[bytes], Environment]]" = []
_keeping: list[bool] = []


@contextlib.contextmanager
def keep_ready() -> Iterator[None]:
    """While this lasts, start the process of the next watchdog while a run is under way.

    For whoever makes one run after another in this process: a run need not wait for it then. One
    that nobody took ends with this, or with its pipe.
    """
    _keeping.append(True)
    try:
        yield
    finally:
        _keeping.clear()
        while _ready:
            process, _ = _ready.pop()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
            process.kill()
            process.wait()


def _make_ready() -> None:
    """Start the process of the next watchdog, where runs follow each other."""
    if _keeping and not _ready:
        environment = _environment()
        # Without it the next run starts its own, or says why there is none.
        with contextlib.suppress(OSError):
            _ready.append((_started(environment), environment))


def _taken() -> "subprocess.Popen[bytes]":
    """The process that is ready for this very environment, else a new one; raises OSError."""
    environment = _environment()
    while _ready:
        process, begun = _ready.pop()
        if begun == environment and process.poll() is None:
            return process
        process.kill()
        process.wait()
    return _started(environment)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": _import_path()}


def _started(environment: Environment) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "acns_chaos.faults.watchdog"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Silent: whatever it has to say, it says to the runner or writes to the cluster.
        stderr=subprocess.DEVNULL,
        bufsize=0,
        # No signal of the terminal's is meant for it, and no folder is kept busy by it.
        start_new_session=True,
        cwd="/",
        env=environment,
    )


class Watch:
    """One watchdog.

    Args:
        heard: called, in a thread of its own, with what the watchdog says by itself: events
            "deadline", "stop", "lease-lost", "paid", "trouble", "gone" when it died, "silent" when
            it hangs.

    Raises:
        WatchdogGone: no process can be started.
    """

    def __init__(self, heard: Callable[[Mapping[str, Any]], None]) -> None:
        self._heard = heard
        self._talking = threading.Lock()
        self._answers: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        self._seq = UNANSWERED
        self._held: set[str] = set()
        self._opened = False
        self._leaving = False
        # Why it cannot be asked any more.
        self._lost = ""
        try:
            self._process = _taken()
        except OSError as error:
            raise WatchdogGone(
                f"No watchdog can be started ({error.strerror}): nobody would restore if this "
                "process died, so nothing is changed."
            ) from error
        self._threads = [
            threading.Thread(target=work, daemon=True, name=f"watchdog-{work.__name__}")
            for work in (self._read, self._write)
        ]
        for thread in self._threads:
            thread.start()
        # Before it is asked anything: this process may be killed while it is.
        with contextlib.suppress(OSError):
            self._lines.put(_line("own", UNANSWERED, folder=str(private_folder())))

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def open(
        self,
        choice: Choice,
        kubeconfig: str,
        keeper: Keeper,
        duration: int,
        stop_places: Sequence[str],
    ) -> None:
        """Let it connect and make ready; the Lease must be held already.

        Args:
            choice: which cluster.
            kubeconfig: path(s), as for `cluster.target.connect`.
            keeper: whose records it will hold, and in which cluster.
            duration: of the Lease, in seconds.
            stop_places: namespaces in which a stop object is looked for.

        Raises:
            WatchdogGone: it died or does not answer.
            ApiError: it cannot connect.
        """
        self._ask(
            "open",
            choice=asdict(choice),
            kubeconfig=_absolute(kubeconfig),
            cluster=keeper.cluster,
            holder=keeper.holder,
            run=keeper.run,
            home=keeper.home,
            duration=duration,
            stop_places=list(stop_places),
        )
        self._opened = True
        _make_ready()

    def rehearse(self, steps: Sequence[Mapping[str, Any]]) -> None:
        """Ask the server, over the watchdog's own connection, whether it would take these writes.

        Args:
            steps: each with `step` (a word for the error), `verb` (replace, create, delete),
                `policy`, and for a create `exists` when the name is still taken.

        Raises:
            Conflict: an object changed meanwhile.
            ApiError: the server would refuse one; the sentence says which.
            WatchdogGone: it died or does not answer.
        """
        self._ask("rehearse", steps=list(steps))

    def renew(self, namespace: str, name: str) -> None:
        """Let it keep another Lease; errors as `open`."""
        self._ask("renew", namespace=namespace, name=name)

    def hold(self, record: Record) -> None:
        """Let it pay this record when the time comes; errors as `open`.

        It refuses once a restore was asked for: a run that ends writes nothing any more.
        """
        self._held.add(record.name)
        self._ask("hold", data=record.data())

    def drop(self, record: Record) -> None:
        """It is restored; errors as `open`."""
        self._held.discard(record.name)
        self._ask("drop", name=record.name)

    def restore_now(self) -> None:
        """Let it restore everything it holds, at once; returns before that is done.

        It never raises and waits for nothing, so that a signal may call it at any moment.
        """
        self._lines.put(_line("restore", UNANSWERED))

    def close(self) -> list[str]:
        """End it; it restores first whatever it still holds.

        Returns:
            Names of records that nobody could restore; the janitor will.
        """
        self._leaving = True
        unrestored = sorted(self._held)
        patience = GOODBYE if self._held else BRIEF_GOODBYE
        with contextlib.suppress(WatchdogGone, ApiError):
            unrestored = list(self._ask("bye", patience=patience).get("unrestored", []))
        # One that somebody stopped would otherwise have to be killed before it could let go.
        self._signal(signal.SIGCONT)
        self._lines.put(b"")
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(5)
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe:
                    pipe.close()
        return unrestored

    def _signal(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self._process.send_signal(number)

    def _ask(self, what: str, patience: float | None = None, **said: Any) -> dict[str, Any]:
        with self._talking:
            self._seq += 1
            # One that is only stopped hears it when it goes on.
            self._lines.put(_line(what, self._seq, **said))
            if self._lost:
                raise WatchdogGone(self._lost)
            try:
                patience = PATIENCE if patience is None else patience
                answer = self._answers.get(timeout=patience)
                while answer["re"] not in (self._seq, None):
                    answer = self._answers.get(timeout=patience)
            except Empty as error:
                self._lost = self._silent()
                raise WatchdogGone(self._lost) from error
        if answer["re"] is None:
            raise WatchdogGone(self._lost)
        if not answer["ok"]:
            kind = Conflict if answer["conflict"] else ApiError
            raise kind(str(answer["error"]), int(answer["status"]))
        return answer

    def _silent(self) -> str:
        return (
            f"The watchdog (process {self._process.pid}) does not answer: nobody would restore if "
            "this process died, so nothing is changed."
        )

    # ------------------------------------------------------------------ two threads

    def _write(self) -> None:
        """Write lines whole and in order; an empty one ends it, and with it the watchdog."""
        pipe = self._process.stdin
        assert pipe is not None
        while line := self._lines.get():
            try:
                while line:
                    line = line[os.write(pipe.fileno(), line) :]
            except OSError:
                break
        with contextlib.suppress(OSError):
            pipe.close()

    def _read(self) -> None:
        for said in self._said():
            if said.get("event") == "silent":
                self._lost = self._silent()
                self._answers.put({"re": None})
            if said.get("re", UNANSWERED) != UNANSWERED:
                self._answers.put(said)
            elif "event" in said and said["event"] != "alive":
                self._heard(said)
        self._lost = (
            f"The watchdog (process {self._process.pid}) died: nobody would restore if this "
            "process died as well, so nothing is changed; run it again."
        )
        self._answers.put({"re": None})
        if not self._leaving:
            self._heard({"event": "gone"})

    def _said(self) -> Iterator[dict[str, Any]]:
        """Yield what the watchdog says, until it ends; and once that it says nothing."""
        pipe = self._process.stdout
        assert pipe is not None
        pending, quiet = b"", 0
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while True:
                # Seconds are counted one by one: while this process itself is stopped, none are.
                if not selector.select(1.0):
                    quiet += 1
                    if quiet == SILENCE and self._opened and not self._leaving:
                        yield {"event": "silent"}
                    continue
                quiet = 0
                chunk = os.read(pipe.fileno(), 65536)
                if not chunk:
                    return
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)


def _line(what: str, seq: int, **said: Any) -> bytes:
    return json.dumps({"do": what, "seq": seq, **said}).encode() + b"\n"


def _absolute(kubeconfig: str) -> str:
    """The watchdog works in another folder."""
    parts = [str(Path(part).absolute()) for part in kubeconfig.split(os.pathsep) if part]
    return os.pathsep.join(parts)


def _import_path() -> str:
    return os.pathsep.join(str(Path(part).absolute()) for part in sys.path if part)
