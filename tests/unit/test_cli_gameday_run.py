"""`acns-chaos gameday run`: what it refuses, what it says at the end, and its exit codes."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from acns_chaos.cli import main
from acns_chaos.gameday import running, scoring
from acns_chaos.gameday.day import Day, Own
from acns_chaos.gameday.history import History
from acns_chaos.gameday.results import Place
from acns_chaos.gameday.running import Stopped
from tests.unit.gameday_days import begun
from tests.unit.gameday_results import result
from tests.unit.test_gameday_running import FakeStage

HELD = Own("mine", "HELD", "Fine.", "journals/own-mine.json", "2026-11-23T10:15:00Z")
NOT_NOTICED = Own("mine", "NOT_NOTICED", "Nobody did.", "", "2026-11-23T10:15:00Z")


class Played:
    """What the day does instead of running mutants."""

    statuses: dict[str, str] = {}
    own: Own | None = None
    stopped: Stopped | None = None

    def __init__(self, day: Day, *_: Any) -> None:
        self.day = day

    def run(self) -> Stopped | None:
        """Give each mutant the result that a test wants."""
        for job in self.day.pending():
            if job.name in self.statuses:
                found = result(job.name, self.statuses[job.name], position=job.position)
                self.day.add(job, found)
        if self.own is not None:
            self.day.add_own(self.own)
        return self.stopped


class OpenedStage(FakeStage):
    """A lab, or a cluster, that was opened."""

    name = "the lab (world pets)"
    ends = True
    control = None

    @property
    def in_lab(self) -> bool:
        """As the server states it."""
        return self.place.kind == "lab"


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> OpenedStage:
    """Where days take place; nothing is run."""
    stage = OpenedStage()

    @contextmanager
    def opened(*_: Any) -> Iterator[OpenedStage]:
        yield stage

    monkeypatch.setattr("acns_chaos.gameday.stage.opened_stage", opened)
    monkeypatch.setattr(running, "Running", Played)
    for name, value in (("statuses", {}), ("own", None), ("stopped", None)):
        monkeypatch.setattr(Played, name, value)
    return stage


def run(*arguments: object, **more: Any) -> Result:
    """Run the command with a history that nobody has."""
    given = [str(one) for one in arguments]
    if not any(one.endswith("history") for one in given):
        given.append("--no-history")
    return CliRunner().invoke(main, ["gameday", "run", *given], **more)


@pytest.mark.parametrize(
    ("statuses", "changes", "code", "last"),
    [
        ({"m1": "killed", "m2": "killed"}, {}, 0, "Written to "),
        ({"m1": "killed", "m2": "survived"}, {}, 0, "Written to "),
        ({"m1": "killed"}, {"stopped": Stopped(running.RULE, "Enough.")}, 3, "Written to "),
        ({"m1": "killed", "m2": "killed"}, {"own": NOT_NOTICED}, 1, "Written to "),
        ({"m1": "killed", "m2": "killed"}, {"own": HELD}, 0, "Written to "),
        ({}, {"stopped": Stopped(running.SIGNAL, "SIGINT came.", 2)}, 130, "Written to "),
        ({}, {"stopped": Stopped(running.SIGNAL, "SIGTERM came.", 15)}, 143, "Written to "),
        ({}, {"stopped": Stopped(running.NOT_RESTORED, "It stands.")}, 7, "Written to "),
        ({"m1": "killed"}, {"stopped": Stopped(running.BROKEN, "Disk full.")}, 2, "Written to "),
        ({}, {"stopped": Stopped(running.BUSY, "Ada is at work.")}, 3, "Written to "),
    ],
)
@pytest.mark.usefixtures("there")
def test_the_exit_code_says_how_the_day_ended(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    statuses: dict[str, str],
    changes: dict[str, Any],
    code: int,
    last: str,
) -> None:
    """And the words say the same; what is left to do comes with the command for it."""
    begun(tmp_path, "m1", "m2")
    monkeypatch.setattr(Played, "statuses", statuses)
    for name, value in changes.items():
        monkeypatch.setattr(Played, name, value)
    done = run("--resume", tmp_path)
    assert done.exit_code == code, done.output
    lines = done.stdout.splitlines()
    assert lines[-1].startswith(last)
    left = 2 - len(statuses)
    again = f"{left} to go: acns-chaos gameday run --resume {tmp_path}"
    assert (again in lines) == bool(left)
    if stopped := changes.get("stopped"):
        assert f"Stopped: {stopped.why}" in lines
    assert "LAB (simulated)" in lines[0]
    assert json.loads((tmp_path / "score.json").read_text())["plan"] == "small"


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(
    ("statuses", "stopped", "code"),
    [
        ({"m1": "unknown"}, Stopped(running.NOT_RESTORED, "m1 was not restored."), 7),
        ({"m1": "killed"}, Stopped(running.SIGNAL, "SIGTERM came.", 15), 143),
        ({"m1": "killed"}, Stopped(running.RULE, "Enough."), 2),
        ({"m1": "survived", "m2": "killed"}, None, 2),
    ],
)
def test_a_history_that_fails_hides_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    statuses: dict[str, str],
    stopped: Stopped | None,
    code: int,
) -> None:
    """The score is told and the report written; what is worse decides the exit code."""
    begun(tmp_path / "day", "m1", "m2", minimum={"availability": 0.9})
    history = tmp_path / "history"
    history.write_text("not a database at all, really")
    monkeypatch.setattr(Played, "statuses", statuses)
    monkeypatch.setattr(Played, "stopped", stopped)
    done = run("--resume", tmp_path / "day", "--history", history)
    assert done.exit_code == code, done.output
    lines = done.stdout.splitlines()
    (failed,) = (one for one in lines if one.startswith("Failed: "))
    assert str(history) in failed
    assert "LAB (simulated)" in lines[0]
    assert lines[-1].startswith("Written to ")
    if stopped:
        assert f"Stopped: {stopped.why}" in lines
    for name in ("score.json", "report.html", "junit.xml"):
        assert (tmp_path / "day" / name).stat().st_size


@pytest.mark.usefixtures("there")
def test_what_cannot_be_written_hides_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a report nor the score itself."""
    begun(tmp_path, "m1")
    monkeypatch.setattr(Played, "stopped", Stopped(running.NOT_RESTORED, "It stands."))
    (tmp_path / "score.json").mkdir()
    (tmp_path / "report.html").mkdir()
    done = run("--resume", tmp_path)
    assert done.exit_code == 7
    assert done.stdout.count("Failed: ") == 2
    assert "Stopped: It stands." in done.stdout
    (tmp_path / "results.jsonl").mkdir()
    monkeypatch.setattr("acns_chaos.gameday.day.Day._read", lambda _: None)
    done = run("--resume", tmp_path)
    assert done.exit_code == 7
    assert "Stopped: It stands." in done.stdout


