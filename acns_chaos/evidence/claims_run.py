"""Runs of a claim that somebody runs on a schedule: when each ended, and whether it was missed.

On a cluster a CronJob runs it, and its Jobs are looked at. In the lab a player of the game day's
own writes a line for each run into a file (`Played`, which says what a line holds).
"""

import fcntl
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from acns_chaos.cluster.jobs import ended_jobs
from acns_chaos.cluster.kube import Api
from acns_chaos.evidence.values import moment, word

__all__ = [
    "HELD_BY_PLAYER",
    "ClaimRun",
    "Jobs",
    "Played",
    "Source",
    "file_of",
    "is_held",
    "source_of",
]

HELD_BY_PLAYER = ".playing"
# What is read of the end of a file; a line has some two hundred bytes.
TAIL = 64 * 1024
# A Job's moments are whole seconds, cut off, by a clock that is known to half of one.
WHOLE_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class ClaimRun:
    """One run that is over; moments in seconds since 1970 by this machine's clock.

    Attributes:
        started: when.
        ended: when.
        deviated: whether the claim was missed; None when the run could not tell.
        why: what it said, where it did not hold.
    """

    started: float
    ended: float
    deviated: bool | None
    why: str = ""


class Source(Protocol):
    """Who knows of the runs of one claim."""

    bound: float
    """By how many seconds the moments of a run may be off."""

    def runs(self) -> list[ClaimRun]:
        """Those that are known, in the order of their ends; raises ApiError."""

    def trouble(self) -> str:
        """Why nobody runs it at all, "" when somebody may."""


class Played:
    """Runs that a player writes down.

    A line is `{"claim", "started", "ended", "deviated", "why"}`, moments in ISO 8601, `deviated`
    null where the run could not tell. Whoever plays holds a lock on HELD_BY_PLAYER in the folder.

    Args:
        folder: into which the player writes.
        claim: its name.
    """

    bound = 0.001

    def __init__(self, folder: Path, claim: str) -> None:
        self._folder, self._file = folder, folder / file_of(claim)

    def runs(self) -> list[ClaimRun]:
        """Those of the file's end; what is no line is passed over."""
        try:
            with self._file.open("rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, size - TAIL))
                lines = stream.read().split(b"\n")
        except OSError:
            return []
        # The first may begin in its midst, the last is not written yet.
        whole = lines[1 if size > TAIL else 0 : -1]
        found = [one for line in whole if (one := _run(line)) is not None]
        return sorted(found, key=lambda one: one.ended)

    def trouble(self) -> str:
        """Whether somebody plays."""
        return "" if is_held(self._folder) else "nobody plays the schedule of claims any more"


def is_held(folder: Path) -> bool:
    """Whether a player writes into a folder: the lock is gone with its process."""
    try:
        descriptor = os.open(folder / HELD_BY_PLAYER, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


class Jobs:
    """Runs that a CronJob makes: what fails there is what the team sees.

    Args:
        api: the cluster.
        cronjob: "namespace/name".
    """

    bound = WHOLE_SECONDS

    def __init__(self, api: Api, cronjob: str) -> None:
        self._api, self._cronjob = api, cronjob

    def runs(self) -> list[ClaimRun]:
        """Its Jobs that are over."""
        found = ended_jobs(self._api, self._cronjob)
        ahead = (self._api.now() - datetime.now(UTC)).total_seconds()
        return [
            ClaimRun(
                *(one.started.timestamp() - ahead, one.ended.timestamp() - ahead, one.failed),
                why=f"Job {one.name}: {one.why}" if one.failed else "",
            )
            for one in found
        ]

    def trouble(self) -> str:
        """A CronJob that runs nothing has no data, which is no trouble of ours."""
        return ""


class _Nobody:
    """A claim that nobody runs here."""

    bound = 0.0

    def runs(self) -> list[ClaimRun]:
        return []

    def trouble(self) -> str:
        return "nobody plays the schedule of claims"


def source_of(api: Api, claim: str, cronjob: str, folder: str) -> Source:
    """Who knows of the runs of a claim.

    Args:
        api: the cluster.
        claim: its name.
        cronjob: "namespace/name" of who runs it, "" for a player of ours.
        folder: into which that writes, "" when there is none.
    """
    if cronjob:
        return Jobs(api, cronjob)
    return Played(Path(folder), claim) if folder else _Nobody()


def file_of(claim: str) -> str:
    """The name of the file in which the runs of a claim are, safe whatever the claim is called."""
    safe = re.sub(r"[^A-Za-z0-9_-]", "-", claim)[:80]
    mark = "" if safe == claim else f"-{sha256(claim.encode()).hexdigest()[:8]}"
    return f"{safe}{mark}.jsonl"


def _run(line: bytes) -> ClaimRun | None:
    try:
        told: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(told, Mapping):
        return None
    started, ended, deviated = moment(told.get("started")), moment(told.get("ended")), None
    if started is None or ended is None:
        return None
    if isinstance(told.get("deviated"), bool):
        deviated = told["deviated"]
    return ClaimRun(started.timestamp(), ended.timestamp(), deviated, word(told.get("why")))
