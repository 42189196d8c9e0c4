"""Each way Prometheus fails, ordered of the lab: never "no drops", never silence of an alert."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from misbehaving import MisbehavingLab, cut_off, eventually, misbehaving_lab

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.cluster.prometheus import prometheus_from
from acns_chaos.evidence.alerts import read_alert
from acns_chaos.evidence.counters import Bounds, counter_named, read_counter
from acns_chaos.evidence.freshness import read_freshness
from tests.tiers import loop

pytestmark = pytest.mark.slow

Told = dict[str, Any]


class Watched:
    """A lab of three nodes, and what is asked of its Prometheus."""

    def __init__(self, lab: MisbehavingLab) -> None:
        self.lab = lab
        self.api: Api = kubeconfig_api("", lab.ready["kubeconfig"])[0]
        self.environ = dict(lab.ready["env"])

    def count(
        self,
        bounds: Bounds,
        name: str = "hubble",
        start: str = "",
        deadline: float = 0.0,
        window: float = 2.0,
    ) -> Told:
        """Read the storefront's ingress drops."""
        counter = counter_named(name, "pets", "store-front", "ingress")
        return read_counter(
            self.api, self.environ, counter, "drops", start, window, bounds, deadline
        )

    def fresh(self) -> Told:
        """Read whether the metrics are fresh."""
        return read_freshness(self.api, self.environ, "READY", 0.0, 0.0)

    def alert(self) -> Told:
        """Read an alert."""
        return read_alert(self.api, self.environ, "Drops", {}, "SILENT", "", 0.0)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The lab, scraped a few times."""
    with misbehaving_lab(tmp_path_factory.mktemp("lab"), "--world", "pets-allinone") as lab:
        found = Watched(lab)
        eventually(lambda: found.count(QUIET)["met"], 20)
        # Until there were two scrapes nobody knows what is late.
        eventually(lambda: prometheus_from(found.api, found.environ).scrape_interval(), 20)
        yield found
        found.api.close()


@pytest.fixture
def lab(running: Watched) -> Iterator[Watched]:
    """The lab, well again afterwards."""
    yield running
    running.lab.clear()
    eventually(lambda: running.count(QUIET)["met"], 20)


QUIET, NOTICED = Bounds(at_most=0), Bounds(at_least=1)


def is_unknown(told: Told) -> bool:
    """Whether a reading could not tell, met nothing, and says why."""
    return (told["reading"], told["met"]) == ("UNKNOWN", None) and bool(told["sentence"])


@pytest.mark.parametrize(
    "kind", ["401", "403", "404", "500", "503", "504", "reset", "reset-mid-body"]
)
def test_a_prometheus_that_answers_badly_is_unknown(lab: Watched, kind: str) -> None:
    """Counting, freshness and alerts alike; the sentence names where it is."""
    lab.lab.inject(kind, server="prometheus")
    for told in (lab.count(QUIET), lab.count(NOTICED), lab.fresh(), lab.alert()):
        assert is_unknown(told), told
        assert lab.environ["ACNS_CHAOS_PROMETHEUS_URL"] in told["sentence"]


def test_a_prometheus_that_never_answers_is_unknown(
    lab: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After our own time-out; the client library has none."""
    monkeypatch.setattr("acns_chaos.cluster.prometheus.client.TIMEOUT", 0.3)
    lab.lab.inject("hang", server="prometheus")
    told = lab.count(QUIET)
    assert is_unknown(told)
    assert "not in time" in told["sentence"]


def test_a_prometheus_that_is_busy_for_a_moment_is_asked_again(lab: Watched) -> None:
    """As `Retry-After` says, and the evidence tells of it."""
    lab.lab.inject("429", server="prometheus", retry_after=1, count=1)
    told = lab.count(QUIET)
    assert told["met"] is True, told
    assert "429" in told["evidence"]["asked_again"][0]


def test_a_prometheus_that_is_busy_for_long_is_unknown(lab: Watched) -> None:
    """It is left alone, and nothing is made of it."""
    lab.lab.inject("429", server="prometheus", retry_after=60)
    assert is_unknown(lab.count(QUIET))


@pytest.mark.parametrize("nodes", loop(["one", "all"]))
@pytest.mark.parametrize("kind", ["stale-metrics", "frozen-agent"])
def test_metrics_that_are_not_fresh_are_unknown(lab: Watched, kind: str, nodes: str) -> None:
    """One node that is not scraped is enough: its pods may have dropped what nobody counted."""
    node = lab.lab.ready["scrape"][0]["node"]
    lab.lab.inject(kind, **({"node": node} if nodes == "one" else {}))
    told = eventually(lambda: one if is_unknown(one := lab.count(QUIET)) else None, 10)
    assert node in told["sentence"] or "from any node" in told["sentence"]
    fresh = eventually(lambda: one if (one := lab.fresh())["met"] is False else None, 10)
    assert fresh["reading"] == "NOT_READY"


def test_a_metric_that_is_missing_is_unknown_once_packets_are_dropped(lab: Watched) -> None:
    """Without any drop the kernel's counter says so; with one it says the contrary."""
    lab.lab.inject("missing-metric", family="hubble_drop_total")
    eventually(lambda: lab.count(QUIET)["evidence"].get("series") == 0, 10)
    threading.Event().wait(1.0)
    assert lab.count(QUIET)["met"] is True
    start = datetime.now(UTC).isoformat()
    with cut_off(lab.api, lab.environ["ACNS_CHAOS_STOREFRONT_URL"]):
        says = "hubble_drop_total has no series, while cilium_drop_count_total rose"
        assert is_unknown(
            eventually(
                lambda: one if says in (one := lab.count(QUIET, start=start))["sentence"] else {},
                10,
            )
        )
        assert is_unknown(lab.count(NOTICED, start=start))
        assert lab.count(NOTICED, "node", start=start, deadline=5)["met"] is True


def test_flows_that_readers_lose_are_counted_all_the_same(lab: Watched) -> None:
    """The ring that loses them is behind the metrics (a unit test loses what is before them)."""
    start = datetime.now(UTC).isoformat()
    lab.lab.inject("lost-flows", number=100)
    requests.get(lab.environ["ACNS_CHAOS_STOREFRONT_URL"], timeout=5)
    assert lab.count(QUIET, start=start, deadline=5)["met"] is True
    with cut_off(lab.api, lab.environ["ACNS_CHAOS_STOREFRONT_URL"]):
        assert lab.count(NOTICED, start=start, deadline=5)["met"] is True


def test_an_agent_that_restarts_makes_no_zero_of_drops(lab: Watched) -> None:
    """Hubble's counters are gone with it: what they had counted is not un-dropped."""
    start = datetime.now(UTC).isoformat()
    node = lab.lab.ready["scrape"][0]["node"]
    with cut_off(lab.api, lab.environ["ACNS_CHAOS_STOREFRONT_URL"]):
        eventually(lambda: lab.count(NOTICED, start=start)["met"], 10)
    later = datetime.now(UTC).isoformat()
    lab.lab.inject("agent-restart", node=node)
    told = lab.count(QUIET, start=start)
    assert told["met"] is not True, told
    assert lab.count(QUIET, start=later, deadline=3)["reading"] in ("COUNTED", "UNKNOWN")
