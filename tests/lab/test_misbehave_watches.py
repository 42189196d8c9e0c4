"""Watches spoilt on request, seen through the real Kubernetes client and raw HTTP."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import urllib3
from misbehaving import MisbehavingLab, eventually, misbehaving_lab
from test_misbehave_answers import CUT, Http, a_map

MAPS = "/api/v1/namespaces/pets/configmaps"
FIRST = "metadata.name=first"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MisbehavingLab]:
    """One lab for all tests of this module."""
    with misbehaving_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def lab(process: MisbehavingLab) -> Iterator[MisbehavingLab]:
    """The lab, well again after each test."""
    yield process
    process.clear()


@pytest.fixture(scope="module")
def http(process: MisbehavingLab) -> Iterator[Http]:
    """Raw requests to the lab's API server."""
    found = Http(process)
    yield found
    found.pool.clear()


class Watch:
    """A raw watch of the ConfigMaps of pets."""

    def __init__(self, http: Http, **query: str) -> None:
        version = http("GET", MAPS).json()["metadata"]["resourceVersion"]
        asked = {"watch": "true", "resourceVersion": version, **query}
        self.response = http.pool.request(
            "GET",
            http.server + MAPS,
            fields=asked,
            headers={"Authorization": f"Bearer {http.token}"},
            preload_content=False,
            timeout=5,
        )
        self.lines = self._lines()

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        for chunk in self.response.stream(amt=None):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines

    def next(self) -> dict[str, Any]:
        """The next event."""
        found = json.loads(next(self.lines))
        assert isinstance(found, dict)
        return found


def test_a_slow_watch(lab: MisbehavingLab, http: Http) -> None:
    """An event comes late by what was ordered, to watches that were open before, too."""
    watch = Watch(http)
    lab.inject("watch-slow", seconds=0.3, resource="cm", count=1)
    began = time.monotonic()
    http("POST", MAPS, a_map("slow"))
    assert watch.next()["object"]["metadata"]["name"] == "slow"
    assert time.monotonic() - began >= 0.3
    watch.response.close()


def test_a_watch_that_breaks(lab: MisbehavingLab, http: Http) -> None:
    """After the events let through the connection is reset without the end of a stream."""
    lab.inject("watch-broken", events=1, count=1)
    watch = Watch(http)
    http("POST", MAPS, a_map("broken-1"))
    assert watch.next()["object"]["metadata"]["name"] == "broken-1"
    with pytest.raises((*CUT, urllib3.exceptions.InvalidChunkLength)):
        watch.next()


def test_a_running_watch_breaks_and_closes(lab: MisbehavingLab, http: Http) -> None:
    """Orders reach watches that wait for an event: one is reset, the other ends well."""
    watch = Watch(http)
    lab.inject("watch-broken", count=1)
    with pytest.raises(CUT):
        watch.next()
    watch = Watch(http)
    number = lab.inject("watch-closed", count=1)
    assert list(watch.lines) == []
    assert lab.about(number)["ended"] == "it struck as often as it should"


def test_the_real_client_survives_a_watch_that_closes(lab: MisbehavingLab, http: Http) -> None:
    """The Kubernetes client watches again after a stream that ended, and misses nothing."""
    from kubernetes import client, config, watch

    http("POST", MAPS, a_map("first"))
    with config.new_client_from_config(config_file=lab.ready["kubeconfig"]) as api:
        maps = client.CoreV1Api(api)
        stream = watch.Watch().stream(
            maps.list_namespaced_config_map, "pets", _request_timeout=5, field_selector=FIRST
        )
        seen = [next(stream)["object"].metadata.name]
        number = lab.inject("watch-closed", count=1, resource="configmaps")
        http("DELETE", f"{MAPS}/first")
        seen.append(next(stream)["type"])
    assert seen == ["first", "DELETED"]
    assert lab.struck(number) == 1


def test_a_watch_that_is_too_old(lab: MisbehavingLab, http: Http) -> None:
    """The first event of the stream says 410, as on a real server."""
    lab.inject("410", verbs=["watch"], count=1)
    watch = Watch(http)
    event = watch.next()
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
    assert list(watch.lines) == []


def test_a_silent_watch(lab: MisbehavingLab, http: Http) -> None:
    """A silent watch stays open and tells nothing; when it is cleared, the gap is a reset."""
    watch = Watch(http)
    number = lab.inject("watch-silent", resource="configmaps", count=1)
    http("POST", MAPS, a_map("unheard"))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(watch.next)
        other = Watch(http)
        http("POST", MAPS, a_map("heard"))
        assert other.next()["object"]["metadata"]["name"] == "heard"
        other.response.close()
        assert not waiting.done()
        lab.clear(number)
        with pytest.raises(CUT):
            waiting.result(5)


def test_no_bookmarks(lab: MisbehavingLab, http: Http) -> None:
    """A watch that asks for bookmarks ends with one, and on request without."""
    asked = {"allowWatchBookmarks": "true", "timeoutSeconds": "1"}
    lab.inject("watch-without-bookmarks", count=1)
    bare, well = Watch(http, **asked), Watch(http, **asked)
    assert [json.loads(line)["type"] for line in well.lines][-1:] == ["BOOKMARK"]
    assert list(bare.lines) == []


def test_a_client_that_leaves_ends_what_it_held(lab: MisbehavingLab, http: Http) -> None:
    """An order that struck its one watch is over when that watch is gone."""
    number = lab.inject("watch-slow", seconds=60, count=1)
    watch = Watch(http)
    eventually(lambda: lab.struck(number) == 1)
    assert lab.about(number)["ended"] == ""
    watch.response.close()
    eventually(lambda: lab.about(number)["ended"])
