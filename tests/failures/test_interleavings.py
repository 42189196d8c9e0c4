"""Whoever dies, and whoever else is at work at the same time: one winner, and nothing is lost."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.cluster import records
from acns_chaos.cluster.leases import Leases
from acns_chaos.cluster.records import Record
from acns_chaos.errors import LeaseHeld
from acns_chaos.faults import undo
from acns_chaos.faults.change import by_operator
from acns_chaos.faults.clusterledger import ClusterLedger
from acns_chaos.faults.janitor import Paid, restore_records
from acns_chaos.faults.recovery import record_of, recover, sweep
from acns_chaos.faults.restore import restore_all
from acns_chaos.faults.runcontext import RunContext
from tests.failures.cluster import POLICY, Actor, Cluster, Play, everybody_at_once
from tests.failures.runner import LEASE_SECONDS, REF, begun, janitor_round, keeper, run_once
from tests.tiers import examples

CHANGES = ["ingress-from-nobody", "object-deleted", "namespace-forgotten"]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object whose creation was never answered is looked for once."""
    monkeypatch.setattr(undo, "LATE", 0.0)
    monkeypatch.setattr(undo, "FENCING_LOOK", 0.0)


@pytest.fixture(params=["one ConfigMap", "several"])
def spread(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of one ConfigMap, or of several, as of large policies."""
    if request.param == "several":
        monkeypatch.setattr(records, "LARGEST", 500)


def requests_of_a_run(operator: str) -> int:
    """How many requests an undisturbed run makes."""
    cluster = Cluster()
    play = Play(cluster)
    runner = play.add(Actor("runner"), lambda api: _run(api, operator))
    play.run()
    assert runner.error is None
    assert cluster.is_original()
    assert cluster.left() == []
    return runner.requests


def _run(api: object, operator: str) -> None:
    run_once(api, "runner", by_operator(operator, REF))


def elsewhere(cluster: Cluster) -> list[str]:
    """Policies that were not there at the beginning."""
    return [path for path in cluster.objects if "policies/" in path and path != POLICY]


@pytest.mark.usefixtures("spread")
@pytest.mark.parametrize("operator", CHANGES)
@pytest.mark.parametrize("after", [False, True])
def test_wherever_the_runner_dies_the_janitor_puts_everything_back(
    operator: str, after: bool
) -> None:
    """At every request, before and after it, with nobody but the janitor left."""
    for number in range(1, requests_of_a_run(operator) + 1):
        cluster = Cluster()
        play = Play(cluster)
        play.add(Actor("runner", number, after), lambda api: _run(api, operator))
        play.run()
        # The deadline passes, and what was never named has been left alone for a while.
        cluster.moment += timedelta(seconds=300)
        janitor = Play(cluster)
        actor = janitor.add(Actor("janitor"), lambda api: janitor_round(api) and None)
        janitor.run()
        assert actor.error is None
        where = f"killed {'after' if after else 'before'} request {number} ({cluster.log[-1]})"
        assert cluster.is_original(), where
        assert cluster.left() == [], where
        assert elsewhere(cluster) == [], where


@examples(60, derandomize=True)
@given(seed=st.integers(0, 2**32), runners=st.integers(2, 10))
def test_of_many_runners_one_at_a_time_breaks_the_policy(seed: int, runners: int) -> None:
    """The Lease lets one in; the others are told, and change nothing."""
    cluster = Cluster()
    writers: list[str] = []
    cluster.on_write.append(
        lambda actor, method, path: writers.append(actor) if path == POLICY else None
    )
    got: dict[str, bool] = {}

    def work(name: str) -> object:
        return lambda api: got.__setitem__(name, run_once(api, name))

    with everybody_at_once(cluster, seed) as play:
        actors = [play.add(Actor(f"r{n}"), work(f"r{n}")) for n in range(runners)]  # type: ignore[arg-type]
    assert [actor.error for actor in actors if actor.error] == []
    assert any(got.values())
    # Two writes per winner, never mixed with another's.
    assert writers == [name for name in dict.fromkeys(writers) for _ in range(2)]
    assert cluster.is_original()
    assert cluster.left() == []


@examples(60, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    restorers=st.integers(2, 20),
    number=st.integers(5, 40),
    operator=st.sampled_from(CHANGES),
)
def test_many_restores_at_once_restore_once(
    seed: int, restorers: int, number: int, operator: str
) -> None:
    """A runner died; twenty people and janitors restore at the same time."""
    cluster = Cluster()
    play = Play(cluster)
    play.add(Actor("runner", number, after=True), lambda api: _run(api, operator))
    play.run()
    cluster.moment += timedelta(seconds=300)
    with everybody_at_once(cluster, seed) as crowd:
        for n in range(restorers):
            crowd.add(Actor(f"j{n}"), lambda api: janitor_round(api, everything=True) and None)
    # Whoever lost a race may have given up; the next round finds nothing or finishes.
    last = Play(cluster)
    actor = last.add(Actor("last"), lambda api: janitor_round(api, everything=True) and None)
    last.run()
    assert actor.error is None
    assert cluster.is_original()
    assert cluster.left() == []
    assert elsewhere(cluster) == []


@examples(80, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    operator=st.sampled_from(CHANGES),
    ticks=st.sampled_from([5, 500, 2000]),
)
def test_a_janitor_races_a_runner(seed: int, operator: str, ticks: int) -> None:
    """The deadline passes while the runner is still at work: it comes back, once, and stays."""
    cluster = Cluster()
    cluster.tick = timedelta(milliseconds=ticks)
    with everybody_at_once(cluster, seed) as play:
        runner = play.add(Actor("runner"), lambda api: _run(api, operator))
        for n in range(3):
            play.add(Actor(f"j{n}"), lambda api: janitor_round(api) and None)
    # A runner that was overtaken says so; it never leaves the fault behind.
    cluster.moment += timedelta(seconds=300)
    last = Play(cluster)
    actor = last.add(Actor("last"), lambda api: janitor_round(api, everything=True) and None)
    last.run()
    assert actor.error is None
    assert cluster.is_original(), runner.error
    assert cluster.left() == []
    assert elsewhere(cluster) == []


NETS = ["runner", "watchdog", "janitor"]


@examples(150, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    operator=st.sampled_from(CHANGES),
    nets=st.sets(st.sampled_from(NETS), min_size=2),
    several=st.booleans(),
)
def test_nets_that_restore_at_once_raise_no_alarm(
    seed: int, operator: str, nets: set[str], several: bool
) -> None:
    """Runner, watchdog and janitor, request by request in any order: each finds all as before."""
    cluster = Cluster()
    with pytest.MonkeyPatch.context() as patch:
        if several:
            patch.setattr(records, "LARGEST", 500)
        runs = _broken(cluster, operator)
        kept = [
            record_of(debt, keeper("one"), "2026-01-05T12:00:03Z") for debt in runs[0].ledger.all()
        ]
        told: list[Paid] = []
        with everybody_at_once(cluster, seed) as play:
            actors = [play.add(Actor(one), _net(one, runs[0], kept, told)) for one in sorted(nets)]
    assert {actor.name: actor.error for actor in actors if actor.error} == {}
    assert [one for one in told if one.state not in ("restored", "removed")] == []
    assert cluster.is_original()
    assert cluster.left() == []
    assert elsewhere(cluster) == []


def _broken(cluster: Cluster, operator: str) -> list[RunContext]:
    """The run of a runner that has broken the policy; its deadline has passed."""
    runs: list[RunContext] = []

    def work(api: Any) -> None:
        Leases(api, "pets").acquire(keeper("one").holder, LEASE_SECONDS)
        runs.append(begun(api, keeper("one"), by_operator(operator, REF)))

    play = Play(cluster)
    actor = play.add(Actor("runner"), work)
    play.run()
    assert actor.error is None
    cluster.moment += timedelta(seconds=300)
    return runs


def _net(name: str, run: RunContext, kept: list[Record], told: list[Paid]) -> Callable[[Any], None]:
    """What one of the nets does, with what it knows."""

    def runner(api: Any) -> None:
        run.api = api
        cast("ClusterLedger", run.ledger)._api = api
        restore_all(run, timeout=0.0)

    def watchdog(api: Any) -> None:
        for one in reversed(kept):
            recover(api, one, "watchdog")

    def janitor(api: Any) -> None:
        told.extend(restore_records(api, "pets", lambda _: True, "janitor"))

    return {"runner": runner, "watchdog": watchdog, "janitor": janitor}[name]


def test_a_lease_that_lapsed_is_taken_over_and_what_it_left_is_restored_first() -> None:
    """The next run puts the dead one's fault back before it injects its own."""
    cluster = Cluster()
    play = Play(cluster)
    play.add(Actor("dead"), lambda api: _die_with_fault(api, cluster))
    play.run()
    assert not cluster.is_original()
    early = Play(cluster)
    refused = early.add(Actor("early"), lambda api: Leases(api, "pets").acquire("x", 15) and None)
    early.run()
    assert isinstance(refused.error, LeaseHeld)
    cluster.moment += timedelta(seconds=20)
    later = Play(cluster)
    actor = later.add(Actor("later"), lambda api: run_once(api, "later") and None)
    later.run()
    assert actor.error is None
    assert cluster.is_original()
    assert cluster.left() == []


@pytest.mark.parametrize("operator", CHANGES)
def test_a_record_whose_lease_is_gone_is_kept_while_its_fault_stands(operator: str) -> None:
    """It holds the only original: nothing is believed, and nothing is thrown away."""
    cluster = Cluster()
    play = Play(cluster)
    play.add(Actor("dead"), lambda api: _die_with_fault(api, cluster, operator))
    play.run()
    (lease,) = [one for one in cluster.left() if "/leases/" in one]
    named = cluster.objects.pop(lease)
    records = cluster.left()
    cluster.moment += timedelta(hours=1)
    told = _alone(cluster)
    assert "broken" in {one.state for one in told}
    assert cluster.left() == records
    assert not cluster.is_original()
    # It was not gone, it was only said to be: then all is as it was before.
    cluster.objects[lease] = named
    _alone(cluster)
    assert cluster.is_original()
    assert cluster.left() == []
    assert elsewhere(cluster) == []


def test_a_watchdog_that_finds_no_lease_keeps_what_its_run_recorded() -> None:
    """Whether that was ever in force nobody can tell; with the Lease there, it is swept up."""
    cluster = Cluster()
    play = Play(cluster)
    play.add(Actor("dead"), lambda api: _die_with_fault(api, cluster))
    play.run()
    (lease,) = [one for one in cluster.left() if "/leases/" in one]
    named = cluster.objects.pop(lease)
    records = cluster.left()
    run = records[0].partition("/configmaps/acns-chaos-")[2].rpartition("-")[0]
    _swept(cluster, run)
    assert cluster.left() == records
    cluster.objects[lease] = named
    _swept(cluster, run)
    assert cluster.is_original()
    assert cluster.left() == []


def _swept(cluster: Cluster, run: str) -> None:
    play = Play(cluster)
    actor = play.add(Actor("watchdog"), lambda api: sweep(api, "pets", run, "watchdog"))
    play.run()
    assert actor.error is None


def _alone(cluster: Cluster) -> list[Paid]:
    """One round of a janitor with nobody else about."""
    play = Play(cluster)
    told: list[Paid] = []

    def work(api: Any) -> None:
        told.extend(restore_records(api, "pets", lambda _: True, "janitor"))

    actor = play.add(Actor("janitor"), work)
    play.run()
    assert actor.error is None
    return told


def _die_with_fault(api: object, cluster: Cluster, operator: str = "ingress-from-nobody") -> None:
    from tests.failures.cluster import Killed

    def dies(actor: str, method: str, path: str) -> None:
        if path == POLICY:
            raise Killed

    cluster.on_write.append(dies)
    try:
        run_once(api, "dead")
    finally:
        cluster.on_write.remove(dies)


def test_who_holds_the_lease_is_said() -> None:
    """The sentence of a refused run names the other."""
    cluster = Cluster()
    play = Play(cluster)
    said: list[str] = []

    def work(api: object) -> None:
        Leases(api, "pets").acquire(keeper("one").holder, 15)  # type: ignore[arg-type]
        try:
            Leases(api, "pets").acquire(keeper("two").holder, 15)  # type: ignore[arg-type]
        except LeaseHeld as error:
            said.append(str(error))

    play.add(Actor("both"), work)
    play.run()
    assert "is held by run-one one@host process 1, renewed 12:00:00 UTC: one experiment" in said[0]
