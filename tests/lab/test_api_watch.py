"""Watches: what happened, in order, from a version on."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientResponse
from conftest import CNP, CONFIG_MAPS, TOKEN, InProcessLab, config_map, policy

from acns_chaos.lab.api.store import Store


class Stream:
    """An open watch."""

    def __init__(self, response: ClientResponse) -> None:
        self._response = response

    async def next(self) -> dict[str, Any] | None:
        """The next event; None when the stream has ended."""
        async with asyncio.timeout(2):
            line = await self._response.content.readline()
        return json.loads(line) if line else None

    async def names(self, count: int) -> list[tuple[str, str]]:
        """Type and name of the next events."""
        events = [await self.next() for _ in range(count)]
        return [(event["type"], event["object"]["metadata"]["name"]) for event in events if event]


@asynccontextmanager
async def watch(lab: InProcessLab, path: str, **query: str) -> AsyncIterator[Stream]:
    """Open a watch of a collection."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    params = {"watch": "true", **query}
    async with lab.http.get(path, params=params, headers=headers) as response:
        assert response.status == 200
        yield Stream(response)


async def test_a_watch_without_a_version_starts_with_what_is_there(lab: InProcessLab) -> None:
    """First the existing objects as ADDED, then what happens."""
    await lab.call("POST", CONFIG_MAPS, config_map("one"))
    async with watch(lab, CONFIG_MAPS) as stream:
        assert await stream.names(1) == [("ADDED", "one")]
        await lab.call("POST", CONFIG_MAPS, config_map("two"))
        await lab.patch(f"{CONFIG_MAPS}/one", {"data": {"a": "b"}})
        await lab.call("DELETE", f"{CONFIG_MAPS}/two")
        assert await stream.names(3) == [
            ("ADDED", "two"),
            ("MODIFIED", "one"),
            ("DELETED", "two"),
        ]


async def test_a_watch_from_a_list_misses_nothing(lab: InProcessLab) -> None:
    """A watch from the version of a list sees every later write, also those before it began."""
    await lab.call("POST", CONFIG_MAPS, config_map("one"))
    version = (await lab.call("GET", CONFIG_MAPS)).body["metadata"]["resourceVersion"]
    await lab.call("POST", CONFIG_MAPS, config_map("two"))
    async with watch(lab, CONFIG_MAPS, resourceVersion=version) as stream:
        event = await stream.next()
        assert event
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "two")
        assert int(event["object"]["metadata"]["resourceVersion"]) == int(version) + 1
        await lab.call("DELETE", f"{CONFIG_MAPS}/one")
        event = await stream.next()
        assert event
        assert event["type"] == "DELETED"
        assert int(event["object"]["metadata"]["resourceVersion"]) == int(version) + 2


async def test_a_watch_sees_only_its_kind_and_namespace(lab: InProcessLab) -> None:
    """Writes of other kinds and namespaces are no events; all namespaces can be watched."""
    since = str(lab.store.revision)
    await lab.call("POST", CNP, policy())
    await lab.call("POST", CONFIG_MAPS.replace("pets", "other"), config_map("there"))
    await lab.call("POST", CONFIG_MAPS, config_map("here"))
    async with watch(lab, CONFIG_MAPS, resourceVersion=since) as stream:
        assert await stream.names(1) == [("ADDED", "here")]
    async with watch(lab, "/api/v1/configmaps", resourceVersion=since) as stream:
        assert await stream.names(2) == [("ADDED", "there"), ("ADDED", "here")]


async def test_an_object_enters_and_leaves_a_selection(lab: InProcessLab) -> None:
    """A label that begins to match is ADDED, one that stops to match is DELETED."""
    await lab.call("POST", CONFIG_MAPS, config_map("one"))
    since = str(lab.store.revision)
    async with watch(lab, CONFIG_MAPS, resourceVersion=since, labelSelector="tier=front") as stream:
        await lab.patch(f"{CONFIG_MAPS}/one", {"metadata": {"labels": {"tier": "front"}}})
        await lab.patch(f"{CONFIG_MAPS}/one", {"data": {"x": "y"}})
        await lab.patch(f"{CONFIG_MAPS}/one", {"metadata": {"labels": {"tier": "back"}}})
        await lab.patch(f"{CONFIG_MAPS}/one", {"data": {"x": "z"}})
        await lab.patch(f"{CONFIG_MAPS}/one", {"metadata": {"labels": {"tier": "front"}}})
        assert [kind for kind, _ in await stream.names(4)] == [
            "ADDED",
            "MODIFIED",
            "DELETED",
            "ADDED",
        ]


