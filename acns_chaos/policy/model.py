"""The values the engine takes and gives: references, settings, flows, verdicts.

Belongs here: plain frozen dataclasses and their wording. Does not belong here: anything that
decides. Where an endpoint comes from is `endpoints`, how a verdict is found is `verdict`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from acns_chaos.errors import PolicyError
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.quoting import a, shown
from acns_chaos.policy.schema import json_type

ALLOWED = "ALLOWED"
DENIED = "DENIED"
NOT_APPLICABLE = "N/A"
POLICY_DENIED = "POLICY_DENIED"
POLICY_DENY = "POLICY_DENY"

INGRESS = "ingress"
EGRESS = "egress"

KINDS = ("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "NetworkPolicy")
"""The kinds of policy object the engine knows."""

_LONGEST_NAME = 253


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """Which policy object: its kind, its namespace ("" for a clusterwide one) and its name."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> Self:
        """The reference of a raw policy object.

        Args:
            policy: a Kubernetes object as JSON.

        Raises:
            PolicyError: it is not a policy object, or it has no name.
        """
        if not isinstance(policy, Mapping):
            found = a(json_type(policy))
            raise PolicyError(f"A policy is an object, and this is {found}; give the whole object.")
        kind = policy.get("kind")
        if kind not in KINDS:
            what = "without a kind"
            if kind is not None:
                what = (
                    f"of kind {shown(kind)}" if isinstance(kind, str) else "whose kind is no text"
                )
            raise PolicyError(f"An object {what} is not a policy; give one of {', '.join(KINDS)}.")
        metadata = policy.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        if not isinstance(metadata, Mapping) or not isinstance(name, str) or not name:
            raise PolicyError(f"A {kind} has no metadata.name; give the object its name.")
        namespace = metadata.get("namespace") or "default"
        for field, value in (("name", name), ("namespace", namespace)):
            if not isinstance(value, str) or len(value) > _LONGEST_NAME:
                raise PolicyError(
                    f"metadata.{field} of the {kind} {shown(name)} is no name; give a text of at "
                    f"most {_LONGEST_NAME} characters."
                )
        if kind == "CiliumClusterwideNetworkPolicy":
            return cls(kind, "", name)
        return cls(kind, namespace, name)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True, order=True)
class RuleRef:
    """One rule item of an object.

    Attributes:
        object: the object it stands in.
        section: "ingress", "egress", "ingressDeny" or "egressDeny".
        path: where in the object, e.g. "spec.ingress[0]".
    """

    object: ObjectRef
    section: str
    path: str

    def __str__(self) -> str:
        return f"{self.path} of {self.object}"


@dataclass(frozen=True, slots=True)
class Settings:
    """The agent settings that change verdicts. The defaults are those of Cilium 1.19.

    Attributes:
        enforcement: policy enforcement mode: "default", "always" or "never".
        allow_localhost: "auto" lets the local node into every pod, "policy" asks the policies.
        host_firewall: whether the node itself is a policy subject.
        default_local_cluster: peers are limited to the local cluster unless they name one.
        node_selector_labels: fromNodes and toNodes are allowed, nodes carry their labels.
        non_default_deny: enableDefaultDeny is obeyed; off, it counts as true.
        cluster_name: the name of the local cluster.
        ipv6: a dual-stack cluster: the outside splits into world-ipv4 and world-ipv6.
        l7_proxy: layer-7 rules are supported.
        icmp_rules: `icmps` is supported.
        extended_protocols: VRRP and IGMP, and an empty port for them, are supported.
    """

    enforcement: str = "default"
    allow_localhost: str = "auto"
    host_firewall: bool = False
    default_local_cluster: bool = True
    node_selector_labels: bool = False
    non_default_deny: bool = True
    cluster_name: str = "default"
    ipv6: bool = False
    l7_proxy: bool = True
    icmp_rules: bool = True
    extended_protocols: bool = False

    def __post_init__(self) -> None:
        if self.enforcement not in {"default", "always", "never"}:
            raise PolicyError(
                f"Policy enforcement mode {self.enforcement!r} is not known; "
                "use default, always or never."
            )

    @classmethod
    def from_json(cls, config: Mapping[str, Any]) -> Self:
        """Settings from the camel-case names of a description of the cluster.

        Args:
            config: only settings that differ from the defaults, e.g. {"hostFirewall": true}.

        Raises:
            PolicyError: a name is not known.
        """
        unknown = sorted(set(config) - set(_SETTING_NAMES))
        if unknown:
            raise PolicyError(
                f"Agent setting {unknown[0]!r} is not known; known are {', '.join(_SETTING_NAMES)}."
            )
        return cls(**{_SETTING_NAMES[name]: value for name, value in config.items()})


