"""What the tests of Hubble share: the recorded cluster, its flows, and how both are compared."""

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from net_support import Bench

from acns_chaos.lab.hubble.agent import Agent
from acns_chaos.lab.hubble.ring import FLOW
from acns_chaos.lab.world import load_world
from acns_chaos.policy import Endpoint
from acns_chaos.wire import flow_pb2

DATA = Path(__file__).parents[1] / "data" / "hubble"
RECORDED = json.loads((DATA / "flows.json").read_text())
CASES: dict[str, list[dict[str, Any]]] = RECORDED["cases"]
OUTSIDE = Endpoint.outside("198.51.100.10")
_EPHEMERAL = 30_000


class RecordedCluster(Bench):
    """The cluster in which the flows were recorded, in jumping time."""

    def __init__(self, *, second_node: str = "") -> None:
        """Args: second_node: an app whose pod runs on another node than the rest."""
        world = load_world(str(DATA / "world.yaml"))
        if second_node:
            objects = copy.deepcopy(world.objects)
            node = copy.deepcopy(next(one for one in objects if one["kind"] == "Node"))
            node["metadata"]["name"] = "node1"
            node["status"]["addresses"][0]["address"] = "198.51.100.3"
            for one in objects:
                if one["kind"] == "Pod" and one["metadata"]["name"].startswith(second_node):
                    one["spec"]["nodeName"] = "node1"
            world = replace(world, objects=[*objects, node])
        super().__init__(world)

    async def apply_later(self, step: str) -> None:
        """Write a policy of the world's `later` and wait until it is enforced."""
        for policy in self.world.later[step]:
            self.store.put(policy)
        await self.clock.advance(0.1)
        self.forget()

    def forget(self) -> None:
        """Begin a new log."""
        self.agent().restart()

    def agent(self) -> Agent:
        return self.net.relay.recorder._nodes.agents()[0]

    async def connect(self, source: Endpoint, ip: str, port: int) -> None:
        """Try a connection for a moment: one SYN."""
        await self.clock.run(self.net.connections.connect(source, ip, port, timeout=0.5))

    def seen(self) -> list[dict[str, Any]]:
        """What the node has logged, as the recordings are written."""
        return [normal(flow) for flow in flows(self.agent())]


def flows(agent: Agent) -> list[flow_pb2.Flow]:
    """Every flow of an agent, the hidden newest one too."""
    ring = agent.ring
    agent.write_other(0)
    entries = [ring.read(position) for position in range(ring.oldest, ring.end)]
    return [flow_pb2.Flow.FromString(e.data) for e in entries if e.kind == FLOW]


def normal(flow: flow_pb2.Flow) -> dict[str, Any]:
    """A flow as the recordings are written: without what differs from run to run."""
    found: dict[str, Any] = json_format.MessageToDict(flow, preserving_proto_field_name=True)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", found.pop("uuid"))
    assert found.pop("time")
    found["emitter"] = found["emitter"]["name"]
    found["node_labels"] = len(found["node_labels"])
    for side in ("source", "destination"):
        names = [n for n, e in RECORDED["endpoints"].items() if e == found[side]]
        found[side] = names[0] if names else found[side]
    if "ethernet" in found:
        mac = r"([0-9a-f]{2}:){5}[0-9a-f]{2}"
        assert all(re.fullmatch(mac, address) for address in found["ethernet"].values())
        found["ethernet"] = "two addresses" if len(found["ethernet"]) == 2 else "one"
    if "interface" in found:
        assert found["interface"]["index"] > 0
        found["interface"] = re.sub("lxc.*", "lxc", found["interface"]["name"])
    if "proxy_port" in found:
        found["proxy_port"] = "some"
    if found["IP"]["source"].startswith("fe80::"):
        found["IP"]["source"] = "link-local"
    for policy in (p for key in found if key.endswith("_by") for p in found[key]):
        policy["revision"] = "some"
        policy["labels"] = [re.sub("uid=.*", "uid=some", label) for label in policy["labels"]]
    layer4 = next(iter(found["l4"].values()))
    for port in ("source_port", "destination_port"):
        if layer4.get(port, 0) > _EPHEMERAL:
            layer4[port] = "chosen"
    return found
