"""Deny rules, default-deny, enforcement modes, the local host, and the kinds together."""

from typing import Any

import pytest

from acns_chaos.policy import Endpoint
from tests.policy.policy_cases import (
    API,
    DB,
    HOST,
    INIT,
    ON_8080,
    OUTSIDE,
    REMOTE,
    TO_API,
    TO_WEB,
    WEB,
    WEST,
    ccnp,
    cnp,
    egress,
    ingress,
    judge,
    knp,
    to_api,
)

NO = "POLICY_DENIED"
DENY = "POLICY_DENY"
CLIENT = {"fromEndpoints": [TO_WEB]}


def port(number: str, **more: Any) -> dict[str, Any]:
    """A rule on one TCP port for every peer."""
    return {"toPorts": [{"ports": [{"port": number, "protocol": "TCP"}], **more}]}


ALLOW = [CLIENT, port("81"), port("80"), port("80", rules={"http": [{"method": "GET"}]})]


@pytest.mark.parametrize(
    ("allow", "deny", "on_81", "on_80", "ping"),
    [
        (ALLOW, [], "ALLOWED", "ALLOWED", "ALLOWED"),
        (ALLOW, [port("80")], "ALLOWED", DENY, "ALLOWED"),
        (ALLOW, [CLIENT], DENY, DENY, DENY),
        (ALLOW, [CLIENT, port("80")], DENY, DENY, DENY),
        ([], [port("80")], NO, DENY, NO),
    ],
)
def test_the_documented_table_of_deny_precedence(
    allow: list[Any], deny: list[Any], on_81: str, on_80: str, ping: str
) -> None:
    """A matching deny rule beats every allow rule, and is told from a missing one."""
    policy = cnp({"endpointSelector": TO_API, "ingress": allow, "ingressDeny": deny})
    assert ingress(policy, WEB, 81) == on_81
    assert ingress(policy, WEB, 80) == on_80
    assert ingress(policy, WEB, None, "ICMP") == ping


