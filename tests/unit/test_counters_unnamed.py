"""Drop counters that do not say whose the packets were: their silence is nobody's zero."""

from typing import Any

import pytest

from acns_chaos.cluster.pods import Ran
from acns_chaos.cluster.prometheus import Prometheus, drops_at_node, drops_of_workload
from acns_chaos.errors import ApiError
from acns_chaos.evidence import connections, counters, places
from acns_chaos.evidence.counters import Bounds, counter_named, read_counter
from acns_chaos.evidence.places import Asker
from tests.unit.fakes import FakeApi, MemoryPrometheus

NONE_AT_ALL, SOME = Bounds(at_most=0), Bounds(at_least=1)
NOISE = {"source": "", "destination": "", "reason": "UNSUPPORTED_L3_PROTOCOL"}
# What Hubble writes for a pod of the shop under each context that is neither pod nor workload.
OTHERS = [
    {},
    {"destination": "store-front", "source": "store-front"},
    {"destination": "10.244.0.90", "source": "10.244.0.90"},
    {"destination": "pets", "source": "pets"},
    {"destination": "shop.example.org,example.org", "source": "shop.example.org"},
    {"destination": "reserved:world", "source": "reserved:world"},
    {
        "destination": "k8s:app.kubernetes.io/name=store-front,k8s:tier=web",
        "source": "cidr:10.0.0.0/8,reserved:world",
    },
]


@pytest.fixture
def prometheus(monkeypatch: pytest.MonkeyPatch) -> MemoryPrometheus:
    """A Prometheus of a cluster of one node, scraped every second."""
    made = MemoryPrometheus("node-0")
    monkeypatch.setattr(counters, "prometheus_from", lambda api, environ: made)
    return made


def count(bounds: Bounds, direction: str = "ingress") -> dict[str, Any]:
    """Read the storefront's drops of the last 4.5 seconds."""
    counter = counter_named("hubble", "pets", "store-front", direction)
    api: Any = FakeApi()
    return read_counter(api, {}, counter, "drops", "", 4.5, bounds, 0.0)


def drops(value: float, **labels: str) -> Any:
    """Expose packets that a policy denied, as Hubble counts them."""
    return ("hubble_drop_total", {"reason": "POLICY_DENIED", "protocol": "TCP", **labels}, value)


def kernel(value: float, direction: str = "INGRESS") -> Any:
    """Expose packets that a policy denied, as the kernel counts them."""
    labels = {"reason": "Policy denied", "direction": direction}
    return ("cilium_drop_count_total", labels, value)


def scrapes(prometheus: MemoryPrometheus, *values: list[Any], instance: str = "node-0") -> None:
    """Scrape a node every second, the last time half a second ago."""
    for number, samples in enumerate(values):
        prometheus.scrape(len(values) - number - 0.5, instance, *samples)


@pytest.mark.parametrize("labels", OTHERS)
@pytest.mark.parametrize("bounds", [NONE_AT_ALL, SOME])
@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_drops_that_name_no_pod_are_no_zero(
    prometheus: MemoryPrometheus, direction: str, bounds: Bounds, labels: dict[str, str]
) -> None:
    """While the kernel dropped packets nothing is known, and the sentence says what to set."""
    before, after = kernel(4, direction.upper()), kernel(504, direction.upper())
    scrapes(prometheus, *[[drops(8, **labels), before]] * 6, [drops(1008, **labels), after])
    told = count(bounds, direction)
    assert (told["reading"], told["met"]) == ("UNKNOWN", None), told
    assert "cilium_drop_count_total rose by 500" in told["sentence"]
    wanted = {"ingress": "destinationIngressContext=pod", "egress": "sourceEgressContext=pod"}
    assert f"Hubble's metric drop writes with {wanted[direction]}" in told["sentence"]


def test_drops_that_name_no_pod_are_none_where_the_kernel_dropped_nothing(
    prometheus: MemoryPrometheus,
) -> None:
    """Its counter needs no names to say that there was nothing to count."""
    scrapes(prometheus, *[[drops(8), kernel(4)]] * 7)
    told = count(NONE_AT_ALL)
    assert (told["reading"], told["count"], told["met"]) == ("COUNTED", 0.0, True)


