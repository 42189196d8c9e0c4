"""Checks of the policies that stand: valid, of any effect, broken on purpose, owned by GitOps."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from acns_chaos.cluster.clusters import read_objects, world_of
from acns_chaos.cluster.gitops import owner_of
from acns_chaos.cluster.policies import Policies
from acns_chaos.evidence.blame.changes import named, restore_command
from acns_chaos.evidence.doctor.finding import MISSING, OK, WARN, Check, Context, Finding
from acns_chaos.evidence.values import mapping, mappings, text
from acns_chaos.policy import ObjectRef

__all__ = ["CHECKS"]

# More lines of one kind would bury the others.
MOST = 8
_RUN = "acns-chaos/run"


def valid(context: Context) -> Iterator[Finding]:
    """Does every policy that is stored take effect, says the operator?"""
    policies = Policies(context.api).all()
    refused = [(one, why) for one in policies if (why := _invalid(one)) is not None]
    for policy, why in _first(refused):
        ref = ObjectRef.of(policy)
        here = ref.namespace in ("", context.namespace)
        sentence = (
            f"{ref.kind} {ref} is Valid=False: what it says is not enforced, and an older version "
            f"may be ({why})"
        )
        yield Finding(MISSING if here else WARN, "policies", sentence, _describe(ref))
    yield from _more(refused, "policies are Valid=False")
    if not refused:
        yield Finding(OK, "policies", f"none of {len(policies)} is Valid=False")


def idle(context: Context) -> Iterator[Finding]:
    """Which policies do nothing, or not what they look like, by the policy engine?"""
    from acns_chaos.policy.validity import SCHEMA, findings_by_object

    read = read_objects(context.api, context.name)
    world = world_of(read)
    # A tenth of a second each: the other namespaces' are for whoever asks about those.
    ours = [p for p in world.policies if ObjectRef.of(p).namespace in ("", context.namespace)]
    found = [
        (ref, finding)
        for ref, several in findings_by_object(ours, world=world).items()
        for finding in several
        if finding.layer != SCHEMA
    ]
    for ref, finding in _first(found):
        sentence = f"{ref.kind} {ref}: {text(finding)}"
        yield Finding(WARN, "policies' effect", sentence, _edit(ref))
    yield from _more(found, "findings about policies")
    if not found:
        sentence = (
            f"each of {len(ours)} for namespace {context.namespace} selects somebody and counts"
        )
        yield Finding(OK, "policies' effect", sentence)


def broken_on_purpose(context: Context) -> Iterator[Finding]:
    """Does a fault of ours stand right now?"""
    marked = [
        (ObjectRef.of(one), run)
        for one in Policies(context.api).all()
        if (run := _annotations(one).get(_RUN))
    ]
    for ref, run in _first(marked):
        sentence = f"{ref.kind} {ref} is broken on purpose, by run {text(run, 80)}"
        home = ref.namespace or context.namespace
        mend = restore_command(str(run), home) or f"acns-chaos restore --list -n {home}"
        yield Finding(WARN, "faults", sentence, mend)
    if not marked:
        yield Finding(OK, "faults", "no policy is marked as broken on purpose")


def owned(context: Context) -> Iterator[Finding]:
    """Who else writes the policies of the namespace?"""
    owners: dict[str, list[ObjectRef]] = {}
    for policy in Policies(context.api).all():
        ref = ObjectRef.of(policy)
        if ref.namespace in ("", context.namespace) and (owner := owner_of(policy)):
            owners.setdefault(text(owner, 120), []).append(ref)
    for owner, refs in owners.items():
        names = ", ".join(str(ref) for ref in refs[:MOST])
        sentence = (
            f"{owner} reconciles {names}: it would undo a fault, so faults there are refused "
            "unless the experiment sets gitops to observe"
        )
        yield Finding(WARN, "GitOps", sentence, _suspend(owner))
    if not owners:
        sentence = f"no GitOps controller owns a policy of namespace {context.namespace}"
        yield Finding(OK, "GitOps", sentence)


def _suspend(owner: str) -> str:
    if owner.startswith("Flux"):
        return 'flux suspend kustomization NAME (or "gitops": "observe" in inject_fault)'
    return 'argocd app set NAME --sync-policy none (or "gitops": "observe" in inject_fault)'


def _invalid(policy: Mapping[str, Any]) -> str | None:
    """Why the operator calls a policy invalid, None when it does not."""
    for condition in mappings(mapping(policy.get("status")).get("conditions")):
        if condition.get("type") == "Valid" and condition.get("status") == "False":
            return text(condition.get("message"), 200) or "it does not say why"
    return None


def _annotations(policy: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(mapping(policy.get("metadata")).get("annotations"))


def _first(found: Iterable[Any]) -> list[Any]:
    return list(found)[:MOST]


def _more(found: list[Any], what: str) -> Iterator[Finding]:
    if len(found) > MOST:
        yield Finding(WARN, "policies", f"{len(found) - MOST} more {what}, not shown here")


def _describe(ref: ObjectRef) -> str:
    return f"kubectl describe {named(ref)} (correct it, then apply it again)"


def _edit(ref: ObjectRef) -> str:
    return f"kubectl edit {named(ref)}"


CHECKS: tuple[tuple[str, Check], ...] = (
    ("policies", valid),
    ("policies' effect", idle),
    ("faults", broken_on_purpose),
    ("GitOps", owned),
)
