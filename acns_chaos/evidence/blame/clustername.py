"""What a cluster is called, where nobody may read it: Hubble writes it on every pod.

Peers are limited to the local cluster by its name, which stands in the agents' settings. Few
accounts may read those. Belongs here: finding the name, and a world that goes by it.
"""

from collections.abc import Sequence
from dataclasses import replace

from acns_chaos.cluster.hubble import Peer, SeenFlow
from acns_chaos.evidence.values import text
from acns_chaos.policy import Endpoint, Settings
from acns_chaos.policy.endpoints import CLUSTER_KEY
from acns_chaos.policy.world import World

__all__ = ["in_its_cluster"]

_LABEL = f"k8s:{CLUSTER_KEY}="
_NOT_TOLD = Settings().cluster_name


def in_its_cluster(world: World, flows: Sequence[SeenFlow]) -> tuple[World, str]:
    """Call a cluster what Hubble calls it, unless its agents' settings were heard.

    Where nobody told it, it is taken for `default`. Agents refuse that name in a cluster that is
    joined with others, so pods of another name are never proof of a second cluster beside it.

    Args:
        world: what is live.
        flows: that were seen.

    Returns:
        The world with its pods in the cluster of that name, and a note; the same world and "" when
        the name was told, or when flows tell none or several.
    """
    if world.settings.cluster_name != _NOT_TOLD:
        return world, ""
    name = _seen(world, flows)
    if name in ("", _NOT_TOLD):
        return world, ""
    named = replace(
        world,
        settings=replace(world.settings, cluster_name=name),
        endpoints=tuple(_moved(one, name) for one in world.endpoints),
        assumed=frozenset(_moved(one, name) for one in world.assumed),
    )
    return named, f"Hubble says that this cluster is called {text(name)}."


def _seen(world: World, flows: Sequence[SeenFlow]) -> str:
    """The one name of pods that are here by name and address, else of all; "" for several."""
    live = {one.name: one.ip for one in world.endpoints if one.ip}
    here, every = set[str](), set[str]()
    for flow in flows:
        for side in (flow.source, flow.destination):
            names = _names(side)
            every |= names
            if side.ip and live.get(f"{side.namespace}/{side.pod}") == side.ip:
                here |= names
    names = here or every
    return names.pop() if len(names) == 1 else ""


def _names(peer: Peer) -> set[str]:
    if not peer.pod:
        return set()
    return {one.removeprefix(_LABEL) for one in peer.labels if one.startswith(_LABEL)}


def _moved(endpoint: Endpoint, name: str) -> Endpoint:
    before = f"{_LABEL}{_NOT_TOLD}"
    if before not in endpoint.labels:
        return endpoint
    return replace(endpoint, labels=endpoint.labels - {before} | {f"{_LABEL}{name}"})