@pytest.mark.usefixtures("there")
def test_a_minimum_that_is_missed_fails_the_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the sentence that says so."""
    begun(tmp_path, "m1", minimum={"availability": 0.8})
    monkeypatch.setattr(Played, "statuses", {"m1": "survived"})
    done = run("--resume", tmp_path)
    assert done.exit_code == 1
    assert "The score for availability is" in done.stdout


@pytest.mark.usefixtures("there")
def test_what_is_noticed_no_more_fails_the_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history is added to, and named by the option or the environment."""
    file = tmp_path / "h.sqlite"
    before = result("m1", day="20260101T000000-0000", ended="2026-01-01T00:00:00+00:00")
    History(file).add([before], "small")
    begun(tmp_path / "day", "m1")
    monkeypatch.setattr(Played, "statuses", {"m1": "survived"})
    done = run("--resume", tmp_path / "day", "--history", file)
    assert done.exit_code == 4, done.output
    assert "Regression: m1 survived (availability); on 20260101T000000-0000" in done.stdout
    assert len(History(file).trends()) == 2


def test_a_cluster_is_asked_about(tmp_path: Path, there: OpenedStage) -> None:
    """Where nobody can be asked, only --yes does."""
    there.place = Place("cluster", "cluster aks", "aks", "u1")
    folder = tmp_path / "day"
    begun(folder, "m1", target={"cluster": "aks", "namespaces": ["pets"]})
    told = json.loads((folder / "plan.json").read_text())
    told["place"] |= {"kind": "cluster", "label": "cluster aks", "context": "aks"}
    (folder / "plan.json").write_text(json.dumps(told))
    done = run("--resume", folder)
    assert done.exit_code == 2
    assert "needs --yes" in done.stderr
    done = run("--resume", folder, "--yes")
    assert done.exit_code == 3
    there.place = Place("cluster", "cluster aks", "aks", "u2")
    done = run("--resume", folder, "--yes")
    assert done.exit_code == 2
    assert "began in cluster aks u1, and this is cluster aks u2: go on there." in done.stderr


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "Give a PLAN, or --resume"),
        (("--resume", "x", "--seed", "3"), "keeps its folder, its selection and its name"),
        (("--resume", "x", "--out", "y"), "keeps its folder, its selection and its name"),
        (("--resume", "x", "--day", "y"), "keeps its folder, its selection and its name"),
        (("--resume", "nowhere"), "holds no plan.json"),
        (("nowhere.yaml",), "nowhere.yaml"),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], why: str
) -> None:
    """Exit code 2, and no traceback."""
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 2
    assert why in done.stderr
    assert "Traceback" not in done.output
    # A folder that was misspelt is not made.
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("there")
def test_another_plan_is_not_gone_on_with(tmp_path: Path) -> None:
    """A plan that is given besides must be the one that the day began with."""
    begun(tmp_path / "day", "m1")
    plan = json.loads((tmp_path / "day" / "plan.json").read_text())["plan"]
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan))
    assert run(file, "--resume", tmp_path / "day").exit_code == 3
    file.write_text(json.dumps(plan | {"name": "other"}))
    done = run(file, "--resume", tmp_path / "day")
    assert done.exit_code == 2
    assert "is not the plan that the day" in done.stderr


