"""What listens inside pods, and what a kubelet says when nothing does.

A forwarded connection is made by the container runtime on the pod's node, to localhost inside the
pod's own network namespace. No policy of the pod judges it (and were it judged, as host traffic,
allow-localhost would let it in), so a storefront that is denied to the world still answers here.
"""

import asyncio
import hashlib
import uuid
from collections.abc import Mapping

from acns_chaos.lab.api.failures import Json

Listening = Mapping[tuple[str, str, int], tuple[str, int]]
"""(namespace, app, port) to the loopback address that stands for it. The app is the pod's label
``app`` or ``k8s-app``, or the beginning of its name before a dash."""


class CannotForward(Exception):
    """A sentence for the error stream, as a kubelet or the lab words it."""


class Ports:
    """Opens connections into pods.

    Args:
        listening: may grow later.
    """

    def __init__(self, listening: Listening) -> None:
        self._listening = listening

    async def open(self, pod: Json, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a port of a pod.

        Args:
            pod: the stored pod.
            port: inside it.

        Raises:
            CannotForward: nothing listens there, or the lab does not model what does.
        """
        address = self._address(pod, port)
        if address is not None:
            try:
                return await asyncio.open_connection(*address)
            except OSError:
                raise CannotForward(_refused(pod, port)) from None
        declared = (
            entry
            for container in pod["spec"].get("containers", [])
            for entry in container.get("ports") or []
        )
        if any(e["containerPort"] == port and e.get("protocol", "TCP") == "TCP" for e in declared):
            name = pod["metadata"]["name"]
            raise CannotForward(f"the lab does not model what listens on port {port} of {name}")
        raise CannotForward(_refused(pod, port))

    def _address(self, pod: Json, port: int) -> tuple[str, int] | None:
        metadata = pod["metadata"]
        labels = metadata.get("labels") or {}
        named = (labels.get("app"), labels.get("k8s-app"))
        for (namespace, app, number), address in self._listening.items():
            if (namespace, number) == (metadata["namespace"], port) and (
                app in named or metadata["name"].startswith(f"{app}-")
            ):
                return address
        return None


def _refused(pod: Json, port: int) -> str:
    """What a kubelet with containerd 1.7 writes when nobody listens."""
    identity = f"{pod['metadata'].get('uid')}/{pod['metadata']['name']}"
    sandbox = hashlib.sha256(identity.encode()).hexdigest()
    netns = f"/var/run/netns/cni-{uuid.uuid5(uuid.NAMESPACE_URL, identity)}"
    return (
        f"error forwarding port {port} to pod {sandbox}, uid : failed to execute portforward in "
        f'network namespace "{netns}": failed to connect to localhost:{port} inside namespace '
        f'"{sandbox}", IPv4: dial tcp4 127.0.0.1:{port}: connect: connection refused IPv6 dial '
        "tcp6: address localhost: no suitable address found "
    )
