"""One lab process from start to stop: world, store, network, API server, ready line, clean exit.

Only the order of things is here. The parts come from ``api``, ``net`` and ``world``.
"""

import asyncio
import base64
import errno
import ipaddress
import json
import logging
import os
import secrets
import signal
import ssl
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from acns_chaos.lab.api.app import Api
from acns_chaos.lab.api.controllers.addresses import Addresses
from acns_chaos.lab.api.controllers.bare_pods import BarePods
from acns_chaos.lab.api.controllers.derived import Derived
from acns_chaos.lab.api.controllers.kubelet import Kubelet
from acns_chaos.lab.api.controllers.operator import Operator
from acns_chaos.lab.api.controllers.replicas import Replicas
from acns_chaos.lab.api.failures import Failure
from acns_chaos.lab.api.kinds.objects import now
from acns_chaos.lab.api.store import Store
from acns_chaos.lab.api.streams.ports import Ports
from acns_chaos.lab.api.writing.admission import load, load_definitions
from acns_chaos.lab.detached import let_go
from acns_chaos.lab.leftovers import private_directory
from acns_chaos.lab.misbehave.control import BASE, Misbehaviour
from acns_chaos.lab.net.network import Network
from acns_chaos.lab.net.prometheus.rules.evaluator import FILE
from acns_chaos.lab.net.prometheus.rules.reading import MOST_BYTES, BadRules
from acns_chaos.lab.registration import LabError, Registration, lab_home, registered
from acns_chaos.lab.tls import make_certificates
from acns_chaos.lab.world import World, load_world

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
        bind: address that the Kubernetes API listens on, of loopback.
        rules: path of a file of rules for the lab's Prometheus, "" for none.
        log: file for what goes wrong, which also means to leave the terminal when ready; "" stays.
    """

    world: str
    port: int
    register: bool
    until_stdin_closes: bool
    git_version: str
    log: str = ""
    bind: str = _HOST
    rules: str = ""


def serve(settings: Settings) -> None:
    """Run the lab until SIGTERM, SIGINT, or the end of standard input if that is asked for.

    Raises:
        AcnsChaosError: the lab cannot start: unknown world, port taken, already registered, an
            address that is not of loopback.
    """
    _loopback(settings.bind)
    with ExitStack() as stack:
        registration = None
        if settings.register:
            registration = stack.enter_context(registered(lab_home(os.environ)))
        directory = stack.enter_context(private_directory())
        asyncio.run(_run(settings, directory, registration))


async def _run(settings: Settings, directory: Path, registration: Registration | None) -> None:
    stop = _stop_requests(until_stdin_closes=settings.until_stdin_closes)
    world = load_world(settings.world)
    rules = _read_rules(settings.rules)
    store = _filled_store(world)
    address = _loopback(settings.bind)
    certificates = make_certificates(address)
    token = secrets.token_urlsafe(32)
    network = Network(store, world)
    _put_rules(network, rules, settings.rules)
    addresses = Addresses(store)
    BarePods(store, addresses)
    start = network.waiting
    kubelet = Kubelet(store, addresses, start.initialise, start.begin, start.started)
    for secret in network.relay.secrets():
        load(store, secret)
    api = Api(
        store,
        token,
        network.exec,
        settings.git_version,
        certificates.authority,
        ports=Ports(network.ports),
        logs=network.logs,
    )
    control_token = secrets.token_urlsafe(32)
    misbehaviour = Misbehaviour(store, network, control_token)
    network.prometheus.middlewares += misbehaviour.middlewares("prometheus")
    if network.shop is not None:
        network.shop.middlewares += misbehaviour.middlewares("shop")
    context = certificates.server_context(directory)
    app = api.application(misbehaviour.middlewares("kubernetes"))
    async with _listening(app, settings.port, context, address) as port:
        try:
            server = f"https://{f'[{address}]' if ':' in address else address}:{port}"
            kubeconfig = directory / "kubeconfig"
            _write_kubeconfig(
                kubeconfig, f"lab-{world.name}", server, certificates.authority, token
            )
            ready = {
                "ready": True,
                "pid": os.getpid(),
                "since": now(),
                "world": world.name,
                "asked_world": settings.world,
                "context": f"lab-{world.name}",
                "server": server,
                "kubeconfig": str(kubeconfig),
                "env": {"KUBECONFIG": str(kubeconfig), **await network.start(directory)},
                "scrape": network.scrape_targets(),
            }
            control = {
                "url": server + BASE,
                "token": control_token,
                "authority": certificates.authority.decode(),
            }
            line = json.dumps({**ready, "control": control}) + "\n"
            if registration is not None:
                registration.publish(line)
            # Who holds its stdin started it and reads its stdout; a terminal is shown no token.
            sys.stdout.write(line if settings.until_stdin_closes else json.dumps(ready) + "\n")
            sys.stdout.flush()
            if settings.log:
                let_go()
            await stop.wait()
        finally:
            misbehaviour.close()
            kubelet.close()
            await network.stop()


def _read_rules(path: str) -> str:
    """The text of a rule file, "" without one.

    Raises:
        LabError: it cannot be read.
    """
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise LabError(f"The alert rules {path} are larger than {MOST_BYTES:,} bytes.")
        return raw.decode("utf-8")
    except (OSError, ValueError) as problem:
        why = " ".join(str(getattr(problem, "strerror", None) or "it is not UTF-8").split())
        raise LabError(f"The alert rules {path} cannot be read: {why}.") from None


def _put_rules(network: Network, text: str, path: str) -> None:
    """Give the lab's Prometheus its rules; raises LabError when they cannot be used."""
    try:
        network.prometheus.rules.replace(text, Path(path).name if path else FILE)
    except BadRules as problem:
        raise LabError(f"The alert rules {path} cannot be used: {problem}") from None


