"""No secret leaves a run: not in its journal, its log, its reports, the cluster or a command line.

The flagship with every witness, on a lab that says it is a cluster. Each credential that anything
there has is looked for in everything that comes out: those of the lab (its token, Hubble's keys)
and canaries planted in Prometheus' and Alertmanager's, behind a gateway that quotes what it gets.
"""

import base64
import json
import os
import re
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

import pytest
import yaml

from tests.journeys.hosts import ROOT, own
from tests.journeys.test_interlocks import Real, real
from tests.tiers import loop

__all__ = ["real"]

pytestmark = [pytest.mark.journey, pytest.mark.slow]

PASSWORD, TOKEN, PAGER = "canary/pass=4f1d", "canary-token-9b27", "canary:pager+83c5"
HUBBLE = "/api/v1/namespaces/kube-system/secrets/hubble-relay-client-certs"
LISTS = [
    "/api/v1/configmaps",
    "/api/v1/events",
    "/apis/coordination.k8s.io/v1/leases",
    "/apis/cilium.io/v2/ciliumnetworkpolicies",
]


# ---------------------------------------------------------------------- the gateway


@dataclass
class Gateway:
    """What stands before Prometheus and an Alertmanager, and wants credentials.

    Attributes:
        url: its base.
        heard: every header Authorization.
        wanted: the one it lets through to Prometheus; "" for none.
    """

    url: str = ""
    heard: list[str] = field(default_factory=list)
    wanted: str = ""


def basic(user: str, password: str) -> str:
    """The header of a user and a password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@contextmanager
def gateway(prometheus: str) -> Iterator[Gateway]:
    """Serve until the context ends; whoever is not let in gets quoted what he sent."""
    found = Gateway()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            sent = self.headers.get("Authorization", "")
            found.heard.append(sent)
            status, body = 200, b""
            if self.path.startswith("/alertmanager/"):
                body = json.dumps([_alert()]).encode()
            elif sent != found.wanted:
                text = f"{sent} is not {PASSWORD} or {TOKEN}"
                status, body = 401, json.dumps({"status": "error", "error": text}).encode()
            else:
                try:
                    with urllib.request.urlopen(prometheus + self.path, timeout=5) as answer:
                        body = answer.read()
                except urllib.error.HTTPError as error:
                    status, body = error.code, error.read()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def _alert() -> dict[str, Any]:
    labels = {"alertname": "StorefrontDrops", "severity": "critical"}
    status = {"state": "active", "silencedBy": [], "inhibitedBy": []}
    return {"labels": labels, "startsAt": datetime.now(UTC).isoformat(), "status": status}


# ---------------------------------------------------------------------- what is looked for


def secrets(real: Real) -> dict[str, str]:
    """Everything secret that a run has to do with, by name."""
    kubeconfig = yaml.safe_load(Path(real.lab.ready["kubeconfig"]).read_text())
    (user,) = [one["user"] for one in kubeconfig["users"]]
    kube = {f"kubeconfig's {name}": str(text) for name, text in user.items()}
    data = real.lab.api.get(HUBBLE)["data"]
    key = base64.b64decode(data["tls.key"]).decode()
    lines = [line for line in key.splitlines() if line and not line.startswith("-----")]
    found = {
        **kube,
        "Hubble's key as the Secret has it": data["tls.key"],
        **{f"line {number} of Hubble's key": line for number, line in enumerate(lines)},
        "Prometheus' password": PASSWORD,
        "Prometheus' token": TOKEN,
        "Alertmanager's password": PAGER,
        "Prometheus' header": basic("alice", PASSWORD).partition(" ")[2],
        "Alertmanager's header": basic("bob", PAGER).partition(" ")[2],
    }
    assert len(found) >= 7
    assert all(len(text) >= 12 for text in found.values()), found
    return found


def leaks(text: str, secrets: dict[str, str]) -> list[str]:
    """Names of the secrets that a text holds: as they are, in base64, in a URL, in JSON."""
    flat = text.replace("\\n", "").replace("\\/", "/")
    return [
        name
        for name, secret in secrets.items()
        for form in {
            secret,
            quote(secret, safe=""),
            base64.b64encode(secret.encode()).decode().rstrip("="),
            json.dumps(secret)[1:-1],
        }
        if form in text or form in flat
    ]


class Watcher:
    """Keeps what the cluster holds and what command lines there are while a run goes on."""

    def __init__(self, real: Real) -> None:
        self._real = real
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.seen: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            for path in LISTS:
                for item in self._real.lab.api.get(path)["items"]:
                    where = f"{path} {item['metadata']['namespace']}/{item['metadata']['name']}"
                    self.seen[f"{where} {item['metadata']['resourceVersion']}"] = json.dumps(item)
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = process.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                except OSError:
                    continue
                if "acns_chaos" in line or "chaos" in line:
                    self.seen[f"command line {line[:200]}"] = line
            self._over.wait(0.05)


def run(
    real: Real, name: str, experiment: dict[str, Any], credentials: dict[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Run an experiment as loudly as can be, and everything that reads its journal afterwards.

    Returns:
        The journal, and every text that came of it.
    """
    folder = real.folder / name
    folder.mkdir()
    (folder / "experiment.json").write_text(json.dumps(experiment))
    environ = {**os.environ, **real.environ(), **credentials, "PYTHONWARNINGS": "always"}
    commands = {
        "chaos": [
            *(str(own().chaos), "--no-version-check", "--verbose", "--log-file", "chaos.log"),
            *("run", "--journal-path", "journal.json", "experiment.json"),
        ],
        "outcome": ["acns-chaos", "outcome", "journal.json"],
        "report": ["acns-chaos", "report", "journal.json", "-o", "report.md"],
        "doctor": ["acns-chaos", "doctor", "--json"],
        "flows": ["acns-chaos", "flows", "--verdict", "DROPPED", "--json"],
    }
    texts = {}
    with Watcher(real) as watcher:
        for title, command in commands.items():
            program = own().chaos.parent / command[0]
            done = subprocess.run(
                [str(program), *command[1:]],
                cwd=folder,
                env=environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=180,
                check=False,
            )
            texts[f"output of {title}"] = done.stdout
    texts |= watcher.seen
    texts |= {str(one): one.read_text("utf-8", "replace") for one in folder.rglob("*.*")}
    journal = json.loads((folder / "journal.json").read_text())
    return journal, texts


