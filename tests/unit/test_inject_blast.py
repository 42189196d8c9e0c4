"""Injecting within bounds: mutants by id, limits by flows, and never locking ourselves out."""

import copy
from typing import Any

import pytest

from acns_chaos.actions import inject_fault
from acns_chaos.cluster.inventory import take_inventory
from acns_chaos.cluster.policies import PolicyRef, content, policy_ref
from acns_chaos.errors import FaultRefused
from acns_chaos.faults.change import Change, by_documents, by_operator
from acns_chaos.faults.inject import inject
from acns_chaos.faults.ledger import Debt
from acns_chaos.faults.plan import Limits
from acns_chaos.faults.prediction import predict, require_no_lockout
from acns_chaos.faults.restore import restore_all
from acns_chaos.faults.runcontext import RunContext, arm, disarm
from tests.unit.fakes import STOREFRONT, FakeApi, pod, run_on, storefront_policy

REF = policy_ref("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
OPENS = "subject-value-misspelt"
CLUSTERWIDE = "/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies/baseline"
SERVICE = {
    "kind": "Service",
    "metadata": {"name": "store-front", "namespace": "pets"},
    "spec": {"selector": {"app": "store-front"}, "ports": [{"port": 80, "targetPort": 8080}]},
}


def shop() -> FakeApi:
    """The shop with a second workload, a service, and two rules that let customers in."""
    api = FakeApi()
    api.lists["/api/v1/pods"].append(pod("order-1", "order-service", 3000))
    api.lists["/api/v1/services"].append(SERVICE)
    api.objects[STOREFRONT]["spec"]["ingress"].append(
        {"fromEndpoints": [{"matchLabels": {"app": "order-service"}}]}
    )
    return api


def system_pod(name: str, labels: dict[str, str], port: int, protocol: str) -> dict[str, Any]:
    """A pod of kube-system."""
    one = pod(name, "x", port)
    one["metadata"] |= {"namespace": "kube-system", "labels": labels}
    one["spec"]["containers"][0]["ports"] = [{"containerPort": port, "protocol": protocol}]
    return one


def whole_cluster() -> FakeApi:
    """The shop with cluster DNS, Hubble relay, and a clusterwide policy that lets them work."""
    api = shop()
    api.lists["/api/v1/namespaces"].append({"metadata": {"name": "kube-system"}})
    api.lists["/api/v1/pods"] += [
        system_pod("coredns-1", {"k8s-app": "kube-dns"}, 53, "UDP"),
        system_pod("hubble-relay-1", {"k8s-app": "hubble-relay"}, 4245, "TCP"),
        system_pod("metrics-1", {"k8s-app": "metrics-server"}, 4443, "TCP"),
    ]
    api.objects[CLUSTERWIDE] = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumClusterwideNetworkPolicy",
        "metadata": {"name": "baseline", "resourceVersion": "5"},
        "spec": {
            "endpointSelector": {},
            "egress": [{"toEntities": ["cluster", "world"]}],
        },
    }
    return api


def break_it(
    run: RunContext,
    operator: str,
    change: Change | None = None,
    limit: tuple[str, ...] = (),
    max_flows: int = 0,
    ref: PolicyRef = REF,
) -> Debt:
    """Inject a mutant."""
    change = change or by_operator(operator, ref)
    (debt,) = inject(run, change, Limits(limit, max_flows), 0.0)
    return debt


def refused(api: FakeApi, operator: str, **more: Any) -> str:
    """The sentence with which a mutant is refused; nothing was written or owed."""
    run = run_on(api)
    with pytest.raises(FaultRefused) as error:
        break_it(run, operator, **more)
    assert api.writes == []
    assert run.ledger.all() == []
    return str(error.value)


