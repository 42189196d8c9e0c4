"""Server-side apply over HTTP: owners, conflicts, removal, and the refusals in a server's words."""

import asyncio
from typing import Any

import pytest
import yaml
from conftest import CNP, CONFIG_MAPS, InProcessLab, Reply, config_map, policy

from acns_chaos.lab.api.applying.fields import (
    difference,
    field_set,
    from_fields,
    merged,
    to_fields,
    without,
)
from acns_chaos.lab.api.applying.fields_shape import LEAF, Shape

WORLD = [{"fromEntities": ["world"]}]


async def apply(
    lab: InProcessLab, path: str, config: Any, manager: str = "a", query: str = ""
) -> Reply:
    """Apply a configuration, as YAML."""
    body = config if isinstance(config, bytes) else yaml.safe_dump(config).encode()
    return await lab.call(
        "PATCH",
        f"{path}?fieldManager={manager}{query}",
        body,
        Content_Type="application/apply-patch+yaml",
    )


def owners(reply: Reply) -> dict[tuple[str, str, str], Any]:
    """The fields of each manager, operation and subresource."""
    return {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): entry["fieldsV1"]
        for entry in reply.body["metadata"]["managedFields"]
    }


async def test_apply_creates_and_is_idempotent(lab: InProcessLab) -> None:
    """The first apply creates with 201, the same again changes nothing at all."""
    first = await apply(lab, f"{CNP}/open", policy())
    assert (first.code, first.body["metadata"]["generation"]) == (201, 1)
    assert owners(first) == {
        ("a", "Apply", ""): {"f:spec": {"f:endpointSelector": {}, "f:ingress": {}}}
    }
    async with asyncio.timeout(2):
        while "status" not in lab.store.get("CiliumNetworkPolicy", "pets", "open"):
            await asyncio.sleep(0.002)
    revision = lab.store.revision
    again = await apply(lab, f"{CNP}/open", policy())
    assert (again.code, lab.store.revision) == (200, revision)


async def test_a_field_that_is_applied_no_more_goes(lab: InProcessLab) -> None:
    """A manager's own fields go when its configuration no longer has them; others' stay."""
    await apply(lab, f"{CONFIG_MAPS}/settings", config_map(a="1", b="2"))
    await lab.patch(f"{CONFIG_MAPS}/settings?fieldManager=person", {"data": {"c": "3"}})
    reply = await apply(lab, f"{CONFIG_MAPS}/settings", config_map(a="1"))
    assert reply.body["data"] == {"a": "1", "c": "3"}
    assert owners(reply) == {
        ("a", "Apply", ""): {"f:data": {"f:a": {}}},
        ("person", "Update", ""): {"f:data": {"f:c": {}}},
    }


async def test_a_field_that_another_manager_applies_too_stays(lab: InProcessLab) -> None:
    """What two managers apply alike belongs to both, and goes with the last of them."""
    path = f"{CONFIG_MAPS}/settings"
    await apply(lab, path, config_map(a="1", b="2"), "a")
    await apply(lab, path, config_map(b="2"), "b")
    assert (await apply(lab, path, config_map(a="1"), "a")).body["data"] == {"a": "1", "b": "2"}
    assert (await apply(lab, path, config_map(c="3"), "b")).body["data"] == {"a": "1", "c": "3"}


