"""The folder of one run for files that hold credentials, gone when the run is, however it ends.

A kubeconfig of one's own, and the certificates and keys that the official client writes out for
OpenSSL: both would stay in the folder for temporary files after `kill -9`. So they lie in one of
our own, mode 0700, which is removed at the end of the process, by its watchdog when it was killed,
and by the next run when both were. Whoever uses it holds a lock, so that the next one can tell.
"""

import atexit
import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["adopt_folder", "private_folder", "remove_folder", "sweep"]

_PREFIX = "acns-chaos-run-"
_SUFFIX = "-held"


@dataclass(frozen=True, slots=True)
class _Mine:
    """The folder in use, and the process that uses it: a fork is not the owner."""

    folder: Path
    process: int


_mine: list[_Mine] = []


def private_folder() -> Path:
    """Return this process's folder; made when it is first asked for, removed at the end.

    What killed runs left is removed first.

    Raises:
        OSError: none can be made.
    """
    if not _mine or _mine[0].process != os.getpid():
        with suppress(OSError):
            sweep(Path(tempfile.gettempdir()))
        _mine[:] = [_Mine(_made(), os.getpid())]
        atexit.register(_remove_own)
    return _mine[0].folder


def adopt_folder(folder: Path) -> None:
    """Use another process's folder from now on, and keep it from being swept when that one dies.

    Args:
        folder: as `private_folder` returned it there; `remove_folder` is the adopter's to call.
    """
    with suppress(OSError):
        # Held until this process ends, also where nothing refers to it any more.
        fcntl.flock(os.open(folder, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH | fcntl.LOCK_NB)
    _mine[:] = [_Mine(folder, os.getpid())]


def remove_folder(folder: Path) -> None:
    """Remove a folder and all that lies in it; one that is gone is fine."""
    shutil.rmtree(folder, ignore_errors=True)


def sweep(where: Path) -> None:
    """Remove the folders that nobody uses any more.

    Args:
        where: the folder for temporary files; what others made there is left alone.
    """
    for folder in where.glob(f"{_PREFIX}*{_SUFFIX}"):
        # Somebody else may sweep or start at the same time: what fails is theirs.
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                found = os.fstat(descriptor)
                if found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == 0o700:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    remove_folder(folder)
            finally:
                os.close(descriptor)


def _made() -> Path:
    while True:
        folder = Path(tempfile.mkdtemp(_SUFFIX, _PREFIX))
        # Swept before it was locked: another one is made.
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if folder.is_dir():
                return folder
            os.close(descriptor)


def _remove_own() -> None:
    if _mine and _mine[0].process == os.getpid():
        remove_folder(_mine[0].folder)
