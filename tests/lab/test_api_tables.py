"""What a server decides of what people see: tables, discovery in one document, OpenAPI."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import CNP, CONFIG_MAPS, InProcessLab, config_map, policy

from acns_chaos.lab.api.controllers.derived import Derived
from acns_chaos.lab.api.describing import openapi, openapi_v2
from acns_chaos.lab.api.kinds.resources import BY_KIND, RESOURCES
from acns_chaos.lab.api.reading.printing import human_duration, label_selector
from acns_chaos.lab.api.reading.table import as_table

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0.9, "0s"),
        (119, "119s"),
        (2 * MINUTE, "2m"),
        (5 * MINUTE + 30, "5m30s"),
        (10 * MINUTE + 30, "10m"),
        (179 * MINUTE, "179m"),
        (3 * HOUR, "3h"),
        (7 * HOUR + 5 * MINUTE, "7h5m"),
        (8 * HOUR + 5 * MINUTE, "8h"),
        (47 * HOUR, "47h"),
        (2 * DAY, "2d"),
        (3 * DAY + 4 * HOUR, "3d4h"),
        (8 * DAY + 4 * HOUR, "8d"),
        (729 * DAY, "729d"),
        (2 * YEAR + 3 * DAY, "2y3d"),
        (8 * YEAR + 3 * DAY, "8y"),
    ],
)
def test_ages(seconds: float, shown: str) -> None:
    """Ages are abbreviated as the server's HumanDuration does it."""
    assert human_duration(seconds) == shown


def cells(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    """One object as a row of its table, by heading."""
    table = as_table(BY_KIND[kind], [obj], {})
    names = [column["name"] for column in table["columnDefinitions"]]
    return dict(zip(names, table["rows"][0]["cells"], strict=True))


def pod(statuses: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A Pod whose containers are in the given states."""
    status = {"phase": more.pop("phase", "Running"), "containerStatuses": statuses, **more}
    containers = [{"name": f"c{number}"} for number in range(len(statuses))]
    spec = {"containers": containers, "initContainers": [{"name": "setup"}, {"name": "more"}]}
    return {"metadata": {"name": "p", "namespace": "n"}, "spec": spec, "status": status}


RUNNING = {"ready": True, "restartCount": 0, "state": {"running": {}}}


def waiting(reason: str, restarts: int = 0, **more: Any) -> dict[str, Any]:
    """A container that waits."""
    state = {"waiting": {"reason": reason}}
    return {"ready": False, "restartCount": restarts, "state": state, **more}


def test_pods_in_trouble() -> None:
    """Ready, Status and Restarts say what kubectl's users know from real clusters."""
    ago = (datetime.now(UTC) - timedelta(minutes=4)).strftime("%Y-%m-%dT%H:%M:%SZ")
    last = {"lastState": {"terminated": {"exitCode": 1, "finishedAt": ago}}}
    crashing = pod([RUNNING, waiting("CrashLoopBackOff", 3, **last)])
    row = cells("Pod", crashing)
    assert (row["Ready"], row["Status"]) == ("1/2", "CrashLoopBackOff")
    assert row["Restarts"].startswith("3 (4m")
    ended = {"ready": False, "restartCount": 0, "state": {"terminated": {"exitCode": 3}}}
    assert cells("Pod", pod([ended], phase="Failed"))["Status"] == "ExitCode:3"
    done = {**ended, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    assert cells("Pod", pod([done], phase="Succeeded"))["Status"] == "Completed"
    first = {"restartCount": 0, "state": {"terminated": {"exitCode": 0}}}
    second = {"restartCount": 0, "state": {"running": {}}}
    starting = pod([waiting("PodInitializing")], phase="Pending")
    starting["status"]["initContainerStatuses"] = [first, second]
    assert cells("Pod", starting)["Status"] == "Init:1/2"
    leaving = pod([RUNNING])
    leaving["metadata"]["deletionTimestamp"] = ago
    assert cells("Pod", leaving)["Status"] == "Terminating"
    assert cells("Pod", pod([], phase="Pending"))["IP"] == "<none>"


def test_other_rows() -> None:
    """Services without an address yet, nodes that are cordoned, selectors with expressions."""
    service = {"metadata": {"name": "s"}, "spec": {"type": "LoadBalancer", "ports": []}}
    row = cells("Service", service)
    assert (row["External-IP"], row["Port(s)"], row["Selector"]) == (
        "<pending>",
        "<none>",
        "<none>",
    )
    node = {
        "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/worker": ""}},
        "spec": {"unschedulable": True},
        "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]},
    }
    row = cells("Node", node)
    assert (row["Status"], row["Roles"]) == ("NotReady,SchedulingDisabled", "worker")
    expressions = [{"key": "tier", "operator": "NotIn", "values": ["b", "a"]}]
    selector = {"matchLabels": {"app": "x"}, "matchExpressions": expressions}
    assert label_selector(selector) == "app=x,tier notin (a,b)"


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.plural)
def test_every_kind_has_a_table(resource: Any) -> None:
    """No kind's columns stumble over an object that has nothing but a name."""
    bare = {"metadata": {"name": "x", "namespace": "n"}, "spec": {}}
    table = as_table(resource, [bare], {})
    assert len(table["rows"][0]["cells"]) == len(table["columnDefinitions"]) >= 2


