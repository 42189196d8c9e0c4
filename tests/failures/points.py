"""The requests at which somebody is killed or answered badly, read from an undisturbed run.

No request is named here: a new one is met as soon as the product makes it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["RUNNER", "WATCHDOG", "Point", "points_of"]

RUNNER = "acns-chaos/"
WATCHDOG = "acns-chaos-watchdog"
WRITING = ("create", "update", "patch", "delete", "deletecollection")
# Names hold the run's id, and those of pods end in letters of their own; another run has others.
_OWN = re.compile(r"\d{8}t\d{6}-[0-9a-f]{4}|(?<=-[0-9a-f]{10}-)[a-z0-9]{5}\b")


@dataclass(frozen=True, slots=True)
class Point:
    """One request of a run.

    Attributes:
        agent: who makes it: a part of the user agent.
        verb, resource, namespace, name, path: as the lab tells them; the run's id is a *.
        dry_run: whether it is a rehearsal.
        nth: which of the requests that look alike it is: of a write in the whole run, of a read
            since the write before it.
        after: the write before it, for a read: how often requests are repeated while something is
            waited for differs from run to run.
    """

    agent: str
    verb: str
    resource: str
    namespace: str
    name: str
    path: str
    dry_run: bool
    nth: int
    after: "Point | None" = None

    @property
    def writes(self) -> bool:
        """Whether the cluster changes by it."""
        return _writes(self.verb, self.resource) and not self.dry_run

    def selection(self) -> dict[str, Any]:
        """What chooses it in an order for the lab."""
        chosen = {
            "verbs": [self.verb] if self.resource else [],
            "resource": self.resource,
            "namespace": self.namespace,
            "name": self.name,
            "path": self.path.partition("*")[0],
            "user_agent": self.agent,
        }
        kept = {key: value for key, value in chosen.items() if value}
        return {**kept, "dry_run": self.dry_run, "nth": self.nth}

    def __str__(self) -> str:
        since = f", after {self.after}" if self.after else ""
        again = f" ({self.nth}.)" if self.nth > 1 else ""
        who = "the watchdog's " if self.agent == WATCHDOG else ""
        dry = " in a dry run" if self.dry_run else ""
        return f"{who}{self.verb} {self.path}{dry}{again}{since}"


def points_of(
    requests: Sequence[dict[str, Any]], agent: str = RUNNER, reads: bool = True
) -> list[Point]:
    """Enumerate the requests of an undisturbed run.

    Args:
        requests: all of them, oldest first.
        agent: whose.
        reads: whether the reads are wanted, too: each that differs (by verb and path) from those
            before it since the last write.

    Returns:
        Every write that is one, and the reads, in the order in which they came.
    """
    mine = [
        one
        for one in requests
        if one["server"] == "kubernetes" and one["user_agent"].startswith(agent)
    ]
    found: list[Point] = []
    written: Counter[tuple[Any, ...]] = Counter()
    seen: set[tuple[Any, ...]] = set()
    last: Point | None = None
    for request in mine:
        looks = _look(request)
        if _writes(request["verb"], request["resource"]):
            written[looks] += 1
            point = Point(agent, *looks, written[looks])
            found.append(point)
            if point.writes:
                last, seen = point, set()
        elif reads and looks not in seen:
            seen.add(looks)
            found.append(Point(agent, *looks, 1, last))
    return found


def _writes(verb: str, resource: str) -> bool:
    # A review is posted and only asks; a command in a pod is a probe's.
    return verb in WRITING and not resource.endswith(("reviews", "/exec"))


def _look(request: dict[str, Any]) -> tuple[str, str, str, str, str, bool]:
    """What two requests of two runs have in common when they are the same request."""
    verb, resource, namespace, name, path = (
        _OWN.sub("*", str(request[key]))
        for key in ("verb", "resource", "namespace", "name", "path")
    )
    return verb, resource, namespace, name, path, bool(request["dry_run"])
