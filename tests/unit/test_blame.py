"""Who is to blame: drops, live policies and what changed, in one paragraph."""

from dataclasses import replace

import pytest

from acns_chaos.cluster.hubble import Evidence, Peer, PolicyName
from acns_chaos.evidence.blame.changes import Change
from acns_chaos.evidence.blame.clustername import in_its_cluster
from acns_chaos.evidence.blame.events import Said
from acns_chaos.policy import ObjectRef, Settings
from tests.unit.blame_cases import (
    AT,
    ORDERS,
    OUTSIDE,
    SHOP,
    applied,
    blamed,
    flow,
    lookup,
    packet,
    pod_peer,
    policy,
    storefront,
    world,
)

NOBODY = {"fromEndpoints": [], "toPorts": [{"ports": [{"port": "8080"}]}]}
FRONT = ObjectRef("CiliumNetworkPolicy", "pets", "front")
CLUSTER = "io.cilium.k8s.policy.cluster"
LOSSY = Evidence(False, 7, (), ("7 flows were lost",))


def test_the_policy_its_rule_and_what_changed_are_named() -> None:
    """A default deny: who selects the shop, which rule is nearest, who changed what, the mend."""
    found = blamed(packet() + packet(at=AT + 1), applied(storefront(NOBODY), storefront()))
    assert found.state == "NAMED"
    assert found.culprits == ("pets/front",)
    assert found.unexplained == 0
    assert found.paragraph == (
        "Hubble saw 2 packets from world (198.51.100.10) to pets/store-front on 8080/TCP dropped "
        "at ingress (POLICY_DENIED), first at 2026-11-22 21:22:53.928 UTC, last at 21:22:54.928 "
        "UTC. CiliumNetworkPolicy pets/front selects pets/store-front for ingress, and no rule "
        "there allows traffic from world (198.51.100.10) on 8080/TCP. Nearest is spec.ingress[0] "
        "of pets/front: it selects nobody: its fromEndpoints is an empty list; port matches. "
        "CiliumNetworkPolicy pets/front was changed by kubectl-edit at 2026-11-22 21:22:50 UTC: "
        'spec.ingress[0].fromEntities is gone (it was ["world"]), spec.ingress[0].fromEndpoints is '
        "new ([]). Without that change the flow passes. To put it back: "
        f"{found.command}"
    )
    assert found.command == (
        "kubectl apply view-last-applied cnp front -n pets -o json | "
        "kubectl replace --save-config -f -"
    )


def test_every_policy_that_selects_the_endpoint_is_named() -> None:
    """Where nothing allows a flow, each of them could have; the nearest rule tells what misses."""
    other = policy("other", "store-front", ingress=[{"fromEntities": ["cluster"]}])
    wrong_port = {"fromEntities": ["world"], "toPorts": [{"ports": [{"port": "80"}]}]}
    found = blamed(packet(), storefront(wrong_port), other)
    assert set(found.culprits) == {"pets/front", "pets/other"}
    assert "port is 80 and the pod listens on 8080" in found.paragraph
    assert "CiliumNetworkPolicy pets/front and CiliumNetworkPolicy pets/other" in found.paragraph
    assert found.paragraph.endswith("kubectl edit cnp front -n pets")


def test_a_deny_rule_is_named_and_not_its_neighbours() -> None:
    """POLICY_DENY comes of one rule; what else selects the endpoint has no part in it."""
    deny = policy("deny", "store-front", ingressDeny=[{"fromEntities": ["world"]}])
    found = blamed(packet(reason="POLICY_DENY"), storefront(), deny)
    assert found.culprits == ("pets/deny",)
    assert "The deny rule spec.ingressDeny[0] of pets/deny denies world" in found.paragraph
    assert "kubectl edit cnp deny -n pets" in found.paragraph


def test_a_run_that_did_it_on_purpose_is_told_and_how_to_end_it() -> None:
    """Its record is proof only because the flow passes with the original."""
    change = Change(
        FRONT, "run 7 of me@host (ingress-from-nobody)", AT, "", storefront(), known=True,
        run="7", until="21:30", command="acns-chaos restore --run 7 -n pets",
    )  # fmt: skip
    found = blamed(packet(), storefront(NOBODY), changes=(change,))
    assert found.command == "acns-chaos restore --run 7 -n pets"
    assert found.paragraph.endswith("To put it back: acns-chaos restore --run 7 -n pets")
    assert "changed on purpose by run 7 of me@host (ingress-from-nobody)" in found.paragraph


