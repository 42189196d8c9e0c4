"""What there is besides one object, as far as it can make the object idle.

Belongs here: gathering it once for many objects. Does not belong here: what follows from it
(`validity_world`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from acns_chaos.policy.addresses import CidrGroup
from acns_chaos.policy.compile import Rule, compile_policy
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.model import ObjectRef, Settings
from acns_chaos.policy.peer_fields import World as Referred
from acns_chaos.policy.services import Service, read_services
from acns_chaos.policy.validity import problems

_EVERYWHERE = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})


class HasNeighbours(Protocol):
    """What a world has to offer to be held against an object."""

    @property
    def policies(self) -> Iterable[Mapping[str, Any]]:
        """All raw policy objects."""

    @property
    def endpoints(self) -> Iterable[Endpoint]:
        """All pods, and other endpoints that are known."""

    @property
    def namespaces(self) -> Mapping[str, Mapping[str, str]]:
        """The labels of all namespaces."""

    @property
    def services(self) -> Iterable[Mapping[str, Any]]:
        """All raw Service and EndpointSlice objects."""

    @property
    def cidr_groups(self) -> Iterable[Mapping[str, Any]]:
        """All raw CiliumCIDRGroup objects."""

    @property
    def settings(self) -> Settings:
        """Those of the agents."""


@dataclass(frozen=True)
class Neighbours:
    """What there is besides one object. Make it once and ask it of many objects.

    Attributes:
        policies: raw policy objects; the one that is judged may be among them.
        endpoints: pods, complete: what no pod of them has counts as missing.
        namespaces: labels of the namespaces.
        services: raw Service and EndpointSlice objects.
        cidr_groups: raw CiliumCIDRGroup objects.
        settings: of the agents.
    """

    policies: tuple[Mapping[str, Any], ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    services: tuple[Mapping[str, Any], ...] = ()
    cidr_groups: tuple[Mapping[str, Any], ...] = ()
    settings: Settings = field(default_factory=Settings)

    @classmethod
    def of(cls, world: HasNeighbours) -> "Neighbours":
        """The surroundings that a world describes; itself, when it is one already."""
        if isinstance(world, cls):
            return world
        return cls(
            tuple(world.policies),
            tuple(world.endpoints),
            world.namespaces,
            tuple(world.services),
            tuple(world.cidr_groups),
            world.settings,
        )

    @cached_property
    def pods(self) -> tuple[Endpoint, ...]:
        """The pods among the endpoints."""
        return tuple(e for e in self.endpoints if e.kind == "pod")

    @cached_property
    def namespace_names(self) -> frozenset[str]:
        """The names of all namespaces that are known to exist."""
        return _EVERYWHERE | frozenset(self.namespaces) | {pod.namespace for pod in self.pods}

    @cached_property
    def read_services(self) -> tuple[Service, ...]:
        """The services, as toServices sees them."""
        return read_services(self.services)

    @cached_property
    def referred(self) -> Referred:
        """What rules refer to outside themselves."""
        groups = tuple(map(CidrGroup.of, self.cidr_groups))
        return Referred(self.settings, self.read_services, groups)

    @cached_property
    def group_names(self) -> frozenset[str]:
        """The names of the CIDR groups."""
        return frozenset(
            str((group.get("metadata") or {}).get("name", "")) for group in self.cidr_groups
        )

    @cached_property
    def addresses(self) -> tuple[tuple[str, str], ...]:
        """(address, whose it is) of pods and services."""
        found = [(pod.ip, f"pod {pod.name}") for pod in self.pods if pod.ip]
        for raw in self.services:
            metadata, spec = raw.get("metadata") or raw, raw.get("spec") or {}
            address = spec.get("clusterIP")
            if raw.get("kind", "Service") == "Service" and address and address != "None":
                owner = f"{metadata.get('namespace') or 'default'}/{metadata.get('name')}"
                found.append((str(address), f"service {owner}"))
        return tuple(found)

    @cached_property
    def imported(self) -> Mapping[ObjectRef, tuple[Mapping[str, Any], tuple[Rule, ...]]]:
        """The objects that the agents import, each with its rules."""
        found = {}
        for raw in self.policies:
            if not problems(raw, self.settings):
                rules = compile_policy(raw, self.referred)
                found[ObjectRef.of(raw)] = (raw, rules)
        return found

    def others(self, ref: ObjectRef) -> Iterator[tuple[Mapping[str, Any], tuple[Rule, ...]]]:
        """The imported objects other than one, each with its rules."""
        for other, both in self.imported.items():
            if other != ref:
                yield both
