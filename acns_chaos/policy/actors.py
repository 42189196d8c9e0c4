"""Two worlds side by side: who is in both, and what of them can have turned at all.

Belongs here: pairing the pods of two worlds, the peers that nobody listed, and what one world takes
from the other. Does not belong here: the comparison itself (`difference`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.known import Known, known_world
from acns_chaos.policy.model import EGRESS, INGRESS, ObjectRef
from acns_chaos.policy.validity import problems
from acns_chaos.policy.verdict import Engine
from acns_chaos.policy.world import World, assumed_note

__all__ = ["Actor", "Comparison", "compare"]

Raw = Mapping[str, Any]

ANOTHER_NAMESPACE = "another-namespace"
"""Stands for namespaces that nobody speaks of."""


@dataclass(frozen=True, eq=False)
class Actor:
    """Somebody who may send or receive, as each of the two worlds has it.

    Attributes:
        name: the workload, entity or address.
        before: the endpoint in the first world.
        after: the endpoint in the second world; another one when its labels changed.
        replicated: several pods are the same, so it may talk to itself.
        only_asked: a DNS name, which sends nothing.
        rank: for sorting: pods first.
    """

    name: str
    before: Endpoint
    after: Endpoint
    replicated: bool = False
    only_asked: bool = False

    @property
    def rank(self) -> tuple[int, str]:
        """Pods that are known, then those that are not, then all others; by name."""
        kinds = {"pod": 0, "entity": 2, "outside": 3}
        return kinds[self.before.kind] + (self.name.startswith("any ")), self.name

    @property
    def is_host(self) -> bool:
        """Whether it is the local node."""
        return "reserved:host=" in self.before.labels


@dataclass(frozen=True)
class Comparison:
    """Two worlds that have everything but their policies (and what those are about) in common.

    Attributes:
        before: the engine of the first.
        after: the engine of the second.
        actors: everybody there is.
        known: what else is worth asking: names and requests.
        ports: (number, protocol) that somebody names.
        added, removed, changed: the policy objects that differ.
        notes: what a person should know.
    """

    before: Engine
    after: Engine
    actors: tuple[Actor, ...]
    known: Known
    ports: tuple[tuple[int, str], ...]
    added: tuple[ObjectRef, ...]
    removed: tuple[ObjectRef, ...]
    changed: tuple[ObjectRef, ...]
    notes: tuple[str, ...]

    def names(self, actors: Iterable[Actor]) -> tuple[str, ...]:
        """What to call several actors; the world stands for all addresses if they are there."""
        several = set(actors)
        world = next((a for a in several if a.name == "world"), None)
        if world is not None:
            missing = [a for a in self._outside if a not in several and not a.only_asked]
            if not missing:
                several -= set(self._outside)
        return tuple(dict.fromkeys(a.name for a in sorted(several, key=lambda a: a.rank)))

    def ports_of(self, actor: Actor) -> tuple[tuple[int, str], ...]:
        """The ports that are an actor's own: of its containers, and of rules about its ingress."""
        found = {*actor.before.ports, *actor.after.ports}
        for engine, endpoint in ((self.before, actor.before), (self.after, actor.after)):
            for rule in engine.view(INGRESS, endpoint).rules:
                for entry in rule.ports.entries:
                    if entry.low == entry.high and not entry.name:
                        found |= {(entry.low, protocol) for protocol in entry.protocols}
        return tuple(sorted(found))

    @cached_property
    def _outside(self) -> tuple[Actor, ...]:
        return tuple(a for a in self.actors if a.before.kind == "outside")

    def may_differ(self, source: Actor, destination: Actor) -> bool:
        """Whether flows between them can have turned: some side has other rules or labels."""
        return (
            source in self._moved
            or destination in self._moved
            or source in self._turned[EGRESS]
            or destination in self._turned[INGRESS]
        )

    @cached_property
    def _moved(self) -> frozenset[Actor]:
        return frozenset(a for a in self.actors if a.before != a.after)

    @cached_property
    def _turned(self) -> Mapping[str, frozenset[Actor]]:
        return {
            direction: frozenset(
                actor
                for actor in self.actors
                if self.before.view(direction, actor.before)
                is not self.after.view(direction, actor.after)
            )
            for direction in (EGRESS, INGRESS)
        }


