"""How the one registered lab of a user is found, and how a second one is kept out.

A lock file is held for as long as the process lives, so a dead lab never blocks a new one; beside
it lies the ready line with the token that orders for misbehaviour need. Both go with the lab; what
one leaves that was killed, the next one or ``acns-chaos lab down`` takes away. No server here.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from acns_chaos.errors import AcnsChaosError

_LOCK = "lab.lock"


class LabError(AcnsChaosError):
    """The lab cannot start."""


def lab_home(environment: Mapping[str, str]) -> Path:
    """Where the registered lab leaves its files.

    Args:
        environment: of the process: ACNS_CHAOS_LAB_HOME, else XDG_RUNTIME_DIR, else HOME.
    """
    if home := environment.get("ACNS_CHAOS_LAB_HOME"):
        return Path(home)
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "acns-chaos"
    return Path(environment.get("HOME", "~")).expanduser() / ".cache" / "acns-chaos"


class Registration:
    """The right to be the registered lab, held until the context ends."""

    def __init__(self, home: Path) -> None:
        self._file = home / "lab.json"

    def publish(self, line: str) -> None:
        """Leave the ready line for others of the same user.

        Args:
            line: one line of JSON.
        """
        draft = self._file.with_suffix(".new")
        try:
            draft.touch(mode=0o600)
            draft.chmod(0o600)
            draft.write_text(line)
            draft.replace(self._file)
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            raise _unusable(self._file.parent, error) from None

    def withdraw(self) -> None:
        """Remove the ready line."""
        self._file.unlink(missing_ok=True)


@contextmanager
def registered(home: Path) -> Iterator[Registration]:
    """Be the registered lab.

    Args:
        home: the directory of the lock; it is made when missing, for the user alone.

    Raises:
        LabError: another lab holds the lock, or the directory cannot be used.
    """
    with _locked(home) as file:
        try:
            file.truncate(0)
            os.pwrite(file.fileno(), f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise _unusable(home, error) from None
        registration = Registration(home)
        try:
            yield registration
        finally:
            registration.withdraw()
            # Removed while it is held: whoever opened it meanwhile sees that it is gone.
            (home / _LOCK).unlink(missing_ok=True)


@contextmanager
def _locked(home: Path) -> Iterator[TextIO]:
    """The lock file, held; a lab that ends removes it, so the file that is held must be there."""
    while True:
        with _opened(home) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = file.read().strip()
                raise LabError(
                    f"A lab is already running as process {holder}: stop it with "
                    f"`kill {holder}`, or set ACNS_CHAOS_LAB_HOME to another directory for a "
                    "second one."
                ) from None
            if _is_still(home / _LOCK, file):
                yield file
                return


def _opened(home: Path) -> TextIO:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(home / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(home, error) from None
    return os.fdopen(descriptor, "r+")


def _unusable(home: Path, error: OSError) -> LabError:
    return LabError(
        f"The lab cannot be registered in {home} ({error.strerror}): set "
        "ACNS_CHAOS_LAB_HOME to a directory that can be written."
    )


def _is_still(path: Path, file: TextIO) -> bool:
    """Whether an open file is the one at a path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
