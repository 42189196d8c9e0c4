"""From a journal to its story: answers a reviewer can rely on, times, and nothing that raises."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.report.build import story
from acns_chaos.report.model import Answers, Span, Story
from tests.tiers import examples
from tests.unit.evidence_journals import (
    ALERT,
    CLOSED,
    UNKNOWN,
    at,
    claim,
    held,
    roles,
    signed,
    unmet,
)


def told(change: Any = None, journal: dict[str, Any] | None = None) -> Story:
    """Return the story of a journal that was changed before it was signed."""
    journal = held() if journal is None else journal
    if change:
        change(journal)
    return story(signed(journal))


def timeline(journal: dict[str, Any], **more: Any) -> None:
    """Give a journal a timeline whose client saw an outage."""
    fault = {
        "fault": "f1",
        "policies": ["pets/allow-store-front-traffic"],
        "moments": [
            {"what": "submitted", "at": at(1.0), "bound_ms": 1.0, "source": "runner"},
            {"what": "witness", "at": at(2.5), "bound_ms": 10.0, "source": "a client"},
        ],
        "time_to_detect": {
            "client": {"ms": 20.0, "bound_ms": 21.0},
            ALERT: {"ms": 2500.0, "bound_ms": 100.0},
        },
        "outage": {"ms": 5000.0, "bound_ms": 40.0},
        "time_to_recover": {"ms": 30.0, "bound_ms": 20.0},
        **more,
    }
    journal["acns_chaos"]["timeline"] = {"schema": 1, "faults": [fault], "sources": []}


class TestPlace:
    """Where it was, as every page says it."""

    def test_the_lab(self):
        """The lab has one label, whatever its context is called."""
        assert told().place.label == "LAB (simulated)"

    def test_a_cluster(self):
        """A cluster is called by its context."""

        def real(journal):
            journal["acns_chaos"]["target"].update(kind="cluster", context="aks-prod")

        place = told(real).place

        assert (place.kind, place.label, place.uid) == ("cluster", "cluster aks-prod", "0b1e9a3c")

    @pytest.mark.parametrize("target", [{}, {"kind": "cluster"}, {"kind": "LAB"}, None, []])
    def test_anything_else_is_unknown(self, target):
        """A kind nobody knows, or a cluster without a name, is no place."""

        def strange(journal):
            journal["acns_chaos"]["target"] = target

        place = told(strange).place

        assert (place.kind, place.label) == ("unknown", "target unknown")


class TestTimes:
    """How long the fault stood, and who noticed after how long."""

    def test_a_fault_stood_from_submitted_to_read_back(self):
        """The bound is what the two writes took: 10 ms and 20 ms."""
        (one,) = told().stood

        assert (one.since, one.until) == (at(1.0), at(6.02))
        assert one.lasted.ms == pytest.approx(5020)
        assert one.lasted.bound_ms == pytest.approx(30)
        assert one.lasted.phrase == "5.02 s (± 0.03)"

    def test_objects_of_one_fault_are_one(self):
        """It stood from the first write to the last one read back, and not at all if one is not."""

        def two(journal):
            other = copy.deepcopy(journal["acns_chaos"]["faults"][0])
            journal["acns_chaos"]["faults"][0]["id"] = "f1.1"
            other.update(id="f1.2", submitted=at(1.5))
            other["restored"]["verified"] = at(7.0)
            journal["acns_chaos"]["faults"].append(other)

        def one_is_left(journal):
            two(journal)
            journal["acns_chaos"]["faults"][1]["restored"] = None

        (one,), (left,) = told(two).stood, told(one_is_left).stood

        assert (one.fault, one.lasted.ms) == ("f1", pytest.approx(6000))
        assert left.lasted == Span(None, why="it is not shown to have ended")

    def test_detectors_come_first_then_our_own(self):
        """What would have told the team stands before the run's own witnesses and sampling."""
        (one,) = told(timeline).stood

        assert [(n.role, n.name) for n in one.notices][:2] == [
            ("detector", ALERT),
            ("witness", "a client"),
        ]
        assert one.notices[0].after == Span(2500.0, 100.0)
        assert one.notices[1].after == Span(pytest.approx(1500), 11.0)
        assert {n.role for n in one.notices} == {"detector", "witness", "sampled", "explanation"}

    def test_without_a_timeline_readings_tell(self):
        """A journal of a run without sampling has the readings' own times, without a bound."""

        def timed(journal):
            journal["run"][3]["output"]["at"] = at(4.5)

        (one,) = told(timed).stood
        detector = next(n for n in one.notices if n.role == "detector")

        assert detector.after == Span(pytest.approx(3500))
        assert one.outage == Span(None, why="the run took no timeline")

    def test_a_silent_detector_is_not_one_that_could_not_look(self):
        """Silence is said of whoever looked; whoever could not is not called silent."""

        def silent(journal):
            journal["run"][3]["output"].update(met=False, count=0.0, sentence="counted 0 drops")

        def blind(journal):
            journal["run"][3]["output"] = copy.deepcopy(UNKNOWN)

        def absent(journal):
            del journal["run"][3]

        found = []
        for change in (silent, blind, absent):
            (one,) = told(change).stood
            found += [(n.silent, n.after.why) for n in one.notices if n.role == "detector"]

        assert found == [
            (True, "counted 0 drops"),
            (False, "it could not tell: no drop counter could be read"),
            (False, "it was never asked"),
        ]

    def test_other_drops_are_not_this_faults(self):
        """A fault that closes nothing makes no drops: what a counter rose by is another's."""

        def opening(journal):
            noticed = {"prometheus": {"ms": 2400.0, "bound_ms": 500.0}}
            timeline(journal, time_to_detect=noticed)
            journal["acns_chaos"]["faults"][0]["predicted"] = {"closed": [], "opened": ["a -> b"]}

        (one,) = told(opening).stood
        counter = next(n for n in one.notices if n.name == "Prometheus")

        assert counter.after.ms is None
        assert counter.after.why == (
            "a drop counter rose after 2.40 s (± 0.50); the fault closes no flow, so these are "
            "other drops"
        )
        assert not any("Prometheus saw" in line for line in told(opening).answers.noticed)


