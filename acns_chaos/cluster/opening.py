"""A cluster opened for a command that looks: by name, from the environment, or the lab.

Belongs here: how such a command gets its connection, and what a lab hands over besides. Does not
belong here: a run's own target, which the guard resolves.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from acns_chaos.cluster.kube import AGENT, Api
from acns_chaos.cluster.labprocess import join_or_start
from acns_chaos.cluster.target import VARIABLE, choose, connect

__all__ = ["Opened", "opened"]


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection for a command.

    Attributes:
        api: the connection.
        name: what to call the cluster: "cluster aks-shop", "the lab (world pets)".
        context: the kube context's name, "in-cluster" or the lab's.
        environ: the environment, with what a lab hands over.
    """

    api: Api
    name: str
    context: str
    environ: Mapping[str, str]


@contextmanager
def opened(
    name: str = "",
    environ: Mapping[str, str] = os.environ,
    agent: str = AGENT,
    world: str = "pets",
) -> Iterator[Opened]:
    """Open a cluster for the length of a command.

    Args:
        name: a kube context, "in-cluster" or "lab" (joined, or started for this moment). "" means
            what the environment names; never the context that happens to be current.
        environ: the process environment.
        agent: what the connection calls itself.
        world: name or path, for a lab to start; one that is joined keeps its own.

    Raises:
        TargetError: which cluster is meant cannot be told, or its credentials cannot be loaded.
    """
    choice = choose({VARIABLE: name} if name else environ)
    if choice.kind != "lab":
        api, context = connect(choice, agent=agent)
        yield Opened(api, f"cluster {context}", context, environ)
        return
    lab = join_or_start(world, environ)
    try:
        api, context = connect(choice, lab.environ.get("KUBECONFIG", ""), agent)
        yield Opened(api, f"the lab (world {lab.world})", context, {**environ, **lab.environ})
    finally:
        lab.close()