def compare(before: World, after: World) -> Comparison:
    """Set two worlds side by side; each kind of object that one lacks is the other's.

    Args:
        before: the first world.
        after: the second world.
    """
    first, second = _completed(before, after), _completed(after, before)
    old = {ObjectRef.of(policy): policy for policy in first.policies}
    new = {ObjectRef.of(policy): policy for policy in second.policies}
    changed = tuple(sorted(r for r in new if r in old and _written(new[r]) != _written(old[r])))
    added = tuple(sorted(new.keys() - old.keys()))
    removed = tuple(sorted(old.keys() - new.keys()))
    policies = [*old.values(), *(new[ref] for ref in (*changed, *added))]
    paired = list(_paired(first, second))
    known = known_world(
        policies,
        [a.before for a in paired],
        first.services,
        [*first.cidr_groups, *second.cidr_groups],
    )
    others = [Actor(e.name, e, e) for e in known.endpoints if e.kind != "pod"]
    names = [Actor(e.name, e, e, only_asked=True) for e in known.names]
    actors = (*paired, *_strangers(first, paired), *others, *names)
    if _same_surroundings(first, second):
        # What an engine knows of its subjects, its changed copy shares: unchanged sides are seen
        # by that, so they must be known first.
        for actor in actors:
            for direction in (EGRESS, INGRESS):
                first.engine.view(direction, actor.before)
        engine = first.engine
        for ref in (*removed, *changed):
            engine = engine.without_policy(ref)
        for ref in (*changed, *added):
            if not problems(new[ref], second.settings):
                engine = engine.with_policy(new[ref])
    else:
        engine = second.engine
    return Comparison(
        before=first.engine,
        after=engine,
        actors=actors,
        known=known,
        ports=known.ports,
        added=added,
        removed=removed,
        changed=changed,
        notes=tuple(_notes(first, second, new)),
    )


def _same_surroundings(first: World, second: World) -> bool:
    """Whether two worlds differ in nothing but their policies."""
    return (
        first.services == second.services
        and first.cidr_groups == second.cidr_groups
        and first.namespaces == second.namespaces
        and first.endpoints == second.endpoints
        and first.settings == second.settings
    )


def _written(policy: Raw) -> Raw:
    """What a person wrote of a policy."""
    return {key: policy[key] for key in ("spec", "specs") if key in policy}


def _completed(world: World, other: World) -> World:
    """The world with the other's objects of each kind that it has none of."""
    real, others = _real(world), _real(other)
    given = {e.namespace for e in (*real, *others)}
    assumed = frozenset(e for e in world.assumed | other.assumed if e.namespace not in given)
    return replace(
        world,
        endpoints=(*(real or others), *sorted(assumed, key=lambda e: e.name)),
        namespaces=world.namespaces or other.namespaces,
        services=world.services or other.services,
        cidr_groups=world.cidr_groups or other.cidr_groups,
        workloads={**other.workloads, **world.workloads},
        assumed=assumed,
    )


def _real(world: World) -> tuple[Endpoint, ...]:
    return tuple(e for e in world.endpoints if e not in world.assumed)


def _paired(first: World, second: World) -> Iterator[Actor]:
    """The pods of both worlds: one actor for each way that a workload's pods look."""
    old, new = _looks(first), _looks(second)
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name, {}), new.get(name, {})
        gone = [look for look in before if look not in after]
        come = [look for look in after if look not in before]
        for look, (endpoint, replicated) in before.items():
            if look in after:
                yield Actor(name, endpoint, after[look][0], replicated)
        for number in range(max(len(gone), len(come))):
            was = before[gone[number]] if number < len(gone) else None
            is_now = after[come[number]] if number < len(come) else None
            one = was or is_now
            other = is_now or was
            if one is not None and other is not None:
                yield Actor(name, one[0], other[0], one[1] or other[1])


Look = tuple[frozenset[str], tuple[tuple[str, int, str], ...]]


def _looks(world: World) -> dict[str, dict[Look, tuple[Endpoint, bool]]]:
    """Workload to the looks of its pods: (the first pod of that look, whether there are more)."""
    found: dict[str, dict[Look, tuple[Endpoint, bool]]] = {}
    for endpoint in world.endpoints:
        looks = found.setdefault(world.workload(endpoint), {})
        look = (endpoint.labels, endpoint.named_ports)
        looks[look] = (looks[look][0], True) if look in looks else (endpoint, False)
    return found


def _strangers(world: World, paired: Iterable[Actor]) -> Iterator[Actor]:
    """A pod without labels in each namespace, and one in a namespace nobody speaks of."""
    there = {actor.before.labels for actor in paired}
    namespaces = sorted({a.before.namespace for a in paired} | _of_policies(world.policies))
    for namespace in (*namespaces, ANOTHER_NAMESPACE):
        pod = Endpoint.pod(namespace, {}, namespace_labels=world.namespaces.get(namespace, {}))
        if pod.labels not in there:
            name = (
                "any pod of another namespace"
                if namespace == ANOTHER_NAMESPACE
                else f"any other pod of {namespace}"
            )
            named = replace(pod, name=name)
            yield Actor(name, named, named, replicated=True)


def _of_policies(policies: Iterable[Raw]) -> set[str]:
    return {ref.namespace for ref in map(ObjectRef.of, policies) if ref.namespace}


def _notes(first: World, second: World, new: Mapping[ObjectRef, Raw]) -> Iterator[str]:
    if first.assumed:
        yield assumed_note(first)
    for side, world in (("before", first), ("after", second)):
        for ref, reasons in world.invalid.items():
            if side == "after" or ref not in new:
                yield (f"{ref.kind} {ref} has no effect {side}, the agents refuse it: {reasons[0]}")
