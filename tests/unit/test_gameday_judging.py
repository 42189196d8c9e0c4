"""From a journal to a mutant's result: killed, survived, unknown, and why."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from acns_chaos.gameday.document import MUTANT, NOTICED
from acns_chaos.gameday.judging import result_of
from acns_chaos.gameday.results import Place, Result, parse
from tests.unit.evidence_journals import (
    ALERT,
    CLIENT,
    DROPS,
    UNKNOWN,
    held,
    reading,
    roles,
    run_of,
    signed,
    unmet,
)

PLACE = Place("lab", "LAB (simulated)", "lab", "u1", "pets")
DESCRIBED = {
    "id": "pets/allow-store-front-traffic:rule-emptied@spec.ingress[0]",
    "operator": "rule-emptied",
    "family": "rules",
    "mistake": "A rule is emptied.",
    "class": "closes",
    "policy": {
        "kind": "CiliumNetworkPolicy",
        "namespace": "pets",
        "name": "allow-store-front-traffic",
    },
    "place": "spec.ingress[0]",
}


def word(name: str, noticed: bool | None, after: float | None = None) -> dict[str, Any]:
    """What a detector said."""
    told = {"name": name, "kind": "alert", "for": ["availability"], "noticed": noticed}
    why = "" if noticed else "because"
    return told | {"after_ms": after, "bound_ms": 1, "deadline_ms": 3300, "why": why}


def journal(*words: dict[str, Any]) -> dict[str, Any]:
    """The journal of a mutant, not signed yet."""
    found = held()
    block = roles(found)
    block |= {"detectors": [NOTICED], MUTANT: DESCRIBED}
    for one in (*found["experiment"]["method"], *(run["activity"] for run in found["run"])):
        if one["name"] == ALERT:
            one["name"] = NOTICED
            one["provider"]["func"] = "read_detectors"
        if one["name"] == DROPS:
            one["provider"]["arguments"] = {"workload": "store-front", "direction": "ingress"}
    if any(one["noticed"] for one in words):
        told = reading("FIRING", True, "FIRING", "somebody noticed")
    elif any(one["noticed"] is None for one in words):
        told = reading("UNKNOWN", None, "FIRING", "nobody is known to have noticed")
    else:
        told = reading("SILENT", False, "FIRING", "nobody noticed")
    told["evidence"] = {"detectors": list(words)}
    run_of(found, NOTICED)["output"] = told
    return found


def judged(found: dict[str, Any], experiment: dict[str, Any] | None = None) -> Result:
    """Judge it as the day does, and read it back from its line."""
    return parse(
        result_of(
            signed(found),
            found["experiment"] if experiment is None else experiment,
            day="d1",
            shard="u1/pets",
            position=7,
            place=PLACE,
            files=("experiments/007-x.json", "journals/007-x.json"),
        ).line()
    )


def test_a_mutant_that_somebody_noticed_is_killed_by_the_first() -> None:
    """With all that the line says of it."""
    told = judged(journal(word("A", True, 1900), word("B", True, 800), word("C", False)))
    assert (told.status, told.by, told.first_ms, told.why) == ("killed", "B", 800, "")
    assert (told.outcome, told.bit, told.restored) == ("HELD", True, True)
    assert (told.mutant, told.effect, told.policy, told.where) == (
        DESCRIBED["id"],
        "closes",
        "pets/allow-store-front-traffic",
        "spec.ingress[0]",
    )
    assert (told.operator, told.family, told.kind) == (
        "rule-emptied",
        "rules",
        "CiliumNetworkPolicy",
    )
    assert (told.experiment, told.journal) == ("experiments/007-x.json", "journals/007-x.json")
    assert (told.position, told.seconds, told.place) == (7, 8.0, PLACE)
    assert [(one.name, one.noticed, one.judges) for one in told.detectors] == [
        ("A", True, ("availability",)),
        ("B", True, ("availability",)),
        ("C", False, ("availability",)),
    ]


def test_a_mutant_that_nobody_noticed_survived_and_says_what_rose() -> None:
    """The counter was there, and nothing was listening."""
    told = judged(journal(word("A", False)))
    assert (told.status, told.by, told.first_ms) == ("survived", "", None)
    assert (told.outcome, told.why) == ("NOT_NOTICED", "A: because")
    (signal,) = told.signals
    assert signal.name == "hubble_drop_total pets/store-front ingress"
    assert (signal.rose, (signal.by or 0) > 0) == (True, True)


def test_a_direction_without_a_detector_is_survived() -> None:
    """Nobody is there for it."""
    told = judged(journal())
    assert (told.status, told.why) == ("survived", "no detector is there for it")


def test_one_that_cannot_tell_leaves_it_unknown_unless_another_noticed() -> None:
    """It may have been the one that would have."""
    told = judged(journal(word("A", None), word("B", False)))
    assert (told.status, told.why) == (
        "unknown",
        "whether it was noticed cannot be told: A: because",
    )
    assert judged(journal(word("A", None), word("B", True, 5))).status == "killed"


@pytest.mark.parametrize(
    ("by", "who"),
    [
        ("watchdog", "the watchdog"),
        ("janitor", "the janitor"),
        ("person", "a person"),
        ("others", "kustomize-controller"),
    ],
)
def test_a_fault_that_somebody_else_put_back_did_not_survive(by: str, who: str) -> None:
    """What was silent may not have had its time; what noticed did notice."""
    found = journal(word("A", False), word("B", True, 5))
    found["acns_chaos"]["faults"][0]["restored"] |= {"by": by, "who": "kustomize-controller"}
    told = judged(found)
    assert [one.noticed for one in told.detectors] == [None, True]

    found = journal(word("A", False))
    found["acns_chaos"]["faults"][0]["restored"] |= {"by": by, "who": "kustomize-controller"}
    told = judged(found)
    assert (told.status, told.bit, told.restored) == ("unknown", True, True)
    assert told.why == (
        f"whether it was noticed cannot be told: A: {who} put the fault back, perhaps before its "
        "time was over"
    )


def test_a_journal_without_our_section_does_not_say_that_all_is_back() -> None:
    """It names no faults: nobody knows what stands. A section without one says that none did."""
    found = journal(word("A", True, 5))
    bare = signed(journal(word("A", True, 5)))
    del bare["acns_chaos"]
    files = {"day": "d1", "shard": "u1/pets", "position": 1, "place": PLACE, "files": ("a", "b")}
    told = result_of(bare, found["experiment"], **files)
    assert (told.status, told.restored) == ("unknown", None)
    assert parse(told.line()).restored is None
    found["acns_chaos"]["faults"] = []
    assert judged(found).restored is True


def test_a_fault_that_did_not_bite_is_unknown_whoever_noticed() -> None:
    """A witness that saw nothing, or could not tell."""
    found = journal(word("A", True, 5))
    run_of(found, CLIENT)["output"] = {**UNKNOWN, "expected": "DENIED"}
    told = judged(found)
    assert (told.status, told.bit, told.by, told.first_ms) == ("unknown", False, "", None)
    assert "could not tell" in told.why

    found = journal(word("A", True, 5))
    found["acns_chaos"]["faults"][0]["realised"] = None
    told = judged(found)
    assert (told.status, told.bit, told.outcome) == ("unknown", False, "NOT_INJECTED")


def test_a_run_that_did_not_begin_or_was_cut_short_is_unknown() -> None:
    """And says why."""
    found = journal(word("A", True, 5))
    found["steady_states"]["before"] = unmet(reading("DENIED", False, "OPEN", "met silence"))
    assert (judged(found).status, judged(found).outcome) == ("unknown", "NOT_STARTED")
    found = journal(word("A", True, 5))
    found["acns_chaos"]["host"]["status"] = "interrupted"
    assert "interrupted" in judged(found).why


def test_a_fault_that_still_stands_is_told_as_such() -> None:
    """What was noticed was noticed; that it stands is what stops the day."""
    found = journal(word("A", True, 5))
    found["acns_chaos"]["faults"][0]["restored"] = None
    told = judged(found)
    assert (told.status, told.outcome, told.restored) == ("killed", "NOT_RESTORED", False)


def test_a_hypothesis_that_fails_afterwards_does_not_undo_what_was_noticed() -> None:
    """The fault bit, and somebody saw it."""
    found = journal(word("A", False))
    found["steady_states"]["after"] = unmet(reading("DENIED", False, "OPEN", "met silence"))
    told = judged(found)
    assert (told.status, told.outcome) == ("survived", "DEVIATED")


def test_a_journal_that_is_not_as_its_run_wrote_it_proves_nothing() -> None:
    """A detector's word that was changed afterwards breaks the seal."""
    found = signed(journal(word("A", False)))
    run_of(found, NOTICED)["output"]["evidence"]["detectors"][0]["noticed"] = True
    told = result_of(
        *(found, found["experiment"]),
        day="d1",
        shard="u1/pets",
        position=1,
        place=PLACE,
        files=("a", "b"),
    )
    assert told.status == "unknown"