class TestAnswers:
    """The reviewer's questions."""

    def test_a_run_without_a_fault(self):
        """A claim broke nothing, and does not pretend to have learnt about detection."""
        assert told(journal=claim()).answers == Answers(
            ("Nothing: no fault was injected.",),
            ("Not at all: no fault was injected.",),
            ("Nobody had anything to notice: no fault was injected.",),
            ("Nothing is learnt about detection: no fault was injected.",),
            ("Yes: this run changed no policy.",),
        )

    def test_a_journal_of_somebody_else(self):
        """Without our section nothing is known, and no yes is said."""
        told = story({"experiment": {}, "run": []})

        assert told.answers.broken == ("Unknown: the journal does not say.",)
        assert told.answers.back[0].startswith("Unknown: the journal cannot be trusted")
        assert told.is_back is None

    def test_no_detector_is_everything_unnoticed(self):
        """Whoever declares no detector would not have learnt of it."""

        def nobody(journal):
            roles(journal)["detectors"] = []

        answers = told(nobody).answers

        assert "No detector noticed: nothing that would have told the team without this run." in (
            answers.noticed
        )
        assert answers.unnoticed[0] == (
            "All of it: the experiment declares no detector, so nobody was asked to notice."
        )

    def test_what_it_opens_makes_no_drops(self):
        """Who only counts drops is told that he cannot see this."""

        def opening(journal):
            flows = [f"a -> b:{port}/TCP" for port in range(5)]
            journal["acns_chaos"]["faults"][0]["predicted"] = {"closed": [], "opened": flows}

        assert (
            "What it opened makes no drops, so no count of drops can tell: a -> b:0/TCP, "
            "a -> b:1/TCP, a -> b:2/TCP and 2 more."
        ) in told(opening).answers.unnoticed

    def test_nobody_looked_is_not_nobody_was_cut_off(self):
        """Without a client that sampled, no outage is not known; with one, it was not seen."""

        def off(journal):
            why = "not observed: it is switched off"
            unseen = {"ms": None, "why": "no request of a customer was seen to fail"}
            timeline(journal, time_to_detect={"client": {"ms": None, "why": why}}, outage=unseen)

        def fine(journal):
            why = "it noticed nothing: the shop answered all the while"
            unseen = {"ms": None, "why": "no request of a customer was seen to fail"}
            timeline(journal, time_to_detect={"client": {"ms": None, "why": why}}, outage=unseen)

        assert told(off).answers.lasted[1] == (
            "Whether customers were cut off is not known: not observed: it is switched off."
        )
        assert told(fine).answers.lasted[1] == (
            "Customers were not cut off, as far as this run saw: no request was seen to fail."
        )

    def test_a_claim_that_is_not_met_is_not_back(self):
        """The policies may be back and the system not: no yes then."""

        def deviated(journal):
            journal["steady_states"]["after"] = unmet(CLOSED)

        one = told(deviated)

        assert one.is_back is False
        assert one.answers.back == (
            (
                "No: every policy reads back equal to its original, by hash, but the hypothesis "
                "after the method is not met "
                '("customers reach the shop": GET / met silence for 2 s).'
            ),
        )

    def test_a_claim_that_cannot_be_told_is_unknown(self):
        """Could not tell is neither yes nor no."""

        def unsure(journal):
            journal["steady_states"]["after"] = unmet(error="chaoslib.exceptions.Oops: no route")

        one = told(unsure)

        assert one.is_back is None
        assert one.answers.back[0].startswith("Unknown: every policy reads back equal")

    def test_a_debt_is_named_with_what_to_do(self):
        """Which policy, why, and what to do now."""

        def left(journal):
            journal["acns_chaos"]["faults"][0]["restored"] = None

        one = told(left)

        assert one.is_back is False
        assert one.answers.back == (
            "No: not everything is shown to be as it was.",
            "pets/allow-store-front-traffic: nothing says that it was put back.",
            (
                "Put pets/allow-store-front-traffic back now: the original is in this journal "
                "under acns_chaos.faults."
            ),
        )

    def test_an_altered_journal_says_no_yes(self):
        """What was changed after it was signed proves nothing."""
        journal = signed(held())
        journal["acns_chaos"]["faults"][0]["operator"] = "another"
        one = story(journal)

        assert (one.verdict.outcome, one.is_back) == ("INCONCLUSIVE", None)
        assert one.answers.back[0].startswith("Unknown: the journal cannot be trusted, as ")
        assert one.evidence.problem