@pytest.mark.parametrize(("allowing", "denying"), [(cnp, ccnp), (ccnp, cnp)])
def test_a_deny_rule_of_one_kind_beats_an_allow_rule_of_another(
    allowing: Any, denying: Any
) -> None:
    """Whatever is more specific."""
    allow = allowing({"endpointSelector": TO_API, "ingress": [{**CLIENT, "toPorts": ON_8080}]})
    deny = denying({"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["all"]}]}, "d")
    assert ingress([allow, deny], WEB) == DENY


def test_allows_of_all_kinds_are_united_and_a_deny_applies_to_all() -> None:
    """CNP, CCNP and NetworkPolicy select the same pod."""
    web = knp(
        {"podSelector": TO_API, "ingress": [{"from": [{"podSelector": TO_WEB}]}]}, name="native"
    )
    namespace = {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "data"}}
    data = ccnp({"endpointSelector": TO_API, "ingress": [{"fromEndpoints": [namespace]}]})
    world = to_api({"fromEntities": ["world"]})
    everything = [web, data, world]
    assert [ingress(everything, peer) for peer in (WEB, DB, OUTSIDE)] == ["ALLOWED"] * 3
    deny = cnp({"endpointSelector": TO_API, "ingressDeny": [CLIENT]}, name="deny")
    assert ingress([*everything, deny], WEB) == DENY
    assert ingress([*everything, deny], DB) == "ALLOWED"


def test_ingress_and_egress_are_judged_each_on_its_own() -> None:
    """Both sides must allow; the drop reason is the egress side's when both deny."""
    deny_out = cnp({"endpointSelector": TO_WEB, "egressDeny": [{"toEntities": ["all"]}]}, name="o")
    close_in = to_api({})
    verdict = judge([deny_out, close_in], WEB, API)
    assert (verdict.egress.verdict, verdict.ingress.verdict) == ("DENIED", "DENIED")
    assert verdict.drop_reason == DENY
    assert judge([close_in], WEB, API).drop_reason == NO
    assert judge([], WEB, API).verdict == "ALLOWED"


@pytest.mark.parametrize(
    ("switch", "ingress_of_api", "egress_of_api"),
    [
        ({}, NO, NO),
        ({"ingress": False}, "ALLOWED", NO),
        ({"egress": False}, NO, "ALLOWED"),
        ({"ingress": False, "egress": False}, "ALLOWED", "ALLOWED"),
        ({"ingress": True, "egress": True}, NO, NO),
    ],
)
def test_default_deny_can_be_switched_off_by_direction(
    switch: dict[str, bool], ingress_of_api: str, egress_of_api: str
) -> None:
    """A direction that is not named has it on when it has rules."""
    policy = cnp(
        {
            "endpointSelector": TO_API,
            "enableDefaultDeny": switch,
            "ingress": [{"fromEndpoints": [{"matchLabels": {"app": "cart"}}]}],
            "egress": [{}],
        }
    )
    assert ingress(policy, WEB) == ingress_of_api
    side = judge(policy, API, OUTSIDE).egress
    assert (side.drop_reason or side.verdict) == egress_of_api


def test_switching_default_deny_on_without_a_rule_has_no_effect() -> None:
    """The setting rides on the rules of its direction."""
    policy = cnp(
        {"endpointSelector": TO_API, "enableDefaultDeny": {"ingress": True}, "egress": [{}]}
    )
    assert ingress(policy, WEB) == "ALLOWED"


def test_one_rule_with_default_deny_is_enough_and_a_deny_works_without() -> None:
    """Others that have it off do not open the direction."""
    off = cnp(
        {
            "endpointSelector": TO_API,
            "enableDefaultDeny": {"ingress": False},
            "ingressDeny": [{"fromEntities": ["world"]}],
        }
    )
    assert ingress(off, WEB) == "ALLOWED"
    assert ingress(off, OUTSIDE) == DENY
    assert ingress([off, {**to_api({}), "metadata": {"name": "q", "namespace": "shop"}}], WEB) == NO


def test_the_agent_option_makes_every_policy_default_deny() -> None:
    """Then enableDefaultDeny is ignored."""
    policy = cnp(
        {"endpointSelector": TO_API, "enableDefaultDeny": {"ingress": False}, "ingress": [{}]}
    )
    assert ingress(policy, WEB) == "ALLOWED"
    assert ingress(policy, WEB, settings={"enableNonDefaultDenyPolicies": False}) == NO


def test_enforcement_modes() -> None:
    """`always` closes what no policy opens, `never` opens everything."""
    assert ingress([], WEB) == "ALLOWED"
    assert ingress([], WEB, settings={"policyEnforcementMode": "always"}) == NO
    assert egress([], OUTSIDE, settings={"policyEnforcementMode": "always"}) == NO
    deny = cnp({"endpointSelector": TO_API, "ingressDeny": [CLIENT]})
    assert ingress(deny, WEB, settings={"policyEnforcementMode": "never"}) == "ALLOWED"


def test_endpoints_without_labels_yet_are_always_closed() -> None:
    """The identity `init` is default-deny in both directions."""
    assert judge([], WEB, INIT).ingress.drop_reason == NO
    assert judge([], INIT, WEB).egress.drop_reason == NO


@pytest.mark.parametrize(
    "entity", ["host", "remote-node", "health", "ingress", "unmanaged", "world"]
)
def test_entities_are_no_policy_subjects(entity: str) -> None:
    """Nor are addresses."""
    everything = ccnp({"endpointSelector": {}, "ingress": [{}], "egress": [{}]})
    assert judge(everything, WEB, Endpoint.entity(entity)).ingress.verdict == "N/A"
    assert judge(everything, Endpoint.entity(entity), API).egress.verdict == "N/A"
    assert judge(everything, WEB, OUTSIDE).ingress.verdict == "N/A"


def test_a_pod_of_another_cluster_is_judged_by_its_own_policies() -> None:
    """Here it is a peer only."""
    everything = ccnp({"endpointSelector": {}, "ingress": [{}], "egress": [{}]})
    verdict = judge(everything, WEST, API)
    assert verdict.egress.verdict == "ALLOWED"
    assert verdict.ingress.verdict == "DENIED"


def test_the_local_host_reaches_every_pod_unless_it_is_denied() -> None:
    """Kubelet probes stay green; other nodes are judged; and the agent option ends it."""
    closed = to_api({})
    assert ingress(closed, HOST) == "ALLOWED"
    assert ingress(closed, REMOTE) == NO
    assert ingress(closed, HOST, settings={"allowLocalhost": "policy"}) == NO
    denied = cnp({"endpointSelector": TO_API, "ingressDeny": [{"fromEntities": ["host"]}]})
    assert ingress(denied, HOST) == DENY
    port_denied = cnp({"endpointSelector": TO_API, "ingressDeny": [{"toPorts": ON_8080}]})
    assert ingress(port_denied, HOST) == DENY
    assert ingress(port_denied, HOST, 9090) == "ALLOWED"


def test_a_pods_egress_to_the_local_host_is_not_exempt() -> None:
    """Only the other direction is."""
    closed = cnp({"endpointSelector": TO_WEB, "egress": [{}]})
    assert egress(closed, HOST) == NO


def test_host_policies_bind_the_node_where_the_host_firewall_is_on() -> None:
    """They never bind pods, and pod policies never bind the node."""
    node = ccnp({"nodeSelector": {"matchLabels": {"role": "edge"}}, "ingress": [{}]})
    edge = Endpoint.entity("host", node_labels={"role": "edge"})
    on = {"hostFirewall": True}
    assert judge(node, OUTSIDE, edge, 22).ingress.verdict == "N/A"
    assert judge(node, OUTSIDE, edge, 22, settings=on).ingress.drop_reason == NO
    assert judge(node, OUTSIDE, HOST, 22, settings=on).ingress.verdict == "ALLOWED"
    assert judge(node, WEB, API, settings=on).verdict == "ALLOWED"
    pods = ccnp({"endpointSelector": {}, "ingress": [{}]})
    assert judge(pods, OUTSIDE, HOST, 22, settings=on).ingress.verdict == "ALLOWED"
