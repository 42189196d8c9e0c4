"""Which flows are wanted: one question, put to the relay as filters, and to each flow as a test.

The relay sorts out most, so that little comes over the wire; the test has the last word, because
Hubble's filters are coarser than the question (a pod's name by its beginning, no AND of two names
for one side). A filter that the relay cannot use is no error there, but a notice.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from acns_chaos.cluster.hubble.seen import WORLDS, Peer, SeenFlow
from acns_chaos.errors import ArgumentError

__all__ = ["ENTITIES", "KINDS", "VERDICTS", "Query"]

VERDICTS = ("FORWARDED", "DROPPED", "ERROR", "AUDIT", "REDIRECTED", "TRACED", "TRANSLATED")
KINDS = {"drop": 1, "trace": 4, "policy-verdict": 5, "l7": 129}
PROTOCOLS = ("tcp", "udp", "sctp", "icmp", "icmpv4", "icmpv6", "dns", "http", "vrrp", "igmp")
_LAYER7 = ("dns", "http")
ENTITIES = (
    *("world", "host", "remote-node", "kube-apiserver", "health"),
    *("ingress", "init", "unmanaged"),
)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_PATTERN = re.compile(r"[-_a-z0-9*]+(\.[-_a-z0-9*]+)+\.?|[*]", re.IGNORECASE)
_REASON = re.compile(r"[A-Z][A-Z0-9_]*")

PeerTest = Callable[[Peer], bool]


@dataclass(frozen=True)
class Query:
    """Which flows.

    Attributes:
        verdict: "DROPPED", "FORWARDED", ...; "" any.
        source: "pets/store-front" (a workload, or a pod by the beginning of its name), "pets/" (a
            namespace), "world" or another of ENTITIES, a DNS name, with stars or without, an
            address or prefix; "" any.
        destination: likewise; a DNS name also means the question for it.
        direction: "ingress", "egress" or "".
        protocol: "tcp", "udp", "dns", "http", ...; "" any.
        port: of the destination, the pod's and not the Service's; 0 any.
        reason: "POLICY_DENIED", ...; "" any.
        kinds: of KINDS; empty any.
        since: seconds since 1970; None takes what the nodes still hold (or, to follow, what comes).
        number: at most the last so many; 0 without a limit.
        namespace: flows from or to it; "" any.

    Raises:
        ArgumentError: one of them cannot be meant.
    """

    verdict: str = ""
    source: str = ""
    destination: str = ""
    direction: str = ""
    protocol: str = ""
    port: int = 0
    reason: str = ""
    kinds: tuple[str, ...] = ()
    since: float | None = None
    number: int = 0
    namespace: str = ""

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("verdict", self.verdict, VERDICTS),
            ("direction", self.direction, ("ingress", "egress")),
            ("protocol", self.protocol, PROTOCOLS),
            *(("type", kind, tuple(KINDS)) for kind in self.kinds),
        ):
            if value and value not in allowed:
                raise ArgumentError(f"{name} must be {' or '.join(allowed)}, not {value!r}.")
        if not 0 <= self.port < 65536 or self.number < 0:
            raise ArgumentError("A port lies between 0 and 65535, and a number is not negative.")
        if self.reason and not _REASON.fullmatch(self.reason):
            raise ArgumentError(f"{self.reason!r} is no drop reason, as POLICY_DENIED is one.")
        if self.namespace and not _NAME.fullmatch(self.namespace):
            raise ArgumentError(f"{self.namespace!r} is no name of a namespace.")
        for text in filter(None, (self.source, self.destination)):
            _Who.of(text)

    @cached_property
    def _sides(self) -> tuple["_Who | None", "_Who | None"]:
        source = _Who.of(self.source) if self.source else None
        return source, _Who.of(self.destination) if self.destination else None

    def matches(self, flow: SeenFlow) -> bool:
        """Whether a flow is one of those; `since` and `number` do not count here."""
        if (
            (self.verdict and flow.verdict != self.verdict)
            or (self.reason and flow.reason != self.reason)
            or (self.kinds and flow.kind not in self.kinds)
            or (self.direction and flow.direction != self.direction)
            or (self.port and flow.port != self.port)
            or (self.protocol and not _speaks(flow, self.protocol))
        ):
            return False
        both = (flow.source.namespace, flow.destination.namespace)
        if self.namespace and self.namespace not in both:
            return False
        source, destination = self._sides
        if source is not None and not source.test(flow.source):
            return False
        return destination is None or destination.test(flow.destination) or destination.asked(flow)

    def filters(self) -> list[dict[str, Any]]:
        """The same for the relay: fields of one FlowFilter each, of which one must match.

        Returns:
            Names of `flow.FlowFilter` to values, enums as names; empty for every flow.
        """
        common: dict[str, Any] = {}
        if self.verdict:
            common["verdict"] = [self.verdict]
        if self.reason:
            common["drop_reason_desc"] = [self.reason]
        if self.kinds:
            common["event_type"] = [{"type": KINDS[kind]} for kind in self.kinds]
        if self.direction:
            common["traffic_direction"] = [self.direction.upper()]
        if self.protocol:
            common["protocol"] = [self.protocol]
        if self.port:
            common["destination_port"] = [str(self.port)]
        source, destination = self._sides
        found = [common]
        for side, who in (("source", source), ("destination", destination)):
            if who is not None:
                found = [{**one, **more} for one in found for more in who.filters(side)]
        if self.namespace:
            # A field holds alternatives, so one that a side uses already cannot narrow it.
            found = [
                one if f"{side}_pod" in one else {**one, f"{side}_pod": [f"{self.namespace}/"]}
                for one in found
                for side in ("source", "destination")
            ]
        return [one for one in found if one]


@dataclass(frozen=True, slots=True)
class _Who:
    """One side of a question.

    Attributes:
        test: whether a peer is it.
        field: of a filter, without its side.
        values: of that field.
        name: DNS name or pattern that may be asked for, "" when it is none.
    """

    test: PeerTest
    field: str
    values: tuple[str, ...]
    name: str = ""

    @classmethod
    def of(cls, text: str) -> "_Who":
        """Read who is meant.

        Raises:
            ArgumentError: nobody can be.
        """
        if "/" in text and not text[0].isdigit() and ":" not in text:
            return cls._pods(*text.split("/", 1))
        if text in ENTITIES:
            labels = WORLDS if text == "world" else (f"reserved:{text}",)
            return cls(lambda peer: not _none(labels, peer.labels), "label", labels)
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            if _PATTERN.fullmatch(text):
                return cls._named(text.lower().rstrip("."))
        else:
            return cls(lambda peer: _inside(peer.ip, network), "ip", (text,))
        # A namespace may begin with a digit, too.
        if "/" in text and ":" not in text:
            return cls._pods(*text.split("/", 1))
        raise ArgumentError(
            f"{text!r} is nobody: write NAMESPACE/WORKLOAD, NAMESPACE/, an address or prefix, a "
            f"DNS name, or one of {', '.join(ENTITIES)}."
        )

    @classmethod
    def _pods(cls, namespace: str, name: str) -> "_Who":
        if not _NAME.fullmatch(namespace) or (name and not _NAME.fullmatch(name)):
            raise ArgumentError(f"{namespace + '/' + name!r} is no NAMESPACE/WORKLOAD.")

        def test(peer: Peer) -> bool:
            if peer.namespace != namespace:
                return False
            if not name or name in (peer.workload, peer.pod):
                return True
            # The beginning of a pod's name, unless it is that of another workload's.
            return peer.pod.startswith(name) and (
                not peer.workload or name.startswith(f"{peer.workload}-")
            )

        return cls(test, "pod", (f"{namespace}/{name}",))

    @classmethod
    def _named(cls, pattern: str) -> "_Who":
        expression = re.compile(re.escape(pattern).replace(r"\*", ".*"))
        return cls(
            lambda peer: any(expression.fullmatch(one.rstrip(".").lower()) for one in peer.names),
            "fqdn",
            (pattern,),
            pattern,
        )

    def asked(self, flow: SeenFlow) -> bool:
        """Whether a flow is a question for this name."""
        if not self.name or not flow.dns_query:
            return False
        expression = re.escape(self.name).replace(r"\*", ".*")
        return bool(re.fullmatch(expression, flow.dns_query.rstrip(".").lower()))

    def filters(self, side: str) -> list[dict[str, Any]]:
        """Fields of a FlowFilter, of which one must match."""
        found: list[dict[str, Any]] = [{f"{side}_{self.field}": list(self.values)}]
        if self.name and side == "destination":
            expression = self.name.replace(".", "[.]").replace("*", ".*")
            found.append({"dns_query": [f"^{expression}[.]?$"]})
        return found


def _none(wanted: tuple[str, ...], there: tuple[str, ...]) -> bool:
    return not any(one in there for one in wanted)


def _inside(ip: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(ip) in network
    except ValueError:
        return False


def _speaks(flow: SeenFlow, protocol: str) -> bool:
    if protocol in _LAYER7:
        return flow.kind == "l7" and bool(flow.dns_query) == (protocol == "dns")
    spoken = flow.protocol.lower()
    return spoken.startswith("icmp") if protocol == "icmp" else spoken == protocol
