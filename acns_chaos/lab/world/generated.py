"""Worlds made to measure: `generated:N` is N services on about N/10 nodes, the same for the same N.

Every service has a Deployment of one to three pods, a Service and a policy that lets in its callers
on its port and lets out what it calls, DNS, and here and there a name or a network outside. Callers
have lower numbers than what they call, so that there are no loops; service 0 faces the world. The
rest of the cluster is that of `cluster.yaml`.
"""

import random
import re

from acns_chaos.lab.world import generated_objects as raw
from acns_chaos.lab.world.generated_objects import Json
from acns_chaos.lab.world.model import WorldError
from acns_chaos.lab.world.reading import HERE, read

PREFIX = "generated:"
MOST = 500
_NAMESPACES = 8
_AT = "2026-11-01T06:00:00Z"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_WORDS = (
    "billing", "cart", "catalog", "checkout", "fraud", "gateway", "inventory", "ledger", "mail",
    "notify", "orders", "payments", "pricing", "profile", "ranking", "reviews", "search",
    "shipping", "stock", "tax",
)  # fmt: skip
_OUTSIDE = {
    "api.stripe.example": "203.0.113.10", "hooks.mail.example": "203.0.113.11",
    "rates.tax.example": "203.0.113.12", "login.microsoftonline.com": "20.190.152.20",
}  # fmt: skip
_NETWORK = "198.18.0.0/15"


def generated(name: str) -> Json:
    """The keys of a generated world, as a file would hold them.

    Args:
        name: `generated:N`.

    Raises:
        WorldError: N is no number from 1 to 500.
    """
    number = name.removeprefix(PREFIX)
    if not re.fullmatch(r"[0-9]{1,6}", number) or not 1 <= int(number) <= MOST:
        raise WorldError(
            f'There is no world "{name[:40]}": give {PREFIX}N a number from 1 to {MOST}.'
        )
    return _Maker(int(number)).world()


