"""pods/exec: what is to run where, and how a kubelet reports its end.

The command itself is somebody else's; what it is connected by is in ``streams.remotecommand``. With
a terminal both outputs arrive as one, with its line ends; it echoes nothing and has no size.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aiohttp import web

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.failures import Failure, Json
from acns_chaos.lab.api.options import Query
from acns_chaos.lab.api.streams.remotecommand import (
    ERROR,
    STDERR,
    STDOUT,
    NeverOpened,
    Wires,
    connect,
)

_SWITCHES = ("stdin", "stdout", "stderr", "tty")

Write = Callable[[bytes], Awaitable[None]]


class ExecRequest:
    """A command that is to run in a container.

    Attributes:
        namespace, pod, container: where.
        argv: the command and its arguments.
        stdout, stderr: write output of the command.
        stdin: its input, which ends when the client ends it or leaves; None without input.
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
        stdin: asyncio.StreamReader | None = None,
    ) -> None:
        self.namespace = namespace
        self.pod = pod
        self.container = container
        self.argv = argv
        self.stdout = stdout
        self.stderr = stderr
        self.stdin = stdin


Exec = Callable[[ExecRequest], Awaitable[int]]
"""Runs a command and returns its exit code; a Failure says why it cannot be run."""


async def exec_in_pod(request: web.Request, pod: Json, run: Exec) -> web.StreamResponse:
    """Answer GET or POST of /api/v1/namespaces/N/pods/P/exec.

    Args:
        request: the upgrade request.
        pod: the stored pod.
        run: executes the command.

    Raises:
        Failure: 400 or 501, before the connection is upgraded.
    """
    argv, container, on = _read(request.query.items(), pod)
    try:
        wires = await connect(request, on)
    except NeverOpened as end:
        return end.response

    def writer(name: str, wanted: bool) -> Write:
        async def write(data: bytes) -> None:
            if wanted and data:
                if on["tty"]:
                    await wires.send(STDOUT, data.replace(b"\n", b"\r\n"))
                else:
                    await wires.send(name, data)

        return write

    metadata = pod["metadata"]
    command = ExecRequest(
        metadata["namespace"],
        metadata["name"],
        container,
        argv,
        writer(STDOUT, on["stdout"]),
        writer(STDERR, on["stderr"] or on["tty"]),
        wires.stdin,
    )
    status = await _while_connected(wires, _run(run, command))
    if status is not None:
        await wires.send(ERROR, json.dumps(status).encode())
    return await wires.close()


async def _while_connected(wires: Wires, command: Coroutine[Any, Any, Json]) -> Json | None:
    """The result of the command; None when the client left first, which ends the command."""
    running = asyncio.ensure_future(command)
    leaving = asyncio.ensure_future(wires.until_gone())
    try:
        await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return running.result() if running.done() else None
    finally:
        for task in (running, leaving):
            task.cancel()
        await asyncio.gather(running, leaving, return_exceptions=True)


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
    return argv, container_of(container, pod), on


def container_of(name: str, pod: Json) -> str:
    """The container that is meant.

    Args:
        name: as the client gave it, "" for the only one.
        pod: the stored pod.

    Raises:
        Failure: 400, there is none of that name, or several to choose from.
    """
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
