"""Label keys, operators, automatic scoping, and the labels of identities."""

from typing import Any

import pytest

from acns_chaos.errors import PolicyError
from acns_chaos.policy import Endpoint
from tests.policy.policy_cases import (
    API,
    APISERVER,
    DB,
    HOST,
    INIT,
    NAMESPACES,
    OUTSIDE,
    REMOTE,
    TO_API,
    WEB,
    WEST,
    WORLD,
    ccnp,
    cnp,
    ingress,
    judge,
    to_api,
)

NAMESPACE = "k8s:io.kubernetes.pod.namespace"
CLUSTER = "k8s:io.cilium.k8s.policy.cluster"
NO = "POLICY_DENIED"


def peer(selector: dict[str, Any], source: Endpoint, kind: Any = cnp) -> str:
    """What a rule with one endpoint selector says of a source."""
    spec = {"endpointSelector": TO_API, "ingress": [{"fromEndpoints": [selector]}]}
    return ingress(kind(spec), source)


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    """A selector of one expression."""
    item: dict[str, Any] = {"key": key, "operator": operator}
    return {"matchExpressions": [{**item, "values": list(values)} if values else item]}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("app", "ALLOWED"),
        ("k8s:app", "ALLOWED"),
        ("any:app", "ALLOWED"),
        (":app", "ALLOWED"),
        ("container:app", NO),
        ("reserved:app", NO),
    ],
)
def test_the_prefix_of_a_key_is_the_source_of_the_label(key: str, expected: str) -> None:
    """Pod labels come from Kubernetes; a key without prefix takes any source."""
    assert peer({"matchLabels": {key: "web"}}, WEB) == expected


@pytest.mark.parametrize("key", ["reserved:world", "reserved.world", "$world"])
def test_a_reserved_label_can_be_written_three_ways_and_lifts_all_scoping(key: str) -> None:
    """Then neither the namespace nor the cluster is added."""
    assert peer({"matchLabels": {key: ""}}, OUTSIDE) == "ALLOWED"
    assert peer({"matchLabels": {key: ""}}, WEB) == NO


@pytest.mark.parametrize(
    ("selector", "web", "api"),
    [
        (expression("app", "In", "web", "cart"), "ALLOWED", NO),
        (expression("app", "NotIn", "web"), NO, "ALLOWED"),
        (expression("tier", "NotIn", "front"), "ALLOWED", "ALLOWED"),
        (expression("tier", "Exists"), NO, "ALLOWED"),
        (expression("tier", "DoesNotExist"), "ALLOWED", NO),
        ({"matchLabels": {"app": "Web"}}, NO, NO),
        ({"matchLabels": {"app": ""}}, NO, NO),
        ({"matchLabels": {"tier": "back"}, **expression("app", "NotIn", "api")}, NO, NO),
    ],
)
def test_operators_of_expressions(selector: dict[str, Any], web: str, api: str) -> None:
    """NotIn also matches what lacks the key; all conditions of a selector must hold."""
    assert peer(selector, WEB) == web
    assert peer(selector, API) == api


def test_an_empty_value_needs_the_key_with_an_empty_value() -> None:
    """A label that is set to something else does not count, nor does its absence."""
    flagged = Endpoint.pod("shop", {"flag": ""})
    assert peer({"matchLabels": {"flag": ""}}, flagged) == "ALLOWED"
    assert peer({"matchLabels": {"flag": ""}}, WEB) == NO
    assert peer({"matchLabels": {"flag": ""}}, Endpoint.pod("shop", {"flag": "on"})) == NO


def test_a_peer_is_limited_to_the_policys_namespace_unless_it_names_one() -> None:
    """Any key of the namespace lifts the limit, whatever its operator."""
    assert peer({"matchLabels": {"app": "db"}}, DB) == NO
    assert peer({"matchLabels": {NAMESPACE: "data"}}, DB) == "ALLOWED"
    assert peer({"matchLabels": {"io.kubernetes.pod.namespace": "data"}}, DB) == "ALLOWED"
    assert peer({"matchLabels": {NAMESPACE: "data"}}, WEB) == NO
    assert peer(expression(NAMESPACE, "Exists"), DB) == "ALLOWED"
    assert peer(expression(NAMESPACE, "NotIn", "shop"), DB) == "ALLOWED"


def test_lifting_the_namespace_keeps_nodes_and_the_outside_out() -> None:
    """The match on the cluster still binds."""
    selector = expression(NAMESPACE, "NotIn", "nowhere")
    assert peer(selector, REMOTE) == NO
    assert peer(selector, OUTSIDE) == NO


