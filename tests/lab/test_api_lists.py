"""Lists, selectors, pages and tables."""

from typing import Any

import pytest
from conftest import CNP, CONFIG_MAPS, InProcessLab, config_map, policy

PODS = "/api/v1/namespaces/pets/pods"


def names(body: dict[str, Any]) -> list[str]:
    """The names of a list's items."""
    return [item["metadata"]["name"] for item in body["items"]]


async def test_a_list_of_a_namespace_and_of_all(lab: InProcessLab) -> None:
    """A path without a namespace lists all of them, in order; the list has a version."""
    for namespace in ("pets", "other"):
        await lab.call("POST", CONFIG_MAPS.replace("pets", namespace), config_map(namespace))
    reply = await lab.call("GET", "/api/v1/configmaps")
    assert reply.body["kind"] == "ConfigMapList"
    assert names(reply.body) == ["other", "pets"]
    assert reply.body["metadata"]["resourceVersion"] == str(lab.store.revision)
    assert names((await lab.call("GET", CONFIG_MAPS)).body) == ["pets"]


async def test_items_carry_their_kind_only_in_custom_lists(lab: InProcessLab) -> None:
    """Items of built-in lists have no kind, items of custom resources have it."""
    await lab.call("POST", CNP, policy())
    assert "kind" not in (await lab.call("GET", PODS)).body["items"][0]
    assert (await lab.call("GET", CNP)).body["items"][0]["kind"] == "CiliumNetworkPolicy"


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("app=shop", ["shop"]),
        ("app==shop,app", ["shop"]),
        ("app!=shop", ["pair"]),
        ("app in (shop, pair)", ["pair", "shop"]),
        ("app notin (shop)", ["pair"]),
        ("!app", []),
        ("tier notin (x)", ["pair", "shop"]),
        ("app", ["pair", "shop"]),
    ],
)
async def test_label_selectors(lab: InProcessLab, selector: str, found: list[str]) -> None:
    """Equality, sets and existence select as kubectl's -l does."""
    reply = await lab.call("GET", f"{PODS}?labelSelector={selector.replace(' ', '%20')}")
    assert names(reply.body) == found


async def test_a_selector_that_cannot_be_read(lab: InProcessLab) -> None:
    """A broken label selector is a 400 that shows it."""
    reply = await lab.call("GET", f"{PODS}?labelSelector=app%20in%20shop")
    assert reply.code == 400
    assert "unable to parse requirement" in reply.message


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("metadata.name=shop", ["shop"]),
        ("metadata.namespace!=pets", []),
        ("status.phase=Running,metadata.name!=shop", ["pair"]),
    ],
)
async def test_field_selectors(lab: InProcessLab, selector: str, found: list[str]) -> None:
    """Name, namespace and the few fields that a kind offers can be selected."""
    assert names((await lab.call("GET", f"{PODS}?fieldSelector={selector}")).body) == found


async def test_other_fields_cannot_be_selected(lab: InProcessLab) -> None:
    """A field that the kind does not offer is a 400, worded for built-in and for custom kinds."""
    reply = await lab.call("GET", f"{PODS}?fieldSelector=spec.color=red")
    assert (reply.code, reply.message) == (
        400,
        'field label "spec.color" not supported for kind "Pod"',
    )
    reply = await lab.call("GET", f"{CNP}?fieldSelector=spec.color=red")
    assert reply.message == "field label not supported: spec.color"


async def test_pages_show_one_moment(lab: InProcessLab) -> None:
    """Pages walk through the list as it was when the first one was read."""
    for name in ("a", "b", "c"):
        await lab.call("POST", CONFIG_MAPS, config_map(name))
    first = (await lab.call("GET", f"{CONFIG_MAPS}?limit=2")).body
    assert names(first) == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 1
    await lab.call("DELETE", f"{CONFIG_MAPS}/c")
    token = first["metadata"]["continue"]
    second = (await lab.call("GET", f"{CONFIG_MAPS}?limit=2&continue={token}")).body
    assert names(second) == ["c"]
    assert second["metadata"] == {"resourceVersion": first["metadata"]["resourceVersion"]}
    reply = await lab.call("GET", f"{CONFIG_MAPS}?continue=forgotten")
    assert (reply.code, reply.body["reason"]) == (410, "Expired")


async def test_a_version_in_the_future(lab: InProcessLab) -> None:
    """A list or get that must be newer than the newest write says so with 504."""
    for path in (CONFIG_MAPS, f"{PODS}/shop"):
        reply = await lab.call("GET", f"{path}?resourceVersion=999999")
        assert (reply.code, reply.body["reason"]) == (504, "Timeout")
        assert reply.message.startswith("Too large resource version: 999999, current: ")
    assert (await lab.call("GET", f"{CONFIG_MAPS}?resourceVersion=0")).code == 200


async def test_tables_for_kubectl(lab: InProcessLab) -> None:
    """A client that prefers a Table gets one, with the Valid column for a policy."""
    await lab.call("POST", CNP, policy())
    lab.store.write_status(
        "CiliumNetworkPolicy", "pets", "open", {"conditions": [{"type": "Valid", "status": "True"}]}
    )
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    for path in (CNP, f"{CNP}/open"):
        reply = await lab.call("GET", path, Accept=accept)
        assert reply.body["kind"] == "Table"
        assert [column["name"] for column in reply.body["columnDefinitions"]] == [
            "Name",
            "Age",
            "Valid",
        ]
        row = reply.body["rows"][0]
        assert (row["cells"][0], row["cells"][2]) == ("open", "True")
        assert row["object"]["metadata"]["name"] == "open"
