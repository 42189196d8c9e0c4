"""Files of a day that outlive a crash: lines appended whole, and one process at a time.

Belongs here: how they are written. Does not belong here: what stands in them (`day`), and files
that are written once (`scoring.write_whole`).
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from acns_chaos.errors import GameDayError

__all__ = ["append_line", "drop_cut_line", "held_alone"]

_LOCK = ".lock"
# A line that was cut short is no longer than one may be.
_TAIL = 1_000_000


def append_line(path: Path, line: str) -> None:
    """Append a line: it is there whole and on the disk when this returns.

    Args:
        path: of the file; it is made when missing.
        line: with its end.

    Raises:
        GameDayError: it cannot be written; at most the beginning of a line was.
    """
    data = line.encode()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            written = os.write(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise GameDayError(f"{path} cannot be written: {error.strerror}.") from error
    if written != len(data):
        # What follows would become a part of it.
        drop_cut_line(path)
        raise GameDayError(f"{path} cannot be written to its end: the disk is full.")


def drop_cut_line(path: Path) -> None:
    """Take away a last line without its end, which a crash cut short.

    Args:
        path: of the file; none is fine.

    Raises:
        GameDayError: it cannot be written.
    """
    try:
        with path.open("r+b") as stream:
            size = stream.seek(0, os.SEEK_END)
            begin = max(0, size - _TAIL - 1)
            stream.seek(begin)
            tail = stream.read()
            if tail and not tail.endswith(b"\n"):
                stream.truncate(begin + tail.rfind(b"\n") + 1)
                os.fsync(stream.fileno())
    except FileNotFoundError:
        return
    except OSError as error:
        raise GameDayError(f"{path} cannot be written: {error.strerror}.") from error


@contextmanager
def held_alone(folder: Path) -> Iterator[None]:
    """Hold a day's folder, so that nobody else runs the same day; a killed process lets go.

    Raises:
        GameDayError: somebody else does, or the folder cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise GameDayError(f"{folder} cannot be used: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            by = f" by process {holder}" if holder.isdigit() else ""
            raise GameDayError(
                f"The day in {folder} is being run{by}: wait for its end."
            ) from error
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