async def test_a_conflict_names_managers_and_fields(lab: InProcessLab) -> None:
    """Fields of others with another value are a 409 with a cause each; force takes them."""
    path = f"{CONFIG_MAPS}/settings"
    await apply(lab, path, config_map(a="1", b="2", c="3"))
    reply = await apply(lab, path, config_map(a="9"), "b")
    assert (reply.code, reply.body["reason"]) == (409, "Conflict")
    assert reply.message == 'Apply failed with 1 conflict: conflict with "a": .data.a'
    assert reply.body["details"] == {
        "causes": [
            {"reason": "FieldManagerConflict", "message": 'conflict with "a"', "field": ".data.a"}
        ]
    }
    await lab.patch(f"{path}?fieldManager=person", {"data": {"c": "4"}})
    reply = await apply(lab, path, config_map(a="9", b="9", c="9"), "b")
    assert reply.message == (
        'Apply failed with 3 conflicts: conflicts with "a":\n- .data.a\n- .data.b\n'
        'conflicts with "person" using v1:\n- .data.c'
    )
    assert lab.store.get("ConfigMap", "pets", "settings")["data"]["a"] == "1"
    reply = await apply(lab, path, config_map(a="9", b="9", c="9"), "b", "&force=true")
    assert (reply.code, reply.body["data"]) == (200, {"a": "9", "b": "9", "c": "9"})
    assert set(owners(reply)) == {("b", "Apply", "")}


async def test_lists_of_a_policy_are_one_field(lab: InProcessLab) -> None:
    """A list of rules and a selector are replaced and owned as a whole."""
    await apply(lab, f"{CNP}/open", policy(ingress=[{}, *WORLD]))
    reply = await apply(lab, f"{CNP}/open", policy(ingress=WORLD), "b")
    assert 'conflict with "a": .spec.ingress' in reply.message
    reply = await apply(lab, f"{CNP}/open", policy(ingress=WORLD))
    assert (reply.code, reply.body["spec"]["ingress"]) == (200, WORLD)
    assert reply.body["metadata"]["generation"] == 2


async def test_owners_are_kept_apart_by_subresource(lab: InProcessLab) -> None:
    """The operator's status is its own; who applies the policy does not touch it."""
    await apply(lab, f"{CNP}/open", policy())
    async with asyncio.timeout(2):
        while "status" not in lab.store.get("CiliumNetworkPolicy", "pets", "open"):
            await asyncio.sleep(0.002)
    reply = await apply(lab, f"{CNP}/open", policy(ingress=[{}]))
    status = owners(reply)[("cilium-operator-generic", "Update", "status")]
    assert status["f:status"]["f:conditions"]['k:{"type":"Valid"}'] == {
        ".": {},
        "f:lastTransitionTime": {},
        "f:message": {},
        "f:status": {},
        "f:type": {},
    }
    assert reply.body["status"]["conditions"][0]["type"] == "Valid"


async def test_finalizers_are_a_set_and_owners_a_keyed_list(lab: InProcessLab) -> None:
    """Items of two managers stand side by side, and each goes with its manager."""
    path = f"{CONFIG_MAPS}/settings"

    def config(finalizer: str, uid: str) -> dict[str, Any]:
        reference = {"apiVersion": "v1", "kind": "Pod", "name": uid, "uid": uid}
        metadata = {"finalizers": [finalizer], "ownerReferences": [reference]}
        return {**config_map(), "metadata": {"name": "settings", **metadata}}

    await apply(lab, path, config("x.io/a", "1"), "a")
    reply = await apply(lab, path, config("x.io/b", "2"), "b")
    assert reply.body["metadata"]["finalizers"] == ["x.io/a", "x.io/b"]
    assert [one["uid"] for one in reply.body["metadata"]["ownerReferences"]] == ["1", "2"]
    assert 'v:"x.io/b"' in owners(reply)["b", "Apply", ""]["f:metadata"]["f:finalizers"]
    reply = await apply(lab, path, config_map(), "a")
    assert reply.body["metadata"]["finalizers"] == ["x.io/b"]
    assert [one["uid"] for one in reply.body["metadata"]["ownerReferences"]] == ["2"]


async def test_a_dry_run_applies_nothing(lab: InProcessLab) -> None:
    """dryRun=All answers as if, for a create and for a change."""
    reply = await apply(lab, f"{CNP}/open", policy(), query="&dryRun=All")
    assert (reply.code, lab.store.find("CiliumNetworkPolicy", "pets", "open")) == (201, None)
    await apply(lab, f"{CNP}/open", policy())
    reply = await apply(lab, f"{CNP}/open", policy(ingress=[{}]), query="&dryRun=All")
    assert reply.body["spec"]["ingress"] == [{}]
    assert lab.store.get("CiliumNetworkPolicy", "pets", "open")["spec"]["ingress"] == WORLD


