"""What a world is, once its file has been read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from acns_chaos.errors import AcnsChaosError


class WorldError(AcnsChaosError):
    """A world cannot be found or its file cannot be used."""


@dataclass(frozen=True, slots=True)
class Outside:
    """A name outside the cluster and the hosts behind it.

    Attributes:
        name: DNS name without a trailing dot.
        addresses: IPv4 addresses, in the order a lookup returns them.
        ports: TCP ports that accept a connection; the others never answer.
        redirects: URL path to the absolute URL that a request for it is sent on to (302).
    """

    name: str
    addresses: tuple[str, ...]
    ports: frozenset[int]
    redirects: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shop:
    """The services that make up the storefront, by Service name."""

    namespace: str
    front: str
    orders: str
    products: str
    queue: str


@dataclass(frozen=True, slots=True)
class Visit:
    """Steady traffic from a workload to a name.

    Attributes:
        namespace: of the workload.
        client: the workload's name; its first running pod asks.
        host: what it looks up before each visit.
        port: where it connects then, over TCP.
        every: seconds between two visits.
    """

    namespace: str
    client: str
    host: str
    port: int
    every: float


@dataclass(frozen=True, slots=True)
class World:
    """One world.

    Attributes:
        name: "pets", "pets-workshop", or what a file calls itself.
        objects: raw Kubernetes objects, in the order in which a server should learn of them.
        outside: name to `Outside`.
        shop: the storefront's services, None when the world has no shop.
        images: image name without registry and tag, to the base whose tools it holds (one of
            `BASES`); an image not listed is "scratch".
        later: further manifests as people apply them, by step, without a namespace.
        established: workloads that resolved their peers before the policies came.
        node_search: search domains that pods get from their node, after the cluster's own.
        visits: steady traffic between workloads.
        routing: "tunnel" or "native": how the datapath carries packets between nodes.
        min_ttl: seconds for which a learned address stays at least (`tofqdns-min-ttl`).
        scrape_seconds: how often the built-in Prometheus takes a sample of every series.
        hubble_ring: how many flows each node's Hubble keeps.
        hubble_policy_verdicts_metric: whether Hubble exposes `hubble_policy_verdicts_total`,
            which is a setting of its installation.
    """

    name: str
    objects: list[dict[str, Any]]
    outside: Mapping[str, Outside] = field(default_factory=dict)
    shop: Shop | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    later: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    established: frozenset[str] = frozenset()
    node_search: tuple[str, ...] = ()
    visits: tuple[Visit, ...] = ()
    routing: str = "tunnel"
    min_ttl: float = 3600.0
    scrape_seconds: float = 0.5
    hubble_ring: int = 4095
    hubble_policy_verdicts_metric: bool = True
