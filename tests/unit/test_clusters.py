"""A live cluster as objects: what is needed, what may be missing, and the agents' settings."""

from typing import Any

import pytest

from acns_chaos.cluster.clusters import (
    agent_settings,
    read_cluster,
    read_objects,
    taken_over,
    world_of,
)
from acns_chaos.cluster.sources import Collection
from acns_chaos.errors import ApiError, Forbidden, NotFound, TargetError
from acns_chaos.policy import Settings

POD = {
    "metadata": {
        "name": "web-7f9c-x",
        "namespace": "shop",
        "labels": {"app": "web", "pod-template-hash": "7f9c"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "web-7f9c"}],
    },
    "spec": {"containers": [{"ports": [{"containerPort": 8080}]}]},
    "status": {"phase": "Running", "podIP": "10.0.0.7"},
}
CNP = "/apis/cilium.io/v2/ciliumnetworkpolicies"
GROUPS = "/apis/cilium.io/v2alpha1/ciliumcidrgroups"
CONFIG = "/api/v1/namespaces/kube-system/configmaps/cilium-config"


def policy(*ingress: Any, name: str = "web") -> dict[str, Any]:
    """A policy of namespace shop."""
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"endpointSelector": {"matchLabels": {"app": "web"}}, "ingress": list(ingress)},
    }


class Server:
    """Lists by path; whatever is not there is 404."""

    server = "https://10.0.0.1"

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {
            "/api/v1/pods": [POD],
            "/api/v1/namespaces": [{"metadata": {"name": "shop", "labels": {"team": "blue"}}}],
            "/api/v1/services": [],
            CNP: [policy({"fromEntities": ["world"]})],
            **answers,
        }

    def get(self, path: str, query: Any = None) -> dict[str, Any]:
        answer = self.answers.get(path, NotFound(f"no {path}", 404))
        if isinstance(answer, Exception):
            raise answer
        return {"data": answer} if path == CONFIG else {"apiVersion": "v1", "items": answer}


def test_a_cluster_is_read_whole() -> None:
    """Pods by their workload, namespaces, policies and CIDR groups; nothing is assumed."""
    group = {"metadata": {"name": "office"}, "spec": {"externalCIDRs": ["192.0.2.0/24"]}}
    found = read_objects(Server(**{GROUPS: [group], CONFIG: {}}), "cluster x")  # type: ignore[arg-type]
    world = world_of(found)
    assert found.notes == ()
    assert [o["kind"] for o in found.objects] == [
        "Pod",
        "Namespace",
        "CiliumCIDRGroup",
        "CiliumNetworkPolicy",
    ]
    assert world.complete
    assert world.workloads == {"shop/web-7f9c-x": "shop/web"}
    assert world.find("10.0.0.7") == world.find("shop/web")
    assert len(world.cidr_groups) == 1


def test_what_may_be_missing_is_noted_and_what_is_needed_is_an_error() -> None:
    """Nodes can be forbidden; pods cannot; a server that does not answer is a target error."""
    forbidden = Forbidden("nodes is forbidden", 403)
    found = read_objects(Server(**{"/api/v1/nodes": forbidden, CONFIG: forbidden}), "x")  # type: ignore[arg-type]
    assert found.notes == (
        "Node objects cannot be read, so verdicts do without them: nodes is forbidden.",
        "The agents' settings cannot be read, Cilium's defaults are taken: nodes is forbidden.",
    )
    with pytest.raises(Forbidden):
        read_objects(Server(**{"/api/v1/pods": forbidden}), "x")  # type: ignore[arg-type]
    silent = Server(**{"/api/v1/pods": ApiError("no answer")})
    with pytest.raises(TargetError, match="The API server of cluster x cannot be used: no answer"):
        read_objects(silent, "cluster x")  # type: ignore[arg-type]


def test_the_agents_settings_come_from_their_config_map() -> None:
    """Texts and switches; an unknown mode is not taken; the agents' own proxy is not asked."""
    assert agent_settings({}) == Settings()
    assert agent_settings(
        {
            "enable-policy": "always",
            "cluster-name": "west",
            "enable-host-firewall": "true",
            "policy-default-local-cluster": "false",
            "enable-l7-proxy": "false",
            "other": "x",
        }
    ) == Settings(
        enforcement="always", cluster_name="west", host_firewall=True, default_local_cluster=False
    )
    assert agent_settings({"enable-policy": "perhaps"}) == Settings()


def test_pods_are_of_the_cluster_that_the_agents_say() -> None:
    """Peers are limited to the local cluster, so its name must be right."""
    found = read_objects(Server(**{CONFIG: {"cluster-name": "west"}}), "x")  # type: ignore[arg-type]
    world = world_of(found)
    assert "k8s:io.cilium.k8s.policy.cluster=west" in world.find("shop/web").labels


def test_nothing_named_in_ci_is_an_error_for_looking_too() -> None:
    """The current context is never taken, nor the lab where nobody looks."""
    with pytest.raises(TargetError, match="ACNS_CHAOS_CLUSTER is not set in CI"):
        read_cluster("", {"CI": "true"})


def test_a_context_that_does_not_exist_is_named(tmp_path: Any, monkeypatch: Any) -> None:
    """By the name that was written."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(TargetError, match="kube context nowhere cannot be found"):
        read_cluster("nowhere")


def test_an_invalid_policy_leaves_its_older_version_in_force() -> None:
    """As agents do; a new invalid one has no effect; both are said."""
    world = world_of(read_objects(Server(), "x"))  # type: ignore[arg-type]
    rule = {"fromEntities": ["world"], "fromCIDR": ["192.0.2.0/24"]}
    changes = Collection("f.yaml", (policy(rule), policy(rule, name="new")))
    kept, notes = taken_over(world, changes)
    assert [o["metadata"]["name"] for o in kept.objects] == ["new"]
    assert [note.partition(": spec")[0] for note in notes] == [
        (
            "f.yaml: the agents refuse CiliumNetworkPolicy shop/web, so its older version stays "
            "in force"
        ),
        "f.yaml: the agents refuse CiliumNetworkPolicy shop/new, so it has no effect",
    ]
