"""pods/exec over WebSocket: the framing and the errors; the command itself is somebody else's.

Each message starts with the number of its channel: 0 stdin, 1 stdout, 2 stderr, 3 the final Status,
4 the size of a terminal. Input is taken and dropped, because no tool of the lab reads any; with a
terminal both outputs arrive as one, with its line ends. The older SPDY transport is refused.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aiohttp import web

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.failures import Failure, Json
from acns_chaos.lab.api.options import Query

_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDOUT, _STDERR, _ERROR = 1, 2, 3
_SWITCHES = ("stdin", "stdout", "stderr", "tty")

Write = Callable[[bytes], Awaitable[None]]


class ExecRequest:
    """A command that is to run in a container.

    Attributes:
        namespace, pod, container: where.
        argv: the command and its arguments.
        stdout, stderr: write output of the command.
    """

    # No dataclass: mypy takes its callable fields for read-only, which the network's protocol
    # does not allow.
    def __init__(
        self,
        namespace: str,
        pod: str,
        container: str,
        argv: list[str],
        stdout: Write,
        stderr: Write,
    ) -> None:
        self.namespace = namespace
        self.pod = pod
        self.container = container
        self.argv = argv
        self.stdout = stdout
        self.stderr = stderr


Exec = Callable[[ExecRequest], Awaitable[int]]
"""Runs a command and returns its exit code; a Failure says why it cannot be run."""


async def exec_in_pod(request: web.Request, pod: Json, run: Exec) -> web.WebSocketResponse:
    """Answer GET or POST of /api/v1/namespaces/N/pods/P/exec.

    Args:
        request: the upgrade request.
        pod: the stored pod.
        run: executes the command.

    Raises:
        Failure: 400 or 501, before the connection is upgraded.
    """
    argv, container, on = _read(request.query.items(), pod)
    _require_websocket(request)
    socket = web.WebSocketResponse(protocols=_PROTOCOLS, autoping=True)
    await socket.prepare(request)

    async def send(channel: int, data: bytes) -> None:
        await socket.send_bytes(bytes([channel]) + data)

    def writer(channel: int, wanted: bool) -> Write:
        async def write(data: bytes) -> None:
            if wanted and data and not socket.closed:
                if on["tty"]:
                    await send(_STDOUT, data.replace(b"\n", b"\r\n"))
                else:
                    await send(channel, data)

        return write

    # An empty first message tells the client that the connection stands.
    await send(_STDOUT if on["stdout"] else _STDERR, b"")
    metadata = pod["metadata"]
    command = ExecRequest(
        metadata["namespace"],
        metadata["name"],
        container,
        argv,
        writer(_STDOUT, on["stdout"]),
        writer(_STDERR, on["stderr"] or on["tty"]),
    )
    status = await _while_connected(socket, _run(run, command))
    if status is not None and not socket.closed:
        await send(_ERROR, json.dumps(status).encode())
    await socket.close()
    return socket


async def _while_connected(
    socket: web.WebSocketResponse, command: Coroutine[Any, Any, Json]
) -> Json | None:
    """The result of the command; None when the client left first, which ends the command."""
    running = asyncio.ensure_future(command)
    leaving = asyncio.ensure_future(_until_closed(socket))
    try:
        await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return running.result() if running.done() else None
    finally:
        for task in (running, leaving):
            task.cancel()
        await asyncio.gather(running, leaving, return_exceptions=True)


async def _until_closed(socket: web.WebSocketResponse) -> None:
    """Read until the client closes; reading is also what answers its pings."""
    async for _ in socket:
        pass


async def _run(run: Exec, command: ExecRequest) -> Json:
    """The Status of the finished command."""
    try:
        code = await run(command)
    except Failure as failure:
        return failure.status
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _read(query: Query, pod: Json) -> tuple[list[str], str, dict[str, bool]]:
    """The command, the container and the switches of a request."""
    argv: list[str] = []
    container = ""
    on = dict.fromkeys(_SWITCHES, False)
    for name, value in query:
        if name == "command":
            argv.append(value)
        elif name == "container":
            container = value
        elif name in on:
            on[name] = value.lower() not in {"false", "0"}
        else:
            raise failures.not_modelled(f"the parameter {name}={value} of exec")
    if not (on["stdin"] or on["stdout"] or on["stderr"]):
        raise failures.bad_request("you must specify at least 1 of stdin, stdout, stderr")
    if not argv:
        raise failures.bad_request("you must specify at least 1 command for the container")
    return argv, _container(container, pod), on


def _container(name: str, pod: Json) -> str:
    """The container that is meant, worded as the API server does when it cannot be told."""
    spec, pod_name = pod.get("spec", {}), pod["metadata"]["name"]
    main = [container["name"] for container in spec.get("containers", [])]
    init = [container["name"] for container in spec.get("initContainers", [])]
    if name:
        if name not in main + init:
            raise failures.bad_request(f"container {name} is not valid for pod {pod_name}")
        return name
    if len(main) == 1:
        return str(main[0])
    message = f"a container name must be specified for pod {pod_name}"
    if main:
        message += f", choose one of: [{' '.join(main)}]"
    if main and init:
        message += f" or one of the init containers: [{' '.join(init)}]"
    raise failures.bad_request(message)


def _require_websocket(request: web.Request) -> None:
    upgrade = request.headers.get("Upgrade", "").lower()
    if upgrade.startswith("spdy"):
        raise failures.not_modelled(f"exec over {request.headers['Upgrade']}, only WebSocket")
    if upgrade != "websocket":
        raise failures.bad_request("Upgrade request required")
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    if not any(name.strip() in _PROTOCOLS for name in offered.split(",")):
        known = " and ".join(_PROTOCOLS)
        raise failures.not_modelled(
            f"the exec protocol {offered or 'without a name'}, only {known}"
        )