async def test_a_watch_ends_with_its_timeout(lab: InProcessLab) -> None:
    """After timeoutSeconds the stream ends; a client that asked for bookmarks gets one."""
    started = asyncio.get_running_loop().time()
    since = str(lab.store.revision)
    query = {"resourceVersion": since, "timeoutSeconds": "1", "allowWatchBookmarks": "true"}
    async with watch(lab, CONFIG_MAPS, **query) as stream:
        event = await stream.next()
        assert event
        assert event["type"] == "BOOKMARK"
        assert event["object"]["kind"] == "ConfigMap"
        assert event["object"]["metadata"]["resourceVersion"] == since
        assert await stream.next() is None
    assert 0.9 < asyncio.get_running_loop().time() - started < 2


async def test_a_version_that_is_too_old_is_an_error_event(lab: InProcessLab) -> None:
    """A watch from before the history is told 410 in the stream, which then ends."""
    async with watch(lab, CONFIG_MAPS, resourceVersion="5") as stream:
        event = await stream.next()
        assert event
        assert event["type"] == "ERROR"
        assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
        assert event["object"]["message"] == "too old resource version: 5 (1000)"
        assert await stream.next() is None


async def test_a_version_in_the_future_cannot_be_watched(lab: InProcessLab) -> None:
    """A watch from a version that does not exist yet is refused with 504."""
    reply = await lab.call("GET", f"{CONFIG_MAPS}?watch=1&resourceVersion=999999")
    assert reply.code == 504


async def test_a_client_that_leaves_ends_its_watch(lab: InProcessLab) -> None:
    """Nothing stays subscribed to the store after the client has gone."""
    async with watch(lab, CONFIG_MAPS):
        assert len(lab.store._watchers) == 1
    async with asyncio.timeout(2):
        while lab.store._watchers:
            await asyncio.sleep(0.002)


def test_the_history_forgets() -> None:
    """The store knows which versions it no longer holds; the newer ones are complete."""
    store = Store(history=3)
    for number in range(5):
        store.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number}"}})
    assert (store.revision, store.forgotten) == (1005, 1002)
    missed = store.watch(store.forgotten, lambda _: None)
    assert [entry.revision for entry in missed] == [1003, 1004, 1005]


async def test_a_streaming_list(lab: InProcessLab) -> None:
    """With sendInitialEvents what there is comes first, then a bookmark that says it is all."""
    await lab.call("POST", CONFIG_MAPS, config_map("one"))
    query = {
        "resourceVersionMatch": "NotOlderThan",
        "sendInitialEvents": "true",
        "allowWatchBookmarks": "true",
    }
    async with watch(lab, CONFIG_MAPS, **query) as stream:
        assert await stream.names(1) == [("ADDED", "one")]
        event = await stream.next()
        assert event
        assert event["type"] == "BOOKMARK"
        assert event["object"]["metadata"]["resourceVersion"] == str(lab.store.revision)
        assert event["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        await lab.call("POST", CONFIG_MAPS, config_map("two"))
        assert await stream.names(1) == [("ADDED", "two")]
    async with watch(lab, CONFIG_MAPS, **{**query, "sendInitialEvents": "false"}) as stream:
        await lab.call("POST", CONFIG_MAPS, config_map("three"))
        assert await stream.names(1) == [("ADDED", "three")]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "watch=true&sendInitialEvents=true",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            "watch=true&resourceVersionMatch=NotOlderThan",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        ("sendInitialEvents=true", "sendInitialEvents is forbidden for list"),
        (
            "resourceVersionMatch=Exact",
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            "resourceVersionMatch=Newest&resourceVersion=5",
            '"Newest": supported values: "Exact", "NotOlderThan", ""',
        ),
    ],
)
async def test_parameters_that_do_not_go_together(
    lab: InProcessLab, query: str, message: str
) -> None:
    """Combinations that a server refuses are a 422 about the ListOptions."""
    reply = await lab.call("GET", f"{CONFIG_MAPS}?{query}")
    assert (reply.code, reply.body["details"]["kind"]) == (422, "ListOptions")
    assert message in reply.message


async def test_a_list_as_it_was(lab: InProcessLab) -> None:
    """A list at an exact version shows what there was then; a forgotten version is a 410."""
    await lab.call("POST", CONFIG_MAPS, config_map("one", a="1"))
    then = lab.store.revision
    await lab.patch(f"{CONFIG_MAPS}/one", {"data": {"a": "2"}})
    await lab.call("POST", CONFIG_MAPS, config_map("two"))
    await lab.call("DELETE", f"{CONFIG_MAPS}/one")
    exact = f"{CONFIG_MAPS}?resourceVersionMatch=Exact&resourceVersion="
    reply = await lab.call("GET", f"{exact}{then}")
    assert reply.body["metadata"]["resourceVersion"] == str(then)
    assert [(item["metadata"]["name"], item["data"]) for item in reply.body["items"]] == [
        ("one", {"a": "1"})
    ]
    reply = await lab.call("GET", f"{exact}5")
    assert (reply.code, reply.body["reason"]) == (410, "Expired")
