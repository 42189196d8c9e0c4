"""What would have noticed a mutant that survived: an alert rule, or a claim to run on a schedule.

Belongs here: deriving one from what a run left: the signal that rose, the flow that was asked. Does
not belong here: trying it (`verify`), and asking anybody.

A fault that closes flows makes a counter rise, so a rule over that counter would have noticed;
unless claims knock there all day, which makes it rise as well: then a claim that the flow passes
does. A fault that opens some makes none rise: only a claim that the flow is denied finds it. Where
no workload can ask what a mistake opens, what the same mistake closes is all there is to hear.
Names come from files that anybody may have written, so each is checked before it stands in a query
or a file.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from acns_chaos.cluster.prometheus import Counter, drops_at_node, drops_of_workload
from acns_chaos.cluster.prometheus.counters import selector
from acns_chaos.evidence.values import number, sequence, text, word
from acns_chaos.faults.proposing.asks import CLOSED, OPEN, Ask
from acns_chaos.faults.proposing.documents import claim_document, claim_name
from acns_chaos.gameday.asked import KUBE_NAME, asked, description, written
from acns_chaos.gameday.plan_values import ALERT, AVAILABILITY, CLAIM, SECURITY
from acns_chaos.gameday.results import BOTH, Result, Signal
from acns_chaos.gameday.score import Judges, missed_in

__all__ = [
    "GROUP",
    "SCRAPE",
    "Suggestion",
    "rules_text",
    "suggest",
    "unheard",
    "window",
]

GROUP = "acns-chaos suggested"
# Seconds between two scrapes, as Azure's managed Prometheus has it (workshop-facts §3.2).
SCRAPE = 30.0
# So many scrapes a rule looks back: a rise must be seen by one, though one was missed.
_SCRAPES = 4

# "hubble_drop_total pets/store-front ingress", "cilium_drop_count_total egress".
_SIGNAL = re.compile(
    rf"(?P<metric>hubble_drop_total|cilium_drop_count_total)"
    rf"(?: (?P<namespace>{KUBE_NAME})/(?P<workload>{KUBE_NAME}))?(?: (?P<way>ingress|egress))?"
)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A detector that would have noticed.

    Attributes:
        kind: ALERT or CLAIM.
        direction: AVAILABILITY or SECURITY: what it is for.
        name: of the alert, or of the claim's file without its ending.
        document: the rule, or the claim.
        why: one sentence.
    """

    kind: str
    direction: str
    name: str
    document: Mapping[str, Any]
    why: str

    @property
    def text(self) -> str:
        """The file: rules for Prometheus as YAML, a claim for Chaos Toolkit as JSON."""
        if self.kind == ALERT:
            return rules_text([self])
        return json.dumps(self.document, indent=2) + "\n"

    def as_json(self) -> dict[str, Any]:
        """Plain JSON: what stands in `score.json`, and in a line's `suggestion`."""
        return {
            "kind": self.kind,
            "for": self.direction,
            "name": self.name,
            "why": self.why,
            "text": self.text,
        }


def suggest(
    result: Result,
    experiment: Mapping[str, Any] | None = None,
    judges: Judges | None = None,
    scrape: float = SCRAPE,
) -> tuple[Suggestion, ...]:
    """Suggest a detector for each direction in which nobody noticed a mutant.

    Args:
        result: of the mutant.
        experiment: its file, whose probes say which flows were asked; None where it is lost.
        judges: as for `score`.
        scrape: seconds between two scrapes of the Prometheus that the rule is for.

    Returns:
        None for what was noticed, or where neither a signal nor a flow is known. A detector of the
        other direction stands in where a mistake does both and no workload can ask what it does in
        this one; its `why` says so.
    """
    document = experiment or {}
    closed, opened = asked(document)
    told = description(document)
    opened += [ask for ask in written(told) if ask not in opened]
    knocked = {word(one) for one in sequence(told.get("knocked"))}
    shut = _rule(result, scrape, knocked) or _claim(result, closed, OPEN, AVAILABILITY)
    let_in = _claim(result, opened, CLOSED, SECURITY)
    found: list[Suggestion] = []
    for direction in missed_in(result, judges):
        own, other = (shut, let_in) if direction == AVAILABILITY else (let_in, shut)
        if own is None and other is not None and result.effect == BOTH:
            done = "opens" if direction == AVAILABILITY else "closes"
            why = (
                f"{unheard(document, direction)} What the same mistake {done} tells of it all the "
                f"same: have this {other.kind} judge {direction}, too."
            )
            own = replace(other, direction=direction, why=why)
        if own is not None:
            found.append(own)
    return tuple(found)


def unheard(experiment: Mapping[str, Any] | None, direction: str) -> str:
    """Why nothing can be asked of what a mutant does in a direction, and what to watch, for people.

    Args:
        experiment: its file; None where it is lost.
        direction: AVAILABILITY or SECURITY.
    """
    told = description(experiment or {})
    flows = [text(one, 200) for one in sequence(told.get("opened")) if isinstance(one, str)]
    if direction == AVAILABILITY or not flows:
        done = "closes" if direction == AVAILABILITY else "opens"
        return f"No workload can be asked what it {done}, or its experiment is lost."
    more = number(told.get("more")) or 0
    rest = f" and {more:.0f} more" if more else ""
    return (
        f"It opens {', '.join(flows)}{rest}, which no workload with a client can ask: no claim can "
        "be about it, and no drop shows it; watch Hubble for such flows with the verdict FORWARDED."
    )