def with_every_witness(flagship: dict[str, Any]) -> dict[str, Any]:
    """The flagship, and whatever reads a credential besides."""
    found = deepcopy(flagship)
    controls = [one["provider"]["module"] for one in found["controls"]]
    if "acns_chaos.controls.timeline" not in controls:
        provider = {"type": "python", "module": "acns_chaos.controls.timeline"}
        found["controls"].append({"name": "timeline", "provider": provider})
    more = [
        ("the alert fires", "read_alert", {"name": "StorefrontDrops", "deadline": 5}),
        ("the metrics are fresh", "metrics_are_fresh", {}),
        ("Hubble saw it", "read_flows", {"destination": "pets/store-front"}),
        ("Hubble is well", "relay_is_healthy", {}),
    ]
    found["method"][-1:-1] = [
        {
            "type": "probe",
            "name": f"{name} (no secrets)",
            "provider": {
                "type": "python",
                "module": "acns_chaos.probes",
                "func": func,
                "arguments": arguments,
            },
        }
        for name, func, arguments in more
    ]
    return found


def readings(journal: dict[str, Any]) -> dict[str, str]:
    """What each probe of the method read."""
    return {
        one["activity"]["name"]: one["output"]["reading"]
        for one in journal["run"]
        if isinstance(one.get("output"), dict) and "reading" in one["output"]
    }


def no_leak(texts: dict[str, str], wanted: dict[str, str]) -> None:
    """Assert that none of the texts holds a secret, and that there was something to look at."""
    assert sum(len(text) for text in texts.values()) > 50_000
    assert any("configmaps" in where for where in texts)
    assert any(where.startswith("command line") for where in texts)
    found = {where[-120:]: names for where, text in texts.items() if (names := leaks(text, wanted))}
    assert found == {}


@pytest.mark.parametrize("kind", loop(["bearer", "refused", "basic"], keep=2))
def test_no_artefact_of_a_run_holds_a_secret(
    real: Real, flagship: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    """Whether the credentials are good or a gateway refuses them and quotes them in its errors."""
    real.opt_in()
    wanted = secrets(real)
    token = tmp_path / "token-file"
    token.write_text(TOKEN)
    given = {
        "basic": {"AUTH": "basic", "USERNAME": "alice", "PASSWORD": PASSWORD},
        "bearer": {"AUTH": "bearer", "TOKEN_FILE": str(token)},
        "refused": {"AUTH": "bearer", "TOKEN": TOKEN},
    }[kind]
    lets_in = {"basic": basic("alice", PASSWORD), "bearer": f"Bearer {TOKEN}", "refused": "nobody"}
    with gateway(real.environ()["ACNS_CHAOS_PROMETHEUS_URL"]) as found:
        found.wanted = lets_in[kind]
        where = urlsplit(found.url)
        credentials = {
            "ACNS_CHAOS_PROMETHEUS_URL": found.url,
            "ACNS_CHAOS_ALERTMANAGER_URL": (
                f"http://bob:{quote(PAGER, safe='')}@{where.netloc}/alertmanager"
            ),
            **{f"ACNS_CHAOS_PROMETHEUS_{name}": text for name, text in given.items()},
        }
        journal, texts = run(real, f"run-{kind}", with_every_witness(flagship), credentials)
        heard = set(found.heard)
    outcome = journal["acns_chaos"]["outcome"]["name"]

    no_leak(texts, wanted)
    if kind == "refused":
        assert f"Bearer {TOKEN}" in heard
        assert outcome != "HELD", texts["output of chaos"]
        assert any("refuses to answer" in text for text in texts.values())
    else:
        assert outcome == "HELD", texts["output of chaos"]
        assert {lets_in[kind], basic("bob", PAGER)} <= heard
        seen = readings(journal)
        assert seen["the alert fires (no secrets)"] == "FIRING"
        assert seen["the metrics are fresh (no secrets)"] == "READY"
        assert seen["Hubble saw it (no secrets)"] == "COUNTED"


def test_what_looks_for_secrets_finds_them() -> None:
    """As they are, in base64, in a URL and over the lines of a JSON text; and not where none is."""
    wanted = {"one": "canary/with+signs==", "two": "abcdefghijklmnop"}
    coded = base64.b64encode(wanted["one"].encode()).decode()
    for text in ("x canary/with+signs== y", f"x {coded} y", "canary%2Fwith%2Bsigns%3D%3D"):
        assert leaks(text, wanted)[0] == "one"
    assert leaks("abcdefgh\\nijklmnop", wanted) == ["two"]
    assert leaks("nothing here", wanted) == []


def test_no_shipped_file_takes_a_secret_as_an_argument() -> None:
    """What stands in an experiment stands in its journal: credentials come from elsewhere."""
    word = re.compile(r"password|token|secret|authorization|api.?key", re.IGNORECASE)
    files = [*ROOT.glob("experiments/*.json"), *ROOT.glob("probes/*.json")]
    assert len(files) > 5
    for file in files:
        assert not word.search(file.read_text("utf-8")), file
