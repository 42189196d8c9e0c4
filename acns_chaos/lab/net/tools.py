"""What `kubectl exec` finds inside a container: sh, wget, nc, nslookup and a few more.

Output, stream and exit code are busybox's (1.35 to 1.37 on musl) as captured; every packet they
send is judged. A tool that the image lacks is "not found"; one that the lab does not model says so
on standard error and exits 2: nothing succeeds that was not really done.
"""

import posixpath

from acns_chaos.lab.api.exec import ExecRequest, Write
from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.commands import NotModelled, parse_options, parse_shell, seconds
from acns_chaos.lab.net.connections import Connections, Outcome
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.dns import NDOTS, NO_SUCH_NAME, REFUSED, Resolver
from acns_chaos.lab.net.objects import Pod
from acns_chaos.lab.net.wget import wget

NOT_MODELLED = 2
NOT_FOUND = 127
_SHELL_ONLY = ("sh", "cat", "env", "true", "false", "echo", "sleep")
_BUSYBOX = (*_SHELL_ONLY, "wget", "nc", "nslookup")
# Base image to the programs that the lab runs in it.
PROGRAMS = {"alpine": _BUSYBOX, "debian-slim": _SHELL_ONLY, "scratch": ()}
# Programs that these images are known not to hold; of the others the lab cannot tell.
_ABSENT = {
    "alpine": ("curl", "bash", "dig", "host", "tcpdump", "kubectl", "nmap", "python", "python3"),
    "debian-slim": ("curl", "wget", "nc", "nslookup", "dig", "host", "ping", "kubectl", "tcpdump"),
}
_DIRECTORIES = ("", "/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin")


class Process:
    """One command that runs in a container.

    Args:
        pod: where.
        base: the container's base image.
        stdout, stderr: where its output goes.
    """

    def __init__(self, pod: Pod, base: str, stdout: Write, stderr: Write) -> None:
        self.pod = pod
        self.base = base
        self._stdout = stdout
        self._stderr = stderr

    async def out(self, text: str) -> None:
        """Write to standard output."""
        await self._stdout(text.encode())

    async def err(self, text: str) -> None:
        """Write one line to standard error."""
        await self._stderr(f"{text}\n".encode())


