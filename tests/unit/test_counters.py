"""Drop counters: raw sums, a missing series as 0, and UNKNOWN where nothing was measured."""

from typing import Any

import pytest

from acns_chaos.cluster import prometheus
from acns_chaos.cluster.prometheus import Prometheus, drops_at_node, drops_of_workload
from acns_chaos.errors import ApiError, ArgumentError
from acns_chaos.evidence.counters import Bounds, counter_named, read_counter

ENVIRON = {"ACNS_CHAOS_PROMETHEUS_URL": "http://127.0.0.1:9"}


class Scripted:
    """Answers queries in turn: a vector for a drop query, samples for the freshness query."""

    def __init__(self, *counts: list[tuple[dict[str, str], float]], fresh: bool = True) -> None:
        self.counts = list(counts)
        self.fresh = fresh
        self.asked: list[str] = []

    def __call__(self, query: str, at: float | None) -> list[dict[str, Any]]:
        """Answer one query."""
        self.asked.append(query)
        if query.startswith("cilium_forward"):
            assert at is not None
            return [{"metric": {}, "values": [[at, "1"]]}] if self.fresh else []
        vector = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        return [{"metric": labels, "value": [0, str(value)]} for labels, value in vector]


def scripted(monkeypatch: pytest.MonkeyPatch, script: Scripted) -> Scripted:
    """Let *script* answer in Prometheus' place."""
    monkeypatch.setattr(prometheus.Prometheus, "_query", lambda self, query, at: script(query, at))
    return script


def count(bounds: Bounds, deadline: float = 0.0, name: str = "hubble") -> dict[str, Any]:
    """Read the storefront's ingress drops over the last second."""
    counter = counter_named(name, "pets", "store-front", "ingress")
    return read_counter(ENVIRON, counter, "drops", "", 1.0, bounds, deadline)


DENIED = {"reason": "POLICY_DENIED"}


def test_a_series_that_did_not_exist_counts_as_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first drop of a new series is a difference of 2, where increase() would say 0."""
    scripted(monkeypatch, Scripted([], [(DENIED, 2.0)]))
    told = count(Bounds(at_least=1))
    assert (told["reading"], told["count"], told["met"]) == ("COUNTED", 2.0, True)


def test_an_old_count_is_not_a_new_drop(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was counted before the window does not count."""
    scripted(monkeypatch, Scripted([(DENIED, 40.0)], [(DENIED, 40.0)]))
    told = count(Bounds(at_most=0))
    assert (told["reading"], told["count"], told["met"]) == ("COUNTED", 0.0, True)


def test_a_counter_that_was_reset_counts_from_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hubble's counters restart with the agent: what they show then is all there is."""
    scripted(monkeypatch, Scripted([(DENIED, 40.0)], [(DENIED, 6.0)]))
    assert count(Bounds(at_least=1))["count"] == 6.0


def test_only_policy_reasons_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Router solicitations and stale addresses are noise; every spelling of policy counts."""
    noise = [
        ({"reason": "UNSUPPORTED_L3_PROTOCOL"}, 9.0),
        ({"reason": "Stale or unroutable IP"}, 3.0),
    ]
    spellings = [
        "POLICY_DENIED",
        "POLICY_DENY",
        "Policy denied",
        "Policy denied by denylist",
        "policy_denied",
    ]
    scripted(monkeypatch, Scripted([], [*noise, *(({"reason": one}, 1.0) for one in spellings)]))
    assert count(Bounds(at_least=5))["count"] == 5.0


def test_the_node_counter_keeps_one_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Egress drops say nothing about ingress."""
    both = [
        ({"reason": "Policy denied", "direction": "EGRESS"}, 7.0),
        ({"reason": "Policy denied", "direction": "INGRESS"}, 3.0),
    ]
    scripted(monkeypatch, Scripted([], both))
    assert count(Bounds(at_least=1), name="node")["count"] == 3.0


def test_no_drops_without_fresh_metrics_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Prometheus that stopped scraping cannot say that it is quiet."""
    scripted(monkeypatch, Scripted([], [], fresh=False))
    told = count(Bounds(at_most=0))
    assert (told["reading"], told["met"]) == ("UNKNOWN", None)
    assert "no fresh drop metrics" in told["sentence"]


def test_no_prometheus_named_is_unknown() -> None:
    """The sentence says which variable to set."""
    counter = counter_named("hubble", "pets", "store-front", "ingress")
    told = read_counter({}, counter, "drops", "", 1.0, Bounds(), 0.0)
    assert told["reading"] == "UNKNOWN"
    assert "ACNS_CHAOS_PROMETHEUS_URL" in told["sentence"]


def test_a_prometheus_that_does_not_answer_is_unknown() -> None:
    """A refused connection is never a zero."""
    told = count(Bounds(at_most=0))
    assert (told["reading"], told["met"]) == ("UNKNOWN", None)
    assert "http://127.0.0.1:9" in told["sentence"]


def test_counting_waits_for_the_expected_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scraping takes its time: the question is asked again until the deadline."""
    script = scripted(
        monkeypatch,
        Scripted([], [], [], [], [], [(DENIED, 2.0)]),
    )
    told = count(Bounds(at_least=1), deadline=5.0)
    assert told["met"] is True
    assert len(script.asked) > 4


def test_workload_labels_of_both_kinds_match() -> None:
    """`pets/store-front-abc` on AKS, `pets/store-front` with workload context."""
    query = drops_of_workload("pets", "store-front", "ingress").query
    assert query == 'sum by (reason) (hubble_drop_total{destination=~"pets/store-front(-.*)?"})'
    assert drops_of_workload("pets", "", "egress").query.endswith('{source=~"pets/.*"})')
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
