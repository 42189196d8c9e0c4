"""Which rules make a fault's flows turn: from the journal, else from its two documents.

The journal's `turned` is what the engine found among everything that was live. Without it (an older
journal) the engine is asked again with the two documents alone and endpoints made from the flow's
names; that counts only when it turns the flow as the prediction says.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from acns_chaos.evidence.facts import reference
from acns_chaos.evidence.values import mapping, mappings, sequence, text, word

__all__ = ["Found", "Guilt", "guilt_of"]

RECORDED = ""
COMPUTED = (
    "This is computed from the two documents alone, with endpoints made from the flows' names: the "
    "journal does not hold what was found when the fault was predicted."
)
_FLOW = re.compile(r"(?P<source>\S+) -> (?P<destination>\S+):(?P<port>\d{1,5})/(?P<protocol>\w+)")
TRIED = 5
ENTITIES = frozenset({"world", "host", "remote-node", "kube-apiserver", "health", "ingress"})


@dataclass(frozen=True, slots=True)
class Guilt:
    """Of one flow, the rules of one object that decide about it.

    Attributes:
        flow, way, side, reason: as in `policy.turned.Turn`.
        before, after: paths in this object, "spec.ingress[0]".
        others: rules of other objects that decided before or do now, for people.
    """

    flow: str
    way: str
    side: str
    reason: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def rules(self) -> tuple[str, ...]:
        """The paths on either side."""
        return (*self.before, *self.after)

    def sentence(self, more: int, change: str) -> str:
        """Say what the rules did to the flow.

        Args:
            more: how many flows turn for the same reason.
            change: of the object: "modify", "delete" or "create".
        """
        flow = f"{self.flow} (and at least {more} more)" if more else self.flow
        if self.way == "closed":
            return self._closed(flow, change)
        if self.after:
            return f"{_listed(self.after)} allows {flow}, which was denied at {self.side}."
        if self.before and self.reason == "POLICY_DENY":
            return f"{_listed(self.before)} denied {flow}, and does so no more."
        why = "with the policy gone" if change == "delete" else "as no policy selects it any more"
        if change == "modify":
            why = f"as the policy restricts its {self.side} no more"
        return f"{flow} was denied at {self.side} and passes now, {why}."

    def _closed(self, flow: str, change: str) -> str:
        if self.reason == "POLICY_DENY" and self.after:
            return f"{_listed(self.after)} denies {flow}."
        was = f"{_listed(self.before)} allowed {flow}" if self.before else f"{flow} was allowed"
        gone = ", and is gone with the policy" if self.before and change == "delete" else ""
        return f"{was}{gone}; now no rule allows it at {self.side} ({self.reason or 'denied'})."


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of the guilt.

    Attributes:
        guilts: of some flows, most telling first; none when nothing is known.
        known_by: how, as a sentence; "" for what the journal holds.
    """

    guilts: tuple[Guilt, ...]
    known_by: str


def guilt_of(fault: Mapping[str, Any]) -> Found:
    """Return which rules of a fault's object decide; never raises."""
    given = mapping(fault)
    name = reference(given.get("policy"))
    kind = word(mapping(given.get("policy")).get("kind"))
    recorded = [_guilt(one, name, kind) for one in mappings(given.get("turned"))[: 2 * TRIED]]
    usable = tuple(one for one in recorded if one.flow and one.side in ("ingress", "egress"))
    if usable:
        return Found(usable, RECORDED)
    try:
        computed = _computed(given)
    except Exception:  # noqa: BLE001 - a journal may hold anything where a policy should be
        computed = ()
    return Found(computed, COMPUTED if computed else "")


def _guilt(turn: Mapping[str, Any], name: str, kind: str) -> Guilt:
    sides = []
    others = []
    for key in ("before", "after"):
        rules = mappings(turn.get(key))
        own = [one for one in rules if _is_own(one, name, kind)]
        sides.append(tuple(text(one.get("rule"), 80) for one in own))
        others += [
            f"{text(one.get('rule'), 80)} of {text(one.get('policy'), 120)}"
            for one in rules
            if one not in own
        ]
    way = "opened" if turn.get("way") == "opened" else "closed"
    return Guilt(
        text(turn.get("flow"), 160),
        way,
        word(turn.get("side")),
        text(turn.get("reason"), 40),
        sides[0],
        sides[1],
        tuple(others),
    )


def _is_own(rule: Mapping[str, Any], name: str, kind: str) -> bool:
    return word(rule.get("policy")) == name and word(rule.get("kind")) in (kind, "")


def _computed(fault: Mapping[str, Any]) -> tuple[Guilt, ...]:
    from acns_chaos.policy.turned import turn_of
    from acns_chaos.policy.verdict import Engine

    predicted = mapping(fault.get("predicted"))
    flows = [
        (way, text(flow, 400))
        for way in ("closed", "opened")
        for flow in sequence(predicted.get(way))[:TRIED]
    ]
    if not flows:
        return ()
    documents = [mapping(fault.get(key)) for key in ("before", "fault")]
    ends = [one for _, flow in flows if (one := _flow(flow)) is not None]
    known = {end.name: end for flow in ends for end in (flow.source, flow.destination)}
    engines = [
        Engine([one] if one else [], endpoints=[e for e in known.values() if e.kind == "pod"])
        for one in documents
    ]
    name = reference(fault.get("policy"))
    kind = word(mapping(fault.get("policy")).get("kind"))
    found = []
    for way, flow in flows:
        asked = _flow(flow)
        turn = turn_of(engines[0], engines[1], asked) if asked is not None else None
        if turn is not None and turn.way == way:
            found.append(_guilt({**turn.as_json(), "flow": flow}, name, kind))
    return tuple(found)


def _flow(flow: str) -> Any:
    """Make a flow of its text, with workloads known by their label app; None when it is none."""
    from acns_chaos.policy.model import Flow

    found = _FLOW.fullmatch(flow)
    if found is None:
        return None
    source, destination = _end(found["source"]), _end(found["destination"])
    if source is None or destination is None:
        return None
    return Flow(source, destination, int(found["port"]), found["protocol"].upper())


def _end(name: str) -> Any:
    from acns_chaos.policy.endpoints import Endpoint
    from acns_chaos.policy.owners import APP_LABELS

    if name in ENTITIES:
        return Endpoint.entity(name)
    namespace, _, workload = name.partition("/")
    if not workload:
        return None  # a name or an address outside: what it matched is not told by its text
    return Endpoint.pod(namespace, dict.fromkeys(APP_LABELS, workload), name=workload)


def _listed(paths: Sequence[str]) -> str:
    return " and ".join(dict.fromkeys(paths))