def test_labels_of_the_namespace_lift_the_limit_of_a_cnp() -> None:
    """A selector on namespace metadata selects pods of all such namespaces."""
    selector = {"matchLabels": {"k8s:io.cilium.k8s.namespace.labels.team": "red"}}
    assert peer(selector, DB) == "ALLOWED"
    assert peer(selector, WEB) == NO


def test_labels_of_the_namespace_from_another_source_keep_the_limit_of_a_cnp() -> None:
    """Only those of Kubernetes, or of any source, are about namespaces."""
    key = "io.cilium.k8s.namespace.labels.colour"
    assert peer(expression(f"container:{key}", "DoesNotExist"), DB) == NO
    assert peer(expression(f"container:{key}", "DoesNotExist"), WEB) == "ALLOWED"
    assert peer(expression(f"any:{key}", "DoesNotExist"), DB) == "ALLOWED"


def test_peers_are_of_the_local_cluster_unless_they_name_one() -> None:
    """Since 1.19; the agent option switches it off."""
    assert peer({"matchLabels": {"app": "web"}}, WEST) == NO
    assert peer({"matchLabels": {"app": "web", CLUSTER: "west"}}, WEST) == "ALLOWED"
    assert peer(expression(CLUSTER, "Exists"), WEST) == "ALLOWED"
    policy = to_api({"fromEndpoints": [{"matchLabels": {"app": "web"}}]})
    assert ingress(policy, WEST, settings={"policyDefaultLocalCluster": False}) == "ALLOWED"


def test_a_clusterwide_peer_is_any_pod_of_any_namespace() -> None:
    """But no node and nothing outside."""
    selector = {"matchLabels": {"app": "db"}}
    assert peer(selector, DB, ccnp) == "ALLOWED"
    assert peer(expression("app", "NotIn", "x"), OUTSIDE, ccnp) == NO
    assert peer(expression("app", "NotIn", "x"), APISERVER, ccnp) == NO


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        ({}, True),
        ({"matchLabels": {"app": "api"}}, True),
        ({"matchLabels": {NAMESPACE: "data", "app": "api"}}, True),
        ({"matchLabels": {"io.kubernetes.pod.namespace": "data"}}, False),
        (expression(NAMESPACE, "In", "data"), False),
        ({"matchLabels": {"app": "db"}}, False),
    ],
)
def test_the_subject_of_a_cnp_is_forced_into_its_namespace(
    selector: dict[str, Any], selects: bool
) -> None:
    """A foreign namespace is overwritten under one spelling only; otherwise nothing is selected."""
    side = judge(cnp({"endpointSelector": selector, "ingress": [{}]}), WEB, API).ingress
    assert (side.verdict == "DENIED") is selects
    assert [str(ref) for ref in side.selecting] == (["shop/p"] if selects else [])


def test_a_clusterwide_subject_is_not_scoped() -> None:
    """It selects pods of every namespace."""
    policy = ccnp({"endpointSelector": {}, "ingress": [{}]})
    assert judge(policy, WEB, DB, 5432).ingress.verdict == "DENIED"
    assert judge(policy, WEB, API).ingress.verdict == "DENIED"


def test_a_clusterwide_policy_for_init_adds_no_namespace_to_its_peers() -> None:
    """Endpoints without labels have no namespace to be found by."""
    subject = {"matchLabels": {"reserved:init": ""}}
    policy = ccnp(
        {
            "endpointSelector": subject,
            "ingress": [{"fromEndpoints": [expression("app", "NotIn", "x")]}],
        }
    )
    off = {"policyDefaultLocalCluster": False}
    assert judge(policy, OUTSIDE, INIT, settings=off).ingress.verdict == "ALLOWED"
    assert judge(policy, OUTSIDE, INIT).ingress.verdict == "DENIED"
    policy["spec"]["endpointSelector"] = {"matchLabels": {"init": "yes"}}
    pod = Endpoint.pod("shop", {"init": "yes"})
    assert judge(policy, OUTSIDE, pod, settings=off).ingress.verdict == "DENIED"


def test_the_labels_of_a_pods_identity() -> None:
    """Its relevant labels, namespace, namespace labels, cluster and service account."""
    pod = Endpoint.pod(
        "pets",
        {
            "app": "store-front",
            "app.kubernetes.io/name": "front",
            "pod-template-hash": "68846476f4",
            "controller-revision-hash": "x",
            "statefulset.kubernetes.io/pod-name": "a-0",
            "topology.kubernetes.io/zone": "1",
            "batch.kubernetes.io/controller-uid": "7f",
            "batch.kubernetes.io/job-name": "j",
        },
        name="store-front-68846476f4-x2x9k",
        namespace_labels={"team": "blue"},
    )
    assert pod.name == "pets/store-front-68846476f4-x2x9k"
    assert pod.labels == {
        "k8s:app=store-front",
        "k8s:app.kubernetes.io/name=front",
        "k8s:batch.kubernetes.io/job-name=j",
        "k8s:io.kubernetes.pod.namespace=pets",
        "k8s:io.cilium.k8s.namespace.labels.team=blue",
        "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=pets",
        "k8s:io.cilium.k8s.policy.cluster=default",
        "k8s:io.cilium.k8s.policy.serviceaccount=default",
    }


