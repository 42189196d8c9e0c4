"""Generated worlds for the bench: seeded, so that two runs measure the same work.

A world looks like a platform team's cluster: namespaces with labels, an app per identity, three
kinds of policy object with allow and deny items, and peers by label, entity, prefix and name.
"""

import random
from dataclasses import dataclass
from typing import Any

from acns_chaos.policy import Endpoint, Engine

PORTS: tuple[tuple[int, str], ...] = (
    *((80, "TCP"), (443, "TCP"), (3000, "TCP"), (5432, "TCP"), (5672, "TCP")),
    *((8080, "TCP"), (9090, "TCP"), (53, "TCP"), (53, "UDP"), (8, "ICMP")),
)
"""What is asked of every pair."""

ENTITIES = ("world", "host", "remote-node", "kube-apiserver", "health", "ingress", "unmanaged")
PER_NAMESPACE = 20
TIERS = ("front", "back", "data", "batch", "edge")
NAMED = {"http": (8080, "TCP"), "metrics": (9090, "TCP")}


@dataclass(frozen=True)
class Generated:
    """One world.

    Attributes:
        policies: raw objects.
        namespaces: name to labels.
        endpoints: one per identity: no two have the same labels and address.
    """

    policies: tuple[dict[str, Any], ...]
    namespaces: dict[str, dict[str, str]]
    endpoints: tuple[Endpoint, ...]

    def engine(self) -> Engine:
        """An engine of its own: nothing is compiled yet."""
        return Engine(self.policies, namespaces=self.namespaces, endpoints=self.endpoints)


