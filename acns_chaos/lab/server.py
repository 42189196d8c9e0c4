"""One lab process from start to stop: world, store, network, API server, ready line, clean exit.

Only the order of things is here. The parts come from ``api``, ``net`` and ``world``.
"""

import asyncio
import base64
import errno
import json
import os
import secrets
import signal
import ssl
import sys
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from acns_chaos.lab.api.admission import load, load_definitions
from acns_chaos.lab.api.app import Api
from acns_chaos.lab.api.failures import Failure
from acns_chaos.lab.api.operator import Operator
from acns_chaos.lab.api.store import Store
from acns_chaos.lab.net.network import Network
from acns_chaos.lab.registration import LabError, Registration, lab_home, registered
from acns_chaos.lab.tls import make_certificates
from acns_chaos.lab.world import load_world

_HOST = "127.0.0.1"
_GRACE = 0.2  # seconds that open requests get at the end
_STDIN = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says.

    Attributes:
        world: a name or the path of a YAML file.
        port: of the API, 0 for a free one.
        register: be the lab that others find.
        until_stdin_closes: stop at the end of standard input.
        git_version: what /version says.
    """

    world: str
    port: int
    register: bool
    until_stdin_closes: bool
    git_version: str


def serve(settings: Settings) -> None:
    """Run the lab until SIGTERM, SIGINT, or the end of standard input if that is asked for.

    Raises:
        AcnsChaosError: the lab cannot start: unknown world, port taken, already registered.
    """
    with ExitStack() as stack:
        registration = None
        if settings.register:
            registration = stack.enter_context(registered(lab_home(os.environ)))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="acns-chaos-lab-")))
        asyncio.run(_run(settings, directory, registration))


async def _run(settings: Settings, directory: Path, registration: Registration | None) -> None:
    stop = _stop_requests(until_stdin_closes=settings.until_stdin_closes)
    world = load_world(settings.world)
    store = Store()
    certificates = make_certificates()
    token = secrets.token_urlsafe(32)
    load_definitions(store)
    # The operator comes before the world: it judges the world's policies too.
    Operator(store)
    for obj in world.objects:
        try:
            load(store, obj)
        except Failure as failure:
            which = f"{obj['kind']} {obj['metadata']['name']}"
            raise LabError(f"{which} of the world {world.name} is refused: {failure}.") from None
    network = Network(store, world)
    api = Api(store, token, network.exec, settings.git_version)
    context = certificates.server_context(directory)
    async with _listening(api.application(), settings.port, context) as port:
        try:
            server = f"https://{_HOST}:{port}"
            kubeconfig = directory / "kubeconfig"
            _write_kubeconfig(
                kubeconfig, f"lab-{world.name}", server, certificates.authority, token
            )
            ready = {
                "ready": True,
                "pid": os.getpid(),
                "world": world.name,
                "context": f"lab-{world.name}",
                "server": server,
                "kubeconfig": str(kubeconfig),
                "env": {"KUBECONFIG": str(kubeconfig), **await network.start()},
            }
            line = json.dumps(ready) + "\n"
            if registration is not None:
                registration.publish(line)
            sys.stdout.write(line)
            sys.stdout.flush()
            await stop.wait()
        finally:
            await network.stop()


def _stop_requests(*, until_stdin_closes: bool) -> asyncio.Event:
    """An event that is set when the process is to end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def wait_for_the_end() -> None:
        with suppress(OSError):  # no standard input at all: it has ended
            while os.read(_STDIN, 4096):
                pass
        with suppress(RuntimeError):  # the loop has ended before
            loop.call_soon_threadsafe(stop.set)

    if until_stdin_closes:
        # A thread, because epoll takes neither a file nor /dev/null.
        threading.Thread(target=wait_for_the_end, daemon=True).start()
    return stop


@asynccontextmanager
async def _listening(
    app: web.Application, port: int, context: ssl.SSLContext
) -> AsyncIterator[int]:
    """Serve an application on loopback; yields the port.

    Raises:
        LabError: the port cannot be had.
    """
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_GRACE)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, _HOST, port, ssl_context=context).start()
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            why = "is taken" if error.errno == errno.EADDRINUSE else "is not open to this user"
            raise LabError(
                f"Port {port} on {_HOST} {why}: name another with --port, or leave it out for a "
                "free one."
            ) from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _write_kubeconfig(path: Path, context: str, server: str, authority: bytes, token: str) -> None:
    """A kubeconfig with one context and everything embedded, readable by its owner only."""
    path.touch(mode=0o600)
    path.write_text(
        f"""\
apiVersion: v1
kind: Config
current-context: {context}
clusters:
- name: {context}
  cluster:
    server: {server}
    certificate-authority-data: {base64.b64encode(authority).decode()}
users:
- name: {context}
  user:
    token: {token}
contexts:
- name: {context}
  context:
    cluster: {context}
    user: {context}
"""
    )
