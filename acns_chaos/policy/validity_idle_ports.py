"""Ports, ICMP types and layer-7 rules that mean nothing, everything, or not what they look like.

Belongs here: what a rule item says about traffic by itself, and names that its own object never
lets the cluster learn. Does not belong here: peers, and which ports pods have.
Source of the facts: Cilium 1.19, ports, layer 7 and DNS as tabled in the semantics.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from acns_chaos.policy.model import ObjectRef
from acns_chaos.policy.names import NameMatch
from acns_chaos.policy.ports import icmp_type, is_service_name, parse_number
from acns_chaos.policy.quoting import clipped

Said = tuple[str, str]


def port_findings(
    item: Mapping[str, Any], path: str, section: str, spec: Mapping[str, Any], ref: ObjectRef
) -> Iterator[Said]:
    """What is idle or odd about the ports of a rule item, as (path, sentence).

    Args:
        item: the stored item.
        path: where it stands.
        section: "ingress", "egress", "ingressDeny" or "egressDeny".
        spec: the rule block it stands in.
        ref: the object.
    """
    verb = "denies" if section.endswith("Deny") else "allows"
    for number, port_rule in enumerate(item.get("toPorts") or ()):
        here = f"{path}.toPorts[{number}]"
        if not port_rule.get("ports"):
            yield here, f"it names no port, so it {verb} nothing; name ports, or take it out."
        for index, entry in enumerate(port_rule.get("ports") or ()):
            yield from _entry(entry, f"{here}.ports[{index}]")
        rules = port_rule.get("rules") or {}
        for kind in ("http", "dns", "kafka"):
            if rules.get(kind) == []:
                yield (
                    f"{here}.rules.{kind}",
                    (
                        "an empty list filters nothing, so every request on the ports passes; "
                        "write what is to pass, or take the rules out."
                    ),
                )
        for index, request in enumerate(rules.get("http") or ()):
            yield from _http(request, f"{here}.rules.http[{index}]")
        if rules.get("dns"):
            yield from _dns(port_rule, here, spec, ref)
    for number, icmp_rule in enumerate(item.get("icmps") or ()):
        here = f"{path}.icmps[{number}]"
        if not icmp_rule.get("fields"):
            yield here, f"it names no type, so it {verb} nothing; name types, or take it out."
        for index, one in enumerate(icmp_rule.get("fields") or ()):
            if icmp_type(one) == 0:
                yield (
                    f"{here}.fields[{index}]",
                    (
                        f"type 0 counts as every type, so it {verb} all ICMP of the family; "
                        "replies to allowed echo requests need no rule."
                    ),
                )


def _entry(entry: Mapping[str, Any], path: str) -> Iterator[Said]:
    written = entry.get("port") or ""
    number, last = parse_number(written), entry.get("endPort") or 0
    if is_service_name(written):
        if last:
            yield f"{path}.endPort", "it is ignored beside the name of a port; write numbers."
        return
    if number is None:
        return
    if 0 < last < number:
        yield (
            f"{path}.endPort",
            (f"{last} is below the port, so only port {number} is meant; write the range upwards."),
        )
    if number and written.startswith("0"):
        yield (
            f"{path}.port",
            (
                f"{clipped(written)} is read as an octal number, so port {number} is meant; write "
                "it without the zero."
            ),
        )


def _http(request: Mapping[str, Any], path: str) -> Iterator[Said]:
    if not any(
        request.get(name) for name in ("path", "method", "host", "headers", "headerMatches")
    ):
        yield (
            path,
            (
                "an empty item admits every request, only through the proxy; say what is to "
                "pass, or take the rules out."
            ),
        )
    method, asked = request.get("method") or "", request.get("path") or ""
    if method.isalpha() and method != method.upper():
        yield (
            f"{path}.method",
            (
                f"methods are written in capitals, so {clipped(method)} never matches; write "
                f"{clipped(method.upper())}."
            ),
        )
    if asked[:1].isalnum() and "|" not in asked:
        yield (
            f"{path}.path",
            (
                "the expression must match the whole path, which begins with a slash, so it never "
                "does; begin it with a slash."
            ),
        )


def _dns(
    port_rule: Mapping[str, Any], path: str, spec: Mapping[str, Any], ref: ObjectRef
) -> Iterator[Said]:
    for index, entry in enumerate(port_rule.get("ports") or ()):
        number = parse_number(entry.get("port") or "")
        if number not in {None, 53}:
            yield (
                f"{path}.ports[{index}]",
                (
                    f"lookups go to port 53, so these DNS rules on port {number} see none of them; "
                    "write port 53."
                ),
            )
    admitted = dns_matches(spec)
    for index, one in enumerate(port_rule["rules"]["dns"]):
        name = (one.get("matchName") or one.get("matchPattern") or "").rstrip(".")
        sample = name.replace("*", "x").lower()
        # Names of the cluster or of its cloud's own domain are such expansions themselves.
        expanded = sample.endswith("cluster.local") or "internal" in sample.split(".")
        if not sample or expanded or set(name) <= {"*", "."}:
            continue
        first = f"{sample}.{ref.namespace or 'default'}.svc.cluster.local"
        if not any(match.matches(first) for match in admitted):
            yield (
                f"{path}.rules.dns[{index}]",
                (
                    "clients with a search list ask for "
                    f"{clipped(name)}.{ref.namespace or 'default'}.svc.cluster.local first, which "
                    "no rule admits, and musl gives up at the refusal; add matchPattern "
                    "**.cluster.local, or let clients end names with a dot."
                ),
            )
            return


def dns_matches(spec: Mapping[str, Any]) -> list[NameMatch]:
    """The names that a rule block lets through the DNS proxy."""
    return [
        NameMatch.of(one, dns_rule=True)
        for item in spec.get("egress") or ()
        for port_rule in item.get("toPorts") or ()
        for one in (port_rule.get("rules") or {}).get("dns") or ()
    ]
