"""Reading with an unmodified kubectl: what it prints is what it prints on a real cluster."""

import json
import os
import re
import select
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import config_map, policy
from kubectls import OLD, kubectl_path, run_kubectl

__all__ = ["kubectl_path"]

KINDS = "pods,svc,deploy,rs,sts,ds,nodes,ns,cm,sa,ep,endpointslices,netpol,cnp,cep"
WIDE = {
    "pod": "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES",
    "service": "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE SELECTOR",
    "deployment": "NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR",
    "replicaset": "NAME DESIRED CURRENT READY AGE CONTAINERS IMAGES SELECTOR",
    "statefulset": "NAME READY AGE CONTAINERS IMAGES",
    "daemonset": "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE CONTAINERS "
    "IMAGES SELECTOR",
    "node": "NAME STATUS ROLES AGE VERSION INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION "
    "CONTAINER-RUNTIME",
    "namespace": "NAME STATUS AGE",
    "configmap": "NAME DATA AGE",
    "serviceaccount": "NAME SECRETS AGE",
    "endpoints": "NAME ENDPOINTS AGE",
    "endpointslice": "NAME ADDRESSTYPE PORTS ENDPOINTS AGE",
    "networkpolicy": "NAME POD-SELECTOR AGE",
    "ciliumnetworkpolicy": "NAME AGE VALID",
    "ciliumendpoint": "NAME SECURITY IDENTITY INGRESS ENFORCEMENT EGRESS ENFORCEMENT "
    "ENDPOINT STATE IPV4 IPV6",
}
EVENT: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Event",
    "metadata": {"name": "shop.1", "namespace": "pets"},
    "involvedObject": {"kind": "Pod", "name": "rabbitmq-0", "namespace": "pets"},
    "reason": "Unhealthy",
    "message": "Readiness probe failed",
    "type": "Warning",
    "firstTimestamp": "2026-01-01T00:00:00Z",
    "lastTimestamp": "2026-01-01T00:00:00Z",
    "source": {"component": "kubelet"},
}


class Kubectl:
    """One kubectl against the lab."""

    def __init__(self, path: str, kubeconfig: str) -> None:
        self.path = path
        self.kubeconfig = kubeconfig

    def __call__(self, *args: str, stdin: str | None = None) -> str:
        """Its output; it must succeed."""
        done = run_kubectl(self.path, self.kubeconfig, *args, input=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *args: str, stdin: str | None = None) -> str:
        """What it says on standard error; it must fail."""
        done = run_kubectl(self.path, self.kubeconfig, *args, input=stdin)
        assert done.returncode != 0, done.stdout
        return done.stderr


@pytest.fixture
def kubectl(kubectl_path: str, lab_process: dict[str, Any]) -> Kubectl:
    """Each kubectl that there is, with the lab."""
    return Kubectl(kubectl_path, lab_process["kubeconfig"])


@pytest.fixture
def old(request: pytest.FixtureRequest) -> bool:
    """Whether it is the old one."""
    return OLD in request.node.name


@pytest.fixture
def objects(kubectl: Kubectl) -> Iterator[str]:
    """A policy and a ConfigMap, both called "read-me", and a NetworkPolicy; gone afterwards."""
    names = {"metadata": {"name": "read-me", "namespace": "pets"}}
    native = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", **names}
    made = [
        {**policy(), **names},
        {**config_map(colour="blue"), **names},
        {**native, "spec": {"podSelector": {"matchLabels": {"app": "none"}}}},
    ]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": made})
    kubectl("apply", "-f", "-", stdin=text)
    yield "read-me"
    kubectl("delete", "-f", "-", stdin=text)


def squeezed(text: str) -> list[str]:
    """Lines with single spaces."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_example_of_the_workshop(kubectl: Kubectl) -> None:
    """`kubectl get pods -o wide -n kube-system -l k8s-app=hubble-relay` shows relay's one pod."""
    args = ("get", "pods", "-o", "wide", "-n", "kube-system", "-l", "k8s-app=hubble-relay")
    heading, row = squeezed(kubectl(*args))
    assert heading == WIDE["pod"]
    address = r"\d+\.\d+\.\d+\.\d+"
    assert re.fullmatch(rf"hubble-relay-\S+ 1/1 Running 0 \w+ {address} aks-\S+ <none> <none>", row)


def test_the_columns_of_every_kind(kubectl: Kubectl, objects: str) -> None:
    """With -o wide every kind has the columns of a real server, and rows to go with them."""
    said = kubectl("get", KINDS, "-A", "-o", "wide")
    blocks = [squeezed(block) for block in said.strip().split("\n\n")]
    found = {}
    for heading, first, *_ in blocks:
        name = next(word for word in first.split() if "/" in word)
        found[name.partition("/")[0].partition(".")[0]] = heading.removeprefix("NAMESPACE ")
    assert found == WIDE


