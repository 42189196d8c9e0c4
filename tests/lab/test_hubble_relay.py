"""A relay's habits, over agents whose logs the tests write themselves."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf import json_format
from hubble_support import DATA
from net_support import SmallStore

from acns_chaos.lab.hubble.agent import Agent
from acns_chaos.lab.hubble.nodes import Nodes
from acns_chaos.lab.hubble.relay import Relay
from acns_chaos.lab.world import load_world
from acns_chaos.wire import flow_pb2, observer_pb2

RING = 15
SECOND = 1_000_000_000


class Cluster:
    """Two nodes and a relay, in real time."""

    def __init__(self) -> None:
        world = load_world(str(DATA / "world.yaml"))
        store = SmallStore(world.objects)
        node = store.list("Node")[0]
        node["metadata"]["name"] = "node1"
        store.put(node)
        self.nodes = Nodes(store, RING, time.time_ns)
        self.relay = Relay(self.nodes, "hubble-relay-0", time.time_ns)
        self._count = itertools.count(1)

    def __getitem__(self, node: str) -> Agent:
        return self.nodes.agent(node)

    def log(self, node: str, *, verdict: str = "DROPPED", ago: float = 0.0) -> int:
        """Log one flow; returns the source port that tells it from others."""
        number = next(self._count)
        flow = flow_pb2.Flow(verdict=verdict, node_name=node)
        flow.l4.TCP.source_port = number
        flow.source.namespace = "pets"
        self[node].write(flow, time.time_ns() - int(ago * SECOND))
        return number

    def request(self, **fields: Any) -> observer_pb2.GetFlowsRequest:
        return json_format.ParseDict(fields, observer_pb2.GetFlowsRequest())

    async def get(self, **fields: Any) -> list[observer_pb2.GetFlowsResponse]:
        """A whole stream."""
        return [response async for response in self.relay.get_flows(self.request(**fields))]

    async def ports(self, **fields: Any) -> list[int]:
        """The flows of a whole stream."""
        return ports(await self.get(**fields))

    def follow(self, **fields: Any) -> AsyncIterator[observer_pb2.GetFlowsResponse]:
        return self.relay.get_flows(self.request(follow=True, **fields))


def ports(responses: list[observer_pb2.GetFlowsResponse]) -> list[int]:
    return [r.flow.l4.TCP.source_port for r in responses if r.HasField("flow")]


def statuses(responses: list[observer_pb2.GetFlowsResponse]) -> list[tuple[str, list[str], str]]:
    found = [r.node_status for r in responses if r.HasField("node_status")]
    names = ("UNKNOWN", "CONNECTED", "UNAVAILABLE", "GONE", "ERROR")
    return [(names[s.state_change], list(s.node_names), s.message) for s in found]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


async def test_the_first_message_names_the_nodes(cluster: Cluster) -> None:
    """Even where there is no flow at all; the relay signs it with its own name."""
    responses = await cluster.get()
    assert statuses(responses) == [("CONNECTED", ["node0", "node1"], "")]
    assert responses[0].node_name == "hubble-relay-0"
    assert abs(responses[0].time.seconds - time.time()) < 5


async def test_the_newest_flow_of_a_node_is_hidden_until_another_event_comes(
    cluster: Cluster,
) -> None:
    """An event that is no flow is enough, but only one of the same node."""
    first = cluster.log("node0")
    assert await cluster.ports() == []
    cluster.log("node1")
    assert await cluster.ports() == []
    cluster["node0"].write_other(time.time_ns())
    assert await cluster.ports() == [first]


async def test_flows_of_all_nodes_come_in_the_order_of_time(cluster: Cluster) -> None:
    """Each node's log is in order; the relay merges them."""
    sent = [cluster.log(f"node{n % 2}", ago=10 - n) for n in range(8)]
    cluster["node0"].write_other(time.time_ns())
    cluster["node1"].write_other(time.time_ns())
    assert await cluster.ports() == sent


async def test_number_without_a_filter_counts_entries_that_are_no_flows(cluster: Cluster) -> None:
    """The last three events hold one flow here; with a filter three flows come, of each node."""
    sent = [cluster.log("node0") for _ in range(4)]
    for _ in range(3):
        cluster["node0"].write_other(time.time_ns())
    assert await cluster.ports(number=3) == sent[-1:]
    dropped = [{"verdict": ["DROPPED"]}]
    assert await cluster.ports(number=3, whitelist=dropped) == sent[-3:]
    assert await cluster.ports(number=3, blacklist=dropped) == []


