"""The lab under test: in this process over a tiny world, or as the process that users start."""

import asyncio
import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDictProxy

from acns_chaos.lab.api.app import Api
from acns_chaos.lab.api.controllers.operator import Operator
from acns_chaos.lab.api.pods.exec import ExecRequest
from acns_chaos.lab.api.store import Store
from acns_chaos.lab.api.writing.admission import load, load_definitions
from tests.leftovers import own_leftovers

__all__ = ["own_leftovers"]
TOKEN = "the-token"
CNP = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies"
CONFIG_MAPS = "/api/v1/namespaces/pets/configmaps"


def policy(name: str = "open", **spec: Any) -> dict[str, Any]:
    """A CiliumNetworkPolicy for the pods of app=shop, by default open to the world."""
    rules = spec or {"ingress": [{"fromEntities": ["world"]}]}
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name},
        "spec": {"endpointSelector": {"matchLabels": {"app": "shop"}}, **rules},
    }


def config_map(name: str = "settings", **data: str) -> dict[str, Any]:
    """A ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": data or {"colour": "blue"},
    }


def pod(name: str, containers: list[str], init: list[str] = []) -> dict[str, Any]:  # noqa: B006
    """A Pod of the namespace pets."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "pets", "labels": {"app": name}},
        "spec": {
            "containers": [{"name": container, "image": "x"} for container in containers],
            **({"initContainers": [{"name": one, "image": "x"} for one in init]} if init else {}),
        },
        "status": {"phase": "Running", "podIP": "10.244.0.9"},
    }


WORLD = [
    *(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for name in ("default", "kube-system", "pets", "other")
    ),
    pod("shop", ["shop"]),
    pod("pair", ["web", "proxy"], ["setup"]),
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": "pets"},
        "spec": {"replicas": 1},
    },
]


async def run_command(request: ExecRequest) -> int:
    """Stand in for the network: say what was asked; `exit` and `sleep` do as they say."""
    if request.argv[0] == "sleep":
        await asyncio.sleep(float(request.argv[1]))
    await request.stdout(f"{request.container}: {' '.join(request.argv)}\n".encode())
    await request.stderr(b"a warning\n")
    return int(request.argv[1]) if request.argv[0] == "exit" else 0


@dataclass
class Reply:
    """An HTTP response: code, JSON body, headers."""

    code: int
    body: Any
    headers: CIMultiDictProxy[str]

    @property
    def message(self) -> str:
        """The sentence of a Status."""
        return str(self.body["message"])


class InProcessLab:
    """The API over a tiny world, and a client for it."""

    def __init__(self, store: Store, http: TestClient[Any, Any]) -> None:
        self.store = store
        self.http = http

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str = TOKEN, **headers: str
    ) -> Reply:
        """Send a request; a body that is not bytes goes out as JSON."""
        sent = {"Authorization": f"Bearer {token}", "User-Agent": "tests/1.0"}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        stream = None if data is None else io.BytesIO(data)
        async with self.http.request(method, path, data=stream, headers=sent) as response:
            text = await response.text()
            found = json.loads(text) if response.content_type == "application/json" else text
            return Reply(response.status, found, response.headers)

    async def patch(self, path: str, body: Any, kind: str = "merge-patch+json") -> Reply:
        """Send a patch of one of the application/… types."""
        return await self.call("PATCH", path, body, Content_Type=f"application/{kind}")


@asynccontextmanager
async def in_process(git_version: str = "v1.33.5+acns-chaos-lab") -> AsyncIterator[InProcessLab]:
    """An API server in this process, over plain HTTP, that says it is of some version."""
    store = Store()
    load_definitions(store)
    Operator(store)
    for obj in WORLD:
        load(store, obj)
    api = Api(store, TOKEN, run_command, git_version)
    server = TestServer(api.application())
    await server.start_server(shutdown_timeout=0.1)
    client = TestClient(server)
    try:
        yield InProcessLab(store, client)
    finally:
        await client.close()


@pytest.fixture
async def lab() -> AsyncIterator[InProcessLab]:
    """An API server in this process, over plain HTTP."""
    async with in_process() as found:
        yield found


@pytest.fixture(scope="session")
def lab_process() -> Iterator[dict[str, Any]]:
    """The real lab process with the world `pets`; yields its ready line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "acns_chaos.lab", "serve", "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    line = process.stdout.readline()
    assert line, "the lab did not start; see its standard error"
    yield json.loads(line)
    process.stdin.close()
    process.wait(timeout=10)
    process.stdout.close()
