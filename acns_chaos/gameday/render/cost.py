"""What a fleet's game day costs, from what one namespace costs: the table of docs/fleet.md.

Belongs here: multiplication, with every input named. Does not belong here: measuring.

    python -m acns_chaos.gameday.render.cost

prints the table.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from acns_chaos.gameday.render.fleet import MOST_WORKFLOW_PODS

__all__ = ["ONE", "Cost", "One", "cost", "table"]

CLUSTERS, NAMESPACES = 1000, 200
_HOUR, _GB = 3600, 1e9


@dataclass(frozen=True, slots=True)
class One:
    """What one namespace costs; where each figure comes from stands in docs/fleet.md.

    Attributes:
        mutants: in one namespace.
        about, most: seconds for each: when all detectors notice, and when none does.
        looking: requests to the API server before the first of them.
        kubernetes: requests to the API server for each, however long it stands.
        watchdog: requests to the API server in each second that one lasts, by its watchdog.
        prometheus: requests in each second that one lasts.
        journal: bytes for each.
        memory: MiB that a pod asks for.
    """

    mutants: int = 47
    about: float = 112
    most: float = 346
    looking: int = 53
    kubernetes: int = 100
    watchdog: float = 7.2
    prometheus: float = 10.3
    journal: int = 70_000
    memory: int = 256

    @property
    def each(self) -> float:
        """Requests to the API server for one mutant, about."""
        return self.kubernetes + self.watchdog * self.about


ONE = One()


@dataclass(frozen=True, slots=True)
class Cost:
    """What a fleet costs.

    Attributes:
        pods: in all.
        at_once: pods at the same time.
        hours: from the first mutant to the last, about.
        longest: the same when no detector notices anything.
        pod: hours of one pod, about.
        pod_longest: the same when no detector notices anything: what `--lasts` must allow.
        pod_hours: of all pods, about.
        per_second: requests to one cluster's API server, on average.
        requests: to all API servers.
        queries: to all Prometheus.
        memory: GiB that the pods at the same time ask for.
        stored: bytes of journals.
    """

    pods: int
    at_once: int
    hours: float
    longest: float
    pod: float
    pod_longest: float
    pod_hours: float
    per_second: float
    requests: float
    queries: float
    memory: float
    stored: int


def cost(
    mutants: int, in_cluster: int, *, per_pod: int = 1, clusters_at_once: int = CLUSTERS
) -> Cost:
    """What a fleet of 1,000 clusters with 200 namespaces each costs.

    Args:
        mutants: in each namespace.
        in_cluster: pods at once in one cluster.
        per_pod: namespaces that one pod takes on, one after another.
        clusters_at_once: clusters that are worked on at the same time.
    """
    pods = -(-NAMESPACES // per_pod)
    rounds = -(-pods // in_cluster) * -(-CLUSTERS // clusters_at_once)
    each = mutants * ONE.about * per_pod / _HOUR
    at_once = min(in_cluster, pods) * min(clusters_at_once, CLUSTERS)
    every = CLUSTERS * NAMESPACES * mutants
    return Cost(
        pods=CLUSTERS * pods,
        at_once=at_once,
        hours=rounds * each,
        longest=rounds * each * ONE.most / ONE.about,
        pod=each,
        pod_longest=each * ONE.most / ONE.about,
        pod_hours=CLUSTERS * pods * each,
        per_second=min(in_cluster, pods) * ONE.each / ONE.about,
        requests=every * ONE.each + CLUSTERS * pods * ONE.looking,
        queries=every * ONE.prometheus * ONE.about,
        memory=at_once * ONE.memory / 1024,
        stored=every * ONE.journal,
    )


def table() -> str:
    """The table as Markdown."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield (
        "| mutants a namespace | namespaces a pod | pods at once: a cluster, all | pods | hours, "
        "at most | hours of one pod, at most | pod hours | requests a second, to one API server | "
        "requests in all, queries | memory asked for | journals |"
    )
    yield "|" + "---|" * 11
    few = -(-CLUSTERS * NAMESPACES // MOST_WORKFLOW_PODS)
    ways = (
        *((ONE.mutants, 1, 1), (ONE.mutants, 1, 20)),
        *((5, 1, 1), (5, few, 1), (5, few, 5), (1, few, 1), (1, few, 5)),
    )
    for mutants, per_pod, in_cluster in ways:
        one = cost(mutants, in_cluster, per_pod=per_pod)
        yield (
            f"| {mutants} | {per_pod} | {in_cluster}, {one.at_once:,} | {one.pods:,} "
            f"| {one.hours:.1f}, {one.longest:.0f} | {one.pod:.1f}, {one.pod_longest:.1f} "
            f"| {one.pod_hours:,.0f} | {one.per_second:.1f} "
            f"| {one.requests / 1e6:,.0f}, {one.queries / 1e6:,.0f} million "
            f"| {one.memory:,.0f} GiB "
            f"| {one.stored / _GB:,.0f} GB |"
        )


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