@pytest.mark.parametrize(
    "operator",
    [
        "rule-removed@spec.ingress[0]",
        "pets/allow-store-front-traffic:rule-removed@spec.ingress[0]",
    ],
)
def test_a_mutant_is_injected_by_its_place_or_its_id(operator: str) -> None:
    """As `acns-chaos mutants` prints it."""
    api = shop()
    kept = copy.deepcopy(api.objects[STOREFRONT]["spec"]["ingress"][1])
    debt = break_it(run_on(api), operator)
    assert api.objects[STOREFRONT]["spec"]["ingress"] == [kept]
    assert debt.operator == operator
    assert debt.predicted == {"closed": ["world -> pets/store-front:8080/TCP"], "opened": []}


def test_an_operator_that_applies_at_several_places_needs_one() -> None:
    """The sentence lists them."""
    assert refused(shop(), "rule-removed") == (
        "Operator rule-removed applies at 2 places of pets/allow-store-front-traffic; write one of "
        "them behind it, as in rule-removed@spec.ingress[0]: spec.ingress[0], spec.ingress[1]. "
        "Nothing was changed."
    )


def test_a_mistake_is_made_with_what_is_live() -> None:
    """The service's port is taken for the container's: the cluster knows both."""
    api = shop()
    break_it(run_on(api), "port-off-service")
    ports = api.objects[STOREFRONT]["spec"]["ingress"][0]["toPorts"][0]["ports"]
    assert ports == [{"port": "80", "protocol": "TCP"}]


def test_a_mutant_that_deletes_is_injected_and_created_again() -> None:
    """The fault is the missing object, so the restore creates it: content as before."""
    api = shop()
    original = copy.deepcopy(api.objects[STOREFRONT])
    run = run_on(api)
    debt = break_it(run, "object-deleted")
    assert (debt.change, debt.fault) == ("delete", None)
    assert STOREFRONT not in api.objects
    restore_all(run, timeout=0)
    assert content(api.objects[STOREFRONT]) == content(original)
    assert debt.restored is not None
    assert debt.restored["by"] == "method"


def test_a_mutant_that_moves_the_object_is_two_debts_of_one_fault() -> None:
    """A policy applied without its namespace: one object is created elsewhere, one is missing."""
    api = shop()
    original = copy.deepcopy(api.objects[STOREFRONT])
    run = run_on(api)
    debts = inject(run, by_operator("namespace-forgotten", REF), Limits(), 0.0)
    assert [(debt.id, debt.change) for debt in debts] == [("f1.1", "create"), ("f1.2", "delete")]
    elsewhere = [path for path in api.objects if "/namespaces/default/cilium" in path]
    assert len(elsewhere) == 1
    restore_all(run, timeout=0)
    assert content(api.objects[STOREFRONT]) == content(original)
    assert elsewhere[0] not in api.objects


def test_a_fault_that_turns_too_many_flows_is_refused() -> None:
    """The number is held against the experiment's limit before anything is written."""
    sentence = refused(shop(), OPENS, max_flows=3)
    assert sentence.startswith("The fault would turn ")
    assert ", and the limit is 3 (opened kube-apiserver -> pets/store-front:8080/TCP" in sentence
    assert sentence.endswith("Narrow the fault or raise the limit. Nothing was changed.")


def test_a_fault_within_the_limit_is_injected() -> None:
    """Flows are counted by workload, not by pod."""
    api = shop()
    api.lists["/api/v1/pods"].append(pod("store-front-2", "store-front", 8080))
    debt = break_it(run_on(api), "rule-removed@spec.ingress[0]", max_flows=1)
    assert debt.predicted["closed"] == ["world -> pets/store-front:8080/TCP"]


def test_the_action_takes_the_limit_of_flows() -> None:
    """An experiment writes it beside the limit of workloads."""
    api = shop()
    arm(run_on(api))
    try:
        with pytest.raises(FaultRefused, match=r"would turn \d+ flows, and the limit is 1 "):
            inject_fault("allow-store-front-traffic", operator=OPENS, max_flows=1)
    finally:
        disarm()
    assert api.writes == []


