"""A client that knows only the public field numbers, against the lab that users start."""

import asyncio
import base64
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVER_NAME = "instance.hubble-relay.cilium.io"
_TYPES = {
    "string": 9,
    "uint32": 13,
    "uint64": 4,
    "int32": 5,
    "bool": 8,
    "double": 1,
    "enum": 14,
}
# Written from the public API, not from our files: message to fields, "name number type [repeated]".
# A type that is none of the above is a message of this list.
PUBLIC = {
    "Timestamp": ["seconds 1 int64", "nanos 2 int32"],
    "UInt32Value": ["value 1 uint32"],
    "BoolValue": ["value 1 bool"],
    "FlowFilter": [
        "destination_pod 4 string repeated",
        "verdict 5 enum repeated",
        "source_label 10 string repeated",
        "drop_reason_desc 33 enum repeated",
    ],
    "GetFlowsRequest": [
        "number 1 uint64",
        "follow 3 bool",
        "blacklist 5 FlowFilter repeated",
        "whitelist 6 FlowFilter repeated",
        "since 7 Timestamp",
        "until 8 Timestamp",
        "first 9 bool",
    ],
    "NodeStatusEvent": ["state_change 1 enum", "node_names 2 string repeated", "message 3 string"],
    "Endpoint": [
        "ID 1 uint32",
        "identity 2 uint32",
        "namespace 3 string",
        "labels 4 string repeated",
        "pod_name 5 string",
    ],
    "CiliumEventType": ["type 1 int32", "sub_type 2 int32"],
    "TCP": ["source_port 1 uint32", "destination_port 2 uint32"],
    "Layer4": ["TCP 1 TCP"],
    "Flow": [
        "time 1 Timestamp",
        "verdict 2 enum",
        "l4 6 Layer4",
        "source 8 Endpoint",
        "destination 9 Endpoint",
        "node_name 11 string",
        "event_type 19 CiliumEventType",
        "traffic_direction 22 enum",
        "drop_reason_desc 25 enum",
        "is_reply 26 BoolValue",
        "Summary 100000 string",
    ],
    "LostEvent": ["source 1 enum", "num_events_lost 2 uint64"],
    "GetFlowsResponse": [
        "flow 1 Flow",
        "node_status 2 NodeStatusEvent",
        "lost_events 3 LostEvent",
        "node_name 1000 string",
        "time 1001 Timestamp",
    ],
    "Empty": [],
    "ServerStatusResponse": [
        "num_flows 1 uint64",
        "max_flows 2 uint64",
        "seen_flows 3 uint64",
        "uptime_ns 4 uint64",
        "num_connected_nodes 5 UInt32Value",
        "num_unavailable_nodes 6 UInt32Value",
        "version 8 string",
        "flows_rate 9 double",
    ],
    "TLS": ["enabled 1 bool", "server_name 2 string"],
    "Node": [
        "name 1 string",
        "version 2 string",
        "address 3 string",
        "state 4 enum",
        "tls 5 TLS",
        "uptime_ns 6 uint64",
        "max_flows 8 uint64",
    ],
    "GetNodesResponse": ["nodes 1 Node repeated"],
    "Namespace": ["cluster 1 string", "namespace 2 string"],
    "GetNamespacesResponse": ["namespaces 1 Namespace repeated"],
    "HealthCheck": ["service 1 string"],
    "HealthAnswer": ["status 1 enum"],
}
DROPPED, POLICY_DENIED, INGRESS = 2, 133, 1


def messages() -> dict[str, Any]:
    """Message classes made at run time; enums are plain numbers."""
    file = descriptor_pb2.FileDescriptorProto(name="public.proto", package="t", syntax="proto3")
    for name, fields in PUBLIC.items():
        message = file.message_type.add(name=name)
        for text in fields:
            field, number, kind, *repeated = text.split()
            proto = message.field.add(name=field, number=int(number))
            proto.label = 3 if repeated else 1
            if kind in PUBLIC:
                proto.type, proto.type_name = 11, f".t.{kind}"
            else:
                # On the wire an enum is an int32.
                proto.type = 3 if kind == "int64" else _TYPES["int32" if kind == "enum" else kind]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"t.{name}"))
        for name in PUBLIC
    }


