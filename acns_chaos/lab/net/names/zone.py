"""What the cluster's DNS server holds, and how pods are told to ask it.

Cluster names follow the store, the outside is the world's. Looking up, and what policy does to it,
is in `dns`. Not modelled: names of pods, reverse names, SRV and TXT records.
"""

from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.world import World

_CLUSTER_DOMAIN = ["cluster", "local"]
_USUAL_NAMESERVER = "10.0.0.10"


class Zone:
    """The names of a cluster and its surroundings.

    Args:
        directory: services and their pods.
        world: the names outside.
    """

    def __init__(self, directory: Directory, world: World) -> None:
        self._directory = directory
        self._world = world

    def addresses(self, name: str) -> tuple[str, ...] | None:
        """What a complete name stands for.

        Args:
            name: with or without the trailing dot.

        Returns:
            IPv4 addresses, none for a name that only has names below it; None when the name does
            not exist.
        """
        name = name.rstrip(".").lower()
        labels = name.split(".")
        if labels[-2:] == _CLUSTER_DOMAIN:
            return self._cluster_addresses(labels[:-2])
        host = self._world.outside.get(name)
        return host.addresses if host else None

    def _cluster_addresses(self, labels: list[str]) -> tuple[str, ...] | None:
        """The same for a name below cluster.local, by its labels before that."""
        if not labels or labels == ["svc"]:
            return ()
        if labels[-1] != "svc" or len(labels) > 3:
            return None
        if len(labels) == 2:
            # Any access to the directory refreshes its namespaces.
            self._directory.nodes()
            return () if labels[0] in self._directory.namespace_labels else None
        service = self._directory.service(labels[1], labels[0])
        if service is None:
            return None
        ip = service["spec"].get("clusterIP")
        if ip in (None, "", "None"):
            return tuple(pod.ip for pod in self._directory.backends(service))
        return (str(ip),)

    def search_list(self, namespace: str) -> list[str]:
        """The search domains in a pod's resolver configuration."""
        cluster = [f"{namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local"]
        return [*cluster, *self._world.node_search]

    def nameserver(self) -> str:
        """The cluster's DNS address."""
        service = self._directory.service("kube-system", "kube-dns")
        return str(service["spec"]["clusterIP"]) if service else _USUAL_NAMESERVER
