"""Every operator: what it changes, where, how the result is classed; and how one is named."""

import copy
import json
from typing import Any

import pytest

from acns_chaos.errors import PolicyError
from acns_chaos.policy import ObjectRef
from acns_chaos.policy.mutants import mutants
from acns_chaos.policy.mutation.edits import path_text
from acns_chaos.policy.mutation.sites import misspelt
from acns_chaos.policy.operators import OPERATORS, Surroundings, apply_operator, mutant_id
from acns_chaos.policy.validity import problems
from acns_chaos.policy.world import World
from tests.policy.mutation_cases import (
    ABSENT,
    CASES,
    CLUSTERWIDE,
    GROUP,
    NATIVE,
    ORDER_OUT,
    PLAIN,
    PODS,
    SECOND,
    SERVICES,
    Case,
    front,
)
from tests.policy.policy_cases import cnp

AROUND = Surroundings((PLAIN, SECOND), PODS, SERVICES)


def world(*policies: dict[str, Any]) -> World:
    """The small shop with these policies."""
    return World(policies, PODS, services=SERVICES, cidr_groups=(GROUP,))


def at(obj: Any, path: tuple[str | int, ...]) -> Any:
    """What stands at a path, ABSENT if nothing does."""
    for key in path:
        if isinstance(obj, list):
            if not isinstance(key, int) or key >= len(obj):
                return ABSENT
        elif key not in obj:
            return ABSENT
        obj = obj[key]
    return obj


def without(obj: Any, path: tuple[str | int, ...]) -> Any:
    """A copy of an object in which nothing stands at a path; an emptied way there goes too."""
    obj = copy.deepcopy(obj)
    if at(obj, path) is not ABSENT:
        holder = at(obj, path[:-1])
        del holder[path[-1]]
    return obj


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.operator)
def test_what_an_operator_makes_of_an_example(case: Case) -> None:
    """The changed places hold what is expected, every other place what it held."""
    policies = (case.policy, SECOND)
    before = json.dumps(policies)
    found = mutants(world(*policies), operators=[case.operator], of=[ObjectRef.of(case.policy)])
    by_place = {mutant.place: mutant for mutant in found}
    assert case.place in by_place
    mutant = by_place[case.place]
    assert mutant.effect == case.effect, mutant.radius.sentence()
    assert json.dumps(policies) == before
    assert mutant.id == f"pets/front:{case.operator}@{case.place}"
    if not case.changed:
        assert mutant.changes[mutant.policy] is None
        return
    changed = mutant.changes[mutant.policy]
    was: Any = case.policy
    for path, expected in case.changed.items():
        assert at(changed, path) is expected or at(changed, path) == expected, path_text(path)
        assert at(was, path) != at(changed, path)
    rest, old_rest = changed, was
    for path in sorted(case.changed, key=path_text, reverse=True):
        rest, old_rest = without(rest, path), without(old_rest, path)
    assert rest == old_rest


def test_every_operator_has_an_example() -> None:
    """At least thirty were asked for; none goes without."""
    assert sorted(case.operator for case in CASES) == sorted(OPERATORS)
    assert len(OPERATORS) >= 30


def test_every_operator_says_in_one_sentence_what_mistake_it_imitates() -> None:
    """The table is what a user chooses from: one line, one sentence, kebab-case names."""
    for name, operator in OPERATORS.items():
        assert operator.name == name
        assert name.replace("-", "").isalnum()
        assert name == name.lower()
        assert operator.summary[0].isupper()
        assert operator.summary.endswith(".")
        assert "\n" not in operator.summary
        assert ". " not in operator.summary
        assert operator.family


def test_the_families_cover_every_class_of_mistake() -> None:
    """Those of the specification and of the workshop's list."""
    assert list(dict.fromkeys(operator.family for operator in OPERATORS.values())) == [
        *("empties", "direction", "subject", "peers", "selectors", "entities", "cidr", "services"),
        *("ports", "protocol", "dns", "fqdn", "http", "deny", "object", "invalid"),
    ]


@pytest.mark.parametrize(
    ("word", "slip"),
    [
        ("store-front", "storefront"),
        ("front", "frotn"),
        ("a", "aa"),
        ("zz", "zzz"),
        ("x-", "x-x"),
        ("", "x"),
        ("10", "01"),
    ],
)
def test_a_slip_of_the_pen_gives_another_word_of_the_same_kind(word: str, slip: str) -> None:
    """A lost dash, two letters swapped, or one more."""
    assert misspelt(word) == slip


