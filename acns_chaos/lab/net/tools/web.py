"""What a client in a pod gets over HTTP once it is connected: the shop's pages, hosts outside.

Only GET. How `wget` and `curl` ask and what they print is theirs.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.objects import Pod
from acns_chaos.lab.net.shop.backends import ORDERS_PORT, PRODUCTS_PORT
from acns_chaos.lab.net.shop.pages import Page, outside_page, service_page
from acns_chaos.lab.net.shop.storefront import Shop
from acns_chaos.lab.net.tools.commands import NotModelled

_PORTS = {"http": 80, "https": 443}
_LOOPBACK = "127."


@dataclass(frozen=True, slots=True)
class Url:
    """A URL of a command line.

    Attributes:
        scheme: "http" or "https".
        authority: host and port as they were written.
        host, port: the same apart.
        path: without the query.
    """

    scheme: str
    authority: str
    host: str
    port: int
    path: str

    @property
    def text(self) -> str:
        """As a whole, without the query."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @classmethod
    def parse(cls, command: str, text: str) -> "Url":
        """Read what was given to a command, http without a scheme.

        Raises:
            NotModelled: another scheme, or no URL.
        """
        parts = urlsplit(text if "://" in text else f"http://{text}")
        if parts.scheme not in _PORTS:
            raise NotModelled(f"`{command}` of a {parts.scheme} URL")
        try:
            port = parts.port or _PORTS[parts.scheme]
        except ValueError:
            port = 0
        host = parts.hostname or ""
        if not host or not port or "@" in parts.netloc or "[" in parts.netloc:
            raise NotModelled(f"`{command}` of {text!r}")
        return cls(parts.scheme, parts.netloc, host, port, parts.path or "/")


class Web:
    """The servers that pods can reach.

    Args:
        directory: who serves at an address.
        shop: whose storefront reaches further, None in a world without one.
    """

    def __init__(self, directory: Directory, shop: Shop | None) -> None:
        self._directory = directory
        self._shop = shop

    async def get(self, client: Pod, url: Url, ip: str, *, agent: str) -> Page | None:
        """The answer to a request that reached its server, None when it is no HTTP.

        Args:
            client: the pod that asks.
            url: that it asks for.
            ip: the address that it connected to.
            agent: what the client calls itself, for the server's log.
        """
        if ip.startswith(_LOOPBACK):
            ip = client.ip
        target = self._directory.target(ip, url.port, viewpoint=client.node)
        if target.endpoint.kind == "pod":
            if url.scheme == "https":
                # A plain server does not answer a TLS greeting with anything a client understands.
                return None
            namespace, _, name = target.endpoint.name.partition("/")
            pod = self._directory.pod(namespace, name)
            if pod is None:
                return None
            return await self._from(pod, target.port, url.path, client.ip, agent)
        host = self._directory.outside_host(ip)
        return outside_page(host, url.path) if host else None

    async def _from(self, pod: Pod, port: int, path: str, client: str, agent: str) -> Page | None:
        shop = self._shop
        app = (pod.raw["metadata"].get("labels") or {}).get("app", "")
        if shop is not None and shop.is_front(pod, port):
            return await shop.serve(pod, "GET", path, client=client, agent=agent)
        if shop is not None and (app, port) == ("product-service", PRODUCTS_PORT):
            return shop.backends.products("GET", path, client=client)
        if shop is not None and (app, port) == ("order-service", ORDERS_PORT):
            # It has nothing to wait for: only a POST reaches for the queue.
            return await shop.backends.orders("GET", path, b"", "", client=client, until=0.0)
        return service_page(app, port, "GET", path)
