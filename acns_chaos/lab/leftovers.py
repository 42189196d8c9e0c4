"""The private directory of one lab process, and those that killed labs left behind.

A lab holds a lock on its directory for as long as it lives, so the next one can tell whose owner
is gone, whatever has become of its process number. Nothing is removed but what a lab writes.
"""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "acns-chaos-lab-"
_SUFFIX = "-held"  # its owner holds a lock
_FILES = ("kubeconfig", "server.pem")


@contextmanager
def private_directory() -> Iterator[Path]:
    """A directory for this process alone; it is gone at the end.

    Directories of labs that were killed are removed first.

    Yields:
        its path, below the directory for temporary files.
    """
    sweep(Path(tempfile.gettempdir()))
    directory, descriptor = _locked()
    try:
        yield directory
    finally:
        _remove(directory)
        os.close(descriptor)


def sweep(where: Path) -> None:
    """Remove the directories of labs that no longer live.

    Args:
        where: the directory for temporary files; others' directories in it are left alone.
    """
    for directory in where.glob(f"{_PREFIX}*{_SUFFIX}"):
        # Somebody else may sweep or start at the same time: what fails is theirs.
        with suppress(OSError):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                found = os.fstat(descriptor)
                if found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == 0o700:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(directory)
            finally:
                os.close(descriptor)


def _locked() -> tuple[Path, int]:
    """A new directory and the descriptor that holds its lock."""
    while True:
        directory = Path(tempfile.mkdtemp(_SUFFIX, _PREFIX))
        with suppress(FileNotFoundError):  # swept before it was locked
            descriptor = os.open(directory, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if directory.is_dir():
                return directory, descriptor
            os.close(descriptor)


def _remove(directory: Path) -> None:
    for name in _FILES:
        (directory / name).unlink(missing_ok=True)
    with suppress(OSError):  # it holds what no lab has written
        directory.rmdir()