SEVERAL = front(ingress=[{"fromEntities": ["world"]}], egress=[ORDER_OUT, {"toEntities": ["host"]}])


@pytest.mark.parametrize(
    "name",
    [
        "rule-removed@spec.egress[1]",
        "pets/front:rule-removed@spec.egress[1]",
    ],
)
def test_a_place_tells_which_mutant_is_meant(name: str) -> None:
    """By operator and place, or by a mutant's whole id."""
    mutant = apply_operator(name, SEVERAL)
    assert mutant["spec"]["egress"] == [ORDER_OUT]
    assert mutant == apply_operator("rule-removed", SEVERAL, place="spec.egress[1]")


def test_a_bare_name_is_enough_where_there_is_one_place() -> None:
    """The names that experiments have used so far go on working."""
    assert apply_operator("ingress-removed", SEVERAL)["spec"] == {
        key: value for key, value in SEVERAL["spec"].items() if key != "ingress"
    }


def test_a_place_is_enough_without_its_variant_where_there_is_one() -> None:
    """The value of another workload need not be known beforehand."""
    name = "subject-mistaken@spec.endpointSelector.matchLabels.app"
    mutant = apply_operator(name, PLAIN, around=AROUND)
    assert mutant["spec"]["endpointSelector"] == {"matchLabels": {"app": "order"}}
    assert mutant == apply_operator(f"{name}=order", PLAIN, around=AROUND)


def test_a_range_from_port_0_has_an_end_to_forget_and_to_open() -> None:
    """Without its end it means every port, so that is never called its first port alone."""
    part = [{"ports": [{"port": "0", "endPort": 100, "protocol": "TCP"}]}]
    policy = cnp({"endpointSelector": {}, "egress": [{"toEndpoints": [{}], "toPorts": part}]})

    def port(operator: str) -> Any:
        return apply_operator(operator, policy)["spec"]["egress"][0]["toPorts"][0]["ports"][0]

    assert port("port-zero") == {"port": "0", "protocol": "TCP"}
    assert port("port-range-opened") == {"port": "0", "endPort": 65535, "protocol": "TCP"}
    with pytest.raises(PolicyError):
        port("port-range-cut")


def test_every_block_of_an_object_is_a_place() -> None:
    """`spec` and each item of `specs`."""
    block = PLAIN["spec"]
    policy = {**PLAIN, "specs": [block, block]}
    with pytest.raises(PolicyError) as error:
        apply_operator("ingress-from-nobody", policy)
    assert str(error.value) == (
        "Operator ingress-from-nobody applies at 3 places of pets/front; write one of them behind "
        "it, as in ingress-from-nobody@spec.ingress: spec.ingress, specs[0].ingress, "
        "specs[1].ingress."
    )
    mutant = apply_operator("ingress-from-nobody@specs[1].ingress", policy)
    assert [mutant["spec"], mutant["specs"][0]] == [block, block]
    assert mutant["specs"][1]["ingress"] == [{"fromEndpoints": []}]


