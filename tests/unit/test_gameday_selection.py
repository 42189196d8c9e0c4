"""Which mutants a day runs, in which order, and how long they take."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.cluster.sources import collect
from acns_chaos.errors import ApiError, ArgumentError
from acns_chaos.gameday.alert_rules import AlertRule, live_rules
from acns_chaos.gameday.estimate import CLUSTER, Pace, deadline_of, estimate, timing_of
from acns_chaos.gameday.plan_values import Detector
from acns_chaos.gameday.selection import select
from acns_chaos.gameday.sight import meant
from acns_chaos.gameday.subsumption import WHOLE, in_rule, part_of, rank, subsumed
from acns_chaos.policy.blast import BlastRadius
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.model import Flow, ObjectRef
from acns_chaos.policy.mutants import CLASSES, Mutant, mutants
from acns_chaos.policy.operators import OPERATORS
from acns_chaos.policy.world import World
from tests.tiers import examples

ROOT = Path(__file__).parents[2]
POLICIES = [ObjectRef("CiliumNetworkPolicy", "shop", name) for name in ("a", "b", "c")]
PLACES = (
    "spec.ingress[0].fromEndpoints[0].matchLabels.app",
    "spec.ingress[0].toPorts",
    "spec.ingress[1]",
    "spec.egress[0].toFQDNs[0]=x",
    "spec.egress",
    "spec.endpointSelector.matchLabels.app",
    "metadata.name",
)
FAMILIES = ("selectors", "subject", "fqdn", "ports", "object", "unheard-of")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LONG_AGO = NOON - timedelta(days=30)


def mutant(
    name: str = "m",
    policy: ObjectRef = POLICIES[0],
    place: str = PLACES[0],
    family: str = "selectors",
    effect: str = "closes",
    port: int = 0,
    injectable: bool = True,
) -> Mutant:
    """A mutant that turns one flow, on a port that tells it from others."""
    one = Flow(Endpoint.entity("world"), Endpoint.entity("host"), port or hash(name) % 60000, "TCP")
    opened = [one] if effect in ("opens", "both") else []
    closed = [one] if effect in ("closes", "both") else []
    changes = {policy: {} if injectable else None}
    radius = BlastRadius(opened, closed)
    identity = f"{policy}:{name}@{place}"
    return Mutant(identity, name, family, "", policy, place, changes, {}, effect, radius)


def chosen(found: list[Mutant], **more: object) -> list[str]:
    """The operators' names of a selection, in order."""
    one = select(found, unseen={}, **more)  # type: ignore[arg-type]
    return [mutant.operator for mutant in one.chosen]


# --- what stands for what -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "part"),
    [
        ("spec.ingress[0].fromEndpoints[0].matchLabels[k8s:app]", "spec.ingress[0]"),
        ("spec.egress[12]", "spec.egress[12]"),
        ("specs[1].ingressDeny[0].toPorts", "specs[1].ingressDeny[0]"),
        ("spec.endpointSelector.matchLabels.app=web", "spec.endpointSelector"),
        ("spec.podSelector", "spec.podSelector"),
        ("spec.ingress", WHOLE),
        ("spec.enableDefaultDeny.ingress", WHOLE),
        ("metadata.name", WHOLE),
    ],
)
def test_a_mutant_is_a_mistake_in_one_part(place: str, part: str) -> None:
    """A rule, the subject, or the whole policy."""
    assert part_of(mutant(place=place)) == part
    assert in_rule(part) == ("[" in part and part.endswith("]"))


def test_selectors_and_labels_come_before_ports() -> None:
    """In the order of where real mistakes are; every family has its place."""
    ranks = {family: rank(mutant(family=family)) for family in FAMILIES}
    assert sorted(ranks, key=lambda one: ranks[one]) == list(FAMILIES)
    known = {one.family for one in OPERATORS.values()} - {"invalid"}
    assert len({rank(mutant(family=one)) for one in known}) == len(known)
    assert max(rank(mutant(family=one)) for one in known) < rank(mutant(family="unheard-of"))


def test_of_those_that_turn_the_same_flows_one_stands_for_all() -> None:
    """That of the first family; of these, the one within a rule."""
    same = [
        mutant("far", place="spec.ingress", family="selectors", port=1),
        mutant("port", family="ports", port=1),
        mutant("label", family="selectors", port=1),
        mutant("other", family="ports", port=2),
        mutant("elsewhere", POLICIES[1], family="ports", port=1),
        mutant("opens", family="ports", effect="opens", port=1),
    ]
    found = subsumed(same)
    assert {one.split(":")[1].split("@")[0] for one in found} == {"far", "port"}
    assert set(found.values()) == {same[2].id}


