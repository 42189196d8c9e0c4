"""A day is run: what counts, what is tried again, and every reason to stop."""

import io
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from acns_chaos.cluster.waiting import wait_until
from acns_chaos.gameday import running
from acns_chaos.gameday.day import Day, Job
from acns_chaos.gameday.progress import Progress
from acns_chaos.gameday.results import Place
from acns_chaos.gameday.running import Running, Stopped
from acns_chaos.gameday.signals import SIGNALS
from acns_chaos.gameday.stage import Stage
from tests.unit.gameday_days import begun
from tests.unit.gameday_results import document

DEAD = None


def told(name: str, status: str = "killed", namespace: str = "pets", **more: Any) -> dict[str, Any]:
    """What a process answers of a mutant."""
    outcome = {"killed": "HELD", "survived": "NOT_NOTICED"}.get(status, "INCONCLUSIVE")
    found = {"position": more.pop("position", 1), "shard": f"u1/{namespace}"}
    made = document(name, status, **found)
    return {"result": made, "outcome": outcome, "sentence": "So.", "interrupted": False} | more


@dataclass
class FakeStage:
    """A cluster that says what a test wants it to."""

    place: Place = field(default_factory=lambda: Place("lab", "LAB (simulated)", "lab", "u1"))
    stop: str = ""
    at_work: str = ""
    left: str = ""
    looked: list[str] = field(default_factory=list)

    def stopped(self, namespace: str) -> str:
        """Who asked everything to stop."""
        return self.stop

    def free(self, namespace: str, timeout: float) -> str:
        """Who is at work."""
        return self.at_work

    def busy(self, namespace: str, timeout: float) -> str:
        """What is left of a dead run."""
        self.looked.append(namespace)
        return self.left


class FakeChild:
    """A process that answers as a test says, mutant by mutant."""

    answers: dict[str, list[Any]] = {}
    begun: list[str] = []
    interrupted: list[str] = []
    asked: list[str] = []

    def __init__(self, day: Day, stage: Stage, namespace: str) -> None:
        self.namespace, self.ready = namespace, True
        self.begun.append(namespace)

    def run(self, job: Job, timeout: float) -> Mapping[str, Any] | None:
        """Answer, or die."""
        self.asked.append(job.name)
        answer = self.answers[job.name].pop(0)
        found = answer() if callable(answer) else answer
        return cast("Mapping[str, Any] | None", found)

    def interrupt(self) -> None:
        """Be told to end."""
        self.interrupted.append(self.namespace)

    def close(self) -> int:
        """End."""
        return 0


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(running, "Child", FakeChild)
    for name in ("begun", "interrupted", "asked"):
        monkeypatch.setattr(FakeChild, name, [])
    monkeypatch.setattr(FakeChild, "answers", {})
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    assert {number: signal.getsignal(number) for number in SIGNALS} == before


def play(
    day: Day, answers: dict[str, list[Any]], stage: FakeStage | None = None, parallel: int = 1
) -> tuple[Stopped | None, str]:
    """Run a day; returns why it stopped, and what a person saw."""
    FakeChild.answers.update(answers)
    seen = io.StringIO()
    there = cast("Stage", stage or FakeStage())
    stopped = Running(day, there, Progress(day, seen, parallel), parallel).run()
    return stopped, seen.getvalue()


def test_mutants_are_run_in_order_by_one_process_a_namespace(tmp_path: Path) -> None:
    """Each once, and each is told with how long the rest takes."""
    day = begun(tmp_path, "m1", "far/m2", "m3")
    answers = {
        "m1": [told("m1")],
        "m2": [told("m2", "survived", "far", position=2)],
        "m3": [told("m3", position=3)],
    }
    stopped, seen = play(day, answers)
    assert stopped is None
    assert FakeChild.asked == ["m1", "m3", "m2"]
    assert FakeChild.begun == ["pets", "far"]
    assert not day.pending()
    assert "[1/3] killed by StorefrontDrops after 1.8 s: m1 (about 8.4 s left)" in seen
    assert "[3/3] survived: m2\n" in seen


@pytest.mark.parametrize("outcome", ["INCONCLUSIVE", "DEVIATED"])
def test_what_is_not_shown_to_be_restored_stops_the_day(tmp_path: Path, outcome: str) -> None:
    """Whatever the run is called: its result stands, and nothing is injected on top of it."""
    day = begun(tmp_path, "m1", "m2")
    answer = told("m1", "unknown", outcome=outcome)
    answer["result"] |= {"restored": False, "outcome": outcome}
    stopped, _ = play(day, {"m1": [answer]})
    assert stopped is not None
    assert stopped.kind == running.NOT_RESTORED
    assert stopped.why == (
        "m1 is not shown to be restored: see `acns-chaos outcome journals/001-m1.json`."
    )
    assert day.results[1].restored is False
    assert len(day.pending()) == 1