def test_narrow_columns(kubectl: Kubectl, objects: str) -> None:
    """Without -o wide the additional columns are gone; a policy has Age, then Valid."""
    assert squeezed(kubectl("get", "pods", "-n", "pets"))[0] == "NAME READY STATUS RESTARTS AGE"
    kubectl("wait", "cnp", objects, "-n", "pets", "--for=condition=Valid", "--timeout=5s")
    heading, row = squeezed(kubectl("get", "cnp", objects, "-n", "pets"))
    assert heading == "NAME AGE VALID"
    assert re.fullmatch(r"read-me \d+s True", row)
    heading, *rows = squeezed(kubectl("get", "cep", "-n", "pets"))
    assert heading == "NAME SECURITY IDENTITY ENDPOINT STATE IPV4 IPV6"
    assert all(re.fullmatch(r"\S+ \d+ ready 10\.\S+", row) for row in rows)
    heading, row, *_ = squeezed(kubectl("get", "svc", "-n", "pets", "store-front"))
    assert re.fullmatch(r"store-front LoadBalancer \S+ \S+ 80:\d+/TCP \w+", row)
    assert squeezed(kubectl("get", "crd"))[0] == "NAME CREATED AT"


def test_ways_to_print(kubectl: Kubectl) -> None:
    """Names, JSONPath, own columns, YAML, labels, sorting, pages and field selectors."""
    pods = ("get", "pods", "-n", "pets")
    names = kubectl(*pods, "-o", "name").split()
    assert "pod/rabbitmq-0" in names
    assert kubectl(*pods, "rabbitmq-0", "-o", "jsonpath={.status.phase}") == "Running"
    assert squeezed(kubectl(*pods, "-o", "custom-columns=N:.metadata.name"))[0] == "N"
    assert kubectl(*pods, "rabbitmq-0", "-o", "yaml").startswith("apiVersion: v1\nkind: Pod\n")
    assert "app=rabbitmq" in kubectl(*pods, "rabbitmq-0", "--show-labels")
    by_name = squeezed(kubectl(*pods, "--sort-by=.metadata.name"))
    assert [row.split()[0] for row in by_name[1:]] == sorted(name[4:] for name in names)
    assert len(squeezed(kubectl(*pods, "--chunk-size=1"))) == len(names) + 1
    chosen = kubectl(*pods, "--field-selector=metadata.name=rabbitmq-0", "-o", "name")
    assert chosen.split() == ["pod/rabbitmq-0"]
    assert (
        "No resources found"
        in kubectl.refused(*pods, "none")
        + run_kubectl(kubectl.path, kubectl.kubeconfig, *pods, "-l", "app=none").stderr
    )


def test_get_all(kubectl: Kubectl) -> None:
    """`get all` lists pods, services and workloads, and says nothing of kinds without objects."""
    said = kubectl("get", "all", "-n", "pets", "-o", "name").split()
    kinds = list(dict.fromkeys(name.partition("/")[0] for name in said))
    assert kinds == ["pod", "service", "deployment.apps", "replicaset.apps", "statefulset.apps"]


def test_what_the_server_is(kubectl: Kubectl, old: bool) -> None:
    """The server's version, address, groups and kinds are told; metrics are not served."""
    assert "v1.33.5+acns-chaos-lab" in kubectl("version")
    assert "is running at" in kubectl("cluster-info")
    assert {"v1", "apps/v1", "cilium.io/v2"} <= set(kubectl("api-versions").split())
    kinds = squeezed(kubectl("api-resources"))
    assert "ciliumnetworkpolicies cnp,ciliumnp cilium.io/v2 true CiliumNetworkPolicy" in kinds
    assert kubectl.refused("top", "pod") == "error: Metrics API not available\n"


def test_explain(kubectl: Kubectl) -> None:
    """Fields of a policy are explained with their types."""
    said = kubectl("explain", "cnp.spec.ingress")
    assert "What may come in." in said
    assert re.search(r"fromEntities\s+<\[\]string>", said)
    assert re.search(r"metadata\s+<(Object|ObjectMeta)>", kubectl("explain", "pod"))


def test_describe(kubectl: Kubectl, objects: str) -> None:
    """Pods, services, workloads, nodes, namespaces and policies are described without a gap."""
    assert "Controlled By:  StatefulSet/rabbitmq" in kubectl(
        "describe", "pod", "rabbitmq-0", "-n", "pets"
    )
    service = kubectl("describe", "svc", "store-front", "-n", "pets")
    assert re.search(r"Endpoints: +10\.\S+:8080", service)
    deployment = kubectl("describe", "deploy", "store-front", "-n", "pets")
    assert re.search(r"NewReplicaSet: +store-front-\w+ \(1/1 replicas created\)", deployment)
    assert "No resource quota." in kubectl("describe", "ns", "pets")
    assert "Non-terminated Pods:" in kubectl("describe", "node")
    assert "From Entities:" in kubectl("describe", "cnp", objects, "-n", "pets")
    assert "External - Identifiers:" in kubectl("describe", "cep", "rabbitmq-0", "-n", "pets")
    assert "PodSelector:     app=none" in kubectl("describe", "netpol", objects, "-n", "pets")