async def test_client_side_apply_is_taken_over(lab: InProcessLab) -> None:
    """Kubectl's JSON patch of managedFields makes its old entry one that applies."""
    await lab.call(
        "POST", f"{CONFIG_MAPS}?fieldManager=kubectl-client-side-apply", config_map(a="1", b="2")
    )
    stored = lab.store.get("ConfigMap", "pets", "settings")["metadata"]
    taken = [{**stored["managedFields"][0], "manager": "kubectl", "operation": "Apply"}]
    operations = [
        {"op": "replace", "path": "/metadata/managedFields", "value": taken},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": stored["resourceVersion"]},
    ]
    reply = await lab.patch(f"{CONFIG_MAPS}/settings", operations, "json-patch+json")
    assert set(owners(reply)) == {("kubectl", "Apply", "")}
    reply = await apply(lab, f"{CONFIG_MAPS}/settings", config_map(a="1"), "kubectl")
    assert reply.body["data"] == {"a": "1"}


async def test_kubectl_may_take_what_its_client_side_apply_wrote(lab: InProcessLab) -> None:
    """No conflict for values that the last-applied annotation has, and it follows the apply."""
    key = "kubectl.kubernetes.io/last-applied-configuration"
    text = '{"apiVersion":"v1","data":{"a":"1"},"kind":"ConfigMap","metadata":{"name":"settings"}}'
    before = config_map(a="1")
    before["metadata"]["annotations"] = {key: text}
    await lab.call("POST", f"{CONFIG_MAPS}?fieldManager=kubectl-client-side-apply", before)
    refused = await apply(lab, f"{CONFIG_MAPS}/settings", config_map(a="2"), "other")
    assert 'conflict with "kubectl-client-side-apply" using v1: .data.a' in refused.message
    reply = await apply(lab, f"{CONFIG_MAPS}/settings", config_map(a="2"), "kubectl")
    assert (reply.code, reply.body["data"]) == (200, {"a": "2"})
    assert '"data":{"a":"2"}' in reply.body["metadata"]["annotations"][key]


async def test_managed_fields_can_be_forgotten(lab: InProcessLab) -> None:
    """A patch to `[{}]` drops every owner; the next apply owns what it brings."""
    path = f"{CONFIG_MAPS}/settings"
    await apply(lab, path, config_map(a="1"))
    reply = await lab.patch(path, {"metadata": {"managedFields": [{}]}})
    assert reply.body["metadata"].get("managedFields", []) == []
    reply = await apply(lab, path, config_map(a="1"), "b")
    assert owners(reply) == {
        ("b", "Apply", ""): {"f:data": {"f:a": {}}},
        ("before-first-apply", "Update", ""): {"f:data": {".": {}, "f:a": {}}},
    }


