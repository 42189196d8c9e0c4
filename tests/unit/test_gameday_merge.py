"""Uniting the results of shards: each mutant exactly once, whatever comes, and what is missing."""

import json
import random
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.errors import GameDayError
from acns_chaos.gameday.merge import NOT_RUN, Expected, Merged, Part, expected_of, read_parts, unite
from acns_chaos.gameday.own import Own, read_own, unite_own
from acns_chaos.gameday.results import Result
from acns_chaos.gameday.scoring import NOT_RESTORED, day_of
from tests.tiers import examples
from tests.unit.gameday_results import DAY, document, result

# Longer than a sentence would show.
LONG = "pets/" + 500 * "m"
PLAN = {
    "schema": 1,
    "name": "pets",
    "target": {"cluster": "lab", "namespaces": ["pets"]},
    "detectors": [
        {"alert": "StorefrontDrops", "for": "availability"},
        {"claim": "../probes/strangers-denied.json", "for": ["security"], "every": "60s"},
    ],
    "minimum": {"availability": 0.8},
}


def at(minute: int, shard: str = "s1", mutant: str = "m1", status: str = "killed") -> Result:
    """A result that ended at a minute."""
    return result(mutant, status, shard=shard, ended=f"2026-11-23T10:{minute:02}:00+00:00")


def told(merged: Merged) -> list[tuple[str, str, str]]:
    """What is counted, without the rest."""
    return [(one.shard, one.mutant, one.status) for one in merged.results]


# Few shards, mutants and minutes, so that the same and different results of one mutant are usual.
ONE = st.builds(
    at,
    st.integers(0, 3),
    st.sampled_from(["s1", "s2", "s3"]),
    st.sampled_from(["m1", "m2", "m3"]),
    st.sampled_from(["killed", "survived", "unknown"]),
)
PARTS = st.lists(st.lists(ONE, max_size=6, unique_by=lambda one: one.key), max_size=6)


def part(results: list[Result], number: int = 0) -> Part:
    """A part as it would be read."""
    return Part(f"part {number}", tuple(results))


@given(PARTS, st.randoms(use_true_random=False))
@examples(100)
def test_each_mutant_counts_once_and_the_order_makes_no_difference(
    parts: list[list[Result]], chance: random.Random
) -> None:
    """Repeated, shuffled, torn apart and united before: the same results."""
    merged = unite(part(one) for one in parts)
    keys = [one.key for one in merged.results]
    assert len(keys) == len(set(keys))
    assert set(keys) == {one.key for each in parts for one in each}
    # Nothing is made up, and what counts is what ended first.
    for one in merged.results:
        same = [other for each in parts for other in each if other.key == one.key]
        assert one in same
        assert one.ended == min(other.ended for other in same)

    again = [*parts, *chance.sample(parts, chance.randint(0, len(parts)))]
    chance.shuffle(again)
    assert unite(part(one) for one in again).results == merged.results
    assert unite(part(one) for one in again).differing == merged.differing
    torn = [[one] for each in again for one in each]
    assert unite(part(one) for one in torn).results == merged.results
    cut = chance.randint(0, len(again))
    halves = [unite(part(one) for one in half) for half in (again[:cut], again[cut:])]
    assert unite(Part("half", half.results) for half in halves).results == merged.results


@given(PARTS, st.data())
@examples(60)
def test_what_was_not_restored_in_any_run_is_not_lost(
    parts: list[list[Result]], data: st.DataObject
) -> None:
    """Whichever run counts, wherever it comes from, and what was united before."""
    every = [one for each in parts for one in each]
    chosen = data.draw(st.sets(st.sampled_from(range(len(every))))) if every else set()
    marked = [
        replace(one, outcome="NOT_RESTORED", restored=False) if number in chosen else one
        for number, one in enumerate(every)
    ]
    done = day_of([part([one]) for one in marked])
    assert (done.code == NOT_RESTORED) is bool(chosen)
    cut = data.draw(st.integers(0, len(marked)))
    halves = [unite([part(half)]) for half in (marked[:cut], marked[cut:])]
    again = day_of(part([*half.results, *half.differing]) for half in halves)
    assert again.code == done.code
    assert {*again.not_restored} == {*done.not_restored}


@given(PARTS, st.integers(0, 4000), st.randoms(use_true_random=False))
@examples(40)
def test_files_that_were_cut_lose_only_what_was_cut(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[list[Result]],
    cut: int,
    chance: random.Random,
) -> None:
    """A shard's file that ends anywhere holds the mutants whose lines are whole, each once."""
    home = tmp_path_factory.mktemp("shards")
    whole: list[list[Result]] = []
    for number, each in enumerate(parts):
        text = "".join(one.line() for one in each).encode()
        end = min(len(text), cut) if chance.random() < 0.5 else len(text)
        folder = home / f"shard-{number}" / "deep"
        folder.mkdir(parents=True)
        (folder / "results.jsonl").write_bytes(text[:end])
        whole.append(each[: text[:end].count(b"\n")])
    if not parts:
        return
    merged = unite(read_parts([home]))
    assert merged.results == unite(part(one) for one in whole).results
    assert unite(read_parts([home, home])).results == merged.results
    assert merged.notes == ()