def test_events(kubectl: Kubectl, old: bool) -> None:
    """An event is listed with its columns, and stands below what it is about."""
    uid = kubectl("get", "pod", "rabbitmq-0", "-n", "pets", "-o", "jsonpath={.metadata.uid}")
    text = json.dumps({**EVENT, "involvedObject": {**EVENT["involvedObject"], "uid": uid}})
    kubectl("create", "-f", "-", stdin=text)
    try:
        lines = squeezed(kubectl("get", "events", "-n", "pets"))
        assert lines[0] == "LAST SEEN TYPE REASON OBJECT MESSAGE"
        assert any(
            "Warning Unhealthy pod/rabbitmq-0 Readiness probe failed" in one for one in lines
        )
        said = kubectl("describe", "pod", "rabbitmq-0", "-n", "pets")
        assert re.search(r"Warning +Unhealthy +\S+ +kubelet +Readiness probe failed", said)
        if not old:  # it has no such command
            assert "Readiness probe failed" in kubectl("events", "-n", "pets")
    finally:
        kubectl("delete", "-f", "-", stdin=text)


def test_waiting(kubectl: Kubectl, objects: str, old: bool) -> None:
    """`wait` and `rollout status` see that what they wait for is there."""
    said = kubectl("wait", "pod", "--all", "-n", "pets", "--for=condition=Ready", "--timeout=5s")
    assert "pod/rabbitmq-0 condition met" in said
    if not old:  # it waits for conditions only
        wanted = "--for=jsonpath={.data.colour}=blue"
        kubectl("wait", "cm", objects, "-n", "pets", wanted, "--timeout=5s")
    for workload in ("deploy/store-front", "sts/rabbitmq"):
        assert kubectl("rollout", "status", workload, "-n", "pets", "--timeout=5s")


def test_differences_and_unknown_fields(kubectl: Kubectl, objects: str, old: bool) -> None:
    """`diff` shows what apply would change; a misspelt field is refused by its name."""
    text = json.dumps({**policy(), "metadata": {"name": objects, "namespace": "pets"}})
    assert kubectl("diff", "-f", "-", stdin=text) == ""
    other = run_kubectl(
        kubectl.path,
        kubectl.kubeconfig,
        *("diff", "-f", "-"),
        input=text.replace('"world"', '"cluster"'),
    )
    assert other.returncode == 1
    assert re.search(r"^\+ +- cluster$", other.stdout, re.MULTILINE)
    said = kubectl.refused("apply", "-f", "-", stdin=text.replace("fromEntities", "fromEntitys"))
    where = (
        'ValidationError(CiliumNetworkPolicy.spec.ingress[0]): unknown field "fromEntitys"'
        if old
        else 'strict decoding error: unknown field "spec.ingress[0].fromEntitys"'
    )
    assert where in said


def test_watching(kubectl: Kubectl) -> None:
    """`get -w` prints the heading once, and a row for each change."""
    kubectl("create", "-n", "pets", "-f", "-", stdin=json.dumps(config_map("seen")))
    watching = subprocess.Popen(
        [kubectl.path, "--kubeconfig", kubectl.kubeconfig, "get", "cm", "-n", "pets", "-w"],
        stdout=subprocess.PIPE,
    )
    try:
        assert rows_of("seen", watching, 1) == ["1"]
        kubectl("patch", "cm", "seen", "-n", "pets", "-p", '{"data":{"more":"1"}}')
        kubectl("delete", "cm", "seen", "-n", "pets")
        assert rows_of("seen", watching, 2) == ["2", "2"]
    finally:
        watching.terminate()
        watching.wait(timeout=10)
        assert watching.stdout
        watching.stdout.close()


def rows_of(name: str, process: subprocess.Popen[bytes], count: int) -> list[str]:
    """The second cells of the next rows of an object; no heading stands between them."""
    assert process.stdout
    text = ""
    deadline = time.monotonic() + 10

    def rows() -> list[str]:
        # What follows the last line's end is not all of a line yet.
        whole = text.rpartition("\n")[0].splitlines()
        return [line.split()[1] for line in whole if line.startswith(f"{name} ")]

    while len(rows()) < count:
        left = deadline - time.monotonic()
        assert select.select([process.stdout], [], [], max(left, 0))[0], text
        text += os.read(process.stdout.fileno(), 65536).decode()
    assert text.count("NAME ") == text.startswith("NAME ")
    return rows()
