"""The known-good set of a namespace: read from files or from what is live, compared, written down.

Belongs here: what is content and what is not, what differs, and the text of a captured set. Does
not belong here: putting a set in place (`baseline_apply`), and behaviour (`evidence.baseline`).

Compared is what a person wrote: spec, specs, labels and annotations, raw. `[]` and an absent field
differ, as in Cilium's policies they mean opposite things. kubectl's note of what it applied last is
no content: it repeats the rest.
"""

import difflib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import yaml

from acns_chaos.cluster.documents import parse
from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.leases import Leases
from acns_chaos.cluster.policies import KINDS, PolicyRef, content, policy_ref
from acns_chaos.cluster.records import Records
from acns_chaos.cluster.sources import collect
from acns_chaos.errors import DocumentError, LeaseHeld, NotFound, PolicyError, TargetRefused
from acns_chaos.faults.undo import MARK

__all__ = [
    "LAST_APPLIED",
    "Deviation",
    "KnownGood",
    "captured",
    "comparable",
    "compare",
    "difference",
    "fault_on",
    "read_known_good",
    "read_live",
    "require_quiet",
]

Raw = Mapping[str, Any]
Policies = dict[PolicyRef, dict[str, Any]]

# kubectl's note of what it applied last.
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
NAMESPACED = tuple(kind for kind, (_, _, namespaced) in KINDS.items() if namespaced)
# Kubernetes' own typed objects are stored without these when they are empty.
_DROPPED = ("matchLabels", "matchExpressions")


@dataclass(frozen=True, slots=True)
class KnownGood:
    """A known-good set.

    Attributes:
        name: the place it was read from.
        policies: raw, each in the namespace.
        notes: what a person should know, one sentence each.
    """

    name: str
    policies: Policies
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deviation:
    """One policy that is not as the known-good set has it.

    Attributes:
        state: "missing", "extra", "different", "invalid" (the agents refuse it) or "broken" (it
            carries the marks of a fault that stands).
        ref: the policy.
        sentence: for people.
        difference: of what is different: a unified difference from known-good to live.
    """

    state: str
    ref: PolicyRef
    sentence: str
    difference: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "state": self.state,
            "policy": self.ref.as_json(),
            "sentence": self.sentence,
            "difference": self.difference,
        }


def read_known_good(place: str, namespace: str) -> KnownGood:
    """Read a known-good set.

    Args:
        place: a file, a folder, "git:REVISION:PATH", or "-" for stdin.
        namespace: of objects that name none; all must be of it.

    Raises:
        DocumentError: it cannot be read, holds no policy, or one that is of no namespace, of
            another one, or broken on purpose.
    """
    found = collect(place, namespace=namespace)
    policies: Policies = {}
    passed = 0
    for obj, origin in zip(found.objects, found.origins, strict=True):
        kind, metadata = str(obj["kind"]), obj["metadata"]
        if kind not in KINDS:
            passed += 1
            continue
        if kind not in NAMESPACED:
            raise DocumentError(
                f"{origin}: a {kind} is of no namespace, so of no namespace's baseline: keep it "
                "elsewhere."
            )
        if metadata["namespace"] != namespace:
            raise DocumentError(
                f"{origin}: {kind} {metadata['name']} is of namespace {metadata['namespace']}, and "
                f"the baseline is that of {namespace}: name the other one, or take it out."
            )
        try:
            ref = policy_ref(kind, namespace, metadata["name"])
        except PolicyError as error:
            raise DocumentError(f"{origin}: {error}") from error
        if run := fault_on(obj):
            raise DocumentError(
                f"{origin}: {kind} {metadata['name']} carries the marks of a fault, of run {run}: "
                "it was written down while that stood, and is not known-good."
            )
        policies[ref] = obj
    if not policies:
        raise DocumentError(f"{place} holds no policy: capture a baseline there first.")
    what = "object that is" if passed == 1 else "objects that are"
    others = (f"{passed} {what} no policy passed over.",) if passed else ()
    return KnownGood(place, policies, (*found.notes, *others))


def read_live(api: Api, namespace: str) -> Policies:
    """Read every policy of a namespace.

    Raises:
        ApiError: a kind cannot be listed; a missing CRD counts as an empty list.
        PolicyError: a name is none.
    """
    found: Policies = {}
    for kind in NAMESPACED:
        version = KINDS[kind][0]
        try:
            items = api.get(PolicyRef(kind, namespace, "").collection).get("items") or []
        except NotFound:
            continue
        for one in items:
            ref = policy_ref(kind, namespace, str(one["metadata"]["name"]))
            # Items of a list carry neither kind nor apiVersion.
            found[ref] = {**one, "apiVersion": version, "kind": kind}
    return found


def fault_on(policy: Raw) -> str:
    """Name the run whose fault a policy carries, "" when it carries none."""
    metadata = policy.get("metadata") or {}
    for marks in (metadata.get("annotations") or {}, metadata.get("labels") or {}):
        if any(str(key).startswith(MARK) for key in marks):
            return _plain(marks.get(f"{MARK}run")) or "that it does not name"
    return ""


