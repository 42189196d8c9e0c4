"""Which flows a change opens and closes, and the operators that make such changes."""

import copy
from typing import Any

import pytest

from acns_chaos.errors import PolicyError
from acns_chaos.policy import Endpoint, Engine
from acns_chaos.policy.diff import delta, flows_between
from acns_chaos.policy.operators import apply_operator
from acns_chaos.policy.validity import problems
from tests.policy.policy_cases import cnp, knp

FRONT = Endpoint.pod("pets", {"app": "front"}, name="front-1", ports=[(8080, "TCP")])
FRONT_2 = Endpoint.pod("pets", {"app": "front"}, name="front-2", ports=[(8080, "TCP")])
ORDER = Endpoint.pod("pets", {"app": "order"}, name="order-1", named_ports={"api": (3000, "TCP")})
OPEN = cnp(
    {
        "endpointSelector": {"matchLabels": {"app": "front"}},
        "ingress": [
            {
                "fromEntities": ["world"],
                "toPorts": [{"ports": [{"port": "8080", "protocol": "TCP"}]}],
            }
        ],
        "egress": [
            {
                "toEndpoints": [{"matchLabels": {"app": "order"}}],
                "toPorts": [{"ports": [{"port": "3000", "protocol": "TCP"}]}],
            }
        ],
    },
    name="front",
    namespace="pets",
)


def changed(operator: str, policy: dict[str, Any] = OPEN) -> tuple[list[str], list[str]]:
    """What an operator opens and closes in the small shop."""
    flows = flows_between([FRONT, ORDER], [policy])
    before = Engine([policy])
    found = delta(before, before.with_policy(apply_operator(operator, policy)), flows)
    again = delta(before, Engine([apply_operator(operator, policy)]), flows)
    assert found == again
    return [str(flow) for flow in found.opened], [str(flow) for flow in found.closed]


@pytest.mark.parametrize(
    ("operator", "opened", "closed"),
    [
        ("ingress-from-nobody", [], ["world -> pets/front-1:8080/TCP"]),
        ("egress-to-nobody", [], ["pets/front-1 -> pets/order-1:3000/TCP"]),
        (
            "ingress-removed",
            [
                "pets/order-1 -> pets/front-1:3000/TCP",
                "pets/order-1 -> pets/front-1:8080/TCP",
                "world -> pets/front-1:3000/TCP",
            ],
            [],
        ),
        (
            "egress-removed",
            [
                "pets/front-1 -> pets/order-1:8080/TCP",
                "pets/front-1 -> world:3000/TCP",
                "pets/front-1 -> world:8080/TCP",
            ],
            [],
        ),
        ("deny-world-ingress", [], ["world -> pets/front-1:8080/TCP"]),
    ],
)
def test_what_each_operator_opens_and_closes(
    operator: str, opened: list[str], closed: list[str]
) -> None:
    """The predicted effect, by every flow of the small shop."""
    assert changed(operator) == (opened, closed)


def test_the_workshops_fault_is_exactly_one_empty_list() -> None:
    """Everything else of the object stays."""
    mutant = apply_operator("ingress-from-nobody", OPEN)
    assert mutant["spec"]["ingress"] == [{"fromEndpoints": []}]
    assert mutant["spec"]["egress"] == OPEN["spec"]["egress"]
    assert mutant["metadata"] == OPEN["metadata"]


FIRST = (
    "ingress-from-nobody",
    "egress-to-nobody",
    "ingress-removed",
    "egress-removed",
    "deny-world-ingress",
)


@pytest.mark.parametrize("operator", FIRST)
def test_an_operator_leaves_its_input_alone_and_gives_a_valid_object(operator: str) -> None:
    """Nothing is shared between the two."""
    original = copy.deepcopy(OPEN)
    mutant = apply_operator(operator, original)
    assert original == OPEN
    assert problems(mutant) == []
    mutant["spec"]["endpointSelector"]["matchLabels"]["app"] = "else"
    assert original == OPEN


INGRESS_ONLY = cnp({"endpointSelector": {}, "ingress": [{"fromEndpoints": []}]}, name="only")


