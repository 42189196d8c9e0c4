"""Port-forward: the real kubectl over both transports, the Python client, refusals, bad clients."""

import asyncio
import base64
import contextlib
import gc
import json
import os
import re
import socket
import subprocess
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from conftest import TOKEN, WORLD, InProcessLab
from kubectls import kubectl_path, run_kubectl  # noqa: F401 - a fixture
from kubernetes import client, config, stream

from acns_chaos.lab.api.app import Api
from acns_chaos.lab.api.store import Store
from acns_chaos.lab.api.streams import frames
from acns_chaos.lab.api.streams.frames import Decoder, Encoder, SynStream
from acns_chaos.lab.api.streams.ports import Ports
from acns_chaos.lab.api.writing.admission import load, load_definitions

FORWARD = "/api/v1/namespaces/pets/pods/shop/portforward"
TUNNEL = "SPDY/3.1+portforward.k8s.io"
TRANSPORTS = pytest.mark.parametrize("websockets", ["true", "false"], ids=["WebSocket", "SPDY"])


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What listens in the pod: answers in upper case when its client has said everything."""
    writer.write((await reader.read()).upper())
    await writer.drain()
    writer.close()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """An API server with a pod in which something listens on port 8080; yields its port."""
    listener = await asyncio.start_server(shout, "127.0.0.1", 0)
    store = Store()
    load_definitions(store)
    for obj in WORLD:
        load(store, obj)
    ports = Ports({("pets", "shop", 8080): listener.sockets[0].getsockname()})

    async def run(_: object) -> int:
        return 0

    server = TestServer(Api(store, TOKEN, run, "v1.33.5", ports=ports).application())
    await server.start_server(shutdown_timeout=0.1)
    assert server.port
    yield server.port
    await server.close()
    listener.close()
    await listener.wait_closed()


def pair(request: int, first: int, to: str) -> list[SynStream]:
    """The two streams of a connection, as kubectl opens them."""
    common = {"port": to, "requestid": str(request)}
    return [
        SynStream(first, {"streamtype": "error", **common}, True),
        SynStream(first + 2, {"streamtype": "data", **common}),
    ]


async def tunnel(port: int, *said: frames.Frame, ended: int) -> list[frames.Frame]:
    """Send frames through a WebSocket tunnel; what came until that many streams had ended."""
    encoder, decoder = Encoder(), Decoder()
    received: list[frames.Frame] = []
    async with (
        ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session,
        session.ws_connect(f"http://127.0.0.1:{port}{FORWARD}", protocols=(TUNNEL,)) as web,
    ):
        assert web.protocol == TUNNEL
        # In pieces, as the bytes of a stream may be cut anywhere.
        wire = b"".join(map(encoder.encode, said))
        for at in range(0, len(wire), 50):
            await web.send_bytes(wire[at : at + 50])
        async with asyncio.timeout(5):
            while len([f for f in received if _ends(f)]) < ended:
                received += decoder.feed(await web.receive_bytes())
    return received


def _ends(frame: frames.Frame) -> bool:
    return isinstance(frame, frames.RstStream) or (isinstance(frame, frames.Data) and frame.fin)


def data(received: list[frames.Frame], number: int) -> bytes:
    """What came on a stream."""
    return b"".join(f.data for f in received if isinstance(f, frames.Data) and f.stream == number)


async def test_connections_share_a_tunnel(port: int) -> None:
    """Two connections run beside each other, each to its end, with nothing on the error streams."""
    received = await tunnel(
        port,
        *pair(0, 1, "8080"),
        *pair(1, 5, "8080"),
        frames.Data(7, b"second", True),
        frames.Data(3, b"fir"),
        frames.Data(3, b"st", True),
        ended=4,
    )
    assert (data(received, 3), data(received, 7)) == (b"FIRST", b"SECOND")
    assert (data(received, 1), data(received, 5)) == (b"", b"")


async def test_a_port_where_nothing_listens(port: int) -> None:
    """The error stream says what a kubelet says; both streams end; others go on."""
    received = await tunnel(
        port, *pair(0, 1, "99"), *pair(1, 5, "8080"), frames.Data(7, b"x", True), ended=4
    )
    said = data(received, 1).decode()
    assert re.match(r"error forwarding port 99 to pod [0-9a-f]{64}, uid : failed to execute", said)
    assert "dial tcp4 127.0.0.1:99: connect: connection refused" in said
    assert data(received, 7) == b"X"


async def test_a_reset_ends_the_connection(port: int) -> None:
    """A client that resets its data stream does not leave the pod's side waiting."""
    before = asyncio.all_tasks()
    received = await tunnel(
        port,
        *pair(0, 1, "8080"),
        frames.Data(3, b"half a request"),
        frames.RstStream(3, frames.CANCEL),
        ended=1,
    )
    assert data(received, 3) == b""
    left = [task for task in asyncio.all_tasks() - before if "_connect" in repr(task)]
    assert left == []