# --- order --------------------------------------------------------------------------------------


def test_every_rule_of_every_policy_comes_before_any_comes_twice() -> None:
    """Then subjects and whole policies, then the second of each."""
    found = [
        mutant("a1", POLICIES[0], PLACES[0], port=1),
        mutant("a2", POLICIES[0], PLACES[0], port=2),
        mutant("a3", POLICIES[0], PLACES[2], port=3),
        mutant("b1", POLICIES[1], PLACES[3], port=4),
        mutant("b2", POLICIES[1], PLACES[5], family="subject", port=5),
    ]
    order = chosen(found)
    assert set(order[:2]) <= {"a1", "a2", "a3", "b1"}
    assert "b1" in order[:2], "policies take turns"
    assert order[3] == "b2"
    assert order[4] in ("a1", "a2")


def test_what_has_waited_longest_comes_first_then_the_family() -> None:
    """Never is longest; a part has waited since any mistake in it was made."""
    found = [
        mutant("label", family="selectors", port=1),
        mutant("port", family="ports", port=2),
        mutant("late", family="selectors", port=3),
        mutant("early", family="selectors", port=4),
    ]
    waited = {found[2].id: NOON, found[3].id: LONG_AGO}
    assert chosen(found, waited=waited) == ["label", "port", "early", "late"]
    parts = [mutant("x", place=PLACES[0], port=1), mutant("y", place=PLACES[2], port=2)]
    assert chosen(parts, waited={parts[0].id: NOON, parts[1].id: LONG_AGO}) == ["y", "x"]
    assert chosen(parts, waited={parts[1].id: LONG_AGO}) == ["x", "y"]


def test_closing_and_opening_ones_take_turns_within_a_part() -> None:
    """Both directions have detectors, and selectors alone mostly close."""
    found = [mutant(f"c{n}", port=n) for n in (1, 2, 3)]
    found += [mutant(f"o{n}", effect="opens", family="ports", port=n) for n in (4, 5)]
    order = chosen(found)
    assert [one[0] for one in order] == ["c", "o", "c", "o", "c"]


def test_a_seed_decides_what_is_left_open() -> None:
    """Some seeds choose another one first."""
    found = [mutant(f"m{n}", port=n) for n in range(6)]
    assert len({chosen(found, seed=seed)[0] for seed in range(20)}) > 1


def test_what_is_left_out_is_named_with_the_reason() -> None:
    """Nothing disappears."""
    found = [
        mutant("same", effect="equivalent"),
        mutant("bad", effect="invalid"),
        mutant("moved", injectable=False, port=9),
        mutant("dark", port=8),
        mutant("far", port=7),
        mutant("first", port=1),
        mutant("double", family="ports", port=1),
        mutant("last", family="ports", port=2),
    ]
    rules = [(POLICIES[0], "spec.ingress[0]"), (POLICIES[0], "spec.egress[0]")]
    selection = select(
        found,
        unseen={found[3].id: "nobody can ask"},
        beyond=lambda one: "it reaches too far" if one.operator == "far" else "",
        rules=rules,
        most=1,
    )
    assert [one.operator for one in selection.chosen] == ["first"]
    told = {one.mutant.split(":")[1].split("@")[0]: (one.reason, one.why) for one in selection.left}
    assert told == {
        "same": ("equivalent", ""),
        "bad": ("invalid", ""),
        "moved": ("not injectable", "it does more than rewrite one object"),
        "dark": ("not witnessed", "nobody can ask"),
        "far": ("beyond the limits", "it reaches too far"),
        "double": ("subsumed", found[5].id),
        "last": ("no room", ""),
    }
    assert selection.counts()["no room"] == 1
    assert selection.uncovered == {rules[1]: "the plan means no mistake in it"}


def test_a_rule_that_nobody_can_see_broken_is_told_apart_from_one_without_room() -> None:
    """The one needs another witness, the other a longer day."""
    rules = [(POLICIES[0], "spec.ingress[0]"), (POLICIES[0], "spec.ingress[1]")]
    dark = mutant("dark", place=PLACES[0], port=1)
    late = mutant("late", place=PLACES[2], port=2)
    selection = select(
        [dark, late], unseen={dark.id: "x"}, rules=rules, budget=5.0, seconds=lambda _: 6.0
    )
    assert selection.chosen == ()
    assert selection.uncovered[rules[0]].startswith("no mistake in it is one of its own")
    assert selection.uncovered[rules[1]] == "there is no room for it"


