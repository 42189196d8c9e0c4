"""Where runs were: results of the lab and of each cluster are counted apart, never together."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from acns_chaos.evidence.outcome import Outcome
from acns_chaos.report.model import Story

__all__ = ["Group", "grouped", "headline", "separate"]

ORDER = {"cluster": 0, "lab": 1, "unknown": 2}


@dataclass(frozen=True, slots=True)
class Group:
    """The stories of one place.

    Attributes:
        label: what every page says; of a cluster with several contexts, all of them.
        uid: which cluster; "" for others, as a lab is made anew for each run.
        page: a name for it that is safe in markup and style sheets: "place1", ...
    """

    kind: str
    label: str
    uid: str
    page: str
    stories: tuple[Story, ...]

    @property
    def counts(self) -> str:
        """How many runs, and how they ended: "3 runs: 2 HELD, 1 NOT_NOTICED."."""
        ended = Counter(one.verdict.outcome for one in self.stories)
        words = [f"{ended[one.value]} {one}" for one in Outcome if ended[one.value]]
        return f"{_runs(len(self.stories))}: {', '.join(words)}."


def grouped(stories: Sequence[Story]) -> tuple[Group, ...]:
    """Sort stories by place: a cluster is its UID, whatever its context is called.

    Args:
        stories: in the order in which each place shows its own.

    Returns:
        A group for each cluster, one for the lab, one for what does not say where it was.
    """
    found: dict[tuple[str, str], list[Story]] = {}
    for one in stories:
        place = one.place
        own = (place.uid or place.label) if place.kind == "cluster" else ""
        found.setdefault((place.kind, own), []).append(one)
    ordered = sorted(found.items(), key=lambda pair: ORDER.get(pair[0][0], len(ORDER)))
    return tuple(
        Group(
            kind,
            " or ".join(dict.fromkeys(one.place.label for one in members)),
            members[0].place.uid if kind == "cluster" else "",
            f"place{number}",
            tuple(members),
        )
        for number, ((kind, _), members) in enumerate(ordered, 1)
    )


def headline(stories: Sequence[Story]) -> str:
    """Return what a report of several runs is called."""
    return f"{_runs(len(stories))} of acns-chaos" if stories else "No run could be read"


def separate(groups: Sequence[Group]) -> str:
    """Say that places are counted apart, "" where there is only one."""
    if len(groups) < 2:
        return ""
    return (
        "These runs were in different places. Each place has a table and counts of its own: what "
        "holds in the lab, or in one cluster, says nothing of another."
    )


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
