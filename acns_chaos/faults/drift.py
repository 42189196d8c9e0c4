"""An object that is neither the original nor the fault any more: who wrote it, and all three.

Only words belong here; that nothing is overwritten is decided in `undo`.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from acns_chaos.cluster.policies import MANAGER, content
from acns_chaos.faults.ledger import Debt

__all__ = ["drifted", "last_writer", "three_way"]


def last_writer(
    policy: Mapping[str, Any], but: str = "", since: Mapping[str, Any] | None = None
) -> tuple[str, str]:
    """Say who wrote an object last, and when, as its managedFields tell.

    Their times are whole seconds. Of several who wrote within one, it is whoever owns what is
    different since; managedFields list them by name, which tells nothing.

    Args:
        policy: raw, as read.
        but: a field manager that yields to others who wrote within the same second.
        since: the object as it was before that write.

    Returns:
        The field manager ("kustomize-controller", "kubectl-edit"; "somebody else" when the object
        does not say) and the moment, "" when it does not say.
    """
    entries = policy["metadata"].get("managedFields") or [{}]
    # A status is written by the operator after every change: it is nobody's edit.
    edits = [one for one in entries if one.get("subresource") != "status"] or [{}]
    changed = list(_changed(since, policy)) if since else []
    last = max(
        reversed(edits),
        key=lambda entry: (
            str(entry.get("time", "")),
            not but or entry.get("manager") != but,
            any(_owns(entry.get("fieldsV1") or {}, path) for path in changed),
        ),
    )
    return str(last.get("manager") or "somebody else"), str(last.get("time") or "")


def _changed(
    old: Mapping[str, Any], new: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Paths of what people write that *new* has otherwise than *old*."""
    for key in new if path else ("metadata", "spec", "specs"):
        before, after = old.get(key), new.get(key)
        if path == ("metadata",) and key not in ("labels", "annotations"):
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _changed(before, after, (*path, key))
        elif before != after:
            yield (*path, key)


def _owns(fields: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    """Whether a fieldsV1 has *path*, or the whole of something that it is in."""
    for key in path:
        if f"f:{key}" not in fields:
            return False
        fields = fields[f"f:{key}"]
        if not fields:
            return True
    return True


def drifted(debt: Debt, live: Mapping[str, Any]) -> str:
    """One sentence about an object that somebody else changed meanwhile."""
    # Our own earlier write is no news.
    who, when = last_writer(live, but=MANAGER, since=debt.fault)
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
