"""Scores of a game day: who counts, where, and what is never folded into anything else."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.errors import GameDayError
from acns_chaos.gameday.results import Result, parse, read_every, read_results
from acns_chaos.gameday.score import (
    DIRECTIONS,
    missed_in,
    score,
    shortfalls,
    status_in,
    status_of,
    undecided_in,
    why_undecided,
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
    assert (drops.asked, sum(drops.unable.values())) == (0, 1)


def unclear(mutant: str = "m1", **changes: Any) -> Result:
    """A mutant that was in force, and whose only detector could not tell."""
    why = "it cannot be asked: Prometheus is down"
    mute = [detector("Drops", None, judges="availability") | {"why": why}]
    told = {"bit": True, "outcome": "INCONCLUSIVE", "detectors": mute, "why": f"Drops: {why}"}
    return result(mutant, "unknown", **told, **changes)


def test_what_nobody_can_tell_of_is_in_the_score_as_not_noticed() -> None:
    """An unreachable Prometheus does not make a good day of one mutant out of forty."""
    scored = score([result("m0"), *(unclear(f"m{n}", position=n) for n in range(1, 40))])
    tally = scored.directions["availability"]
    assert (tally.killed, tally.survived, tally.undecided, tally.unknown) == (1, 0, 39, 0)
    assert (tally.score, tally.interval) == (1 / 40, wilson(1, 40))
    assert (len(scored.undecided), scored.unknown, scored.survivors) == (39, (), ())
    (said,) = shortfalls(scored, {"availability": 0.9})
    assert said == (
        "The score for availability is 2.5%, and must be 90.0%: 0 of 40 survived, and 39 are "
        "undecided."
    )
    (drops,) = (one for one in scored.detectors if one.name == "Drops")
    assert drops.unable == {"it cannot be asked: Prometheus is down": 39}


def test_a_mutant_that_was_not_seen_in_force_is_in_no_score() -> None:
    """Nobody could have noticed what was not there."""
    scored = score([result("m0"), result("m1", "unknown")])
    tally = scored.overall
    assert (tally.score, tally.undecided, tally.unknown) == (1.0, 0, 1)


def test_what_was_noticed_in_a_run_that_proves_nothing_is_unknown() -> None:
    """It did not survive, and to count it as noticed would take more than the run."""
    one = result("m1", "unknown", bit=True, detectors=[detector("Drops")])
    assert status_of(one) == "unknown"


def test_a_direction_whose_detectors_cannot_tell_is_undecided_there() -> None:
    """Noticed in the other direction, it did not survive in this one: that would be made up."""
    told = [
        detector("Drops", judges="availability"),
        detector("closed", None, judges="security") | {"why": "it was firing before the fault"},
    ]
    one = result(detectors=told, **{"class": "both"})
    assert (status_in(one, "availability"), status_in(one, "security")) == ("killed", "undecided")
    assert (missed_in(one), undecided_in(one)) == ((), ("security",))
    assert why_undecided(one) == "closed: it was firing before the fault"
    scored = score([one])
    assert scored.directions["security"].score == 0.0
    assert (scored.survivors, scored.undecided) == ((), (one,))
    # One that could tell, and noticed nothing, does not decide it either.
    more = [*told, detector("audit", False, judges="security")]
    assert status_in(result(detectors=more, **{"class": "both"}), "security") == "undecided"


def test_a_day_of_undecided_mutants_alone_does_not_pass() -> None:
    """Also without a minimum, and with one of nothing at all."""
    scored = score([unclear("m1"), result("m2", "unknown", position=2)])
    assert shortfalls(scored, {}) == ["No mutant was judged: 1 are undecided and 1 are unknown."]
    assert shortfalls(scored, {"availability": 0.0})[1] == (
        "The score for availability must be 0.0%, and no mutant of that direction was judged: 1 "
        "are undecided and 1 are unknown."
    )


def test_a_plan_of_experiments_alone_needs_no_mutant() -> None:
    """None was to be run; where some were, none is a shortfall."""
    assert shortfalls(score([]), {}, selects=False) == []
    assert shortfalls(score([]), {}) == ["No mutant was judged: none was run."]


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
        lambda mutant, status, effect, bit, first, second: result(
            mutant,
            status,
            **{
                "class": effect,
                "bit": bit,
                "detectors": [
                    detector("A", first if status != "survived" else False, judges="availability"),
                    detector("S", second if status != "survived" else False, judges="security"),
                ],
            },
        ),
        st.integers(0, 30).map("m{}".format),
        st.sampled_from(["killed", "survived", "unknown"]),
        st.sampled_from(["closes", "opens", "both"]),
        st.booleans(),
        st.none() | st.booleans(),
        st.none() | st.booleans(),
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
        # What was in force is never left out, unless somebody did notice it.
        out = [one for one in mine if status_in(one, way) == "unknown"]
        assert not [one for one in out if one.bit and not any(d.noticed for d in one.detectors)]
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


def test_every_line_of_a_mutant_is_read_where_shards_are_united(tmp_path: Path) -> None:
    """Files that were put together by hand hold the runs of a shard that ran twice."""
    file = tmp_path / "results.jsonl"
    first, again = result("m1"), result("m1", "survived")
    file.write_text(first.line() + again.line())
    assert read_every(file) == ([first, again], [])


def test_an_endless_line_is_passed_over(tmp_path: Path) -> None:
    """It costs no memory, and hides nothing behind it."""
    file = tmp_path / "results.jsonl"
    file.write_bytes(b"x" * 2_500_000 + b"\n" + result("m1").line().encode())
    found, notes = read_results(file)
    assert [one.mutant for one in found] == ["m1"]
    assert len(notes) == 1
    assert "more than 1,000,000 bytes" in notes[0]
