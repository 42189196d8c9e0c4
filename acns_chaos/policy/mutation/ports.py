"""Mistakes in ports and protocols."""

from collections.abc import Iterator
from typing import Any

from acns_chaos.policy.mutation.edits import DROP, Edit, Family, Path, Raw, Surroundings
from acns_chaos.policy.mutation.sites import misspelt, other_items, rule_items
from acns_chaos.policy.ports import MAX_PORT, parse_number

PORTS = Family("ports")
PROTOCOLS = Family("protocol")


def _entries(policy: Raw) -> Iterator[tuple[Path, Raw]]:
    for item in rule_items(policy):
        yield from item.ports()


def _like(written: Any, number: int) -> Any:
    """A port number in the way the other is written: Cilium's are texts, Kubernetes' are not."""
    return number if isinstance(written, int) else str(number)


def _number(port: Raw) -> int | None:
    """The number of a port entry; None when it has a name or stands for every port."""
    number = parse_number(str(port.get("port") or ""))
    every = number == 0 and port.get("endPort") in {None, 0, MAX_PORT}
    return None if every else number


def _moved(path: Path, port: Raw, number: int) -> Edit:
    """An edit that writes another number; a range keeps its end, or becomes that one port."""
    return Edit(path, (((*path, "port"), _like(port["port"], number)),), variant=str(number))


@PORTS.operator(
    "port-off-service",
    "The service's port is written instead of the container's, which is the one that counts.",
    native=True,
)
def _service_port(policy: Raw, around: Surroundings) -> Iterator[Edit]:
    for path, port in _entries(policy):
        wrong = around.service_ports(str(port.get("port") or ""))
        for number in wrong:
            edit = _moved(path, port, number)
            yield Edit(path, edit.steps, variant=str(number) if len(wrong) > 1 else "")


@PORTS.operator(
    "port-mistyped",
    "Two digits of a port are swapped, or it is one off.",
    native=True,
)
def _mistyped(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, port in _entries(policy):
        number = _number(port)
        if number is not None:
            yield Edit(path, _moved(path, port, _slip(number, port.get("endPort"))).steps)


def _slip(number: int, last: int | None) -> int:
    text = str(number)
    swapped = int(text[:-2] + text[-1] + text[-2]) if len(text) > 1 and text[-1] != "0" else number
    if swapped == number or swapped > (last or MAX_PORT):
        return number + 1 if number < (last or MAX_PORT) else number - 1 or 2
    return swapped


@PORTS.operator(
    "port-name-misspelt",
    "A port's name is misspelt; a name that no container gives matches nothing.",
    native=True,
)
def _name_misspelt(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, port in _entries(policy):
        written = port.get("port")
        if isinstance(written, str) and written and parse_number(written) is None:
            yield Edit(path, (((*path, "port"), misspelt(written)),))


@PORTS.operator(
    "port-removed",
    "One of several ports of a rule is forgotten.",
    native=True,
)
def _removed(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item in rule_items(policy):
        for path, port_rule in item.port_rules():
            ports = list(port_rule.get("ports") or ())
            here = (*path, "ports")
            for number in range(len(ports) if len(ports) > 1 else 0):
                yield Edit((*here, number), ((here, other_items(ports, number)),))


@PORTS.operator(
    "ports-forgotten",
    "The ports of a rule are not written, so it is about every port of its peers.",
    native=True,
)
def _forgotten(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item in rule_items(policy):
        if item.raw.get(item.ports_field):
            path = (*item.path, item.ports_field)
            yield Edit(path, ((path, DROP),))


@PORTS.operator(
    "port-list-emptied",
    "The list of ports is left empty, by someone who takes that for every port; Cilium reads it as "
    "none.",
    native=True,
)
def _emptied(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item in rule_items(policy):
        for path, port_rule in item.port_rules():
            if port_rule.get("ports"):
                yield Edit((*path, "ports"), (((*path, "ports"), []),))


@PORTS.operator(
    "port-zero",
    "Port 0 is written, which stands for every port of the protocol.",
)
def _zero(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, port in _entries(policy):
        if port.get("port") not in {None, "", "0"} or _number(port) == 0:
            steps: list[tuple[Path, Any]] = [((*path, "port"), "0")]
            if "endPort" in port:
                steps.append(((*path, "endPort"), DROP))
            yield Edit(path, tuple(steps))


@PORTS.operator(
    "port-range-opened",
    "A range ends at the last port there is.",
    native=True,
)
def _range_opened(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, port in _entries(policy):
        if _number(port) is not None:
            yield Edit(path, (((*path, "endPort"), MAX_PORT),))


@PORTS.operator(
    "port-range-cut",
    "The end of a range is not written, so only its first port is meant.",
    native=True,
)
def _range_cut(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, port in _entries(policy):
        # Port 0 without its end is no single port but every port.
        if port.get("endPort") and _number(port) != 0:
            yield Edit(path, (((*path, "endPort"), DROP),))


def _protocol(port: Raw, *, native: bool) -> str:
    return str(port.get("protocol") or ("TCP" if native else "ANY")).upper()


def _typed(policy: Raw) -> Iterator[tuple[Path, str, bool]]:
    """Each port entry with the protocol it means, and whether it is of a NetworkPolicy."""
    for item in rule_items(policy):
        for path, port in item.ports():
            yield (*path, "protocol"), _protocol(port, native=item.native), item.native


@PROTOCOLS.operator(
    "protocol-widened",
    "The protocol is ANY, or not written, where one was meant.",
)
def _widened(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, protocol, _native in _typed(policy):
        if protocol in {"TCP", "UDP", "SCTP"}:
            yield Edit(path, ((path, "ANY"),))


@PROTOCOLS.operator(
    "protocol-mistaken",
    "UDP is written for TCP or the other way round.",
    native=True,
)
def _swapped(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, protocol, _native in _typed(policy):
        other = {"TCP": "UDP", "UDP": "TCP"}.get(protocol)
        if other:
            yield Edit(path, ((path, other),))


@PROTOCOLS.operator(
    "protocol-narrowed",
    "Only one transport is allowed where both are used (DNS over UDP but not over TCP).",
)
def _narrowed(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, protocol, native in _typed(policy):
        if protocol == "ANY" and not native:
            for other in ("TCP", "UDP"):
                yield Edit(path, ((path, other),), variant=other)


@PROTOCOLS.operator(
    "icmp-type-mistaken",
    "The reply is allowed instead of the request; type 0 is the wildcard and allows every type.",
)
def _echo_reply(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, field in _icmp_fields(policy):
        reply = 129 if field.get("family") == "IPv6" else 0
        if field.get("type") != reply:
            yield Edit(path, (((*path, "type"), reply),))


@PROTOCOLS.operator(
    "icmp-forgotten",
    "The rule that allows ping is taken for noise and removed.",
)
def _icmp_forgotten(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item in rule_items(policy):
        if item.raw.get("icmps") and not item.native:
            yield Edit((*item.path, "icmps"), ((item.path, DROP),))


def _icmp_fields(policy: Raw) -> Iterator[tuple[Path, Raw]]:
    for item in rule_items(policy):
        if item.native:
            continue
        for number, rule in enumerate(item.raw.get("icmps") or ()):
            for index, field in enumerate(rule.get("fields") or ()):
                yield (*item.path, "icmps", number, "fields", index), field
