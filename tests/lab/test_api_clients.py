"""Unmodified clients against the real lab process: kubernetes, chaosk8s, kubectl."""

import gc
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from chaosk8s import create_k8s_api_client
from chaosk8s.crd.actions import (
    create_custom_object,
    delete_custom_object,
    patch_custom_object,
)
from chaosk8s.crd.probes import get_custom_object, list_custom_objects
from chaosk8s.pod.actions import exec_in_pods
from conftest import config_map, policy
from kubernetes import client, config, dynamic, stream, watch
from kubernetes.client.exceptions import ApiException, NotFoundException
from kubernetes.config import kube_config

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
CILIUM = ("cilium.io", "v2", "pets", "ciliumnetworkpolicies")


@pytest.fixture(scope="module")
def api(lab_process: dict[str, Any]) -> Iterator[client.ApiClient]:
    """A client as a user makes it: from the kubeconfig."""
    with config.new_client_from_config(config_file=lab_process["kubeconfig"]) as made:
        yield made


@pytest.fixture
def name(api: client.ApiClient, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a policy of this test alone, which is gone afterwards."""
    made = request.node.name.replace("_", "-")[:60].rstrip("-")
    yield made
    try:
        client.CustomObjectsApi(api).delete_namespaced_custom_object(*CILIUM, made)
    except NotFoundException:
        pass  # the test deleted it


@pytest.fixture
def chaos_secrets(
    lab_process: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """What chaosk8s needs to find the lab."""
    monkeypatch.setenv("KUBECONFIG", lab_process["kubeconfig"])
    # The client reads the variable only once, when it is imported.
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", lab_process["kubeconfig"])
    yield {"KUBERNETES_CONTEXT": lab_process["context"]}
    gc.collect()  # chaosk8s never closes a client: let the warnings fall here, where they are known


def test_typed_objects(api: client.ApiClient) -> None:
    """Pods, nodes, namespaces, services and workloads fit the client's models."""
    core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
    pods = core.list_namespaced_pod("pets", label_selector="app=store-front").items
    assert [pod.status.phase for pod in pods] == ["Running"]
    assert "pets" in {one.metadata.name for one in core.list_namespace().items}
    assert core.list_node().items
    assert core.list_service_for_all_namespaces().items
    assert apps.read_namespaced_deployment("store-front", "pets").metadata.generation == 1
    assert core.list_secret_for_all_namespaces().items is not None
    assert client.VersionApi(api).get_code().git_version == "v1.33.5+acns-chaos-lab"


def test_the_life_of_a_config_map(api: client.ApiClient) -> None:
    """Create, read, replace, patch and delete through the typed client."""
    core = client.CoreV1Api(api)
    made = core.create_namespaced_config_map("pets", config_map("ledger", a="1"), dry_run="All")
    assert made.metadata.resource_version is None
    core.create_namespaced_config_map("pets", config_map("ledger", a="1"), field_manager="us")
    with pytest.raises(ApiException) as caught:
        core.create_namespaced_config_map("pets", config_map("ledger"))
    assert (caught.value.status, json.loads(caught.value.body)["reason"]) == (409, "AlreadyExists")
    found = core.read_namespaced_config_map("ledger", "pets")
    assert found.metadata.managed_fields[0].manager == "us"
    found.data = {"b": "2"}
    assert core.replace_namespaced_config_map("ledger", "pets", found).data == {"b": "2"}
    with pytest.raises(ApiException) as caught:
        core.replace_namespaced_config_map("ledger", "pets", found)
    assert caught.value.status == 409
    patched = core.patch_namespaced_config_map("ledger", "pets", {"data": {"c": "3"}})
    assert patched.data == {"b": "2", "c": "3"}
    core.delete_namespaced_config_map("ledger", "pets")
    with pytest.raises(ApiException) as caught:
        core.read_namespaced_config_map("ledger", "pets")
    assert caught.value.status == 404


def test_the_life_of_a_lease(api: client.ApiClient) -> None:
    """A Lease keeps microseconds as the client writes them."""
    leases = client.CoordinationV1Api(api)
    spec = {"holderIdentity": "us", "renewTime": "2026-11-22T23:00:00.123456Z"}
    leases.create_namespaced_lease("pets", {"metadata": {"name": "acns-chaos"}, "spec": spec})
    found = leases.read_namespaced_lease("acns-chaos", "pets")
    assert found.spec.renew_time.microsecond == 123456
    found.spec.holder_identity = "them"
    assert leases.replace_namespaced_lease("acns-chaos", "pets", found).spec.renew_time
    leases.delete_namespaced_lease("acns-chaos", "pets")


def test_custom_objects(api: client.ApiClient, name: str) -> None:
    """A policy is created, patched, replaced and checked strictly by the custom objects client."""
    custom = client.CustomObjectsApi(api)
    made = custom.create_namespaced_custom_object(*CILIUM, policy(name))
    assert made["metadata"]["generation"] == 1
    deadline = time.monotonic() + 5
    while "status" not in custom.get_namespaced_custom_object(*CILIUM, name):
        assert time.monotonic() < deadline, "the operator wrote no status"
    made = custom.patch_namespaced_custom_object(*CILIUM, name, {"spec": {"description": "x"}})
    assert made["spec"]["description"] == "x"
    with pytest.raises(ApiException) as caught:
        custom.replace_namespaced_custom_object(
            *CILIUM, name, policy(name, ingresss=[]), field_validation="Strict"
        )
    assert 'unknown field \\"spec.ingresss\\"' in caught.value.body
    made = custom.get_namespaced_custom_object(*CILIUM, name)
    made["spec"] = policy(ingress=[{"fromEndpoints": []}])["spec"]
    stored = custom.replace_namespaced_custom_object(*CILIUM, name, made)
    assert stored["spec"]["ingress"] == [{"fromEndpoints": []}]
    assert custom.list_cluster_custom_object("cilium.io", "v2", "ciliumclusterwidenetworkpolicies")


def test_the_watch_of_the_client(api: client.ApiClient, name: str) -> None:
    """watch.Watch sees a policy come, become Valid, and go."""
    custom = client.CustomObjectsApi(api)
    since = custom.list_namespaced_custom_object(*CILIUM)["metadata"]["resourceVersion"]
    custom.create_namespaced_custom_object(*CILIUM, policy(name))
    seen = []
    events = watch.Watch()
    for event in events.stream(
        custom.list_namespaced_custom_object, *CILIUM, resource_version=since, timeout_seconds=5
    ):
        seen.append((event["type"], "status" in event["object"]))
        if seen[-1] == ("MODIFIED", True):
            custom.delete_namespaced_custom_object(*CILIUM, name)
        if event["type"] == "DELETED":
            events.stop()
    assert seen == [("ADDED", False), ("MODIFIED", True), ("DELETED", True)]


def test_a_watch_that_began_too_early(api: client.ApiClient) -> None:
    """The client turns the 410 of an old version into an ApiException."""
    events = watch.Watch().stream(
        client.CoreV1Api(api).list_namespaced_pod,
        "pets",
        resource_version="1",
        timeout_seconds=5,
    )
    with pytest.raises(ApiException) as caught:
        next(events)
    assert caught.value.status == 410


def test_the_dynamic_client(api: client.ApiClient, name: str) -> None:
    """Discovery leads the dynamic client to the policies and their merge patch."""
    policies = dynamic.DynamicClient(api).resources.get(
        api_version="cilium.io/v2", kind="CiliumNetworkPolicy"
    )
    policies.create(body=policy(name), namespace="pets")
    patched = policies.patch(
        body={"metadata": {"name": name}, "spec": {"egress": [{}]}},
        namespace="pets",
        content_type="application/merge-patch+json",
    )
    assert sorted(patched.to_dict()["spec"]) == ["egress", "endpointSelector", "ingress"]


@pytest.mark.parametrize(
    ("command", "output", "code"), [(["echo", "hello"], "hello\n", 0), (["false"], "", 1)]
)
def test_exec_of_the_client(
    api: client.ApiClient, command: list[str], output: str, code: int
) -> None:
    """The client's stream runs a command and knows its exit code."""
    core = client.CoreV1Api(api)
    pod = core.list_namespaced_pod("pets", label_selector="app=order-service").items[0]
    with config_of(api) as own:
        socket = stream.stream(
            client.CoreV1Api(own).connect_get_namespaced_pod_exec,
            pod.metadata.name,
            "pets",
            container="order-service",
            command=command,
            stdout=True,
            stderr=True,
            _preload_content=False,
        )
        socket.run_forever(timeout=5)
        assert socket.read_stdout() == output
        assert socket.returncode == code
        socket.close()


def config_of(api: client.ApiClient) -> client.ApiClient:
    """A second client: ``stream`` swaps methods of the one that it is given."""
    return client.ApiClient(api.configuration)


def test_many_clients_at_once(api: client.ApiClient) -> None:
    """Twenty writers of one object: each write either succeeds or is told of the conflict."""
    core = client.CoreV1Api(api)
    core.create_namespaced_config_map("pets", config_map("contested", count="0"))
    codes: list[int] = []

    def add_one() -> None:
        with config_of(api) as own:
            mine = client.CoreV1Api(own)
            found = mine.read_namespaced_config_map("contested", "pets")
            found.data["count"] = str(int(found.data["count"]) + 1)
            try:
                mine.replace_namespaced_config_map("contested", "pets", found)
                codes.append(200)
            except ApiException as error:
                codes.append(error.status)

    threads = [threading.Thread(target=add_one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) <= {200, 409}
    final = core.read_namespaced_config_map("contested", "pets").data["count"]
    assert int(final) == codes.count(200)
    core.delete_namespaced_config_map("contested", "pets")


def test_chaosk8s_finds_the_lab(chaos_secrets: dict[str, str]) -> None:
    """chaosk8s makes its client from KUBECONFIG and the context."""
    with create_k8s_api_client(chaos_secrets) as made:
        assert client.CoreV1Api(made).read_namespace("pets").metadata.name == "pets"


def test_chaosk8s_custom_objects(chaos_secrets: dict[str, str], name: str) -> None:
    """Its activities create, read, list, patch by operations and delete a policy."""
    group, version, namespace, plural = CILIUM
    place = {
        "group": group,
        "version": version,
        "plural": plural,
        "ns": namespace,
        "secrets": chaos_secrets,
    }
    made = create_custom_object(resource=policy(name), **place)
    assert made["metadata"]["uid"]
    again = create_custom_object(resource=policy(name), **place)
    assert again["reason"] == "AlreadyExists"
    assert get_custom_object(name=name, **place)["spec"] == made["spec"]
    assert name in {one["metadata"]["name"] for one in list_custom_objects(**place)["items"]}
    operations = [{"op": "replace", "path": "/spec/ingress", "value": [{}]}]
    patched = patch_custom_object(name=name, resource=operations, **place)
    assert patched["spec"]["ingress"] == [{}]
    assert delete_custom_object(name=name, **place)["status"] == "Success"


def test_chaosk8s_exec(chaos_secrets: dict[str, str]) -> None:
    """exec_in_pods runs a command in the named container."""
    results = exec_in_pods(
        cmd=["echo", "hello"],
        label_selector="app=order-service",
        ns="pets",
        container_name="order-service",
        secrets=chaos_secrets,
    )
    assert [(one["exit_code"], one["stdout"]) for one in results] == [(0, "hello\n")]


def kubectl(lab_process: dict[str, Any], *arguments: str, stdin: str = "") -> tuple[int, str]:
    """Run kubectl; returns its exit code and everything it said."""
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(
        [program, "--kubeconfig", lab_process["kubeconfig"], "-n", "pets", *arguments],
        check=False,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=20,
    )
    return done.returncode, done.stdout


def test_kubectl_applies_and_merges(lab_process: dict[str, Any], name: str) -> None:
    """An apply replaces its own earlier apply, and merges over what was created otherwise."""
    good = json.dumps(policy(name))
    bad = json.dumps(policy(name, ingressDeny=[{"fromEntities": ["world"]}]))
    code, said = kubectl(lab_process, "apply", "-f", "-", stdin=good)
    assert (code, said) == (0, f"ciliumnetworkpolicy.cilium.io/{name} created\n")
    kubectl(lab_process, "apply", "-f", "-", stdin=bad)
    _, said = kubectl(lab_process, "get", "cnp", name, "-o", "json")
    assert sorted(json.loads(said)["spec"]) == ["endpointSelector", "ingressDeny"]
    kubectl(lab_process, "replace", "-f", "-", stdin=good)
    code, said = kubectl(lab_process, "apply", "-f", "-", stdin=bad)
    assert code == 0
    assert "is missing the kubectl.kubernetes.io/last-applied-configuration annotation" in said
    _, said = kubectl(lab_process, "get", "cnp", name, "-o", "json")
    assert sorted(json.loads(said)["spec"]) == ["endpointSelector", "ingress", "ingressDeny"]


def test_kubectl_is_refused_in_the_servers_words(lab_process: dict[str, Any], name: str) -> None:
    """A misspelt field and a bad entity read as they do on a real cluster."""
    code, said = kubectl(
        lab_process, "apply", "-f", "-", stdin=json.dumps(policy(name, ingresss=[]))
    )
    assert code == 1
    assert said == (
        'Error from server (BadRequest): error when creating "STDIN": CiliumNetworkPolicy in '
        'version "v2" cannot be handled as a CiliumNetworkPolicy: strict decoding error: unknown '
        'field "spec.ingresss"\n'
    )
    body = json.dumps(policy(name, ingress=[{"fromEntities": ["internet"]}]))
    code, said = kubectl(lab_process, "apply", "-f", "-", stdin=body)
    assert code == 1
    assert said.startswith(
        f'The CiliumNetworkPolicy "{name}" is invalid: spec.ingress[0].fromEntities[0]: '
        'Unsupported value: "internet": supported values: "all", "world"'
    )


def test_kubectl_reads_and_executes(lab_process: dict[str, Any]) -> None:
    """The real kubectl prints Valid, waits for the condition, and passes exit codes on."""
    code, said = kubectl(lab_process, "get", "cnp")
    assert code == 0
    assert said.splitlines()[0].split() == ["NAME", "AGE", "VALID"]
    code, _ = kubectl(
        lab_process,
        "wait",
        "cnp/allow-store-front-traffic",
        "--for=condition=Valid",
        "--timeout=5s",
    )
    assert code == 0
    deployment = ("deploy/order-service", "-c", "order-service")
    code, said = kubectl(lab_process, "exec", *deployment, "--", "false")
    assert (code, said) == (1, "command terminated with exit code 1\n")


@pytest.mark.parametrize("switches", [("-i",), ("-it",)])
def test_kubectl_execs_as_the_page_writes_it(
    lab_process: dict[str, Any], switches: tuple[str, ...]
) -> None:
    """The workshop's `kubectl exec -it … -c order-service -- sh -c 'wget --spider …'` works."""
    _, pod = kubectl(
        lab_process, "get", "po", "-n", "pets", "-l", "app=order-service", "-o", "name"
    )
    code, said = kubectl(
        lab_process,
        *("exec", "-n", "pets", *switches, pod.strip(), "-c", "order-service", "--"),
        *("sh", "-c", "wget --spider --timeout=1 --tries=1 https://graph.microsoft.com"),
    )
    assert code == 0, said
    assert "Connecting to graph.microsoft.com (20.190.152.88:443)" in said
    assert "remote file exists" in said
