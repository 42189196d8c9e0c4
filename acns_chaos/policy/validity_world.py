"""What only the rest of the cluster can tell: selectors without pods, ports nobody has, and more.

Belongs here: holding one imported object against what exists. Does not belong here: what holds in
every cluster (`validity_idle`), and who may talk to whom (`verdict`).
A collection that is empty counts as not known: nothing is concluded from it.
Source of the facts: Cilium 1.19, as tabled in the semantics.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from acns_chaos.policy.addresses import Network, inside, parse_prefix_or_address
from acns_chaos.policy.compile import Rule, specs
from acns_chaos.policy.endpoints import NAMESPACE_KEY, Endpoint
from acns_chaos.policy.identities import Identities
from acns_chaos.policy.model import EGRESS, INGRESS, ObjectRef, Settings
from acns_chaos.policy.names import NameMatch
from acns_chaos.policy.networkpolicy import label_peer, pods_of_peer
from acns_chaos.policy.peer_fields import World as Referred
from acns_chaos.policy.peers import LabelPeer
from acns_chaos.policy.selectors import RESERVED, Requirement, Selector, parse, peer_selector
from acns_chaos.policy.services import meant
from acns_chaos.policy.validity_idle_pairs import shadowed
from acns_chaos.policy.validity_idle_ports import dns_matches
from acns_chaos.policy.validity_leftover import suggestion
from acns_chaos.policy.validity_neighbours import Neighbours
from acns_chaos.policy.validity_world_ports import port_findings

Said = tuple[str, str]


def world_findings(
    stored: Mapping[str, Any],
    ref: ObjectRef,
    rules: tuple[Rule, ...],
    settings: Settings,
    world: Neighbours,
) -> Iterator[Said]:
    """What is idle in an object because of what exists, as (path, sentence).

    Args:
        stored: an object that is imported.
        ref: its reference.
        rules: its rules.
        settings: of the agents.
        world: what exists.
    """
    identities = Identities(settings, world.namespaces, world.pods)
    subjects = {rule.ref.path: _bound(rule, identities, world) for rule in rules}
    yield from _subjects(ref, rules, subjects, world)
    for path, item, direction in _items(stored):
        rule = next((one for one in rules if one.ref.path == path), None)
        if rule is None:
            continue
        yield from _selectors(item, path, direction, ref, identities, world)
        yield from _addresses(item, path, direction, world)
        yield from _references(item, path, rule, world)
        yield from port_findings(item, path, rule, subjects[path], identities, world)
    for other, denies in world.others(ref):
        if other.get("kind") != "NetworkPolicy":
            yield from shadowed(rules, denies, same_object=False)


def lookups_elsewhere(
    rules: tuple[Rule, ...], ref: ObjectRef, settings: Settings, world: Neighbours
) -> list[NameMatch]:
    """The names that DNS rules of other objects let the pods of an object look up.

    Args:
        rules: of the object.
        ref: the object.
        settings: of the agents.
        world: what exists; where no pod is known, every other object may be for the same pods.
    """
    identities = Identities(settings, world.namespaces, world.pods)
    subjects = {
        pod for rule in rules if rule.direction == EGRESS for pod in _bound(rule, identities, world)
    }
    found: list[NameMatch] = []
    for raw, others in world.others(ref):
        meets = not world.pods or any(
            pod in subjects
            for other in others
            if other.direction == EGRESS
            for pod in _bound(other, identities, world)
        )
        if raw.get("kind") != "NetworkPolicy" and meets:
            found += [match for _, spec in specs(raw) for match in dns_matches(spec)]
    return found


def _bound(rule: Rule, identities: Identities, world: Neighbours) -> tuple[Endpoint, ...]:
    return tuple(
        endpoint
        for endpoint in world.endpoints
        if identities.is_subject(endpoint)
        and rule.selects(identities.as_subject(endpoint), rule.direction)
    )


def _items(stored: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """(path, item, direction) of every rule item."""
    if stored.get("kind") == "NetworkPolicy":
        for direction in (INGRESS, EGRESS):
            for number, item in enumerate((stored.get("spec") or {}).get(direction) or ()):
                yield f"spec.{direction}[{number}]", item, direction
        return
    for path, spec in specs(stored):
        for section in ("ingress", "egress", "ingressDeny", "egressDeny"):
            for number, item in enumerate(spec.get(section) or ()):
                yield f"{path}.{section}[{number}]", item, section.removesuffix("Deny")


def _subjects(
    ref: ObjectRef,
    rules: tuple[Rule, ...],
    subjects: Mapping[str, tuple[Endpoint, ...]],
    world: Neighbours,
) -> Iterator[Said]:
    """Rule blocks that are for no pod."""
    if ref.namespace and world.namespaces and ref.namespace not in world.namespace_names:
        like = suggestion(ref.namespace, world.namespace_names)
        yield (
            "metadata.namespace",
            (
                f"there is no namespace {ref.namespace}, so the policy is for no pod"
                f"{_meant(like)}; create it, or correct the name."
            ),
        )
        return
    if not world.pods:
        return
    told: set[str] = set()
    for rule in rules:
        block = rule.ref.path.partition(f".{rule.ref.section}")[0]
        if rule.host or subjects[rule.ref.path] or block in told or _is_reserved(rule.subject):
            continue
        told.add(block)
        native = ref.kind == "NetworkPolicy"
        requirements = [r for r in rule.subject.requirements if r.key != NAMESPACE_KEY]
        near = _near(requirements, _of_namespace(world, ref.namespace))
        yield (
            f"{block}.{'podSelector' if native else 'endpointSelector'}",
            (
                "it selects no pod of the cluster, so the policy does nothing and the pods it "
                f"was meant for stay as they are{_meant(near)}; correct the labels, or delete the "
                "policy."
            ),
        )


def _is_reserved(subject: Selector) -> bool:
    """Whether it is about endpoints that are no pods, which a world need not know."""
    return any(one.source == RESERVED for one in subject.requirements)


def _of_namespace(world: Neighbours, namespace: str) -> tuple[Endpoint, ...]:
    return tuple(pod for pod in world.pods if namespace in {"", pod.namespace})


def _meant(like: str) -> str:
    return f" (is {like} meant?)" if like else ""


def _near(requirements: Iterable[Requirement], pods: Iterable[Endpoint]) -> str:
    """A label that pods have and that is close to one that is asked for, or ""."""
    labels = sorted({label.partition(":")[2] for pod in pods for label in pod.labels})
    for one in requirements:
        if one.operator == "In" and len(one.values) == 1:
            written = f"{one.key}={min(one.values)}"
            own = [label for label in labels if not label.startswith("io.")]
            if written not in own:
                return suggestion(written, own)
    return ""


def _selectors(
    item: Mapping[str, Any],
    path: str,
    direction: str,
    ref: ObjectRef,
    identities: Identities,
    world: Neighbours,
) -> Iterator[Said]:
    """Peers that no endpoint meets."""
    if not world.pods:
        return
    way = "from" if direction == INGRESS else "to"
    native = ref.kind == "NetworkPolicy"
    name = way if native else f"{way}Endpoints"
    for number, raw in enumerate(item.get(name) or ()):
        here = f"{path}.{name}[{number}]"
        if native and not ("podSelector" in raw or "namespaceSelector" in raw):
            continue
        own = pods_of_peer(raw) if native else parse(raw)
        if any(one.source == RESERVED for one in own):
            continue
        missing = [
            (value, one)
            for one in own
            if one.key == NAMESPACE_KEY and one.operator == "In"
            for value in sorted(one.values - world.namespace_names)
        ]
        for value, _ in missing:
            like = suggestion(value, world.namespace_names)
            yield (
                here,
                (
                    f"there is no namespace {value}, so nobody is selected by it{_meant(like)}; "
                    "correct the name."
                ),
            )
        if missing:
            continue
        if native:
            peer = label_peer(raw, ref.namespace, Referred(world.settings))
        else:
            peer = LabelPeer((peer_selector(raw, ref.namespace, cluster=None),), "")
        if not any(peer.matches(identities.as_peer(e)) for e in world.endpoints):
            anywhere = any(one.key == NAMESPACE_KEY for one in own) or not ref.namespace
            pods = world.pods if anywhere else _of_namespace(world, ref.namespace)
            where = "" if anywhere or native else f" of namespace {ref.namespace}"
            near = _near(own, pods)
            yield (
                here,
                (
                    f"it selects no pod{where} that exists, so it counts for "
                    f"nothing{_meant(near)}; correct the labels, and name the namespace if the "
                    "pods are in another one."
                ),
            )


def _addresses(
    item: Mapping[str, Any], path: str, direction: str, world: Neighbours
) -> Iterator[Said]:
    """Prefixes that hold addresses of pods or services, which no prefix selects."""
    way = "from" if direction == INGRESS else "to"
    written = [(f"{path}.{way}CIDR[{n}]", c) for n, c in enumerate(item.get(f"{way}CIDR") or ())]
    for number, one in enumerate(item.get(f"{way}CIDRSet") or ()):
        if one.get("cidr"):
            written.append((f"{path}.{way}CIDRSet[{number}].cidr", one["cidr"]))
    for number, peer in enumerate(item.get(way) or ()):
        if peer.get("ipBlock"):
            written.append((f"{path}.{way}[{number}].ipBlock.cidr", peer["ipBlock"]["cidr"]))
    for here, cidr in written:
        network = parse_prefix_or_address(cidr)
        if network is None or network.prefixlen == 0:
            continue
        held = _held(network, world)
        if held:
            more = f" and {len(held) - 1} more" if len(held) > 1 else ""
            yield (
                here,
                (
                    f"it holds the address of {held[0]}{more}, but a prefix never selects pods or "
                    "services of the cluster, only the outside; name the pods by their labels."
                ),
            )


def _held(network: Network, world: Neighbours) -> list[str]:
    return [owner for address, owner in world.addresses if inside(network, address)]


def _references(
    item: Mapping[str, Any], path: str, rule: Rule, world: Neighbours
) -> Iterator[Said]:
    """Services and CIDR groups that do not exist."""
    ports = bool(item.get("toPorts") or item.get("icmps"))
    for number, one in enumerate(item.get("toServices") or ()):
        if world.read_services and not rule.deny and not meant(one, world.read_services):
            named = (one.get("k8sService") or {}).get("serviceName") or ""
            like = suggestion(named, [service.name for service in world.read_services])
            effect = (
                "the ports are open to everybody"
                if rule.peers.everyone and ports
                else "it selects nobody"
            )
            yield (
                f"{path}.toServices[{number}]",
                (f"there is no such service, so {effect}{_meant(like)}; correct it."),
            )
    for way in ("from", "to"):
        for number, one in enumerate(item.get(f"{way}CIDRSet") or ()):
            group = one.get("cidrGroupRef")
            if group and world.group_names and group not in world.group_names:
                like = suggestion(group, world.group_names)
                yield (
                    f"{path}.{way}CIDRSet[{number}].cidrGroupRef",
                    (
                        f"there is no CIDR group {group}, so it selects nobody{_meant(like)}; "
                        "create it, or correct the name."
                    ),
                )