def test_a_change_without_which_the_flow_would_not_pass_either_is_not_blamed() -> None:
    """Somebody's later edit elsewhere in the policy is no cause."""
    egress = [{"toEntities": ["world"]}]
    live = applied(storefront(NOBODY, egress=egress), storefront(NOBODY))
    found = blamed(packet(), live)
    assert found.state == "NAMED"
    assert found.changes == ()
    assert "Without that change" not in found.paragraph
    assert "was last written by kubectl-edit" in found.paragraph


def test_a_deleted_policy_is_found_through_its_record() -> None:
    """Others still select the endpoint, and only the one that is gone let the flow pass."""
    other = policy("other", "store-front", ingress=[{"fromEntities": ["cluster"]}])
    change = Change(FRONT, "run 7 of me (object-deleted)", AT, "it is gone", storefront(), True)
    found = blamed(packet(), other, changes=(change,))
    assert found.culprits[0] == "pets/front"
    assert "it is gone. Without that change the flow passes." in found.paragraph


def test_drops_under_an_earlier_policy_are_said_to_be_such() -> None:
    """Live policies let it pass, and the policy was written after the last of the drops."""
    found = blamed(packet(at=AT - 60), storefront())
    assert found.state == "UNNAMED"
    assert found.unexplained == 1
    assert "No live policy denies that now: spec.ingress[0] of pets/front" in found.paragraph
    assert "An earlier policy is behind it, it seems: pets/front was written" in found.paragraph
    assert found.command == ""


def test_a_node_that_did_not_follow_is_suspected() -> None:
    """Live policies let it pass, and nobody wrote one since: the node is named."""
    found = blamed(packet(at=AT + 600), storefront())
    assert found.state == "UNNAMED"
    assert "default/node0 has not realised what is live" in found.paragraph


def test_an_event_tells_of_a_fault_that_is_over() -> None:
    """Of a run that has ended and put everything back, nothing else is left; it is quoted."""
    said = Said(FRONT, AT - 1, "FaultInjected", "acns-chaos run 7 injected it on purpose")
    old, later = replace(said, at=AT - 6000), replace(said, at=AT + 90)
    found = blamed(packet(), storefront(), events=(old, said, later))
    assert found.state == "UNNAMED"
    assert (
        "An event of 21:22:52.928 UTC says of pets/front: FaultInjected, acns-chaos run 7 injected "
        "it on purpose."
    ) in found.paragraph
    assert "An event" not in blamed(packet(), storefront(), events=(old, later)).paragraph


def test_drops_of_the_other_kind_are_not_explained_by_default_deny() -> None:
    """Hubble says a deny rule did it; that something else would deny it now is no explanation."""
    named = (PolicyName("pets", "old", "CiliumNetworkPolicy", 9),)
    found = blamed(packet(reason="POLICY_DENY", denied_by=named), storefront(NOBODY))
    assert found.state == "UNNAMED"
    assert found.unexplained == 1
    assert "Hubble says that a deny rule did it (POLICY_DENY)" in found.paragraph
    assert "Hubble names pets/old, which is gone" in found.paragraph


def test_a_refused_name_is_traced_to_the_rules_for_names() -> None:
    """The DNS proxy refuses without a drop reason; whose rules.dns lack the name is told."""
    dns = {
        "toEndpoints": [
            {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system",
                             "k8s:k8s-app": "kube-dns"}}
        ],
        "toPorts": [
            {"ports": [{"port": "53", "protocol": "ANY"}],
             "rules": {"dns": [{"matchPattern": "*.microsoft.com"}]}}
        ],
    }  # fmt: skip
    orders = policy("orders", "order-service", egress=[dns])
    found = blamed([lookup("www.bing.com"), lookup("www.bing.com")], orders)
    assert found.state == "NAMED"
    assert found.culprits == ("pets/orders",)
    assert "The DNS proxy refused 2 lookups of www.bing.com" in found.paragraph
    assert (
        "The rules.dns of spec.egress[0] of pets/orders do not admit www.bing.com."
        in found.paragraph
    )
    allowed = blamed([lookup("graph.microsoft.com")], orders)
    assert allowed.state == "UNNAMED"
    assert "No live policy refuses that now" in allowed.paragraph


