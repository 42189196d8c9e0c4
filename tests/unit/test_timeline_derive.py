"""From samples to moments: who noticed after how long, and what is never claimed."""

from collections.abc import Iterator
from typing import Any

import pytest

from acns_chaos.cluster.hubble import LostEvents, NodeNotice, Peer, SeenFlow
from acns_chaos.cluster.prometheus import Freshness
from acns_chaos.cluster.prometheus import Series as Answered
from acns_chaos.controls.guard import _timeline
from acns_chaos.errors import ApiError, ArgumentError
from acns_chaos.evidence.timeline.client import Connects, Pages
from acns_chaos.evidence.timeline.flows import dropped, predicted, touches
from acns_chaos.evidence.timeline.hubble import Flows
from acns_chaos.evidence.timeline.metrics import Counters
from acns_chaos.evidence.timeline.moments import iso
from acns_chaos.evidence.timeline.recorder import Timeline
from acns_chaos.evidence.timeline.seen import Notice
from acns_chaos.evidence.timeline.settings import rates_from
from acns_chaos.evidence.timeline.telling import lines_of

# The runner's clock of these tests: a fault at 100, put back at 105.
FAULT, RESTORE = 100.0, 105.0
CLOSED = ["world -> pets/store-front:8080/TCP"]
OUTSIDE = Peer("", "", "", 2, ("reserved:world",), "203.0.113.5", ())
FRONT = Peer("pets", "store-front-68-x", "store-front", 7, ("k8s:app=store-front",), "10.2.0.1", ())
RABBIT = Peer("pets", "rabbitmq-0", "rabbitmq", 8, ("k8s:app=rabbitmq",), "10.2.0.2", ())


def fault(**more: Any) -> dict[str, Any]:
    """A fault as the journal writes it."""
    restored = {
        "by": "method",
        "submitted": iso(RESTORE),
        "verified": iso(RESTORE + 0.01),
        "behaviour": {"at": iso(RESTORE + 0.5), "sentence": "was open"},
    }
    return {
        "id": "f1",
        "policy": {"kind": "CiliumNetworkPolicy", "namespace": "pets", "name": "front"},
        "submitted": iso(FAULT),
        "accepted": iso(FAULT + 0.002),
        "realised": iso(FAULT + 0.2),
        "realised_by": "a request was denied",
        "predicted": {"closed": CLOSED, "opened": []},
        "restored": restored,
        **more,
    }


def drop(
    source: Peer, destination: Peer, port: int, received: float, late: float = 0.06
) -> SeenFlow:
    """A dropped flow, told some time after the node stamped it."""
    return SeenFlow(
        *(received - late, "default/n1", "DROPPED", "POLICY_DENIED", "drop", "ingress"),
        *(source, destination, "TCP", port, 40000, "SYN", None, (), (), "", 0, "", received),
    )


class World:
    """Sources that saw a shop which is cut off from 100.010 to 105.020, without any thread."""

    def __init__(self, cut: tuple[float, float] = (FAULT + 0.01, RESTORE + 0.02)) -> None:
        self.connects = Connects(lambda: "http://shop", 50.0, 0.5)
        self.pages = Pages(lambda: "http://shop", 5.0, 0.5)
        self.hubble = Flows(None, {}, "pets")  # type: ignore[arg-type]
        self.prometheus = Counters(None, {}, "pets", 1.0)  # type: ignore[arg-type]
        self.sources = [self.connects, self.pages, self.hubble, self.prometheus]
        self.events: list[dict[str, str]] = []
        self.timeline = Timeline(self.sources, {}, self.events)
        self.timeline._began = 90.0
        for source in self.sources:
            source.began = 90.0
            source.saw()
            for at in (FAULT, RESTORE):
                source.mark(at)
        for number in range(1000):
            self._sample(self.connects, 90.0 + number * 0.02 + 0.005, cut, "connected")
        for number in range(100):
            self._sample(self.pages, 90.0 + number * 0.2 + 0.1, cut, "200")
        for number in range(20):
            self.prometheus.asked.add(90.0 + number + 0.3, "asked")

    @staticmethod
    def _sample(source: Any, at: float, cut: tuple[float, float], good: str) -> None:
        silent = cut[0] <= at < cut[1]
        source.series.add(at, "silent" if silent else good, at + (0.5 if silent else 0.001))

    def told(self, *faults: dict[str, Any]) -> dict[str, Any]:
        """The section's first fault."""
        self.timeline._ended = 110.0
        found: dict[str, Any] = self.timeline.as_json(faults or (fault(),))
        return found

    def first(self, *faults: dict[str, Any]) -> dict[str, Any]:
        """The section's first fault."""
        found: dict[str, Any] = self.told(*faults)["faults"][0]
        return found


