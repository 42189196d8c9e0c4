"""What a connection asked the API server for, as RBAC reads a request.

Verbs, resources and namespaces, never names of objects: enough to see which permissions a run made
use of. What a run needs, and which file grants it, is in `permissions`.
"""

import re
import threading
from collections.abc import Mapping

__all__ = ["Asked"]

PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/[^/]+"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<resource>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>[^/]+))?)?"
)
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


class Asked:
    """A set of requests, filled by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: set[tuple[str, str, str]] = set()

    def note(self, method: str, path: str, query: Mapping[str, str] | None = None) -> None:
        """Take one request in, whatever becomes of it; paths that name no resource are left out.

        Args:
            method: HTTP method.
            path: absolute path on the server, without a query.
            query: query parameters.
        """
        found = PATH.fullmatch(path)
        if found is None:
            return
        named = found["name"] is not None
        many = {"GET": "list", "DELETE": "deletecollection"}
        verb = VERBS.get(method) or (method.lower() if named else many.get(method, method.lower()))
        if verb == "list" and str((query or {}).get("watch", "")).lower() in ("1", "true"):
            verb = "watch"
        resource = found["resource"] + (f"/{found['sub']}" if found["sub"] else "")
        group = f".{found['group']}" if found["group"] else ""
        with self._lock:
            self._seen.add((verb, resource + group, found["namespace"] or ""))

    def seen(self) -> list[tuple[str, str, str]]:
        """Return (verb, resource, namespace), sorted by namespace, resource and verb.

        The resource is as `kubectl auth can-i` takes it, "leases.coordination.k8s.io"; the
        namespace is "" for all of them, and for what lies in none.
        """
        with self._lock:
            return sorted(self._seen, key=lambda one: (one[2], one[1], one[0]))
