"""What Prometheus answers, as values: series with their samples, and whose they are."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.moments import END
from acns_chaos.errors import ApiError

__all__ = ["Clock", "Freshness", "Node", "Nodes", "Series", "cluster_nodes", "series_of"]

# Labels that may name the node, the usual one first.
_PLACES = ("instance", "node", "kubernetes_node", "nodename")
_AGENTS = ("/api/v1/pods", {"labelSelector": "k8s-app=cilium"})


@dataclass(frozen=True, slots=True)
class Series:
    """One series.

    Attributes:
        labels: names in lower case, values as they came: Azure Monitor's casing is not to be
            relied on (reference workshop-facts §3.3).
        samples: (seconds since 1970 by Prometheus' clock, value), oldest first; finite ones only.
    """

    labels: Mapping[str, str]
    samples: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        """The newest value, 0 when there is none."""
        return self.samples[-1][1] if self.samples else 0.0


@dataclass(frozen=True, slots=True)
class Clock:
    """How Prometheus' clock stands to this machine's.

    Attributes:
        ahead: seconds Prometheus' clock is ahead.
        bound: seconds that may be wrong by, None when it could not be compared.
    """

    ahead: float
    bound: float | None


@dataclass(frozen=True, slots=True)
class Node:
    """A node that runs a Cilium agent, and so has metrics.

    Attributes:
        name: of the node.
        addresses: its own.
    """

    name: str
    addresses: tuple[str, ...] = ()


class Nodes:
    """The nodes of one cluster, found by what a series says of its origin.

    Args:
        nodes: all that run an agent.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        found = tuple(nodes)
        self.names = tuple(sorted(node.name for node in found))
        self._by_place = {
            place.lower(): node.name for node in found for place in (node.name, *node.addresses)
        }

    def __len__(self) -> int:
        return len(self.names)

    def of(self, labels: Mapping[str, str]) -> str:
        """Return the name of the node that a series comes from, "" when it is none of these."""
        for label in _PLACES:
            place = labels.get(label, "").lower()
            host = place.rpartition(":")[0].strip("[]") if ":" in place else place
            for one in (place, host, host.partition(".")[0]):
                if one in self._by_place:
                    return self._by_place[one]
        return ""


def cluster_nodes(api: Api) -> Nodes:
    """Find the nodes that have metrics: those where a Cilium agent is to run.

    The agents' pods say which, with an address each, so that no right to list nodes is needed.

    Raises:
        ApiError: the pods cannot be listed, or none is an agent's.
    """
    path, query = _AGENTS
    found: dict[str, set[str]] = {}
    for pod in api.get(path, query).get("items") or []:
        name = str((pod.get("spec") or {}).get("nodeName") or "")
        status = pod.get("status") or {}
        if name:
            addresses = {str(status.get(key) or "") for key in ("hostIP", "podIP")} - {""}
            found.setdefault(name, set()).update(addresses)
    if not found:
        raise ApiError(
            "No pod carries k8s-app=cilium, so it cannot be told which nodes should have metrics."
        )
    return Nodes(Node(name, tuple(sorted(addresses))) for name, addresses in found.items())


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the newest samples are, node by node.

    Attributes:
        at: when it was asked, by Prometheus' clock.
        ages: node name to seconds since its newest sample; a node without one is not in it.
        missing: nodes without any sample of the last minutes.
        foreign: places that are no node of this cluster (ten at most).
        foreign_count: how many.
        metrics: what was asked for.
    """

    at: float
    ages: Mapping[str, float]
    missing: tuple[str, ...]
    foreign: tuple[str, ...]
    foreign_count: int
    metrics: tuple[str, ...]

    @property
    def newest(self) -> float | None:
        """Age of the newest sample of all nodes in seconds, None when there is none."""
        return min(self.ages.values(), default=None)

    @property
    def oldest(self) -> float | None:
        """Age of the node that is furthest behind, None when there is none."""
        return max(self.ages.values(), default=None)

    def behind(self, seconds: float) -> tuple[str, ...]:
        """Return the nodes whose newest sample is older than this, or that have none."""
        late = [name for name, age in self.ages.items() if age > seconds]
        return tuple(sorted((*late, *self.missing)))

    @property
    def is_foreign(self) -> bool:
        """Whether there are metrics, and none of this cluster's nodes."""
        return not self.ages and self.foreign_count > 0

    def as_json(self) -> dict[str, Any]:
        """Return the journal's form."""
        return {
            "oldest_age": None if self.oldest is None else round(self.oldest, 3),
            "newest_age": None if self.newest is None else round(self.newest, 3),
            "nodes": len(self.ages) + len(self.missing),
            "nodes_without": list(self.missing[:10]),
            "foreign_instances": self.foreign_count,
            "metrics": list(self.metrics),
        }


def series_of(result: Any) -> list[Series]:
    """Read a vector or a matrix as the query API writes it; what is no sample is left out."""
    found = []
    for one in result if isinstance(result, list) else []:
        if not isinstance(one, dict) or not isinstance(one.get("metric"), dict):
            continue
        pairs = one.get("values") or ([one["value"]] if "value" in one else [])
        labels = {str(name).lower(): str(value) for name, value in one["metric"].items()}
        found.append(Series(labels, tuple(_samples(pairs))))
    return found


def _samples(pairs: Any) -> Iterable[tuple[float, float]]:
    for at, value in pairs:
        when, number = float(at), float(value)
        # A counter is never NaN; an error on the way to it may be.
        if math.isfinite(number) and abs(when) < END:
            yield when, number
