"""Labs of journeys: one process each, and the next one starts while a test runs.

No test shares a lab with another. Starting one takes longer than many a journey, and a second core
is idle meanwhile.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

Process = subprocess.Popen[str]


def begin_lab(home: Path, *arguments: str) -> Process:
    """Start a registered lab; what it is ready with is the first line of its output."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "acns_chaos.lab", "serve", "--register"),
            *arguments,
            "--until-stdin-closes",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ACNS_CHAOS_LAB_HOME": str(home)},
    )


def ready_lab(process: Process) -> dict[str, Any]:
    """Wait until a lab is ready; returns what it says."""
    assert process.stdout is not None
    found = json.loads(process.stdout.readline())
    assert isinstance(found, dict)
    return found


def start_lab(home: Path, *arguments: str) -> tuple[Process, dict[str, Any]]:
    """Start a registered lab and wait until it is ready."""
    process = begin_lab(home, *arguments)
    return process, ready_lab(process)


def end_lab(process: Process) -> None:
    """Let a lab end, as it does when its parent does, and see it end well."""
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(10) == 0
    assert process.stdout is not None
    process.stdout.close()


class Spare:
    """The lab of the next test, of the world that most of them use."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._next: tuple[Process, Path] | None = None

    def take(self, session: pytest.Session) -> tuple[Process, Path]:
        """A lab that nobody used, and its home; the next one is on its way.

        Args:
            session: with which the one that nobody took ends.
        """
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="acns-chaos-spare-"))
            session.addfinalizer(self._end)
        found = self._next or self._begin()
        self._next = self._begin()
        return found

    def _begin(self) -> tuple[Process, Path]:
        home = Path(tempfile.mkdtemp(prefix="lab-", dir=self._folder))
        return begin_lab(home), home

    def _end(self) -> None:
        if self._next:
            ready_lab(self._next[0])
            end_lab(self._next[0])
        if self._folder:
            shutil.rmtree(self._folder)
        self._folder = self._next = None


SPARE = Spare()
