"""Drop counters: each series against its own baseline, and UNKNOWN where nothing was measured."""

from datetime import UTC, datetime
from typing import Any

import pytest

from acns_chaos.cluster.prometheus import Prometheus, drops_at_node, drops_of_workload
from acns_chaos.errors import ApiError, ArgumentError
from acns_chaos.evidence import counters
from acns_chaos.evidence.counters import Bounds, counter_named, read_counter
from tests.unit.fakes import FakeApi, MemoryPrometheus

ENVIRON = {"ACNS_CHAOS_PROMETHEUS_URL": "http://127.0.0.1:9"}
POD = "pets/store-front-68846476f4-x2x9k"
NONE_AT_ALL = Bounds(at_most=0)
SOME = Bounds(at_least=1)


def drops(value: float, reason: str = "POLICY_DENIED", **labels: str) -> Any:
    """Expose the storefront's drops."""
    return ("hubble_drop_total", {"destination": POD, "reason": reason, **labels}, value)


def kernel(value: float, reason: str = "Policy denied", direction: str = "INGRESS") -> Any:
    """Expose a node's drops."""
    return ("cilium_drop_count_total", {"reason": reason, "direction": direction}, value)


@pytest.fixture
def prometheus(monkeypatch: pytest.MonkeyPatch) -> MemoryPrometheus:
    """A Prometheus of a cluster of one node, scraped every second."""
    return served(monkeypatch, MemoryPrometheus("node-0"))


def served(monkeypatch: pytest.MonkeyPatch, one: MemoryPrometheus) -> MemoryPrometheus:
    """Let this one be what the environment names."""
    monkeypatch.setattr(counters, "prometheus_from", lambda api, environ: one)
    return one


def count(
    bounds: Bounds,
    name: str = "hubble",
    window: float = 4.5,
    start: str = "",
    deadline: float = 0,
    restored: str = "",
) -> dict[str, Any]:
    """Read the storefront's ingress drops."""
    counter = counter_named(name, "pets", "store-front", "ingress")
    api: Any = FakeApi()
    return read_counter(api, ENVIRON, counter, "drops", start, window, bounds, deadline, restored)


def scrapes(prometheus: MemoryPrometheus, *values: Any, instance: str = "node-0") -> None:
    """Scrape a node every second, the last time half a second ago: one value (or list) each."""
    for number, value in enumerate(values):
        samples = value if isinstance(value, list) else [value]
        prometheus.scrape(len(values) - number - 0.5, instance, *samples)


def test_a_series_that_did_not_exist_counts_as_zero(prometheus: MemoryPrometheus) -> None:
    """The first drop of a new series is an increase of 2, where increase() would say 0."""
    scrapes(prometheus, [], [], [], [], [], drops(2))
    told = count(SOME)
    assert (told["reading"], told["count"], told["met"]) == ("COUNTED", 2.0, True)
    assert told["evidence"]["packets"] == 1.0


def test_an_old_count_is_not_a_new_drop(prometheus: MemoryPrometheus) -> None:
    """What was counted before the window does not count."""
    scrapes(prometheus, *[drops(40)] * 8)
    told = count(NONE_AT_ALL)
    assert (told["reading"], told["count"], told["met"]) == ("COUNTED", 0.0, True)


def test_a_counter_that_was_reset_counts_from_zero(prometheus: MemoryPrometheus) -> None:
    """Hubble's counters restart with the agent: 40, 44, then 6 are 10 more."""
    scrapes(prometheus, *[drops(40)] * 4, drops(44), drops(44), drops(6))
    told = count(SOME)
    assert told["count"] == 10.0
    assert told["evidence"]["resets"] == 1


def test_a_reset_of_one_series_does_not_hide_the_rise_of_another(
    prometheus: MemoryPrometheus,
) -> None:
    """Their sum fell from 140 to 63 and rose by 6: only series by series it can be seen."""
    first, second = {"protocol": "TCP"}, {"protocol": "UDP"}
    scrapes(
        prometheus,
        *[[drops(100, **first), drops(40, **second)]] * 5,
        *[[drops(20, **first), drops(43, **second)]] * 2,
    )
    assert count(SOME)["count"] == 23.0


def test_only_policy_reasons_count(prometheus: MemoryPrometheus) -> None:
    """Router solicitations and stale addresses are noise; every spelling of policy counts."""
    spellings = [
        "POLICY_DENIED",
        "POLICY_DENY",
        "Policy denied",
        "Policy denied by denylist",
        "policy_denied",
    ]
    noise = ["UNSUPPORTED_L3_PROTOCOL", "Stale or unroutable IP", "Policy map full"]
    scrapes(prometheus, *[[]] * 6, [drops(1, reason) for reason in (*spellings, *noise)])
    assert count(SOME)["count"] == 5.0


