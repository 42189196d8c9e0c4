"""Thousands of random requests to one lab process: it never breaks, and it always says why.

The seed is fixed; `ACNS_CHAOS_FUZZ_SEED` and `ACNS_CHAOS_FUZZ_REQUESTS` set others.
"""

import json
import os
import random
import socket
import ssl
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import BadStatusLine, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
import yaml
from conftest import config_map, policy
from fuzz_requests import TEXTS, Fuzz, Place, Sent

SEED = int(os.environ.get("ACNS_CHAOS_FUZZ_SEED", "4"))
REQUESTS = int(os.environ.get("ACNS_CHAOS_FUZZ_REQUESTS", "5000"))

# What a real API server answers with 500 as well: the starts of its sentences.
REAL_500 = (
    "failed to create typed patch object (",
    "resourceVersion should not be set on objects to be created",
    "Unknown patch type found: ",
    "map: ",
)


@dataclass
class Reply:
    """An answer: code, body, whether it goes on without end."""

    code: int
    body: bytes
    endless: bool


class Wire:
    """A keep-alive connection that is opened anew when the other side has closed it."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None = None) -> None:
        self._address = host, port
        self._context = context
        self._socket: socket.socket | None = None
        self.opened = 0

    def send(self, sent: Sent) -> Reply:
        """Send a request and read its answer; once more when an idle connection was closed."""
        fresh = self._socket is None
        try:
            return self._exchange(sent)
        except (BadStatusLine, ConnectionError):
            self.close()
            if fresh:
                raise
            return self._exchange(sent)

    def _exchange(self, sent: Sent) -> Reply:
        if self._socket is None:
            plain = socket.create_connection(self._address, timeout=20)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = (
                self._context.wrap_socket(plain, server_hostname="127.0.0.1")
                if self._context
                else plain
            )
            self.opened += 1
        self._socket.sendall(sent.wire())
        response = HTTPResponse(self._socket, method=sent.method)
        response.begin()
        if response.status == 101 or response.getheader("Transfer-Encoding"):
            self.close()
            return Reply(response.status, b"", True)
        reply = Reply(response.status, response.read(), False)
        if response.will_close:
            self.close()
        return reply

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@dataclass
class Running:
    """A lab process under fuzz."""

    ready: dict[str, Any]
    process: subprocess.Popen[str]
    stderr: Any
    token: str
    wire: Wire

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """A well-formed request that must succeed; its JSON."""
        headers = [("Authorization", f"Bearer {self.token}"), ("Content-Type", "application/json")]
        data = b"" if body is None else json.dumps(body).encode()
        reply = self.wire.send(Sent(method, path, headers, data))
        assert reply.code < 300, (method, path, reply)
        return json.loads(reply.body)

    def complaints(self) -> str:
        """What it has written to standard error."""
        self.stderr.seek(0)
        return str(self.stderr.read())


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """A lab process of its own, over HTTPS, with its standard error in a file."""
    with tempfile.TemporaryFile("w+") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "acns_chaos.lab", "serve", "--until-stdin-closes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        assert process.stdin
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        config = yaml.safe_load(Path(ready["kubeconfig"]).read_text())
        token = config["users"][0]["user"]["token"]
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        address = urlsplit(ready["server"])
        assert address.hostname
        assert address.port
        wire = Wire(address.hostname, address.port, context)
        yield Running(ready, process, stderr, token, wire)
        wire.close()
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()


_ROLE = {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}
_BINDING = {
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}],
}
# What makes an object of ours valid.
OURS: dict[str, dict[str, Any]] = {
    "ciliumnetworkpolicies": policy("t"),
    "ciliumclusterwidenetworkpolicies": {**policy("t"), "kind": "CiliumClusterwideNetworkPolicy"},
    "networkpolicies": {"spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}},
    "configmaps": config_map("t"),
    "secrets": {"data": {"a": "Yg=="}, "type": "Opaque"},
    "events": {"involvedObject": {"kind": "Pod", "namespace": "fuzz", "name": "x"}, "reason": "Y"},
    "leases": {"spec": {"holderIdentity": "me", "leaseDurationSeconds": 3}},
    "roles": _ROLE,
    "clusterroles": _ROLE,
    "rolebindings": _BINDING,
    "clusterrolebindings": _BINDING,
    "selfsubjectaccessreviews": {
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}
    },
    "subjectaccessreviews": {"spec": {"user": "jane", "nonResourceAttributes": {"path": "/"}}},
    "selfsubjectrulesreviews": {"spec": {"namespace": "pets"}},
}


def _places(lab: Running) -> list[Place]:
    """Every resource that discovery lists, with the objects that there are and one of ours."""
    lab.call("POST", "/api/v1/namespaces", {"metadata": {"name": "fuzz"}})
    groups = [
        f"/apis/{group['preferredVersion']['groupVersion']}"
        for group in lab.call("GET", "/apis")["groups"]
    ]
    places = []
    for base in ["/api/v1", *groups]:
        resources = lab.call("GET", base)["resources"]
        for one in resources:
            name = one["name"]
            if "/" in name:
                continue
            where = f"{base}/namespaces/fuzz/{name}" if one["namespaced"] else f"{base}/{name}"
            listed = "list" in one["verbs"]
            objects = lab.call("GET", f"{base}/{name}?limit=4")["items"] if listed else []
            for obj in objects:
                obj |= {
                    "kind": one["kind"],
                    "apiVersion": base.removeprefix("/apis/").removeprefix("/api/"),
                }
                obj["metadata"].pop("namespace", None)
                obj["metadata"].pop("managedFields", None)
                obj["metadata"].pop("resourceVersion", None)
            ours = {"kind": one["kind"], "metadata": {"name": "t"}, **OURS.get(name, {"spec": {}})}
            objects.append(ours)
            inner = [
                full.split("/")[1] for r in resources if (full := r["name"]).startswith(f"{name}/")
            ]
            writable = {"create", "patch"} <= set(one["verbs"])
            inner += ["status", "scale", "x"]
            places.append(Place(where, f"{base}/{name}", inner, objects, writable))
            if one["namespaced"] and objects:
                pets = f"{base}/namespaces/pets/{name}"
                places.append(Place(pets, f"{base}/{name}", [*inner, "log"], objects, writable))
    return places


OTHERS = [
    "/",
    "/api",
    "/apis",
    "/apis/cilium.io",
    "/apis/cilium.io/v2",
    "/apis/none/v1",
    "/api/v2/pods",
    "/version",
    "/healthz",
    "/livez/ping",
    "/metrics",
    "/logs",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/api/v1",
    "/openapi/v3/apis/none/v1",
    "/api/v1/namespaces/fuzz",
    "/api/v1/namespaces/fuzz/pods/x/y/z",
    "*",
]


def _wrong(sent: Sent, reply: Reply) -> str:
    """What an API server must never do, and this answer did; "" when it is fine."""
    kubernetes = sent.target.startswith(("/api/", "/apis/"))
    if reply.code < 300 or reply.code == 304:
        return ""
    if sent.method == "HEAD":
        return "" if reply.code in {*range(500), 501, 504} else "5xx to HEAD"
    try:
        status = json.loads(reply.body)
    except ValueError:
        if sent.broken and reply.code == 400:
            return ""  # refused before it is a request, as a real server does too
        return "no JSON" if kubernetes or reply.code >= 500 else ""
    if kubernetes and (status.get("kind"), status.get("code")) != ("Status", reply.code):
        return "no Status of this code"
    message = str(status.get("message", ""))
    if reply.code == 500 and not message.startswith(REAL_500):
        return f"500 {message[:60]}"
    if reply.code > 500 and reply.code not in {501, 503, 504}:
        return "5xx"
    return "" if message or not kubernetes else "no message"


@pytest.mark.slow
def test_random_requests_never_break_the_lab(running: Running) -> None:
    """Every answer is a success or a Status that fits, and afterwards all is as it should be."""
    fuzz = Fuzz(SEED, running.token, _places(running), OTHERS)
    codes: Counter[int] = Counter()
    found: dict[str, str] = {}
    for number in range(REQUESTS):
        sent = fuzz.request()
        try:
            reply = running.wire.send(sent)
        except Exception as error:  # noqa: BLE001 - whatever it is, say after which request
            pytest.fail(f"seed {SEED}, request {number}: {error!r} after {sent}")
        codes[reply.code] += 1
        if why := _wrong(sent, reply):
            found.setdefault(why, f"request {number}: {reply} to {sent}")
    assert not found, f"seed {SEED}: " + "\n".join(
        f"{why}: {which}" for why, which in found.items()
    )
    assert running.complaints() == "", f"seed {SEED}"
    assert running.process.poll() is None
    _still_well(running)
    # The fuzz reaches what it is meant to reach.
    assert sum(codes[code] for code in (200, 201)) > REQUESTS / 8, codes
    for code in (400, 401, 403, 404, 405, 409, 415, 422, 501):
        assert codes[code] > 0, (code, codes)


def _still_well(lab: Running) -> None:
    """The world is there, takes writes, and its shop and Prometheus answer."""
    assert lab.call("GET", "/api/v1/namespaces/pets/pods")["items"]
    path = "/api/v1/namespaces/pets/configmaps"
    lab.call("POST", path, config_map("afterwards"))
    lab.call("DELETE", f"{path}/afterwards")
    _without_policies(lab)
    for target, name in (("/", "STOREFRONT"), ("/api/v1/query?query=up", "PROMETHEUS")):
        wire = _plain(lab, name)
        assert wire.send(Sent("GET", target)).code < 500, name
        wire.close()


def _without_policies(lab: Running) -> None:
    """Delete every policy: a random one may rightly deny the storefront to us."""
    headers = [("Authorization", f"Bearer {lab.token}")]
    merge = [*headers, ("Content-Type", "application/merge-patch+json")]
    for base, kinds in (
        ("/apis/cilium.io/v2", ("ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies")),
        ("/apis/networking.k8s.io/v1", ("networkpolicies",)),
    ):
        for kind in kinds:
            for item in lab.call("GET", f"{base}/{kind}")["items"]:
                metadata = item["metadata"]
                where = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
                path = f"{base}{where}/{kind}/{metadata['name']}"
                lab.wire.send(Sent("PATCH", path, merge, b'{"metadata": {"finalizers": null}}'))
                lab.wire.send(Sent("DELETE", path, headers))
            assert not lab.call("GET", f"{base}/{kind}")["items"]


def _plain(lab: Running, name: str) -> Wire:
    """A connection to the shop or to Prometheus."""
    address = urlsplit(lab.ready["env"][f"ACNS_CHAOS_{name}_URL"])
    assert address.hostname
    assert address.port
    return Wire(address.hostname, address.port)


QUERIES = (
    "up",
    "hubble_drop_total",
    'sum by (reason) (rate(hubble_drop_total{reason=~"POLICY.*"}[1m]))',
    "increase(cilium_drop_count_total[5m]) > 0",
    "histogram_quantile(0.9, x)",
    "topk(3, up) or vector(1) / 0",
    "max_over_time(up[1h:1m] offset 5m)",
    '{__name__=~".+"}',
    "-1 ^ 2 % 0",
    "label_replace(up, 'a', '$1', 'job', '(.*)')",
)


def _query(source: random.Random) -> str:
    text = source.choice(QUERIES)
    while source.random() < 0.6:
        at, other = source.randrange(len(text) + 1), source.choice((*QUERIES, *TEXTS))
        cut = source.randrange(6)
        text = text[:at] + other[: source.randrange(12)] + text[at + cut :]
    return text


@pytest.mark.slow
def test_random_queries_never_break_prometheus(running: Running) -> None:
    """Every query is answered, or refused in the form in which Prometheus refuses."""
    source = random.Random(SEED)
    wire = _plain(running, "PROMETHEUS")
    paths = (
        "query",
        "query",
        "query",
        "query_range",
        "series",
        "labels",
        "label/x/values",
        "rules",
        "x",
    )
    times = ("0", "1", "1e9", "x", "-1", "9" * 30, "2026-01-01T00:00:00Z", "NaN", "+Inf", "1h", "")
    codes: Counter[int] = Counter()
    for number in range(500):
        pairs = [("query", _query(source))] if source.random() < 0.9 else []
        pairs += [
            (name, source.choice(times) if name != "match[]" else _query(source))
            for name in ("time", "start", "end", "step", "timeout", "match[]", "limit")
            if source.random() < 0.3
        ]
        query = urlencode(pairs, errors="replace")
        target = f"/api/v1/{source.choice(paths)}"
        if source.random() < 0.2:
            form = [("Content-Type", "application/x-www-form-urlencoded")]
            sent = Sent("POST", target, form, query.encode())
        else:
            sent = Sent(source.choice(("GET", "GET", "GET", "PUT")), f"{target}?{query}")
        reply = wire.send(sent)
        codes[reply.code] += 1
        which = f"seed {SEED}, query {number}: {reply} to {sent}"
        assert reply.code in {200, 400, 404, 405, 422, 501}, which
        if reply.code in {400, 422, 501}:
            refused = json.loads(reply.body)
            assert (refused["status"], bool(refused["error"])) == ("error", True), which
    wire.close()
    assert min(codes[200], codes[400]) > 30, codes
    assert running.complaints() == "", f"seed {SEED}"


@pytest.mark.slow
def test_random_requests_never_break_the_shop(running: Running) -> None:
    """Every request to the shop is answered below 500, or as the shop answers without a backend."""
    source = random.Random(SEED)
    wire = _plain(running, "STOREFRONT")
    paths = ("/", "/health", "/api/products", "/api/products/1", "/api/orders", "/static/x.js")
    for number in range(300):
        path = source.choice(paths) + source.choice(
            ("", "", "/" + quote(source.choice(TEXTS), errors="replace"))
        )
        body = json.dumps(
            {"items": [source.choice(TEXTS), source.choice((1, None, 10**30))]}
        ).encode()
        method = source.choice(("GET", "GET", "POST", "PUT", "HEAD"))
        kind = [("Content-Type", source.choice(("application/json", "text/plain", ";;")))]
        sent = Sent(
            method, path, kind, b"" if method == "GET" else source.choice((body, b"{", b"\xff"))
        )
        reply = wire.send(sent)
        which = f"seed {SEED}, request {number}: {reply} to {sent}"
        assert reply.code in {*range(200, 500), 501, 502, 503, 504}, which
    wire.close()
    assert running.complaints() == "", f"seed {SEED}"
