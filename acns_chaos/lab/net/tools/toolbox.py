"""What `kubectl exec` finds inside a container: sh, wget, nc, nslookup, curl and a few more.

Output, stream and exit code are busybox's (1.35 to 1.37 on musl) as captured; every packet they
send is judged. A tool that the image lacks is "not found"; one that the lab does not model says so
on standard error and exits 2: nothing succeeds that was not really done.
"""

import posixpath
from collections.abc import Awaitable, Callable

from acns_chaos.lab.api.pods.exec import ExecRequest
from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.connections import Connections, Outcome
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.names.dns import Resolver
from acns_chaos.lab.net.names.zone import Zone
from acns_chaos.lab.net.shop.storefront import Shop
from acns_chaos.lab.net.tools.commands import NotModelled, parse_options, seconds
from acns_chaos.lab.net.tools.curl import Curl
from acns_chaos.lab.net.tools.files import Files
from acns_chaos.lab.net.tools.images import LIBRARIES, Images
from acns_chaos.lab.net.tools.nslookup import Nslookup
from acns_chaos.lab.net.tools.process import Process
from acns_chaos.lab.net.tools.shell import NOT_FOUND, Shell
from acns_chaos.lab.net.tools.web import Web
from acns_chaos.lab.net.tools.wget import Wget

NOT_MODELLED = 2
_PLAIN = (
    "sh", "cat", "env", "printenv", "hostname", "id", "true", "false", "echo", "sleep",
)  # fmt: skip
# Base image to the programs that the lab runs in it.
PROGRAMS = {
    "alpine": (*_PLAIN, "wget", "nc", "nslookup"),
    "debian-slim": _PLAIN,
    "debian-curl": (*_PLAIN, "curl"),
    "scratch": (),
}
_DEBIAN_LACKS = ("wget", "nc", "nslookup", "dig", "host", "ping", "kubectl", "tcpdump")
# Programs that these images are known not to hold; of the others the lab cannot tell.
_ABSENT = {
    "alpine": ("curl", "bash", "dig", "host", "tcpdump", "kubectl", "nmap", "python", "python3"),
    "debian-slim": ("curl", *_DEBIAN_LACKS),
    "debian-curl": _DEBIAN_LACKS,
}
_DIRECTORIES = ("", "/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin")
_Run = Callable[[Process, list[str]], Awaitable[int]]


class Tools:
    """Runs commands in pods.

    Args:
        directory: pods.
        zone: names.
        images: what containers hold.
        resolver: for names.
        connections: for TCP.
        shop: that answers over HTTP, None in a world without one.
        clock: for `sleep`.
    """

    def __init__(
        self,
        directory: Directory,
        zone: Zone,
        images: Images,
        resolver: Resolver,
        connections: Connections,
        shop: Shop | None,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._images = images
        self._resolver = resolver
        self._connections = connections
        self._clock = clock
        web, files = Web(directory, shop), Files(directory, zone)
        self._commands: dict[str, _Run] = {
            "sh": Shell(self._find_and_start).run,
            "wget": Wget(resolver, connections, web, clock).run,
            "curl": Curl(resolver, connections, web, clock).run,
            "nc": self._nc,
            "nslookup": Nslookup(zone, resolver).run,
            "cat": files.cat,
            "env": files.env,
            "printenv": files.printenv,
            "hostname": files.hostname,
            "id": files.id,
            "echo": _echo,
            "sleep": self._sleep,
            "true": _true,
            "false": _false,
        }

    async def run(self, request: ExecRequest) -> int:
        """Run a command in a container.

        Args:
            request: where, what, and where its output goes.

        Returns:
            The exit code.
        """
        pod = self._directory.pod(request.namespace, request.pod)
        base = self._images.base_of(pod, request.container) if pod else None
        if pod is None or base is None:
            where = f"{request.namespace}/{request.pod}"
            text = f"container {request.container!r} of {where} is not running in the lab\n"
            await request.stderr(text.encode())
            return 1
        container = request.container or pod.raw["spec"]["containers"][0]["name"]
        process = Process(
            pod,
            container,
            base,
            LIBRARIES.get(base, "musl"),
            request.stdout,
            request.stderr,
            getattr(request, "stdin", None),
        )
        argv = list(request.argv) or [""]
        try:
            return await self._find_and_start(process, argv)
        except LookupError:
            await process.err(
                "OCI runtime exec failed: exec failed: unable to start container process: "
                f'exec: "{argv[0]}": executable file not found in $PATH: unknown'
            )
            return NOT_FOUND
        except NotModelled as problem:
            # A shell ends with it too: what comes after would not know that it failed.
            tools = ", ".join(PROGRAMS[base]) or "another container"
            await process.err(f"The lab does not model {problem}: use a simple command of {tools}.")
            return NOT_MODELLED

    async def _find_and_start(self, process: Process, argv: list[str]) -> int:
        """Run one program of the container.

        Raises:
            LookupError: the image has no such program.
            NotModelled: the lab does not run it, or not so.
        """
        program = _program(argv[0], process.base)
        return await self._commands[program](process, [program, *argv[1:]])

    async def _nc(self, process: Process, argv: list[str]) -> int:
        options = parse_options(argv, plain="zvn", valued="w")
        if "z" not in options:
            raise NotModelled("`nc` without -z")
        if len(options.operands) != 2:
            raise NotModelled("`nc` without one host and one port number")
        host, number = options.operands
        if not number.isdigit() or not 0 < int(number) < 65536:
            what = "a range of ports" if "-" in number else f"the port {number!r}"
            raise NotModelled(f"`nc` with {what}")
        port, timeout = int(number), seconds("nc", options.last("w"))
        addresses = await self._resolver.lookup(process.pod, host, libc=process.libc)
        if not addresses:
            await process.err(f"nc: bad address '{host}'")
            return 1
        where = f"{host} ({addresses[0]}:{port})"
        outcome = await self._connections.connect(
            process.pod.endpoint, addresses[0], port, timeout=timeout
        )
        if outcome is Outcome.OPEN:
            if "v" in options:
                await process.err(f"{where} open")
            return 0
        why = "Connection refused" if outcome is Outcome.REFUSED else "Operation timed out"
        await process.err(f"nc: {where}: {why}")
        return 1

    async def _sleep(self, _process: Process, argv: list[str]) -> int:
        try:
            duration = float(argv[1]) if len(argv) == 2 else -1.0
        except ValueError:
            duration = -1.0
        if not 0 <= duration < float("inf"):
            raise NotModelled("`sleep` with anything but one number of seconds")
        await self._clock.sleep(duration)
        return 0


async def _echo(process: Process, argv: list[str]) -> int:
    words = argv[1:]
    newline = "\n"
    if words[:1] == ["-n"]:
        words, newline = words[1:], ""
    elif words and words[0].startswith("-") and words[0].strip("-eE") == "":
        raise NotModelled(f"`echo {words[0]}`")
    await process.out(" ".join(words) + newline)
    return 0


async def _true(_process: Process, _argv: list[str]) -> int:
    return 0


async def _false(_process: Process, _argv: list[str]) -> int:
    return 1


def _program(word: str, base: str) -> str:
    """The modelled program that a word names.

    Raises:
        LookupError: the image has no such program.
        NotModelled: it may have it, but the lab does not run it.
    """
    directory, name = posixpath.split(word)
    known = PROGRAMS.get(base, ())
    if name in known and directory in _DIRECTORIES:
        return name
    if not known or not name or name in _ABSENT[base]:
        raise LookupError(word)
    raise NotModelled(f"`{word}`")