class Tools:
    """Runs commands in pods.

    Args:
        directory: pods and their images.
        resolver: for names.
        connections: for TCP.
        clock: for `sleep`.
    """

    def __init__(
        self,
        directory: Directory,
        resolver: Resolver,
        connections: Connections,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._resolver = resolver
        self._connections = connections
        self._clock = clock

    async def run(self, request: ExecRequest) -> int:
        """Run a command in a container.

        Args:
            request: where, what, and where its output goes.

        Returns:
            The exit code.
        """
        pod = self._directory.pod(request.namespace, request.pod)
        base = self._directory.base_of(pod, request.container) if pod else None
        if pod is None or base is None:
            where = f"{request.namespace}/{request.pod}"
            text = f"container {request.container!r} of {where} is not running in the lab\n"
            await request.stderr(text.encode())
            return 1
        process = Process(pod, base, request.stdout, request.stderr)
        argv = list(request.argv)
        try:
            program = _program(argv[0] if argv else "", base)
        except LookupError:
            await process.err(
                "OCI runtime exec failed: exec failed: unable to start container process: "
                f'exec: "{argv[0] if argv else ""}": executable file not found in $PATH: unknown'
            )
            return NOT_FOUND
        except NotModelled as problem:
            return await _refuse(process, str(problem))
        return await self._start(process, [program, *argv[1:]])

    async def _start(self, process: Process, argv: list[str]) -> int:
        commands = {
            "sh": self._sh,
            "wget": self._wget,
            "nc": self._nc,
            "nslookup": self._nslookup,
            "cat": self._cat,
            "env": self._env,
            "echo": _echo,
            "sleep": self._sleep,
            "true": _true,
            "false": _false,
        }
        try:
            return await commands[argv[0]](process, argv)
        except NotModelled as problem:
            return await _refuse(process, str(problem))

    async def _sh(self, process: Process, argv: list[str]) -> int:
        if len(argv) != 3 or argv[1] != "-c":
            raise NotModelled("`sh` other than as `sh -c COMMAND`")
        code = 0
        for step in parse_shell(argv[2]):
            if (step.after == "&&" and code != 0) or (step.after == "||" and code == 0):
                continue
            try:
                program = _program(step.argv[0], process.base)
            except LookupError:
                await process.err(f"sh: {step.argv[0]}: not found")
                code = NOT_FOUND
                continue
            code = await self._start(process, [program, *step.argv[1:]])
        return code

    async def _wget(self, process: Process, argv: list[str]) -> int:
        return await wget(process, argv, self._directory, self._resolver, self._connections)

    async def _nc(self, process: Process, argv: list[str]) -> int:
        options = parse_options(argv, plain="zvn", valued="w")
        if "z" not in options:
            raise NotModelled("`nc` without -z")
        if len(options.operands) != 2 or not options.operands[1].isdigit():
            raise NotModelled("`nc` without one host and one port number")
        host, port = options.operands[0], int(options.operands[1])
        timeout = seconds("nc", options.last("w"))
        addresses = await self._resolver.lookup(process.pod, host)
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

    async def _nslookup(self, process: Process, argv: list[str]) -> int:
        options = parse_options(argv, plain="", valued="")
        if len(options.operands) != 1:
            raise NotModelled("`nslookup` with anything but one name")
        name = options.operands[0]
        # Busybox walks the search list itself, and only for names without a dot.
        candidates = [name.rstrip(".")]
        if "." not in name:
            domains = self._directory.search_list(process.pod.namespace)
            candidates = [f"{name}.{domain}" for domain in domains]
        server = self._directory.nameserver()
        header = f"Server:\t\t{server}\nAddress:\t{server}:53\n\n"
        failures: list[str] = []
        for candidate in candidates:
            answer = await self._resolver.ask(process.pod, candidate, retry_refused=False)
            if answer.rcode is None:
                await process.out(";; connection timed out; no servers could be reached\n\n")
                return 1
            if answer.addresses:
                lines = [f"Name:\t{candidate}\nAddress: {ip}\n" for ip in answer.addresses]
                # The answer to AAAA is empty and comes first.
                await process.out(f"{header}\n{''.join(lines)}")
                return 0
            reason = {NO_SUCH_NAME: "NXDOMAIN", REFUSED: "REFUSED"}.get(answer.rcode, "No answer")
            failures.append(f"** server can't find {candidate}: {reason}\n\n")
        # One line for the A and one for the AAAA question.
        await process.out(header + "".join(line * 2 for line in failures))
        return 1

    async def _cat(self, process: Process, argv: list[str]) -> int:
        if argv[1:] != ["/etc/resolv.conf"]:
            raise NotModelled("`cat` of anything but /etc/resolv.conf")
        search = " ".join(self._directory.search_list(process.pod.namespace))
        text = f"search {search}\nnameserver {self._directory.nameserver()}\n"
        await process.out(f"{text}options ndots:{NDOTS}\n")
        return 0

    async def _env(self, process: Process, argv: list[str]) -> int:
        if len(argv) > 1:
            raise NotModelled("`env` with arguments")
        variables = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOSTNAME": process.pod.name,
        }
        for container in process.pod.raw["spec"]["containers"]:
            variables |= {e["name"]: e["value"] for e in container.get("env", ()) if "value" in e}
        api = self._directory.service("default", "kubernetes")
        if api is not None:
            variables["KUBERNETES_SERVICE_HOST"] = api["spec"]["clusterIP"]
            variables["KUBERNETES_SERVICE_PORT"] = str(api["spec"]["ports"][0]["port"])
        variables["HOME"] = "/root"
        await process.out("".join(f"{key}={value}\n" for key, value in variables.items()))
        return 0

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


async def _refuse(process: Process, what: str) -> int:
    await process.err(f"The lab does not model {what}: use a simple command of {_list(process)}.")
    return NOT_MODELLED


def _list(process: Process) -> str:
    return ", ".join(PROGRAMS[process.base]) or "another container"


def _program(word: str, base: str) -> str:
    """The modelled program that a word names.

    Raises:
        LookupError: the image has no such program.
        NotModelled: it may have it, but the lab does not run it.
    """
    directory, name = posixpath.split(word)
    known = PROGRAMS[base]
    if name in known and directory in _DIRECTORIES:
        return name
    if not known or not name or name in _ABSENT[base]:
        raise LookupError(word)
    raise NotModelled(f"`{word}`")