@pytest.mark.parametrize(
    ("key", "seen"),
    [
        ("batch.kubernetes.io/job-name", True),
        ("gateway.networking.k8s.io/gateway-name", True),
        ("apps.kubernetes.io/part", True),
        ("app.kubernetes.io/name", True),
        ("node.kubernetes.io/pool", True),
        ("my-pod-template-hash", True),
        ("apps.kubernetes.io/pod-index", False),
        ("batch.kubernetes.io/job-completion-index", False),
        ("batch.kubernetes.io/controller-uid", False),
        ("kubernetes.io/hostname", False),
        ("k8s.io/cluster", False),
        ("io.kubernetes.container", False),
        ("failure-domain.beta.kubernetes.io/zone", False),
        ("beta.kubernetes.io/os", False),
        ("annotations.example.com/x", False),
    ],
)
def test_a_label_is_hidden_by_the_start_of_its_key(key: str, seen: bool) -> None:
    """Kubernetes' own domains are hidden, the domains below them are not."""
    pod = Endpoint.pod("shop", {"app": "web", key: "x"})
    assert (f"k8s:{key}=x" in pod.labels) is seen
    assert (peer({"matchLabels": {key: "x"}}, pod) == "ALLOWED") is seen


def test_a_raw_pod_becomes_an_endpoint() -> None:
    """With its address, its ports (named or not) and the labels of its namespace."""
    pod = {
        "metadata": {"name": "api-7", "namespace": "shop", "labels": {"app": "api"}},
        "spec": {
            "serviceAccountName": "runner",
            "containers": [
                {
                    "ports": [
                        {"name": "http", "containerPort": 8080},
                        {"containerPort": 5353, "protocol": "UDP"},
                    ]
                },
                {},
            ],
        },
        "status": {"podIP": "10.0.0.7"},
    }
    endpoint = Endpoint.from_pod(pod, {"metadata": {"name": "shop", "labels": {"team": "blue"}}})
    assert endpoint.name == "shop/api-7"
    assert endpoint.ip == "10.0.0.7"
    assert endpoint.named_ports == (("http", 8080, "TCP"),)
    assert endpoint.ports == ((5353, "UDP"), (8080, "TCP"))
    assert "k8s:io.cilium.k8s.policy.serviceaccount=runner" in endpoint.labels
    assert "k8s:io.cilium.k8s.namespace.labels.team=blue" in endpoint.labels


def test_a_raw_pod_in_the_host_network_is_the_host_to_policy() -> None:
    """Its own labels are not seen."""
    pod = {"metadata": {"name": "proxy", "namespace": "kube-system"}, "spec": {"hostNetwork": True}}
    endpoint = Endpoint.from_pod(pod)
    assert endpoint.name == "kube-system/proxy"
    assert endpoint.labels == {"reserved:host="}


def test_the_engine_knows_the_labels_of_namespaces_that_endpoints_lack() -> None:
    """A pod built without its namespace's labels is completed."""
    bare = Endpoint.pod("data", {"app": "db"})
    assert NAMESPACES["data"] == {"team": "red"}
    assert peer({"matchLabels": {"io.cilium.k8s.namespace.labels.team": "red"}}, bare) == "ALLOWED"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Endpoint.entity("planet"), "Entity 'planet' is not an endpoint"),
        (lambda: Endpoint.from_json({"pod": "x"}), "is neither a pod (namespace), an entity"),
        (lambda: Endpoint.from_pod({"metadata": {}}), "without metadata.name"),
    ],
)
def test_an_endpoint_that_cannot_be_made_is_refused_in_a_sentence(make: Any, sentence: str) -> None:
    """No traceback for bad input."""
    with pytest.raises(PolicyError) as error:
        make()
    assert sentence in str(error.value)


def test_endpoints_have_short_json_forms() -> None:
    """Pods, entities and addresses, as scenario files write them."""
    assert Endpoint.from_json({"entity": "world"}) == WORLD
    assert Endpoint.from_json({"entity": "host"}) == HOST
    assert Endpoint.from_json({"ip": "203.0.113.10"}) == OUTSIDE
    pod = Endpoint.from_json(
        {"namespace": "shop", "labels": {"app": "x"}, "namedPorts": {"Web": {"port": 80}}}
    )
    assert pod.name == "shop/x"
    assert pod.named_ports == (("web", 80, "TCP"),)
