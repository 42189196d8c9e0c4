"""Processes of this machine: found by who started them, ended by their number and nothing else."""

import contextlib
import os
import signal
from pathlib import Path

__all__ = ["alive", "children_of", "command_of", "send"]


def alive(pid: int) -> bool:
    """Whether a process runs (one that only waits to be reaped does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def children_of(pid: int) -> list[int]:
    """Children of a process."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def command_of(pid: int) -> str:
    """Return its command line, "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def send(pid: int, number: signal.Signals) -> None:
    """Send it a signal, if it is there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