def moment(found: dict[str, Any], what: str, source: str = "") -> dict[str, Any]:
    """One moment of a fault."""
    return next(
        one for one in found["moments"] if one["what"] == what and source in ("", one["source"])
    )


class TestClient:
    """What a customer meets."""

    def test_the_first_failed_request_is_told_by_its_beginning(self) -> None:
        """Its bound is the distance to the last one that was answered; it is certain later."""
        found = World().first()

        failed = moment(found, "first-failed-request")
        assert failed["at"] == iso(100.025)
        assert failed["source"] == "client-connect"
        assert failed["clock"] == "runner"
        assert failed["bound_ms"] == 20.0
        assert "certain 500 ms later" in failed["detail"]
        assert found["time_to_detect"]["client"] == {"ms": 25.0, "bound_ms": 21.0}

    def test_outage_and_recovery_go_to_the_first_page(self) -> None:
        """A connection that stands is realised; a page is a success."""
        found = World().first()

        assert moment(found, "restore-realised")["at"] == iso(105.025)
        assert moment(found, "first-success")["at"] == iso(105.1)
        assert moment(found, "first-success")["bound_ms"] == pytest.approx(95.0, abs=0.2)
        assert found["time_to_recover"]["ms"] == 100.0
        assert found["outage"]["ms"] == 5075.0

    def test_one_lost_packet_is_no_outage(self) -> None:
        """On a real network a single connection may get lost after a fault was submitted."""
        world = World(cut=(FAULT + 0.005, FAULT + 0.01))

        found = world.first(fault(realised=None))

        assert found["time_to_detect"]["client"] == {
            "ms": None,
            "why": "it noticed nothing: the shop answered all the while",
        }
        assert found["outage"]["ms"] is None

    def test_a_shop_that_failed_before_proves_nothing(self) -> None:
        """What was broken already was not noticed through this fault."""
        found = World(cut=(95.0, RESTORE)).first()

        why = found["time_to_detect"]["client"]["why"]
        assert why == "not observed: customers could not reach the shop before the fault, either"

    def test_a_client_that_was_away_did_not_look(self) -> None:
        """Nothing is said for it."""
        world = World(cut=(0.0, 0.0))
        for source in (world.connects, world.pages):
            source.blind("the Service has no address")
            source.gaps[0].since = 90.0

        why = world.first()["time_to_detect"]["client"]["why"]

        assert why == "not observed: the Service has no address"

    def test_what_this_machine_could_not_try_is_no_failure_of_the_shop(self) -> None:
        """Without a free port nobody knows how the shop is."""
        assert not Connects.bad("failed")
        assert not Connects.bad("mixed")
        assert Connects.bad("refused")
        assert Pages.bad("503")
        assert Pages.good("302")

    def test_who_recovered_before_the_run_restored_is_believed(self) -> None:
        """When GitOps put the policy back, the first success is earlier than our restore."""
        found = World(cut=(FAULT + 0.01, 103.0)).first()

        assert moment(found, "first-success")["at"] == iso(103.1)


