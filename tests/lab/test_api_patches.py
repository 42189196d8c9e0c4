"""The patch formats: what they do, and which are refused by name."""

from typing import Any

import pytest
from conftest import CNP, CONFIG_MAPS, InProcessLab, config_map, policy

from acns_chaos.lab.api.failures import Failure
from acns_chaos.lab.api.writing.patches import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, apply_patch


@pytest.mark.parametrize(
    ("patch", "result"),
    [
        ({"a": None}, {"b": {"c": [1, 2]}}),
        ({"b": {"c": None, "d": 3}}, {"a": 1, "b": {"d": 3}}),
        ({"b": {"c": []}}, {"a": 1, "b": {"c": []}}),
        ({"a": {"x": {"y": None}}}, {"a": {"x": {}}, "b": {"c": [1, 2]}}),
    ],
)
def test_merge_patch(patch: Any, result: Any) -> None:
    """A merge patch removes by null, merges objects and replaces lists (RFC 7386)."""
    before = {"a": 1, "b": {"c": [1, 2]}}
    assert apply_patch(before, patch, MERGE_PATCH) == result
    assert before == {"a": 1, "b": {"c": [1, 2]}}


@pytest.mark.parametrize(
    ("operations", "result"),
    [
        ([{"op": "add", "path": "/b/c/1", "value": 9}], {"a": 1, "b": {"c": [1, 9, 2]}}),
        ([{"op": "add", "path": "/b/c/-", "value": 9}], {"a": 1, "b": {"c": [1, 2, 9]}}),
        ([{"op": "remove", "path": "/b/c/0"}], {"a": 1, "b": {"c": [2]}}),
        ([{"op": "replace", "path": "/b", "value": {}}], {"a": 1, "b": {}}),
        ([{"op": "move", "from": "/b/c", "path": "/d"}], {"a": 1, "b": {}, "d": [1, 2]}),
        ([{"op": "copy", "from": "/a", "path": "/x~1y"}], {"a": 1, "b": {"c": [1, 2]}, "x/y": 1}),
        ([{"op": "test", "path": "/a", "value": 1}], {"a": 1, "b": {"c": [1, 2]}}),
    ],
)
def test_json_patch(operations: Any, result: Any) -> None:
    """Each operation of RFC 6902 does what it says."""
    assert apply_patch({"a": 1, "b": {"c": [1, 2]}}, operations, JSON_PATCH) == result


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/none"},
        {"op": "replace", "path": "/none", "value": 1},
        {"op": "add", "path": "/b/c/9", "value": 1},
        {"op": "test", "path": "/a", "value": 2},
        {"op": "invent", "path": "/a"},
        {"op": "add", "path": "a", "value": 1},
        {"op": "replace", "path": "", "value": 1},
        {"path": "/a"},
    ],
)
def test_json_patch_that_does_not_fit(operation: Any) -> None:
    """An operation that does not fit the object is a 422 without details, as on a server."""
    with pytest.raises(Failure, match="the server rejected our request") as caught:
        apply_patch({"a": 1, "b": {"c": [1, 2]}}, [operation], JSON_PATCH)
    assert caught.value.code == 422


async def test_a_json_patch_of_a_policy(lab: InProcessLab) -> None:
    """A list of operations replaces exactly the named part of a stored policy."""
    await lab.call("POST", CNP, policy())
    operations = [{"op": "replace", "path": "/spec/ingress/0/fromEntities", "value": ["all"]}]
    reply = await lab.patch(f"{CNP}/open", operations, "json-patch+json")
    assert (reply.code, reply.body["spec"]["ingress"]) == (200, [{"fromEntities": ["all"]}])


async def test_a_patched_policy_must_be_valid(lab: InProcessLab) -> None:
    """The result of a patch is validated, and unknown fields are warned about."""
    await lab.call("POST", CNP, policy())
    reply = await lab.patch(f"{CNP}/open", {"spec": {"ingress": [{"fromEntities": ["moon"]}]}})
    assert reply.code == 422
    assert 'fromEntities[0]: Unsupported value: "moon"' in reply.message
    reply = await lab.patch(f"{CNP}/open", {"spec": {"ingresss": []}})
    assert reply.headers["Warning"] == '299 - "unknown field \\"spec.ingresss\\""'


