"""Worlds: from Kubernetes objects to endpoints, and from what a person types to one of them."""

from typing import Any

import pytest

from acns_chaos.errors import PolicyError
from acns_chaos.policy import Endpoint, Settings, World, verdict
from tests.policy.policy_cases import ccnp, cnp, knp

NAMESPACE = {"kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "blue"}}}
NODE = {
    "kind": "Node",
    "metadata": {"name": "n1"},
    "status": {"addresses": [{"type": "InternalIP", "address": "10.1.0.4"}]},
}
SERVICE = {
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"clusterIP": "10.2.0.9", "selector": {"app": "web"}, "ports": [{"port": 80}]},
}
EXTERNAL = {
    "kind": "Service",
    "metadata": {"name": "ext", "namespace": "shop"},
    "spec": {"ports": [{"port": 80}]},
}
SLICE = {
    "kind": "EndpointSlice",
    "metadata": {
        "name": "ext-1",
        "namespace": "shop",
        "labels": {"kubernetes.io/service-name": "ext"},
    },
    "endpoints": [{"addresses": ["198.51.100.7"]}],
}
POLICY = cnp({"endpointSelector": {"matchLabels": {"app": "web"}}, "ingress": [{}]})


def pod(name: str, ip: str = "", phase: str = "Running", **labels: str) -> dict[str, Any]:
    """A raw pod of namespace shop."""
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"phase": phase, "podIP": ip},
    }


def owned(name: str, kind: str, owner: str, **labels: str) -> dict[str, Any]:
    """A raw pod with an owner."""
    raw = pod(name, **labels)
    raw["metadata"]["ownerReferences"] = [{"kind": kind, "name": owner}]
    return raw


HOST_POD = pod("agent", "10.1.0.4")
HOST_POD["spec"]["hostNetwork"] = True
LIVE = World.of(
    [
        NAMESPACE,
        NODE,
        SERVICE,
        EXTERNAL,
        SLICE,
        POLICY,
        owned("web-5d9f-a", "ReplicaSet", "web-5d9f", app="web", **{"pod-template-hash": "5d9f"}),
        owned("dns-1", "ReplicaSet", "coredns-77", **{"k8s-app": "kube-dns"}),
        owned("db-0", "StatefulSet", "db", app="database"),
        owned("tick-28012345", "Job", "tick-28012345", job="tick"),
        pod("bare", "10.3.0.8", app="api"),
        pod("gone", "10.3.0.9", phase="Succeeded", app="old"),
    ],
    complete=True,
)


def test_pods_get_their_workload_from_owner_label_or_name() -> None:
    """Deployment through its ReplicaSet, StatefulSet, CronJob; finished pods are no endpoints."""
    assert LIVE.workloads == {
        "shop/web-5d9f-a": "shop/web",
        "shop/dns-1": "shop/coredns-77",
        "shop/db-0": "shop/db",
        "shop/tick-28012345": "shop/tick",
        "shop/bare": "shop/api",
    }


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("shop/web", "shop/web-5d9f-a"),
        ("shop/db", "shop/db-0"),
        ("shop/database", "shop/db-0"),
        ("shop/kube-dns", "shop/dns-1"),
        ("shop/db-0", "shop/db-0"),
        ("pod:shop/db-0", "shop/db-0"),
        ("db", "shop/db-0"),
        ("web.shop.svc", "shop/web-5d9f-a"),
        ("web.shop.svc.cluster.local.", "shop/web-5d9f-a"),
        ("ext.shop.svc", "198.51.100.7"),
        ("10.3.0.8", "shop/bare"),
        ("10.1.0.4", "node n1"),
        ("labels:shop/app=api", "shop/bare"),
        ("labels:shop/app=new,tier=x", "shop/app=new,tier=x"),
        ("labels:shop/", "shop/a pod without labels"),
        ("world", "world"),
        ("kube-apiserver", "kube-apiserver"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("WWW.bing.com.", "www.bing.com"),
        (" world ", "world"),
    ],
)
def test_what_people_type_is_found(text: str, name: str) -> None:
    """Workloads, pods, labels, services, addresses, entities, names."""
    assert LIVE.find(text).name == name


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Nothing is named: give a workload, an entity, an address or a name."),
        ("shop/wep", "There is no workload or pod 'shop/wep'; did you mean shop/web"),
        (
            "shop/nothing-like-it",
            (
                "There is no workload or pod 'shop/nothing-like-it'; there are shop/api, "
                "shop/coredns-77, shop/database, shop/db, shop/kube-dns, shop/tick, "
                "shop/tick-28012345, shop/web."
            ),
        ),
        ("pod:shop/x", "There is no pod 'shop/x'; there are "),
        ("wrld", "'wrld' is no entity, workload, address or DNS name; did you mean world."),
        ("all", "The entity all is not one endpoint; name one of world, host,"),
        ("10.0.0.0/8", "10.0.0.0/8 is a prefix, not an endpoint; name one address in it."),
        ("fe80::1%eth0", "fe80::1%eth0 has a zone; write the address without it."),
        (
            "10.2.0.9",
            (
                "10.2.0.9 is the address of a service; policy sees the pod behind it: name "
                "web.shop.svc, and the target port."
            ),
        ),
        ("none.shop.svc", "There is no service 'none.shop.svc'"),
        ("labels:app=web", "'labels:app=web' names no namespace; write labels:pets/app=web."),
        ("labels:shop/app", "'app' in 'labels:shop/app' is no label; write key=value."),
        ("a b.com", "'a b.com' is no DNS name: invalid characters in matchName 'a b.com'"),
    ],
)
def test_what_means_nothing_is_answered_with_what_there_is(text: str, sentence: str) -> None:
    """One sentence that helps to go on."""
    with pytest.raises(PolicyError) as caught:
        LIVE.find(text)
    assert str(caught.value).startswith(sentence)


