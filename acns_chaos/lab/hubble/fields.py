"""Tests of single fields, as filters are made of them.

Each function takes how to get a value out of a flow, or knows it, and gives a function from what a
client sent to a test. Which field has which is in `filters`. Source: Cilium 1.19, its filters.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from acns_chaos.lab.hubble.identities import CLUSTER
from acns_chaos.lab.hubble.labels import SelectorError, parsed, selector
from acns_chaos.lab.hubble.names import PatternError, domains, namespaced, nodes
from acns_chaos.policy.regexes import go_regex
from acns_chaos.wire import flow_pb2

Flow = flow_pb2.Flow
Test = Callable[[Flow], bool]
_LAYER4 = {
    "icmp": ("ICMPv4", "ICMPv6"),
    "icmpv4": ("ICMPv4",),
    "icmpv6": ("ICMPv6",),
    "tcp": ("TCP",),
    "udp": ("UDP",),
    "sctp": ("SCTP",),
    "vrrp": ("VRRP",),
    "igmp": ("IGMP",),
}
_RECORDS = ("dns", "http", "kafka")
_FLAGS = tuple(field.name for field in flow_pb2.TCPFlags.DESCRIPTOR.fields)


class FilterError(ValueError):
    """A filter cannot be used; the text is Hubble's."""


def equal(get: Callable[[Flow], Any]) -> Callable[[Sequence[Any]], Test]:
    """Equal to one of the values."""
    return lambda values: lambda flow: get(flow) in values


def ip(get: Callable[[Flow], str]) -> Callable[[Sequence[str]], Test]:
    """An address: the same text, or inside a prefix.

    Raises:
        FilterError: when it is built, a value is neither.
    """

    def make(values: Sequence[str]) -> Test:
        addresses, prefixes = set(), []
        for value in values:
            try:
                if "/" in value:
                    prefixes.append(ipaddress.ip_network(value, strict=False))
                else:
                    ipaddress.ip_address(value)
                    addresses.add(value)
            except ValueError:
                raise FilterError(_bad_address(value)) from None

        def matches(flow: Flow) -> bool:
            found = get(flow)
            if found in addresses:
                return True
            return bool(found) and any(ipaddress.ip_address(found) in p for p in prefixes)

        return matches

    return make


def _bad_address(value: str) -> str:
    if "/" in value:
        return f'invalid CIDR in filter: "{value}"'
    return f'invalid IP address "{value}" in filter: ParseAddr("{value}"): unable to parse IP'


def named(
    get: Callable[[Flow], tuple[str, str]], prefix: str = ""
) -> Callable[[Sequence[str]], Test]:
    """Namespace and beginning of a name; errors begin with the prefix."""

    def make(values: Sequence[str]) -> Test:
        try:
            test = namespaced(values)
        except PatternError as error:
            raise FilterError(f"{prefix}{error}") from None
        return lambda flow: test(*get(flow))

    return make


def fqdn(get: Callable[[Flow], Iterable[str]]) -> Callable[[Sequence[str]], Test]:
    """One of the names that DNS answers gave an address."""

    def make(values: Sequence[str]) -> Test:
        try:
            pattern = domains(values)
        except PatternError as error:
            raise FilterError(str(error)) from None
        return lambda flow: any(pattern.match(name) for name in get(flow))

    return make


def labels(get: Callable[[Flow], Iterable[str]], prefix: str) -> Callable[[Sequence[str]], Test]:
    """Selected by its labels; errors begin with the prefix."""

    def make(values: Sequence[str]) -> Test:
        try:
            tests = [selector(value) for value in values]
        except SelectorError as error:
            raise FilterError(f"{prefix}: {error}") from None

        def matches(flow: Flow) -> bool:
            labels = parsed(get(flow))
            return any(test(labels) for test in tests)

        return matches

    return make


def node_labels(values: Sequence[str]) -> Test:
    """Labels of the node that saw it."""
    make = labels(lambda f: [f"k8s:{x}" for x in f.node_labels], "invalid node label filter")
    return make(values)


def port(get: Callable[[Any], int], side: str) -> Callable[[Sequence[str]], Test]:
    """A port of TCP, UDP or SCTP, written in decimal digits."""

    def make(values: Sequence[str]) -> Test:
        ports = set()
        for value in values:
            if not (value.isascii() and value.isdigit()):
                why = f'strconv.ParseUint: parsing "{value}": invalid syntax'
                raise FilterError(f'invalid {side} port filter: invalid port "{value}": {why}')
            if int(value) > 65535:
                why = f'strconv.ParseUint: parsing "{value}": value out of range'
                raise FilterError(f'invalid {side} port filter: invalid port "{value}": {why}')
            ports.add(int(value))

        def matches(flow: Flow) -> bool:
            which = flow.l4.WhichOneof("protocol")
            return which in ("TCP", "UDP", "SCTP") and get(getattr(flow.l4, which)) in ports

        return matches

    return make