def test_what_was_interrupted_and_is_not_shown_to_be_restored_stops_the_day(tmp_path: Path) -> None:
    """An interrupted run has no result, but what it left is said."""
    day = begun(tmp_path, "m1", "m2")
    answer = told("m1", "unknown", interrupted=True)
    answer["result"]["restored"] = False
    stopped, _ = play(day, {"m1": [answer]})
    assert stopped is not None
    assert stopped.kind == running.NOT_RESTORED


@pytest.mark.parametrize("answer", ["failed", "no section"])
@pytest.mark.parametrize("left", ["", "pets/allow-x is broken on purpose."])
def test_where_a_run_says_nothing_of_it_the_cluster_is_asked(
    tmp_path: Path, answer: str, left: str
) -> None:
    """The day goes on once nothing is left, and stops where something stands."""
    day, stage = begun(tmp_path, "m1", "m2"), FakeStage(left=left)
    silent: dict[str, Any] = {"failed": "the host wrote no journal", "interrupted": False}
    if answer == "no section":
        silent = told("m1", "unknown")
        silent["result"]["restored"] = None
    stopped, _ = play(day, {"m1": [silent], "m2": [told("m2", position=2)]}, stage)
    assert stage.looked == ["pets"]
    assert (stopped is not None) == bool(left)
    if stopped is not None:
        assert stopped.kind == running.NOT_RESTORED
        assert stopped.why.startswith("pets/allow-x is broken on purpose: restore it")
        assert FakeChild.asked == ["m1"]
        assert [job.name for job in day.pending()] == ["m1", "m2"]
    else:
        assert FakeChild.asked == ["m1", "m2"]
        assert day.results[1].status == "unknown"


def test_an_experiment_of_the_plan_is_asked_about_likewise(tmp_path: Path) -> None:
    """What it left stops the day before the first mutant."""
    day = begun(tmp_path, "m1", experiments=("mine",))
    own = {"outcome": "INCONCLUSIVE", "sentence": "Who knows.", "interrupted": False}
    stopped, _ = play(day, {"mine": [own | {"restored": False}]})
    assert stopped is not None
    assert stopped.kind == running.NOT_RESTORED
    assert FakeChild.asked == ["mine"]
    stage = FakeStage(left="pets/allow-x is broken on purpose.")
    stopped, _ = play(begun(tmp_path / "b", experiments=("mine",)), {"mine": [own]}, stage)
    assert stopped is not None
    assert stage.looked == ["pets"]


def test_namespaces_may_be_run_at_once(tmp_path: Path) -> None:
    """Each of two waits for the other one to have begun."""
    day = begun(tmp_path, "m1", "far/m2")
    both = threading.Barrier(2, timeout=5)

    def meeting(name: str, **more: Any) -> Callable[[], dict[str, Any]]:
        def met() -> dict[str, Any]:
            both.wait()
            return told(name, **more)

        return met

    answers = {"m1": [meeting("m1")], "m2": [meeting("m2", namespace="far", position=2)]}
    stopped, _ = play(day, answers, parallel=2)
    assert stopped is None
    assert not day.pending()


def test_a_process_that_dies_is_followed_by_another_one(tmp_path: Path) -> None:
    """Once nothing is left of it; its mutant is run again, and only that."""
    day, stage = begun(tmp_path, "m1", "m2"), FakeStage()
    stopped, seen = play(day, {"m1": [DEAD, told("m1")], "m2": [told("m2", position=2)]}, stage)
    assert stopped is None
    assert FakeChild.asked == ["m1", "m1", "m2"]
    assert FakeChild.begun == ["pets", "pets"]
    assert stage.looked == ["pets"]
    assert day.results[1].status == "killed"
    assert "m1 died; nothing of it is left" in seen


def test_a_mutant_whose_process_dies_twice_is_unknown(tmp_path: Path) -> None:
    """With the reason, and the day goes on."""
    day = begun(tmp_path, "m1", "m2")
    stopped, _ = play(day, {"m1": [DEAD, DEAD], "m2": [told("m2", position=2)]})
    assert stopped is None
    assert (day.results[1].status, day.results[1].restored) == ("unknown", None)
    assert day.results[1].why == "its process died 2 times; see logs/pets.log"
    assert day.results[2].status == "killed"