@pytest.mark.parametrize(
    ("operator", "what"),
    [
        ("egress-to-nobody", "DNS for kube-system (kube-system/"),
        ("entity-mistaken@spec.egress[0].toEntities[0]", ""),
    ],
)
def test_a_fault_that_would_lock_us_out_is_refused(operator: str, what: str) -> None:
    """Whatever the limit says: nobody could watch it or take it back."""
    ref = policy_ref("CiliumClusterwideNetworkPolicy", "", "baseline")
    if not what:
        document = copy.deepcopy(whole_cluster().objects[CLUSTERWIDE])
        document["spec"]["egress"] = [{"toEntities": ["world"]}, {"toEndpoints": [{}]}]
        sentence = refused(whole_cluster(), "", ref=ref, change=by_documents([document], ""))
        assert sentence.startswith("The fault would cut the API server (kube-system/")
        return
    sentence = refused(whole_cluster(), operator, ref=ref)
    assert sentence.startswith(f"The fault would cut {what}")
    assert sentence.endswith(
        "such a fault is never injected, as nobody could watch it or take it back. Narrow the "
        "fault. Nothing was changed."
    )


def test_a_fault_on_the_shop_locks_nobody_out() -> None:
    """Its own DNS may be cut: that is a mistake people make."""
    document = storefront_policy()
    dns = {"matchLabels": {"io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns"}}
    document["spec"]["egressDeny"] = [{"toEndpoints": [dns]}]
    prediction = predict(take_inventory(whole_cluster()), {REF: document})  # type: ignore[arg-type]
    assert prediction.lockouts == ()
    require_no_lockout(prediction)
    assert "pets/store-front -> kube-system/kube-dns:53/UDP" in prediction.as_json()["closed"]
    assert prediction.opened == ()


def test_only_connections_are_for_a_witness_to_try() -> None:
    """A lookup or a request is in the journal, but nothing here can try it."""
    api = whole_cluster()
    live = storefront_policy()
    live["spec"]["egress"] = [
        {
            "toEntities": ["cluster"],
            "toPorts": [
                {
                    "ports": [{"port": "53", "protocol": "ANY"}],
                    "rules": {"dns": [{"matchPattern": "*"}]},
                }
            ],
        }
    ]
    api.objects[STOREFRONT] = live
    document = copy.deepcopy(live)
    document["spec"]["egress"][0]["toPorts"][0]["rules"]["dns"] = [{"matchName": "a.example.org"}]
    prediction = predict(take_inventory(api), {REF: document})  # type: ignore[arg-type]
    assert (prediction.closed, prediction.opened) == ((), ())
    assert prediction.radius.sentence() == (
        "closed pets/store-front -> kube-system/kube-dns:53/UDP asks for www.a.example.org, "
        "pets/store-front -> kube-system/kube-dns:53/UDP asks for www.example.com, "
        "pets/store-front -> kube-system/kube-dns:53/TCP asks for www.a.example.org, "
        "pets/store-front -> kube-system/kube-dns:53/TCP asks for www.example.com"
    )


def test_a_fault_that_only_turns_lookups_is_a_fault() -> None:
    """A name missing from the DNS rules closes no connection to anybody known."""
    api = whole_cluster()
    names = [{"matchName": "www.example.org"}, {"matchName": "api.example.org"}]
    api.objects[STOREFRONT]["spec"]["egress"] = [
        {
            "toEntities": ["cluster"],
            "toPorts": [{"ports": [{"port": "53", "protocol": "ANY"}], "rules": {"dns": names}}],
        }
    ]
    debt = break_it(
        run_on(api), "dns-name-forgotten@spec.egress[0].toPorts[0].rules.dns[1]", max_flows=2
    )
    assert debt.predicted["opened"] == []
    assert debt.predicted["closed"] == [
        "pets/store-front -> kube-system/kube-dns:53/TCP asks for api.example.org",
        "pets/store-front -> kube-system/kube-dns:53/UDP asks for api.example.org",
    ]