class TestRest:
    """What else a story holds."""

    def test_events_are_in_order_and_none_is_lost_in_silence(self):
        """By time, in milliseconds since the first; those without a time are counted."""

        def timeless(journal):
            journal["acns_chaos"]["events"].append({"what": "odd"})

        one = told(timeless)

        assert [(e.what, e.ms) for e in one.events] == [
            ("submitted", 0.0),
            ("restored", pytest.approx(5020)),
        ]
        assert one.lost_events == 1

    def test_permissions_that_are_not_recorded_are_not_none(self):
        """None is not recorded; an empty list is that there were none."""

        def none(journal):
            journal["acns_chaos"]["permissions"] = []

        assert told().permissions is None
        assert told(none).permissions == ()

    def test_what_was_not_observed_is_never_empty(self):
        """There is always something a run did not see."""
        assert story({}).not_observed
        assert "A real cluster: this ran in the lab, which imitates one." in told().not_observed
        assert "When the first packet was dropped." in told().not_observed


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)


@examples(40)
@given(section=JSON, rest=JSON)
def test_a_story_of_anything(section: Any, rest: Any) -> None:
    """Whatever it is given, a story is told, every answer has a sentence, and no yes is said."""
    one = story({"acns_chaos": section, "run": rest, "experiment": rest, "steady_states": section})

    assert all((one.answers.broken, one.answers.lasted, one.answers.noticed))
    assert all((one.answers.unnoticed, one.answers.back, one.not_observed))
    assert one.is_back is None
    assert one.verdict.outcome == "INCONCLUSIVE"