@pytest.mark.parametrize("conditions", [5, "x", [5], [{}], [{"type": "Ready"}], {"a": 1}])
def test_nonsense_in_a_status(conditions: Any) -> None:
    """What a client wrote into a status makes a cell unknown, never the table fail."""
    for kind in ("Pod", "Node", "CiliumNetworkPolicy"):
        obj = {"metadata": {"name": "x"}, "spec": {}, "status": {"conditions": conditions}}
        assert cells(kind, obj)["Name"] == "x"
    event = {"metadata": {"name": "x"}, "firstTimestamp": "2026-01-01", "series": 5}
    assert cells("Event", event)["First Seen"] == "<invalid>"


async def test_what_a_row_carries(lab: InProcessLab) -> None:
    """The parameter includeObject chooses between the metadata, the whole object and nothing."""
    await lab.call("POST", CONFIG_MAPS, config_map("one"))
    for include, kind in (("Metadata", "PartialObjectMetadata"), ("Object", "ConfigMap")):
        reply = await lab.call("GET", f"{CONFIG_MAPS}?includeObject={include}", Accept=TABLE)
        assert [row["object"]["kind"] for row in reply.body["rows"]] == [kind]
    reply = await lab.call("GET", f"{CONFIG_MAPS}/one?includeObject=None", Accept=TABLE)
    assert "object" not in reply.body["rows"][0]
    assert reply.body["metadata"]["resourceVersion"] == str(lab.store.revision)
    reply = await lab.call("GET", f"{CONFIG_MAPS}?includeObject=All", Accept=TABLE)
    assert (reply.code, reply.body["details"]["kind"]) == (422, "TableOptions")


