"""What of the live policies was changed, since when, by whom, and what puts it back.

Told by, in this order: the record of a run (believed only when the Lease names its hash), the mark
that a run leaves on what it breaks, the annotation in which `kubectl apply` keeps what it wrote
last, and the fields' managers, which say who and when but not what.
"""

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from acns_chaos.cluster.gitops import owner_of
from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.leases import Leases
from acns_chaos.cluster.policies import content
from acns_chaos.cluster.records import Record, Records
from acns_chaos.errors import AcnsChaosError
from acns_chaos.evidence.blame.differing import differences
from acns_chaos.evidence.values import mapping, mappings, moment, text
from acns_chaos.policy import ObjectRef
from acns_chaos.policy.world import World

__all__ = [
    "Change",
    "changes_of_objects",
    "changes_of_records",
    "last_write",
    "merged",
    "named",
    "restore_command",
    "undone",
]

_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_MARK = "acns-chaos/"
_RUN = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")
_SHORT = {
    "CiliumNetworkPolicy": "cnp",
    "CiliumClusterwideNetworkPolicy": "ccnp",
    "NetworkPolicy": "networkpolicy",
}


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """Something that happened to a policy.

    Attributes:
        ref: which.
        by: who, for people: "run 20261122T2122-ab of alice@host", "kubectl-edit".
        at: seconds since 1970; 0 not known.
        what: what is different now, for people; "" not known.
        before: the object as it was, raw; None when there was none.
        known: `before` is what it was; otherwise nobody kept it.
        run: of the run that did it on purpose, "" for none.
        until: when it puts it back by itself, "" not told.
        command: what a person types to put it back; "" when nobody knows to what.
    """

    ref: ObjectRef
    by: str
    at: float = 0.0
    what: str = ""
    before: Mapping[str, Any] | None = None
    known: bool = False
    run: str = ""
    until: str = ""
    command: str = ""

    @property
    def sentence(self) -> str:
        """Who changed what, and when."""
        at = f" at {datetime.fromtimestamp(self.at, UTC):%Y-%m-%d %H:%M:%S} UTC"
        what = f": {self.what}" if self.what else ""
        until = f"; it puts it back at {self.until}" if self.until else ""
        on_purpose = " on purpose" if self.run else ""
        when = at if self.at else ""
        return (
            f"{self.ref.kind} {self.ref} was changed{on_purpose} by {self.by}{when}{what}{until}."
        )

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "policy": str(self.ref),
            "kind": self.ref.kind,
            "by": self.by,
            "at": self.at or None,
            "what": self.what,
            "run": self.run,
            "until": self.until,
            "command": self.command,
        }


def undone(world: World, change: Change) -> World:
    """The same world as if a change had not been made; `known` ones only."""
    others = [one for one in world.policies if ObjectRef.of(one) != change.ref]
    return world.with_policies([*others, *([change.before] if change.before else [])])


def merged(several: Iterable[Change]) -> list[Change]:
    """One change for each object: the first that is told of it, newest first where known."""
    found: dict[ObjectRef, Change] = {}
    for one in several:
        there = found.get(one.ref)
        if there is None:
            found[one.ref] = one
        elif not there.at and one.at:
            found[one.ref] = replace(there, at=one.at)
    return sorted(found.values(), key=lambda one: (not one.run, not one.known, -one.at))


def changes_of_records(
    api: Api, namespaces: Iterable[str], live: Mapping[ObjectRef, Mapping[str, Any]]
) -> tuple[list[Change], list[str]]:
    """What runs of ours changed and have not put back, from their records.

    Args:
        api: the cluster.
        namespaces: where records may lie.
        live: the policies.

    Returns:
        The changes, and a note for each place or record that could not be looked at.
    """
    found: list[Change] = []
    notes: list[str] = []
    for namespace in dict.fromkeys(namespaces):
        try:
            records = Records(api, namespace)
            names = records.names()
            held = Leases(api, namespace).read() if names else None
        except AcnsChaosError as error:
            notes.append(f"Records of runs in namespace {namespace} cannot be read: {error}.")
            continue
        for name in names:
            try:
                record, sha256 = records.read(name)
            except AcnsChaosError as error:
                notes.append(f"Record {name} cannot be read: {error}")
                continue
            if held is None or held.records.get(name) != sha256:
                notes.append(f"Record {name} is not the one that its Lease names: not believed.")
                continue
            found.append(_of_record(record, live))
    return found, notes