def window(scrape: float) -> str:
    """How far back a rule looks, as PromQL: a few scrapes, "5s" or "2m".

    Args:
        scrape: seconds between two.
    """
    seconds = max(5, round(_SCRAPES * scrape))
    return f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"


def rules_text(suggestions: Iterable[Suggestion], more: Sequence[Mapping[str, Any]] = ()) -> str:
    """A file of rules for Prometheus.

    Args:
        suggestions: those that are rules are taken, each once.
        more: groups that go first, as a file holds them.
    """
    rules: list[Mapping[str, Any]] = []
    for one in suggestions:
        if one.kind == ALERT and one.document not in rules:
            rules.append(one.document)
    groups = [*more, {"name": GROUP, "rules": [dict(one) for one in rules]}]
    return yaml.safe_dump({"groups": groups}, sort_keys=False, width=1_000_000, allow_unicode=False)


# ---------------------------------------------------------------------- rules


def _rule(result: Result, scrape: float, knocked: Iterable[str] = ()) -> Suggestion | None:
    """A rule over the narrowest counter that rose; None where none did that a query can name.

    Args:
        result: of the mutant.
        scrape: seconds between two scrapes.
        knocked: counters that claims make rise all day: "pets/order-service ingress".
    """
    rose = [one for one in result.signals if one.rose]
    told = [
        (one, found)
        for one in rose
        if (found := _SIGNAL.fullmatch(one.name)) and not _is_knocked(found, knocked)
    ]
    if not told:
        return None
    # A workload's own counter before a node's, on which others' drops count as well.
    signal, found = min(told, key=lambda pair: not pair[1]["workload"])
    counter, where = _counter(found)
    way = found["way"] or ""
    name = _alert_name(found)
    labels = {"severity": "warning"}
    if found["workload"]:
        labels |= {"namespace": found["namespace"], "workload": found["workload"]}
    back = window(scrape)
    document = {
        "alert": name,
        "expr": _expression(counter, way, back),
        "labels": labels,
        "annotations": {
            "summary": f"A network policy drops {way or 'some'} traffic {where}.",
            "description": (
                f"{counter.metric} rose within {back}. Proposed by acns-chaos after a mistake that "
                "nobody noticed. Where some drops are usual, compare with more than 0."
            ),
        },
    }
    why = f"{signal.name} rose{_by(signal)} and nothing was listening: this rule would."
    return Suggestion(ALERT, AVAILABILITY, name, document, why)


def _is_knocked(found: re.Match[str], knocked: Iterable[str]) -> bool:
    """Whether claims make a counter rise all day: the rule over it would always fire."""
    if not found["workload"]:
        return any(one.endswith(found["way"] or "") for one in knocked)
    return f"{found['namespace']}/{found['workload']} {found['way'] or 'ingress'}" in set(knocked)


def _counter(found: re.Match[str]) -> tuple[Counter, str]:
    way = found["way"] or "ingress"
    if found["metric"] == "cilium_drop_count_total" or not found["workload"]:
        return drops_at_node(found["way"] or ""), "on a node"
    namespace, workload = found["namespace"], found["workload"]
    return drops_of_workload(namespace, workload, way), f"of {namespace}/{workload}"


def _expression(counter: Counter, way: str, back: str) -> str:
    """PromQL: the counter rose within *back*.

    Raw sums against those of then, as `increase()` is 0 for the first drop of a new series: a
    series that was not there counts from 0, where its target was scraped then (`up`). Besides, the
    increase: it knows counters that began again with their agent, which the difference does not.
    """
    more = []
    if counter.metric == "cilium_drop_count_total" and way:
        # Azure Monitor's casing cannot be predicted.
        letters = "".join(f"[{one.upper()}{one}]" for one in way)
        more = [f'direction=~"{letters}"']
    drops = selector(counter.query, "", *more)
    by = "sum by (cluster, instance, job)"
    then = f"({by} ({drops} offset {back}) or {by} (up offset {back} == 1) * 0)"
    return f"({by} ({drops}) - {then} > 0) or ({by} (increase({drops}[{back}])) > 0)"


def _alert_name(found: re.Match[str]) -> str:
    """Such as "PolicyDrops_Pets_StoreFront_Ingress"; the parts stay apart, as names may share."""
    parts = (found["namespace"], found["workload"] or "node", found["way"])
    words = ("".join(map(str.capitalize, re.split(r"[-.]", part))) for part in parts if part)
    return "_".join(("PolicyDrops", *words))


def _by(signal: Signal) -> str:
    return "" if signal.by is None else f" by {signal.by:g}"


# ---------------------------------------------------------------------- claims


def _claim(result: Result, asks: Sequence[Ask], state: str, direction: str) -> Suggestion | None:
    if not asks:
        return None
    ask = asks[0]
    document = claim_document(ask, state, in_use=False)
    done = "closed" if state == OPEN else "opened"
    document["description"] = (
        f"Proposed by `acns-chaos gameday`: nobody noticed the mistake {text(result.mutant)}, "
        f"which {done} this. Keep it if it is meant to be, and run it on a schedule."
    )
    name = _slug(claim_name(ask, state))
    why = f"The fault {done} {ask}, and nobody asked: this claim, run on a schedule, does."
    if state == OPEN and any(one.rose for one in result.signals):
        why = (
            f"The fault {done} {ask}. Its drops are no alert's, as claims that are denied make the "
            "same counter rise all day: this claim, run on a schedule, notices."
        )
    if state == CLOSED:
        why = f"The fault opened {ask}, which no drop shows: this claim, run on a schedule, does."
    return Suggestion(CLAIM, direction, name, document, why)


def _slug(sentence: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", sentence.lower()).strip("-")[:100]