class TestHubble:
    """Drops, as the relay tells them."""

    def test_the_first_drop_is_the_nodes_and_the_notice_the_runners(self) -> None:
        """Each by its own clock, with its own bound."""
        world = World()
        for received in (100.08, 100.18):
            world.hubble._take(drop(OUTSIDE, FRONT, 8080, received))

        found = world.first()

        first, noticed = moment(found, "first-drop"), moment(found, "noticed", "hubble")
        assert (first["at"], first["clock"]) == (iso(100.02), "node")
        assert first["bound_ms"] == pytest.approx(60.0, abs=0.1)
        assert (noticed["at"], noticed["clock"], noticed["bound_ms"]) == (
            iso(100.08),
            "runner",
            100.0,
        )
        assert found["time_to_detect"]["hubble"]["ms"] == 80.0

    def test_other_drops_are_noise(self) -> None:
        """A stranger denied at another workload, or another port, is not this fault's."""
        world = World()
        world.hubble._take(drop(FRONT, RABBIT, 5672, 100.05))
        world.hubble._take(drop(OUTSIDE, FRONT, 9090, 100.06))

        told = world.first()["time_to_detect"]["hubble"]

        assert told["ms"] is None
        assert told["why"].startswith("it noticed nothing")

    def test_silence_of_a_relay_that_was_away_is_no_silence(self) -> None:
        """Unavailable nodes, too: not observed, with the reason."""
        for state, word in (("ERROR", "error"), ("UNAVAILABLE", "unavailable")):
            world = World()
            world.hubble._take(NodeNotice("n1", state, "no route", 0.0))
            world.hubble.gaps[0].since = 99.0

            why = world.first()["time_to_detect"]["hubble"]["why"]

            assert why == f"not observed: node n1 is {word}: no route"

    def test_a_relay_that_is_back_is_seen_again(self) -> None:
        """The gap has an end."""
        hubble = World().hubble
        hubble._take(NodeNotice("", "ERROR", "refused", 0.0))
        hubble._take(NodeNotice("", "RECONNECTED", "", 0.0))

        assert hubble.gaps[0].until is not None

    def test_lost_flows_are_in_the_journal(self) -> None:
        """With how many, and where."""
        world = World()
        world.hubble._take(LostEvents("HUBBLE_RING_BUFFER", 7, "n1", 0.0))

        assert world.told()["lost"] == ["hubble: 7 events lost, HUBBLE_RING_BUFFER at n1"]

    def test_flows_that_are_gone_are_no_silence(self) -> None:
        """Lost flows, a ring that was overwritten, an agent that began anew: not observed."""
        for event in (
            LostEvents("HUBBLE_RING_BUFFER", 7, "n1", 0.0),
            NodeNotice("n1", "WRAPPED", "", 0.0),
            NodeNotice("n1", "RESTARTED", "while it was watched", 0.0),
        ):
            world = World()
            world.hubble._take(event)
            (gap,) = world.hubble.gaps
            assert gap.until is not None
            assert gap.until - gap.since == pytest.approx(3.0)
            gap.since, gap.until = 101.0, 104.0

            why = world.first()["time_to_detect"]["hubble"]["why"]

            assert why.startswith("not observed: "), why

    def test_a_flood_of_different_drops_is_bounded(self) -> None:
        """A scan from a thousand names does not fill memory."""
        hubble = World().hubble
        for number in range(1000):
            peer = Peer("", "", "", 0, (), "", (f"host-{number}.example",))
            hubble._take(drop(peer, FRONT, 8080, 50.0 + number))

        assert len(hubble.drops()) == 301

    def test_drops_belong_to_predicted_flows_by_any_name_of_a_workload(self) -> None:
        """A workload's name or its app label; towards the outside the sender decides."""
        flow = dropped(drop(OUTSIDE, FRONT, 8080, 1.0))
        away = dropped(drop(FRONT, OUTSIDE, 443, 1.0))

        assert touches(flow, predicted(CLOSED))
        assert touches(flow, predicted(["pets/x -> y:1/TCP", *CLOSED]))
        assert not touches(flow, predicted(["pets/x -> pets/store-front:8080/TCP"]))
        assert touches(away, predicted(["pets/store-front -> graph.microsoft.com:443/TCP GET /"]))
        assert not touches(away, predicted(["pets/rabbitmq -> graph.microsoft.com:443/TCP"]))
        assert predicted(["nonsense"]) == []


class FakePrometheus:
    """Answers each question with the next values."""

    url = "http://prometheus"

    def __init__(self, values: Iterator[dict[str, float]], age: float = 0.3) -> None:
        self.values = values
        self.now: dict[str, float] = {}
        self.age = age

    def selector(self, query: str) -> str:
        return query

    def instant(self, query: str) -> list[Answered]:
        if "destination" in query:
            self.now = next(self.values)
        if "source" in query or "cilium" in query:
            return []
        labels = {"reason": "POLICY_DENIED"}
        return [
            Answered({**labels, "destination": place}, ((1.0, value),))
            for place, value in self.now.items()
        ]

    def freshness(self) -> Freshness:
        return Freshness(1.0, {"n1": self.age}, (), (), 0, ())