def test_what_no_policy_dropped_blames_nobody() -> None:
    """There is always some: it is counted, and no more."""
    noise = flow(kind="drop", reason="UNSUPPORTED_L3_PROTOCOL", protocol="ICMPv6", port=0)
    found = blamed([noise, noise], storefront())
    assert found.state == "UNNAMED"
    assert found.culprits == ()
    assert "Not by policy were dropped: 2 UNSUPPORTED_L3_PROTOCOL." in found.paragraph
    beside = blamed([noise, *packet()], storefront(NOBODY))
    assert beside.state == "NAMED"
    assert "Not by policy were dropped: 1 UNSUPPORTED_L3_PROTOCOL." in beside.paragraph


def test_what_opens_makes_no_drops_and_is_found_by_comparison() -> None:
    """`ingress: []` lets everybody in; drops cannot show it, what was applied last can."""
    live = storefront()
    live["spec"]["ingress"] = []
    found = blamed([], applied(live, storefront()))
    assert found.state == "UNNAMED"
    assert found.culprits == ("pets/front",)
    assert "A policy that opens something makes no drops" in found.paragraph
    assert "it lets through everybody to pets/store-front" in found.paragraph
    assert "kubectl replace" in found.command


def test_no_drops_and_nothing_changed() -> None:
    """Then that is what is said."""
    found = blamed([], storefront())
    assert found.state == "UNNAMED"
    assert found.command == ""
    assert "No live policy differs from a version that somebody kept." in found.paragraph


def test_no_drops_among_flows_that_are_not_all_there_is_unknown() -> None:
    """Lost flows could be the drops."""
    found = blamed([], storefront(), evidence=LOSSY)
    assert found.state == "UNKNOWN"
    assert "7 flows were lost" in found.paragraph


def test_drops_among_flows_that_are_not_all_there_still_name_somebody() -> None:
    """What was seen was seen; that more is missing is said."""
    found = blamed(packet(), storefront(NOBODY), evidence=LOSSY)
    assert found.state == "NAMED"
    assert "Not every flow was seen: 7 flows were lost." in found.paragraph


def test_one_identity_counts_once_however_many_addresses_it_has() -> None:
    """Customers have an address each; to a policy they are the world."""
    others = [replace(OUTSIDE, ip=f"198.51.100.{n}") for n in range(20, 23)]
    found = blamed([f for one in others for f in packet(source=one)], storefront(NOBODY))
    assert [(one.count, one.addresses) for one in found.drops] == [(3, 3)]
    assert "3 packets from world (3 addresses)" in found.paragraph


def test_a_lone_drop_counts_as_a_packet() -> None:
    """Of the two flows of a packet the newest one may be hidden."""
    found = blamed([flow()], storefront(NOBODY))
    assert found.drops[0].count == 1


def test_a_pod_is_judged_by_the_labels_it_had() -> None:
    """It was relabelled since, or is gone: either is said."""
    gone = replace(pod_peer("store-front"), pod="store-front-0", ip="10.244.0.7")
    found = blamed(packet(destination=gone), storefront(NOBODY))
    assert found.state == "NAMED"
    assert any("is not there" in note for note in found.notes)
    then = pod_peer("store-front", tier="web")
    there = blamed(packet(destination=then), storefront(NOBODY))
    assert any("it was relabelled" in note for note in there.notes)


def of_cluster(peer: Peer, name: str) -> Peer:
    """A side as Hubble tells it in a cluster of another name."""
    labels = tuple(one for one in peer.labels if not one.startswith(f"k8s:{CLUSTER}="))
    return replace(peer, labels=(*labels, f"k8s:{CLUSTER}={name}"))


def test_a_cluster_whose_name_nobody_may_read_is_called_as_hubble_calls_it() -> None:
    """A shop in a cluster that is not called `default` is judged, and the culprit is named."""
    shop = of_cluster(SHOP, "kind-kind")
    found = blamed(packet(destination=shop), applied(storefront(NOBODY), storefront()))
    assert found.state == "NAMED"
    assert found.unexplained == 0
    assert found.culprits == ("pets/front",)
    assert "Without that change the flow passes." in found.paragraph
    assert found.notes == ("Hubble says that this cluster is called kind-kind.",)