def test_the_node_counter_keeps_one_direction(prometheus: MemoryPrometheus) -> None:
    """Egress drops say nothing about ingress, and each packet counts once."""
    scrapes(prometheus, *[[]] * 6, [kernel(7, direction="EGRESS"), kernel(3)])
    told = count(SOME, "node")
    assert told["count"] == 3.0
    assert told["evidence"]["packets"] == 3.0


def test_the_first_sample_that_shows_the_drop_is_named(prometheus: MemoryPrometheus) -> None:
    """That is when Prometheus could first have noticed."""
    scrapes(prometheus, *[drops(2)] * 6, drops(4), drops(6))
    told = datetime.fromisoformat(count(SOME)["evidence"]["first_counted"]).timestamp()
    assert told == pytest.approx(prometheus.at - 1.5, abs=0.01)


def test_counting_from_the_fault_begins_when_it_was_submitted(
    prometheus: MemoryPrometheus,
) -> None:
    """What was dropped before is nobody's proof."""
    scrapes(prometheus, drops(2), drops(8), drops(8), drops(8), drops(10))
    start = datetime.fromtimestamp(prometheus.at - 3, UTC).isoformat()
    assert count(SOME, start=start)["count"] == 2.0


# ---------------------------------------------------------------------- what proves nothing


def is_unknown(told: dict[str, Any], *sentence: str) -> None:
    """Assert that a reading could not tell, and says why."""
    assert (told["reading"], told["met"]) == ("UNKNOWN", None), told
    for part in sentence:
        assert part in told["sentence"]


def test_no_drops_without_fresh_metrics_is_unknown(prometheus: MemoryPrometheus) -> None:
    """A Prometheus that stopped scraping cannot say that it is quiet; the age is named."""
    for ago in (12.0, 11.0, 10.0):
        prometheus.scrape(ago, "node-0", drops(4))
    is_unknown(count(NONE_AT_ALL), "no fresh drop metrics of node-0", "10.0 s old")


def test_one_node_that_is_not_scraped_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pods may have dropped what nobody counted."""
    prometheus = served(monkeypatch, MemoryPrometheus("node-0", "node-1"))
    scrapes(prometheus, *[drops(4)] * 8)
    is_unknown(count(NONE_AT_ALL), "node-1", "no sample")
    scrapes(prometheus, *[[]] * 8, instance="10.0.0.1:9962")
    assert count(NONE_AT_ALL)["met"] is True


def test_a_drop_that_was_counted_needs_no_other_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen was seen."""
    prometheus = served(monkeypatch, MemoryPrometheus("node-0", "node-1"))
    scrapes(prometheus, *[drops(4)] * 6, drops(6))
    assert count(SOME)["met"] is True
    told = count(NONE_AT_ALL)
    assert (told["reading"], told["met"]) == ("COUNTED", False)


def test_that_nothing_was_noticed_needs_fresh_metrics_too(prometheus: MemoryPrometheus) -> None:
    """Too few drops from a stale Prometheus are no contrary answer."""
    for ago in (12.0, 11.0, 10.0):
        prometheus.scrape(ago, "node-0", drops(4))
    is_unknown(count(SOME))


def test_a_window_shorter_than_a_scrape_is_unknown(prometheus: MemoryPrometheus) -> None:
    """It says how long a window has to be."""
    scrapes(prometheus, *[drops(4)] * 8)
    is_unknown(count(NONE_AT_ALL, window=0.2), "shorter than the 1 s", "make it 2 s")


def test_metrics_of_another_cluster_are_unknown(prometheus: MemoryPrometheus) -> None:
    """A Prometheus left over from yesterday has drops of its own; they are nobody's here."""
    scrapes(prometheus, *[drops(4)] * 6, drops(90), instance="aks-other-vmss000000")
    is_unknown(count(SOME), "aks-other-vmss000000", "another cluster")
    is_unknown(count(NONE_AT_ALL), "another cluster")


def test_a_neighbour_in_a_shared_workspace_is_not_counted(prometheus: MemoryPrometheus) -> None:
    """Only series of this cluster's nodes count, and the others are mentioned."""
    scrapes(prometheus, *[drops(4)] * 7)
    scrapes(prometheus, *[drops(4)] * 6, drops(90), instance="aks-other-vmss000000")
    told = count(NONE_AT_ALL)
    assert (told["count"], told["met"]) == (0.0, True)
    assert told["evidence"]["freshness"]["foreign_instances"] == 1


