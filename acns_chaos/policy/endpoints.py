"""Who can send or receive: pods, entities, outside addresses, and the labels policy sees on them.

Belongs here: how an identity's labels come about. Does not belong here: matching them.
Source of the facts: Cilium 1.19, identity labels and reserved identities.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from acns_chaos.errors import PolicyError

NAMESPACE_KEY = "io.kubernetes.pod.namespace"
NAMESPACE_LABEL_PREFIX = "io.cilium.k8s.namespace.labels."
CLUSTER_KEY = "io.cilium.k8s.policy.cluster"
SERVICE_ACCOUNT_KEY = "io.cilium.k8s.policy.serviceaccount"
METADATA_NAME = "kubernetes.io/metadata.name"

_ENTITY_LABELS = {
    "world": ("world",),
    "host": ("host",),
    "remote-node": ("remote-node",),
    "kube-apiserver": ("kube-apiserver", "remote-node"),
    "kube-apiserver-external": ("kube-apiserver", "world"),
    "health": ("health",),
    "ingress": ("ingress",),
    "init": ("init",),
    "unmanaged": ("unmanaged",),
}

ENTITIES = tuple(_ENTITY_LABELS)
"""The entities that are endpoints."""

_IRRELEVANT_PREFIXES = (
    "io.kubernetes",
    "kubernetes.io",
    "k8s.io",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/controller-uid",
    "topology.kubernetes.io",
    "pod-template-hash",
    "pod-template-generation",
    "controller-revision-hash",
    "controller-uid",
    "annotation",
    "etcd_node",
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A sender or receiver of flows.

    Attributes:
        name: for people: "pets/store-front-68846476f4-x2x9k", "world", "198.51.100.10".
        labels: the identity, each "source:key=value"; no cidr or fqdn labels, they follow from
            `ip` and `fqdns`.
        kind: "pod", "entity" or "outside".
        namespace: of a pod, else "".
        ip: its address, "" when not known.
        fqdns: the names under which a DNS answer carried an outside address.
        named_ports: (name, number, protocol) of a pod's container ports that have a name.
        ports: (number, protocol) of all its container ports.
    """

    name: str
    labels: frozenset[str]
    kind: str = "pod"
    namespace: str = ""
    ip: str = ""
    fqdns: tuple[str, ...] = ()
    named_ports: tuple[tuple[str, int, str], ...] = ()
    ports: tuple[tuple[int, str], ...] = ()
    # Endpoints are dictionary keys in every inner loop.
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        identity = (self.name, self.labels, self.ip, self.fqdns)
        object.__setattr__(self, "_hash", hash(identity))

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return self.name

    @classmethod
    def pod(
        cls,
        namespace: str,
        labels: Mapping[str, str],
        *,
        name: str = "",
        service_account: str = "default",
        cluster: str = "default",
        namespace_labels: Mapping[str, str] | None = None,
        named_ports: Mapping[str, tuple[int, str]] | None = None,
        ports: Iterable[tuple[int, str]] = (),
        ip: str = "",
    ) -> Self:
        """A pod.

        Args:
            namespace: where it runs.
            labels: its own labels; those that policy does not see are dropped.
            name: without the namespace; made from the labels when empty.
            service_account: of the pod.
            cluster: name of the cluster it runs in.
            namespace_labels: of its namespace; kubernetes.io/metadata.name is added.
            named_ports: container ports with a name: name to (number, protocol).
            ports: container ports without one: (number, protocol).
            ip: its address.
        """
        identity = {f"k8s:{k}={v}" for k, v in labels.items() if is_security_relevant(k)}
        identity |= {
            f"k8s:{NAMESPACE_KEY}={namespace}",
            f"k8s:{CLUSTER_KEY}={cluster}",
            f"k8s:{SERVICE_ACCOUNT_KEY}={service_account}",
        }
        identity |= namespace_identity(namespace, namespace_labels or {})
        short = name or labels.get("app") or ",".join(f"{k}={v}" for k, v in sorted(labels.items()))
        named = sorted((k.lower(), n, p) for k, (n, p) in (named_ports or {}).items())
        return cls(
            name=f"{namespace}/{short or 'pod'}",
            labels=frozenset(identity),
            namespace=namespace,
            ip=ip,
            named_ports=tuple(named),
            ports=tuple(sorted({*ports, *((n, p) for _, n, p in named)})),
        )

    @classmethod
    def entity(
        cls, entity: str, *, node_labels: Mapping[str, str] | None = None, ip: str = ""
    ) -> Self:
        """One of Cilium's reserved identities.

        Args:
            entity: "world", "host", "remote-node", "kube-apiserver" (on another node),
                "kube-apiserver-external" (outside the cluster), "health", "ingress", "init",
                "unmanaged".
            node_labels: Kubernetes labels of the node, for host and remote nodes.
            ip: its address.

        Raises:
            PolicyError: the entity is not known.
        """
        reserved = _ENTITY_LABELS.get(entity)
        if reserved is None:
            raise PolicyError(
                f"Entity {entity!r} is not an endpoint; use one of {', '.join(_ENTITY_LABELS)}."
            )
        labels = {f"reserved:{label}=" for label in reserved}
        labels |= {f"node:{k}={v}" for k, v in (node_labels or {}).items()}
        return cls(name=entity, labels=frozenset(labels), kind="entity", ip=ip)

    @classmethod
    def outside(cls, ip: str, *, fqdns: Sequence[str] = ()) -> Self:
        """An address outside the cluster.

        Args:
            ip: IPv4 or IPv6 address.
            fqdns: names under which the node's DNS proxy saw it in an answer; empty: never learned.
        """
        return cls(
            name=ip,
            labels=frozenset({"reserved:world="}),
            kind="outside",
            ip=ip,
            fqdns=tuple(fqdns),
        )

    @classmethod
    def from_json(
        cls, obj: Mapping[str, Any], namespaces: Mapping[str, Mapping[str, str]] | None = None
    ) -> Self:
        """An endpoint from its short JSON form.

        Args:
            obj: {"namespace", "labels", "serviceAccount"?, "cluster"?, "namedPorts"?, "name"?},
                {"entity", "nodeLabels"?, "ip"?} or {"ip", "fqdns"?}.
            namespaces: labels of the namespaces.

        Raises:
            PolicyError: it is none of the three.
        """
        if "entity" in obj:
            return cls.entity(
                obj["entity"], node_labels=obj.get("nodeLabels"), ip=obj.get("ip", "")
            )
        if "namespace" in obj:
            named = {
                name: (int(port["port"]), str(port.get("protocol", "TCP")))
                for name, port in (obj.get("namedPorts") or {}).items()
            }
            return cls.pod(
                obj["namespace"],
                obj.get("labels") or {},
                name=obj.get("name", ""),
                service_account=obj.get("serviceAccount", "default"),
                cluster=obj.get("cluster", "default"),
                namespace_labels=(namespaces or {}).get(obj["namespace"], {}),
                named_ports=named,
                ip=obj.get("ip", ""),
            )
        if "ip" in obj:
            return cls.outside(obj["ip"], fqdns=obj.get("fqdns") or ())
        raise PolicyError(
            f"An endpoint with the fields {sorted(obj)} is neither a pod (namespace), "
            "an entity (entity) nor an address (ip)."
        )

    @classmethod
    def from_pod(
        cls,
        pod: Mapping[str, Any],
        namespace: Mapping[str, Any] | None = None,
        *,
        cluster: str = "default",
    ) -> Self:
        """An endpoint from Kubernetes objects.

        Args:
            pod: a raw Pod.
            namespace: the raw Namespace it is in; without it, only its name is known.
            cluster: name of the cluster.

        Returns:
            The pod; for one in the host network, the node's identity under the pod's name, since
            policy sees nothing else of it.

        Raises:
            PolicyError: the pod has no name or namespace.
        """
        metadata = pod.get("metadata") or {}
        if not metadata.get("name") or not metadata.get("namespace"):
            raise PolicyError("A Pod without metadata.name and metadata.namespace was given.")
        spec, status = pod.get("spec") or {}, pod.get("status") or {}
        full_name = f"{metadata['namespace']}/{metadata['name']}"
        if spec.get("hostNetwork"):
            return cls(
                name=full_name,
                labels=frozenset({"reserved:host="}),
                kind="entity",
                ip=status.get("podIP", ""),
            )
        container_ports = [
            port
            for container in spec.get("containers") or ()
            for port in container.get("ports") or ()
        ]
        namespace_metadata = (namespace or {}).get("metadata") or {}
        return cls.pod(
            metadata["namespace"],
            metadata.get("labels") or {},
            name=metadata["name"],
            service_account=spec.get("serviceAccountName") or "default",
            cluster=cluster,
            namespace_labels=namespace_metadata.get("labels") or {},
            named_ports={p["name"]: _number(p) for p in container_ports if p.get("name")},
            ports=[_number(p) for p in container_ports],
            ip=status.get("podIP", ""),
        )


def _number(port: Mapping[str, Any]) -> tuple[int, str]:
    return int(port["containerPort"]), port.get("protocol") or "TCP"


def namespace_identity(namespace: str, labels: Mapping[str, str]) -> set[str]:
    """The identity labels that a pod has from its namespace's labels."""
    every = {METADATA_NAME: namespace, **labels}
    return {f"k8s:{NAMESPACE_LABEL_PREFIX}{k}={v}" for k, v in every.items()}


def is_security_relevant(key: str) -> bool:
    """Whether policy sees a pod label with this key (Cilium's default label filter)."""
    if key.startswith(NAMESPACE_KEY):
        return True
    return not key.startswith(_IRRELEVANT_PREFIXES) and "beta.kubernetes.io" not in key