@given(PARTS)
@examples(40)
def test_what_was_expected_and_is_not_there_is_named(parts: list[list[Result]]) -> None:
    """Shards without any result are missing; selected mutants without one are unknown."""
    wanted = tuple(
        result(mutant, "unknown", shard=shard, ended="", why=NOT_RUN)
        for shard in ("s1", "s2")
        for mutant in ("m1", "m2")
    )
    expected = Expected("pets", shards=frozenset({"s1", "s2"}), mutants=wanted)
    found = {one.key for each in parts for one in each}
    merged = unite([*map(part, parts), Part("plan", (), expected)], shards=["s9"])
    present = {shard for _, shard, _ in found}
    assert set(merged.missing) == {"s1", "s2", "s9"} - present
    assert {one.key for one in merged.not_run} == {one.key for one in wanted} - found
    assert all(one.status == "unknown" for one in merged.not_run)
    assert not merged.complete
    # What was united before keeps the wish, and the result fulfils it.
    late = [at(5, shard, name) for shard in ("s1", "s2", "s9") for name in ("m1", "m2")]
    before = Part("before", merged.results, merged.expected)
    later = unite([before, part(late)], shards=["s9"])
    assert later.complete
    assert {one.key for one in later.results} == found | {one.key for one in late}
    assert NOT_RUN not in {one.why for one in (*later.results, *later.differing)}


def test_a_shard_that_ran_twice_counts_by_what_ended_first_and_the_other_is_named() -> None:
    """The same content twice is one result; different content is worth a sentence."""
    early, late = at(1, status="survived"), at(2)
    for parts in permutations([[early], [late], [early]]):
        merged = unite(map(part, parts))
        assert merged.results == (early,)
        assert merged.differing == (late,)
        assert merged.repeated == 1


def test_a_result_without_an_end_comes_last() -> None:
    """Whoever does not say when it ended does not displace whoever does."""
    assert unite([part([at(9)]), part([result(shard="s1", ended="soon")])]).results == (at(9),)


def test_results_of_several_days_are_one_day_only_when_it_is_named() -> None:
    """Two days united would count every mutant twice."""
    parts = [part([result(day="d1")]), part([result(day="d2", status="survived")])]
    with pytest.raises(GameDayError, match="of 2 days, d1, d2: name one with --day"):
        unite(parts)
    assert [one.day for one in unite(parts, day="d2").results] == ["d2"]


def test_a_plan_of_another_day_expects_nothing(tmp_path: Path) -> None:
    """Neither shards nor mutants, nor has it to be the same plan; one without a day counts."""
    chosen = [{"mutant": "m1", "policy": "pets/front", "class": "closes", "shard": "s1"}]
    mine = expected_of({"day": "d1", "plan": PLAN, "selection": chosen})
    other = expected_of({"day": "d2", "plan": PLAN | {"name": "other"}, "shards": ["s9"]})
    parts = [Part("a", (result(day="d1", shard="s1"),), mine), Part("b", (), other)]
    merged = unite(parts, day="d1")
    assert (merged.complete, merged.expected.plan) == (True, "pets")
    none = replace(mine, day="")
    assert unite([replace(parts[0], expected=none)], day="d1").expected.minimum == mine.minimum


def test_experiments_are_united_as_results_are() -> None:
    """What ended first counts, the other run is named, and what nobody ran is known."""
    first = Own("1. x", "HELD", "", "j", "2026-11-23T10:00:00+00:00", "s1")
    later = replace(first, outcome="NOT_RESTORED", ended="2026-11-23T11:00:00+00:00")
    blank = Own("2. y", "", NOT_RUN, "", "", "s1")
    for found in permutations([first, later, first]):
        told = unite_own(found, [replace(blank, name="1. x"), blank])
        assert (told.counted, told.differing, told.not_run) == ((first,), (later,), (blank,))
        assert told.left == (later,)


def test_a_broken_file_of_experiments_is_said_and_a_cut_line_is_none(tmp_path: Path) -> None:
    """What comes from elsewhere may hold anything."""
    file = tmp_path / "experiments.jsonl"
    whole = Own("1. x", "HELD", "", "j", "2026-11-23T10:00:00+00:00", "s1", "d1")
    file.write_text("[1]\n" + whole.line() + "\n" + whole.line().removesuffix("}\n"))
    assert read_own(file) == (
        [whole],
        [f"{file}, line 1 is no experiment of a plan, and was left out."],
    )
    assert read_own(tmp_path / "none") == ([], [])


