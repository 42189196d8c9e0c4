"""pods/exec: channels, the final Status, and the refusals before the upgrade."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import WSMsgType
from conftest import TOKEN, InProcessLab

EXEC = "/api/v1/namespaces/pets/pods/shop/exec"
PAIR = "/api/v1/namespaces/pets/pods/pair/exec"
V4 = ("v4.channel.k8s.io",)


async def run(
    lab: InProcessLab, path: str, query: str, protocols: tuple[str, ...] = V4
) -> tuple[list[bytes], dict[int, bytes], str | None]:
    """Execute; returns the messages, what came on each channel, and the chosen protocol."""
    messages: list[bytes] = []
    async with lab.http.ws_connect(
        f"{path}?{query}", headers={"Authorization": f"Bearer {TOKEN}"}, protocols=protocols
    ) as socket:
        async with asyncio.timeout(5):
            async for message in socket:
                assert message.type is WSMsgType.BINARY
                messages.append(message.data)
    channels: dict[int, bytes] = {}
    for one in messages:
        channels[one[0]] = channels.get(one[0], b"") + one[1:]
    return messages, channels, socket.protocol


async def test_output_and_success(lab: InProcessLab) -> None:
    """The output is channel 1, stderr 2, and channel 3 ends with a Success."""
    query = "command=echo&command=two%20words&stdout=true&stderr=true"
    messages, channels, protocol = await run(lab, EXEC, query)
    assert messages[0] == b"\x01"
    assert channels[1] == b"shop: echo two words\n"
    assert channels[2] == b"a warning\n"
    assert json.loads(channels[3]) == {"metadata": {}, "status": "Success"}
    assert protocol == "v4.channel.k8s.io"


async def test_a_failing_command(lab: InProcessLab) -> None:
    """A non-zero exit code is a Failure whose cause holds the number."""
    _, channels, _ = await run(lab, EXEC, "command=exit&command=3&stdout=1&stderr=1")
    assert json.loads(channels[3]) == {
        "metadata": {},
        "status": "Failure",
        "message": "command terminated with non-zero exit code: exit status 3",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
    }


async def test_only_the_wanted_streams(lab: InProcessLab) -> None:
    """Without stdout=true nothing comes on channel 1."""
    messages, channels, _ = await run(lab, EXEC, "command=echo&stderr=true&stdout=false")
    assert messages[0] == b"\x02"
    assert set(channels) == {2, 3}


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (("v5.channel.k8s.io", "v4.channel.k8s.io"), "v5.channel.k8s.io"),
        (("v4.channel.k8s.io", "v5.channel.k8s.io"), "v4.channel.k8s.io"),
    ],
)
async def test_the_first_known_protocol_wins(
    lab: InProcessLab, offered: tuple[str, ...], chosen: str
) -> None:
    """The client's order of protocols decides."""
    _, _, protocol = await run(lab, EXEC, "command=echo&stdout=true", offered)
    assert protocol == chosen


async def test_the_container_can_be_named(lab: InProcessLab) -> None:
    """A pod of two containers runs the command in the named one."""
    _, channels, _ = await run(lab, PAIR, "command=id&container=proxy&stdout=true")
    assert channels[1] == b"proxy: id\n"


@pytest.mark.parametrize(
    ("path", "query", "code", "message"),
    [
        (EXEC.replace("shop", "none"), "command=id&stdout=1", 404, 'pods "none" not found'),
        (
            PAIR,
            "command=id&stdout=1",
            400,
            (
                "a container name must be specified for pod pair, choose one of: [web proxy] or "
                "one of the init containers: [setup]"
            ),
        ),
        (
            EXEC,
            "command=id&stdout=1&container=none",
            400,
            "container none is not valid for pod shop",
        ),
        (EXEC, "stdout=1", 400, "you must specify at least 1 command for the container"),
        (EXEC, "command=id", 400, "you must specify at least 1 of stdin, stdout, stderr"),
        (EXEC, "command=id&user=0", 501, "the lab does not model the parameter user=0 of exec"),
        (EXEC, "command=id&stdout=1", 400, "Upgrade request required"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_refusals(
    lab: InProcessLab, method: str, path: str, query: str, code: int, message: str
) -> None:
    """What cannot be executed is refused before the upgrade, worded as the API server does."""
    reply = await lab.call(method, f"{path}?{query}")
    assert (reply.code, reply.message) == (code, message)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (
            {"Upgrade": "SPDY/2"},
            "the lab does not model exec over SPDY/2, only SPDY/3.1 and WebSocket",
        ),
        (
            {"Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v3.channel.k8s.io"},
            "the lab does not model the exec protocol v3.channel.k8s.io, only v4.channel.k8s.io",
        ),
        (
            {"Upgrade": "websocket", "Sec-WebSocket-Protocol": "base64.channel.k8s.io"},
            (
                "the lab does not model the exec protocol base64.channel.k8s.io, only "
                "v5.channel.k8s.io and v4.channel.k8s.io"
            ),
        ),
    ],
)
async def test_other_transports_are_named(
    lab: InProcessLab, headers: dict[str, Any], message: str
) -> None:
    """Older transports and channel protocols are a 501 with their name."""
    sent = {"Connection": "Upgrade", **headers}
    reply = await lab.call("POST", f"{EXEC}?command=id&stdout=1", **sent)
    assert (reply.code, reply.message) == (501, message)


async def test_a_client_that_leaves_ends_the_command(lab: InProcessLab) -> None:
    """Closing the socket cancels the running command at once."""
    before = asyncio.all_tasks()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    query = "command=sleep&command=60&stdout=1"
    async with lab.http.ws_connect(f"{EXEC}?{query}", headers=headers, protocols=V4) as socket:
        await socket.receive_bytes()
        running = {task for task in asyncio.all_tasks() - before if "_run" in repr(task)}
        assert len(running) == 1
    await asyncio.wait(running, timeout=2)
    assert all(task.cancelled() for task in running)


async def test_a_terminal_gets_one_stream_with_its_line_ends(lab: InProcessLab) -> None:
    """With tty=true stderr arrives on stdout, and lines end as a terminal wants them."""
    query = "command=echo&command=hi&stdout=1&stderr=1&tty=1&stdin=1"
    _, channels, _ = await run(lab, EXEC, query)
    assert channels[1] == b"shop: echo hi\r\na warning\r\n"
    assert 2 not in channels