async def test_definitions_say_what_is_printed(lab: InProcessLab) -> None:
    """The printer columns of a definition are the columns of the table."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ciliumnetworkpolicies.cilium.io"
    version = (await lab.call("GET", path)).body["spec"]["versions"][0]
    assert version["additionalPrinterColumns"] == [
        {"jsonPath": ".metadata.creationTimestamp", "name": "Age", "type": "date"},
        {
            "jsonPath": ".status.conditions[?(@.type=='Valid')].status",
            "name": "Valid",
            "type": "string",
        },
    ]
    await lab.call("POST", CNP, policy())
    table = (await lab.call("GET", CNP, Accept=TABLE)).body
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Age", "Valid"]
    assert table["rows"][0]["cells"] == ["open", "0s", None]


async def test_discovery_in_one_document(lab: InProcessLab) -> None:
    """A client that takes the aggregated form gets the same groups and resources in it."""
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    core = await lab.call("GET", "/api", Accept=accept)
    assert "as=APIGroupDiscoveryList" in core.headers["Content-Type"]
    listed = core.body["items"][0]["versions"][0]["resources"]
    pods = next(one for one in listed if one["resource"] == "pods")
    assert (pods["scope"], pods["shortNames"]) == ("Namespaced", ["po"])
    assert "exec" in [part["subresource"] for part in pods["subresources"]]
    groups = (await lab.call("GET", "/apis", Accept=accept)).body["items"]
    plain = (await lab.call("GET", "/apis")).body["groups"]
    assert [one["metadata"]["name"] for one in groups] == [one["name"] for one in plain]


async def test_openapi_version_2(lab: InProcessLab) -> None:
    """The protobuf form says the same as the JSON form, under the media type of real servers."""
    reply = await lab.call("GET", "/openapi/v2")
    name = "io.cilium.v2.CiliumNetworkPolicy"
    assert reply.body["definitions"][name]["properties"]["metadata"]["$ref"] == (
        "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    )
    accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    headers = {"Authorization": "Bearer the-token", "Accept": accept}
    async with lab.http.get("/openapi/v2", headers=headers) as response:
        assert response.headers["Content-Type"] == accept.replace("@", ".")
        body = await response.read()
    message = openapi_v2._document_class().FromString(body)
    definitions = {one.name: one.value for one in message.definitions.additional_properties}
    assert set(definitions) == set(reply.body["definitions"])
    members = {one.name for one in definitions[name].properties.additional_properties}
    assert members == set(reply.body["definitions"][name]["properties"])
    assert {one.name for one in message.paths.path} == set(reply.body["paths"])


def test_openapi_version_3_describes() -> None:
    """Schemas stand under components, with the kind that they are of and a text where it helps."""
    found = json.loads(openapi.document("cilium.io", "v2"))
    schema = found["components"]["schemas"]["io.cilium.v2.CiliumNetworkPolicy"]
    kind = {"group": "cilium.io", "kind": "CiliumNetworkPolicy", "version": "v2"}
    assert schema["x-kubernetes-group-version-kind"] == [kind]
    spec = schema["properties"]["spec"]["properties"]
    assert spec["ingressDeny"]["description"].startswith("What must not come in")


async def test_derived_objects_follow(lab: InProcessLab) -> None:
    """Endpoints, slices and Cilium endpoints appear, change and go with pods and services."""
    store = lab.store
    shop = {"name": "shop", "namespace": "pets"}
    spec = {"selector": {"app": "shop"}, "ports": [{"port": 80, "targetPort": 8080}]}
    store.put({"apiVersion": "v1", "kind": "Service", "metadata": shop, "spec": spec})
    Derived(store)
    endpoint = store.get("CiliumEndpoint", "pets", "shop")
    assert endpoint["status"]["networking"]["addressing"] == [{"ipv4": "10.244.0.9"}]
    assert "policy" not in endpoint["status"]
    number = endpoint["status"]["identity"]["id"]
    subsets = store.get("Endpoints", "pets", "shop")["subsets"]
    assert subsets[0]["notReadyAddresses"][0]["ip"] == "10.244.0.9"
    pod = store.get("Pod", "pets", "shop")
    pod["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    store.write_status("Pod", "pets", "shop", pod["status"])
    await lab.patch("/api/v1/namespaces/pets/pods/shop", {"metadata": {"labels": {"tier": "x"}}})
    changed = store.get("CiliumEndpoint", "pets", "shop")["status"]["identity"]
    assert "k8s:tier=x" in changed["labels"]
    assert changed["id"] != number
    slices = store.list("EndpointSlice", "pets")
    assert slices[0]["endpoints"][0]["conditions"]["ready"] is True
    assert slices[0]["ports"] == [{"name": "", "port": 8080, "protocol": "TCP"}]
    store.delete("Pod", "pets", "shop")
    await lab.call("GET", "/healthz")
    assert store.find("CiliumEndpoint", "pets", "shop") is None
    assert "subsets" not in store.get("Endpoints", "pets", "shop")
