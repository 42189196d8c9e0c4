"""What the guard reads in an experiment, and what it refuses of it before anything is asked.

Nothing here knows a run or a cluster.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from chaoslib.types import Activity, Experiment

from acns_chaos.errors import TargetError

__all__ = ["activities", "require_lab", "require_own_place", "roles"]

GUARD = "acns_chaos.controls.guard"
LAB = "acns_chaos.controls.lab"


def activities(experiment: Experiment) -> list[Activity]:
    """Everything that an experiment does or asks, wherever it stands."""
    hypothesis = experiment.get("steady-state-hypothesis") or {}
    parts = (hypothesis.get("probes"), experiment.get("method"), experiment.get("rollbacks"))
    return [one for part in parts for one in part or []]


def require_own_place(experiment: Experiment, unknown: Mapping[str, Any]) -> None:
    """Refuse an experiment in which the host would not call all of the guard's hooks.

    Args:
        experiment: as the host read it.
        unknown: arguments of the guard control, which takes none.

    Raises:
        TargetError: it would not.
    """
    if unknown:
        raise TargetError(f"The guard control takes no arguments, and got {', '.join(unknown)}.")
    top = experiment.get("controls") or []
    inner = [experiment.get("steady-state-hypothesis") or {}, *activities(experiment)]
    controls = [*top, *(one for place in inner for one in place.get("controls") or [])]
    ours = [one for one in top if (one.get("provider") or {}).get("module") == GUARD]
    names = {one.get("name") for one in ours}
    if any("scope" in one or one.get("automatic") is False for one in ours):
        raise TargetError(
            "The guard control must not be limited: take `scope` and `automatic` out of it."
        )
    if any(one.get("name") in names and one not in ours for one in controls):
        raise TargetError(
            f"Another control is also called {names.pop()!r}, and the host would call only one of "
            "them: rename the other."
        )
    for key, value in (experiment.get("configuration") or {}).items():
        if isinstance(value, dict) and value.get("type") == "probe":
            raise TargetError(
                f"Configuration {key!r} asks a probe, which the host does before any control, on "
                "whatever cluster is current: write the value, or read it from the environment."
            )


def require_lab(experiment: Experiment, trouble: str) -> None:
    """Refuse a lab that did not start, or that would be gone before the safety net is played.

    Args:
        experiment: as the host read it.
        trouble: why there is no lab, "" when there is one.

    Raises:
        TargetError: there is none, or it would be gone.
    """
    if trouble:
        raise TargetError(trouble)
    modules = [one.get("provider", {}).get("module") for one in experiment.get("controls", [])]
    ours = [name for name in modules if name in (LAB, GUARD)]
    if ours == [LAB, GUARD]:
        raise TargetError(
            "The lab control stands before the guard, so it would end the lab before the guard "
            "has restored: list the guard first."
        )


def roles(experiment: Experiment, known: Iterable[str]) -> dict[str, str]:
    """Map the names of activities to the role that the experiment's extension block gives them.

    Args:
        experiment: as the host read it.
        known: the roles there are.
    """
    return {
        str(name): role
        for extension in experiment.get("extensions") or []
        if extension.get("name") == "acns-chaos"
        for role in known
        for name in extension.get(role) or []
    }
