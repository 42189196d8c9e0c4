"""Why a flow turns: the rules that decide before and after a change, and where."""

from typing import Any

from acns_chaos.policy import Endpoint, Engine, Flow
from acns_chaos.policy.asked import Lookup
from acns_chaos.policy.turned import turn_of, turns_of

WORLD = Endpoint.entity("world")
FRONT = Endpoint.pod("pets", {"app": "front"}, ports=[(8080, "TCP")])
BACK = Endpoint.pod("pets", {"app": "back"}, ports=[(9, "TCP")])
SHOP = Flow(WORLD, FRONT, 8080)
ALLOW = {"fromEntities": ["world"], "toPorts": [{"ports": [{"port": "8080", "protocol": "TCP"}]}]}

NOBODY: dict[str, Any] = {"fromEndpoints": []}


def policy(**sections: Any) -> dict[str, Any]:
    """A policy of the front."""
    spec = {"endpointSelector": {"matchLabels": {"app": "front"}}, **sections}
    metadata = {"name": "front", "namespace": "pets"}
    return {"kind": "CiliumNetworkPolicy", "metadata": metadata, "spec": spec}


def engine(*policies: dict[str, Any]) -> Engine:
    """An engine over some policies."""
    return Engine(policies, endpoints=[FRONT, BACK])


def test_flow_that_closes_names_the_rule_that_allowed_it() -> None:
    """And says that nothing allows it now."""
    turn = turn_of(engine(policy(ingress=[ALLOW])), engine(policy(ingress=[NOBODY])), SHOP)

    assert turn is not None
    assert turn.as_json() == {
        "flow": "world -> pets/front:8080/TCP",
        "way": "closed",
        "side": "ingress",
        "before": [
            {"kind": "CiliumNetworkPolicy", "policy": "pets/front", "rule": "spec.ingress[0]"}
        ],
        "after": [],
        "reason": "POLICY_DENIED",
    }


def test_flow_that_is_denied_names_the_deny_rule() -> None:
    """An allow rule beside it does not matter."""
    after = policy(ingress=[ALLOW], ingressDeny=[{"fromEntities": ["world"]}])
    turn = turn_of(engine(policy(ingress=[ALLOW])), engine(after), SHOP)

    assert turn is not None
    assert [one.path for one in turn.after] == ["spec.ingressDeny[0]"]
    assert turn.reason == "POLICY_DENY"


def test_flow_that_opens_names_the_rule_that_allows_it() -> None:
    """The side is where it was denied before."""
    turn = turn_of(engine(policy(ingress=[NOBODY])), engine(policy(ingress=[ALLOW])), SHOP)

    assert turn is not None
    assert (turn.way, turn.side, turn.before) == ("opened", "ingress", ())
    assert [one.path for one in turn.after] == ["spec.ingress[0]"]


def test_flow_that_leaves_is_judged_at_its_sender() -> None:
    """Egress decides first."""
    closed = policy(egress=[{"toEndpoints": []}])
    turn = turn_of(engine(), engine(closed), Flow(FRONT, BACK, 9))

    assert turn is not None
    assert (turn.side, turn.before, turn.after) == ("egress", (), ())


def test_flow_that_does_not_turn_is_none() -> None:
    """There is nothing to explain."""
    same = engine(policy(ingress=[ALLOW]))

    assert turn_of(same, same, SHOP) is None


def test_flows_that_somebody_would_miss_come_first_and_lookups_are_left_out() -> None:
    """A port on which something listens before one on which nothing does."""
    nobody = Flow(WORLD, FRONT, 1)
    lookup = Lookup(FRONT, BACK, 53, "UDP", "example.com")
    found = turns_of(
        engine(), engine(policy(ingress=[NOBODY])), [nobody, lookup, SHOP, SHOP], most=1
    )

    assert [one.flow for one in found] == ["world -> pets/front:8080/TCP"]
