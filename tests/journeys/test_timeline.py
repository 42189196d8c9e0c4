"""The timeline of whole runs: what is in the journal, and what is said where a source is away."""

import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.evidence.journal import judge
from acns_chaos.evidence.timeline.moments import seconds
from tests.bench.timeline import compared, faults_in, registered_lab
from tests.journeys.conftest import Chaos, Done, Lab
from tests.journeys.minimal import activity, broken, experiment, inject, nothing_is_left, restore
from tests.lab.misbehaving import orders_for
from tests.tiers import loop

pytestmark = [pytest.mark.journey, pytest.mark.slow]

CONTROL = {
    "name": "timeline",
    "provider": {"type": "python", "module": "acns_chaos.controls.timeline"},
}
HAPPENED = (
    *("submitted", "accepted", "realised", "first-drop", "first-failed-request", "noticed"),
    *("restore-submitted", "restored", "restore-realised", "first-success"),
)


def sampled(found: dict[str, Any], **configuration: Any) -> dict[str, Any]:
    """The experiment with the control, which stands last."""
    controls = [one for one in found["controls"] if one["name"] != "timeline"]
    given = {**found.get("configuration", {}), **configuration}
    return {**found, "controls": [*controls, CONTROL], "configuration": given}


def pause(until: float = 1.5) -> dict[str, Any]:
    """A pause of the host's, for the effect to be seen."""
    one = activity("the storefront is Ready", "acns_chaos.probes", "read_readiness", "probe")
    one["provider"]["arguments"] = {"workload": "store-front"}
    return {**one, "pauses": {"before": until}}


def broken_for_a_while() -> dict[str, Any]:
    """Break, wait, put back."""
    return experiment(inject(timeout=5), pause(), restore())


def of_fault(done: Done) -> dict[str, Any]:
    """The timeline of the run's one fault."""
    (found,) = done.section["timeline"]["faults"]
    assert isinstance(found, dict)
    return found


def test_the_flagship_tells_who_noticed_when(
    chaos: Chaos, lab: Lab, flagship: dict[str, Any]
) -> None:
    """Every moment with clock, source and bound, in an order that makes sense; the run still holds.

    How near they are to the truth is measured by `make bench`: a test of it would fail by the
    machine's load.
    """
    before = lab.policies()

    done = chaos.run(sampled(flagship))

    assert (done.code, done.outcome) == (0, "HELD"), done.output
    assert done.journal is not None
    assert judge(done.journal).outcome == "HELD", "what the timeline wrote is signed too"
    assert lab.policies() == before
    found = of_fault(done)
    moments = {one["what"]: one for one in reversed(found["moments"])}
    assert set(HAPPENED) <= set(moments), found["moments"]
    for one in found["moments"]:
        assert one["clock"] in ("runner", "node")
        assert one["bound_ms"] >= 1.0
        assert one["source"]
        assert one["detail"]
    at = {what: seconds(one["at"]) or 0.0 for what, one in moments.items()}
    ordered = [at[what] for what in ("submitted", "realised", "restore-submitted", "first-success")]
    assert ordered == sorted(ordered)
    assert moments["first-drop"]["clock"] == "node"
    declared = flagship["extensions"][0]["detectors"]
    assert {"client", "hubble", "prometheus", *declared} <= set(found["time_to_detect"])
    for name in ("client", "hubble", "prometheus"):
        told = found["time_to_detect"][name]
        assert told["ms"] > 0, (name, told)
        assert told["bound_ms"] > 0
    assert found["outage"]["ms"] > 1000
    assert found["time_to_recover"]["ms"] > 0
    assert done.section["timeline"]["not_observed"] == []
    for who in ("client", "Hubble", "Prometheus"):
        assert f"Timeline: {who} noticed after " in done.output
    assert "after the restore was submitted" in done.output
    # The run's own events stay as they were.
    assert "submitted" in [event["what"] for event in done.section["events"]]


def test_the_program_that_measures_compares_with_the_lab(tmp_path: Path) -> None:
    """`make bench` measures 50 faults; one is enough to see that every figure can be had."""
    with registered_lab(tmp_path) as ready:
        apart = compared(*faults_in(ready, 1))

    assert set(apart) == {"client", "hubble", "prometheus", "recovery"}
    assert all(math.isfinite(one) for values in apart.values() for one in values)
    assert all(len(values) == 1 for values in apart.values())


