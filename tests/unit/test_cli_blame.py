"""`acns-chaos blame` over files: flows as JSON lines, policies as YAML."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from acns_chaos.cli import main

WORKSHOP = Path(__file__).resolve().parents[1] / "data" / "workshop"
CHAOS = str(WORKSHOP / "acns-network-policy-chaos.yaml")
BASE = str(WORKSHOP / "acns-network-policy.yaml")
STORE = str(WORKSHOP / "store.yaml")


def line(**given: Any) -> str:
    """A dropped SYN to the shop, as Hubble writes it."""
    flow = {
        "time": "2026-11-22T21:22:53.928104849Z",
        "verdict": "DROPPED",
        "IP": {"source": "198.51.100.10", "destination": "10.244.0.90", "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 51986, "destination_port": 8080, "flags": {"SYN": True}}},
        "source": {"identity": 2, "labels": ["reserved:world"]},
        "destination": {
            "identity": 10519,
            "namespace": "pets",
            "labels": [
                "k8s:app=store-front",
                "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=pets",
                "k8s:io.cilium.k8s.policy.cluster=default",
                "k8s:io.cilium.k8s.policy.serviceaccount=default",
                "k8s:io.kubernetes.pod.namespace=pets",
            ],
            "pod_name": "store-front-866f7cbc4b-kn57j",
            "workloads": [{"name": "store-front", "kind": "Deployment"}],
        },
        "Type": "L3_L4",
        "node_name": "node0",
        "event_type": {"type": 5},
        "traffic_direction": "INGRESS",
        "drop_reason_desc": "POLICY_DENIED",
        **given,
    }
    return json.dumps({"flow": flow, "node_name": "node0", "time": flow["time"]}) + "\n"


def run(text: str, *arguments: str) -> Result:
    """Call the command with flows on stdin."""
    command = ["blame", "--input", "-", *arguments]
    return CliRunner().invoke(main, command, input=text)


def test_the_workshops_fault_is_named() -> None:
    """From the flows of a file and the policy the workshop applies; code 0."""
    result = run(line(), "--policies", BASE, "--policies", CHAOS, "--policies", STORE)
    assert result.exit_code == 0, result.output
    assert "Hubble saw 1 packet from world (198.51.100.10) to pets/store-front" in result.output
    assert "Nearest is spec.ingress[0] of pets/allow-store-front-traffic" in result.output


def test_what_live_policies_let_pass_is_code_1() -> None:
    """The workshop's own policy admits the world."""
    result = run(line(), "--policies", BASE, "--policies", STORE)
    assert result.exit_code == 1, result.output
    assert "No live policy denies that now" in result.output


def test_the_json_has_the_same_facts() -> None:
    """For scripts."""
    result = run(line(), "--policies", CHAOS, "--policies", STORE, "--json")
    found = json.loads(result.stdout)
    assert found["state"] == "NAMED"
    assert found["culprits"] == ["pets/allow-store-front-traffic"]
    assert found["drops"][0]["count"] == 1


@pytest.mark.parametrize("text", ["", "\n", "no json\n"])
def test_lines_that_hold_no_flow_prove_nothing(text: str) -> None:
    """Code 3: whether anything was dropped cannot be told."""
    result = run(text, "--policies", BASE)
    assert result.exit_code == 3, result.output
    assert "No drop by policy was seen" in result.output


def test_flows_that_are_not_asked_for_are_left_out() -> None:
    """`--to` and `--from` are Hubble's."""
    result = run(line(), "--policies", CHAOS, "--policies", STORE, "--to", "pets/rabbitmq")
    assert "No drop by policy was seen about pets/rabbitmq" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--policies", BASE), "--policies goes with --input only"),
        (("--since", "soon"), "is no length of time"),
        (("--since", "0s"), "is no length of time"),
        (("--to", "a b c"), "Error"),
    ],
)
def test_bad_usage_is_one_sentence(arguments: tuple[str, ...], said: str) -> None:
    """Code 2, and nothing is asked."""
    result = CliRunner().invoke(main, ["blame", *arguments])
    assert result.exit_code == 2, result.output
    assert said in result.output
