"""The agent's sanitizer, second part: ports, ICMP types and layer-7 rules.

Belongs here: findings about toPorts and icmps. Does not belong here: selectors and peers
(`validity_agent`).
Source of the facts: Cilium 1.19, rule validation, as tabled in the semantics.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from acns_chaos.policy import names
from acns_chaos.policy.model import INGRESS, Settings
from acns_chaos.policy.ports import (
    EXTENDED,
    ICMP_PROTOCOLS,
    MAX_PORT,
    TRANSPORT,
    icmp_type,
    is_service_name,
    parse_number,
)
from acns_chaos.policy.quoting import clipped, shown
from acns_chaos.policy.regexes import LONGEST, go_regex

MAX_ENTRIES = 40
PROTOCOLS = ("ANY", *TRANSPORT, *EXTENDED)
_LAYER_7 = ("http", "dns", "kafka", "l7")
_MISMATCHES = ("LOG", "ADD", "DELETE", "REPLACE")

Findings = Iterator[tuple[str, str]]


def port_findings(
    item: Mapping[str, Any],
    path: str,
    direction: str,
    settings: Settings,
    *,
    deny: bool,
    host: bool,
) -> Findings:
    """What is wrong with the ports of a rule item, as (path, finding).

    Args:
        item: an item of a section.
        path: where it stands.
        direction: "ingress" or "egress".
        settings: of the agents.
        deny: it is a deny item: layer 7 is pruned from it.
        host: the rule has a nodeSelector.
    """
    if item.get("icmps") and not settings.icmp_rules:
        yield path, "icmps needs the agent option enable-icmp-rules"
    if item.get("icmps") and item.get("toPorts"):
        yield path, "icmps may only be present without toPorts; make two rules of it"
    for number, port_rule in enumerate(item.get("toPorts") or ()):
        here = f"{path}.toPorts[{number}]"
        yield from _ports(port_rule, here, settings)
        if not deny:
            yield from _proxy(port_rule, here, direction)
            if has_layer_7(port_rule):
                yield from _layer_7(port_rule, here, direction, settings, host=host)
    for number, icmp_rule in enumerate(item.get("icmps") or ()):
        yield from _icmp(icmp_rule, f"{path}.icmps[{number}]")


def has_layer_7(port_rule: Mapping[str, Any]) -> bool:
    """Whether a toPorts item has layer-7 rules; empty lists are none."""
    rules = port_rule.get("rules") or {}
    return any(rules.get(name) for name in _LAYER_7)


def _ports(port_rule: Mapping[str, Any], path: str, settings: Settings) -> Findings:
    ports = port_rule.get("ports") or ()
    if len(ports) > MAX_ENTRIES:
        yield path, f"{len(ports)} ports are too many, the most is {MAX_ENTRIES}"
    for number, raw in enumerate(ports):
        here = f"{path}.ports[{number}]"
        port, protocol = raw.get("port") or "", (raw.get("protocol") or "ANY").upper()
        if protocol not in PROTOCOLS:
            yield here, f"invalid protocol {shown(protocol)}; use one of {', '.join(PROTOCOLS)}"
        elif not port and not settings.extended_protocols:
            yield here, "the port must be specified"
        elif port and not is_service_name(port):
            if protocol in EXTENDED and port != "0":
                yield here, f"the port must be empty or 0 with protocol {protocol}"
            elif parse_number(port) is None:
                yield (
                    here,
                    f"unable to parse the port {shown(port)}; give 0 to {MAX_PORT} or a name",
                )


def _proxy(port_rule: Mapping[str, Any], path: str, direction: str) -> Findings:
    layer_7 = has_layer_7(port_rule)
    server_names = port_rule.get("serverNames") or ()
    if server_names and layer_7 and not port_rule.get("terminatingTLS"):
        yield path, "serverNames are not allowed with layer-7 rules without TLS termination"
    if "" in server_names:
        yield path, "an empty server name is not allowed"
    if port_rule.get("listener") is not None:
        if direction == INGRESS:
            yield path, "a listener is not allowed on ingress"
        if layer_7:
            yield path, "a listener is not allowed with layer-7 rules"


def _layer_7(
    port_rule: Mapping[str, Any], path: str, direction: str, settings: Settings, *, host: bool
) -> Findings:
    rules = port_rule["rules"]
    if not settings.l7_proxy:
        yield path, "layer-7 rules are not supported since the L7 proxy is not enabled"
    if host and (direction == INGRESS or rules.get("http") or rules.get("kafka")):
        yield path, f"layer-7 rules are not supported on host {direction} yet"
    if rules.get("dns") and direction == INGRESS:
        yield path, "L7 protocol DNS is not supported on ingress yet"
    ports = port_rule.get("ports") or ()
    if rules.get("dns") is not None and not ports:
        yield path, "a port must be specified for DNS rules"
    for raw in ports:
        yield from _layer_7_port(raw, path, dns=bool(rules.get("dns")))
    if sum(rules.get(name) is not None for name in ("http", "dns", "kafka", "l7proto")) > 1:
        yield path, "multiple layer-7 protocols are specified in a single rule"
    if rules.get("l7") is not None and not rules.get("l7proto"):
        yield path, "l7 may only be specified together with l7proto"
    for number, raw in enumerate(rules.get("dns") or ()):
        finding = names.problem(raw)
        if finding:
            yield f"{path}.rules.dns[{number}]", finding
    for number, raw in enumerate(rules.get("http") or ()):
        yield from _http(raw, f"{path}.rules.http[{number}]")


def _layer_7_port(raw: Mapping[str, Any], path: str, *, dns: bool) -> Findings:
    protocol = (raw.get("protocol") or "ANY").upper()
    number = parse_number(raw.get("port") or "")
    if number == 0:
        yield path, "layer-7 rules can not be used when a port is 0"
    if not dns and protocol != "TCP":
        yield (
            path,
            f"layer-7 rules can only apply to TCP, not {clipped(protocol)}, except for DNS rules",
        )
    if dns and number is not None and (raw.get("endPort") or 0) > number:
        yield path, "DNS rules do not support port ranges"


def _http(raw: Mapping[str, Any], path: str) -> Findings:
    # The agent compiles only these two; Envoy sees the others first.
    for name in ("path", "method"):
        pattern = raw.get(name) or ""
        if len(pattern) > LONGEST:
            yield (
                path,
                (
                    f"{name} is a regular expression of {len(pattern)} characters; it is read up "
                    f"to {LONGEST}"
                ),
            )
        elif pattern and go_regex(pattern) is None:
            yield path, f"{name} {shown(pattern)} is not a regular expression"
    for match in raw.get("headerMatches") or ():
        if not match.get("name"):
            yield path, "a header match has no name"
        if match.get("mismatch") and match["mismatch"] not in _MISMATCHES:
            yield path, f"invalid header action {shown(match['mismatch'])}"
        if match.get("secret") is not None and not match["secret"].get("name"):
            yield path, "the secret of a header match has no name"


def _icmp(icmp_rule: Mapping[str, Any], path: str) -> Findings:
    fields = icmp_rule.get("fields") or ()
    if len(fields) > MAX_ENTRIES:
        yield path, f"{len(fields)} types are too many, the most is {MAX_ENTRIES}"
    for number, raw in enumerate(fields):
        here = f"{path}.fields[{number}]"
        family = raw.get("family") or "IPv4"
        if family not in ICMP_PROTOCOLS:
            yield here, f"wrong family {shown(family)}; use IPv4 or IPv6"
        elif icmp_type(raw) is None:
            yield here, f"{shown(raw.get('type'))} is not an ICMP type of {family}"


def network_policy_ports(rule: Mapping[str, Any], path: str) -> Findings:
    """What is wrong with the ports of a rule of a NetworkPolicy, as (path, finding)."""
    for number, raw in enumerate(rule.get("ports") or ()):
        here = f"{path}.ports[{number}]"
        port, protocol = raw.get("port"), raw.get("protocol") or "TCP"
        if protocol not in TRANSPORT:
            yield here, f"invalid protocol {shown(protocol)}; use one of {', '.join(TRANSPORT)}"
        if isinstance(port, str) and not is_service_name(port):
            yield here, f"{shown(port)} is not a port name; write a number without quotes"
        if isinstance(port, int) and not 1 <= port <= MAX_PORT:
            yield here, f"port {port} is out of range; give 1 to {MAX_PORT}"
        last = raw.get("endPort")
        if last is not None and (not isinstance(port, int) or not port <= last <= MAX_PORT):
            yield here, f"endPort {last} needs a numeric port that is not above it"
