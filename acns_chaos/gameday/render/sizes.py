"""How many mutants a fleet comes to, and what follows from that: memory to merge, and time.

Belongs here: bounds that are known before anything is looked at. Does not belong here: what
Kubernetes and Argo take (`fleet`) and what a large fleet costs (`cost`).
"""

from acns_chaos.errors import GameDayError
from acns_chaos.gameday.render.cost import ONE
from acns_chaos.gameday.render.fleet import Fleet

__all__ = ["MOST_MERGED", "USUAL", "longest", "merging_memory", "mutants_of", "require_mergeable"]

# Mutants of a namespace, where the plan has no `most`.
USUAL = 50
# Results that one pod merges: then it may use 30 GiB, which a common node has.
MOST_MERGED = 1_000_000
# Bytes of memory for a result: 20,000 that all survived took 640 MiB, 5,000 took 180 MiB.
_EACH = 32_000
# MiB, for what does not grow.
_BASE = 256


def mutants_of(fleet: Fleet) -> int:
    """How many mutants all shards have, at most; about, where the plan has no `most`."""
    wanted = fleet.plan.mutants
    if wanted is None:
        return 0
    # A plan's `most` is of a day, and each shard is one.
    if wanted.most:
        return wanted.most * fleet.shards
    return USUAL * sum(len(one.namespaces) for one in fleet.clusters)


def longest(fleet: Fleet, parallel: int) -> float:
    """Seconds that one pod takes when nobody notices anything; 0 without mutants.

    Args:
        fleet: which one.
        parallel: namespaces at once in one pod.
    """
    wanted = fleet.plan.mutants
    if wanted is None:
        return 0.0
    namespaces = min(fleet.per_pod, max(len(one.namespaces) for one in fleet.clusters))
    seconds = (wanted.most or USUAL * namespaces) * ONE.most
    return min(seconds, wanted.budget or seconds) / min(parallel, namespaces)


def merging_memory(fleet: Fleet) -> int:
    """MiB that merging takes at most, when every mutant survives."""
    return _BASE + -(-mutants_of(fleet) * _EACH // 2**20)


def require_mergeable(fleet: Fleet) -> None:
    """Refuse a fleet whose results do not fit into one merging pod.

    Raises:
        GameDayError: one sentence, with what fits.
    """
    count = mutants_of(fleet)
    if count > MOST_MERGED:
        change = "lower" if fleet.plan.mutants and fleet.plan.mutants.most else "write"
        raise GameDayError(
            f"Merging would have to hold {count:,} results, and one pod takes "
            f"{MOST_MERGED:,}: {change} mutants.most in the plan, which is of each pod, or split "
            "the clusters into several files."
        )
