"""Pods: finding a workload's, and running a command in one.

A command's end is judged by its exit code, which arrives on the error channel of the WebSocket;
output alone says nothing.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from acns_chaos.cluster.handshakes import opened_within
from acns_chaos.cluster.kube import Api
from acns_chaos.errors import ApiError, NotFound

__all__ = [
    "Place",
    "Ran",
    "connected_by",
    "is_ready",
    "lacks_tool",
    "place_in",
    "pods_of",
    "run_in",
    "service_address",
    "service_of",
    "services_in",
    "stays",
    "workload_of",
]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command runs.

    Attributes:
        pod: its name.
        container: one of its containers.
    """

    pod: str
    container: str


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command in a pod ended.

    Attributes:
        code: its exit code; None when the command did not end within its time.
        output: stdout and stderr, in the order they arrived.
        seconds: from the request to the end.
    """

    code: int | None
    output: str
    seconds: float


def pods_of(api: Api, namespace: str, workload: str) -> list[dict[str, Any]]:
    """List the running pods of a workload, those first that are the best to ask.

    Args:
        api: the cluster.
        namespace: where.
        workload: the Deployment's, StatefulSet's or DaemonSet's name.

    Returns:
        Pods that run and are not being deleted: the Ready ones, then the others, each by name.

    Raises:
        NotFound: the namespace or the workload has none.
        ApiError: the list cannot be read.
    """
    items = api.get(f"/api/v1/namespaces/{namespace}/pods").get("items", [])
    found = [pod for pod in items if workload_of(pod) == workload and stays(pod)]
    if not found:
        names = ", ".join(sorted({workload_of(pod) for pod in items})) or "no pods at all"
        raise NotFound(
            f"Workload {workload!r} has no running pod in namespace {namespace!r}, "
            f"which has {names}.",
            404,
        )
    return sorted(found, key=lambda pod: (not is_ready(pod), str(pod["metadata"]["name"])))


def stays(pod: Mapping[str, Any]) -> bool:
    """Whether a raw pod runs and is not being deleted.

    One that is deleted stays in phase Running for its grace, while its processes end one by one:
    its silence tells nothing of policy.
    """
    deleted = pod["metadata"].get("deletionTimestamp")
    return not deleted and (pod.get("status") or {}).get("phase") == "Running"


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a raw pod is Ready: Services send it traffic, unless it is being deleted."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def workload_of(pod: dict[str, Any]) -> str:
    """Name the pod's controller; a ReplicaSet is named after its Deployment plus a hash."""
    metadata = pod["metadata"]
    for owner in metadata.get("ownerReferences") or []:
        name = str(owner.get("name", ""))
        if owner.get("kind") == "ReplicaSet":
            hashed = (metadata.get("labels") or {}).get("pod-template-hash", "")
            return name.removesuffix(f"-{hashed}") if hashed else name.rpartition("-")[0]
        return name
    return str(metadata["name"])


def place_in(pod: Mapping[str, Any], container: str = "") -> Place:
    """Where a command runs in a raw Pod: in the container that is named, else in its first."""
    first = str(pod["spec"]["containers"][0]["name"])
    return Place(str(pod["metadata"]["name"]), container or first)


def services_in(api: Api, namespace: str) -> list[dict[str, Any]]:
    """List the raw Services of a namespace.

    By the list that whoever looks may read: that of the whole cluster.

    Raises:
        ApiError: the list cannot be read.
    """
    every: list[dict[str, Any]] = api.get("/api/v1/services").get("items", [])
    return [one for one in every if one["metadata"].get("namespace") == namespace]


def service_of(api: Api, namespace: str, name: str) -> dict[str, Any]:
    """Read a Service.

    Raises:
        NotFound: there is none of that name.
        ApiError: it cannot be read.
    """
    return api.get(f"/api/v1/namespaces/{namespace}/services/{name}")


def _listed(api: Api, namespace: str, name: str) -> dict[str, Any]:
    for one in services_in(api, namespace):
        if one["metadata"]["name"] == name:
            return one
    raise NotFound(f"There is no Service {name!r} in namespace {namespace!r}.", 404)


def service_address(api: Api, namespace: str, name: str, elsewhere: bool = False) -> str:
    """Return a Service's cluster address, so that a probe needs no name lookup.

    A denied lookup costs 5 s on musl and 20 s on glibc (reference captures, "What a client
    sees"); a denied connection costs the probe's own time-out.

    Args:
        api: the cluster.
        namespace: of the Service.
        name: its name.
        elsewhere: it is in another namespace than the experiment's, where whoever looks may list
            Services and not read one.

    Raises:
        NotFound: there is no such Service, or it has no address.
        ApiError: it cannot be read.
    """
    found = (_listed if elsewhere else service_of)(api, namespace, name)
    address = str(found.get("spec", {}).get("clusterIP", ""))
    if address in ("", "None"):
        raise NotFound(f"Service {namespace}/{name} has no cluster address (it is headless).", 404)
    return address


def run_in(
    api: Api, namespace: str, pod: str, container: str, command: Sequence[str], timeout: float
) -> Ran:
    """Run *command* in a container and wait for its end.

    Args:
        api: the cluster.
        namespace: of the pod.
        pod: its name.
        container: which of its containers.
        command: program and arguments; no shell is put around them.
        timeout: seconds until the connection is closed and the code is None.

    Raises:
        ApiError: the command could not be started (no such pod, no permission, no API server).
    """
    from kubernetes.client.rest import ApiException
    from kubernetes.stream import ws_client
    from websocket import WebSocketException

    query = [("command", word) for word in command]
    query += [("container", container), ("stdout", "true"), ("stderr", "true"), ("stdin", "false")]
    # The names come from the API server's own list of pods.
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec"
    api.asked.note("GET", path)
    url = ws_client.get_websocket_url(api.server + path + "?" + urlencode(query))
    started = time.monotonic()
    try:
        with opened_within(timeout):
            session = ws_client.WSClient(api.client.configuration, url, api.headers(), True)
    except (ApiException, OSError, WebSocketException) as error:
        raise ApiError(
            f"cannot run {command[0]!r} in {namespace}/{pod} ({container}): {_why(error)}"
        ) from error
    try:
        session.run_forever(timeout=timeout)
        # The status first: reading the output empties every channel.
        code = None if session.is_open() else _code(session.read_channel(ws_client.ERROR_CHANNEL))
        output = session.read_all()
    finally:
        try:
            session.close()
        finally:
            # Where the server was first to close, the client above leaves its socket open.
            session.sock.shutdown()
    return Ran(code, output if isinstance(output, str) else "", time.monotonic() - started)


def connected_by(ran: Ran) -> bool | None:
    """Read what `nc -zv` says about policy: connected, met silence, or (None) neither.

    A refusal means that the packet arrived: policy allowed it, nobody listens
    (reference cilium-semantics §6.3).
    """
    if ran.code == 0 or "refused" in ran.output:
        return True
    return False if "timed out" in ran.output else None


def lacks_tool(ran: Ran) -> bool:
    """Whether the container has no such program, as its runtime or its shell says."""
    return ran.code in (126, 127)


def _code(status: str) -> int | None:
    """Read the exit code from the Status that ends an exec session."""
    try:
        answer = json.loads(status)
    except ValueError:
        return None
    if answer.get("status") == "Success":
        return 0
    for cause in (answer.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode":
            return int(cause.get("message", 1))
    # The runtime could not start the program: a shell would say 126.
    return 126


def _why(error: BaseException) -> str:
    # The client writes every header of the answer behind this.
    lines = str(error).partition(" -+-+- ")[0].strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
