"""The product's watch against the lab: changes as they come, and how it ends."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from misbehaving import MisbehavingLab, eventually, misbehaving_lab

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.cluster.watching import Watch
from acns_chaos.errors import ApiError, Forbidden

POLICIES = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies"


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


@pytest.fixture
def api(lab: MisbehavingLab) -> Iterator[Api]:
    """A connection, closed afterwards."""
    found, _ = kubeconfig_api("", lab.ready["kubeconfig"])
    yield found
    found.close()


class Reading:
    """Reads a watch in a thread of its own."""

    def __init__(self, watch: Watch) -> None:
        self.changes: list[dict[str, Any]] = []
        self.error: ApiError | None = None
        self._watch = watch
        watch.begin()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for change in self._watch.changes():
                self.changes.append(change)
        except ApiError as error:
            self.error = error

    def ended(self, timeout: float = 5.0) -> bool:
        """Whether it has ended by itself within a time."""
        self._thread.join(timeout)
        return not self._thread.is_alive()


def touch(api: Api, port: int) -> None:
    """Change a policy's rules."""
    path = f"{POLICIES}/allow-store-front-traffic"
    policy = api.get(path)
    rule = policy["spec"]["ingress"][0]
    rule["toPorts"] = [{"ports": [{"port": str(port), "protocol": "TCP"}]}]
    api.put(path, policy)


def test_only_what_comes_after_the_beginning_is_told(api: Api) -> None:
    """What is there already is no change; closing ends it at once and is no error."""
    watch = Watch(api, POLICIES)
    reading = Reading(watch)
    touch(api, 8079)
    touch(api, 8081)
    eventually(lambda: len(reading.changes) >= 2)
    began = time.monotonic()
    watch.close()

    assert reading.ended()
    assert time.monotonic() - began < 1.0
    assert reading.error is None
    assert {one["object"]["metadata"]["name"] for one in reading.changes} == {
        "allow-store-front-traffic"
    }


def test_a_watch_that_breaks_off_says_so_and_goes_on_from_there(
    api: Api, lab: MisbehavingLab
) -> None:
    """What happened meanwhile is told by the next one."""
    watch = Watch(api, POLICIES)
    reading = Reading(watch)
    lab.inject("watch-broken", count=1)
    assert reading.ended()
    assert reading.error is not None
    assert "broke off" in str(reading.error)
    lab.clear()
    touch(api, 8082)
    again = Reading(watch)
    eventually(lambda: again.changes)
    watch.close()
    assert again.ended()


def test_a_version_that_is_too_old_begins_anew(api: Api, lab: MisbehavingLab) -> None:
    """The sentence says why; the next beginning asks what is there now."""
    lab.inject("410", verbs=["watch"], count=1)
    watch = Watch(api, POLICIES)
    reading = Reading(watch)
    assert reading.ended()
    assert "cannot go on" in str(reading.error)
    again = Reading(watch)
    touch(api, 8083)
    eventually(lambda: again.changes)
    watch.close()
    assert again.ended()


def test_who_may_not_watch_is_told(api: Api, lab: MisbehavingLab) -> None:
    """With the server's sentence."""
    lab.inject("403", verbs=["watch"], count=1)
    with pytest.raises(Forbidden):
        Watch(api, POLICIES).begin()


def test_one_that_was_closed_before_it_began_ends_at_once(api: Api) -> None:
    """A run that ends while its watch begins does not wait for it."""
    watch = Watch(api, POLICIES)
    watch.close()
    assert Reading(watch).ended()