M = messages()


class Client:
    """Calls a relay by the names of its methods."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def call(self, path: str, request: Any, answer: str) -> Any:
        method = self._channel.unary_unary(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=M[answer].FromString,
        )
        return await method(request, timeout=5)

    def flows(self, **fields: Any) -> Any:
        method = self._channel.unary_stream(
            "/observer.Observer/GetFlows",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=M["GetFlowsResponse"].FromString,
        )
        return method(M["GetFlowsRequest"](**fields), timeout=10)


@pytest.fixture(scope="module")
def lab() -> Iterator[dict[str, Any]]:
    """A lab of our own: these tests change its policies."""
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


def kubernetes(lab: dict[str, Any], path: str, body: Any = None) -> Any:
    """GET from the API server, or PUT."""
    config = yaml.safe_load(Path(lab["kubeconfig"]).read_text())
    token = config["users"][0]["user"]["token"]
    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
    request = urllib.request.Request(
        lab["server"] + path,
        data=None if body is None else json.dumps(body).encode(),
        method="GET" if body is None else "PUT",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    context = ssl.create_default_context(cadata=authority.decode())
    with urllib.request.urlopen(request, context=context) as response:
        return json.load(response)


@pytest.fixture(scope="module")
def certificates(lab: dict[str, Any]) -> dict[str, bytes]:
    """The client's certificates, read as every client reads them."""
    secret = kubernetes(lab, "/api/v1/namespaces/kube-system/secrets/hubble-relay-client-certs")
    return {key: base64.b64decode(value) for key, value in secret["data"].items()}


@pytest.fixture
async def client(lab: dict[str, Any], certificates: dict[str, bytes]) -> AsyncIterator[Client]:
    credentials = grpc.ssl_channel_credentials(
        certificates["ca.crt"], certificates["tls.key"], certificates["tls.crt"]
    )
    async with channel(lab, credentials) as opened:
        yield Client(opened)


def channel(
    lab: dict[str, Any], credentials: grpc.ChannelCredentials, name: str = SERVER_NAME
) -> grpc.aio.Channel:
    return grpc.aio.secure_channel(
        lab["env"]["ACNS_CHAOS_HUBBLE_ADDRESS"],
        credentials,
        options=[("grpc.ssl_target_name_override", name)],
    )


async def test_a_denied_storefront_shows_as_flows(lab: dict[str, Any], client: Client) -> None:
    """From world to store-front: POLICY_DENIED, twice a packet, within a moment of the drop."""
    path = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies/allow-store-front-traffic"
    original = kubernetes(lab, path)
    kubernetes(lab, path, {**original, "spec": {**original["spec"], "ingress": [{}]}})
    wanted = M["FlowFilter"](
        destination_pod=["pets/store-front"],
        verdict=[DROPPED],
        drop_reason_desc=[POLICY_DENIED],
    )
    found: list[Any] = []
    host, port = lab["env"]["ACNS_CHAOS_STOREFRONT_URL"].removeprefix("http://").split(":")
    deadline = time.monotonic() + 10
    try:
        while len(found) < 2 and time.monotonic() < deadline:
            with socket.socket() as attempt:
                attempt.settimeout(0.1)
                attempt.connect_ex((host, int(port)))
            await asyncio.sleep(0.1)
            responses = [one async for one in client.flows(whitelist=[wanted], number=50)]
            found = [one.flow for one in responses if one.HasField("flow")]
    finally:
        fresh = kubernetes(lab, path)
        kubernetes(lab, path, {**fresh, "spec": original["spec"]})
    assert responses[0].node_status.state_change == 1
    assert {flow.event_type.type for flow in found} <= {1, 5}
    assert len(found) >= 2
    for flow in found:
        assert flow.destination.namespace == "pets"
        assert flow.destination.pod_name.startswith("store-front-")
        assert "reserved:world" in flow.source.labels
        assert flow.source.identity == 2
        assert flow.traffic_direction == INGRESS
        assert flow.l4.TCP.destination_port == 8080
        assert not flow.HasField("is_reply")
        assert flow.Summary == "TCP Flags: SYN"