def _of_record(record: Record, live: Mapping[ObjectRef, Mapping[str, Any]]) -> Change:
    ref = ObjectRef(record.ref.kind, record.ref.namespace, record.ref.name)
    now = live.get(ref)
    return Change(
        ref,
        f"run {record.run} of {text(record.owner, 80)} ({text(record.operator, 80)})",
        last_write(now)[1] if now is not None else 0.0,
        differences(record.before and content(record.before), now and content(now)),
        record.before,
        known=True,
        run=record.run,
        until=text(record.deadline, 40),
        command=restore_command(record.run, record.home),
    )


def changes_of_objects(policies: Iterable[Mapping[str, Any]], home: str) -> Iterator[Change]:
    """What live policies tell of themselves: marks of runs, and writes after the last apply.

    Args:
        policies: raw.
        home: the experiment's namespace, for the command that restores a clusterwide one.
    """
    for policy in policies:
        ref = ObjectRef.of(policy)
        annotations = mapping(mapping(policy.get("metadata")).get("annotations"))
        who, at = last_write(policy)
        before = _last_applied(policy, annotations)
        what = "" if before is None else differences(_rules(before), _rules(policy))
        run = text(annotations.get(f"{_MARK}run"), 80)
        if run:
            owner = text(annotations.get(f"{_MARK}owner"), 80) or "somebody"
            yield Change(
                ref, f"run {run} of {owner}", at, what, before, bool(what), run,
                text(annotations.get(f"{_MARK}deadline"), 40),
                restore_command(run, ref.namespace or home),
            )  # fmt: skip
        elif before is not None and what:
            yield Change(ref, who, at, what, before, known=True, command=_put_back(policy, ref))


def last_write(policy: Mapping[str, Any]) -> tuple[str, float]:
    """Who wrote an object's rules last and when, as its managedFields tell; status is no edit.

    Returns:
        The field manager ("somebody" when the object does not say) and seconds since 1970, 0.
    """
    metadata = mapping(policy.get("metadata"))
    edits = [
        one for one in mappings(metadata.get("managedFields")) if one.get("subresource") != "status"
    ]
    # Whoever touched a label or an annotation since changed no rule.
    rules = [one for one in edits if {"f:spec", "f:specs"} & mapping(one.get("fieldsV1")).keys()]
    last = max(rules or edits, key=lambda one: str(one.get("time") or ""), default={})
    at = moment(last.get("time"))
    return text(last.get("manager"), 80) or "somebody", at.timestamp() if at else 0.0


def restore_command(run: str, namespace: str) -> str:
    """What a person types to end a run's faults at once; "" for what cannot be a run's id.

    Whoever may write a policy may write its marks, and what stands here is pasted into a shell.
    """
    if not _RUN.fullmatch(run):
        return ""
    return f"acns-chaos restore --run {run} -n {shlex.quote(namespace)}"


def _last_applied(
    policy: Mapping[str, Any], annotations: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """The object as `kubectl apply` wrote it last; None when it did not, or it is not readable."""
    try:
        applied = mapping(json.loads(annotations[_APPLIED]))
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    rules = _rules(applied)
    if not rules:
        return None
    return {**{k: v for k, v in policy.items() if k not in ("spec", "specs")}, **rules}


def _rules(policy: Mapping[str, Any]) -> dict[str, Any]:
    return {key: policy[key] for key in ("spec", "specs") if key in policy}


def _put_back(policy: Mapping[str, Any], ref: ObjectRef) -> str:
    """The command for what was last applied. `kubectl apply` would merge it into what is there."""
    owner = owner_of(policy)
    if owner.startswith("Flux"):
        return f"flux reconcile kustomization NAME  # {text(owner, 100)}"
    if owner:
        return f"argocd app sync NAME  # {text(owner, 100)}"
    return (
        f"kubectl apply view-last-applied {named(ref)} -o json | kubectl replace --save-config -f -"
    )


def named(ref: ObjectRef) -> str:
    """How kubectl is told of an object, safe to paste whatever a file calls it."""
    where = f" -n {shlex.quote(ref.namespace)}" if ref.namespace else ""
    return f"{_SHORT[ref.kind]} {shlex.quote(ref.name)}{where}"
