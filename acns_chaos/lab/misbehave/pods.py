"""A workload whose pods are created anew, as after an eviction: other names, other addresses.

No controller of the lab does this by itself; what follows from a pod (endpoints, CiliumEndpoint)
follows here as for any pod.
"""

import asyncio
import random
from ipaddress import IPv4Address, IPv4Network

from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.objects import clone
from acns_chaos.lab.api.store import Store
from acns_chaos.lab.misbehave.orders import Misused
from acns_chaos.lab.misbehave.table import Entry, Table
from acns_chaos.policy.owners import owner_name

# Letters that Kubernetes gives to names it makes up.
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SET_BY_THE_SERVER = ("uid", "resourceVersion", "creationTimestamp", "managedFields")


def begin(entry: Entry, table: Table, store: Store) -> None:
    """Create the pods of a workload anew, one after another.

    Args:
        entry: of the order; it ends with the last pod.
        table: where the entry is.
        store: where the pods are.

    Raises:
        Misused: the workload has no pods.
    """
    namespace, _, workload = entry.order.options["workload"].rpartition("/")
    pods = store.list("Pod", namespace)
    mine = [pod for pod in pods if owner_name(pod) == workload]
    if not mine:
        there = ", ".join(sorted({owner_name(pod) for pod in pods})) or "none"
        raise Misused(
            f"There are no pods of {workload!r} in namespace {namespace!r}: it has those of "
            f"{there}."
        )
    task = asyncio.create_task(_run(entry, table, store, mine))

    def stop() -> None:
        if task is not asyncio.current_task():
            task.cancel()

    entry.undo = stop


async def _run(entry: Entry, table: Table, store: Store, pods: list[Json]) -> None:
    try:
        for pod in pods:
            metadata = pod["metadata"]
            new = _anew(pod, store)
            if store.find("Pod", metadata["namespace"], metadata["name"]) is None:
                continue
            store.delete("Pod", metadata["namespace"], metadata["name"])
            try:
                await asyncio.sleep(entry.order.options["after"])
            finally:
                # A workload is never left without the pods that it should have.
                store.put(new)
            entry.note(f"{metadata['name']} is now {new['metadata']['name']}")
            entry.struck += 1
    finally:
        table.end(entry, "it has done what it wanted")


def _anew(pod: Json, store: Store) -> Json:
    """A pod as its controller would create it again: ready, with a name and address of its own."""
    new = clone(pod)
    metadata, status = new["metadata"], new["status"]
    for key in _SET_BY_THE_SERVER:
        metadata.pop(key, None)
    stem, _, ending = metadata["name"].rpartition("-")
    if not ending.isdigit():  # a pod of a StatefulSet keeps its name
        chosen = "".join(random.choices(_ALPHABET, k=5))  # noqa: S311 - a name, no secret
        metadata["name"] = f"{stem}-{chosen}"
    if not new["spec"].get("hostNetwork"):
        address = _free_address(status["podIP"], store)
        status |= {"podIP": address, "podIPs": [{"ip": address}]}
    return new


def _free_address(old: str, store: Store) -> str:
    used = {pod["status"].get("podIP") for pod in store.list("Pod")}
    network = IPv4Network(f"{old}/24", strict=False)
    above = [str(one) for one in network.hosts() if one > IPv4Address(old)]
    free = [one for one in [*above, *map(str, network.hosts())] if one not in used]
    if not free:
        raise Misused(f"No address is free in {network}.")
    return free[0]
