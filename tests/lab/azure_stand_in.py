"""What of Azure a query for metrics meets, on loopback: who hands out tokens, who asks for them.

Real HTTP, and HTTPS where Azure's library wants it. It enforces what the documentation says and
what no lab shows: the scope, a token's audience and end, one metric a selector, 429, and casing
that nobody can rely on. What is not listed here is answered 400 or 404.
"""

import contextlib
import json
import random
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import promql_parser as pp

from acns_chaos.lab.net.promql.evaluation import Query
from acns_chaos.lab.net.promql.expressions import parse
from acns_chaos.lab.net.promql.history import History
from acns_chaos.lab.tls import make_certificates

AUDIENCE = "https://prometheus.monitor.azure.com"
TENANT, CLIENT = "11111111-aaaa-4bbb-8ccc-222222222222", "33333333-dddd-4eee-8fff-444444444444"
ASSERTION = "the-pods-own-token"
IDENTITY_HEADER = "the-machines-own-secret"
LIFETIME = 3600


@dataclass
class Azure:
    """The stand-in.

    Attributes:
        workspace: base URL of the query endpoint.
        entra: base URL of the authority.
        folder: where the authority's certificate, the pod's token and `az` are.
        scope: what the authority hands out tokens for.
        issued: token to the moment it ends, in order.
        heard: (method, path, parameters) of every request.
        refused: why a token was not handed out, or a query not answered.
        busy: how often the query endpoint still answers 429, and its Retry-After.
        forbidden: whether the identity lacks its role.
        history: the samples.
    """

    workspace: str = ""
    entra: str = ""
    folder: Path = Path()
    scope: str = f"{AUDIENCE}/.default"
    issued: dict[str, float] = field(default_factory=dict)
    heard: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    forbidden: bool = False
    history: History = field(default_factory=History)

    def asked(self, path: str) -> list[dict[str, str]]:
        """Return the parameters of every request whose path ends so."""
        return [given for _, where, given in self.heard if where.endswith(path)]

    def revoke(self) -> None:
        """Let every token that was handed out be worthless."""
        self.issued = dict.fromkeys(self.issued, 0.0)

    # ------------------------------------------------------------------ tokens

    def token(self) -> dict[str, Any]:
        """Hand out a token for the audience."""
        made = f"token-{len(self.issued)}-{random.SystemRandom().getrandbits(64):x}"
        self.issued[made] = time.time() + LIFETIME
        return {"token_type": "Bearer", "access_token": made, "expires_in": LIFETIME}

    def for_pod(self, tenant: str, given: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Answer a workload identity: the pod's token against one for the scope."""
        wrong = {
            "tenant": tenant != TENANT,
            "client_id": given.get("client_id") != CLIENT,
            "grant_type": given.get("grant_type") != "client_credentials",
            "scope": given.get("scope") != self.scope,
            "client_assertion": given.get("client_assertion") != ASSERTION,
            "client_assertion_type": given.get("client_assertion_type")
            != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        }
        if any(wrong.values()):
            self.refused.append(next(name for name, bad in wrong.items() if bad))
            text = f"AADSTS70011: {self.refused[-1]} is not valid"
            return 400, {"error": "invalid_scope", "error_description": text}
        return 200, self.token()

    def for_machine(self, given: dict[str, str], secret: str) -> tuple[int, dict[str, Any]]:
        """Answer a managed identity, as App Service does."""
        if given.get("resource") != AUDIENCE or secret != IDENTITY_HEADER:
            self.refused.append("resource" if secret == IDENTITY_HEADER else "X-IDENTITY-HEADER")
            return 400, {"message": f"{self.refused[-1]} is not valid"}
        made = self.token()
        ends = str(int(self.issued[made["access_token"]]))
        return 200, {**made, "expires_on": ends, "resource": AUDIENCE, "client_id": CLIENT}

    # ------------------------------------------------------------------ queries

    def answer(
        self, path: str, given: dict[str, str], authorization: str
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Answer a query: status, body, headers."""
        token = authorization.removeprefix("Bearer ")
        if self.issued.get(token, 0.0) <= time.time():
            self.refused.append("token")
            # As a careless gateway would: it quotes what it got.
            return 401, {"error": {"code": "401", "message": f"bad token {authorization}"}}, {}
        if self.forbidden:
            return 403, {"error": {"code": "Forbidden"}}, {}
        if self.busy:
            return 429, {"error": "too many requests"}, {"Retry-After": self.busy.pop()}
        if path != "/api/v1/query":
            return 404, {"error": f"{path} is not supported"}, {}
        return *self._query(given), {}

    def _query(self, given: dict[str, str]) -> tuple[int, dict[str, Any]]:
        expression = parse(given["query"])
        names = list(_metrics(expression))
        if len(names) != 1 or not names[0]:
            self.refused.append("one metric")
            text = "exactly one metric name is required for each query"
            return 422, {"status": "error", "errorType": "execution", "error": text}
        when = float(given.get("time") or time.time())
        query = Query(expression, self.history)
        result: list[dict[str, Any]]
        if isinstance(expression, pp.MatrixSelector):
            found = query.range_at(expression, when).series
            result = [
                {"metric": _odd(labels), "values": [[at / 1000, str(value)] for at, value in one]}
                for labels, one in found
            ]
            return 200, {"status": "success", "data": {"resultType": "matrix", "result": result}}
        vector = query.at(when)
        assert isinstance(vector, list)
        result = [{"metric": _odd(labels), "value": [when, str(one)]} for labels, one in vector]
        return 200, {"status": "success", "data": {"resultType": "vector", "result": result}}

    def scrape(self, ago: float, *samples: tuple[str, dict[str, str], float]) -> None:
        """Store one scrape of the node `node-0`, seconds before now."""
        every = [("hubble_tcp_flags_total", {}, 5.0), ("cilium_forward_count_total", {}, 5.0)]
        own = {"instance": "node-0", "cluster": "pets-aks"}
        found = [
            (tuple(sorted({**own, **labels, "__name__": name}.items())), value)
            for name, labels, value in (*every, *samples)
        ]
        self.history.append(time.time() - ago, found, ("job", "node-0"))


def _metrics(expression: Any) -> Iterator[str]:
    """Name the metric of every selector, "" for one that names none or a pattern."""
    if isinstance(expression, pp.MatrixSelector):
        yield from _metrics(expression.vector_selector)
    elif isinstance(expression, pp.VectorSelector):
        yield expression.name or ""
    elif isinstance(expression, pp.AggregateExpr):
        yield from _metrics(expression.expr)
    elif isinstance(expression, pp.Call):
        for one in expression.args:
            yield from _metrics(one)
    elif isinstance(expression, pp.BinaryExpr):
        yield from _metrics(expression.lhs)
        yield from _metrics(expression.rhs)
    elif isinstance(expression, pp.ParenExpr):
        yield from _metrics(expression.expr)


def _odd(labels: Any) -> dict[str, str]:
    """Write labels in a casing of one's own."""
    return {name.title(): value.swapcase() for name, value in labels.items()}


# ---------------------------------------------------------------------- serving


@contextlib.contextmanager
def azure_stand_in(folder: Path) -> Iterator[Azure]:
    """Serve until the context ends."""
    azure = Azure(folder=folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve("")

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def _serve(self, body: str) -> None:
            where = urlsplit(self.path)
            fields = {**parse_qs(where.query), **parse_qs(body)}
            given = {name: values[0] for name, values in fields.items()}
            azure.heard.append((self.command, where.path, given))
            more: dict[str, str] = {}
            if where.path.endswith("/oauth2/v2.0/token"):
                status, told = azure.for_pod(where.path.split("/")[1], given)
            elif where.path == "/msi/token":
                status, told = azure.for_machine(given, self.headers.get("X-IDENTITY-HEADER", ""))
            elif where.path == "/cli":
                status, told = 200, azure.token()
            else:
                sent = self.headers.get("Authorization", "")
                status, told, more = azure.answer(where.path, given, sent)
            written = json.dumps(told).encode()
            self.send_response(status)
            for name, value in {**more, "Content-Length": str(len(written))}.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(written)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    certificates = make_certificates()
    (folder / "ca.pem").write_bytes(certificates.authority)
    (folder / "assertion").write_text(ASSERTION)
    plain = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    secure = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context: ssl.SSLContext = certificates.server_context(folder)
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    azure.workspace = f"http://127.0.0.1:{plain.server_port}"
    azure.entra = f"https://127.0.0.1:{secure.server_port}"
    _write_az(folder, azure.workspace)
    threads = [threading.Thread(target=one.serve_forever, args=(0.02,)) for one in (plain, secure)]
    for thread in threads:
        thread.start()
    try:
        yield azure
    finally:
        for server, thread in zip((plain, secure), threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


def _write_az(folder: Path, workspace: str) -> None:
    """Write an `az` that is logged in, and knows one command."""
    program = folder / "bin" / "az"
    program.parent.mkdir()
    wanted = ["account", "get-access-token", "--output", "json", "--resource", AUDIENCE]
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, sys, time, urllib.request\n"
        f"assert sys.argv[1:] == {wanted!r}, sys.argv\n"
        f"told = json.load(urllib.request.urlopen({workspace + '/cli'!r}))\n"
        "ends = int(time.time()) + told['expires_in']\n"
        "print(json.dumps({'accessToken': told['access_token'], 'expires_on': ends,\n"
        "                  'tokenType': 'Bearer', 'tenant': 'x', 'subscription': 'y'}))\n"
    )
    program.chmod(0o755)