def test_drops_that_name_no_pod_are_unknown_without_the_kernels(
    prometheus: MemoryPrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the agents are not scraped nobody has the word."""
    real = prometheus.freshness
    monkeypatch.setattr(
        prometheus,
        "freshness",
        lambda source="hubble", at=None: real(source, at if source == "hubble" else at - 500),
    )
    scrapes(prometheus, *[[drops(8)]] * 7)
    told = count(NONE_AT_ALL)
    assert told["reading"] == "UNKNOWN"
    assert "cilium_drop_count_total is not fresh" in told["sentence"]


@pytest.mark.parametrize(
    "destination", ["pets/order-service-784f8c6987-wsv8z", "kube-system/coredns", "a-1/b.c"]
)
def test_another_pods_drops_show_that_this_ones_would_be_counted(
    prometheus: MemoryPrometheus, destination: str
) -> None:
    """With pod or workload contexts a pod without a series had no drop, whoever else had."""
    noise = ("hubble_drop_total", NOISE, 9.0)
    other = {"destination": destination, "source": "reserved:world"}
    scrapes(
        prometheus,
        *[[drops(2, **other), noise, kernel(1)]] * 6,
        [drops(6, **other), noise, kernel(3)],
    )
    told = count(NONE_AT_ALL)
    assert (told["reading"], told["count"], told["met"]) == ("COUNTED", 0.0, True)


def test_names_at_the_other_side_do_not_count(prometheus: MemoryPrometheus) -> None:
    """A metric that names sources only has nothing to say of who should have received."""
    other = drops(2, source="pets/order-service-784f8c6987-wsv8z", destination="")
    scrapes(prometheus, *[[other, kernel(1)]] * 6, [other, kernel(3)])
    assert count(NONE_AT_ALL)["reading"] == "UNKNOWN"
    assert count(NONE_AT_ALL, "egress")["met"] is True


def test_a_neighbours_names_do_not_count(prometheus: MemoryPrometheus) -> None:
    """How another cluster's Hubble is configured says nothing about this one's."""
    scrapes(prometheus, *[[drops(8), kernel(4)]] * 6, [drops(8), kernel(9)])
    named = drops(2, destination="pets/store-front-866f7cbc4b-kn57j")
    scrapes(prometheus, *[[named]] * 7, instance="aks-other-vmss000000")
    assert count(NONE_AT_ALL)["reading"] == "UNKNOWN"


def test_the_kernels_counter_needs_no_names() -> None:
    """It has no label for them."""
    assert drops_at_node("ingress").named == "cilium_drop_count_total"
    assert drops_of_workload("pets", "x", "egress").named.startswith('hubble_drop_total{source=~"')


# ---------------------------------------------------------------------- a connection


def connect(monkeypatch: pytest.MonkeyPatch, prometheus: Any) -> dict[str, Any]:
    """Connect from the storefront to rabbitmq, which meets silence."""

    class Cluster:
        def get(self, path: str, query: Any = None) -> dict[str, Any]:
            pod = {
                "metadata": {"name": "store-front-1-a", "ownerReferences": [
                    {"kind": "ReplicaSet", "name": "store-front-1"}]},
                "spec": {"containers": [{"name": "store-front"}]},
                "status": {"phase": "Running"},
            }  # fmt: skip
            return (
                {"items": [pod]} if path.endswith("/pods") else {"spec": {"clusterIP": "10.0.0.7"}}
            )

    silence = Ran(1, "nc: 10.0.0.7 (10.0.0.7:5672): Operation timed out\n", 1.0)
    monkeypatch.setattr(places, "run_in", lambda *_: silence)
    monkeypatch.setattr(Prometheus, "from_environ", lambda *_: prometheus)
    api: Any = Cluster()
    return connections.read_connection(
        api, {}, Asker(api, "pets", "store-front", "", None), "pets", "store-front", "rabbitmq",
        5672, "DENIED", 1, 0.0,
    )  # fmt: skip


def test_silence_whose_drops_name_no_pod_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, prometheus: MemoryPrometheus
) -> None:
    """Or people look for the broken backend that it is not."""
    scrapes(prometheus, *[[drops(8)]] * 3)
    told = connect(monkeypatch, prometheus)
    assert told["reading"] == "UNKNOWN"
    assert "no policy drop was counted (no series of hubble_drop_total" in told["sentence"]
    assert "sourceEgressContext=pod" in told["sentence"]
    assert "destinationIngressContext=pod" in told["sentence"]


def test_silence_where_pods_are_named_is_not_explained_away(
    monkeypatch: pytest.MonkeyPatch, prometheus: MemoryPrometheus
) -> None:
    """Then there was no drop, and the sentence is short."""
    named = [drops(8, source="pets/a"), drops(8, destination="pets/b")]
    scrapes(prometheus, *[named] * 3, instance="")
    told = connect(monkeypatch, prometheus)
    assert told["sentence"].endswith("but no policy drop was counted: one witness is not enough")


def test_a_prometheus_that_is_gone_explains_nothing(
    monkeypatch: pytest.MonkeyPatch, prometheus: MemoryPrometheus
) -> None:
    """The question why is asked for the sentence only."""
    scrapes(prometheus, *[[drops(8)]] * 3)
    real = prometheus.instant

    def refuse(query: str, at: float | None = None) -> Any:
        if query.startswith("count"):
            raise ApiError("Prometheus does not answer")
        return real(query, at)

    monkeypatch.setattr(prometheus, "instant", refuse)
    told = connect(monkeypatch, prometheus)
    assert told["sentence"].endswith("but no policy drop was counted: one witness is not enough")