_SETTING_NAMES = {
    "policyEnforcementMode": "enforcement",
    "allowLocalhost": "allow_localhost",
    "hostFirewall": "host_firewall",
    "policyDefaultLocalCluster": "default_local_cluster",
    "enableNodeSelectorLabels": "node_selector_labels",
    "enableNonDefaultDenyPolicies": "non_default_deny",
    "clusterName": "cluster_name",
    "enableIPv6": "ipv6",
    "enableL7Proxy": "l7_proxy",
    "enableICMPRules": "icmp_rules",
    "enableExtendedIPProtocols": "extended_protocols",
}


@dataclass(frozen=True, slots=True)
class Side:
    """The judgement of one direction.

    Attributes:
        verdict: "ALLOWED", "DENIED", or "N/A" when this side is no policy subject.
        drop_reason: "POLICY_DENIED" (nothing allowed it), "POLICY_DENY" (a deny rule matched)
            or None.
        rules: the rules that allowed or denied it; empty when no rule was needed or none matched.
        selecting: the objects that select this endpoint in this direction.
        redirected: the flow goes to the layer-7 proxy.
        nearest: "" or one sentence: the rule that came nearest, and what did not match.
    """

    verdict: str
    drop_reason: str | None = None
    rules: tuple[RuleRef, ...] = ()
    selecting: tuple[ObjectRef, ...] = ()
    redirected: bool = False
    nearest: str = ""


@dataclass(frozen=True, slots=True)
class Flow:
    """One connection attempt: who, to whom, to which port (after service translation)."""

    source: Endpoint
    destination: Endpoint
    port: int
    protocol: str = "TCP"

    def __str__(self) -> str:
        return f"{self.source.name} -> {self.destination.name}:{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a flow, and why.

    Attributes:
        verdict: "ALLOWED" or "DENIED", by layers 3 and 4.
        egress: the sender's side.
        ingress: the receiver's side.
        drop_reason: of the egress side if both deny.
        l7: "ALLOWED" or "DENIED" by the proxy; None when no proxy saw a request.
        source: who asked.
        destination: who was asked.
        traffic: what was asked for, e.g. "8080/TCP" or "ICMP type 8".
    """

    verdict: str
    egress: Side
    ingress: Side
    drop_reason: str | None
    l7: str | None
    source: Endpoint
    destination: Endpoint
    traffic: str

    def sentence(self) -> str:
        """The verdict for a person, on one line."""
        if self.egress.verdict == DENIED:
            return self._denied("egress", self.source, self.destination, self.egress)
        if self.ingress.verdict == DENIED:
            return self._denied("ingress", self.destination, self.source, self.ingress)
        flow = f"{self.source.name} to {self.destination.name} on {self.traffic}"
        rules = (*self.egress.rules, *self.ingress.rules)
        if self.l7 == DENIED:
            return f"DENIED by the proxy: {_rules(rules)} let {flow}, but not this request"
        if rules:
            return f"ALLOWED: {flow}, by {_rules(rules)}"
        return f"ALLOWED: {flow}: no policy restricts it"

    def _denied(self, direction: str, subject: Endpoint, peer: Endpoint, side: Side) -> str:
        start = f"DENIED at {direction} of {subject.name}: "
        if side.drop_reason == POLICY_DENY:
            return f"{start}{_rules(side.rules)} denies {peer.name} on {self.traffic}"
        objects = " or ".join(str(o) for o in side.selecting)
        of = f"no rule of {objects}" if objects else "no policy selects it, and nothing"
        return f"{start}{of} allows {peer.name} on {self.traffic}"


def _rules(rules: tuple[RuleRef, ...]) -> str:
    return " and ".join(str(rule) for rule in rules)
