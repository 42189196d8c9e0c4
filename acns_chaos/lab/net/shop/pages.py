"""What the servers answer over HTTP, apart from whether a request reaches them.

One page per workload of the shop and for hosts outside. Policy and time are not known here.
"""

import json
from dataclasses import dataclass
from http import HTTPStatus

from acns_chaos.lab.world import Outside

VERSION = "2.2.0"
PRODUCTS = [
    {"id": 1, "name": "Salty Sea Otter Squeaker", "price": 12.99},
    {"id": 2, "name": "Driftwood Cat Tower", "price": 89.5},
    {"id": 3, "name": "Harbour Rope Tug", "price": 8.25},
    {"id": 4, "name": "Lighthouse Night Lamp for Owls", "price": 24.0},
    {"id": 5, "name": "Tide Pool Bath Mat", "price": 17.75},
]
HTML = "text/html"
JSON = "application/json"
_FRONT = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Pet store (lab)</title></head>
<body><h1>Pet store</h1><p>Served by the acns-chaos lab.</p></body></html>
"""


@dataclass(frozen=True, slots=True)
class Page:
    """An HTTP answer.

    Attributes:
        status: code.
        body: text.
        content_type: without parameters.
        location: where a redirect leads, else "".
    """

    status: int
    body: str = ""
    content_type: str = JSON
    location: str = ""

    @property
    def reason(self) -> str:
        """The phrase of the status."""
        return HTTPStatus(self.status).phrase


def error_page(status: int) -> Page:
    """What nginx shows for an error of its own."""
    title = f"{status} {HTTPStatus(status).phrase}"
    return Page(status, f"<html><head><title>{title}</title></head></html>\n", HTML)


def front_page(path: str) -> Page:
    """What the storefront's nginx serves by itself, whatever its backends do."""
    if path in ("/", "/index.html"):
        return Page(200, _FRONT, HTML)
    if path == "/health":
        return Page(200, json.dumps({"status": "ok", "version": VERSION}))
    return error_page(404)


def orders_page(method: str, path: str, body: bytes = b"", content_type: str = "") -> Page:
    """What order-service answers; for an order: what it checks before it reaches for the queue.

    Args:
        method: "GET" or "POST".
        path: within the service.
        body: of the request.
        content_type: of the request, with or without parameters.
    """
    if method in ("GET", "HEAD") and path == "/health":
        return Page(200, json.dumps({"status": "ok", "version": VERSION}))
    if method != "POST" or path != "/":
        return _fastify(404, f"Route {method}:{path} not found")
    kind = content_type.partition(";")[0].strip().lower()
    if not kind and not body:
        return Page(201)
    if kind != JSON:
        return _fastify(415, f"Unsupported Media Type: {kind or 'undefined'}")
    try:
        json.loads(body)
    except ValueError:
        return _fastify(400, "Body is not valid JSON but content-type is set to 'application/json'")
    return Page(201)


def products_page(method: str, path: str) -> Page:
    """What product-service answers."""
    if method not in ("GET", "HEAD"):
        return Page(405)
    if path == "/":
        return Page(200, json.dumps(PRODUCTS))
    if path == "/health":
        return Page(200, json.dumps({"status": "ok", "version": VERSION}))
    wanted = path.strip("/")
    for product in PRODUCTS:
        if wanted == str(product["id"]):
            return Page(200, json.dumps(product))
    return Page(404)


def service_page(workload: str, port: int, method: str, path: str) -> Page | None:
    """What a pod answers on one of its ports, None when it speaks no HTTP there."""
    if (workload, port) == ("store-front", 8080):
        return front_page(path)
    if (workload, port) == ("order-service", 3000):
        return orders_page(method, path)
    if (workload, port) == ("product-service", 3002):
        return products_page(method, path)
    return None


def outside_page(host: Outside, path: str) -> Page:
    """What a host outside answers: a redirect where the world says so, else a page."""
    location = host.redirects.get(path)
    if location:
        return Page(302, "", HTML, location)
    return Page(200, f"<!DOCTYPE html><title>{host.name}</title>\n", HTML)


def _fastify(status: int, message: str) -> Page:
    reason = HTTPStatus(status).phrase
    return Page(status, json.dumps({"message": message, "error": reason, "statusCode": status}))
