"""Mistakes in the list of peers of a rule: entities, addresses, services, and the list itself."""

from collections.abc import Iterator
from typing import Any

from acns_chaos.policy.addresses import parse_prefix
from acns_chaos.policy.mutation.edits import DROP, Edit, Family, Path, Raw, Surroundings
from acns_chaos.policy.mutation.sites import (
    Item,
    cidrs,
    is_native,
    misspelt,
    other_items,
    rule_items,
)

PEERS = Family("peers")
ENTITIES = Family("entities")
CIDR = Family("cidr")
SERVICES = Family("services")

# An address range that documentation uses, as the office a policy was written for.
_OFFICE = "203.0.113.0/24"
# The private range that people take for "the cluster".
_PRIVATE = "10.0.0.0/8"

_LOOKALIKES = {
    "world": "cluster",
    "cluster": "world",
    "all": "cluster",
    "host": "remote-node",
    "remote-node": "host",
    "kube-apiserver": "host",
    "ingress": "world",
    "health": "host",
    "init": "unmanaged",
    "unmanaged": "init",
}


def _lists(policy: Raw) -> Iterator[tuple[Item, str, Path]]:
    """Each list of peers that names somebody: its item, field and path."""
    for item in rule_items(policy):
        for field in item.peer_fields():
            yield item, field, (*item.path, field)


