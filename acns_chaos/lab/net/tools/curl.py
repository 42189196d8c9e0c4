"""`curl` as images on Debian carry it, linked with glibc: silent (-s), one URL, GET or HEAD.

Only what a probe uses: -s -S -f -L -I -k -m -o -w and --connect-timeout. Output and exit codes are
those of curl 7.88, partly as captured. Everything else is refused by name.
"""

from dataclasses import dataclass
from urllib.parse import urljoin

from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.connections import Connections, Outcome
from acns_chaos.lab.net.names.dns import Resolver
from acns_chaos.lab.net.shop.pages import Page
from acns_chaos.lab.net.tools.commands import NotModelled, Options, parse_options
from acns_chaos.lab.net.tools.process import Process, within
from acns_chaos.lab.net.tools.web import Url, Web

_LONG = {
    "silent": False, "show-error": False, "fail": False, "location": False, "head": False,
    "insecure": False, "max-time": True, "output": True, "write-out": True,
    "connect-timeout": True,
}  # fmt: skip
_RESOLVE, _CONNECT, _HTTP_ERROR, _TIMEOUT, _TLS, _REDIRECTS = 6, 7, 22, 28, 35, 47
_MAX_REDIRECTS = 50
_CODE = "%{http_code}"
_AGENT = "curl/7.88.1"


class _Failed(Exception):
    """It ends with a code and a sentence."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Limits:
    """When it began, and how long it may take.

    Attributes:
        begun: seconds since 1970.
        total, connect: seconds, None without a limit.
    """

    begun: float
    total: float | None
    connect: float | None

    def left(self, now: float) -> float | None:
        """Seconds until the whole has taken too long."""
        return None if self.total is None else max(0.0, self.begun + self.total - now)


class Curl:
    """Runs it.

    Args:
        resolver: for the host's name.
        connections: for TCP.
        web: for the answers.
        clock: for its time-outs.
    """

    def __init__(
        self, resolver: Resolver, connections: Connections, web: Web, clock: Clock
    ) -> None:
        self._resolver = resolver
        self._connections = connections
        self._web = web
        self._clock = clock

    async def run(self, process: Process, argv: list[str]) -> int:
        """Run a command line.

        Args:
            process: where it runs.
            argv: with "curl" first.

        Returns:
            0, or what curl exits with: 6, 7, 22, 28, 35, 47.

        Raises:
            NotModelled: an option or URL that the lab cannot act on.
        """
        options = parse_options(argv, plain="sSfLIk", valued="mow", long=_LONG)
        if not _has(options, "s", "silent"):
            raise NotModelled("`curl` without -s, which draws a progress meter")
        if options.last("o", "output") not in (None, "-", "/dev/null"):
            raise NotModelled("`curl` that writes a file other than /dev/null")
        if len(options.operands) != 1:
            raise NotModelled("`curl` with anything but one URL")
        form = options.last("w", "write-out") or ""
        if "%" in form.replace(_CODE, "") or "\\" in form.replace("\\n", ""):
            raise NotModelled(f"`curl -w` with more than {_CODE}")
        limits = _Limits(
            self._clock.now(),
            _seconds(options.last("m", "max-time")),
            _seconds(options.last("connect-timeout")),
        )
        code, status = 0, 0
        try:
            page = await self._follow(process, options, limits)
            status = page.status
            await _print(process, options, page)
        except _Failed as failed:
            code = failed.code
            if _has(options, "S", "show-error"):
                await process.err(f"curl: ({code}) {failed}")
        await process.out(form.replace(_CODE, f"{status:03}").replace("\\n", "\n"))
        return code

    async def _follow(self, process: Process, options: Options, limits: _Limits) -> Page:
        url = Url.parse("curl", options.operands[0])
        for _ in range(_MAX_REDIRECTS + 1):
            page = await self._request(process, url, limits)
            if not page.location or not _has(options, "L", "location"):
                return page
            url = Url.parse("curl", urljoin(url.text, page.location))
        raise _Failed(_REDIRECTS, f"Maximum ({_MAX_REDIRECTS}) redirects followed")

    async def _request(self, process: Process, url: Url, limits: _Limits) -> Page:
        clock = self._clock
        looked_up = self._resolver.lookup(process.pod, url.host, libc=process.libc)
        addresses = await within(clock, _least(limits.left(clock.now()), limits.connect), looked_up)
        if addresses is None:
            raise _Failed(_TIMEOUT, f"Resolving timed out after {self._spent(limits)} milliseconds")
        if not addresses:
            raise _Failed(_RESOLVE, f"Could not resolve host: {url.host}")
        await self._connect(process, url, addresses[0], limits)
        left = limits.left(clock.now())
        answer = self._web.get(process.pod, url, addresses[0], agent=_AGENT)
        page = await within(clock, left, answer)
        if page is not None:
            return page
        if left is not None and limits.left(clock.now()) == 0:
            spent = self._spent(limits)
            raise _Failed(
                _TIMEOUT, f"Operation timed out after {spent} milliseconds with 0 bytes received"
            )
        if url.scheme == "https":
            raise _Failed(_TLS, "error:0A00010B:SSL routines::wrong version number")
        raise NotModelled("`curl` of a server that does not speak HTTP")

    async def _connect(self, process: Process, url: Url, ip: str, limits: _Limits) -> None:
        begun, left = self._clock.now(), limits.left(self._clock.now())
        outcome = await self._connections.connect(
            process.pod.endpoint, ip, url.port, timeout=_least(left, limits.connect)
        )
        if outcome is Outcome.OPEN:
            return
        spent = round((self._clock.now() - begun) * 1000)
        where = f"Failed to connect to {url.host} port {url.port} after {spent} ms"
        if outcome is Outcome.REFUSED:
            raise _Failed(_CONNECT, f"{where}: Couldn't connect to server")
        if left is not None and (limits.connect is None or left < limits.connect):
            whole = self._spent(limits)
            raise _Failed(_TIMEOUT, f"Connection timed out after {whole} milliseconds")
        raise _Failed(_TIMEOUT, f"{where}: Timeout was reached")

    def _spent(self, limits: _Limits) -> int:
        return round((self._clock.now() - limits.begun) * 1000)


async def _print(process: Process, options: Options, page: Page) -> None:
    if page.status >= 400 and _has(options, "f", "fail"):
        raise _Failed(_HTTP_ERROR, f"The requested URL returned error: {page.status}")
    if options.last("o", "output") == "/dev/null":
        return
    if _has(options, "I", "head"):
        lines = [f"HTTP/1.1 {page.status} {page.reason}", f"Content-Type: {page.content_type}"]
        if page.location:
            lines.append(f"Location: {page.location}")
        lines.append(f"Content-Length: {len(page.body.encode())}")
        await process.out("".join(f"{line}\r\n" for line in [*lines, ""]))
    else:
        await process.out(page.body)


def _has(options: Options, letter: str, name: str) -> bool:
    return letter in options or name in options


def _least(*limits: float | None) -> float | None:
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def _seconds(text: str | None) -> float | None:
    """A time-out option; curl takes fractions, and 0 for none."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise NotModelled(f"`curl` with a time-out of {text!r}")
    return value or None
