"""Exec as clients speak it: input that ends, SPDY, the real kubectl of both kinds, chaosk8s."""

import asyncio
import gc
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, WSMsgType
from aiohttp.test_utils import TestServer
from chaosk8s.pod.actions import exec_in_pods
from conftest import TOKEN, WORLD
from kubectls import kubectl_path, run_kubectl  # noqa: F401 - a fixture
from kubernetes.config import kube_config

from acns_chaos.lab.api.app import Api
from acns_chaos.lab.api.pods.exec import ExecRequest
from acns_chaos.lab.api.store import Store
from acns_chaos.lab.api.streams import frames
from acns_chaos.lab.api.streams.frames import Decoder, Encoder, Frame, SynStream
from acns_chaos.lab.api.writing.admission import load, load_definitions

EXEC = "/api/v1/namespaces/pets/pods/shop/exec?command=cat"
SPDY = {
    "Connection": "Upgrade",
    "Upgrade": "SPDY/3.1",
    "X-Stream-Protocol-Version": "v4.channel.k8s.io, v3.channel.k8s.io",
}
SUCCESS = {"metadata": {}, "status": "Success"}


SERVERS: dict[int, TestServer] = {}


async def copy(request: ExecRequest) -> int:
    """A `cat` without arguments: its input is its output."""
    assert request.stdin
    while data := await request.stdin.read(1000):
        await request.stdout(data)
    await request.stderr(b"the end\n")
    return 0


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """An API server whose every command copies its input; yields its port."""
    store = Store()
    load_definitions(store)
    for obj in WORLD:
        load(store, obj)
    server = TestServer(Api(store, TOKEN, copy, "v1.33.5").application())
    await server.start_server(shutdown_timeout=0.1)
    assert server.port
    SERVERS[server.port] = server
    yield server.port
    await server.close()


async def over_websocket(port: int, sent: list[bytes], protocol: str) -> dict[int, bytes]:
    """Execute, sending messages as they are; returns what came on each channel."""
    channels: dict[int, bytes] = {}
    server = f"http://127.0.0.1:{port}{EXEC}&stdin=1&stdout=1&stderr=1"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        ClientSession(headers=headers) as client,
        client.ws_connect(server, protocols=(protocol,)) as socket,
    ):
        for one in sent:
            await socket.send_bytes(one)
        async with asyncio.timeout(5):
            async for message in socket:
                assert message.type is WSMsgType.BINARY
                data = message.data
                channels[data[0]] = channels.get(data[0], b"") + data[1:]
    return channels


async def test_input_ends_in_protocol_5(port: int) -> None:
    """Channel 255 ends the input that it names; nothing after it is read."""
    sent = [b"\x00one ", b"\x00", b"\x04{}", b"\x07?", b"\x00two", b"\xff\x00", b"\x00three"]
    channels = await over_websocket(port, sent, "v5.channel.k8s.io")
    assert channels[1] == b"one two"
    assert channels[2] == b"the end\n"
    assert json.loads(channels[3]) == SUCCESS


async def test_input_goes_on_in_protocol_4(port: int) -> None:
    """Channel 255 is no signal in protocol 4: the command waits for more until the client goes."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await over_websocket(port, [b"\x00one", b"\xff\x00"], "v4.channel.k8s.io")


class SpdyClient:
    """A bare SPDY client over a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._encoder, self._decoder = Encoder(), Decoder()
        self.received: list[Frame] = []

    def say(self, *said: Frame | bytes) -> None:
        """Send frames, or bytes as they are."""
        for one in said:
            self._writer.write(one if isinstance(one, bytes) else self._encoder.encode(one))

    async def until_closed(self) -> None:
        """Receive until the server closes."""
        async with asyncio.timeout(10):
            while data := await self._reader.read(65536):
                self.received += self._decoder.feed(data)

    async def until(self, wanted: type[Frame]) -> None:
        """Receive until a frame of a kind has come."""
        async with asyncio.timeout(10):
            while not any(isinstance(frame, wanted) for frame in self.received):
                data = await self._reader.read(65536)
                assert data, self.received
                self.received += self._decoder.feed(data)

    def data(self, stream: int) -> bytes:
        """What came on a stream."""
        return b"".join(
            frame.data
            for frame in self.received
            if isinstance(frame, frames.Data) and frame.stream == stream
        )


