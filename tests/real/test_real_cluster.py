"""What the product relies on and the lab does not model (`acns_chaos/lab/__init__.py`).

CONTRIBUTING.md says how to run them. Against the lab most of them fail, each at what is missing.
"""

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import json_format

from acns_chaos.cluster.pods import pods_of
from acns_chaos.cluster.remembered import Remembered
from acns_chaos.cluster.storefront import Answer, ask, storefront_url
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError
from acns_chaos.evidence.egress import read_url
from acns_chaos.evidence.places import Asker
from acns_chaos.wire import flow_pb2

from .conftest import CONTEXT, KUBECONFIG, Place, eventually

pytestmark = [pytest.mark.real_cluster, pytest.mark.slow]


def customer(place: Place) -> Answer:
    """Ask `web` from outside, through its load balancer."""
    return ask("GET", storefront_url(place.api, place.namespace, "web", {}) + "/", 2)


@pytest.fixture
def reachable(place: Place) -> Iterator[Place]:
    """The namespace, once customers reach `web`; a load balancer takes minutes to come."""
    eventually(lambda: customer(place).status == 200, 300)
    yield place
    eventually(lambda: customer(place).status == 200, 60)


def seen_for(seconds: float, place: Place) -> list[Answer]:
    """Ask for so long, one request after the other."""
    seen: list[Answer] = []
    wait_until(lambda: seen.append(customer(place)), seconds, 0.2)
    return seen


def test_a_load_balancer_with_silent_backends_stays_silent(reachable: Place) -> None:
    """A minute of denied customers reads as silence to the end, whatever the balancer thinks.

    The product reads silence as DENIED and a refusal as UNKNOWN; the lab's balancer never takes a
    backend out of its rotation.
    """
    with reachable.policy(ingress=[{}]):
        eventually(lambda: customer(reachable).silence, 10)
        assert {answer.silence for answer in seen_for(60, reachable)} == {True}


def test_customers_are_the_world_on_every_node(reachable: Place) -> None:
    """Where `world` alone is let in, every request of the outside is answered.

    The product predicts with the identity `world`. With source NAT and native routing a backend on
    another node than the receiving one sees `remote-node` instead: this fails then, and predictions
    for customers do not hold on such a cluster. The lab has it from the documentation only.
    """
    pods = pods_of(reachable.api, reachable.namespace, "web")
    if len({pod["spec"]["nodeName"] for pod in pods}) < 2:
        pytest.skip("both pods are on one node: two nodes are needed")
    with reachable.policy(ingress=[{"fromEntities": ["world"]}]):
        eventually(lambda: "timed out" in reachable.connect().output, 10)
        statuses = [answer.status for answer in seen_for(10, reachable)]
    assert set(statuses) == {200}


def test_a_new_pod_is_denied_from_its_first_moment(place: Place) -> None:
    """Pods that are deleted during an outage come back with other names, and never answer.

    The lab creates no pods.
    """
    with place.policy(ingress=[{}]):
        eventually(lambda: "timed out" in place.connect().output, 10)
        before = {pod["metadata"]["name"] for pod in pods_of(place.api, place.namespace, "web")}
        for name in before:
            place.api.request("DELETE", place.path("api/v1", "pods", name))
        outputs: list[str] = []

        def is_back() -> bool:
            outputs.append(place.connect().output)
            return replaced(place, before) and place.is_available()

        assert wait_until(is_back, 120, 0.1)
        outputs.append(place.connect().output)
    # Without any backend the address refuses: that is no pod that answers.
    assert [output for output in outputs if "open" in output] == []


def replaced(place: Place, before: set[str]) -> bool:
    """Whether two other pods run."""
    try:
        now = {pod["metadata"]["name"] for pod in pods_of(place.api, place.namespace, "web")}
    except ApiError:
        return False
    return len(now) == 2 and not now & before


def test_readiness_is_no_witness_of_a_denied_customer(place: Place) -> None:
    """Pods stay Ready when nobody is let in, and not when the node itself is denied.

    In the lab readiness is what the world file says: nothing probes.
    """
    with place.policy(ingress=[{}]):
        eventually(lambda: "timed out" in place.connect().output, 10)
        assert not wait_until(lambda: not place.is_available(), 15, 0.5)
    with place.policy(ingressDeny=[{"fromEntities": ["all"]}]):
        eventually(lambda: not place.is_available(), 30)
    eventually(place.is_available, 60)


def test_an_http_rule_answers_where_a_port_rule_is_silent(place: Place) -> None:
    """A path outside the rule is 403 from Envoy, which our reading calls OPEN: it answered.

    The lab has no Envoy.
    """
    rules = {"http": [{"method": "GET", "path": "/open/"}]}
    ports = [{"ports": [{"port": "8080", "protocol": "TCP"}], "rules": rules}]
    with place.policy(ingress=[{"fromEndpoints": [{}], "toPorts": ports}]):
        eventually(lambda: "403" in place.run("wget", "-O-", "http://web/closed/").output, 30)
        assert place.run("wget", "-qO-", "http://web/open/").output == "open\n"
        url = "http://web/closed/"
        asker = Asker(place.api, place.namespace, "client", "main", None)
        found = read_url(asker, Remembered(), place.namespace, "client", url, "OPEN", 5)
    assert found["reading"] == "OPEN", found


def test_the_hubble_cli_and_our_messages_read_the_same_flow(place: Place, tmp_path: Path) -> None:
    """A denied connection shows in `hubble observe`, with the fields that acns_chaos.wire knows.

    The lab's relay was tried with clients of our own only.
    """
    hubble = shutil.which("hubble")
    if hubble is None:
        pytest.skip("hubble is not on PATH")
    secret = place.api.get("/api/v1/namespaces/kube-system/secrets/hubble-relay-client-certs")
    for name, text in secret["data"].items():
        (tmp_path / name).write_bytes(base64.b64decode(text))
    command = [
        *(hubble, "observe", "--port-forward", "--kube-context", CONTEXT),
        *("--kubeconfig", KUBECONFIG, "--tls"),
        *("--tls-server-name", "instance.hubble-relay.cilium.io"),
        *("--tls-ca-cert-files", str(tmp_path / "ca.crt")),
        *("--tls-client-cert-file", str(tmp_path / "tls.crt")),
        *("--tls-client-key-file", str(tmp_path / "tls.key")),
        *("--to-namespace", place.namespace, "--verdict", "DROPPED", "--type", "drop"),
        *("--last", "1", "-o", "json"),
    ]
    flows: list[flow_pb2.Flow] = []

    def is_seen() -> bool:
        # Once more each time: a relay hides the newest event of a quiet node.
        place.connect()
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        for line in done.stdout.splitlines():
            if found := json.loads(line).get("flow"):
                flow = flow_pb2.Flow()
                flows.append(json_format.ParseDict(found, flow, ignore_unknown_fields=True))
        return bool(flows)

    with place.policy(ingress=[{}]):
        assert wait_until(is_seen, 60, 1)
    flow = flows[-1]
    assert flow_pb2.DropReason.Name(flow.drop_reason_desc) == "POLICY_DENIED"
    assert flow.destination.namespace == flow.source.namespace == place.namespace
    assert flow.l4.TCP.destination_port == 8080
    assert flow_pb2.TrafficDirection.Name(flow.traffic_direction) == "INGRESS"