@pytest.mark.parametrize(
    ("config", "query", "code", "message"),
    [
        (config_map(), "", 422, "fieldManager: Required value: is required for apply patch"),
        (b"a: [", "fieldManager=a", 400, "error converting YAML to JSON: yaml: line "),
        (b"- a", "fieldManager=a", 400, "error decoding YAML: error unmarshaling JSON"),
        ({"kind": "ConfigMap"}, "fieldManager=a", 400, "object type: /, Kind=ConfigMap"),
        ({**config_map(), "kind": "Pod"}, "fieldManager=a", 400, "type: /v1, Kind=Pod"),
        (config_map("other"), "fieldManager=a", 400, "the name of the object (other) does not"),
        (
            {**config_map(), "metadata": {"name": "settings", "managedFields": []}},
            "fieldManager=a",
            400,
            "metadata.managedFields must be nil",
        ),
        (
            {**config_map(), "colour": "blue"},
            "fieldManager=a&fieldValidation=Ignore",
            500,
            "(/settings; /v1, Kind=ConfigMap): .colour: field not declared in schema",
        ),
        (
            {**config_map(), "data": {"a": 5}},
            "fieldManager=a",
            500,
            ".data.a: expected string, got &value.valueUnstructured{Value:5}",
        ),
    ],
)  # fmt: skip
async def test_refusals(
    lab: InProcessLab, config: Any, query: str, code: int, message: str
) -> None:
    """A configuration that cannot be applied is refused in the words of a real server."""
    body = config if isinstance(config, bytes) else yaml.safe_dump(config).encode()
    reply = await lab.call(
        "PATCH",
        f"{CONFIG_MAPS}/settings?{query}",
        body,
        Content_Type="application/apply-patch+yaml",
    )
    assert (reply.code, message in reply.message) == (code, True), reply.message


async def test_keys_that_stand_twice_in_yaml(lab: InProcessLab) -> None:
    """Strict refuses them with the line, and otherwise the last one counts with a warning."""
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata:\n  a: x\n  a: z\n"
    reply = await apply(lab, f"{CONFIG_MAPS}/settings", text, query="&fieldValidation=Strict")
    assert reply.message == (
        "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n"
        '  line 6: key "a" already set in map'
    )
    reply = await apply(lab, f"{CONFIG_MAPS}/settings", text)
    assert (reply.code, reply.body["data"]) == (201, {"a": "z"})
    assert "already set in map" in reply.headers["Warning"]


async def test_a_stale_version_in_a_configuration_is_a_conflict(lab: InProcessLab) -> None:
    """A resourceVersion in what is applied is a precondition."""
    await apply(lab, f"{CONFIG_MAPS}/settings", config_map())
    stale = config_map(colour="red")
    stale["metadata"]["resourceVersion"] = "1"
    reply = await apply(lab, f"{CONFIG_MAPS}/settings", stale)
    assert (reply.code, reply.body["reason"]) == (409, "Conflict")


async def test_what_nothing_would_act_on_is_not_applied(lab: InProcessLab) -> None:
    """A kind whose objects only the world makes can be labelled by apply, and not created."""
    pods = "/api/v1/namespaces/pets/pods"
    labelled: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "shop", "labels": {"x": "z"}},
    }
    reply = await apply(lab, f"{pods}/shop", labelled)
    assert (reply.code, reply.body["metadata"]["labels"]["x"]) == (200, "z")
    labelled["metadata"]["name"] = "new"
    assert (await apply(lab, f"{pods}/new", labelled)).code == 501


@pytest.mark.parametrize(
    "body", [b"{a: " * 60_000, b"[" * 300_000, b"- " * 60_000, b"[" + b"a," * 100_000 + b"]"]
)
async def test_yaml_that_is_deep_or_endless_is_refused(lab: InProcessLab, body: bytes) -> None:
    """Deep nesting kills libyaml's composer, and many values would keep everybody waiting."""
    answer = await lab.call("POST", CNP, body, Content_Type="application/yaml")
    assert answer.code == 400
    assert "exceeded max depth" in answer.message


async def test_a_yaml_body_is_an_object_too(lab: InProcessLab) -> None:
    """POST and PUT take application/yaml, with YAML's own idea of scalars."""
    text = b"kind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  a: '1'\n  b: 2020-01-01\n"
    reply = await lab.call("POST", CONFIG_MAPS, text, Content_Type="application/yaml")
    assert (reply.code, reply.body["data"]) == (201, {"a": "1", "b": "2020-01-01"})
    wrong = text.replace(b"'1'", b"yes")
    reply = await lab.call("PUT", f"{CONFIG_MAPS}/settings", wrong, Content_Type="application/yaml")
    assert (reply.code, "cannot unmarshal bool into Go struct field" in reply.message) == (
        400,
        True,
    )
    bomb = b"a: &a [1,1,1,1,1,1,1,1]\n" + b"".join(
        b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(8)
    )
    reply = await lab.call("POST", CONFIG_MAPS, bomb, Content_Type="application/yaml")
    assert (reply.code, "exceeded max depth" in reply.message) == (400, True)