def test_suggestions_are_verified_in_a_lab_of_the_days_own_only(
    tmp_path: Path, there: OpenedStage
) -> None:
    """Nobody else's rules are replaced."""
    begun(tmp_path, "m1")
    there.ends = False
    done = run("--resume", tmp_path, "--verify-suggestions")
    assert done.exit_code == 2
    assert "acns-chaos lab down" in done.stderr


@pytest.mark.usefixtures("there")
def test_suggestions_are_not_verified_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day that stopped says that none was."""
    begun(tmp_path, "m1", "m2")
    monkeypatch.setattr(Played, "stopped", Stopped(running.RULE, "Enough."))
    done = run("--resume", tmp_path, "--verify-suggestions")
    assert done.exit_code == 3
    assert "No suggestion was verified, as the day did not come to its end." in done.stdout


def plan_file(folder: Path, **more: Any) -> Path:
    """A plan that nothing forbids."""
    plan = {
        "schema": 1,
        "name": "small",
        "target": {"cluster": "lab", "namespaces": ["pets", "far"]},
        "mutants": {"most": 1},
        "detectors": [{"alert": "X", "for": "availability"}],
    }
    file = folder / "plan.json"
    file.write_text(json.dumps(plan | more))
    return file


@pytest.mark.usefixtures("there")
def test_a_new_day_needs_a_name_of_its_own(tmp_path: Path) -> None:
    """The history would drop the second one's results; a day that is resumed keeps its name."""
    history = tmp_path / "h.sqlite"
    History(history).add([result("m1", day="nightly")], "small")
    done = run(plan_file(tmp_path), "--day", "nightly", "--history", history)
    assert done.exit_code == 2
    assert f"The history {history} has a day nightly: give this one another name" in done.stderr
    assert not (tmp_path / "out").exists()


def test_namespaces_at_once_need_alerts_that_name_theirs(
    tmp_path: Path, there: OpenedStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is looked at, and also when a day is resumed."""
    monkeypatch.setattr("acns_chaos.gameday.parallel.rules_of", lambda plan, _: plan.rules)
    done = run(plan_file(tmp_path), "--out", tmp_path / "day", "--parallel", "2")
    assert done.exit_code == 2
    assert "nothing shows that X does" in done.stderr
    assert not (tmp_path / "day").exists()
    begun(tmp_path / "old", "m1")
    assert run("--resume", tmp_path / "old", "--parallel", "2").exit_code == 2
    assert there.name


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.usefixtures("there")
def test_a_signal_before_the_first_mutant_ends_the_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """While the cluster is looked at, and also where what it raised was lost."""
    before = signal.getsignal(number)

    def looking(*_: Any, **__: Any) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr("acns_chaos.cli.gameday.run._prepared", looking)
    done = run(plan_file(tmp_path), "--out", tmp_path / "day")
    assert done.exit_code == 128 + number
    assert f"{number.name} came" in done.stderr
    assert not (tmp_path / "day").exists()

    def lost(*_: Any) -> None:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(number)

    begun(tmp_path / "old", "m1")
    monkeypatch.setattr("acns_chaos.cli.gameday.run._require_same", lost)
    monkeypatch.setattr(Played, "run", lambda _: pytest.fail("the day began"))
    done = run("--resume", tmp_path / "old")
    assert done.exit_code == 128 + number
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("stopped", "code"), [(None, 143), (running.NOT_RESTORED, 7)])
@pytest.mark.usefixtures("there")
def test_a_signal_after_the_last_mutant_loses_no_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: str | None, code: int
) -> None:
    """What came of the day is written and said first; what stands is worse than a signal."""
    begun(tmp_path, "m1")
    monkeypatch.setattr(Played, "statuses", {"m1": "killed"})
    if stopped:
        monkeypatch.setattr(Played, "stopped", Stopped(stopped, "It stands."))
    score = scoring.day_of

    def day_of(*given: Any, **more: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return score(*given, **more)

    monkeypatch.setattr(scoring, "day_of", day_of)
    done = run("--resume", tmp_path)
    assert done.exit_code == code
    assert "Written to" in done.stdout
    assert (tmp_path / "score.json").stat().st_size

    @contextmanager
    def played(*_: Any) -> Iterator[None]:
        yield
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(scoring, "day_of", score)
    monkeypatch.setattr("acns_chaos.cli.gameday.run._played", played)
    assert run("--resume", tmp_path).exit_code == code


def test_a_plan_in_its_blackout_is_not_begun(tmp_path: Path) -> None:
    """Nothing is looked at, and the exit code is that of a day that stopped."""
    hours = [{"from": "00:00", "to": "24:00", "zone": "UTC"}]
    plan = {
        "schema": 1,
        "name": "dark",
        "target": {"cluster": "lab", "namespaces": ["pets"]},
        "mutants": {"most": 1},
        "detectors": [{"alert": "X", "for": "availability"}],
        "blackout": hours,
    }
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan))
    done = run(file)
    assert done.exit_code == 3
    assert done.stdout.startswith("The plan dark allows no faults every day 00:00 to 24:00 (UTC)")
    assert [one.name for one in tmp_path.iterdir()] == ["plan.json"]