MUTANTS = st.lists(
    st.builds(
        mutant,
        name=st.sampled_from([f"m{n}" for n in range(40)]),
        policy=st.sampled_from(POLICIES),
        place=st.sampled_from(PLACES),
        family=st.sampled_from(FAMILIES),
        effect=st.sampled_from(CLASSES),
        port=st.integers(1, 12),
        injectable=st.booleans(),
    ),
    max_size=40,
    unique_by=lambda one: one.id,
)


@examples(200)
@given(
    found=MUTANTS,
    most=st.integers(0, 30),
    budget=st.sampled_from([0.0, 1.0, 25.0, 60.0]),
    seed=st.integers(0, 5),
    data=st.data(),
)
def test_a_selection_keeps_its_promises(
    found: list[Mutant], most: int, budget: float, seed: int, data: st.DataObject
) -> None:
    """Repeatable, within its bounds, each rule before any twice, nothing that cannot bite."""
    known = [one.id for one in found]
    unseen = dict.fromkeys(
        data.draw(st.sets(st.sampled_from(known)) if known else st.just(())), "x"
    )
    days = st.dictionaries(st.sampled_from(known), st.sampled_from([NOON, LONG_AGO]))
    waited = data.draw(days if known else st.just({}))
    rules = {(one.policy, part_of(one)) for one in found if in_rule(part_of(one))}

    def seconds(one: Mutant) -> float:
        return 5.0 + len(one.operator)

    more = {"most": most, "budget": budget, "seconds": seconds, "waited": waited, "seed": seed}
    one = select(found, unseen=unseen, rules=rules, **more)  # type: ignore[arg-type]
    again = select(
        data.draw(st.permutations(found)), unseen=unseen, rules=rules, **more  # type: ignore[arg-type]
    )  # fmt: skip

    # Whatever stands for its like depends on the given order alone where families are equal.
    flows = [_flows(mutant) for mutant in one.chosen]
    assert len(one.chosen) == len(again.chosen) or budget
    assert select(found, unseen=unseen, rules=rules, **more) == one  # type: ignore[arg-type]
    assert not most or len(one.chosen) <= most
    assert not budget or sum(seconds(mutant) for mutant in one.chosen) <= budget
    assert all(mutant.effect in ("closes", "opens", "both") for mutant in one.chosen)
    assert all(mutant.injectable and mutant.id not in unseen for mutant in one.chosen)
    assert len(set(flows)) == len(flows), "no two turn the same flows"
    assert sorted([*(m.id for m in one.chosen), *(o.mutant for o in one.left)]) == sorted(known)
    parts = [(mutant.policy, part_of(mutant)) for mutant in one.chosen]
    first = [part for part in parts if in_rule(part[1])]
    # The first ones are all different until every rule that has a mutant to give has come.
    distinct = len(set(first))
    assert len(set(first[:distinct])) == distinct
    possible = rules - {rule for rule, why in one.uncovered.items() if "room" not in why}
    if len(first) > distinct:
        assert set(first) == possible, "a rule came twice and another one never"


def _flows(one: Mutant) -> tuple[object, ...]:
    turned = one.radius.as_json()
    return one.policy, tuple(turned["closed"]), tuple(turned["opened"])


@cache
def shop() -> tuple[list[Mutant], World]:
    """The mutants of the workshop's policies, classed over its pods."""
    places = ("acns-network-policy.yaml", "store.yaml")
    objects = [
        one
        for place in places
        for one in collect(str(ROOT / "tests/data/workshop" / place), namespace="pets").objects
    ]
    world = World.of(objects)
    return mutants(world), world


def test_the_workshops_policies_give_a_day_in_both_directions() -> None:
    """Every rule that can be broken on its own is, selectors before ports."""
    found, _ = shop()
    one = select(found, unseen={}, most=30, seed=7)
    assert one == select(found, unseen={}, most=30, seed=7)
    assert len(one.chosen) == 30
    assert {mutant.policy for mutant in one.chosen} == {mutant.policy for mutant in found}
    effects = [mutant.effect for mutant in one.chosen]
    assert effects.count("opens") >= 8
    assert effects.count("closes") >= 8
    families = [mutant.family for mutant in one.chosen if mutant.effect == "closes"]
    assert families.index("selectors") < ([*families, "ports"]).index("ports")


# --- which policies -----------------------------------------------------------------------------


