"""The process of one namespace, seen from the day: begun, asked, interrupted, ended.

Belongs here: the conversation. Does not belong here: the other end of it (`child`), and what
follows from the answers (`running`).
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from acns_chaos.evidence.values import mapping
from acns_chaos.gameday.day import LOGS, Day, Job
from acns_chaos.gameday.stage import Stage

__all__ = ["SETTLE", "Child"]

# How long a watchdog asks a silent API server, and a little.
SETTLE = 100.0


class Child:
    """The process of one namespace, seen from the day.

    Args:
        day: what is run.
        stage: where.
        namespace: whose mutants.
    """

    def __init__(self, day: Day, stage: Stage, namespace: str) -> None:
        name = PurePosixPath(namespace).name or "log"
        with (day.folder / LOGS / f"{name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "acns_chaos.gameday.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # Ctrl-C at the terminal is for the day, which tells each of its processes.
                start_new_session=True,
                env=dict(stage.environ),
            )
        place = stage.place
        told = {"kind": place.kind, "label": place.label}
        told |= {"context": place.context, "uid": place.uid}
        self._pending = b""
        # Whether it ever came so far that it could run anything.
        self.ready = False
        folder = str(day.folder.absolute())
        told_all = {"do": "day", "day": day.id, "folder": folder, "place": told}
        self._say({**told_all, "lab_ends": stage.ends})

    def run(self, job: Job, timeout: float) -> Mapping[str, Any] | None:
        """Have one experiment run.

        Args:
            job: which.
            timeout: seconds after which it is interrupted, and later killed.

        Returns:
            The answer; None when the process died over it.
        """
        order = {"do": "run", "position": job.position, "namespace": job.namespace}
        order |= {"experiment": job.experiment, "journal": job.journal}
        order |= {"mutant": job.name if job.blank else ""}
        order |= {"shard": job.blank.shard if job.blank else ""}
        self._say(order)
        answer = self._answer("done", timeout)
        if answer is None and self.alive:
            self.interrupt()
            answer = self._answer("done", SETTLE)
        if answer is None:
            self.kill()
        return answer

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def interrupt(self) -> None:
        """Have it restore, and end what it runs."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it at once; what it left standing is the watchdog's."""
        self._process.kill()
        self.close()

    def close(self) -> int:
        """Let it end; returns how it did, as `Popen.returncode`."""
        with contextlib.suppress(OSError):
            if self._process.stdin:
                self._process.stdin.close()
        try:
            code = self._process.wait(SETTLE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        return code

    def _say(self, told: Mapping[str, Any]) -> None:
        # One that died is noticed when its answer is read.
        with contextlib.suppress(OSError, ValueError):
            if self._process.stdin:
                self._process.stdin.write(json.dumps(told).encode() + b"\n")
                self._process.stdin.flush()

    def _answer(self, event: str, timeout: float) -> Mapping[str, Any] | None:
        """The next answer of a kind; None at the end of what is said, or of the time."""
        deadline = time.monotonic() + timeout
        if self._process.stdout is None:
            return None
        number = self._process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(number, selectors.EVENT_READ)
            while True:
                while b"\n" in self._pending:
                    line, self._pending = self._pending.split(b"\n", 1)
                    found = mapping(json.loads(line))
                    self.ready = True
                    if found.get("event") == event:
                        return found
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not selector.select(remaining):
                    return None
                chunk = os.read(number, 1 << 16)
                if not chunk:
                    return None
                self._pending += chunk