def polled(world: World, *polls: tuple[float, dict[str, float]], age: float = 0.3) -> None:
    """Let the source ask at given moments."""
    fake = FakePrometheus(iter([values for _, values in polls]), age)
    from acns_chaos.evidence.timeline import metrics

    counters = {
        "destination": metrics.drops_of_workload("pets", "", "ingress"),
        "source": metrics.drops_of_workload("pets", "", "egress"),
        "": metrics.drops_at_node(""),
    }
    for at, _ in polls:
        world.prometheus._ask(fake, counters, 1.0, at)  # type: ignore[arg-type]


class TestPrometheus:
    """Counters, compared with themselves before."""

    def test_a_counter_that_rises_is_noticed_when_it_was_seen(self) -> None:
        """With the time since the question before as its bound."""
        world = World()
        before = {"pets/store-front-68-x": 4.0}
        polled(world, (99.2, before), (100.2, before), (101.2, {"pets/store-front-68-x": 6.0}))

        found = world.first()

        noticed = moment(found, "noticed", "prometheus")
        assert noticed["at"] == iso(101.2)
        assert noticed["bound_ms"] == 1000.0
        assert found["time_to_detect"]["prometheus"]["ms"] == 1200.0

    def test_a_counter_that_did_not_exist_counts_from_0(self) -> None:
        """The first drop of a new series is a rise: `increase()` would say 0."""
        world = World()
        polled(world, (99.2, {}), (100.4, {"pets/store-front-68-x": 2.0}))

        assert world.first()["time_to_detect"]["prometheus"]["ms"] == 400.0

    def test_a_counter_that_began_again_hides_nothing(self) -> None:
        """An agent that restarts sets it to 0; what it counts then is a rise."""
        world = World()
        polled(
            world,
            (99.2, {"pets/store-front-1": 50.0}),
            (101.2, {"pets/store-front-1": 2.0}),
        )

        assert world.first()["time_to_detect"]["prometheus"]["ms"] == 1200.0

    def test_another_workloads_counter_is_not_the_faults(self) -> None:
        """The claims of the run itself are denied things elsewhere."""
        world = World()
        polled(world, (99.2, {"pets/rabbitmq-0": 2.0}), (101.2, {"pets/rabbitmq-0": 4.0}))

        assert world.first()["time_to_detect"]["prometheus"]["ms"] is None

    def test_stale_samples_say_nothing(self) -> None:
        """A counter that stands still because nobody scrapes is not observed."""
        world = World()
        world.prometheus._fresh = 0.0
        polled(world, (99.2, {}), (101.2, {}), age=60.0)
        world.prometheus.gaps[0].since = 99.2

        why = world.first()["time_to_detect"]["prometheus"]["why"]

        assert why == "not observed: its samples of n1 are old or missing"

    def test_a_run_that_ends_before_the_next_scrape_is_not_observed(self) -> None:
        """With a scrape every 30 s an outage of 5 s may pass unseen: that is no silence."""
        world = World()
        world.prometheus.every = 30.0

        why = world.first()["time_to_detect"]["prometheus"]["why"]

        assert why == "not observed: the run ended before a scrape after the fault was due"


