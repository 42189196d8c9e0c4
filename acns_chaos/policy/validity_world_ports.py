"""Ports held against the pods and services that exist.

Belongs here: named ports nobody has, and service ports where container ports are meant. Does not
belong here: what a port means by itself (`validity_idle_ports`).
Source of the facts: Cilium 1.19: the port that is judged is the one after service translation.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from acns_chaos.policy.compile import Rule
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.identities import Identities
from acns_chaos.policy.model import INGRESS
from acns_chaos.policy.ports import TRANSPORT, is_service_name, parse_number
from acns_chaos.policy.validity_neighbours import Neighbours

Said = tuple[str, str]


def port_findings(
    item: Mapping[str, Any],
    path: str,
    rule: Rule,
    subjects: tuple[Endpoint, ...],
    identities: Identities,
    world: Neighbours,
) -> Iterator[Said]:
    """Which ports of a rule item nobody listens on, as (path, sentence).

    Args:
        item: the stored item.
        path: where it stands.
        rule: the item, compiled.
        subjects: the pods it is for.
        identities: how the cluster sees its endpoints.
        world: what exists.
    """
    if not subjects:
        return
    ingress = rule.direction == INGRESS
    listening = (
        subjects
        if ingress
        else tuple(pod for pod in world.pods if rule.peers.matches(identities.as_peer(pod)))
    )
    for here, entry in _entries(item, path):
        written = str(entry.get("port") or "")
        if is_service_name(written):
            pods = subjects if ingress else world.pods
            yield from _named(written.lower(), entry, here, pods, ingress=ingress)
        elif ingress or (listening and not rule.peers.everyone):
            number = parse_number(written)
            if number:
                yield from _numbered(number, entry, here, listening, world)


def _entries(item: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, port_rule in enumerate(item.get("toPorts") or ()):
        for index, entry in enumerate(port_rule.get("ports") or ()):
            yield f"{path}.toPorts[{number}].ports[{index}]", entry
    for index, entry in enumerate(item.get("ports") or ()):
        yield f"{path}.ports[{index}]", entry


def _protocols(entry: Mapping[str, Any]) -> frozenset[str]:
    protocol = entry.get("protocol") or "ANY"
    return frozenset(TRANSPORT if protocol == "ANY" else (protocol,))


def _named(
    name: str, entry: Mapping[str, Any], path: str, pods: Iterable[Endpoint], *, ingress: bool
) -> Iterator[Said]:
    wanted = _protocols(entry)
    given = [(n, number, p) for pod in pods for n, number, p in pod.named_ports if p in wanted]
    numbers = {number for n, number, _ in given if n == name}
    if not numbers:
        whose = "none of the pods it is for" if ingress else "no pod of the cluster"
        known = sorted({n for n, _, _ in given})
        names = f" (they name {', '.join(known[:5])})" if known else ""
        yield (
            path,
            (
                f"{whose} gives a port the name {name}{names}, so it means no port; write "
                "the number, or name the container's port so."
            ),
        )
    elif not ingress and len(numbers) > 1:
        listed = ", ".join(map(str, sorted(numbers)))
        yield (
            path,
            (
                f"pods give the name {name} to different ports ({listed}), and on egress that "
                "means none of them; write the number."
            ),
        )


def _numbered(
    number: int,
    entry: Mapping[str, Any],
    path: str,
    pods: tuple[Endpoint, ...],
    world: Neighbours,
) -> Iterator[Said]:
    """A service port where the container's is meant."""
    wanted, last = _protocols(entry), entry.get("endPort") or number
    for pod in pods:
        if any(number <= port <= last and p in wanted for port, p in pod.ports):
            return
    for raw in world.services:
        for port in _service_ports(raw, wanted, number):
            target = port.get("targetPort") or number
            if target == number or not any(_selected(raw, pod) for pod in pods):
                continue
            metadata = raw.get("metadata") or {}
            owner = f"{metadata.get('namespace') or 'default'}/{metadata.get('name')}"
            yield (
                path,
                (
                    f"{number} is the port of the service {owner}, and policy judges the "
                    f"container's, which is {target}, so nobody listens on it; write {target}."
                ),
            )
            return


def _service_ports(
    raw: Mapping[str, Any], wanted: frozenset[str], number: int
) -> Iterator[Mapping[str, Any]]:
    for port in (raw.get("spec") or {}).get("ports") or ():
        if port.get("port") == number and (port.get("protocol") or "TCP") in wanted:
            yield port


def _selected(raw: Mapping[str, Any], pod: Endpoint) -> bool:
    selector = (raw.get("spec") or {}).get("selector") or {}
    namespace = (raw.get("metadata") or {}).get("namespace") or "default"
    return (
        bool(selector)
        and pod.namespace == namespace
        and all(f"k8s:{key}={value}" in pod.labels for key, value in selector.items())
    )