def test_what_a_dead_process_left_standing_stops_the_day(tmp_path: Path) -> None:
    """Nothing is injected on top of it; the mutant has no result."""
    day, stage = begun(tmp_path, "m1", "m2"), FakeStage(left="pets/allow-x is broken on purpose.")
    stopped, _ = play(day, {"m1": [DEAD]}, stage)
    assert stopped is not None
    assert stopped.kind == running.NOT_RESTORED
    assert stopped.why == (
        "pets/allow-x is broken on purpose: restore it with `acns-chaos restore --all`."
    )
    assert len(day.pending()) == 2


def test_a_mutant_that_is_not_restored_stops_the_day_at_once(tmp_path: Path) -> None:
    """Its result stands; the others' processes are told to restore and end."""
    day = begun(tmp_path, "m1", "m2", "far/m3")
    began, over = threading.Event(), threading.Event()

    def slow() -> dict[str, Any]:
        began.set()
        over.wait(5)
        return told("m3", "unknown", "far", position=3, interrupted=True)

    def broken() -> dict[str, Any]:
        began.wait(5)
        found = told("m1", "unknown", outcome="NOT_RESTORED")
        found["result"] |= {"outcome": "NOT_RESTORED", "restored": False}
        return found

    def interrupted(child: FakeChild) -> None:
        FakeChild.interrupted.append(child.namespace)
        over.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeChild, "interrupt", interrupted)
        stopped, _ = play(day, {"m1": [broken], "m3": [slow]}, parallel=2)
    assert stopped is not None
    assert stopped.kind == running.NOT_RESTORED
    assert "far" in FakeChild.interrupted
    assert [job.name for job in day.pending()] == ["m2", "m3"]
    assert day.results[1].restored is False


@pytest.mark.parametrize(
    ("rules", "statuses", "done"),
    [
        ({"survivors": 2}, ["survived", "killed", "survived", "killed"], 3),
        ({"unknown": 1}, ["killed", "unknown", "killed", "killed"], 2),
        ({"survivors": 0, "unknown": 0}, ["survived", "unknown", "survived", "unknown"], 4),
    ],
)
def test_a_stop_rule_ends_the_day(
    tmp_path: Path, rules: dict[str, int], statuses: list[str], done: int
) -> None:
    """After so many, counted over the whole day; 0 is never."""
    names = [f"m{number}" for number in range(1, 5)]
    day = begun(tmp_path, *names, stop=rules)
    answers = {
        name: [told(name, status, position=number)]
        for number, (name, status) in enumerate(zip(names, statuses, strict=True), 1)
    }
    stopped, _ = play(day, answers)
    assert len(day.results) == done
    assert (stopped is None) == (done == 4)
    if stopped:
        assert stopped.kind == running.RULE
        assert "the plan stops after" in stopped.why


def test_a_process_that_dies_twice_counts_for_a_stop_rule(tmp_path: Path) -> None:
    """However a mutant comes to be unknown."""
    day = begun(tmp_path, "m1", "m2", stop={"unknown": 1})
    stopped, _ = play(day, {"m1": [DEAD, DEAD]})
    assert stopped == Stopped(running.RULE, "1 mutants are unknown, and the plan stops after 1.")
    assert FakeChild.asked == ["m1", "m1"]


def test_a_stop_rule_that_was_reached_before_ends_a_resumed_day_at_once(tmp_path: Path) -> None:
    """No further mutant is run; a day with nothing left to run has not stopped before its end."""
    day = begun(tmp_path, "m1", "m2", stop={"survivors": 1})
    assert play(day, {"m1": [told("m1", "survived")]})[0] is not None
    FakeChild.asked.clear()
    stopped, _ = play(day, {})
    assert stopped is not None
    assert stopped.kind == running.RULE
    assert FakeChild.asked == []
    last = begun(tmp_path / "last", "m1", stop={"survivors": 1})
    assert play(last, {"m1": [told("m1", "survived")]})[0] is None


@pytest.mark.parametrize(("minutes", "runs"), [(2, False), (30, True)])
def test_no_mutant_begins_that_may_stand_when_hours_without_faults_begin(
    tmp_path: Path, minutes: int, runs: bool
) -> None:
    """It may take its whole time, and the sentence says how long that is."""
    begin = datetime.now(UTC) + timedelta(minutes=minutes)
    hours = {"from": f"{begin:%H:%M}", "to": f"{begin + timedelta(hours=1):%H:%M}"}
    day = begun(tmp_path, "m1", blackout=[hours | {"zone": "UTC"}], limits={"per_run": "60s"})
    stopped, _ = play(day, {"m1": [told("m1")]} if runs else {})
    assert FakeChild.asked == (["m1"] if runs else [])
    if not runs:
        assert stopped is not None
        assert stopped.kind == running.FORBIDDEN
        # 60 s, twice a detector's 6 s, and what is around.
        assert "a mutant that begins now may take until then, 4 min 12 s at most" in stopped.why