def test_a_bare_name_in_two_namespaces_is_asked_back() -> None:
    """Nobody guesses which one."""
    other = pod("x", app="api")
    other["metadata"]["namespace"] = "data"
    world = World.of([pod("y", app="api"), other])
    with pytest.raises(PolicyError, match="'api' may be data/api or shop/api; write one of them"):
        world.find("api")


def test_what_a_person_should_know_comes_with_the_answer() -> None:
    """A pod behind an address, an imagined pod, a workload whose pods differ."""
    world = World.of([pod("a", app="web"), pod("b", app="web", canary="yes")])
    assert world.lookup("shop/web").note == (
        "The pods of shop/web differ in their labels; this is about shop/a, name another with pod:."
    )
    assert LIVE.lookup("10.3.0.8").note == "10.3.0.8 is the address of shop/bare."
    assert LIVE.lookup("labels:shop/x=y").note == (
        "No known pod has just the labels x=y; one is imagined."
    )
    assert "rules by prefix do not count" in LIVE.lookup("a.example.com").note


def test_host_network_pods_are_the_node() -> None:
    """Policy sees nothing else of them, but they can be named."""
    world = World.of([HOST_POD])
    assert world.endpoints == ()
    assert world.find("shop/agent").labels == frozenset({"reserved:host="})


def test_manifests_stand_for_the_pods_they_make() -> None:
    """A Deployment without pods counts; one whose pods are given does not count twice."""
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}
    deployment = {
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"template": template},
    }
    cron = {
        "kind": "CronJob",
        "metadata": {"name": "tick"},
        "spec": {"jobTemplate": {"spec": {"template": template}}},
    }
    assert [e.name for e in World.of([deployment, cron]).endpoints] == ["shop/web", "default/tick"]
    real = owned("web-1-a", "ReplicaSet", "web-1", app="web", **{"pod-template-hash": "1"})
    assert [e.name for e in World.of([deployment, real]).endpoints] == ["shop/web-1-a"]


def test_pods_are_assumed_from_what_policies_select() -> None:
    """Subjects and peers, in their namespaces, where nobody gave pods."""
    world = World.of(
        [
            cnp(
                {
                    "endpointSelector": {"matchLabels": {"app": "web"}},
                    "ingress": [
                        {"fromEndpoints": [{"matchLabels": {"app": "api", "tier": "back"}}]},
                        {
                            "fromEndpoints": [
                                {
                                    "matchLabels": {
                                        "k8s:io.kubernetes.pod.namespace": "mon",
                                        "k8s:app.kubernetes.io/name": "prom",
                                    },
                                    "matchExpressions": [{"key": "x", "operator": "DoesNotExist"}],
                                }
                            ]
                        },
                        {"fromEndpoints": [{"matchLabels": {"reserved:ingress": ""}}, {}]},
                    ],
                }
            ),
            knp(
                {
                    "podSelector": {
                        "matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]
                    },
                    "ingress": [
                        {"from": [{"namespaceSelector": {"matchLabels": {"team": "red"}},
                                   "podSelector": {"matchLabels": {"app": "job"}}}]}
                    ],
                }
            ),
            ccnp({"endpointSelector": {"matchLabels": {"app": "all"}}, "ingress": [{}]}),
        ]
    )  # fmt: skip
    assert [e.name for e in world.endpoints] == [
        "(namespace with team=red)/job",
        "mon/all",
        "mon/prom",
        "shop/a",
        "shop/all",
        "shop/api",
        "shop/b",
        "shop/web",
    ]
    assert world.assumed == frozenset(world.endpoints)
    assert world.find("shop/api").labels >= {"k8s:app=api", "k8s:tier=back"}
    assert verdict(world, "mon/prom", "shop/web", 80).verdict == "ALLOWED"
    job = world.find("(namespace with team=red)/job")
    assert verdict(world, job, "shop/a", 80).verdict == "ALLOWED"


