"""An object that is neither the original nor the fault any more: who wrote it, and all three.

Only words belong here; that nothing is overwritten is decided in `undo`.
"""

import difflib
from collections.abc import Mapping
from typing import Any

import yaml

from acns_chaos.cluster.policies import MANAGER, content
from acns_chaos.faults.ledger import Debt

__all__ = ["drifted", "last_writer", "three_way"]


def last_writer(policy: Mapping[str, Any], but: str = "") -> tuple[str, str]:
    """Say who wrote an object last, and when, as its managedFields tell.

    Args:
        policy: raw, as read.
        but: a field manager that yields to others who wrote within the same second.

    Returns:
        The field manager ("kustomize-controller", "kubectl-edit"; "somebody else" when the object
        does not say) and the moment, "" when it does not say.
    """
    entries = policy["metadata"].get("managedFields") or [{}]
    # A status is written by the operator after every change: it is nobody's edit.
    edits = [one for one in entries if one.get("subresource") != "status"] or [{}]
    # Of several in one second, the one that is told last.
    last = max(
        reversed(edits),
        key=lambda entry: (str(entry.get("time", "")), not but or entry.get("manager") != but),
    )
    return str(last.get("manager") or "somebody else"), str(last.get("time") or "")


def drifted(debt: Debt, live: Mapping[str, Any]) -> str:
    """One sentence about an object that somebody else changed meanwhile."""
    # Our own earlier write is no news.
    who, when = last_writer(live, but=MANAGER)
    at = f" at {when}" if when else ""
    return (
        f"{debt.ref} is neither the fault nor the original any more ({who} wrote it{at}): "
        "it was not overwritten. Put it right by hand, or restore with force."
    )


def three_way(debt: Debt, live: Mapping[str, Any] | None) -> str:
    """Show what the fault changed, and what somebody changed since, as two unified differences.

    Args:
        debt: original and fault.
        live: the object now; None when it is gone.
    """
    texts = {
        "original": _text(debt.before),
        "fault": _text(debt.fault),
        "live": _text(live),
    }
    shown = [
        *_difference(texts, "original", "fault"),
        *_difference(texts, "original", "live"),
    ]
    return "\n".join(shown)


def _difference(texts: Mapping[str, str], old: str, new: str) -> list[str]:
    lines = difflib.unified_diff(
        texts[old].splitlines(), texts[new].splitlines(), old, new, lineterm=""
    )
    return list(lines) or [f"--- {old}", f"+++ {new}", "(equal)"]


def _text(policy: Mapping[str, Any] | None) -> str:
    if policy is None:
        return "(no such object)\n"
    return str(yaml.safe_dump(content(policy), sort_keys=True))