def test_globs_choose_policies_by_name_or_with_their_namespace() -> None:
    """Within the plan's namespaces only."""
    live = [*POLICIES, ObjectRef("CiliumNetworkPolicy", "far", "a")]
    assert meant(live, ["shop"], ()) == POLICIES
    assert meant(live, ["shop", "far"], ["a"]) == [live[0], live[3]]
    assert meant(live, ["shop", "far"], ["far/*", "b"]) == [live[1], live[3]]


def test_a_glob_that_matches_nothing_is_told() -> None:
    """A misspelt policy must not be a day without mutants."""
    with pytest.raises(ArgumentError, match=r"No policy matches 'alow-.'; there is shop/a, shop/b"):
        meant(POLICIES, ["shop"], ["alow-*"])
    with pytest.raises(ArgumentError, match="There is no policy in namespace far"):
        meant(POLICIES, ["shop", "far"], ())


# --- how long -----------------------------------------------------------------------------------

ALERT = Detector("A", "alert", ("availability",))
CLAIM = Detector("c", "claim", ("security",), every=0.5, lasts=1.0)
RULES = {"A": AlertRule("A", 0.5, 0.0, 2.0)}
LAB = Pace(scrape=1.0)


def test_a_mutant_that_all_notice_takes_less_than_one_that_nobody_does() -> None:
    """In the lab seconds, at 30 s scrapes minutes."""
    for effect in ("closes", "opens", "both"):
        here = timing_of(mutant(effect=effect), [ALERT, CLAIM], RULES, LAB)
        there = timing_of(mutant(effect=effect), [ALERT, CLAIM], RULES, CLUSTER)
        assert 4 < here.about < 8 < here.most < 12
        assert 60 < there.about < there.most < 600


def test_only_the_detectors_that_judge_a_mutant_are_waited_for() -> None:
    """A slow claim for security costs a closing fault nothing."""
    slow = replace(CLAIM, every=600.0)
    closes = mutant(effect="closes")
    assert timing_of(closes, [ALERT, slow], RULES, LAB) == timing_of(closes, [ALERT], RULES, LAB)
    assert timing_of(mutant(effect="opens"), [ALERT, slow], RULES, LAB).most > 1800


def test_the_whole_is_the_sum() -> None:
    """And the mean is of one mutant."""
    found = [mutant("x", port=1), mutant("y", effect="opens", port=2)]
    whole = estimate(found, [ALERT, CLAIM], RULES, LAB)
    assert whole.total.about == pytest.approx(sum(one.about for one in whole.each.values()))
    assert whole.mean.most == pytest.approx(whole.total.most / 2)
    assert estimate([], [ALERT], RULES, LAB).mean.about == 0.0


def test_a_rule_that_nobody_knows_is_taken_for_a_usual_one() -> None:
    """No deadline is guessed shorter than three times a scrape and an evaluation."""
    assert deadline_of(ALERT, {}, LAB) == 6.0
    assert deadline_of(ALERT, RULES, LAB) == 4.5
    assert deadline_of(ALERT, RULES, CLUSTER) == 180.0
    assert deadline_of(CLAIM, {}, CLUSTER) == 270.0


class Rules:
    """A Prometheus that lists its rules, or does not."""

    def __init__(self, told: object) -> None:
        self.told = told

    def json(self, path: str, params: object) -> object:
        """Answer as told."""
        if isinstance(self.told, Exception):
            raise self.told
        return self.told


def test_a_live_rule_says_how_long_it_takes() -> None:
    """How often it is evaluated, how long it waits and looks back; of two the slower."""
    rule = {"type": "alerting", "name": "A", "duration": 60, "query": "sum(x offset 2m) > 0"}
    fast = {**rule, "duration": 0, "query": "x[5m]"}
    groups = [
        {"interval": 30, "rules": [rule, {"type": "recording", "name": "r"}]},
        {"interval": 15, "rules": [fast]},
    ]
    found = live_rules(Rules({"data": {"groups": groups}}))  # type: ignore[arg-type]
    assert found == {"A": AlertRule("A", 30.0, 60.0, 120.0, "sum(x offset 2m) > 0")}


@pytest.mark.parametrize("told", [ApiError("no", 404), {}, {"data": None}, [], {"data": {}}])
def test_a_prometheus_that_lists_no_rules_is_no_error(told: object) -> None:
    """Azure's has no such list."""
    assert live_rules(Rules(told)) == {}  # type: ignore[arg-type]


def test_rules_that_nobody_can_list_are_taken_to_be_slow() -> None:
    """So that nothing survives by haste where Prometheus does not tell."""
    assert deadline_of(ALERT, {}, Pace(scrape=30.0, usual=60.0)) == 270.0