@PEERS.operator(
    "peer-list-emptied",
    "The list of peers is left empty, by someone who takes that for everybody, or for nobody where "
    "it means everybody.",
    native=True,
)
def _emptied(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for _item, _field, path in _lists(policy):
        yield Edit(path, ((path, []),))


@PEERS.operator(
    "peers-forgotten",
    "The peers of a rule are not written: with ports it then admits everybody, without it nobody.",
    native=True,
)
def _forgotten(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for _item, _field, path in _lists(policy):
        yield Edit(path, ((path, DROP),))


@PEERS.operator(
    "empty-list-lost",
    "An empty list of peers is lost by a tool that rewrites the object, so a rule with ports turns "
    "from nobody to everybody.",
)
def _empty_list_lost(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item in rule_items(policy):
        for field in item.peer_fields(empty=True):
            path = (*item.path, field)
            yield Edit(path, ((path, DROP),))


@PEERS.operator(
    "peer-removed",
    "One of several peers of a rule is forgotten.",
    native=True,
)
def _one_removed(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item, field, path in _lists(policy):
        members = list(item.raw[field])
        for number in range(len(members) if len(members) > 1 else 0):
            yield Edit((*path, number), ((path, other_items(members, number)),))


def _instead(item: Item, field: str, kind: str, value: Any) -> tuple[tuple[Path, Any], ...]:
    """Steps that write another kind of peer in place of a list."""
    return (((*item.path, field), DROP), ((*item.path, f"{item.way}{kind}"), value))


@PEERS.operator(
    "peers-widened-to-cluster",
    "To be done with it, the whole cluster is admitted instead of the pods that need it.",
)
def _whole_cluster(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item, field, path in _lists(policy):
        if field.endswith("Endpoints"):
            yield Edit(path, _instead(item, field, "Entities", ["cluster"]))


@PEERS.operator(
    "everybody-written-as-pods",
    "Everybody is written as an empty selector ([{}]), which means the namespace's pods and nobody "
    "outside.",
)
def _everybody_as_pods(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item, field, path in _lists(policy):
        if field.endswith("Entities"):
            yield Edit(path, _instead(item, field, "Endpoints", [{}]))


@PEERS.operator(
    "pods-written-as-cidr",
    "Pods are named by the cluster's address range, which never matches a pod.",
)
def _pods_as_cidr(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item, field, path in _lists(policy):
        if field.endswith("Endpoints"):
            yield Edit(path, _instead(item, field, "CIDR", [_PRIVATE]))


@PEERS.operator(
    "pods-written-as-outside",
    "Traffic between pods is taken for traffic from outside, as the client uses a public name.",
)
def _pods_as_world(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item, field, path in _lists(policy):
        if field.endswith("Endpoints"):
            yield Edit(path, _instead(item, field, "Entities", ["world"]))


def _entities(policy: Raw) -> Iterator[tuple[Path, list[str]]]:
    for item, field, path in _lists(policy):
        if field.endswith("Entities"):
            yield path, list(item.raw[field])


@ENTITIES.operator(
    "entity-mistaken",
    "An entity is taken for another (cluster for world, host for remote-node).",
)
def _entity_mistaken(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, entities in _entities(policy):
        for number, entity in enumerate(entities):
            other = _LOOKALIKES.get(entity)
            if other and other not in entities:
                here = (*path, number)
                yield Edit(here, ((here, other),), variant=other)


@ENTITIES.operator(
    "world-added",
    "The outside is added to a list of entities, to make something work.",
)
def _world_added(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, entities in _entities(policy):
        if not {"world", "all"} & set(entities):
            yield Edit(path, ((path, [*entities, "world"]),))


@ENTITIES.operator(
    "entities-widened-to-all",
    "All is written where one entity was meant.",
)
def _all(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, entities in _entities(policy):
        if "all" not in entities:
            yield Edit(path, ((path, ["all"]),))


@ENTITIES.operator(
    "world-narrowed-to-office",
    "Only the office's addresses are admitted from outside, so the load balancer's health probes "
    "and all customers stay out.",
)
def _office(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item, field, path in _lists(policy):
        if field.endswith("Entities") and "world" in item.raw[field]:
            yield Edit(path, _instead(item, field, "CIDR", [_OFFICE]))


def _resized(written: str, grow: int) -> str:
    """A prefix with its length changed, "" when that is not possible."""
    network = parse_prefix(written)
    if network is None:
        return ""
    length = min(max(network.prefixlen + grow, 0), network.max_prefixlen)
    address = written.partition("/")[0]
    return "" if length == network.prefixlen else f"{address}/{length}"


@CIDR.operator(
    "cidr-widened",
    "A prefix is eight bits too short, so it holds 256 times the addresses.",
    native=True,
)
def _wider(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, written, _set in cidrs(policy):
        wider = _resized(written, -8)
        if wider:
            yield Edit(path, ((path, wider),))


@CIDR.operator(
    "cidr-narrowed",
    "A single address is written where its network was meant.",
    native=True,
)
def _narrower(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, written, holes in cidrs(policy):
        narrower = _resized(written, 128)
        if narrower and not holes.get("except"):
            yield Edit(path, ((path, narrower),))


@CIDR.operator(
    "cidr-mistyped",
    "A digit of a prefix is wrong, so a neighbouring network is meant.",
    native=True,
)
def _neighbour(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, written, holes in cidrs(policy):
        network = parse_prefix(written)
        if network is None or network.prefixlen == 0 or holes.get("except"):
            continue
        shifted = int(network.network_address) ^ (1 << (network.max_prefixlen - network.prefixlen))
        address = type(network.network_address)(shifted)
        yield Edit(path, ((path, f"{address}/{network.prefixlen}"),))


@CIDR.operator(
    "except-forgotten",
    "The exceptions of a prefix are not written.",
    native=True,
)
def _holes_forgotten(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item, field, path in _lists(policy):
        for number, raw in enumerate(item.raw[field]):
            here: Path = (*path, number, "ipBlock") if item.native else (*path, number)
            holder = (raw.get("ipBlock") or {}) if item.native else raw
            if isinstance(holder, dict) and holder.get("except"):
                yield Edit((*here, "except"), (((*here, "except"), DROP),))


@CIDR.operator(
    "cidr-group-misspelt",
    "The name of a CIDR group is misspelt; a group that does not exist holds no address.",
)
def _group_misspelt(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item, field, path in _lists(policy):
        for number, raw in enumerate(item.raw[field] if field.endswith("CIDRSet") else ()):
            if raw.get("cidrGroupRef"):
                here = (*path, number, "cidrGroupRef")
                yield Edit(here, ((here, misspelt(raw["cidrGroupRef"])),))


@SERVICES.operator(
    "service-misspelt",
    "A service's name is misspelt; with ports the rule then admits everybody.",
)
def _service_misspelt(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, service in _by_name(policy):
        if service.get("serviceName"):
            here = (*path, "serviceName")
            yield Edit(here, ((here, misspelt(service["serviceName"])),))


@SERVICES.operator(
    "service-namespace-misspelt",
    "A service's namespace is misspelt; with ports the rule then admits everybody.",
)
def _service_namespace(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, service in _by_name(policy):
        if service.get("namespace"):
            here = (*path, "namespace")
            yield Edit(here, ((here, misspelt(service["namespace"])),))


def _by_name(policy: Raw) -> Iterator[tuple[Path, Raw]]:
    if is_native(policy):
        return
    for item in rule_items(policy):
        for number, raw in enumerate(item.raw.get("toServices") or ()):
            if raw.get("k8sService"):
                yield (*item.path, "toServices", number, "k8sService"), raw["k8sService"]