@pytest.mark.parametrize(
    ("operator", "policy", "sentence"),
    [
        ("no-such", OPEN, "There is no operator 'no-such'; see `acns-chaos operators`."),
        ("ingress-from-nobody", INGRESS_ONLY, "would change nothing in shop/only."),
        ("egress-removed", INGRESS_ONLY, "Operator egress-removed would change nothing in"),
        (
            "ingress-removed",
            INGRESS_ONLY,
            (
                "does not apply to shop/only: the agents would refuse the result and keep the "
                "original in force (spec: a rule must have at least one of"
            ),
        ),
        (
            "deny-world-ingress",
            apply_operator("deny-world-ingress", OPEN),
            "Operator deny-world-ingress would change nothing in pets/front.",
        ),
        (
            "ingress-from-nobody",
            knp({"podSelector": {}}),
            "does not apply to the NetworkPolicy shop/k; it is for Cilium's kinds.",
        ),
        ("ingress-from-nobody", {"kind": "Pod"}, "An object of kind 'Pod' is not a policy"),
    ],
)
def test_an_operator_that_cannot_be_used_says_why(
    operator: str, policy: dict[str, Any], sentence: str
) -> None:
    """One sentence, and nothing was changed."""
    with pytest.raises(PolicyError) as error:
        apply_operator(operator, policy)
    assert sentence in str(error.value)


def test_flows_are_every_ordered_pair_on_every_port_that_somebody_names() -> None:
    """Pods and the world, which is added; the world does not talk to itself."""
    assert sorted(str(flow) for flow in flows_between([FRONT, ORDER], [])) == [
        f"{pair}:{port}/TCP"
        for pair in (
            "pets/front-1 -> pets/order-1",
            "pets/front-1 -> world",
            "pets/order-1 -> pets/front-1",
            "pets/order-1 -> world",
            "world -> pets/front-1",
            "world -> pets/order-1",
        )
        for port in (3000, 8080)
    ]


def test_replicas_are_judged_as_one_and_may_talk_among_themselves() -> None:
    """Two pods with the same labels have the same policy."""
    flows = flows_between([FRONT, FRONT_2], [])
    assert [str(flow) for flow in flows] == [
        "pets/front-1 -> pets/front-1:8080/TCP",
        "pets/front-1 -> world:8080/TCP",
        "world -> pets/front-1:8080/TCP",
    ]


def test_policies_and_services_name_ports_too() -> None:
    """Ends of ranges, names, both protocols of ANY, native ports, target ports."""
    bare = Endpoint.pod("pets", {"app": "x"}, name="x", named_ports={"web": (81, "TCP")})
    entries = [
        {"port": "9000", "endPort": 9002, "protocol": "TCP"},
        {"port": "53"},
        {"port": "web", "protocol": "TCP"},
        {"port": "0", "protocol": "TCP"},
        {"port": "unknown", "protocol": "TCP"},
    ]
    policies = [
        cnp({"endpointSelector": {}, "egressDeny": [{"toPorts": [{"ports": entries}]}]}),
        knp({"podSelector": {}, "ingress": [{"ports": [{"port": 7000}]}]}),
    ]
    services = [{"kind": "Service", "spec": {"ports": [{"port": 80, "targetPort": 8443}]}}]
    flows = flows_between([bare], policies, services)
    assert [(f.port, f.protocol) for f in flows if f.source is bare] == [
        (53, "TCP"),
        (53, "UDP"),
        (81, "TCP"),
        (7000, "TCP"),
        (8443, "TCP"),
        (9000, "TCP"),
        (9002, "TCP"),
    ]


def test_a_delta_of_nothing_is_empty() -> None:
    """Equal policies, equal verdicts."""
    flows = flows_between([FRONT, ORDER], [OPEN])
    found = delta(Engine([OPEN]), Engine([OPEN]), flows)
    assert (found.opened, found.closed, found.empty) == ((), (), True)
    before = Engine([])
    assert not delta(before, before.with_policy(OPEN), flows).empty