@pytest.mark.parametrize("spoilt", ["other", "none"])
def test_a_journal_of_another_experiment_is_no_evidence(spoilt: str) -> None:
    """Files may have been mixed up."""
    found = journal(word("A", True, 5))
    block = {} if spoilt == "none" else {**DESCRIBED, "id": "pets/x:y@z"}
    other = {"extensions": [{"name": "acns-chaos", MUTANT: block}]}
    told = result_of(
        *(signed(found), other),
        day="d1",
        shard="u1/pets",
        position=1,
        place=PLACE,
        files=("a", "b"),
    )
    assert (told.status, told.why) == ("unknown", "the journal is of another experiment")
    # Whether this one's fault bit, and is back, such a journal does not say.
    assert (told.bit, told.restored) == (None, None)


def test_words_of_another_probe_are_no_detectors() -> None:
    """Only what asked them all at once says what they said."""
    found = journal(word("A", True, 5))
    run_of(found, NOTICED)["activity"]["provider"]["func"] = "read_alert"
    told = judged(found)
    assert (told.detectors, told.status, told.why) == (
        (),
        "unknown",
        "its detectors were not asked",
    )


@pytest.mark.parametrize(
    ("dropped", "kinds", "others"),
    [
        ((0.1,), ("alert",), False),
        ((0.1, 0.2), ("alert",), True),
        ((), ("alert",), None),
        ((0.1,), ("alert", "claim"), None),
    ],
)
def test_a_kill_by_alerts_says_whether_others_used_the_flow(
    dropped: tuple[float, ...], kinds: tuple[str, ...], others: bool | None
) -> None:
    """One connection is the run's own; a claim asks for itself, whoever else does."""
    began = datetime(2026, 11, 22, 9, 0, 10, tzinfo=UTC)
    found = journal(*({**word(kind, True, 800), "kind": kind} for kind in kinds))
    run_of(found, NOTICED)["output"]["evidence"]["submitted"] = began.isoformat()
    flows = run_of(found, DROPS)
    flows["activity"]["provider"]["func"] = "read_flows"
    flows["output"]["evidence"] |= {
        "query": {"verdict": "DROPPED"},
        "connections": [(began + timedelta(seconds=one)).isoformat() for one in dropped],
        "hubble": {"complete": True},
    }
    told = judged(found)
    assert (told.status, told.others) == ("killed", others)


def test_whether_others_used_the_flow_matters_to_kills_only() -> None:
    """Nothing is said of what nobody noticed."""
    assert judged(journal(word("A", False))).others is None
