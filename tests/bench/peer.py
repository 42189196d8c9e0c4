"""The comparison with network-config-analyzer, the only Python peer, where its `nca` is installed.

Both read the same file of NetworkPolicies, pods and namespaces in a process of their own and say
who may connect to whom. Rules about addresses are left out: there Cilium and the peer mean
different things.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from acns_chaos.policy import Endpoint, Engine
from acns_chaos.policy.matrix import Matrix
from tests.bench.figures import child, show
from tests.bench.worlds import PORTS, Generated, generate

IDENTITIES, POLICIES = 240, 400
TIMEOUT = 120
ASKED = tuple(port for port in PORTS if port[1] in {"TCP", "UDP"})
NAME = "connectivity of NetworkPolicies, against network-config-analyzer"
_LINE = re.compile(r"^(\S+)\[Pod\] => (\S+)\[Pod\] : (.*)$")
_PART = re.compile(r"protocols:([A-Z, ]+),dst_ports:([0-9, -]+)")

Connections = set[tuple[str, str, int, str]]


def compare() -> None:
    """Print how much faster than the peer the same connections are found, and any difference."""
    program = shutil.which("nca")
    if program is None:
        show(
            NAME, None, "times as fast", peer="network-config-analyzer is not installed (no `nca`)"
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cluster.yaml"
        world = generate(IDENTITIES, POLICIES)
        objects = list(_objects(world))
        file.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
        began = time.perf_counter()
        done = subprocess.run(
            [program, "--connectivity", "-r", str(file), "-o", "txt_no_fw_rules"],
            check=True,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        theirs = time.perf_counter() - began
        began = time.perf_counter()
        answer = child("-m", "tests.bench.peer", str(file))
        ours = time.perf_counter() - began
    found = {(s, d, int(port), protocol) for s, d, port, protocol in answer["connections"]}
    said = set(_connections(done.stdout))
    show(
        *(NAME, theirs / ours, "times as fast"),
        seconds=round(ours, 3),
        matrix_seconds=round(answer["seconds"], 3),
        peer_seconds=round(theirs, 3),
        pods=sum(one["kind"] == "Pod" for one in objects),
        policies=sum(one["kind"] == "NetworkPolicy" for one in objects),
        connections=len(found),
    )
    show("connections on which the two differ", len(found ^ said), "connections", 0)


def _objects(world: Generated) -> Iterator[dict[str, Any]]:
    """The pods, the namespaces and the NetworkPolicies of a world as Kubernetes objects."""
    for name, labels in world.namespaces.items():
        metadata = {"name": name, "labels": labels}
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    for number, pod in enumerate(one for one in world.endpoints if one.kind == "pod"):
        written = (label[4:].partition("=") for label in pod.labels if label.startswith("k8s:"))
        labels = {key: value for key, _, value in written if not key.startswith("io.c")}
        labels.pop("io.kubernetes.pod.namespace")
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": pod.name.partition("/")[2],
                "namespace": pod.namespace,
                "labels": labels,
            },
            "spec": {"containers": [{"name": "app", "image": "app"}]},
            "status": {
                "podIP": f"10.1.{number // 250}.{number % 250 + 1}",
                "hostIP": "10.0.0.1",
            },
        }
    for policy in world.policies:
        if policy["kind"] == "NetworkPolicy":
            plain = json.loads(json.dumps(policy))
            for direction, field in (("ingress", "from"), ("egress", "to")):
                for rule in plain["spec"].get(direction, ()):
                    rule[field] = [peer for peer in rule[field] if "ipBlock" not in peer]
            yield plain


def _connections(text: str) -> Iterator[tuple[str, str, int, str]]:
    """What the peer printed, on the asked ports, between two pods."""
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        source, destination, allowed = match.groups()
        parts = _PART.findall(allowed)
        if not parts and allowed.strip() != "All connections":
            raise ValueError(f"The peer printed {line!r}, which the bench cannot read.")
        for number, protocol in ASKED:
            if not parts or any(_covers(*part, number, protocol) for part in parts):
                yield source, destination, number, protocol


def _covers(protocols: str, ports: str, number: int, protocol: str) -> bool:
    spans = [span.partition("-") for span in ports.split(",")]
    return protocol in protocols.replace(" ", "").split(",") and any(
        int(low) <= number <= int(high or low) for low, _, high in spans
    )


def answer(file: Path) -> dict[str, Any]:
    """Read a file of objects and say who may connect to whom.

    Args:
        file: YAML with NetworkPolicies, Namespaces and Pods.

    Returns:
        "connections": [source, destination, port, protocol]; "seconds" without reading the file.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with file.open(encoding="utf-8") as stream:
        objects = list(yaml.load_all(stream, Loader=loader))
    began = time.perf_counter()
    namespaces = {one["metadata"]["name"]: one for one in objects if one["kind"] == "Namespace"}
    pods = [
        Endpoint.from_pod(one, namespaces[one["metadata"]["namespace"]])
        for one in objects
        if one["kind"] == "Pod"
    ]
    policies = [one for one in objects if one["kind"] == "NetworkPolicy"]
    matrix = Matrix(Engine(policies, endpoints=pods), pods, ASKED)
    connections = [
        [source.name, destination.name, *port]
        for port in ASKED
        for source, destination in matrix.allowed(*port)
        if source is not destination
    ]
    return {"connections": connections, "seconds": time.perf_counter() - began}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answer(Path(sys.argv[1]))) + "\n")