def test_metrics_without_an_instance_are_unknown(prometheus: MemoryPrometheus) -> None:
    """Nobody knows whose they are."""
    scrapes(prometheus, *[drops(4)] * 8, instance="")
    is_unknown(count(NONE_AT_ALL), "no label instance")


def test_a_counter_without_a_baseline_is_not_taken_for_a_new_one(
    prometheus: MemoryPrometheus,
) -> None:
    """A node that nobody scraped before the window may have counted these long ago."""
    for ago in (2.5, 1.5, 0.5):
        prometheus.scrape(ago, "node-0", drops(500))
    is_unknown(count(SOME), "node-0 was not scraped when the window began")


def test_events_that_hubble_lost_are_unknown(prometheus: MemoryPrometheus) -> None:
    """What is lost on the way to Hubble is in none of its metrics; the kernel counts it."""

    def lost(source: str, value: float) -> Any:
        return ("hubble_lost_events_total", {"source": source}, value)

    scrapes(prometheus, *[lost("perf_event_ring_buffer", 0)] * 6, lost("perf_event_ring_buffer", 9))
    is_unknown(count(NONE_AT_ALL), "lost 9 events")
    assert count(SOME)["reading"] == "UNKNOWN"
    assert count(NONE_AT_ALL, "node")["met"] is True


def test_what_a_reader_of_flows_lost_is_counted_all_the_same(prometheus: MemoryPrometheus) -> None:
    """The ring buffer is behind the metrics."""
    ring = {"source": "hubble_ring_buffer"}
    scrapes(
        prometheus,
        *[[drops(2), ("hubble_lost_events_total", ring, 0.0)]] * 6,
        [drops(2), ("hubble_lost_events_total", ring, 7.0)],
    )
    assert count(NONE_AT_ALL)["met"] is True


def test_a_metric_that_is_not_kept_is_no_zero(prometheus: MemoryPrometheus) -> None:
    """When hubble_drop_total has no series at all, the kernel's own counter has the word."""
    scrapes(prometheus, *[kernel(4)] * 8)
    assert count(NONE_AT_ALL)["met"] is True


def test_a_metric_that_is_not_kept_is_unknown_when_packets_were_dropped(
    prometheus: MemoryPrometheus,
) -> None:
    """Azure keeps what its settings name: drops that are not there may have been filtered out."""
    scrapes(prometheus, *[kernel(4)] * 6, kernel(7))
    told = count(NONE_AT_ALL)
    is_unknown(told, "hubble_drop_total has no series", "cilium_drop_count_total rose by 3")


def test_a_series_that_is_gone_is_no_zero(prometheus: MemoryPrometheus) -> None:
    """With the agent's memory, or with the pod, drops are gone that nobody scraped."""
    other = ("hubble_drop_total", {"destination": "pets/x", "reason": "POLICY_DENIED"}, 1.0)
    scrapes(prometheus, *[[drops(4), kernel(4), other]] * 6, [kernel(9), other])
    is_unknown(count(NONE_AT_ALL), "are gone", "rose by 5")


def test_a_partial_answer_is_unknown(prometheus: MemoryPrometheus) -> None:
    """A store that could not be asked may have had the drops."""
    scrapes(prometheus, *[drops(4)] * 8)
    prometheus.heard = ("store 10.0.0.7 did not answer",)
    is_unknown(count(NONE_AT_ALL), "store 10.0.0.7")


@pytest.mark.parametrize(("restored_ago", "reading"), [(2.0, "UNKNOWN"), (20.0, "COUNTED")])
def test_drops_of_the_runs_own_fault_are_no_deviation(
    prometheus: MemoryPrometheus, restored_ago: float, reading: str
) -> None:
    """A window that reaches back to before the restore cannot tell them from others."""
    scrapes(prometheus, *[drops(4)] * 5, drops(8), drops(8), drops(8))
    restored = datetime.fromtimestamp(prometheus.at - restored_ago, UTC).isoformat()
    told = count(NONE_AT_ALL, restored=restored)
    assert (told["reading"], told["met"]) == (reading, None if reading == "UNKNOWN" else False)
    assert ("ask 4 s longer" in told["sentence"]) is (reading == "UNKNOWN")


