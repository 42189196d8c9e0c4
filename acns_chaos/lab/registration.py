"""How the one registered lab of a user is found, and how a second one is kept out.

A lock file is held for as long as the process lives, so a dead lab never blocks a new one; beside
it lies the ready line. No server here.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from acns_chaos.errors import AcnsChaosError


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
        draft.touch(mode=0o600)
        draft.chmod(0o600)
        draft.write_text(line)
        draft.replace(self._file)

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
    lock = home / "lab.lock"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LabError(
            f"The lab cannot be registered in {home} ({error.strerror}): set "
            "ACNS_CHAOS_LAB_HOME to a directory that can be written."
        ) from None
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip()
            raise LabError(
                f"A lab is already running as process {holder}: stop it with `kill {holder}`, or "
                "set ACNS_CHAOS_LAB_HOME to another directory for a second one."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        registration = Registration(home)
        try:
            yield registration
        finally:
            registration.withdraw()
            file.truncate(0)
