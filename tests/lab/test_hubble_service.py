"""The relay as a part of the lab: it fails on request, and comes back where it was."""

import asyncio
import socket
from collections.abc import AsyncIterator

import grpc
import pytest
from hubble_support import RecordedCluster, flows
from net_support import Bench

from acns_chaos.lab.hubble.front import FrontError
from acns_chaos.lab.hubble.service import Hubble, HubbleError
from acns_chaos.wire import observer_pb2
from acns_chaos.wire.observer_pb2_grpc import ObserverStub


@pytest.fixture
async def cluster() -> AsyncIterator[RecordedCluster]:
    cluster = RecordedCluster()
    await cluster.net.relay.start()
    yield cluster
    await cluster.net.relay.stop()


def channel(hubble: Hubble) -> grpc.aio.Channel:
    certificates = hubble._certificates
    credentials = grpc.ssl_channel_credentials(
        certificates.authority, certificates.client.key, certificates.client.chain
    )
    name = ("grpc.ssl_target_name_override", "ui.hubble-relay.cilium.io")
    assert hubble.address is not None
    return grpc.aio.secure_channel("{}:{}".format(*hubble.address), credentials, options=[name])


async def status(hubble: Hubble) -> observer_pb2.ServerStatusResponse:
    async with channel(hubble) as opened:
        request = observer_pb2.ServerStatusRequest()
        return await ObserverStub(opened).ServerStatus(request, timeout=5)


async def test_a_relay_that_is_down_refuses_and_comes_back_at_its_address(
    cluster: RecordedCluster,
) -> None:
    """Clients find nobody listening; afterwards the same address answers, with nothing lost."""
    hubble = cluster.net.relay
    address = hubble.address
    hubble.set_down(True)
    await hubble.settled()
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await status(hubble)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    hubble.set_down(False)
    await hubble.settled()
    assert hubble.address == address
    assert (await status(hubble)).num_connected_nodes.value == 1


async def test_a_stream_ends_when_the_relay_goes_down(cluster: RecordedCluster) -> None:
    """A client that follows does not hang."""
    hubble = cluster.net.relay
    async with channel(hubble) as opened:
        stream = ObserverStub(opened).GetFlows(observer_pb2.GetFlowsRequest(follow=True))
        assert (await stream.read()).HasField("node_status")
        hubble.set_down(True)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await asyncio.wait_for(stream.read(), 5)
    assert failed.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


async def test_a_port_that_was_taken_meanwhile_is_an_error_in_one_sentence(
    cluster: RecordedCluster,
) -> None:
    """The lab does not share a port with another program."""
    hubble = cluster.net.relay
    hubble.set_down(True)
    await hubble.settled()
    assert hubble.address is not None
    with socket.socket() as other:
        other.bind(hubble.address)
        other.listen()
        hubble.set_down(False)
        with pytest.raises(FrontError, match=r"^Port \d+ on 127.0.0.1 is taken"):
            await hubble.settled()


async def test_failures_of_nodes_are_asked_for_by_name(cluster: RecordedCluster) -> None:
    """An unknown name is refused with the names there are."""
    hubble = cluster.net.relay
    hubble.node_down("node0", True)
    assert list((await status(hubble)).unavailable_nodes) == ["node0"]
    hubble.node_down("node0", False)
    hubble.record_noise(5)
    assert (await status(hubble)).seen_flows == 5
    hubble.restart_agent("node0")
    assert (await status(hubble)).seen_flows == 0
    with pytest.raises(HubbleError, match='There is no node "x": name one of node0'):
        hubble.node_down("x")


async def test_lost_flows_are_missing_from_the_log(cluster: RecordedCluster) -> None:
    """Those that are kept begin after the loss."""
    hubble = cluster.net.relay
    hubble.lose(3)
    hubble.record_noise(5)
    assert len(flows(cluster.agent())) == 2


def test_the_secrets_are_those_of_a_cluster() -> None:
    """Names, type and keys; the server's and the client's differ."""
    assert RecordedCluster().net.relay.secrets() == []  # no relay in that world
    server, client = Bench().net.relay.secrets()
    assert server["metadata"]["name"] == "hubble-relay-server-certs"
    assert client["metadata"]["name"] == "hubble-relay-client-certs"
    for secret in (server, client):
        assert secret["type"] == "kubernetes.io/tls"
        assert secret["metadata"]["namespace"] == "kube-system"
        assert list(secret["data"]) == ["ca.crt", "tls.crt", "tls.key"]
    assert server["data"]["ca.crt"] == client["data"]["ca.crt"]
    assert server["data"]["tls.key"] != client["data"]["tls.key"]