class TestSection:
    """The journal's section as a whole."""

    def test_declared_detectors_stand_beside_the_sampled_ones(self) -> None:
        """By the name of their activity; a witness is on the timeline and detects nothing."""
        world = World()
        world.timeline.notices += [
            Notice("detector", "the alert fires", 102.0, 50.0, "FIRING"),
            Notice("witness", "customers are cut off", 101.0, 1.0, "DENIED"),
        ]

        found = world.first()

        assert found["time_to_detect"]["the alert fires"] == {"ms": 2000.0, "bound_ms": 51.0}
        assert "customers are cut off" not in found["time_to_detect"]
        assert moment(found, "witness")["source"] == "customers are cut off"

    def test_a_pod_of_our_own_is_no_fault(self) -> None:
        """What a run creates to ask from is a debt, and on no timeline."""
        pod = fault(id="p1", policy={"kind": "Pod", "namespace": "pets", "name": "prober"})

        assert [one["fault"] for one in World().told(pod, fault())["faults"]] == ["f1"]

    def test_objects_of_one_fault_are_one(self) -> None:
        """From the first submitted to the last put back."""
        parts = [fault(id="f1.1"), fault(id="f1.2", submitted=iso(FAULT + 0.1))]

        (found,) = World().told(*parts)["faults"]

        assert found["fault"] == "f1"
        assert moment(found, "submitted")["at"] == iso(FAULT)
        assert len(found["policies"]) == 2

    def test_a_fault_that_was_never_put_back_has_no_recovery(self) -> None:
        """Nor an outage that ended."""
        found = World(cut=(FAULT + 0.01, 1e9)).first(fault(restored=None))

        assert found["outage"] == {"ms": None, "why": "no request was seen to succeed again"}
        assert found["time_to_recover"]["ms"] is None

    def test_lines_for_the_log(self) -> None:
        """One for each detector, one for outage and recovery."""
        world = World()
        world.hubble._take(drop(OUTSIDE, FRONT, 8080, 100.08))

        ended = (
            "customers were cut off for 5.08 s (± 0.12); all was well 100 ms (± 96) "
            "after the restore was submitted"
        )
        assert lines_of(world.told()) == [
            "client noticed after 25 ms (± 21)",
            "Hubble noticed after 80 ms (± 101)",
            "Prometheus did not notice: no drop of what the fault closes was told",
            ended,
        ]

    def test_lines_stand_in_one_order_whoever_noticed_first(self) -> None:
        """Two logs compare line by line; what is not ours follows as it noticed."""
        times = {name: {"ms": ms} for ms, name in enumerate(("B", "prometheus", "hubble", "A"), 1)}
        section = {"faults": [{"time_to_detect": {**times, "client": {"ms": 9}}}]}

        assert [one.partition(" noticed")[0] for one in lines_of(section)][:-1] == [
            "client",
            "Hubble",
            "Prometheus",
            '"B"',
            '"A"',
        ]

    def test_lines_of_nonsense_are_few_and_raise_nothing(self) -> None:
        """A journal may come from anybody."""
        for section in (None, [], {"faults": [None, {"time_to_detect": []}]}, {"faults": "x"}):
            assert isinstance(lines_of(section), list)

    def test_what_is_switched_off_is_named(self) -> None:
        """Never silently absent."""
        timeline = Timeline([], {"hubble": "it is switched off"}, [])

        found = timeline.as_json([fault()])

        assert found["not_observed"] == [{"source": "hubble", "why": "it is switched off"}]
        assert (
            found["faults"][0]["time_to_detect"]["client"]["why"]
            == "not observed: it is switched off"
        )

    def test_a_timeline_that_fails_costs_the_run_nothing(self) -> None:
        """The guard signs the journal all the same, with the reason in it."""

        class Broken:
            def finish(self) -> dict[str, Any]:
                raise KeyError("secret")

            def stop(self) -> None:
                pass

        assert _timeline(Broken())["not_observed"] == [
            {"source": "all", "why": "it failed: KeyError"}
        ]


class TestRates:
    """How often."""

    def test_a_cluster_is_asked_gently(self) -> None:
        """And the lab fast enough for milliseconds."""
        assert (rates_from({}, "lab").connect, rates_from({}, "lab").hubble) == (50.0, 10.0)
        assert (rates_from({}, "cluster").connect, rates_from({}, "cluster").http) == (10.0, 1.0)

    def test_configuration_decides(self) -> None:
        """Also as text, as `${name}` gives it."""
        rates = rates_from({"timeline_connect_hz": "20", "namespace": "pets"}, "cluster")

        assert rates.connect == 20.0

    @pytest.mark.parametrize(
        "given",
        [
            {"timeline_connect_hz": 10_000},
            {"timeline_http_hz": -1},
            {"timeline_patience": 1.5},
            {"timeline_conect_hz": 5},
            {"timeline_hubble_hz": "fast"},
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, given: dict[str, Any]) -> None:
        """A misspelt key, a rate that floods, a patience that outlasts a repeated SYN."""
        with pytest.raises(ArgumentError):
            rates_from(given, "lab")


def test_an_api_error_makes_a_source_absent_with_its_sentence() -> None:
    """What the journal says is what the error said."""

    def nowhere() -> str:
        raise ApiError("Service pets/store-front has no LoadBalancer address.")

    source = Connects(nowhere, 50.0, 0.5)
    source.start()

    assert source.ready.wait(5)
    assert source.absent == "Service pets/store-front has no LoadBalancer address"
    source.ask_to_end()
    assert source.join(5)