async def test_identities_are_those_of_the_cilium_endpoints(
    lab: dict[str, Any], client: Client
) -> None:
    """What a flow says of a pod is what the pod's CiliumEndpoint says."""
    endpoints = kubernetes(lab, "/apis/cilium.io/v2/ciliumendpoints")["items"]
    known = {
        (one["metadata"]["namespace"], one["metadata"]["name"]): one["status"]["identity"]
        for one in endpoints
    }
    deadline = time.monotonic() + 10
    pods: list[Any] = []
    while not pods and time.monotonic() < deadline:
        responses = [one async for one in client.flows(number=200)]
        sides = [side for one in responses for side in (one.flow.source, one.flow.destination)]
        pods = [side for side in sides if side.pod_name]
        await asyncio.sleep(0.1)
    assert pods
    for pod in pods:
        identity = known[pod.namespace, pod.pod_name]
        assert pod.identity == identity["id"]
        assert list(pod.labels) == identity["labels"]


async def test_status_nodes_and_namespaces(lab: dict[str, Any], client: Client) -> None:
    """All nodes connected, a version, a ring's size; nodes by name and TLS name."""
    nodes = kubernetes(lab, "/api/v1/nodes")["items"]
    names = sorted(node["metadata"]["name"] for node in nodes)
    service = "/observer.Observer/"
    status = await client.call(f"{service}ServerStatus", M["Empty"](), "ServerStatusResponse")
    assert status.num_connected_nodes.value == len(names)
    assert status.HasField("num_unavailable_nodes")
    assert status.num_unavailable_nodes.value == 0
    assert status.version.startswith("hubble-relay v1.19.4")
    assert status.max_flows == 4095 * len(names)
    assert 0 < status.uptime_ns < 600 * 10**9
    answer = await client.call(f"{service}GetNodes", M["Empty"](), "GetNodesResponse")
    assert [node.name for node in answer.nodes] == names
    for node in answer.nodes:
        assert node.tls.server_name == f"{node.name}.default.hubble-grpc.cilium.io"
        assert node.address.endswith(":4244")
        assert (node.state, node.max_flows) == (1, 4095)
    answer = await client.call(f"{service}GetNamespaces", M["Empty"](), "GetNamespacesResponse")
    assert {"kube-system"} <= {one.namespace for one in answer.namespaces} | {"kube-system"}


async def test_health_is_that_of_the_whole_server(client: Client) -> None:
    """Serving; a service by name is not known."""
    path = "/grpc.health.v1.Health/Check"
    assert (await client.call(path, M["HealthCheck"](), "HealthAnswer")).status == 1
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.call(path, M["HealthCheck"](service="observer.Observer"), "HealthAnswer")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert refused.value.details() == "unknown service"


@pytest.mark.parametrize("method", ["GetAgentEvents", "GetDebugEvents"])
async def test_a_relay_has_no_agent_events(client: Client, method: str) -> None:
    """Only a single agent has them."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.call(f"/observer.Observer/{method}", M["Empty"](), "Empty")
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert refused.value.details() == f"{method} not yet implemented"


async def test_a_bad_filter_ends_the_stream_well(client: Client) -> None:
    """No error, no flow, only a node's status that says why."""
    bad = M["FlowFilter"](source_label=["app in (("])
    responses = [one async for one in client.flows(whitelist=[bad])]
    assert [one.node_status.state_change for one in responses] == [1, 4]
    assert responses[1].node_status.message.startswith("invalid source label filter: ")


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("no client certificate", ""),
        ("another authority", "CERTIFICATE_VERIFY_FAILED"),
        ("another server name", "Hostname Verification Check failed"),
        ("no TLS", ""),
    ],
)
async def test_a_tls_fault_is_unavailable(
    lab: dict[str, Any], certificates: dict[str, bytes], fault: str, text: str
) -> None:
    """Whatever is wrong, the call fails as UNAVAILABLE; the wording is the client's."""
    authority = certificates["ca.crt"]
    pair = (certificates["tls.key"], certificates["tls.crt"])
    name = "relay.example" if fault == "another server name" else SERVER_NAME
    if fault == "no client certificate":
        pair = (None, None)
    if fault == "another authority":
        config = yaml.safe_load(Path(lab["kubeconfig"]).read_text())
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"])
    opened = channel(lab, grpc.ssl_channel_credentials(authority, *pair), name)
    if fault == "no TLS":
        opened = grpc.aio.insecure_channel(lab["env"]["ACNS_CHAOS_HUBBLE_ADDRESS"])
    async with opened:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await Client(opened).call(
                "/observer.Observer/ServerStatus", M["Empty"](), "ServerStatusResponse"
            )
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert text in str(failed.value.details())


