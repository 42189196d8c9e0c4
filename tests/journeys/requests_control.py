"""A control for tests: writes into the journal what the run asked the API server for.

Each request is told as RBAC sees it: group, resource (with subresource) and verb.
"""

import re
from typing import Any

import urllib3.connectionpool

SEEN: set[tuple[str, str, str]] = set()
PATH = re.compile(
    r"^/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)/(?:namespaces/[^/]+/)?(?P<resource>[a-z]+)"
    r"(?:/(?P<name>[^/?]+))?(?:/(?P<sub>[a-z]+))?"
)
VERBS = {"PUT": "update", "POST": "create", "DELETE": "delete", "PATCH": "patch"}


def note(method: str, path: str) -> None:
    """Remember one request, unless it is for no resource (/version)."""
    path = path.split("?", maxsplit=1)[0]
    if re.fullmatch(r"/api/v1/namespaces/[^/]+", path):
        SEEN.add(("", "namespaces", "get"))
        return
    found = PATH.match(path)
    if found:
        resource = found["resource"] + (f"/{found['sub']}" if found["sub"] else "")
        verb = VERBS.get(method) or ("get" if found["name"] else "list")
        SEEN.add((found["group"] or "", resource, verb))


def configure_control(experiment: Any) -> None:
    """Watch every request of the pool and every WebSocket."""
    from kubernetes.stream import ws_client

    original = urllib3.connectionpool.HTTPConnectionPool.urlopen
    connect = ws_client.create_websocket

    def urlopen(self: Any, method: str, url: str, *rest: Any, **more: Any) -> Any:
        # The shop and Prometheus speak plain HTTP in the lab.
        if self.scheme == "https":
            note(method, re.sub(r"^https?://[^/]+", "", url))
        return original(self, method, url, *rest, **more)

    def create_websocket(configuration: Any, url: str, headers: Any = None) -> Any:
        note("GET", re.sub(r"^wss?://[^/]+", "", url))
        return connect(configuration, url, headers)

    urllib3.connectionpool.HTTPConnectionPool.urlopen = urlopen  # type: ignore[method-assign]
    ws_client.create_websocket = create_websocket


def after_experiment_control(context: Any, state: Any = None) -> None:
    """Write what was asked."""
    state["requests"] = sorted(SEEN)