@asynccontextmanager
async def spdy(port: int, query: str) -> AsyncIterator[SpdyClient]:
    """A connection on which the server has accepted SPDY."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"POST {EXEC}{query} HTTP/1.1", "Host: lab", f"Authorization: Bearer {TOKEN}"]
    lines += [f"{name}: {value}" for name, value in SPDY.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"X-Stream-Protocol-Version: v4.channel.k8s.io\r\n" in answer
    yield SpdyClient(reader, writer)
    writer.close()
    await writer.wait_closed()


STREAMS = [
    SynStream(1, {"streamtype": "error"}, True),
    SynStream(3, {"streamtype": "stdin"}),
    SynStream(5, {"streamtype": "stdout"}),
    SynStream(7, {"streamtype": "stderr"}),
]


async def test_spdy(port: int) -> None:
    """Input, both outputs and the Status travel on streams of their own, each of which ends."""
    async with spdy(port, "&stdin=1&stdout=1&stderr=1") as client:
        client.say(*STREAMS, frames.Data(3, b"x" * 200_000), frames.Data(3, b"end", True))
        await client.until(frames.GoAway)
        client.say(frames.GoAway(0))
    assert client.data(5) == b"x" * 200_000 + b"end"
    assert client.data(7) == b"the end\n"
    assert json.loads(client.data(1)) == SUCCESS
    ended = {f.stream for f in client.received if isinstance(f, frames.Data) and f.fin}
    assert ended == {1, 5, 7}


async def test_spdy_streams_that_were_not_asked_for(port: int) -> None:
    """A stream of a kind that the query does not name, and a second of its kind, are reset."""
    async with spdy(port, "&stdin=1&stdout=1") as client:
        client.say(SynStream(1, {"streamtype": "stderr"}), SynStream(3, {"streamtype": "stdin"}))
        client.say(SynStream(5, {"streamtype": "stdin"}), SynStream(7))
        client.say(SynStream(9, {"streamtype": "error"}), SynStream(11, {"streamtype": "stdout"}))
        client.say(frames.Data(3, b"hello", True))
        await client.until(frames.GoAway)
    resets = [f.stream for f in client.received if isinstance(f, frames.RstStream)]
    assert resets == [1, 5, 7]
    assert client.data(11) == b"hello"


@pytest.mark.parametrize(
    "said",
    [b"\xff" * 64, b"GET / HTTP/1.1\r\n\r\n", b"\x80\x03\0\1\0\xff\xff\xff"],
    ids=["ones", "HTTP", "a huge frame"],
)
async def test_spdy_nonsense_closes_the_connection(port: int, said: bytes) -> None:
    """Bytes that are no SPDY end the connection, and the server serves on."""
    async with spdy(port, "&stdin=1&stdout=1") as client:
        client.say(SynStream(1, {"streamtype": "error"}), said)
        await client.until_closed()
    assert client.received[-1] == frames.GoAway(1, frames.PROTOCOL_ERROR)
    assert (await over_websocket(port, [b"\x00on\xff", b"\xff\x00"], "v5.channel.k8s.io"))[1]


async def test_a_spdy_client_that_leaves_ends_the_command(port: int) -> None:
    """When the connection is lost, the command and all that served it are gone."""
    before = asyncio.all_tasks()
    async with spdy(port, "&stdin=1&stdout=1&stderr=1") as client:
        client.say(*STREAMS, frames.Data(3, b"x"))
        await client.until(frames.Data)
        serving = asyncio.all_tasks() - before
    await asyncio.wait(serving, timeout=2)
    assert all(task.done() for task in serving)


async def test_open_streams_do_not_hold_up_the_server(port: int) -> None:
    """A server that is told to stop ends the commands and connections that are still open."""
    async with spdy(port, "&stdin=1&stdout=1&stderr=1") as client:
        client.say(*STREAMS, frames.Data(3, b"x"))
        await client.until(frames.Data)
        async with asyncio.timeout(1):
            await SERVERS[port].close()
        await client.until_closed()


TRANSPORTS = pytest.mark.parametrize("websockets", ["true", "false"], ids=["WebSocket", "SPDY"])


@TRANSPORTS
def test_kubectl_executes(
    lab_process: dict[str, Any],
    kubectl_path: str,  # noqa: F811
    websockets: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Output, errors and exit code arrive over either transport; an old kubectl knows one only."""
    monkeypatch.setenv("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets)
    where = ("-n", "pets", "exec", "deploy/order-service", "-c", "order-service", "--")
    command = ("sh", "-c", "echo hello; curl")
    done = run_kubectl(kubectl_path, lab_process["kubeconfig"], *where, *command)
    assert (done.stdout, done.returncode) == ("hello\n", 127)
    assert done.stderr.splitlines() == [
        "sh: curl: not found",
        "command terminated with exit code 127",
    ]


@TRANSPORTS
def test_kubectl_sends_input(
    lab_process: dict[str, Any],
    kubectl_path: str,  # noqa: F811
    websockets: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`kubectl exec -i` passes its input on, and its end."""
    monkeypatch.setenv("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets)
    where = ("-n", "pets", "exec", "-i", "deploy/order-service", "-c", "order-service", "--")
    text = "some text\n" * 20_000
    done = run_kubectl(kubectl_path, lab_process["kubeconfig"], *where, "cat", input=text)
    assert done.returncode == 0, done.stderr
    assert done.stdout == text


def test_kubectl_with_a_terminal(
    lab_process: dict[str, Any],
    kubectl_path: str,  # noqa: F811
) -> None:
    """In a terminal, as the workshop runs it, both outputs come with the terminal's line ends."""
    command = [kubectl_path, "exec", "-it", "-n", "pets", "deploy/order-service"]
    command += ["-c", "order-service", "--", "sh", "-c", "echo hello; curl"]
    controller, terminal = os.openpty()
    with subprocess.Popen(
        command,
        env={**os.environ, "KUBECONFIG": lab_process["kubeconfig"]},
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        out, err = process.communicate(timeout=20)
    os.close(controller)
    os.close(terminal)
    assert out == b"hello\r\nsh: curl: not found\r\n"
    assert (process.returncode, err) == (127, b"command terminated with exit code 127\n")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_chaosk8s_executes(lab_process: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """chaosk8s' own activity runs the workshop's check in every order-service pod."""
    monkeypatch.setenv("KUBECONFIG", lab_process["kubeconfig"])
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", lab_process["kubeconfig"])
    results = exec_in_pods(
        cmd="sh -c 'nc -zv -w2 rabbitmq 5672 && curl'",
        label_selector="app=order-service",
        ns="pets",
        container_name="order-service",
        secrets={"KUBERNETES_CONTEXT": lab_process["context"]},
    )
    assert [one["exit_code"] for one in results] == ["127"]
    said = "command terminated with non-zero exit code: exit status 127"
    assert results[0]["stderr"] == said
    gc.collect()  # chaosk8s never closes a client: let the warnings fall here, where they are known