@pytest.mark.parametrize(
    ("name", "policy", "sentence"),
    [
        ("no-such", PLAIN, "There is no operator 'no-such'; see `acns-chaos operators`."),
        (
            "ingress-form-nobody",
            PLAIN,
            "There is no operator 'ingress-form-nobody'; did you mean ingress-from-nobody",
        ),
        (
            "rule-removed",
            SEVERAL,
            (
                "Operator rule-removed applies at 3 places of pets/front; write one of them behind "
                "it, as in rule-removed@spec.ingress[0]: spec.ingress[0], spec.egress[0], "
                "spec.egress[1]."
            ),
        ),
        (
            "rule-removed@spec.egress[7]",
            SEVERAL,
            (
                "Operator rule-removed does not apply at 'spec.egress[7]' of pets/front; it does "
                "at spec.ingress[0], spec.egress[0], spec.egress[1]."
            ),
        ),
        (
            "pets/back:rule-removed@spec.ingress[0]",
            SEVERAL,
            (
                "Mutant 'pets/back:rule-removed@spec.ingress[0]' is one of pets/back, not of "
                "pets/front: correct one of them."
            ),
        ),
        (
            "object-deleted",
            PLAIN,
            (
                "Operator object-deleted does more than rewrite pets/front (at metadata.name): "
                "only a mutant that keeps the object can be injected; take another operator."
            ),
        ),
        (
            "selector-for-nodes",
            PLAIN,
            (
                "Operator selector-for-nodes does not apply to pets/front: the agents would refuse "
                "the result and keep the original in force (spec: "
            ),
        ),
        (
            "ingress-from-nobody",
            NATIVE,
            "does not apply to the NetworkPolicy pets/front; it is for Cilium's kinds.",
        ),
        (
            "ingress-from-nobody",
            cnp({"endpointSelector": {}}, name="bad"),
            "does not apply to shop/bad: the agents refuse the object as it is (spec: ",
        ),
    ],
)
def test_what_cannot_be_applied_says_why(name: str, policy: dict[str, Any], sentence: str) -> None:
    """One sentence that says how to go on."""
    with pytest.raises(PolicyError) as error:
        apply_operator(name, policy)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("operator", "place", "path", "expected"),
    [
        ("rule-emptied", "spec.ingress[0]", ("ingress",), [{}]),
        ("peer-removed", "spec.ingress[0].from[1]", ("ingress", 0, "from", 1), ABSENT),
        ("port-mistyped", "spec.ingress[0].ports[1]", ("ingress", 0, "ports", 1, "port"), 9091),
        (
            "peer-value-misspelt",
            "spec.ingress[0].from[0].podSelector.matchLabels.app",
            ("ingress", 0, "from", 0, "podSelector"),
            {"matchLabels": {"app": "ordre"}},
        ),
        (
            "except-forgotten",
            "spec.ingress[0].from[1].ipBlock.except",
            ("ingress", 0, "from", 1),
            {"ipBlock": {"cidr": "198.51.100.0/24"}},
        ),
        (
            "subject-key-misspelt",
            "spec.podSelector.matchLabels.app",
            ("podSelector",),
            {"matchLabels": {"pap": "front"}},
        ),
    ],
)
def test_a_network_policy_has_mutants_in_its_own_form(
    operator: str, place: str, path: tuple[str | int, ...], expected: Any
) -> None:
    """Its fields have other names, and its ports are numbers."""
    mutant = apply_operator(operator, NATIVE, place=place)
    assert at(mutant["spec"], path) == expected
    assert problems(mutant) == []


def test_the_id_of_a_network_policys_mutant_names_the_kind() -> None:
    """It may share its name and namespace with a CiliumNetworkPolicy."""
    found = mutants(world(NATIVE, PLAIN), operators=["rule-emptied"])
    assert [mutant.id for mutant in found] == [
        "NetworkPolicy/pets/front:rule-emptied@spec.ingress[0]",
        "pets/front:rule-emptied@spec.ingress[0]",
        "pets/front:rule-emptied@spec.egress[0]",
    ]
    mutant = apply_operator(found[0].id, NATIVE)
    assert mutant["spec"]["ingress"] == [{}]


def test_a_clusterwide_policy_has_no_namespace_in_its_ids() -> None:
    """Nor is it ever applied to the wrong one."""
    found = mutants(world(CLUSTERWIDE))
    assert {mutant.id.partition(":")[0] for mutant in found} == {"cp"}
    names = {mutant.operator for mutant in found}
    assert not names & {"namespace-forgotten", "kind-made-clusterwide", "selector-for-nodes"}


def test_an_object_whose_new_place_is_taken_does_not_move_there() -> None:
    """Another object of that name would be overwritten, which is another mistake."""
    taken = {**PLAIN, "metadata": {"name": "front", "namespace": "default"}}
    found = mutants(world(PLAIN, taken), operators=["namespace-forgotten"])
    assert found == []


def test_the_id_is_made_from_object_operator_and_place_alone() -> None:
    """So it is the same whatever else is live."""
    ref = ObjectRef.of(PLAIN)
    edit, _ = OPERATORS["rule-removed"].edits(PLAIN, AROUND)[0]
    assert mutant_id(ref, "rule-removed", edit) == "pets/front:rule-removed@spec.ingress[0]"