def require_quiet(api: Api, namespace: str, live: Mapping[PolicyRef, Raw], own: str = "") -> None:
    """Refuse while a fault stands in a namespace, or an experiment is at work there.

    Args:
        api: the connection.
        namespace: which.
        live: its policies, read before this call.
        own: holder of the Lease that is no stranger.

    Raises:
        TargetRefused: a policy carries marks, or a record stands.
        LeaseHeld: an experiment is at work.
        ApiError: it cannot be told.
    """
    for ref, policy in live.items():
        if run := fault_on(policy):
            raise TargetRefused(
                f"{ref.kind} {ref} is broken on purpose by run {run}: look with `acns-chaos "
                f"restore --list -n {namespace}`, and restore it first."
            )
    held = Leases(api, namespace).read()
    if held and held.holder != own and not held.lapsed(api.now()):
        raise LeaseHeld(
            f"An experiment is at work in namespace {namespace} ({held.holder}): wait for its end; "
            "if it has died, its Lease lapses by itself."
        )
    names = {*(held.records if held else ()), *Records(api, namespace).names()}
    if names:
        raise TargetRefused(
            f"Record {min(names)} stands in namespace {namespace}, so a fault may: restore it "
            f"first with `acns-chaos restore --all -n {namespace}`."
        )


def comparable(policy: Raw) -> dict[str, Any]:
    """Return what two policies must have in common to be the same.

    A NetworkPolicy gets what every server fills in (`policyTypes`, the protocol of a port) and
    loses what it drops (empty lists); a Cilium policy is taken as it is.
    """
    found = deepcopy(content(policy))
    annotations = {k: v for k, v in found.pop("annotations", {}).items() if k != LAST_APPLIED}
    if annotations:
        found["annotations"] = annotations
    if policy.get("kind") == "NetworkPolicy" and isinstance(found.get("spec"), dict):
        found["spec"] = _defaulted(found["spec"])
    return found


def compare(known: Mapping[PolicyRef, Raw], live: Mapping[PolicyRef, Raw]) -> list[Deviation]:
    """Say what of the live policies is not as known-good.

    Args:
        known: the known-good set.
        live: every policy of the namespace.
    """
    found: list[Deviation] = []
    for ref, wanted in known.items():
        there = live.get(ref)
        if there is None:
            found.append(Deviation("missing", ref, f"{ref.kind} {ref} is missing."))
            continue
        if run := fault_on(there):
            found.append(
                Deviation("broken", ref, f"{ref.kind} {ref} is broken on purpose by run {run}.")
            )
        if comparable(wanted) != comparable(there):
            found.append(
                Deviation(
                    "different",
                    ref,
                    f"{ref.kind} {ref} differs from known-good.",
                    difference(wanted, there),
                )
            )
        if why := _invalid(there):
            sentence = f"{ref.kind} {ref} is Valid=False, the agents refuse it: {why}"
            found.append(Deviation("invalid", ref, sentence))
    for ref in live:
        if ref not in known:
            sentence = f"{ref.kind} {ref} is extra: the known-good set has none of that name."
            found.append(Deviation("extra", ref, sentence))
    return found


def difference(one: Raw, other: Raw, names: tuple[str, str] = ("known-good", "live")) -> str:
    """Return a unified difference of two policies.

    Args:
        one: raw, where it starts from.
        other: raw, where it leads.
        names: of the two.
    """
    before, after = (_yaml(comparable(policy)).splitlines() for policy in (one, other))
    return "\n".join(difflib.unified_diff(before, after, *names, lineterm=""))


def captured(policies: Iterable[Raw]) -> dict[str, str]:
    """Write policies down as a known-good set.

    Args:
        policies: raw, as read.

    Returns:
        Name of a file to its text, one policy each, sorted.

    Raises:
        PolicyError: one cannot be written down so that it reads back the same.
    """
    kept = [_clean(policy) for policy in policies]
    names = [str(one["metadata"]["name"]) for one in kept]
    found: dict[str, str] = {}
    for one, name in zip(kept, names, strict=True):
        kind = f".{str(one['kind']).lower()}" if names.count(name) > 1 else ""
        text = _yaml(one)
        back = parse(text.encode(), name)
        if [document.value for document in back] != [one]:
            raise PolicyError(f"{one['kind']} {name} does not read back as it was written down.")
        found[f"{name}{kind}.yaml"] = text
    return dict(sorted(found.items()))


def _clean(policy: Raw) -> dict[str, Any]:
    kept = content(policy)
    metadata: dict[str, Any] = {key: policy["metadata"][key] for key in ("name", "namespace")}
    if labels := kept.pop("labels", None):
        metadata["labels"] = labels
    annotations = {k: v for k, v in kept.pop("annotations", {}).items() if k != LAST_APPLIED}
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": policy["apiVersion"],
        "kind": policy["kind"],
        "metadata": metadata,
        **deepcopy(kept),
    }


def _invalid(policy: Raw) -> str:
    """Why the operator calls a policy invalid, "" when it does not."""
    for condition in (policy.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Valid" and condition.get("status") == "False":
            return _plain(condition.get("message")) or "it does not say why"
    return ""


def _plain(text: Any) -> str:
    """What somebody wrote into an object, on one line and without a terminal's commands."""
    words = " ".join(str(text or "").split())[:200]
    return "".join(sign for sign in words if sign.isprintable())


def _defaulted(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A NetworkPolicy's spec as a server stores it (Kubernetes API reference, NetworkPolicy v1)."""
    found: dict[str, Any] = _stored(spec)
    if not found.get("policyTypes"):
        found["policyTypes"] = ["Ingress", "Egress"] if found.get("egress") else ["Ingress"]
    for section in ("ingress", "egress"):
        for rule in found.get(section) or []:
            for port in rule.get("ports") or []:
                port.setdefault("protocol", "TCP")
    found.setdefault("podSelector", {})
    return found


def _stored(value: Any) -> Any:
    if isinstance(value, Mapping):
        parts = ((key, _stored(part)) for key, part in value.items())
        return {
            key: part
            for key, part in parts
            if part is not None and part != [] and not (key in _DROPPED and part == {})
        }
    return [_stored(part) for part in value] if isinstance(value, list) else value


def _yaml(value: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100))