class _Maker:
    """Draws one world."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._chance = random.Random(count)  # noqa: S311 - the same world for the same number
        self._nodes = [
            f"aks-nodepool1-20413417-vmss{index:06d}" for index in range(-(-count // 10))
        ]
        self._pods_on: dict[str, int] = dict.fromkeys(self._nodes, 20)
        self._names = [_service_name(index) for index in range(count)]
        self._calls = [self._callees(index) for index in range(count)]

    def world(self) -> Json:
        base = read(HERE / "cluster.yaml")
        shared, pool = self._cluster(base["objects"])
        objects = shared + pool + [raw.namespace(self._namespace(i)) for i in range(self._spaces())]
        for index in range(self._count):
            objects += self._service(index)
        visits = [
            {
                "namespace": self._namespace(caller),
                "client": self._names[caller],
                "host": f"{self._names[callee]}.{self._namespace(callee)}.svc.cluster.local",
                "port": self._port(callee),
                "every": 60.0,
            }
            for caller, callees in enumerate(self._calls)
            for callee in callees[:1]
        ]
        return {
            **base,
            "name": f"generated-{self._count}",
            "objects": objects,
            "outside": {host: {"addresses": [ip], "ports": [443]} for host, ip in _OUTSIDE.items()},
            # A stranger of a run is of busybox, as everywhere.
            "images": {"shop/service": "alpine", "busybox": "alpine"},
            "visits": visits,
            # Series grow with the services, and an hour of them is kept: no more in all than of ten
            # services every half second.
            "scrape_seconds": min(5.0, max(0.5, self._count / 20)),
        }

    def _spaces(self) -> int:
        return min(_NAMESPACES, self._count)

    def _namespace(self, index: int) -> str:
        return f"team-{'abcdefgh'[index % self._spaces()]}"

    def _port(self, index: int) -> int:
        return 8080 + index % 7

    def _callees(self, index: int) -> list[int]:
        later = range(index + 1, min(self._count, index + 40))
        return sorted(self._chance.sample(later, min(len(later), self._chance.randint(1, 3))))

    # ------------------------------------------------------------------ the cluster

    def _cluster(self, objects: list[Json]) -> tuple[list[Json], list[Json]]:
        """The shared objects without the demo's namespace, and the nodes with their agents."""
        kept = [o for o in objects if (o["kind"], o["metadata"]["name"]) != ("Namespace", "pets")]
        node = next(o for o in objects if o["kind"] == "Node")
        agent = next(
            o for o in objects
            if o["kind"] == "Pod" and o["metadata"].get("labels", {}).get("k8s-app") == "cilium"
        )  # fmt: skip
        pool = []
        for index, name in enumerate(self._nodes):
            ip = f"10.224.0.{10 + index}"
            pool.append(raw.renamed_node(node, name, ip, f"10.244.{index + 1}.0/24"))
            pool.append(self._agent(agent, name, ip))
        return kept, pool

    def _agent(self, agent: Json, node: str, ip: str) -> Json:
        status = {
            **agent["status"], "hostIP": ip, "hostIPs": [{"ip": ip}],
            "podIP": ip, "podIPs": [{"ip": ip}],
        }  # fmt: skip
        metadata = {**agent["metadata"], "name": f"cilium-{self._suffix(5)}"}
        return {
            **agent, "metadata": metadata, "spec": {**agent["spec"], "nodeName": node},
            "status": status,
        }  # fmt: skip

    # ------------------------------------------------------------------ one service

    def _service(self, index: int) -> list[Json]:
        name, namespace, port = self._names[index], self._namespace(index), self._port(index)
        labels = {"app": name, "tier": "front" if index == 0 else "back"}
        replicas = self._chance.randint(1, 3)
        found = [raw.deployment(name, namespace, labels, port, replicas)]
        hashed = self._suffix(10)
        found.append(raw.replica_set(found[0], hashed))
        for _ in range(replicas):
            node = self._nodes[self._chance.randrange(len(self._nodes))]
            found.append(self._pod(name, namespace, labels, port, hashed, node))
        ip = f"10.0.{16 + index // 250}.{1 + index % 250}"
        found.append(raw.service(name, namespace, ip, port, front=index == 0))
        found.append(self._policy(index))
        return found

    def _pod(
        self, name: str, namespace: str, labels: Json, port: int, hashed: str, node: str
    ) -> Json:
        number = self._pods_on[node] = self._pods_on[node] + 1
        position = self._nodes.index(node) + 1
        # A node has 250 addresses; the next 250 are in a network of their own.
        ip = f"10.{244 + number // 250}.{position}.{number % 250}"
        conditions = [
            {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": _AT}
            for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
        ]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{name}-{hashed}-{self._suffix(5)}",
                "generateName": f"{name}-{hashed}-",
                "namespace": namespace,
                "labels": {**labels, "pod-template-hash": hashed},
                "ownerReferences": [raw.owner("ReplicaSet", namespace, f"{name}-{hashed}")],
            },
            "spec": {**raw.pod_spec(name, port), "nodeName": node},
            "status": {
                "phase": "Running",
                "conditions": conditions,
                "hostIP": f"10.224.0.{9 + position}",
                "podIP": ip,
                "podIPs": [{"ip": ip}],
                "startTime": _AT,
                "qosClass": "BestEffort",
                "containerStatuses": [
                    {
                        "name": name, "ready": True, "started": True, "restartCount": 0,
                        "image": raw.IMAGE, "imageID": "", "state": {"running": {"startedAt": _AT}},
                    }
                ],
            },
        }  # fmt: skip

    def _policy(self, index: int) -> Json:
        name, namespace = self._names[index], self._namespace(index)
        callers = [i for i in range(index) if index in self._calls[i]]
        ingress: list[Json] = []
        if callers:
            peers = [self._peer(i) for i in callers]
            ingress.append({"fromEndpoints": peers, **raw.to_port(self._port(index))})
        if index == 0:
            ingress.append({"fromEntities": ["world"], **raw.to_port(self._port(index))})
        egress: list[Json] = [raw.dns_rule()]
        egress += [
            {"toEndpoints": [self._peer(i)], **raw.to_port(self._port(i))}
            for i in self._calls[index]
        ]
        if index % 5 == 1:
            host = list(_OUTSIDE)[index // 5 % len(_OUTSIDE)]
            egress.append({"toFQDNs": [{"matchName": host}], **raw.to_port(443)})
        if index % 9 == 2:
            egress.append({"toCIDRSet": [{"cidr": _NETWORK}], **raw.to_port(5432)})
        # No rule at all would leave the direction open.
        return {
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNetworkPolicy",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "endpointSelector": {"matchLabels": {"app": name}},
                "ingress": ingress or [{}],
                "egress": egress,
            },
        }

    def _peer(self, index: int) -> Json:
        return {
            "matchLabels": {
                "k8s:io.kubernetes.pod.namespace": self._namespace(index),
                "app": self._names[index],
            }
        }

    def _suffix(self, length: int) -> str:
        return "".join(self._chance.choice(_LETTERS) for _ in range(length))


def _service_name(index: int) -> str:
    word, turn = _WORDS[index % len(_WORDS)], index // len(_WORDS)
    return f"{word}-{turn}" if turn else word