def test_no_order_is_ever_placed_by_the_timeline(own_chaos: Chaos, lab: Lab) -> None:
    """It connects and reads the first page, nothing else, and beside the run only."""
    control = orders_for(lab.home).control
    control._ask("POST", "/requests")

    done = own_chaos.run(sampled(broken_for_a_while()))

    heard = control._ask("GET", "/requests")["requests"]
    asked = {(one["method"], one["path"]) for one in heard if one["server"] == "shop"}
    assert asked == {("GET", "/")}
    writes = [one for one in heard if "timeline" in one["user_agent"] and one["method"] != "GET"]
    assert writes == []
    watched = {one["resource"] for one in heard if one["verb"] == "watch"}
    assert watched == {
        *("ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies", "networkpolicies"),
    }
    changes = done.section["timeline"]["policy_changes"]
    assert [one["type"] for one in changes] == ["MODIFIED", "MODIFIED"]
    assert {one["policy"] for one in changes} == {"pets/allow-store-front-traffic"}


def relay_down(lab: Lab) -> None:
    """Hubble relay cannot be reached."""
    orders_for(lab.home).inject("relay-down")


def node_down(lab: Lab) -> None:
    """The relay does not reach a node."""
    node = lab.api.get("/api/v1/nodes")["items"][0]["metadata"]["name"]
    orders_for(lab.home).inject("hubble-node-down", node=node)


def stale(lab: Lab) -> None:
    """Nobody scrapes."""
    orders_for(lab.home).inject("stale-metrics")


def no_prometheus(lab: Lab) -> None:
    """Prometheus answers with an error."""
    orders_for(lab.home).inject("500", server="prometheus")


def no_watch(lab: Lab) -> None:
    """The account may not watch."""
    orders_for(lab.home).inject("403", verbs=["watch"])


@pytest.mark.parametrize(
    ("trouble", "detector"),
    loop(
        [
            (relay_down, "hubble"),
            (stale, "prometheus"),
            (node_down, "hubble"),
            (no_prometheus, "prometheus"),
        ],
        keep=2,
    ),
)
def test_a_detector_that_was_away_did_not_stay_silent(
    own_chaos: Chaos, lab: Lab, trouble: Callable[[Lab], None], detector: str
) -> None:
    """What could not be seen is said, with the reason, and never "it noticed nothing"."""
    before = lab.policies()
    trouble(lab)
    # Until a sample is late by a few scrapes, it is as good as fresh.
    done = own_chaos.run(sampled(experiment(inject(timeout=5), pause(6.0), restore())))

    told = of_fault(done)["time_to_detect"][detector]
    assert told["ms"] is None
    assert told["why"].startswith("not observed: "), told
    assert "was not observed, because" in done.output
    assert of_fault(done)["time_to_detect"]["client"]["ms"] > 0
    nothing_is_left(lab, before)


def test_policies_that_may_not_be_watched_are_named(own_chaos: Chaos, lab: Lab) -> None:
    """The run does not need it, so it only says so."""
    no_watch(lab)

    done = own_chaos.run(sampled(broken_for_a_while()))

    named = [one["source"] for one in done.section["timeline"]["not_observed"]]
    assert "policies-CiliumNetworkPolicy" in named
    assert of_fault(done)["time_to_detect"]["client"]["ms"] > 0


def test_a_rate_that_cannot_be_meant_is_said_and_changes_nothing_else(
    own_chaos: Chaos, lab: Lab
) -> None:
    """The run goes on without a timeline, and the journal says why."""
    before = lab.policies()

    done = own_chaos.run(sampled(broken_for_a_while(), timeline_conect_hz=5))

    (one,) = done.section["timeline"]["not_observed"]
    assert "timeline_conect_hz is no rate" in one["why"]
    assert "Timeline: nothing is observed" in done.output
    nothing_is_left(lab, before)


def test_a_signal_does_not_wait_for_the_timeline(own_chaos: Chaos, lab: Lab) -> None:
    """Everything is restored first; what was sampled until then is in the journal, and told."""
    before = lab.policies()
    long = experiment(inject(timeout=5), pause(30), restore())

    done = own_chaos.interrupt(sampled(long), lambda: broken(lab), signal.SIGTERM)

    found = of_fault(done)
    assert done.outcome in ("INCONCLUSIVE", "NOT_INJECTED")
    assert [one for one in found["moments"] if one["what"] == "restored"]
    nothing_is_left(lab, before)