def _filled_store(world: World) -> Store:
    """A store that holds a world and what controllers make of it.

    Raises:
        LabError: the API refuses an object of the world.
    """
    store = Store()
    load_definitions(store)
    # The operator comes before the world: it judges the world's policies too.
    Operator(store)
    for obj in world.objects:
        try:
            load(store, obj)
        except Failure as failure:
            which = f"{obj['kind']} {obj['metadata']['name']}"
            raise LabError(f"{which} of the world {world.name} is refused: {failure}.") from None
    Derived(store)
    Replicas(store)
    return store


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


def _loopback(text: str) -> str:
    """The address that is meant.

    Raises:
        LabError: others could reach it, or it is none.
    """
    if text == "localhost":
        return _HOST
    with suppress(ValueError):
        address = ipaddress.ip_address(text)
        if address.is_loopback:
            return str(address)
    raise LabError(
        f"The lab listens on loopback only: bind it to {_HOST}, ::1 or localhost instead of "
        f"{text!r}."
    )


def _is_our_fault(record: logging.LogRecord) -> bool:
    """Whether a line of aiohttp or asyncio is worth saying.

    A client that speaks no HTTP was told already, and one that is gone wants no more to be sent.
    """
    error = record.exc_info[1] if record.exc_info else None
    gone = str(record.msg).startswith("socket.send()")
    return not gone and not isinstance(error, HttpProcessingError)


@asynccontextmanager
async def _listening(
    app: web.Application, port: int, context: ssl.SSLContext, address: str
) -> AsyncIterator[int]:
    """Serve an application on loopback; yields the port.

    Raises:
        LabError: the port cannot be had.
    """
    for name in ("aiohttp.server", "asyncio"):
        logging.getLogger(name).addFilter(_is_our_fault)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_GRACE)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, address, port, ssl_context=context).start()
        except OSError as error:
            if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                raise LabError(f"{address} is not an address of this machine.") from None
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            why = "is taken" if error.errno == errno.EADDRINUSE else "is not open to this user"
            raise LabError(
                f"Port {port} on {address} {why}: name another with --port, or leave it out for a "
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