async def test_streams_that_mean_nothing(port: int) -> None:
    """Without a kind, a port or a request number, and twice of a kind, a stream is reset."""
    good = {"streamtype": "data", "port": "8080", "requestid": "0"}
    received = await tunnel(
        port,
        SynStream(1, {**good, "streamtype": "stdin"}),
        SynStream(3, {**good, "port": "65536"}),
        SynStream(5, {**good, "port": "eighty"}),
        SynStream(7, {"streamtype": "data", "port": "8080"}),
        SynStream(9, good),
        SynStream(11, good),
        ended=5,
    )
    assert [f.stream for f in received if isinstance(f, frames.RstStream)] == [1, 3, 5, 7, 11]


async def test_input_after_the_pod_has_closed(port: int) -> None:
    """What a client goes on sending to a connection that has ended holds up nobody."""
    late = [frames.Data(3, bytes(100_000)) for _ in range(20)]
    received = await tunnel(
        port,
        *pair(0, 1, "99"),
        *late,
        *pair(1, 5, "8080"),
        frames.Data(7, b"x", True),
        ended=4,
    )
    assert data(received, 7) == b"X"


@pytest.mark.parametrize(
    ("query", "headers", "code", "message"),
    [
        ("", {}, 400, "Upgrade request required"),
        (
            "?ports=x",
            {},
            400,
            'unable to parse "x" as a port: strconv.ParseUint: parsing "x": invalid syntax',
        ),
        (
            "?ports=70000",
            {},
            400,
            (
                'unable to parse "70000" as a port: strconv.ParseUint: parsing "70000": value out '
                "of range"
            ),
        ),
        ("?ports=80,0", {}, 400, 'port "0" must be > 0'),
        ("?wait=1", {}, 501, "the lab does not model the parameter wait=1 of portforward"),
        (
            "",
            {"Upgrade": "SPDY/2"},
            501,
            "the lab does not model portforward over SPDY/2, only SPDY/3.1 and WebSocket",
        ),
        (
            "",
            {"Upgrade": "SPDY/3.1"},
            501,
            (
                "the lab does not model the portforward protocol without a name, only "
                "portforward.k8s.io"
            ),
        ),
        (
            "",
            {"Upgrade": "websocket", "Sec-WebSocket-Protocol": "v4.channel.k8s.io"},
            400,
            'query parameter "port" is required',
        ),
        (
            "",
            {"Upgrade": "websocket", "Sec-WebSocket-Protocol": "x"},
            501,
            (
                "the lab does not model the portforward protocol x, only v4.channel.k8s.io and "
                "SPDY/3.1+portforward.k8s.io"
            ),
        ),
    ],
)
async def test_refusals(
    lab: InProcessLab, query: str, headers: dict[str, str], code: int, message: str
) -> None:
    """What cannot be forwarded is refused before the upgrade."""
    sent = {"Connection": "Upgrade", **headers} if headers else {}
    reply = await lab.call("POST", FORWARD + query, **sent)
    assert (reply.code, reply.message) == (code, message)


