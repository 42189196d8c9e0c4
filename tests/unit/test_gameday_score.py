"""Scores of a game day: who counts, where, and what is never folded into anything else."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.errors import GameDayError
from acns_chaos.gameday.results import parse, read_results
from acns_chaos.gameday.score import (
    DIRECTIONS,
    missed_in,
    score,
    shortfalls,
    status_in,
    status_of,
    wilson,
)
from tests.tiers import examples
from tests.unit.gameday_results import detector, document, result

ROSE = [{"name": "hubble_drop_total pets/store-front ingress", "rose": True, "by": 4}]


@pytest.mark.parametrize(
    ("killed", "judged", "low", "high"),
    # Newcombe 1998, table I, method 3 (score, no continuity correction), for 81/263 and 15/148;
    # none and all by hand: z²/(n + z²).
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_the_interval_is_wilsons(killed: int, judged: int, low: float, high: float) -> None:
    """As in the literature."""
    assert wilson(killed, judged) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_nothing_judged_has_no_score() -> None:
    """Neither 0 % nor 100 %: there is none."""
    scored = score([result("m1", "unknown")])
    tally = scored.directions["availability"]
    assert (tally.score, tally.interval, tally.unknown) == (None, None, 1)
    assert [one.mutant for one in scored.unknown] == ["m1"]
    assert wilson(0, 0) is None


def test_a_closing_fault_is_killed_only_by_a_detector_for_availability() -> None:
    """What is for security and happens to notice it does not count."""
    one = result(detectors=[detector("Audit", judges="security")])
    assert (status_in(one, "availability"), status_in(one, "security")) == ("survived", "")
    assert status_of(one) == "survived"
    other = result(detectors=[detector("Drops", judges="availability")])
    assert status_of(other) == "killed"


def test_what_does_both_is_judged_in_both_directions_apart() -> None:
    """Noticed by an availability detector alone, it is killed there and survives the other."""
    one = result(detectors=[detector("Drops", judges="availability")], **{"class": "both"})
    assert missed_in(one) == ("security",)
    scored = score([one])
    told = {way: (t.killed, t.survived) for way, t in scored.directions.items()}
    assert told == {"availability": (1, 0), "security": (0, 1)}
    assert (scored.overall.killed, scored.survivors) == (1, (one,))


def test_the_plan_says_what_a_detector_is_for_where_the_line_does_not() -> None:
    """Without either it counts in both directions."""
    one = result(detectors=[detector("Drops")])
    assert status_of(one, {"Drops": frozenset({"security"})}) == "survived"
    assert status_of(one) == "killed"


def test_no_data_is_survived_and_in_the_score() -> None:
    """A detector that could not judge does not take the mutant out of the denominator."""
    silent = [detector("Drops", None, judges="availability")]
    scored = score([result("m1", "survived", detectors=silent), result("m2")])
    assert scored.directions["availability"].judged == 2
    assert scored.directions["availability"].score == 0.5
    drops = next(one for one in scored.detectors if one.name == "Drops")
    assert (drops.asked, drops.unable) == (0, 1)


def test_a_signal_that_nobody_listened_to_is_counted_apart() -> None:
    """Only of survivors; it kills nothing, and those come first, as they are cheap to mend."""
    heard = result("m1", signals=ROSE)
    unheard = result("m3", "survived", signals=ROSE)
    scored = score([heard, result("m2", "survived"), unheard])
    tally = scored.directions["availability"]
    assert (tally.killed, tally.survived, tally.signalled) == (1, 2, 1)
    assert [one.mutant for one in scored.survivors] == ["m3", "m2"]


def test_a_detector_is_worth_what_would_be_lost_without_it() -> None:
    """Kills, those of it alone, first ones, and the time in the middle."""
    both = [detector("Drops", after=1000.0), detector("Errors", after=3000.0)]
    alone = [detector("Drops", after=2000.0), detector("Errors", noticed=False)]
    scored = score(
        [
            result("m1", detectors=both, by="Drops"),
            result("m2", detectors=alone, by="Drops"),
            result("m3", "survived", detectors=[detector("Errors", noticed=False)]),
        ]
    )
    told = {o.name: (o.asked, o.kills, o.alone, o.first, o.median_ms) for o in scored.detectors}
    assert told == {"Drops": (2, 2, 1, 2, 1500.0), "Errors": (3, 1, 0, 0, 3000.0)}


def test_lab_and_cluster_are_never_one_score() -> None:
    """What was simulated says nothing of a cluster."""
    real = document("m2", place={"kind": "cluster", "label": "prod", "uid": "u2"}, shard="u2/pets")
    with pytest.raises(GameDayError, match="simulated and what was real is never one score"):
        score([result("m1"), parse(json.dumps(real))])


def test_a_mutant_that_is_there_twice_is_refused() -> None:
    """Whoever scores unites first; nothing counts twice."""
    with pytest.raises(GameDayError, match="m1 of shard u1/pets is there twice, of d1 and d2"):
        score([result("m1", day="d1"), result("m1", day="d2")])


def test_a_minimum_is_reached_or_why_not_is_said() -> None:
    """A direction of which nothing was judged reaches none; one without a minimum always passes."""
    scored = score([result("m1"), result("m2", "survived")])
    assert shortfalls(scored, {}) == []
    assert shortfalls(scored, {"availability": 0.5}) == []
    assert shortfalls(scored, {"availability": 0.8, "security": 0.0}) == [
        "The score for availability is 50.0%, and must be 80.0%: 1 of 2 survived.",
        "The score for security must be 0.0%, and no mutant of that direction was judged.",
    ]
    assert shortfalls(score([]), {}) == ["No mutant was judged: none was run."]
    told = shortfalls(score([result(status="unknown")]), {})
    assert told == ["No mutant was judged: all 1 are unknown."]


RESULTS = st.lists(
    st.builds(
        lambda mutant, status, effect, first, second: result(
            mutant,
            status,
            **{
                "class": effect,
                "detectors": [
                    detector("A", first and status == "killed", judges="availability"),
                    detector("S", second and status == "killed", judges="security"),
                ],
            },
        ),
        st.integers(0, 30).map("m{}".format),
        st.sampled_from(["killed", "survived", "unknown"]),
        st.sampled_from(["closes", "opens", "both"]),
        st.booleans(),
        st.booleans(),
    ),
    unique_by=lambda one: one.mutant,
)


@given(RESULTS, st.randoms(use_true_random=False))
@examples(40)
def test_every_mutant_is_counted_once_whatever_the_order(found: list, chance: object) -> None:
    """In each of its directions, in its policy and in its family; and nowhere else."""
    scored = score(found)
    shuffled = list(found)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert score(shuffled).as_json() == scored.as_json()
    for way, effects in DIRECTIONS.items():
        tally = scored.directions[way]
        mine = [one for one in found if one.effect in effects]
        assert tally.judged + tally.unknown == len(mine)
        assert tally.signalled <= tally.survived
    overall = scored.overall
    assert overall.judged + overall.unknown == len(found)
    for groups in (scored.policies, scored.families):
        assert sum(one.killed for one in groups.values()) == overall.killed
    json.dumps(scored.as_json(), allow_nan=False)


# ---------------------------------------------------------------------- lines


@given(st.text(max_size=40) | st.binary(max_size=40))
@examples(60)
def test_any_line_is_a_result_or_a_reason(line: str | bytes) -> None:
    """Nothing a file may hold is more than one error."""
    with pytest.raises(GameDayError):
        parse(line)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema": 2}, "a newer acns-chaos wrote"),
        ({"schema": True}, "its schema is True"),
        ({"status": "fine"}, "its status is fine, none of killed, survived, unknown"),
        ({"class": None}, "its class is not there"),
        ({"mutant": "m\x1b[2J"}, "its mutant is no name"),
        ({"mutant": "m" * 2001}, "more than 2,000 characters"),
        ({"place": []}, "place.kind is not there"),
    ],
)
def test_what_cannot_be_a_result_is_refused_with_its_reason(change: dict, why: str) -> None:
    """Also what would move a cursor."""
    with pytest.raises(GameDayError, match=why):
        parse(json.dumps(document(**change)))


def test_a_result_is_what_its_line_says() -> None:
    """Written and read again it is the same; what is of the wrong type is left out."""
    one = result(signals=ROSE, suggestion={"kind": "alert"})
    assert parse(one.line()) == one
    odd = result(seconds="long", first_ms=float("1e999"), detectors=7, signals=[3], position=None)
    assert (odd.seconds, odd.first_ms, odd.detectors) == (None, None, ())


def test_a_cut_last_line_is_no_line_and_the_first_of_a_mutant_counts(tmp_path: Path) -> None:
    """The mutant whose line was cut is run again; what is broken in the middle is named."""
    file = tmp_path / "results.jsonl"
    first, again = result("m1"), result("m1", "survived")
    cut = result("m2").line()
    file.write_text(first.line() + "{broken\n" + again.line() + cut[: len(cut) // 2])
    found, notes = read_results(file)
    assert found == [first]
    assert notes == [f"{file}, line 2 is no result, and was left out: it is no JSON."]
    file.write_text(cut.removesuffix("\n"))
    assert read_results(file) == ([], [])


def test_an_endless_line_is_passed_over(tmp_path: Path) -> None:
    """It costs no memory, and hides nothing behind it."""
    file = tmp_path / "results.jsonl"
    file.write_bytes(b"x" * 2_500_000 + b"\n" + result("m1").line().encode())
    found, notes = read_results(file)
    assert [one.mutant for one in found] == ["m1"]
    assert len(notes) == 1
    assert "more than 1,000,000 bytes" in notes[0]
