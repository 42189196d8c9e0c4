"""Random requests to a Kubernetes API: right, nearly right, and nonsense, from one seed.

Only the making of requests is here; sending and judging them is in `test_api_fuzz`.
"""

import json
import random
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

METHODS = ("GET", "GET", "POST", "POST", "PUT", "PUT", "PATCH", "PATCH", "PATCH", "DELETE")
ODD_METHODS = ("HEAD", "OPTIONS", "TRACE", "FOO", "get")
PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
MEDIA = (
    "application/json",
    "application/json; charset=utf-8",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/cbor",
    "text/plain",
    "multipart/form-data; boundary=x",
    ";;;",
    "",
    "application/json;q=\u00e9",
)
ACCEPT = (
    "application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=Table;v=v1beta1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json",
    "application/vnd.kubernetes.protobuf,application/json",
    "application/vnd.kubernetes.protobuf",
    "application/yaml",
    "text/html;q=nan",
    ",;,=",
    "*/*",
)
TEXTS = (
    "",
    "x",
    "-",
    "..",
    "a/b",
    "pets",
    "t",
    "null",
    "\x00",
    "\n",
    "\ud800",
    "\ufffd\u202e\u00e9",
    "x" * 70,
    "x" * 300,
    "9" * 400,
    "1e999",
    "=,!()",
    "a in (b,c),!d,e=f",
    "a==b,c!=d",
    "metadata.name=t",
    "status.phase!=Running",
    "$(x)",
    "%00%zz",
    "2020-01-01T00:00:00Z",
    "10.0.0.0/8",
    "*.microsoft.com",
)
NUMBERS = (0, -1, 1, 65536, 2**31, 2**63, -(2**63) - 1, 10**400, 0.1, 1e308, -0.0)
PARAMETERS = {
    "watch": ("true", "1", "false", "yes", ""),
    "timeoutSeconds": ("0", "-1", "x", "99999999999999999999"),
    "limit": ("0", "1", "-5", "x", "9" * 30),
    "continue": ("x", "eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ", "%%%"),
    "resourceVersion": ("0", "1", "999999999", "-1", "x", "\u00b2", "\u0663"),
    "resourceVersionMatch": ("Exact", "NotOlderThan", "x"),
    "sendInitialEvents": ("true", "false"),
    "allowWatchBookmarks": ("true", "x"),
    "labelSelector": TEXTS,
    "fieldSelector": TEXTS,
    "dryRun": ("All", "all", "All,All", ""),
    "fieldManager": ("a", "b", "kubectl", "\x00", "x" * 200, ""),
    "fieldValidation": ("Strict", "Warn", "Ignore", "x"),
    "force": ("true", "false", "x"),
    "gracePeriodSeconds": ("0", "-1", "x", "30"),
    "propagationPolicy": ("Background", "Foreground", "Orphan", "x"),
    "orphanDependents": ("true", "false"),
    "pretty": ("true",),
    "includeObject": ("None", "Object", "x"),
    "timeout": ("5s", "x"),
    "command": ("ls", "\ud800"),
    "container": TEXTS,
    "follow": ("false", "x"),
    "tailLines": ("1", "-1", "x"),
    "ports": ("8080", "x", "99999"),
}
KEYS = (
    "metadata",
    "spec",
    "status",
    "kind",
    "apiVersion",
    "name",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "managedFields",
    "resourceVersion",
    "data",
    "ingress",
    "egressDeny",
    "conditions",
    "$patch",
    "$retainKeys",
    "$setElementOrder/finalizers",
    "$deleteFromPrimitiveList/finalizers",
    "kubectl.kubernetes.io/last-applied-configuration",
)
DIRECTIVES: tuple[Any, ...] = (
    "replace",
    "delete",
    "merge",
    "x",
    ["a"],
    [],
    [{}],
    [None, {"name": []}],
)


@dataclass
class Sent:
    """A request as bytes, and what to know of it."""

    method: str
    target: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    chunked: bool = False
    broken: bool = False  # no HTTP

    def wire(self) -> bytes:
        """The request as it is sent."""
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
            body = (
                b"%x\r\n%s\r\n0\r\n\r\n" % (len(self.body), self.body)
                if self.body
                else b"0\r\n\r\n"
            )
        else:
            lines.append(f"Content-Length: {len(self.body)}")
            body = self.body
        head = "\r\n".join(lines) + "\r\n\r\n"
        return head.encode("utf-8", "surrogatepass") + body


