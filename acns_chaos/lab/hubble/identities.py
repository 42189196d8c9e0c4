"""Who is who in a flow: security identities, endpoint numbers, workloads, addresses of links.

Numbers are stable for the life of the lab, and equal to those in CiliumEndpoint objects where such
objects exist. Which labels an identity has follows from `acns_chaos.policy`; here they are only
written as Hubble writes them. Source: Cilium 1.19, reserved and node-local identities.
"""

import hashlib
import ipaddress
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.lab.net.objects import Change, Objects
from acns_chaos.policy import Endpoint
from acns_chaos.policy.names import NameMatch

CLUSTER = "default"
WORLD = 2
_RESERVED = {
    ("reserved:host",): 1,
    ("reserved:world",): WORLD,
    ("reserved:unmanaged",): 3,
    ("reserved:health",): 4,
    ("reserved:init",): 5,
    ("reserved:remote-node",): 6,
    ("reserved:kube-apiserver", "reserved:remote-node"): 7,
    ("reserved:ingress",): 8,
}
_FIRST_POD, _PODS = 256, 65_280
_FIRST_LOCAL = 16_777_217
_ENDPOINTS = 4_000
_POLICIES = frozenset({"CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "NetworkPolicy"})
_WATCHED = _POLICIES | {"CiliumEndpoint", "Pod", "Node"}


@dataclass(frozen=True, slots=True)
class Identity:
    """What Hubble says of one side of a flow.

    Attributes:
        number: of the security identity.
        labels: as Hubble writes them, in its order.
        id: number of the endpoint on its node, 0 for what is no pod.
        namespace, pod: of a pod, else "".
        workload: (name, kind), None when the pod has no owner.
        node: name of the pod's node, else "".
    """

    number: int
    labels: tuple[str, ...]
    id: int = 0
    namespace: str = ""
    pod: str = ""
    workload: tuple[str, str] | None = None
    node: str = ""

    @property
    def link(self) -> tuple[int, str]:
        """Index and name of the host's end of the pod's link."""
        return 10 + 2 * self.id, f"lxc{_digest(self).hex()[:12]}"

    @property
    def macs(self) -> tuple[str, str]:
        """Link addresses: the pod's end, the host's end."""
        digest = _digest(self)
        return _mac(digest[:6]), _mac(digest[6:12])


class Identities:
    """Finds the identity of whatever sends or receives.

    Args:
        store: pods with their owners, CiliumEndpoints, and the policies that give outside
            addresses an identity of their own.
    """

    def __init__(self, store: Objects) -> None:
        self._store = store
        self._known: dict[Endpoint, Identity] = {}
        self._numbers: dict[tuple[str, ...], int] = {}
        self._taken: set[int] = set()
        self._ids: dict[str, int] = {}
        self._selectors: list[tuple[str, NameMatch]] = []
        self._prefixes: list[ipaddress.IPv4Network] = []
        self._fresh = False
        self._pods: dict[str, dict[str, Any]] = {}
        store.on_change(self._changed)

    def of(self, endpoint: Endpoint) -> Identity:
        """The identity of an endpoint at this moment."""
        if not self._fresh:
            self._refresh()
        known = self._known.get(endpoint)
        if known is None:
            known = self._pod(endpoint) if endpoint.kind == "pod" else self._other(endpoint)
            self._known[endpoint] = known
        return known

    def _changed(self, change: Change) -> None:
        if change.kind in _WATCHED:
            self._fresh = False

    def _refresh(self) -> None:
        self._fresh = True
        self._known = {}
        self._pods = {_full_name(pod): pod for pod in self._store.list("Pod")}
        for endpoint in self._store.list("CiliumEndpoint"):
            status = endpoint.get("status") or {}
            identity = status.get("identity") or {}
            if status.get("id"):
                self._ids[_full_name(endpoint)] = int(status["id"])
            if identity.get("id") and identity.get("labels"):
                self._numbers[tuple(sorted(identity["labels"]))] = int(identity["id"])
                self._taken.add(int(identity["id"]))
        rules = [rule for kind in _POLICIES for rule in _rules(self._store.list(kind))]
        names = {
            raw.get("matchName") or raw.get("matchPattern") or "": NameMatch.of(raw)
            for rule in rules
            for raw in rule.get("toFQDNs") or ()
        }
        self._selectors = sorted(names.items())
        self._prefixes = sorted(
            {prefix for rule in rules for prefix in _prefixes(rule)},
            key=lambda prefix: -prefix.prefixlen,
        )

    def _pod(self, endpoint: Endpoint) -> Identity:
        pod = self._pods.get(endpoint.name, {})
        labels = tuple(sorted(_written(label) for label in endpoint.labels))
        return Identity(
            number=self._number(labels),
            labels=labels,
            id=self._id(endpoint.name),
            namespace=endpoint.namespace,
            pod=endpoint.name.partition("/")[2],
            workload=_workload(pod),
            node=str(pod.get("spec", {}).get("nodeName", "")),
        )

    def _other(self, endpoint: Endpoint) -> Identity:
        labels = {_written(x) for x in endpoint.labels if not x.startswith("node:")}
        if "reserved:world" in labels:
            labels |= self._learned(endpoint)
        ordered = tuple(sorted(labels))
        if ordered in _RESERVED:
            return Identity(_RESERVED[ordered], ordered)
        if "reserved:host" in labels:
            return Identity(1, ordered)
        local = sum(number >= _FIRST_LOCAL for number in self._numbers.values())
        return Identity(self._numbers.setdefault(ordered, _FIRST_LOCAL + local), ordered)

    def _learned(self, endpoint: Endpoint) -> set[str]:
        """Labels that an outside address has because some policy speaks of it."""
        labels = {
            f"fqdn:{text}"
            for text, selector in self._selectors
            if any(selector.matches(name) for name in endpoint.fqdns)
        }
        try:
            address = ipaddress.IPv4Address(endpoint.ip)
        except ValueError:
            return labels
        longest = next((prefix for prefix in self._prefixes if address in prefix), None)
        # Everything is what "world" means already.
        if longest is not None and longest.prefixlen:
            labels.add(f"cidr:{longest}")
        return labels

    def _number(self, labels: tuple[str, ...]) -> int:
        known = self._numbers.get(labels)
        if known is None:
            start = zlib.crc32("\n".join(labels).encode())
            known = next(
                number
                for step in range(_PODS)
                if (number := _FIRST_POD + (start + step) % _PODS) not in self._taken
            )
            self._numbers[labels] = known
            self._taken.add(known)
        return known

    def _id(self, name: str) -> int:
        known = self._ids.get(name)
        if known is None:
            taken = set(self._ids.values())
            start = zlib.crc32(name.encode())
            known = next(
                number
                for step in range(_ENDPOINTS)
                if (number := 1 + (start + step) % _ENDPOINTS) not in taken
            )
            self._ids[name] = known
        return known


def _written(label: str) -> str:
    """A label as Hubble writes it: an empty value has no equals sign."""
    return label.removesuffix("=")


def _full_name(obj: Mapping[str, Any]) -> str:
    return f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def _workload(pod: Mapping[str, Any]) -> tuple[str, str] | None:
    """The controller that people know: a Deployment rather than its ReplicaSet."""
    metadata = pod.get("metadata", {})
    for owner in metadata.get("ownerReferences") or ():
        name, kind = str(owner["name"]), str(owner["kind"])
        suffix = (metadata.get("labels") or {}).get("pod-template-hash")
        if kind == "ReplicaSet" and suffix and name.endswith(f"-{suffix}"):
            return name.removesuffix(f"-{suffix}"), "Deployment"
        return name, kind
    return None


def _rules(policies: list[dict[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for policy in policies:
        for spec in (policy.get("spec"), *(policy.get("specs") or ())):
            for section in ("ingress", "egress", "ingressDeny", "egressDeny"):
                for rule in (spec or {}).get(section) or ():
                    if isinstance(rule, Mapping):
                        yield rule


def _prefixes(rule: Mapping[str, Any]) -> Iterator[ipaddress.IPv4Network]:
    """The prefixes that a rule names, excepted ones too."""
    texts = [*(rule.get("fromCIDR") or ()), *(rule.get("toCIDR") or ())]
    blocks = [*(rule.get("fromCIDRSet") or ()), *(rule.get("toCIDRSet") or ())]
    peers = [*(rule.get("from") or ()), *(rule.get("to") or ())]
    blocks += [peer["ipBlock"] for peer in peers if peer.get("ipBlock")]
    for block in blocks:
        texts += [block.get("cidr"), *(block.get("except") or ())]
    for text in texts:
        try:
            yield ipaddress.IPv4Network(text or "", strict=False)
        except ValueError:
            continue  # IPv6, a group, or what the agent ignores


def _digest(identity: Identity) -> bytes:
    name = f"{identity.namespace}/{identity.pod}"
    return hashlib.blake2b(name.encode(), digest_size=12).digest()


def _mac(octets: bytes) -> str:
    """A locally administered unicast address."""
    return ":".join(f"{octet:02x}" for octet in (octets[0] & 0xFC | 0x02, *octets[1:]))