def test_pods_of_a_native_policy_are_assumed_where_it_selects_them() -> None:
    """In its own namespace, whatever namespace stands among their labels."""
    foreign = {"matchLabels": {"io.kubernetes.pod.namespace": "data", "app": "web"}}
    world = World.of([knp({"podSelector": foreign, "ingress": [{"from": [{"podSelector": {}}]}]})])
    assert [e.name for e in world.endpoints] == ["shop/web"]


def test_nothing_is_assumed_where_pods_are_known() -> None:
    """In that namespace; in a complete world, nowhere."""
    policy = cnp(
        {
            "endpointSelector": {"matchLabels": {"app": "typo"}},
            "egress": [
                {
                    "toEndpoints": [
                        {"matchLabels": {"io.kubernetes.pod.namespace": "kube-system", "a": "b"}}
                    ]
                }
            ],
        }
    )
    objects = [pod("x", app="web"), policy]
    assert [e.name for e in World.of(objects).assumed] == ["kube-system/a=b"]
    assert World.of(objects, complete=True).assumed == frozenset()


def test_of_an_object_given_twice_the_later_one_counts() -> None:
    """As when they are applied one after the other."""
    later = cnp({"endpointSelector": {}, "egress": [{}]})
    assert World.of([POLICY, later]).policies == (later,)


def test_other_policies_in_the_same_world() -> None:
    """What is assumed follows the policies, what is known stays."""
    world = World.of([POLICY])
    other = cnp({"endpointSelector": {"matchLabels": {"app": "other"}}, "ingress": [{}]})
    assert [e.name for e in world.with_policies([other]).endpoints] == ["shop/other"]
    assert LIVE.with_policies([]).endpoints == LIVE.endpoints


def test_invalid_policies_are_listed_and_have_no_effect() -> None:
    """The world can still be asked."""
    bad = cnp({"endpointSelector": {}, "ingress": [{"fromEntities": ["wrld"]}]}, name="bad")
    world = World.of([POLICY, bad])
    assert [str(ref) for ref in world.invalid] == ["shop/bad"]
    assert verdict(world, "world", "shop/web", 80).drop_reason == "POLICY_DENIED"


@pytest.mark.parametrize(
    ("obj", "sentence"),
    [
        ({"kind": "Pod", "metadata": {"name": "x", "labels": [1]}}, "The Pod x is malformed"),
        ({"kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": 3}}, "The Pod x is"),
        (
            {"kind": "Pod", "metadata": {"name": "x", "ownerReferences": [3]}},
            "The Pod x is malformed and cannot be read: 'int' object has no attribute 'get'.",
        ),
        ({"kind": "Deployment", "metadata": {"name": "d"}, "spec": 3}, "The Deployment d is"),
        ({"kind": "Service", "metadata": {"name": "s"}, "spec": 3}, "In the Service 's' the field"),
        (
            {"kind": "CiliumCIDRGroup", "metadata": {"name": "g"}, "spec": 1},
            "In the CiliumCIDRGroup 'g' the field spec is not an object.",
        ),
        ({"kind": "Node", "metadata": {"name": "n"}, "status": 1}, "The Node n is malformed"),
        ({"kind": "Pod", "metadata": []}, "A Pod has no metadata.name"),
        ({"metadata": {}}, "An object without a kind was given"),
        ("text", "An object without a kind was given: 'text'."),
        ({"kind": "NetworkPolicy", "metadata": {}}, "A NetworkPolicy has no metadata.name"),
    ],
)  # fmt: skip
def test_a_malformed_object_is_named(obj: Any, sentence: str) -> None:
    """One sentence, no traceback from inside."""
    with pytest.raises(PolicyError) as caught:
        World.of([obj])
    assert str(caught.value).startswith(sentence)


def test_a_world_from_its_short_form() -> None:
    """As in the vectors: endpoints by name, settings, namespaces."""
    world = World.from_json(
        {
            "policies": [POLICY],
            "namespaces": {"shop": {"team": "blue"}},
            "endpoints": {
                "w": {"namespace": "shop", "labels": {"app": "web"}},
                "o": {"ip": "1.2.3.4"},
            },
            "config": {"policyEnforcementMode": "never"},
        }
    )  # fmt: skip
    assert [e.name for e in world.endpoints] == ["shop/web", "1.2.3.4"]
    assert world.settings == Settings(enforcement="never")
    assert verdict(world, "1.2.3.4", "shop/web", 80).verdict == "ALLOWED"
    with pytest.raises(PolicyError, match="This describes no world"):
        World.from_json({"policies": [POLICY], "endpoints": {"w": 3}})


def test_endpoints_can_be_given_instead_of_texts() -> None:
    """The engine behind is the same."""
    outside = Endpoint.outside("192.0.2.1")
    assert verdict(LIVE, outside, LIVE.find("shop/web"), 80).ingress.drop_reason == "POLICY_DENIED"