def regex(get: Callable[[Flow], str | None], what: str) -> Callable[[Sequence[str]], Test]:
    """A regular expression of Go, found anywhere in a text; None is no text."""

    def make(values: Sequence[str]) -> Test:
        patterns: list[re.Pattern[str]] = []
        for value in values:
            pattern = go_regex(value)
            if pattern is None:
                raise FilterError(
                    f"invalid {what} filter: failed to compile regexp: error parsing regexp: "
                    f"`{value}`"
                )
            patterns.append(pattern)

        def matches(flow: Flow) -> bool:
            text = get(flow)
            return text is not None and any(pattern.search(text) for pattern in patterns)

        return matches

    return make


def status_codes(values: Sequence[str]) -> Test:
    """HTTP codes like 404, or their beginning like 4+."""
    for value in values:
        if not re.fullmatch(r"[1-5][0-9]{2}|[1-5][0-9]?\+", value):
            text = f'invalid http status code filter: invalid status code prefix: "{value}"'
            raise FilterError(text)
    exact = {value for value in values if not value.endswith("+")}
    prefixes = tuple(value.removesuffix("+") for value in values if value.endswith("+"))

    def matches(flow: Flow) -> bool:
        code = f"{flow.l7.http.code:03d}" if flow.l7.http.code else ""
        return bool(code) and (code in exact or code.startswith(prefixes or ("no",)))

    return matches


def protocols(values: Sequence[str]) -> Test:
    """Protocols of layer 4 or 7, by name."""
    wanted = {value.lower() for value in values}
    for value in values:
        if value.lower() not in _LAYER4 and value.lower() not in _RECORDS:
            raise FilterError(f'invalid protocol filter: unknown protocol: "{value}"')
    lower = {name for value in wanted for name in _LAYER4.get(value, ())}
    return lambda flow: (
        flow.l4.WhichOneof("protocol") in lower or flow.l7.WhichOneof("record") in wanted
    )


def event_types(values: Sequence[flow_pb2.EventTypeFilter]) -> Test:
    """The kind of event; a type of 0 is any, a sub-type counts when it is asked for."""

    def matches(flow: Flow) -> bool:
        event = flow.event_type
        return any(
            one.type in (0, event.type)
            and (not one.match_sub_type or one.sub_type == event.sub_type)
            for one in values
        )

    return matches


def replies(values: Sequence[bool]) -> Test:
    """Whether it is a reply; of a drop nobody knows, which counts as no."""

    def matches(flow: Flow) -> bool:
        if flow.HasField("is_reply"):
            return flow.is_reply.value in values
        return flow.verdict == flow_pb2.DROPPED and False in values

    return matches


def tcp_flags(values: Sequence[flow_pb2.TCPFlags]) -> Test:
    """All the flags of one value are set."""
    wanted = [[flag for flag in _FLAGS if getattr(value, flag)] for value in values]

    def matches(flow: Flow) -> bool:
        if not flow.l4.TCP.HasField("flags"):
            return False
        found = flow.l4.TCP.flags
        return any(all(getattr(found, flag) for flag in flags) for flags in wanted)

    return matches


def node_names(values: Sequence[str]) -> Test:
    """The name of the node that saw it, with its cluster."""
    try:
        pattern = nodes(values)
    except PatternError as error:
        raise FilterError(str(error)) from None

    def matches(flow: Flow) -> bool:
        name = flow.node_name
        return bool(name) and bool(pattern.match(name if "/" in name else f"{CLUSTER}/{name}"))

    return matches


def workloads(
    get: Callable[[Flow], flow_pb2.Endpoint],
) -> Callable[[Sequence[flow_pb2.Workload]], Test]:
    """A workload of one side, by name, kind or both."""
    return lambda values: (
        lambda flow: any(
            one.name in ("", found.name) and one.kind in ("", found.kind)
            for found in get(flow).workloads
            for one in values
        )
    )


def interfaces(values: Sequence[flow_pb2.NetworkInterface]) -> Test:
    """The interface it was seen at, by index, name or both."""
    return lambda flow: (
        flow.HasField("interface")
        and any(
            one.index in (0, flow.interface.index) and one.name in ("", flow.interface.name)
            for one in values
        )
    )


def headers(values: Sequence[flow_pb2.HTTPHeader]) -> Test:
    """A header of an HTTP request or response."""
    return lambda flow: any(
        one.key == found.key and one.value == found.value
        for found in flow.l7.http.headers
        for one in values
    )


def expression(value: flow_pb2.FlowFilter.Experimental) -> Test:
    """An expression in CEL, which is refused by name."""
    if value.cel_expression:
        raise FilterError("error compiling CEL expression: CEL is not modelled by this lab")
    return lambda _: True