@dataclass
class Place:
    """A resource that is served: its path with a namespace, and objects of it."""

    collection: str
    everywhere: str
    subresources: list[str]
    objects: list[dict[str, Any]]
    writable: bool


class Fuzz:
    """The source of requests."""

    def __init__(self, seed: int, token: str, places: list[Place], others: list[str]) -> None:
        """Start.

        Args:
            seed: decides everything that follows.
            token: of the administrator.
            places: the resources that are served.
            others: paths that are no resources.
        """
        self.random = random.Random(seed)
        self._token = token
        self._places = places
        self._others = others
        self._written = [place for place in places if place.writable]

    def request(self) -> Sent:
        """The next request."""
        chance = self.random.random
        place = self.random.choice(self._places if chance() < 0.4 else self._written)
        method = self.random.choice(METHODS) if chance() < 0.97 else self.random.choice(ODD_METHODS)
        if chance() < 0.15:
            return self._creation()
        obj = json.loads(json.dumps(self.random.choice(place.objects)))
        path = self._path(place, obj, method)
        if path.startswith("/api/v1/namespaces/") and path.count("/") == 4 and method == "DELETE":
            method = "PUT"  # a world without its namespaces has nothing left to try
        sent = Sent(method, path + self._query(method), self._headers())
        sent.broken = method in {"FOO", "get"}
        if method in {"POST", "PUT", "PATCH"} or chance() < 0.1:
            media, sent.body = self._body(method, obj)
            sent.headers.append(("Content-Type", media))
            sent.chunked = chance() < 0.05
        return sent

    def _creation(self) -> Sent:
        """A request that makes an object of ours where there is none."""
        place = self.random.choice(self._written)
        obj = {**place.objects[-1], "metadata": {"name": "t"}}
        headers = [("Authorization", f"Bearer {self._token}"), ("Content-Type", MEDIA[0])]
        return Sent("POST", place.collection, headers, json.dumps(obj).encode())

    def _path(self, place: Place, obj: dict[str, Any], method: str) -> str:
        chance = self.random.random()
        if chance < 0.04:
            return self.random.choice(self._others)
        path = place.everywhere if chance < 0.1 else place.collection
        if method != "POST" and chance > 0.15:
            name = obj["metadata"]["name"] if chance > 0.18 else self.random.choice(TEXTS)
            path += "/" + quote(str(name), safe="", errors="replace")
            if chance > 0.9 and place.subresources:
                path += "/" + self.random.choice(place.subresources)
        if self.random.random() < 0.03:
            at = self.random.randrange(1, len(path))
            junk = self.random.choice(("%", "%zz", "%ff%fe", "//", "/../", "%2F", "%00", "~"))
            path = path[:at] + junk + path[at:]
        return path

    def _query(self, method: str) -> str:
        pairs = []
        while self.random.random() < 0.25:
            if self.random.random() < 0.7 and method != "GET":
                name = self.random.choice(("dryRun", "fieldManager", "fieldValidation", "force"))
            else:
                name = self.random.choice(list(PARAMETERS))
            values = PARAMETERS[name] if self.random.random() < 0.95 else TEXTS
            pairs.append((name, self.random.choice(values)))
        if method == "PATCH" and self.random.random() < 0.7:
            pairs.append(("fieldManager", self.random.choice(("a", "b", "kubectl"))))
        if method == "DELETE" and self.random.random() < 0.5:
            pairs.append(("dryRun", "All"))
        if any(name in {"watch", "follow"} for name, _ in pairs):
            pairs.append(("timeoutSeconds", "1"))
        if not pairs:
            return ""
        query = urlencode(pairs, errors="replace")
        return "?" + (query if self.random.random() < 0.97 else query + "&%zz=%ff;&&=")

    def _headers(self) -> list[tuple[str, str]]:
        chance = self.random.random()
        headers = [("Authorization", f"Bearer {self._token}")]
        if chance < 0.02:
            headers = [
                (
                    "Authorization",
                    self.random.choice(("", "Bearer", "Basic eDp5", "Bearer \u00e9.\u00e9.\u00e9")),
                )
            ]
        elif chance < 0.06:
            headers.append(("Impersonate-User", self.random.choice(("jane", "", "system:admin"))))
            headers.append(("Impersonate-Group", self.random.choice(("system:masters", "x"))))
        if self.random.random() < 0.15:
            headers.append(("Accept", self.random.choice(ACCEPT)))
        if self.random.random() < 0.05:
            headers.append(("User-Agent", self.random.choice(("/", "", "\u00e9/1", "x" * 500))))
        if self.random.random() < 0.02:
            headers.append(("Upgrade", "websocket"))
            headers.append(("Connection", "Upgrade"))
        return headers

    def _body(self, method: str, obj: dict[str, Any]) -> tuple[str, bytes]:
        media = "application/json" if method != "PATCH" else self.random.choice(PATCHES)
        if self.random.random() < 0.1:
            media = self.random.choice(MEDIA + PATCHES)
        if media == PATCHES[0] and self.random.random() < 0.9:
            value: Any = self._operations(obj)
        else:
            if method == "POST" and self.random.random() < 0.5:
                obj["metadata"] = {"name": self.random.choice(("t", "t", "u", "v", "w"))}
            value = self._mutated(obj)
        return media, self._bytes(value)

    def _bytes(self, value: Any) -> bytes:
        chance = self.random.random()
        if chance < 0.01:
            return self.random.choice(
                (b"", b"{", b"null", b"[" * 5000, b'{"a":' * 400 + b"1", b"k8s\x00\x0a\xff")
            )
        text = json.dumps(value, ensure_ascii=chance < 0.5)
        if chance > 0.99:
            text = text.replace("{", '{"metadata": {}, "a": 1, "a": 2,', 1)
        elif chance > 0.98:
            text = text.replace(": ", ": &a *a ", 1)
        body = text.encode("utf-8", "replace")
        if 0.95 < chance < 0.98 and body:
            at = self.random.randrange(len(body))
            body = body[:at] + self.random.randbytes(3) + body[at:]
        return body

    def _operations(self, obj: dict[str, Any]) -> Any:
        pointers = [
            "",
            "/",
            "/-",
            "/metadata/labels/x",
            "/spec/ingress/0",
            "/spec/ingress/-",
            "x",
            "/~2",
        ]
        pointers += list(_pointers(obj))
        operations = []
        for _ in range(self.random.randrange(4)):
            operation = {
                "op": self.random.choice(
                    ("add", "remove", "replace", "move", "copy", "test", "x", 1)
                ),
                "path": self.random.choice(pointers),
                "from": self.random.choice(pointers),
                "value": self._junk(),
            }
            if self.random.random() < 0.1:
                operation.pop(self.random.choice(("op", "path", "from", "value")))
            operations.append(operation)
        return operations

    def _mutated(self, value: Any) -> Any:
        for _ in range(self.random.choice((0, 0, 0, 1, 1, 1, 1, 2, 5))):
            value = self._mutate(value)
        return value

    def _mutate(self, value: Any) -> Any:
        """The value with one random place changed."""
        if isinstance(value, dict) and value and self.random.random() < 0.8:
            key = self.random.choice(list(value))
            what = self.random.random()
            if what < 0.1:
                value.pop(key)
            elif what < 0.25:
                added = self.random.choice(KEYS + TEXTS)
                directive = added.startswith("$") and self.random.random() < 0.7
                value[added] = self.random.choice(DIRECTIVES) if directive else self._junk()
            else:
                value[key] = self._mutate(value[key])
            return value
        if isinstance(value, list) and value and self.random.random() < 0.8:
            at = self.random.randrange(len(value))
            if self.random.random() < 0.2:
                return [*value, value[at]]
            value[at] = self._mutate(value[at])
            return value
        return self._junk()

    def _junk(self, depth: int = 0) -> Any:
        what = self.random.random()
        if depth > 3 or what < 0.35:
            return self.random.choice(TEXTS)
        if what < 0.5:
            return self.random.choice(NUMBERS)
        if what < 0.6:
            return self.random.choice((None, True, False, [], {}))
        if what < 0.62:
            nested: Any = 1
            for _ in range(self.random.choice((10, 150, 300))):
                nested = {"a": nested} if self.random.random() < 0.5 else [nested]
            return nested
        if what < 0.8:
            return [self._junk(depth + 1) for _ in range(self.random.randrange(3))]
        return {
            self.random.choice(KEYS + TEXTS): self._junk(depth + 1)
            for _ in range(self.random.randrange(3))
        }


def _pointers(value: Any, path: str = "") -> list[str]:
    found = [path]
    if isinstance(value, dict):
        for key, part in value.items():
            found += _pointers(part, f"{path}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for number, part in enumerate(value):
            found += _pointers(part, f"{path}/{number}")
    return found
