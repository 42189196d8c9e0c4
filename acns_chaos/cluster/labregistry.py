"""The registered lab of this user: found by the lock it holds, ended by its process id.

A lab that was killed leaves files without a lock: they are recognised and taken away. Starting
and joining is in `labprocess`, ordering misbehaviour in `labcontrol`.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import TargetError

__all__ = ["LOG", "Found", "end_lab", "find_lab", "lab_home", "take_away"]

LOCK, READY, LOG = "lab.lock", "lab.json", "lab.log"
_FILES = (READY, "lab.new", LOG, f"{LOG}.1", LOCK)
_DIRECTORY = "acns-chaos-lab-"
STOP_TIMEOUT = 5.0


@dataclass(frozen=True)
class Found:
    """What is registered.

    Attributes:
        pid: of the lab, 0 when its file says none.
        alive: whether it holds its lock.
        ready: what it said when it was ready; None when it has not said it yet.
    """

    pid: int
    alive: bool
    ready: Mapping[str, Any] | None


def lab_home(environ: Mapping[str, str]) -> Path:
    """Return the folder where a lab started by hand is registered.

    The lab has its own function for it, as the two share no code; a test holds them together.
    """
    if named := environ.get("ACNS_CHAOS_LAB_HOME"):
        return Path(named)
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "acns-chaos"
    return Path(environ.get("HOME", "~")).expanduser() / ".cache" / "acns-chaos"


def find_lab(home: Path) -> Found | None:
    """Look for the registered lab; None when there is none and nothing is left of one."""
    ready = _read(home / READY)
    try:
        with (home / LOCK).open("r") as lock:
            alive = _is_held(lock.fileno())
            text = lock.read().strip()
    except OSError:
        return Found(_pid(ready), False, ready) if ready else None
    return Found(int(text) if text.isdigit() else _pid(ready), alive, ready)


def _is_held(lock: int) -> bool:
    try:
        # Shared, and for this moment only.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _pid(ready: Mapping[str, Any] | None) -> int:
    found = (ready or {}).get("pid")
    return found if isinstance(found, int) else 0


def end_lab(home: Path) -> Found | None:
    """End the registered lab and take away what it leaves.

    Args:
        home: where it is registered.

    Returns:
        What was found: alive, dead, or None for nothing at all.

    Raises:
        TargetError: it does not end.
    """
    found = find_lab(home)
    if found is None:
        return None
    if found.alive and not _end(home, found.pid):
        raise TargetError(f"The lab's process {found.pid} does not end: end it by hand.")
    take_away(home, found)
    return found


def _end(home: Path, pid: int) -> bool:
    """End a process that holds the lock, politely at first; whether it is gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        # Only while it holds the lock is the process id the lab's.
        if pid > 1 and _is_alive(home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if wait_until(lambda: not _is_alive(home) and _is_gone(pid), STOP_TIMEOUT, 0.02):
            return True
    return not _is_alive(home)


def _is_alive(home: Path) -> bool:
    found = find_lab(home)
    return found is not None and found.alive


def _is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has collected yet counts as ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    with contextlib.suppress(OSError):
        return stat.read_text("utf-8").rpartition(")")[2].split()[:1] == ["Z"]
    return False


def take_away(home: Path, found: Found) -> None:
    """Remove what a lab that is gone left behind; nothing happens while one is alive."""
    try:
        lock = os.open(home / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return
    with os.fdopen(lock) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        directory = Path(str((found.ready or {}).get("kubeconfig", ""))).parent
        if directory.parent == Path(tempfile.gettempdir()) and directory.name.startswith(
            _DIRECTORY
        ):
            shutil.rmtree(directory, ignore_errors=True)
        for name in _FILES:
            (home / name).unlink(missing_ok=True)