def test_nothing_is_injected_in_a_blackout(tmp_path: Path) -> None:
    """The day stops before the next mutant, and can be resumed."""
    now = datetime.now(UTC)
    hours = {"from": f"{now - timedelta(hours=1):%H:%M}", "to": f"{now + timedelta(hours=1):%H:%M}"}
    day = begun(tmp_path, "m1", blackout=[hours | {"zone": "UTC"}])
    stopped, _ = play(day, {})
    assert stopped is not None
    assert stopped.kind == running.FORBIDDEN
    assert stopped.why.startswith("No faults every day ")
    assert FakeChild.asked == []


def test_whoever_says_stop_is_heard_before_the_next_mutant(tmp_path: Path) -> None:
    """A run that was ended by it has no result."""
    day, stage = begun(tmp_path, "m1", "m2"), FakeStage()

    def stop() -> dict[str, Any]:
        stage.stop = "ConfigMap acns-chaos-stop stands."
        return told("m1", "unknown", interrupted=True)

    stopped, _ = play(day, {"m1": [stop]}, stage)
    assert stopped == Stopped(running.FORBIDDEN, "ConfigMap acns-chaos-stop stands.")
    assert FakeChild.asked == ["m1"]
    assert len(day.pending()) == 2


def test_somebody_else_at_work_is_waited_for_and_then_said(tmp_path: Path) -> None:
    """Nothing is run there."""
    day = begun(tmp_path, "m1")
    stopped, _ = play(day, {}, FakeStage(at_work="ada is at work in namespace pets"))
    assert stopped is not None
    assert stopped.kind == running.BUSY
    assert stopped.why == "ada is at work in namespace pets: nothing more was run there."


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_day_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    """What is run is told to restore, and has no result."""
    day = begun(tmp_path, "m1", "m2")

    def signalled() -> dict[str, Any]:
        os.kill(os.getpid(), number)
        wait_until(lambda: FakeChild.interrupted, 5, 0.005)
        return told("m1", "unknown", interrupted=True)

    stopped, seen = play(day, {"m1": [signalled]})
    assert stopped is not None
    assert (stopped.kind, stopped.signal) == (running.SIGNAL, number)
    assert FakeChild.interrupted == ["pets"]
    assert len(day.pending()) == 2
    assert "what stands is restored first" in seen


def test_what_was_over_when_the_signal_came_counts(tmp_path: Path) -> None:
    """It was not interrupted, so its evidence is whole."""
    day = begun(tmp_path, "m1", "m2")

    def signalled() -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGINT)
        wait_until(lambda: FakeChild.interrupted, 5, 0.005)
        return told("m1")

    stopped, _ = play(day, {"m1": [signalled]})
    assert stopped is not None
    assert day.results[1].status == "killed"
    assert len(day.pending()) == 1


def test_experiments_of_the_plan_go_first_and_are_told_apart(tmp_path: Path) -> None:
    """They are no mutants, so they are in no score."""
    day = begun(tmp_path, "m1", experiments=("mine",))
    own = {"outcome": "NOT_NOTICED", "sentence": "Nobody did.", "interrupted": False}
    stopped, seen = play(day, {"mine": [own], "m1": [told("m1")]})
    assert stopped is None
    assert FakeChild.asked == ["mine", "m1"]
    assert day.own_results["mine"].outcome == "NOT_NOTICED"
    assert len(day.results) == 1
    assert "mine: NOT_NOTICED: Nobody did." in seen


def test_a_run_without_a_journal_is_unknown(tmp_path: Path) -> None:
    """With the reason that the process gave."""
    day = begun(tmp_path, "m1")
    play(day, {"m1": [{"failed": "the host wrote no journal", "interrupted": False}]})
    assert (day.results[1].status, day.results[1].why) == ("unknown", "the host wrote no journal")


def test_a_disk_that_is_full_stops_the_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be kept must not go on."""
    day = begun(tmp_path, "m1", "m2")
    monkeypatch.setattr("acns_chaos.gameday.day.RESULTS", "no/such/folder")
    stopped, _ = play(day, {"m1": [told("m1")]})
    assert stopped is not None
    assert stopped.kind == running.BROKEN
    assert "cannot be written" in stopped.why