def test_the_lab_and_a_cluster_are_not_united() -> None:
    """Also where only the plan says where it was meant to be."""
    cluster = {"kind": "cluster", "label": "prod", "uid": "u2"}
    real = result("m2", shard="u2/pets", place=cluster)
    with pytest.raises(GameDayError, match="never one score"):
        unite([part([result(shard="u1/pets")]), part([real])])


def test_shards_of_different_plans_are_not_united() -> None:
    """A detector that only some had would be judged by results that never asked it."""
    one = expected_of({"day": DAY, "plan": PLAN})
    other = expected_of({"day": DAY, "plan": PLAN | {"minimum": {}}})
    with pytest.raises(GameDayError, match="run with different plans, pets and pets"):
        unite([Part("a", (), one), Part("b", (), other)])


@pytest.mark.parametrize("shape", ["written by hand", "written by gameday"])
def test_the_plan_says_what_is_expected(shape: str) -> None:
    """Detectors with their directions, the minimum, and each selected mutant as not run."""
    one = {
        "policy": {"kind": "CiliumNetworkPolicy", "namespace": "pets", "name": "front"},
        "operator": "rule-emptied",
        "family": "rules",
        "class": "opens",
        "place": "spec.ingress[0]",
    }
    name = {"written by hand": "mutant", "written by gameday": "id"}[shape]
    place = {"kind": "lab", "uid": "u1", "label": "LAB (simulated)"}
    found = expected_of(
        {"day": DAY, "plan": PLAN, "place": place, "selection": [one | {name: LONG}, {}, 3]}
    )
    assert (found.plan, found.minimum) == ("pets", {"availability": 0.8})
    assert found.judges == {
        "StorefrontDrops": frozenset({"availability"}),
        "strangers-denied": frozenset({"security"}),
    }
    (mutant,) = found.mutants
    assert (mutant.key, mutant.effect, mutant.status) == (
        (DAY, "u1/pets", LONG),
        "opens",
        "unknown",
    )
    assert (mutant.policy, mutant.where, mutant.why) == ("pets/front", "spec.ingress[0]", NOT_RUN)
    assert found.shards == {"u1/pets"}
    # What is written for united results says the same.
    assert expected_of(json.loads(json.dumps(found.as_json()))) == found
    more = {"experiments": [{"name": "1. x.json", "namespace": "pets"}, {"name": ""}, 3]}
    found = expected_of({"day": DAY, "plan": PLAN, "place": place} | more)
    assert ([one.key for one in found.own], found.selects) == ([("u1/pets", "1. x.json")], False)
    assert expected_of(json.loads(json.dumps(found.as_json()))) == found


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["plan", "place", "selection", "detectors", "for", "id", "policy"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
@examples(60)
def test_any_plan_is_read_without_an_error(document: Any) -> None:
    """A file that comes from elsewhere may hold anything."""
    expected_of(document if isinstance(document, dict) else {"plan": document})


def write(folder: Path, *results: dict[str, Any], plan: Any = None) -> Path:
    """Make the folder of a day."""
    folder.mkdir(parents=True)
    (folder / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in results))
    if plan is not None:
        (folder / "plan.json").write_text(plan if isinstance(plan, str) else json.dumps(plan))
    return folder


def test_a_day_that_has_a_plan_only_is_all_unknown(tmp_path: Path) -> None:
    """It was stopped before its first result."""
    chosen = [{"mutant": "m1", "policy": "pets/front", "class": "closes"}]
    plan = {"day": DAY, "plan": PLAN, "selection": chosen}
    folder = write(tmp_path / "day", plan=plan)
    (folder / "results.jsonl").unlink()
    merged = unite(read_parts([folder]))
    assert [(one.mutant, one.status, one.place.kind) for one in merged.results] == [
        ("m1", "unknown", "lab")
    ]


@pytest.mark.parametrize(
    ("plan", "why"), [("[", "is no JSON"), ("[" * 100_000, "is no JSON"), ("{}", "")]
)
def test_a_plan_that_cannot_be_read_is_a_sentence(tmp_path: Path, plan: str, why: str) -> None:
    """What is broken is named; what is empty says nothing."""
    folder = write(tmp_path / "day", document(), plan=plan)
    if why:
        with pytest.raises(GameDayError, match=why):
            read_parts([folder])
    else:
        assert len(unite(read_parts([folder])).results) == 1


def test_a_folder_without_results_is_a_sentence(tmp_path: Path) -> None:
    """So is one that does not exist: nothing to unite is no empty day."""
    with pytest.raises(GameDayError, match=r"holds no results\.jsonl"):
        read_parts([tmp_path])
    with pytest.raises(GameDayError, match="does not exist"):
        read_parts([tmp_path / "none"])
