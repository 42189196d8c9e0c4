"""What a change of policies opens and closes.

Belongs here: which flows to look at, and comparing two engines over them. Does not belong here:
reading a cluster. Only layers 3 and 4 are compared: a changed DNS or HTTP rule shows no delta.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.policy.compile import SECTIONS, specs
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.model import EGRESS, INGRESS, Flow
from acns_chaos.policy.ports import MAX_PORT, TRANSPORT, parse_number
from acns_chaos.policy.verdict import Engine


@dataclass(frozen=True, slots=True)
class Delta:
    """The flows whose verdict differs.

    Attributes:
        opened: denied before, allowed after.
        closed: allowed before, denied after.
    """

    opened: tuple[Flow, ...]
    closed: tuple[Flow, ...]

    @property
    def empty(self) -> bool:
        """No verdict differs."""
        return not self.opened and not self.closed


def delta(before: Engine, after: Engine, flows: Iterable[Flow]) -> Delta:
    """Compare two engines.

    Args:
        before: the engine before the change.
        after: the engine after it; cheapest when made by `before.with_policy`.
        flows: what to look at.
    """
    opened: list[Flow] = []
    closed: list[Flow] = []
    alike: dict[tuple[str, Endpoint], bool] = {}

    def judged_alike(direction: str, subject: Endpoint) -> bool:
        known = alike.get((direction, subject))
        if known is None:
            known = before.view(direction, subject) is after.view(direction, subject)
            alike[direction, subject] = known
        return known

    for flow in flows:
        if judged_alike(EGRESS, flow.source) and judged_alike(INGRESS, flow.destination):
            continue
        was = before.allows(flow.source, flow.destination, flow.port, flow.protocol)
        is_now = after.allows(flow.source, flow.destination, flow.port, flow.protocol)
        if was is not is_now:
            (opened if is_now else closed).append(flow)
    return Delta(tuple(opened), tuple(closed))


def flows_between(
    endpoints: Iterable[Endpoint],
    policies: Iterable[Mapping[str, Any]],
    services: Iterable[Mapping[str, Any]] = (),
) -> list[Flow]:
    """The flows worth judging: every ordered pair, on every port that somebody names.

    Replicas (pods with equal labels and ports) are judged as one: the first stands for them, and
    gets a flow to itself. Pairs without a pod are left out, as no policy is enforced there.

    Args:
        endpoints: pods and others; the world is added when it is not among them.
        policies: raw policy objects. A range counts with its two ends, a named port with the
            numbers that pods give it, and ANY as TCP and UDP.
        services: raw Service objects, for their target ports.
    """
    given = list(endpoints)
    if not any("reserved:world=" in e.labels and e.kind == "entity" for e in given):
        given.append(Endpoint.entity("world"))
    first: dict[tuple[Any, ...], Endpoint] = {}
    replicated: set[Endpoint] = set()
    for endpoint in given:
        identity = (endpoint.labels, endpoint.named_ports, endpoint.ports)
        key = identity if endpoint.kind == "pod" else (endpoint,)
        known = first.setdefault(key, endpoint)
        if known != endpoint:
            replicated.add(known)
    shown = list(first.values())
    ports = sorted(ports_named(given, policies, services))
    return [
        Flow(source, destination, port, protocol)
        for source in shown
        for destination in shown
        if "pod" in {source.kind, destination.kind}
        and (source != destination or source in replicated)
        for port, protocol in ports
    ]


def ports_named(
    endpoints: Iterable[Endpoint],
    policies: Iterable[Mapping[str, Any]],
    services: Iterable[Mapping[str, Any]] = (),
) -> set[tuple[int, str]]:
    """Every (number, protocol) that a container, a policy or a service names.

    Args:
        endpoints: pods, for their container ports.
        policies: raw policy objects.
        services: raw Service objects, for their target ports.
    """
    named: dict[tuple[str, str], set[int]] = {}
    found: set[tuple[int, str]] = set()
    for endpoint in endpoints:
        found.update(endpoint.ports)
        for name, number, protocol in endpoint.named_ports:
            named.setdefault((name, protocol), set()).add(number)
    written = [port for policy in policies for port in _written(policy)]
    for service in services:
        for port in (service.get("spec") or {}).get("ports") or ():
            target = port.get("targetPort", port.get("port"))
            written.append({"port": target, "protocol": port.get("protocol") or "TCP"})
    for port in written:
        protocol = str(port.get("protocol") or "ANY").upper()
        for transport in TRANSPORT[:2] if protocol == "ANY" else (protocol,):
            if transport in TRANSPORT:
                found.update((n, transport) for n in _numbers(port, transport, named))
    return found


def _written(policy: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every port entry of a raw policy object."""
    if policy.get("kind") == "NetworkPolicy":
        spec = policy.get("spec") or {}
        for direction in (INGRESS, EGRESS):
            for rule in spec.get(direction) or ():
                for port in rule.get("ports") or ():
                    yield {**port, "protocol": port.get("protocol") or "TCP"}
        return
    for _, spec in specs(policy):
        for section in SECTIONS:
            for item in spec.get(section) or ():
                for port_rule in item.get("toPorts") or ():
                    yield from port_rule.get("ports") or ()


def _numbers(
    port: Mapping[str, Any], protocol: str, named: Mapping[tuple[str, str], set[int]]
) -> set[int]:
    written = str(port.get("port") or "")
    number = parse_number(written)
    if number is None:
        return named.get((written.lower(), protocol), set())
    numbers = {number, max(number, port.get("endPort") or 0)}
    return {n for n in numbers if 0 < n <= MAX_PORT}
