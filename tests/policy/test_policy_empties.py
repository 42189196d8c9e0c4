"""Empty rule, empty list, absent and null: four things that mean four things."""

from typing import Any

import pytest

from tests.policy.policy_cases import (
    API,
    DB,
    HEALTH,
    HOST,
    ON_8080,
    OUTSIDE,
    TO_API,
    TO_WEB,
    WEB,
    ccnp,
    cnp,
    egress,
    from_web,
    ingress,
    judge,
    to_api,
)

NOBODY = "POLICY_DENIED"
NO_PORTS = [{"ports": []}]
SOMEBODY_ELSE = {"matchLabels": {"app": "cart"}}


@pytest.mark.parametrize("section", [None, []])
def test_an_absent_null_or_empty_section_leaves_its_direction_untouched(section: Any) -> None:
    """`ingress: []` beside egress rules is as if it were not there."""
    policy = cnp({"endpointSelector": TO_API, "ingress": section, "egress": [{}]})
    assert ingress(policy, WEB) == "ALLOWED"
    assert ingress(policy, OUTSIDE) == "ALLOWED"


@pytest.mark.parametrize(
    ("rules", "from_pod", "from_outside"),
    [
        ([{}], NOBODY, NOBODY),
        ([{}, {"fromEndpoints": [TO_WEB]}], "ALLOWED", NOBODY),
        ([{"fromEndpoints": None}], NOBODY, NOBODY),
        ([{"toPorts": ON_8080}], "ALLOWED", "ALLOWED"),
        ([{"fromEndpoints": None, "toPorts": ON_8080}], "ALLOWED", "ALLOWED"),
        ([{"fromEndpoints": [{}]}], "ALLOWED", NOBODY),
        ([{"fromEndpoints": []}], NOBODY, NOBODY),
        ([{"fromEndpoints": [], "toPorts": ON_8080}], NOBODY, NOBODY),
        ([{"fromCIDR": [], "toPorts": ON_8080}], NOBODY, NOBODY),
        ([{"fromCIDRSet": [], "toPorts": ON_8080}], NOBODY, NOBODY),
        ([{"fromEntities": [], "toPorts": ON_8080}], NOBODY, NOBODY),
        ([{"fromNodes": [], "toPorts": ON_8080}], NOBODY, NOBODY),
        ([{"fromEntities": [], "fromEndpoints": [TO_WEB]}], NOBODY, NOBODY),
        ([{"fromEndpoints": [TO_WEB], "toPorts": []}], "ALLOWED", NOBODY),
        ([{"fromEndpoints": [TO_WEB], "toPorts": [{}]}], NOBODY, NOBODY),
        ([{"fromEndpoints": [TO_WEB], "toPorts": NO_PORTS}], NOBODY, NOBODY),
        ([{"fromEndpoints": [TO_WEB], "icmps": []}], "ALLOWED", NOBODY),
        ([{"fromEndpoints": [TO_WEB], "icmps": [{}]}], NOBODY, NOBODY),
        ([{"fromEndpoints": [TO_WEB], "icmps": [{"fields": []}]}], NOBODY, NOBODY),
    ],
)
def test_what_an_ingress_rule_with_something_empty_allows(
    rules: list[Any], from_pod: str, from_outside: str
) -> None:
    """Every row of the table of empties, seen from a pod of the namespace and from outside."""
    policy = to_api(*rules)
    assert ingress(policy, WEB) == from_pod
    assert ingress(policy, OUTSIDE) == from_outside


@pytest.mark.parametrize("field", ["toFQDNs", "toServices"])
def test_an_empty_list_of_names_or_services_with_ports_is_every_peer(field: str) -> None:
    """These two are left out of the check for empty lists."""
    policy = from_web({field: [], "toPorts": ON_8080})
    assert egress(policy, OUTSIDE, 8080) == "ALLOWED"
    assert egress(policy, DB, 8080) == "ALLOWED"
    assert egress(policy, OUTSIDE, 443) == NOBODY
    assert egress(from_web({field: []}), OUTSIDE, 8080) == NOBODY


def test_a_service_that_does_not_exist_opens_its_ports_to_everyone() -> None:
    """Without ports it is nobody, with ports it is every peer."""
    missing = {"toServices": [{"k8sService": {"serviceName": "ghost"}}]}
    assert egress(from_web(missing), OUTSIDE) == NOBODY
    assert egress(from_web({**missing, "toPorts": ON_8080}), OUTSIDE) == "ALLOWED"


@pytest.mark.parametrize(("deny", "from_pod"), [([{}], NOBODY), ([{"fromEndpoints": []}], NOBODY)])
def test_an_empty_deny_rule_only_switches_default_deny_on(deny: list[Any], from_pod: str) -> None:
    """It denies nothing by itself, so the reason is that nothing allows."""
    policy = cnp({"endpointSelector": TO_API, "ingressDeny": deny})
    assert ingress(policy, WEB) == from_pod
    allowed = cnp({"endpointSelector": TO_API, "ingress": [{"fromEndpoints": [{}]}]}, name="a")
    assert ingress([policy, allowed], WEB) == "ALLOWED"


def test_the_workshops_fault_closes_ingress_for_everyone_but_the_local_host() -> None:
    """`fromEndpoints: []` is the shop's outage that the kubelet's probes do not see."""
    policy = to_api({"fromEndpoints": []})
    assert ingress(policy, OUTSIDE) == NOBODY
    assert ingress(policy, WEB) == NOBODY
    assert ingress(policy, HEALTH) == NOBODY
    assert ingress(policy, HOST) == "ALLOWED"


def test_an_empty_selector_is_the_namespace_in_one_kind_and_every_pod_in_the_other() -> None:
    """`fromEndpoints: [{}]` never selects entities, and in a CNP no other namespace."""
    rules = {"endpointSelector": TO_API, "ingress": [{"fromEndpoints": [{}]}]}
    assert ingress(cnp(rules), WEB) == "ALLOWED"
    assert ingress(cnp(rules), DB) == NOBODY
    assert ingress(ccnp(rules), DB) == "ALLOWED"
    assert ingress(ccnp(rules), OUTSIDE) == NOBODY
    assert ingress(ccnp(rules), HEALTH) == NOBODY


def test_both_spec_and_specs_count_each_as_a_rule_of_its_own() -> None:
    """`specs` adds to `spec`; the paths of the rules say which."""
    policy = to_api({"fromEndpoints": [SOMEBODY_ELSE]})
    policy["specs"] = [{"endpointSelector": TO_API, "ingress": [{"fromEndpoints": [TO_WEB]}]}]
    side = judge(policy, WEB, API).ingress
    assert side.verdict == "ALLOWED"
    assert [str(rule) for rule in side.rules] == ["specs[0].ingress[0] of shop/p"]