def generate(identities: int, policies: int, seed: int = 1) -> Generated:
    """A world of that size.

    Args:
        identities: how many endpoints; a thirtieth of them are entities and outside addresses.
        policies: how many objects; six of ten are CiliumNetworkPolicies, three NetworkPolicies,
            one is clusterwide.
        seed: of the random choices.
    """
    chance = random.Random(seed)
    outside = max(1, identities // 30 - len(ENTITIES))
    pods = identities - outside - len(ENTITIES)
    names = [f"team-{number}" for number in range(max(1, pods // PER_NAMESPACE))]
    namespaces = {
        name: {"team": name, "env": ("prod", "test")[number % 2], "zone": f"z{number % 7}"}
        for number, name in enumerate(names)
    }
    endpoints = [
        Endpoint.pod(
            names[number % len(names)],
            _pod_labels(number),
            name=f"pod-{number}",
            namespace_labels=namespaces[names[number % len(names)]],
            named_ports=NAMED if number % 3 == 0 else {},
        )
        for number in range(pods)
    ]
    endpoints += [Endpoint.entity(entity) for entity in ENTITIES]
    endpoints += [
        Endpoint.outside(f"{198 + n % 6}.51.{n % 250}.{10 + n // 250}", fqdns=_names(n))
        for n in range(outside)
    ]
    made = [_policy(number, names, pods, chance) for number in range(policies)]
    return Generated(tuple(made), namespaces, tuple(endpoints))


def _pod_labels(number: int) -> dict[str, str]:
    return {
        "app": f"app-{number}",
        "tier": TIERS[number % len(TIERS)],
        "app.kubernetes.io/part-of": f"system-{number % 60}",
        "version": f"v{number % 4}",
    }


def _names(number: int) -> tuple[str, ...]:
    return (f"host-{number}.example.com",) if number % 2 else ()


def _policy(number: int, names: list[str], pods: int, chance: random.Random) -> dict[str, Any]:
    namespace = chance.choice(names)
    local = [n for n in range(pods) if n % len(names) == names.index(namespace)]
    kind = number % 10
    if kind < 3:
        return _network_policy(f"policy-{number}", namespace, local, chance)
    clusterwide = kind == 3
    spec: dict[str, Any] = {"endpointSelector": _subject(local, chance, wide=clusterwide)}
    for section, way in (("ingress", "from"), ("egress", "to")):
        if chance.random() < 0.6:
            spec[section] = [_item(way, local, names, chance) for _ in range(chance.randint(1, 3))]
        if chance.random() < 0.25:
            spec[f"{section}Deny"] = [_item(way, local, names, chance, deny=True)]
    if len(spec) == 1:
        spec["ingress"] = [{}]
    if clusterwide:
        spec["enableDefaultDeny"] = {"ingress": False, "egress": False}
    metadata = {"name": f"policy-{number}"} | ({} if clusterwide else {"namespace": namespace})
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumClusterwideNetworkPolicy" if clusterwide else "CiliumNetworkPolicy",
        "metadata": metadata,
        "spec": spec,
    }


def _subject(local: list[int], chance: random.Random, *, wide: bool = False) -> dict[str, Any]:
    if wide:
        return {"matchLabels": {"app.kubernetes.io/part-of": f"system-{chance.randrange(60)}"}}
    roll = chance.random()
    if roll < 0.02:
        return {}
    if roll < 0.12:
        return {"matchLabels": {"tier": chance.choice(TIERS)}}
    if roll < 0.16:
        return {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": [TIERS[0]]}]}
    return {"matchLabels": {"app": f"app-{chance.choice(local)}"}}


def _selector(local: list[int], names: list[str], chance: random.Random) -> dict[str, Any]:
    roll = chance.random()
    if roll < 0.5:
        return {"matchLabels": {"app": f"app-{chance.choice(local)}"}}
    if roll < 0.7:
        other = {"k8s:io.kubernetes.pod.namespace": chance.choice(names)}
        return {"matchLabels": {"tier": chance.choice(TIERS), **other}}
    if roll < 0.8:
        apps = [f"app-{chance.choice(local)}" for _ in range(3)]
        return {"matchExpressions": [{"key": "app", "operator": "In", "values": apps}]}
    if roll < 0.9:
        return {"matchLabels": {"io.cilium.k8s.namespace.labels.zone": f"z{chance.randrange(7)}"}}
    return {}


def _item(
    way: str, local: list[int], names: list[str], chance: random.Random, *, deny: bool = False
) -> dict[str, Any]:
    roll = chance.random()
    item: dict[str, Any] = {}
    if roll < 0.55:
        selectors = [_selector(local, names, chance) for _ in range(chance.randint(1, 2))]
        item[f"{way}Endpoints"] = selectors
    elif roll < 0.7:
        item[f"{way}Entities"] = [chance.choice(["world", "cluster", "host", "remote-node"])]
    elif roll < 0.8:
        item[f"{way}CIDR"] = [f"{chance.randint(198, 203)}.51.0.0/16"]
    elif roll < 0.9:
        net = chance.randint(198, 203)
        item[f"{way}CIDRSet"] = [{"cidr": f"{net}.0.0.0/8", "except": [f"{net}.51.4.0/22"]}]
    elif way == "to" and not deny:
        item["toFQDNs"] = [{"matchPattern": "*.example.com"}]
    else:
        item[f"{way}Entities"] = ["all"]
    if deny or chance.random() < 0.8:
        item["toPorts"] = [{"ports": [_port(chance) for _ in range(chance.randint(1, 3))]}]
    return item


def _port(chance: random.Random) -> dict[str, Any]:
    roll = chance.random()
    if roll < 0.1:
        return {"port": "8000", "endPort": 9100, "protocol": "TCP"}
    if roll < 0.2:
        return {"port": chance.choice(list(NAMED)), "protocol": "TCP"}
    if roll < 0.3:
        return {"port": "53", "protocol": "ANY"}
    number, protocol = chance.choice(PORTS[:-1])
    return {"port": str(number), "protocol": protocol}


def _network_policy(
    name: str, namespace: str, local: list[int], chance: random.Random
) -> dict[str, Any]:
    def rule(way: str) -> dict[str, Any]:
        peers: list[dict[str, Any]] = [
            {"podSelector": {"matchLabels": {"app": f"app-{chance.choice(local)}"}}},
            {"namespaceSelector": {"matchLabels": {"zone": f"z{chance.randrange(7)}"}}},
        ]
        if chance.random() < 0.3:
            block = {"cidr": "198.0.0.0/7", "except": ["198.51.4.0/22"]}
            peers.append({"ipBlock": block})
        port = chance.choice(PORTS[:-1])
        return {way: peers, "ports": [{"port": port[0], "protocol": port[1]}]}

    types = chance.choice([["Ingress"], ["Egress"], ["Ingress", "Egress"]])
    spec: dict[str, Any] = {"podSelector": _subject(local, chance), "policyTypes": types}
    if "Ingress" in types:
        spec["ingress"] = [rule("from") for _ in range(chance.randint(0, 2))]
    if "Egress" in types:
        spec["egress"] = [rule("to") for _ in range(chance.randint(0, 2))]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
