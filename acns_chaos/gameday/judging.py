"""From the journal of a mutant's run to its result: killed, survived, or unknown and why.

Belongs here: reading what detectors said, and what was there to be heard. Does not belong here:
whether the fault bit and all came back, which the run's outcome says (`acns_chaos.evidence`).

A mutant is killed or survives only in a run whose evidence is whole: its fault was seen in force by
its witnesses. Everything else is unknown. What a detector had no data for it did not notice; what
it could not tell leaves a mutant unknown unless another one noticed: it had been firing before, it
could not be asked, or somebody else than the run put the fault back, perhaps before its time was
over.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from acns_chaos.evidence.facts import EXTENSION, NETS, Facts
from acns_chaos.evidence.journal import judge
from acns_chaos.evidence.knocks import others_knocked
from acns_chaos.evidence.outcome import Judgement, Outcome
from acns_chaos.evidence.readings import COUNTED
from acns_chaos.evidence.values import mapping, mappings, moment, number, sequence, text, word
from acns_chaos.gameday.asked import MUTANT
from acns_chaos.gameday.document import NOTICED
from acns_chaos.gameday.plan_values import ALERT
from acns_chaos.gameday.results import (
    BOTH,
    CLOSES,
    KILLED,
    OPENS,
    SURVIVED,
    UNKNOWN,
    Detected,
    Place,
    Result,
    Signal,
)

__all__ = ["result_of"]

# Outcomes under which the fault is shown to have bitten, if its witnesses say so.
_WHOLE = (Outcome.HELD, Outcome.NOT_NOTICED, Outcome.DEVIATED, Outcome.NOT_RESTORED)
# Who may put a fault back while detectors are still waited for; the run itself asks them first.
_OTHERS = {**{name: f"the {name}" for name in NETS}, "person": "a person", "others": ""}


def result_of(
    journal: Mapping[str, Any],
    experiment: Mapping[str, Any],
    *,
    day: str,
    shard: str,
    position: int,
    place: Place,
    files: tuple[str, str],
) -> Result:
    """What became of a mutant.

    Args:
        journal: of the run, as the host wrote it. Nothing in it is vouched for.
        experiment: as it was written for the day; it says which mutant that is.
        day: the day's id.
        shard: "cluster uid/namespace".
        position: in the day's order.
        place: where it ran.
        files: the experiment's and the journal's, as seen from the day's folder.

    Returns:
        The result; its suggestion is left out.
    """
    facts, judgement = Facts(journal), judge(journal)
    mutant = _mutant(experiment)
    policy = mapping(mutant.get("policy"))
    effect = mutant.get("class")
    ours = bool(mutant) and mutant == _mutant(facts.experiment)
    bit, detectors = ours and _bit(facts), _detectors(facts)
    status, why = (
        _status(facts, judgement, bit, detectors)
        if ours
        else (UNKNOWN, "the journal is of another experiment")
    )
    first = min((one for one in detectors if one.noticed), key=_after, default=None)
    killed = status == KILLED and first is not None
    return Result(
        day=day,
        shard=shard,
        mutant=str(mutant.get("id") or ""),
        effect=effect if effect in (CLOSES, OPENS, BOTH) else BOTH,
        status=status,
        place=place,
        position=position,
        policy="/".join(filter(None, (word(policy.get("namespace")), word(policy.get("name"))))),
        kind=word(policy.get("kind")),
        operator=word(mutant.get("operator")),
        family=word(mutant.get("family")),
        where=word(mutant.get("place")),
        mistake=word(mutant.get("mistake")),
        experiment=files[0],
        journal=files[1],
        started=_iso(journal.get("start")),
        ended=_iso(journal.get("end")),
        seconds=number(journal.get("duration")),
        outcome=str(judgement.outcome),
        bit=bit if ours else None,
        restored=_restored(facts, ours),
        detectors=detectors,
        signals=_signals(facts),
        by=first.name if killed and first else "",
        first_ms=first.after_ms if killed and first else None,
        others=_others(facts, detectors) if killed and effect != OPENS else None,
        why=why,
    )


def _mutant(experiment: Mapping[str, Any]) -> Mapping[str, Any]:
    blocks = mappings(experiment.get("extensions"))
    ours = (mapping(one.get(MUTANT)) for one in blocks if one.get("name") == EXTENSION)
    return next((one for one in ours if one), {})


def _after(one: Detected) -> float:
    return one.after_ms or 0.0


def _bit(facts: Facts) -> bool:
    """Whether the fault was seen in force: by whoever injected it, and by each witness."""
    answers = [answer for name in facts.role("witnesses") for answer in facts.answers(name)]
    realised = bool(facts.faults) and all(fault.realised for fault in facts.faults)
    return realised and len(answers) > 1 and all(answer.met for answer in answers)


def _restored(facts: Facts, ours: bool) -> bool | None:
    """Whether nothing stands any more, as without a fault nothing ever did; None: nothing says."""
    if facts.debts:
        return False
    return True if ours and facts.section else None


def _status(
    facts: Facts,
    judgement: Judgement,
    bit: bool,
    detectors: tuple[Detected, ...],
) -> tuple[str, str]:
    """The status, and in one sentence why it is not KILLED."""
    noticed = any(one.noticed for one in detectors)
    unclear = [one for one in detectors if one.noticed is None]
    # The run itself is INCONCLUSIVE then, and says so at greater length.
    hangs = bit and unclear and not noticed
    if hangs and judgement.outcome in (*_WHOLE, Outcome.INCONCLUSIVE):
        return UNKNOWN, text(f"whether it was noticed cannot be told: {_whys(unclear)}")
    if judgement.outcome not in _WHOLE or not bit:
        return UNKNOWN, text(judgement.sentence)
    if _asked(facts) is None:
        return UNKNOWN, "its detectors were not asked"
    if noticed:
        return KILLED, ""
    return SURVIVED, text(_whys(detectors) or "no detector is there for it")


def _others(facts: Facts, detectors: Iterable[Detected]) -> bool | None:
    """Whether others than the run used the flow by the time the last alert noticed.

    Claims ask for themselves, so nothing is asked of a mutant that one of them noticed.
    """
    found = [one for one in detectors if one.noticed]
    submitted = moment(mapping(_asked(facts)).get("submitted"))
    if submitted is None or any(one.kind != ALERT for one in found):
        return None
    return others_knocked(facts, submitted + timedelta(milliseconds=max(map(_after, found))))


def _whys(detectors: Iterable[Detected]) -> str:
    return "; ".join(f"{one.name}: {one.why}" for one in detectors)


def _asked(facts: Facts) -> Mapping[str, Any] | None:
    """What the probe of the detectors answered; None when no probe of ours did."""
    for run in facts.runs:
        if run.name == NOTICED and run.probe == "read_detectors" and run.status == "succeeded":
            evidence = mapping(run.output).get("evidence")
            return evidence if isinstance(evidence, Mapping) else None
    return None


def _detectors(facts: Facts) -> tuple[Detected, ...]:
    """What each said; what was silent while somebody else put the fault back could not tell."""
    rows = mappings(mapping(_asked(facts)).get("detectors"))
    found = (_detected(one) for one in rows)
    by = next((one for one in facts.faults if one.restored_by in _OTHERS), None)
    if by is None:
        return tuple(found)
    who = _OTHERS[by.restored_by] or by.restorer or "somebody else"
    why = f"{who} put the fault back, perhaps before its time was over"
    return tuple(
        replace(one, noticed=None, why=why) if one.noticed is False else one for one in found
    )


def _detected(one: Mapping[str, Any]) -> Detected:
    noticed = one.get("noticed")
    return Detected(
        name=word(one.get("name")),
        kind=word(one.get("kind")),
        noticed=noticed if isinstance(noticed, bool) else None,
        after_ms=number(one.get("after_ms")),
        bound_ms=number(one.get("bound_ms")),
        deadline_ms=number(one.get("deadline_ms")),
        why=word(one.get("why")),
        judges=tuple(word(way) for way in sequence(one.get("for"))),
    )


def _signals(facts: Facts) -> tuple[Signal, ...]:
    """What rose while the fault stood, and somebody could have listened to: counters and flows."""
    found = []
    for run in facts.runs:
        if run.probe not in ("count_drops", "read_flows"):
            continue
        output = mapping(run.output)
        if output.get("reading") != COUNTED:
            continue
        count = number(output.get("count")) or 0.0
        name = _signal_name(run.activity, run.probe, word(facts.target.get("namespace")))
        found.append(Signal(name, count > 0, count))
    return tuple(found)


def _signal_name(activity: Mapping[str, Any], probe: str, home: str) -> str:
    """As `suggest` reads it: "hubble_drop_total pets/store-front ingress"."""
    given = mapping(mapping(activity.get("provider")).get("arguments"))
    way = word(given.get("direction"))
    if probe == "read_flows":
        verdict = word(given.get("verdict")) or "DROPPED"
        ends = (word(given.get(end)) or "anybody" for end in ("source", "destination"))
        return f"Hubble flows {verdict} {' to '.join(ends)}"
    if given.get("counter") == "node":
        return f"cilium_drop_count_total {way}"
    namespace = word(given.get("namespace")) or home
    return f"hubble_drop_total {namespace}/{word(given.get('workload'))} {way}"


def _iso(value: object) -> str:
    found = moment(value)
    return found.isoformat() if isinstance(found, datetime) else ""
