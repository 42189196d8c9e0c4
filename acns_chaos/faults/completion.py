"""What the server would make of a fault: asked in a dry run, before anything is recorded.

A server fills in what a document leaves out (`policyTypes` of a NetworkPolicy, a port's protocol)
and drops what is empty. People who use kubectl expect that, so its form is the one that is
predicted, recorded and written. Anything else that it would change, as a webhook does, is no
default: then the fault would not be the one that was asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from acns_chaos.cluster.policies import Policies, content
from acns_chaos.errors import ApiError, Conflict, FaultRefused
from acns_chaos.faults.ledger import CREATE, MODIFY
from acns_chaos.faults.plan import Planned

__all__ = ["completed", "difference"]

# A conflict means that somebody else writes too; the status of a policy is written often.
ROUNDS = 5
# Empty means the same as absent in the typed objects of Kubernetes itself, which drop it when they
# are stored; in a Cilium policy it means the opposite.
TYPED = "NetworkPolicy"
# One more label here is another set of pods, not a default.
SELECTING = "matchLabels"


def completed(policies: Policies, items: Sequence[Planned]) -> list[Planned]:
    """Return the objects of a fault as the server would store them; nothing is written.

    Args:
        policies: of the cluster.
        items: as planned.

    Raises:
        FaultRefused: it would refuse one, or store something else than its defaults.
    """
    return [_completed(policies, one) for one in items]


def _completed(policies: Policies, one: Planned) -> Planned:
    if one.after is None:
        return one
    try:
        stored = _asked(policies, one)
    except ApiError as error:
        raise FaultRefused(
            f"The API server would refuse the fault: {error}. Nothing was changed."
        ) from error
    if stored is None or content(stored) == content(one.after):
        return one
    if where := _beyond_defaults(one, stored):
        raise FaultRefused(
            f"The API server would store something else than the fault on {one.ref} (at {where}): "
            "an admission webhook may change it; write the fault as the server would keep it. "
            "Nothing was changed."
        )
    kept = {key: value for key, value in one.after.items() if key not in ("spec", "specs")}
    rules: dict[str, Any] = {key: stored[key] for key in ("spec", "specs") if key in stored}
    return replace(one, after={**kept, **rules})


def _beyond_defaults(one: Planned, stored: Mapping[str, Any]) -> str:
    asked, answered = content(one.after or {}), content(stored)
    for key in ("labels", "annotations"):
        # No server defaults these, and what a webhook adds to the fault it adds to the restore.
        if asked.pop(key, {}) != answered.pop(key, {}):
            return f"metadata.{key}"
    return difference(asked, answered, one.ref.kind == TYPED)


def _asked(policies: Policies, one: Planned) -> dict[str, Any] | None:
    """Ask once per version; None when others write, which the rehearsal will meet again."""
    after = one.after or {}
    for _ in range(ROUNDS):
        try:
            if one.change == CREATE:
                return policies.create(after, dry_run=True)
            metadata = dict(after["metadata"])
            if one.change == MODIFY:
                live = policies.get(one.ref)
                metadata["resourceVersion"] = live["metadata"]["resourceVersion"]
            return policies.replace({**after, "metadata": metadata}, dry_run=True)
        except Conflict:
            continue
    return None


def difference(asked: Any, stored: Any, typed: bool, path: str = "") -> str:
    """Find where what would be stored is more than what was asked for with its defaults.

    Args:
        asked: JSON.
        stored: JSON.
        typed: whether empty and absent mean the same.
        path: of both, for the answer.

    Returns:
        The first such path ("spec.ingress[0].from"), "" when there is none.
    """
    if typed and not asked and asked is not False and asked != 0 and not _more(stored):
        return ""
    if isinstance(asked, Mapping) and isinstance(stored, Mapping):
        return _in_mapping(asked, stored, typed, path)
    if isinstance(asked, list) and isinstance(stored, list) and len(asked) == len(stored):
        found = (
            difference(one, other, typed, f"{path}[{number}]")
            for number, (one, other) in enumerate(zip(asked, stored, strict=True))
        )
        return next((where for where in found if where), "")
    return "" if asked == stored else path


def _in_mapping(asked: Mapping[str, Any], stored: Mapping[str, Any], typed: bool, path: str) -> str:
    for key in [*asked, *(key for key in stored if key not in asked)]:
        where = f"{path}.{key}".lstrip(".")
        if key not in asked:
            if _more(stored[key]) or path.endswith(SELECTING):
                return where
        elif found := difference(asked[key], stored.get(key), typed, where):
            return found
    return ""


def _more(value: Any) -> bool:
    """Whether a value is more than a default: a rule, a peer, a selector of something."""
    if isinstance(value, list):
        return any(isinstance(one, (Mapping, list)) for one in value)
    return isinstance(value, Mapping) and bool(value)