async def test_an_event_has_two_views(lab: InProcessLab) -> None:
    """What is created through events.k8s.io is read through the core group, and the other way."""
    core, view = "/api/v1/namespaces/pets/events", "/apis/events.k8s.io/v1/namespaces/pets/events"
    event = {
        "metadata": {"name": "new"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "regarding": {"kind": "Pod", "name": "shop"},
        "note": "it broke",
        "reason": "Broken",
        "action": "Break",
        "type": "Warning",
        "reportingController": "chaos",
        "reportingInstance": "chaos-1",
    }
    reply = await lab.call("POST", view, event)
    assert (reply.code, reply.body["apiVersion"]) == (201, "events.k8s.io/v1")
    assert reply.body["regarding"] == event["regarding"]
    seen = (await lab.call("GET", f"{core}/new")).body
    assert (seen["apiVersion"], seen["message"]) == ("v1", "it broke")
    assert (seen["involvedObject"], seen["reportingComponent"]) == (event["regarding"], "chaos")
    old = {"metadata": {"name": "old"}, "involvedObject": {"kind": "Pod"}, "message": "older"}
    await lab.call("POST", core, old)
    listed = (await lab.call("GET", view)).body
    assert (listed["apiVersion"], listed["kind"]) == ("events.k8s.io/v1", "EventList")
    assert [item["note"] for item in listed["items"]] == ["it broke", "older"]
    reply = await lab.patch(f"{view}/new", {"note": "it is well"})
    assert (reply.code, reply.body["note"]) == (200, "it is well")
    assert lab.store.get("Event", "pets", "new")["message"] == "it is well"
    reply = await lab.call("POST", view, {"metadata": {"name": "poor"}, "type": "Bad"})
    assert (reply.code, "reportingController: Required value" in reply.message) == (422, True)
    assert (await lab.call("DELETE", f"{view}/new")).code == 200
    assert (await lab.call("GET", f"{core}/new")).code == 404


SHAPE = Shape(
    "struct",
    {
        "labels": Shape("map", values=LEAF),
        "rules": LEAF,
        "conditions": Shape(
            "keyed", values=Shape("struct", {"type": LEAF, "status": LEAF}), keys=("type",)
        ),
        "finalizers": Shape("set"),
    },
)
OBJECT = {
    "labels": {"a": "1", "b.c/d": "2"},
    "rules": [{"x": 1}],
    "conditions": [{"type": "Valid", "status": "True"}],
    "finalizers": ["x"],
}


def test_field_sets_survive_being_written() -> None:
    """A set as fieldsV1, read again, is the same set."""
    paths = field_set(OBJECT, SHAPE)
    assert to_fields(paths) == {
        "f:conditions": {'k:{"type":"Valid"}': {".": {}, "f:status": {}, "f:type": {}}},
        "f:finalizers": {'v:"x"': {}},
        "f:labels": {"f:a": {}, "f:b.c/d": {}},
        "f:rules": {},
    }
    assert from_fields(to_fields(paths)) == paths


def test_what_is_merged_can_be_taken_away() -> None:
    """Merging a configuration and removing its fields gives the object without them."""
    config = {"labels": {"e": "3"}, "finalizers": ["y"], "conditions": [{"type": "New"}]}
    both = merged(OBJECT, config, SHAPE)
    assert both["conditions"] == [{"type": "Valid", "status": "True"}, {"type": "New"}]
    assert without(both, field_set(config, SHAPE), SHAPE) == OBJECT
    found = difference(OBJECT, both, SHAPE)
    assert (found.modified, found.removed) == (set(), set())
    assert found.added == field_set(config, SHAPE)