async def test_first_counts_from_the_oldest(cluster: Cluster) -> None:
    """`first` with a number gives the beginning, without one everything."""
    sent = [cluster.log("node0") for _ in range(6)]
    assert await cluster.ports(first=True, number=2) == sent[:2]
    assert await cluster.ports(first=True) == sent[:5]


async def test_since_and_until_cut_a_window(cluster: Cluster) -> None:
    """`since` comes before `number`, which then limits from there on; the future holds nothing."""
    sent = [cluster.log("node0", ago=50 - 10 * n) for n in range(6)]
    now = time.time()

    def at(ago: float) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - ago))
        return str(stamp)

    assert await cluster.ports(since=at(35)) == sent[2:5]
    assert await cluster.ports(since=at(35), until=at(15)) == sent[2:4]
    assert await cluster.ports(since=at(35), number=1) == sent[2:3]
    assert await cluster.ports(until=at(35)) == sent[:2]
    assert await cluster.ports(since=at(-60)) == []


async def test_the_ring_wraps_without_a_word(cluster: Cluster) -> None:
    """What is left comes, and nothing says that there was more."""
    sent = [cluster.log("node0") for _ in range(40)]
    responses = await cluster.get(since="2020-01-01T00:00:00Z")
    assert ports(responses) == sent[-RING - 1 : -1]
    assert not any(response.HasField("lost_events") for response in responses)
    status = cluster.relay.server_status()
    assert (status.num_flows, status.max_flows, status.seen_flows) == (RING, 2 * RING, 40)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"whitelist": [{"source_label": ["app in (("]}]},
            (
                "invalid source label filter: unable to parse requirement: found '(', "
                "expected: ',', ')' or identifier"
            ),
        ),
        (
            {"first": True, "follow": True},
            "rpc error: code = InvalidArgument desc = first cannot be specified with follow",
        ),
        ({"field_mask": "no.such"}, "invalid fieldmask"),
    ],
)
async def test_a_bad_request_is_a_message_in_a_stream_that_ends_well(
    cluster: Cluster, fields: dict[str, Any], message: str
) -> None:
    """Every node reports the same error, so it is told once, for all of them."""
    assert statuses(await cluster.get(**fields)) == [
        ("CONNECTED", ["node0", "node1"], ""),
        ("ERROR", ["node0", "node1"], message),
    ]


async def test_a_field_mask_leaves_only_what_it_names(cluster: Cluster) -> None:
    """The time of the response is taken from what is left, so it goes too."""
    cluster.log("node0")
    cluster.log("node0")
    request = observer_pb2.GetFlowsRequest()
    request.field_mask.paths.extend(["verdict", "l4.TCP"])
    response = [response async for response in cluster.relay.get_flows(request)][-1]
    assert {field.name for field, _ in response.flow.ListFields()} == {"verdict", "l4"}
    assert not response.HasField("time")
    assert response.node_name == ""


async def test_an_unreachable_node_is_named_and_the_others_go_on(cluster: Cluster) -> None:
    """The stream ends well; status and node list say what is missing."""
    sent = cluster.log("node1")
    cluster.log("node1")
    cluster["node0"].set_up(False)
    responses = await cluster.get()
    assert statuses(responses) == [
        ("CONNECTED", ["node1"], ""),
        ("UNAVAILABLE", ["node0"], ""),
    ]
    assert ports(responses) == [sent]
    status = cluster.relay.server_status()
    assert (status.num_connected_nodes.value, status.num_unavailable_nodes.value) == (1, 1)
    assert list(status.unavailable_nodes) == ["node0"]
    assert [node.state for node in cluster.relay.get_nodes().nodes] == [2, 1]


async def test_losses_are_told_before_the_next_flow_that_is_kept(cluster: Cluster) -> None:
    """How many, and between which moments; a filter does not hide that."""
    cluster["node0"].lose(next_n=3)
    for _ in range(5):
        cluster.log("node0")
    responses = await cluster.get(whitelist=[{"verdict": ["ERROR"]}])
    lost = [r.lost_events for r in responses if r.HasField("lost_events")]
    assert [(one.source, one.num_events_lost) for one in lost] == [(3, 3)]
    assert lost[0].first.ToNanoseconds() < lost[0].last.ToNanoseconds()