@contextlib.contextmanager
def forwarded(lab: dict[str, Any], kubectl: str, *what: str) -> Iterator[tuple[int, list[str]]]:
    """A running `kubectl port-forward`; yields its local port and, later, its complaints."""
    complaints: list[str] = []
    with subprocess.Popen(
        [kubectl, "port-forward", "--address", "127.0.0.1", *what],
        env={**os.environ, "KUBECONFIG": lab["kubeconfig"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        late = threading.Timer(15, process.kill)
        late.start()
        line = process.stdout.readline()
        late.cancel()
        found = re.match(r"Forwarding from 127\.0\.0\.1:(\d+) ->", line)
        if found is None:
            process.kill()
            pytest.fail(line + process.stderr.read())
        yield int(found[1]), complaints
        process.terminate()
        complaints.append(process.communicate(timeout=10)[1])


def fetch(port: int, path: str = "/") -> tuple[int, str]:
    """GET over a local port."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.status, answer.read().decode()


@TRANSPORTS
def test_kubectl_forwards_to_the_shop(
    lab_process: dict[str, Any],
    kubectl_path: str,  # noqa: F811
    websockets: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The storefront answers through a service's port, one request after the other."""
    monkeypatch.setenv("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets)
    where = ("-n", "pets", "svc/store-front", ":80")
    with forwarded(lab_process, kubectl_path, *where) as (port, complaints):
        assert "Pet store" in fetch(port)[1]
        products = json.loads(fetch(port, "/api/products")[1])
        assert len(products) == 5
        assert fetch(port, "/health")[0] == 200
    assert complaints == [""]


@TRANSPORTS
def test_kubectl_is_told_that_nothing_listens(
    lab_process: dict[str, Any],
    kubectl_path: str,  # noqa: F811
    websockets: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection to a closed port fails with the kubelet's words."""
    monkeypatch.setenv("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets)
    where = ("-n", "pets", "deploy/store-front", ":9999")
    with (
        forwarded(lab_process, kubectl_path, *where) as (port, complaints),
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        assert connection.recv(1) == b""
    assert "connect: connection refused" in complaints[0]


def test_a_policy_does_not_stop_a_forwarded_connection(
    lab_process: dict[str, Any],
    kubectl_path: str,  # noqa: F811
) -> None:
    """order-service lets nobody but the storefront in, and yet answers here."""
    where = ("-n", "pets", "deploy/order-service", ":3000")
    with forwarded(lab_process, kubectl_path, *where) as (port, _):
        assert json.loads(fetch(port, "/health")[1])["status"] == "ok"


@TRANSPORTS
def test_kubectl_forwards_to_the_relay(
    lab_process: dict[str, Any],
    kubectl_path: str,  # noqa: F811
    websockets: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The workshop's port-forward to Hubble relay carries gRPC with client certificates."""
    monkeypatch.setenv("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets)
    found = ("get", "secret", "-n", "kube-system", "hubble-relay-client-certs", "-o", "json")
    secret = run_kubectl(kubectl_path, lab_process["kubeconfig"], *found).stdout
    files = {name: base64.b64decode(text) for name, text in json.loads(secret)["data"].items()}
    credentials = grpc.ssl_channel_credentials(files["ca.crt"], files["tls.key"], files["tls.crt"])
    name = (("grpc.ssl_target_name_override", "instance.hubble-relay.cilium.io"),)
    where = ("-n", "kube-system", "svc/hubble-relay", ":443")
    with (
        forwarded(lab_process, kubectl_path, *where) as (port, _),
        grpc.secure_channel(f"127.0.0.1:{port}", credentials, name) as channel,
    ):
        status = channel.unary_unary("/observer.Observer/ServerStatus")
        for _ in range(20):
            assert b"hubble-relay" in status(b"", timeout=10)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_python_client_forwards(lab_process: dict[str, Any]) -> None:
    """kubernetes.stream.portforward gets channels of its own for each port, and their errors."""
    with config.new_client_from_config(config_file=lab_process["kubeconfig"]) as api:
        core = client.CoreV1Api(api)
        pod = core.list_namespaced_pod("pets", label_selector="app=store-front").items[0]
        forward = stream.portforward(
            core.connect_get_namespaced_pod_portforward,
            pod.metadata.name,
            "pets",
            ports="8080,9999",
        )
        shop = forward.socket(8080)
        shop.settimeout(10)
        shop.sendall(b"GET /health HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
        answer = b""
        while received := shop.recv(65536):
            answer += received
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert forward.error(8080) is None
        assert "dial tcp4 127.0.0.1:9999: connect: connection refused" in forward.error(9999)
        forward.close()
        for thread in threading.enumerate():
            if thread.name.startswith("Kubernetes port forward proxy"):
                thread.join(5)
        del forward, shop
    gc.collect()  # the client leaves its sockets to the collector


def test_discovery_knows_the_ways_in(
    lab_process: dict[str, Any],
    kubectl_path: str,  # noqa: F811
) -> None:
    """`kubectl get --raw` lists exec, log and portforward with their verbs."""
    done = run_kubectl(kubectl_path, lab_process["kubeconfig"], "get", "--raw", "/api/v1")
    listed = {one["name"]: sorted(one["verbs"]) for one in json.loads(done.stdout)["resources"]}
    assert listed["pods/portforward"] == listed["pods/exec"] == ["create", "get"]
    assert listed["pods/log"] == ["get"]