def test_nodes_that_cannot_be_listed_are_unknown(
    prometheus: MemoryPrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without them it cannot be told whose metrics these are."""

    def refuse() -> Any:
        raise ApiError("pods is forbidden", 403)

    scrapes(prometheus, *[drops(4)] * 8)
    monkeypatch.setattr(prometheus, "nodes", refuse)
    is_unknown(count(NONE_AT_ALL), "pods is forbidden")


def test_no_prometheus_named_is_unknown() -> None:
    """The sentence says which variable to set."""
    counter = counter_named("hubble", "pets", "store-front", "ingress")
    api: Any = FakeApi()
    told = read_counter(api, {}, counter, "drops", "", 1.0, Bounds(), 0.0)
    is_unknown(told, "ACNS_CHAOS_PROMETHEUS_URL")


def test_a_prometheus_that_does_not_answer_is_unknown() -> None:
    """A refused connection is never a zero."""
    is_unknown(count(NONE_AT_ALL), "http://127.0.0.1:9", "connection refused")


# ---------------------------------------------------------------------- what is asked


def test_counting_waits_for_the_expected_count(
    prometheus: MemoryPrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scraping takes its time: the question is asked again until the deadline."""
    scrapes(prometheus, *[drops(4)] * 6)
    asked: list[int] = []
    real = prometheus.series

    def later(query: str, begin: float, end: float) -> Any:
        asked.append(1)
        if len(asked) == 3:
            prometheus.at += 1
            prometheus.scrape(0.2, "node-0", drops(6))
        return real(query, begin, prometheus.at)

    monkeypatch.setattr(prometheus, "series", later)
    assert count(Bounds(at_least=2), deadline=5.0)["met"] is True


def test_only_the_named_cluster_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every selector of a shared workspace carries the matcher, and one metric."""
    prometheus = served(monkeypatch, MemoryPrometheus("node-0", cluster="pets-aks"))
    scrapes(prometheus, *[drops(4, cluster="other-aks")] * 8)
    is_unknown(count(NONE_AT_ALL))
    assert prometheus.asked
    assert all('cluster="pets-aks"' in query for query in prometheus.asked)


def test_labels_come_in_any_case(prometheus: MemoryPrometheus) -> None:
    """Azure Monitor's casing is not to be relied on."""
    labels = {"reason": "policy_Denied", "destination": POD, "Direction": "ingress"}
    scrapes(prometheus, *[[]] * 6, ("hubble_drop_total", labels, 2.0))
    assert count(SOME)["count"] == 2.0
    upper = {"reason": "POLICY DENIED", "Direction": "ingress"}
    prometheus.at += 1
    prometheus.scrape(0.1, "NODE-0", ("cilium_drop_count_total", upper, 2.0))
    assert count(SOME, "node", window=0.5)["count"] == 2.0


def test_workload_labels_of_both_kinds_match() -> None:
    """`pets/store-front-abc` on AKS, `pets/store-front` with workload context."""
    query = drops_of_workload("pets", "store-front", "ingress").query
    assert query.startswith('hubble_drop_total{destination=~"pets/store-front(-.*)?",')
    assert '{source=~"pets/.*",' in drops_of_workload("pets", "", "egress").query
    assert drops_at_node("ingress").direction == "INGRESS"


@pytest.mark.parametrize("workload", ['x"} or vector(9) #', "a|b", "UPPER"])
def test_a_name_that_is_none_never_reaches_the_query(workload: str) -> None:
    """What an experiment calls a workload cannot change what is asked."""
    with pytest.raises(ArgumentError, match="is no Kubernetes name"):
        counter_named("hubble", "pets", workload, "ingress")


def test_a_dot_in_a_name_is_a_dot() -> None:
    """Names may hold dots, which match anything in a regex."""
    assert "pets/a[.]b(-.*)?" in drops_of_workload("pets", "a.b", "ingress").query


@pytest.mark.parametrize(
    ("name", "direction", "sentence"),
    [("hubbel", "ingress", "counter must be hubble or node"), ("hubble", "in", "direction must")],
)
def test_a_misspelt_counter_is_named(name: str, direction: str, sentence: str) -> None:
    """Neither counter nor direction is guessed."""
    with pytest.raises(ArgumentError, match=sentence):
        counter_named(name, "pets", "", direction)


def test_prometheus_without_an_address_is_an_error() -> None:
    """No default address: a stray Prometheus on the laptop must not be believed."""
    with pytest.raises(ApiError, match="No Prometheus is named"):
        Prometheus.from_environ({"ACNS_CHAOS_PROMETHEUS_URL": "  "})
