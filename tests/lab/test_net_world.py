"""Worlds: what is in the two that come along, and what is said about a bad file."""

import json
from pathlib import Path

import pytest

from acns_chaos.lab.world import WorldError, load_world, world_names
from acns_chaos.policy.validity import problems

NODE = "{apiVersion: v1, kind: Node, metadata: {name: a}}"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def policies(world):
    return {o["metadata"]["name"]: o for o in world.objects if o["kind"] == "CiliumNetworkPolicy"}


def test_worlds_come_with_the_lab():
    """The lab offers its worlds by name, and hides the files they share."""
    assert {"pets", "pets-workshop", "pets-allinone"} <= set(world_names())
    assert not {"cluster", "shop"} & set(world_names())


@pytest.mark.parametrize("name", ["pets", "pets-workshop"])
def test_a_world_holds_the_four_policies_as_kubectl_left_them(name):
    """Each policy is valid, and its saved configuration equals its spec."""
    found = policies(load_world(name))
    assert sorted(found) == [
        "allow-order-service-traffic",
        "allow-product-service-traffic",
        "allow-rabbitmq-traffic",
        "allow-store-front-traffic",
    ]
    for policy in found.values():
        assert problems(policy) == []
        saved = json.loads(policy["metadata"]["annotations"][LAST_APPLIED])
        assert saved["spec"] == policy["spec"]
        assert saved["metadata"] == {
            "annotations": {},
            "name": policy["metadata"]["name"],
            "namespace": "pets",
        }


def test_the_storefront_policy_is_written_as_people_write_it():
    """Its fromEntities names the world and the port is a string."""
    spec = policies(load_world("pets"))["allow-store-front-traffic"]["spec"]
    assert spec["ingress"] == [
        {
            "fromEntities": ["world"],
            "toPorts": [{"ports": [{"port": "8080", "protocol": "TCP"}]}],
        }
    ]


def test_the_workshop_world_has_no_dns_rule_and_keeps_the_empty_egress_list():
    """The base step allows DNS to nobody, and rabbitmq keeps its `egress: []`."""
    found = policies(load_world("pets-workshop"))
    assert "53" not in json.dumps([p["spec"] for p in found.values()])
    assert found["allow-rabbitmq-traffic"]["spec"]["egress"] == []


def test_the_workshop_world_keeps_the_later_steps_as_data():
    """The FQDN and chaos files are there: same names, no namespace, and the rule for nobody."""
    later = load_world("pets-workshop").later
    assert later["fqdn"][0]["metadata"] == {"name": "allow-order-service-traffic"}
    assert "ingress" not in later["fqdn"][0]["spec"]
    assert later["chaos"][0]["spec"]["ingress"] == [{"fromEndpoints": []}]


def test_the_cluster_is_the_one_of_the_workshop():
    """kube-dns, the load balancer, the relay and the agent's version are where clients look."""
    objects = {(o["kind"], o["metadata"]["name"]): o for o in load_world("pets").objects}
    assert objects["Service", "kube-dns"]["spec"]["clusterIP"] == "10.0.0.10"
    front = objects["Service", "store-front"]
    assert front["spec"]["ports"][0]["port"] == 80
    assert front["spec"]["ports"][0]["targetPort"] == 8080
    assert front["status"]["loadBalancer"]["ingress"][0]["ip"].startswith("203.0.113.")
    agents = [
        o for o in objects.values() if o["metadata"].get("labels", {}).get("k8s-app") == "cilium"
    ]
    pod = next(o for o in agents if o["kind"] == "Pod")
    assert pod["spec"]["containers"][0]["image"].endswith(":v1.19.4")
    assert ("ConfigMap", "cilium-config") in objects
    assert ("Service", "hubble-relay") in objects
    assert ("Pod", "rabbitmq-0") in objects
    assert "uid" not in objects["Namespace", "kube-system"]["metadata"]


def test_an_unknown_world_is_refused_in_one_sentence():
    """The message lists the worlds there are."""
    with pytest.raises(WorldError) as caught:
        load_world("zoo")
    assert str(caught.value) == (
        f'There is no world "zoo": name one of {", ".join(world_names())}, generated:N, or a YAML '
        "file."
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "is not YAML"),
        ("- 1", "must be a mapping"),
        ("name: x\nobjekts: []", "has the unknown key `objekts`"),
        ("name: x", "`objects` is empty"),
        ("objects: [{kind: Pod}]", "objects[0] is no Kubernetes object"),
        ("objects: [{apiVersion: v1, kind: Pod, metadata: {}}]", "has no metadata.name"),
        (
            f"objects: [{NODE}, {NODE}]",
            "Node a is listed twice",
        ),
        ("include: [nothing.yaml]", "cannot be read"),
        (
            f"objects: [{NODE}]\noutside: {{a.example: {{addresses: [here]}}}}",
            "is not a world",
        ),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path: Path, text: str, says: str):
    """Whatever is wrong with a file, one line names the file and the fault."""
    path = tmp_path / "world.yaml"
    path.write_text(text)
    with pytest.raises(WorldError) as caught:
        load_world(str(path))
    message = str(caught.value)
    assert says in message
    assert "world.yaml" in message or "nothing.yaml" in message
    assert "\n" not in message


def test_a_file_that_includes_itself_is_refused(tmp_path: Path):
    """A loop of includes ends in a sentence, not in a stack."""
    path = tmp_path / "loop.yaml"
    path.write_text("include: [loop.yaml]")
    with pytest.raises(WorldError, match="includes itself"):
        load_world(str(path))


def test_a_file_of_ones_own_can_build_on_the_labs(tmp_path: Path):
    """An include is looked for beside the file, then among the lab's own."""
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ninclude: [cluster.yaml]\n")
    world = load_world(str(path))
    assert world.name == "mine"
    assert world.shop is None
    assert any(o["metadata"]["name"] == "kube-dns" for o in world.objects)
