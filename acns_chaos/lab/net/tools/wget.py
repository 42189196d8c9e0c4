"""Busybox `wget`: --spider, and -O - for pages."""

from urllib.parse import urljoin

from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.connections import Connections, Outcome
from acns_chaos.lab.net.names.dns import Resolver
from acns_chaos.lab.net.shop.pages import Page
from acns_chaos.lab.net.tools.commands import NotModelled, Options, parse_options, seconds
from acns_chaos.lab.net.tools.process import Process, within
from acns_chaos.lab.net.tools.web import Url, Web

# It sends this many requests before it calls that too many redirections.
_REQUESTS = 16
_LONG = {
    "spider": False,
    "quiet": False,
    "timeout": True,
    "tries": True,
    "output-document": True,
    "header": True,
    "user-agent": True,
    "no-check-certificate": False,
}
_STDOUT = "-"
_AGENT = "Wget"


class Wget:
    """Runs it.

    Args:
        resolver: for the host's name.
        connections: for TCP.
        web: for the answers.
        clock: for the time-out of an answer.
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
            argv: with "wget" first.

        Returns:
            0 when the page exists, else 1.

        Raises:
            NotModelled: an option or URL that the lab cannot act on.
        """
        options = parse_options(argv, plain="q", valued="TtOU", long=_LONG)
        if "spider" not in options and options.last("O", "output-document") != _STDOUT:
            raise NotModelled("`wget` that writes a file, other than with --spider or -O -")
        if len(options.operands) != 1:
            raise NotModelled("`wget` with anything but one URL")
        quiet = "q" in options or "quiet" in options
        timeout = seconds("wget", options.last("T", "timeout"))
        url = Url.parse("wget", options.operands[0])
        announce = not quiet
        for _ in range(_REQUESTS):
            page = await self._request(process, url, timeout, announce=announce)
            if page is None:
                return 1
            if page.location:
                # A location on the same server is asked for on the same address, unannounced.
                announce = not quiet and not page.location.startswith("/")
                url = Url.parse("wget", urljoin(url.text, page.location))
                continue
            return await _finish(process, options, page, quiet=quiet)
        await process.err("wget: too many redirections")
        return 1

    async def _request(
        self, process: Process, url: Url, timeout: float | None, *, announce: bool
    ) -> Page | None:
        """One answer, None when there is none; why is said then."""
        addresses = await self._resolver.lookup(process.pod, url.host, libc=process.libc)
        if not addresses:
            await process.err(f"wget: bad address '{url.authority}'")
            return None
        ip = addresses[0]
        if announce:
            await process.err(f"Connecting to {url.authority} ({ip}:{url.port})")
        source = process.pod.endpoint
        outcome = await self._connections.connect(source, ip, url.port, timeout=timeout)
        if outcome is not Outcome.OPEN:
            await process.err(_failure(outcome, ip, timed=timeout is not None))
            return None
        begun = self._clock.now()
        page = await within(self._clock, timeout, self._web.get(process.pod, url, ip, agent=_AGENT))
        if page is None:
            late = timeout is not None and self._clock.now() - begun >= timeout
            await process.err(
                "wget: download timed out" if late else "wget: error getting response"
            )
        return page


async def _finish(process: Process, options: Options, page: Page, *, quiet: bool) -> int:
    if page.status >= 400:
        await process.err(f"wget: server returned error: HTTP/1.1 {page.status} {page.reason}")
        return 1
    if "spider" in options:
        if not quiet:
            await process.err("remote file exists")
        return 0
    if not quiet:
        await process.err("writing to stdout")
    await process.out(page.body)
    if not quiet:
        size = len(page.body.encode())
        bar = "*" * 32
        await process.err(f"-                    100% |{bar}|{size:>6}  0:00:00 ETA")
        await process.err("written to stdout")
    return 0


def _failure(outcome: Outcome, ip: str, *, timed: bool) -> str:
    if outcome is Outcome.REFUSED:
        return f"wget: can't connect to remote host ({ip}): Connection refused"
    if timed:
        return "wget: download timed out"
    return f"wget: can't connect to remote host ({ip}): Operation timed out"
