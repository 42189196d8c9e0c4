"""Busybox `wget` as a probe: --spider, and -q -O - for small pages. Other tools are in `tools`."""

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urljoin, urlsplit

from acns_chaos.lab.net.commands import NotModelled, parse_options, seconds
from acns_chaos.lab.net.connections import Connections, Outcome
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.dns import Resolver
from acns_chaos.lab.net.objects import Pod
from acns_chaos.lab.net.pages import Page, outside_page, service_page

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = 5
_LONG = {
    "spider": False,
    "quiet": False,
    "timeout": True,
    "tries": True,
    "output-document": True,
    "no-check-certificate": False,
}


class Process(Protocol):
    """Where it runs and writes."""

    pod: Pod

    async def out(self, text: str) -> None:
        """Write to standard output."""

    async def err(self, text: str) -> None:
        """Write one line to standard error."""


@dataclass(frozen=True, slots=True)
class _Url:
    scheme: str
    authority: str
    host: str
    port: int
    path: str

    @property
    def text(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


async def wget(
    process: Process,
    argv: list[str],
    directory: Directory,
    resolver: Resolver,
    connections: Connections,
) -> int:
    """Run it.

    Args:
        process: the pod it runs in.
        argv: with "wget" first.
        directory: who serves at an address.
        resolver: for the host's name.
        connections: for TCP.

    Returns:
        0 when the page exists, else 1.

    Raises:
        NotModelled: an option or URL that the lab cannot act on.
    """
    options = parse_options(argv, plain="q", valued="TtO", long=_LONG)
    quiet = "q" in options or "quiet" in options
    spider = "spider" in options
    if not spider and not (quiet and options.last("O", "output-document") == "-"):
        raise NotModelled("`wget` other than with --spider or with -q -O -")
    if len(options.operands) != 1:
        raise NotModelled("`wget` with anything but one URL")
    timeout = seconds("wget", options.last("T", "timeout"))
    url = _parse(options.operands[0])
    for _ in range(_REDIRECTS + 1):
        addresses = await resolver.lookup(process.pod, url.host)
        if not addresses:
            await process.err(f"wget: bad address '{url.authority}'")
            return 1
        ip = addresses[0]
        if not quiet:
            await process.err(f"Connecting to {url.authority} ({ip}:{url.port})")
        outcome = await connections.connect(process.pod.endpoint, ip, url.port, timeout=timeout)
        if outcome is not Outcome.OPEN:
            await process.err(_failure(outcome, ip, timed=timeout is not None))
            return 1
        page = _page(directory, url, ip)
        if page is None:
            await process.err("wget: error getting response")
            return 1
        if page.location:
            url = _parse(urljoin(url.text, page.location))
            continue
        if page.status >= 400:
            await process.err(f"wget: server returned error: HTTP/1.1 {page.status} {page.reason}")
            return 1
        if not spider:
            await process.out(page.body)
        elif not quiet:
            await process.err("remote file exists")
        return 0
    await process.err("wget: too many redirections")
    return 1


def _parse(text: str) -> _Url:
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme not in _PORTS:
        raise NotModelled(f"`wget` of a {parts.scheme} URL")
    try:
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        port = 0
    host = parts.hostname or ""
    if not host or not port or "@" in parts.netloc or "[" in parts.netloc:
        raise NotModelled(f"`wget` of {text!r}")
    path = parts.path or "/"
    return _Url(parts.scheme, parts.netloc, host, port, path)


def _failure(outcome: Outcome, ip: str, *, timed: bool) -> str:
    if outcome is Outcome.REFUSED:
        return f"wget: can't connect to remote host ({ip}): Connection refused"
    if timed:
        return "wget: download timed out"
    return f"wget: can't connect to remote host ({ip}): Operation timed out"


def _page(directory: Directory, url: _Url, ip: str) -> Page | None:
    target = directory.target(ip, url.port)
    if target.endpoint.kind == "pod":
        if url.scheme == "https":
            # A plain server does not answer a TLS greeting with anything that wget understands.
            return None
        pod = next(p for p in directory.pods() if p.endpoint == target.endpoint)
        labels = pod.raw["metadata"].get("labels") or {}
        return service_page(labels.get("app", ""), target.port, "GET", url.path)
    host = directory.outside_host(ip)
    return outside_page(host, url.path) if host else None