@pytest.mark.parametrize(("name", "unexplained"), [("kind-kind", 1), ("other", 0)])
def test_a_policy_may_name_its_cluster(name: str, unexplained: int) -> None:
    """Peers of the cluster by its real name are let in; those of another one are not."""
    rule = {"fromEndpoints": [{"matchLabels": {"app": "order-service", CLUSTER: name}}]}
    sides = {
        "source": of_cluster(ORDERS, "kind-kind"),
        "destination": of_cluster(SHOP, "kind-kind"),
    }
    found = blamed(packet(**sides), storefront(rule))
    assert found.unexplained == unexplained
    assert found.culprits == (() if unexplained else ("pets/front",))


def test_a_pod_that_is_gone_is_of_the_cluster_that_hubble_names() -> None:
    """After a roll-out none of the pods that Hubble saw need be there any more."""
    gone = replace(of_cluster(SHOP, "kind-kind"), pod="store-front-0", ip="10.244.0.7")
    found = blamed(packet(destination=gone), storefront(NOBODY))
    assert found.culprits == ("pets/front",)
    assert found.unexplained == 0


def test_pods_of_this_cluster_say_what_it_is_called_and_others_do_not() -> None:
    """Of several clusters' pods those count that are here, name and address; else nobody does."""
    here, there = of_cluster(SHOP, "west"), of_cluster(replace(ORDERS, ip="10.9.0.1"), "east")
    cluster = world(storefront())
    named, note = in_its_cluster(cluster, packet(source=there, destination=here))
    assert named.settings.cluster_name == "west"
    assert "called west" in note
    assert f"k8s:{CLUSTER}=west" in named.find("pod:pets/store-front-1").labels
    unclear = packet(source=there, destination=replace(here, ip="10.8.0.1"))
    assert in_its_cluster(cluster, unclear) == (cluster, "")


def test_what_the_agents_say_of_their_clusters_name_stands() -> None:
    """Where their settings were read, pods of another cluster are of another cluster."""
    cluster = replace(world(storefront()), settings=Settings(cluster_name="west"))
    flows = packet(destination=of_cluster(SHOP, "east"))
    assert in_its_cluster(cluster, flows) == (cluster, "")


@pytest.mark.parametrize("label", ["reserved:world", "reserved:world-ipv4", "reserved:world-ipv6"])
def test_names_count_for_either_world_of_a_dual_stack_cluster(label: str) -> None:
    """What was learned under an allowed name is denied by no live policy."""
    outside = replace(OUTSIDE, labels=(label,), names=("api.example.com.",))
    rule = {"toFQDNs": [{"matchName": "api.example.com"}]}
    sent = packet(direction="egress", source=ORDERS, destination=outside, port=443)
    found = blamed(sent, policy("out", "order-service", egress=[rule]))
    assert "No live policy denies that now" in found.paragraph


def test_a_world_that_is_not_told_is_the_address() -> None:
    """A flow without labels, as from a thinned file, is judged by its address."""
    bare = Peer("", "", "", 0, (), "198.51.100.10", ())
    found = blamed(packet(source=bare), storefront(NOBODY))
    assert found.state == "NAMED"
    assert "from 198.51.100.10 to" in found.paragraph


def test_what_a_file_says_moves_no_cursor() -> None:
    """Names in flows come from anywhere."""
    evil = replace(SHOP, workload="shop\x1b[2J\r\n")
    found = blamed(packet(destination=evil), storefront(NOBODY))
    assert found.paragraph.isprintable()
    refused = flow(kind="l7", reason="", direction="egress", dns_query="a\x1b[31m.", port=53)
    assert blamed([refused], storefront()).paragraph.isprintable()


@pytest.mark.parametrize("protocol", ["", "SOMETHING", "ICMPv4", "SCTP"])
def test_a_protocol_that_cannot_be_judged_stops_nothing(protocol: str) -> None:
    """The drop is told all the same."""
    found = blamed(packet(protocol=protocol, port=0), storefront(NOBODY))
    assert found.state in ("NAMED", "UNNAMED")
    assert "Hubble saw 1 packet" in found.paragraph


def test_very_many_drops_are_told_in_part() -> None:
    """A port scan: three kinds in full, the rest as a number."""
    flows = [f for port in range(500) for f in packet(port=9000 + port)]
    found = blamed(flows, applied(storefront(NOBODY), storefront()))
    assert found.paragraph.count("Hubble saw") == 3
    assert "Besides, 497 more were dropped by policy, of 497 other kinds." in found.paragraph