async def test_one_of_so_many_is_lost(cluster: Cluster) -> None:
    """Every third flow is missing until that is stopped."""
    cluster["node0"].lose(every_nth=3)
    sent = [cluster.log("node0") for _ in range(7)]
    assert await cluster.ports() == [sent[0], sent[1], sent[3], sent[4]]


async def test_the_namespaces_are_those_of_the_flows(cluster: Cluster) -> None:
    """Sorted, and without the cluster's name, which is the default one."""
    cluster.log("node0")
    assert json_format.MessageToDict(cluster.relay.get_namespaces()) == {
        "namespaces": [{"namespace": "pets"}]
    }


@pytest.mark.slow
async def test_followed_flows_wait_for_a_second_without_any(cluster: Cluster) -> None:
    """Each flow starts the second anew; then all come, sorted; the first is the newest old one."""
    old = cluster.log("node0", ago=5)
    cluster.log("node0", ago=5)
    stream = cluster.follow()
    assert (await anext(stream)).HasField("node_status")
    received: list[tuple[float, int]] = []

    async def read() -> None:
        async for response in stream:
            arrived = time.monotonic()
            received.append((arrived, response.flow.l4.TCP.source_port))

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.05)
    begun = time.monotonic()
    for _ in range(4):
        cluster.log("node0")
        await asyncio.sleep(0.3)
    while len(received) < 5 and time.monotonic() < begun + 5:
        await asyncio.sleep(0.02)
    reading.cancel()
    last_sent = begun + 0.9
    assert received[0][1] == old
    assert [port for _, port in received] == list(range(1, 6))
    assert all(at >= last_sent + 0.95 for at, _ in received)
    assert received[-1][0] < last_sent + 1.8


@pytest.mark.slow
async def test_a_full_sort_buffer_gives_the_oldest_at_once(cluster: Cluster) -> None:
    """One flow more than it holds pushes one out; a reader that is overtaken is told its losses."""
    stream = cluster.follow(since="2020-01-01T00:00:00Z", number=1)
    assert (await anext(stream)).HasField("node_status")
    for _ in range(5):
        cluster.log("node0")
    begun = time.monotonic()
    assert (await anext(stream)).flow.l4.TCP.source_port == 1
    assert time.monotonic() - begun < 0.5
    await stream.aclose()


async def test_a_reader_that_falls_behind_is_told_its_losses(cluster: Cluster) -> None:
    """A client that does not read loses what the ring overwrites, and learns how much."""
    from acns_chaos.lab.hubble.selection import Reader, Selection

    selection = Selection.of(cluster.request(follow=True, since="2020-01-01T00:00:00Z"))
    reader = Reader(cluster["node0"], selection, time.time_ns)
    cluster.log("node0")
    cluster.log("node0")
    stream = reader.following()
    assert (await anext(stream)).flow.l4.TCP.source_port == 1
    for _ in range(40):
        cluster.log("node0")
    lost = (await anext(stream)).lost_events
    assert (lost.source, lost.num_events_lost) == (flow_pb2.HUBBLE_RING_BUFFER, 25)
    assert (await anext(stream)).flow.l4.TCP.source_port == 27
    await stream.aclose()


@pytest.mark.slow
async def test_a_restarted_agent_ends_what_followed_it(cluster: Cluster) -> None:
    """With one node the stream ends, well, after an error message; its log begins anew."""
    cluster["node1"].set_up(False)
    cluster.log("node0")
    stream = cluster.follow()
    assert (await anext(stream)).HasField("node_status")
    assert (await anext(stream)).HasField("node_status")
    asyncio.get_running_loop().call_later(0.1, cluster["node0"].restart)
    rest = [response async for response in stream]
    eof = "rpc error: code = Unavailable desc = error reading from server: EOF"
    assert statuses(rest) == [("ERROR", ["node0"], eof)]
    assert cluster.relay.server_status().seen_flows == 0


@pytest.mark.slow
async def test_a_node_that_comes_back_joins_a_running_stream(cluster: Cluster) -> None:
    """While another node keeps it alive, the relay looks for peers every two seconds."""
    cluster["node0"].set_up(False)
    stream = cluster.follow()
    received: list[int] = []

    async def read() -> None:
        async for response in stream:
            received.extend(ports([response]))

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.1)
    cluster["node0"].set_up(True)
    begun = time.monotonic()
    sent = cluster.log("node0")
    cluster.log("node0")
    while sent not in received and time.monotonic() < begun + 6:
        await asyncio.sleep(0.05)
    reading.cancel()
    assert sent in received