def speak(
    lab: dict[str, Any], version: ssl.TLSVersion | None, pair: Path | None = None
) -> tuple[str, bytes]:
    """Open a connection as a Go client would; the TLS version spoken and what came first."""
    host, port = lab["env"]["ACNS_CHAOS_HUBBLE_ADDRESS"].split(":")
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
    with socket.create_connection((host, int(port)), timeout=5) as plain:
        if version is None:
            plain.sendall(preface)
            return "", plain.recv(9)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2"])
        if pair is not None:
            context.load_cert_chain(pair)
        with context.wrap_socket(plain, server_hostname=SERVER_NAME) as tls:
            tls.sendall(preface)
            return str(tls.version()), tls.recv(9)


def test_tls_1_3_with_a_client_certificate_is_answered(
    lab: dict[str, Any], certificates: dict[str, bytes], tmp_path: Path
) -> None:
    """What comes first is HTTP/2's frame of settings."""
    pair = tmp_path / "client.pem"
    pair.write_bytes(certificates["tls.key"] + certificates["tls.crt"])
    spoken, first = speak(lab, ssl.TLSVersion.TLSv1_3, pair)
    assert spoken == "TLSv1.3"
    assert first[3] == 4


def test_without_a_client_certificate_comes_the_alert_for_that(lab: dict[str, Any]) -> None:
    """What Go's clients show as "remote error: tls: certificate required"."""
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        speak(lab, ssl.TLSVersion.TLSv1_3)


def test_an_older_tls_is_refused(lab: dict[str, Any]) -> None:
    """With the alert for that."""
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        speak(lab, ssl.TLSVersion.TLSv1_2)


def test_without_tls_comes_the_end_of_the_stream(lab: dict[str, Any]) -> None:
    """What Go's clients show as "error reading server preface: EOF"."""
    assert speak(lab, None) == ("", b"")


@pytest.mark.slow
def test_the_relay_is_reached_through_kubectl_port_forward(
    lab: dict[str, Any], certificates: dict[str, bytes]
) -> None:
    """As the workshop does: the service's port 443, through the API server."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    command = [kubectl, "-n", "kube-system", "port-forward", "svc/hubble-relay", ":443"]
    environment = {**os.environ, "KUBECONFIG": lab["kubeconfig"]}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as forward:
        try:
            assert forward.stdout
            line = forward.stdout.readline()
            port = line.removeprefix("Forwarding from 127.0.0.1:").partition(" ")[0]
            credentials = grpc.ssl_channel_credentials(
                certificates["ca.crt"], certificates["tls.key"], certificates["tls.crt"]
            )
            options = [("grpc.ssl_target_name_override", SERVER_NAME)]
            with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as opened:
                status = opened.unary_unary(
                    "/observer.Observer/ServerStatus",
                    request_serializer=lambda message: message.SerializeToString(),
                    response_deserializer=M["ServerStatusResponse"].FromString,
                )
                assert status(M["Empty"](), timeout=10).num_connected_nodes.value >= 1
        finally:
            forward.terminate()