async def test_a_patch_with_a_stale_version_is_a_conflict(lab: InProcessLab) -> None:
    """A resourceVersion in a patch is a precondition; without one a patch always applies."""
    await lab.call("POST", CONFIG_MAPS, config_map())
    stale = {"metadata": {"resourceVersion": "1"}, "data": {"colour": "red"}}
    assert (await lab.patch(f"{CONFIG_MAPS}/settings", stale)).code == 409
    assert (await lab.patch(f"{CONFIG_MAPS}/settings", {"data": {"colour": "red"}})).code == 200
    assert (await lab.patch(f"{CONFIG_MAPS}/none", {})).code == 404


async def test_strategic_merge_is_not_for_custom_resources(lab: InProcessLab) -> None:
    """A custom resource refuses a strategic merge patch with 415 and the types that it takes."""
    await lab.call("POST", CNP, policy())
    reply = await lab.patch(f"{CNP}/open", {"spec": {}}, "strategic-merge-patch+json")
    assert (reply.code, reply.body["reason"]) == (415, "UnsupportedMediaType")
    assert reply.message == (
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )


async def test_strategic_merge_of_a_built_in_kind(lab: InProcessLab) -> None:
    """Plain members merge, lists with merge keys merge item by item, directives are followed."""
    await lab.call("POST", CONFIG_MAPS, config_map(colour="blue", size="big"))
    path, kind = f"{CONFIG_MAPS}/settings", "strategic-merge-patch+json"
    reply = await lab.patch(path, {"data": {"colour": None, "shape": "round"}}, kind)
    assert reply.body["data"] == {"size": "big", "shape": "round"}
    for finalizer in ("example.com/a", "example.com/b"):
        reply = await lab.patch(path, {"metadata": {"finalizers": [finalizer]}}, kind)
    assert reply.body["metadata"]["finalizers"] == ["example.com/a", "example.com/b"]
    taken = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a"]}}
    reply = await lab.patch(path, taken, kind)
    assert reply.body["metadata"]["finalizers"] == ["example.com/b"]
    reply = await lab.patch(path, {"data": {"$patch": "replace", "only": "this"}}, kind)
    assert reply.body["data"] == {"only": "this"}


@pytest.mark.parametrize(
    ("patch", "result"),
    [
        ([{"name": "b", "x": 2}], [{"name": "a", "x": 1}, {"name": "b", "x": 2}]),
        ([{"name": "a", "y": 2}], [{"name": "a", "x": 1, "y": 2}]),
        ([{"name": "a", "x": None}], [{"name": "a"}]),
        ([{"name": "a", "$patch": "delete"}], []),
        ([{"$patch": "replace"}, {"name": "c"}], [{"name": "c"}]),
    ],
)
def test_strategic_merge_of_a_keyed_list(patch: Any, result: Any) -> None:
    """Items are told apart by their key; a directive deletes one, or replaces the whole list."""
    before = {"secrets": [{"name": "a", "x": 1}]}
    assert apply_patch(before, {"secrets": patch}, STRATEGIC_PATCH) == {"secrets": result}


def test_strategic_merge_puts_items_in_order() -> None:
    """$setElementOrder orders a list, $retainKeys drops the members that it does not name."""
    patch: Any = {
        "$setElementOrder/secrets": [{"name": "b"}, {"name": "a"}],
        "secrets": [{"name": "b"}],
    }
    before = {"secrets": [{"name": "a"}], "data": {"a": "1", "b": "2"}}
    after = apply_patch(before, patch, STRATEGIC_PATCH)
    assert after["secrets"] == [{"name": "b"}, {"name": "a"}]
    patch = {"data": {"$retainKeys": ["b"], "b": "3"}}
    assert apply_patch(before, patch, STRATEGIC_PATCH)["data"] == {"b": "3"}


async def test_force_belongs_to_apply(lab: InProcessLab) -> None:
    """The parameter force is forbidden on every other patch."""
    await lab.call("POST", CNP, policy())
    reply = await lab.patch(f"{CNP}/open?force=true", {})
    assert reply.code == 422
    assert "force: Forbidden: may not be specified for non-apply patch" in reply.message
