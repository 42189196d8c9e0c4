"""What a server fills in is part of the fault; what it changes otherwise is refused, unwritten."""

from copy import deepcopy
from typing import Any

import pytest

from acns_chaos.cluster.policies import content
from acns_chaos.errors import FaultRefused
from acns_chaos.faults.change import by_documents
from acns_chaos.faults.completion import difference
from acns_chaos.faults.inject import inject
from acns_chaos.faults.plan import Limits
from acns_chaos.faults.restore import restore_all
from tests.unit.fakes import STOREFRONT, FakeApi, run_on, storefront_policy

NATIVE = "/apis/networking.k8s.io/v1/namespaces/pets/networkpolicies/closed"
SELECTED = "podSelector.matchLabels"


class Filling(FakeApi):
    """A server that fills in and drops what a real one does, in dry runs as well."""

    def put(self, path: str, body: Any, query: Any = None) -> dict[str, Any]:
        """Replace, completed."""
        return super().put(path, filled(body), query)

    def post(self, path: str, body: Any, query: Any = None) -> dict[str, Any]:
        """Create, completed."""
        return super().post(path, filled(body), query)


def filled(body: Any) -> Any:
    """Defaults of networking.k8s.io/v1 (`SetDefaults_NetworkPolicy`, `…Port`)."""
    if body.get("kind") != "NetworkPolicy":
        return body
    found = deepcopy(dict(body))
    spec = found["spec"]
    spec.setdefault("podSelector", {})
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    for direction in ("ingress", "egress"):
        if not spec.get(direction):
            spec.pop(direction, None)
        for rule in spec.get(direction, []):
            for port in rule.get("ports", []):
                port.setdefault("protocol", "TCP")
    return found


def native(**spec: Any) -> dict[str, Any]:
    """A document of a NetworkPolicy."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "closed", "namespace": "pets"},
        "spec": spec,
    }


@pytest.mark.parametrize("exists", [True, False])
def test_what_the_server_fills_in_is_recorded_and_written(exists: bool) -> None:
    """A document without policyTypes, a protocol or with an empty list is taken as kubectl does."""
    api = Filling()
    if exists:
        api.objects[NATIVE] = filled(native(ingress=[{}]))
        api.objects[NATIVE]["metadata"].update(uid="u", resourceVersion="1")
    before = deepcopy(api.objects.get(NATIVE))
    rule = {"ports": [{"port": 81}]}
    document = native(podSelector={"matchLabels": {"app": "store-front"}}, ingress=[rule])
    document["spec"]["egress"] = []
    run = run_on(api)

    (debt,) = inject(run, by_documents([document], "pets", create=True), Limits((), 0), 0.0)

    stored = api.objects[NATIVE]["spec"]
    assert stored["policyTypes"] == ["Ingress"]
    assert stored["ingress"] == [{"ports": [{"port": 81, "protocol": "TCP"}]}]
    assert debt.fault is not None
    assert debt.fault["spec"] == stored
    assert [path for _, path, _ in api.writes] == [NATIVE]
    restore_all(run, timeout=0.0)
    if before is None:
        assert NATIVE not in api.objects
    else:
        assert content(api.objects[NATIVE]) == content(before)


def test_a_fault_that_is_only_the_servers_defaults_is_none() -> None:
    """Completed it is what stands already: refused, also where no effect is asked for."""
    api = Filling()
    api.objects[NATIVE] = filled(native(ingress=[{"ports": [{"port": 81}]}]))
    api.objects[NATIVE]["metadata"].update(uid="u", resourceVersion="1")
    document = native(ingress=[{"ports": [{"port": 81}]}])
    limits = Limits((), 0, ignored=True)
    with pytest.raises(FaultRefused, match="leaves pets/closed as it is: there is no fault"):
        inject(run_on(api), by_documents([document], "pets"), limits, 0.0)
    assert api.writes == []


@pytest.mark.parametrize(
    ("edit", "where"),
    [
        ({"spec": {"ingress": [{}]}}, r"spec.ingress\[0\].fromEndpoints"),
        ({"spec": {"ingressDeny": [{}]}}, "spec.ingressDeny"),
        ({"metadata": {"labels": {"seen": "yes"}}}, "metadata.labels"),
    ],
)
def test_what_a_webhook_changes_is_refused_before_anything_is_written(
    edit: dict[str, Any], where: str
) -> None:
    """The dry run shows it; the fault would not be the one that was asked for."""
    api = FakeApi()
    original = api.put

    def put(path: str, body: Any, query: Any = None) -> dict[str, Any]:
        if path == STOREFRONT:
            body = deepcopy(dict(body))
            for section, changed in edit.items():
                body[section].update(changed)
        return original(path, body, query)

    api.put = put  # type: ignore[method-assign]
    document = storefront_policy()
    document["spec"]["ingress"] = [{"fromEndpoints": []}]
    run = run_on(api)
    with pytest.raises(FaultRefused, match=rf"something else .* \(at {where}\).*Nothing was ch"):
        inject(run, by_documents([document], "pets"), Limits((), 0), 0.0)
    assert api.writes == []
    assert run.ledger.all() == []


@pytest.mark.parametrize(
    ("asked", "stored", "typed", "expected"),
    [
        ({"a": 1}, {"a": 1, "policyTypes": ["Ingress"]}, False, ""),
        ({"a": 1}, {"a": 2}, True, "a"),
        ({"a": 1}, {"a": 1, "ingress": [{}]}, True, "ingress"),
        ({"from": []}, {}, True, ""),
        ({"from": []}, {}, False, "from"),
        ({"from": []}, {"from": [{"podSelector": {}}]}, True, "from"),
        ({"podSelector": {}}, {"podSelector": {"matchLabels": {"a": "b"}}}, True, SELECTED),
        ({"matchLabels": {"a": "b"}}, {"matchLabels": {"a": "b", "c": "d"}}, True, "matchLabels.c"),
        ({"ports": [{"port": 1}]}, {"ports": [{"port": 1, "protocol": "TCP"}]}, False, ""),
        ({"ports": [{"port": 1}]}, {"ports": []}, True, "ports"),
        ({"on": False}, {}, True, "on"),
        ({"on": 0}, {"on": 1}, True, "on"),
    ],
)
def test_defaults_are_told_from_changes(
    asked: dict[str, Any], stored: dict[str, Any], typed: bool, expected: str
) -> None:
    """A scalar more is a default; a rule, a peer or a label more is a change."""
    assert difference(asked, stored, typed) == expected
