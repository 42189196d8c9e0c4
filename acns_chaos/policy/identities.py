"""How the cluster sees endpoints: as subject, as peer, and by the ports they name.

Belongs here: what depends on the agents' settings and on the other endpoints. Does not belong
here: rules.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from acns_chaos.policy.endpoints import CLUSTER_KEY, Endpoint, namespace_identity
from acns_chaos.policy.model import INGRESS, Settings
from acns_chaos.policy.ports import NamedPorts

_HOST = "reserved:host="
_REMOTE_NODE = "reserved:remote-node="
_INIT = "reserved:init="
_WORLD = "reserved:world="


class Identities:
    """The endpoints of one cluster.

    Args:
        settings: of the agents.
        namespaces: labels of namespaces, for pods built without them.
        endpoints: all pods, for what their port names mean to egress rules.
    """

    def __init__(
        self,
        settings: Settings,
        namespaces: Mapping[str, Mapping[str, str]],
        endpoints: Iterable[Endpoint],
    ) -> None:
        self._settings = settings
        self._of_namespace = {
            name: frozenset(namespace_identity(name, labels)) for name, labels in namespaces.items()
        }
        self._local = f"k8s:{CLUSTER_KEY}={settings.cluster_name}"
        self._subjects: dict[Endpoint, frozenset[str]] = {}
        self._peers: dict[Endpoint, Endpoint] = {}
        self._named: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        for endpoint in endpoints:
            for name, number, protocol in endpoint.named_ports:
                self._named[name, protocol].add(number)

    def is_subject(self, endpoint: Endpoint) -> bool:
        """Whether policies are enforced at this endpoint at all."""
        if endpoint.kind == "pod" or _INIT in endpoint.labels:
            return True
        return self._settings.host_firewall and _HOST in endpoint.labels

    def is_foreign(self, endpoint: Endpoint) -> bool:
        """Whether it is a pod of another cluster, where other policies rule."""
        return endpoint.kind == "pod" and self._local not in endpoint.labels

    def as_subject(self, endpoint: Endpoint) -> frozenset[str]:
        """The labels that subjects of policies are selected by."""
        known = self._subjects.get(endpoint)
        if known is None:
            known = endpoint.labels | self._of_namespace.get(endpoint.namespace, frozenset())
            if _HOST in known:
                # The host endpoint has its node's labels as Kubernetes labels.
                known |= {f"k8s:{x[5:]}" for x in known if x.startswith("node:")}
            self._subjects[endpoint] = known
        return known

    def as_peer(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint as rules about peers see it."""
        known = self._peers.get(endpoint)
        if known is None:
            labels = endpoint.labels | self._of_namespace.get(endpoint.namespace, frozenset())
            if not self._settings.node_selector_labels:
                labels = frozenset(x for x in labels if not x.startswith("node:"))
            elif _REMOTE_NODE in labels:
                labels |= {self._local}
            if self._settings.ipv6 and _WORLD in labels:
                family = "6" if ":" in endpoint.ip else "4"
                labels = labels - {_WORLD} | {f"reserved:world-ipv{family}="}
            known = endpoint if labels == endpoint.labels else replace(endpoint, labels=labels)
            self._peers[endpoint] = known
        return known

    def named_ports(self, direction: str, subject: Endpoint, peer: Endpoint) -> NamedPorts:
        """What port names mean in the rules of a subject.

        On ingress the subject's own container ports; on egress the number that all pods of the
        cluster agree on, whoever the peer is.
        """
        own = subject.named_ports
        if direction == INGRESS:
            return lambda name, protocol: next(
                (number for n, number, p in own if (n, p) == (name, protocol)), None
            )

        def agreed(name: str, protocol: str) -> int | None:
            numbers = set(self._named.get((name, protocol), ()))
            for n, number, p in (*own, *peer.named_ports):
                if (n, p) == (name, protocol):
                    numbers.add(number)
            return numbers.pop() if len(numbers) == 1 else None

        return agreed
