"""Detectors asked at once: noticed, not noticed, no data, and what could not judge."""

import fcntl
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.cluster.jobs import ended_jobs
from acns_chaos.cluster.prometheus import Alert, Alertmanager
from acns_chaos.errors import ApiError, ArgumentError
from acns_chaos.evidence import alerts
from acns_chaos.evidence.apart import Apart
from acns_chaos.evidence.claims_run import HELD_BY_PLAYER, file_of, is_held
from acns_chaos.evidence.detecting import (
    MOST,
    Detector,
    detectors_of,
    read_noticed,
    read_silence,
)
from acns_chaos.faults.runcontext import arm, disarm
from acns_chaos.gameday import plan_checks
from acns_chaos.probes import read_detectors
from tests.unit.fakes import FakeApi, MemoryPrometheus, run_on

FAULT = 10.0
JOBS = "/apis/batch/v1/namespaces/ops/jobs"


@pytest.fixture
def prometheus(monkeypatch: pytest.MonkeyPatch) -> MemoryPrometheus:
    """A Prometheus that is scraped every second and has evaluated one rule just now."""
    one = MemoryPrometheus("node-0")
    rule = {"name": "Drops", "type": "alerting", "health": "ok", "lastEvaluation": iso(one.at)}
    one.rules = {"data": {"groups": [{"interval": 1, "rules": [rule]}]}}
    for ago in (3.0, 2.0, 1.0):
        one.scrape(ago, "node-0")
    monkeypatch.setattr(alerts, "prometheus_from", lambda api, environ: one)
    return one


def iso(at: float) -> str:
    """A moment as JSON has it."""
    return datetime.fromtimestamp(at, UTC).isoformat()


def firing(prometheus: MemoryPrometheus, *agos: float, state: str = "firing", **more: str) -> None:
    """Let the alert fire at these moments, seconds ago; then it is over."""
    labels = {"__name__": "ALERTS", "alertname": "Drops", "alertstate": state, **more}
    found = (tuple(sorted(labels.items())), 1.0)
    job = ("rules", f"Drops {more}")
    for ago in agos:
        prometheus.history.append(prometheus.at - ago, [found], job)
    prometheus.history.append(prometheus.at - agos[-1] + 0.5, [], job)


def ask(
    prometheus: MemoryPrometheus,
    *wanted: Detector,
    folder: str = "",
    deadline: float = 5.0,
    **more: Any,
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Ask once, ten seconds after the fault, for alerts with a deadline that is over by now."""
    api: Any = FakeApi()
    found = wanted or (Detector("Drops", "alert", deadline),)
    told = read_noticed(api, {}, found, folder, iso(prometheus.at - FAULT), **more)
    return told, {one["name"]: one for one in told["evidence"]["detectors"]}


def run(file: Path, now: float, *runs: tuple[float, float, bool | None]) -> None:
    """Write runs of a claim: seconds ago that each began and ended, and whether it was missed."""
    lines = [
        {"started": iso(now - began), "ended": iso(now - ended), "deviated": missed, "why": "said"}
        for began, ended, missed in runs
    ]
    file.write_text("".join(json.dumps(one) + "\n" for one in lines))


# ---------------------------------------------------------------------- alerts


def test_an_alert_that_begins_after_the_fault_noticed_it_though_it_is_over(
    prometheus: MemoryPrometheus,
) -> None:
    """How long after, and by how much that may be off; it was not asked while it fired."""
    firing(prometheus, 8.0, 7.0)
    told, said = ask(prometheus)
    assert (told["reading"], told["met"]) == ("FIRING", True)
    assert told["seconds"] == pytest.approx(2.0, abs=0.01)
    assert said["Drops"]["noticed"] is True
    assert said["Drops"]["after_ms"] == pytest.approx(2000, abs=5)
    assert (said["Drops"]["bound_ms"], said["Drops"]["deadline_ms"]) == (1, 5000)


def test_an_alert_that_fires_after_its_deadline_noticed_nothing(
    prometheus: MemoryPrometheus,
) -> None:
    """It is read late, and what it says counts from when it said it."""
    firing(prometheus, 2.0, 1.0)
    told, said = ask(prometheus)
    assert (told["reading"], told["met"]) == ("SILENT", False)
    assert (said["Drops"]["noticed"], said["Drops"]["after_ms"]) == (False, None)
    assert "deadline" in said["Drops"]["why"]


@pytest.mark.parametrize("state", ["firing", "pending"])
def test_an_alert_that_was_firing_or_about_to_cannot_judge(
    prometheus: MemoryPrometheus, state: str
) -> None:
    """Nobody can tell what it would have done."""
    firing(prometheus, 12.0, 10.5, state=state)
    firing(prometheus, 9.0, 8.0)
    told, said = ask(prometheus)
    assert (told["reading"], told["met"]) == ("UNKNOWN", None)
    assert (said["Drops"]["noticed"], said["Drops"]["why"]) == (
        None,
        "it was firing before the fault",
    )


def test_an_alert_that_stays_silent_noticed_nothing(prometheus: MemoryPrometheus) -> None:
    """Its rule is there and evaluated."""
    told, said = ask(prometheus)
    assert (told["reading"], said["Drops"]["noticed"]) == ("SILENT", False)
    assert said["Drops"]["why"] == "it did not fire"


def test_a_rule_that_is_not_there_has_no_data_and_noticed_nothing(
    prometheus: MemoryPrometheus,
) -> None:
    """No data is survived, never left out."""
    told, said = ask(prometheus, Detector("Others", "alert", 5.0))
    assert told["reading"] == "SILENT"
    assert said["Others"]["noticed"] is False
    assert said["Others"]["why"].startswith("no data: there is no alerting rule Others")


def test_a_prometheus_that_does_not_answer_tells_nothing(
    prometheus: MemoryPrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That we cannot ask is no silence."""

    def broken(*_: Any) -> Any:
        raise ApiError("no answer")

    monkeypatch.setattr(alerts, "prometheus_from", broken)
    told, said = ask(prometheus)
    assert told["reading"] == "UNKNOWN"
    assert (
        said["Drops"] | {"noticed": None, "why": "it cannot be asked: no answer"} == said["Drops"]
    )


def test_time_is_left_when_the_witness_is_through(prometheus: MemoryPrometheus) -> None:
    """A lookup that is refused takes long, and the flow itself is asked only after it."""
    firing(prometheus, 4.0, 3.0)
    moments = {"realised": iso(prometheus.at - 9.9), "witnessed": iso(prometheus.at - 5.0)}
    told, said = ask(prometheus, deadline=3.0, **moments)
    assert (said["Drops"]["noticed"], said["Drops"]["deadline_ms"]) == (True, 7000)
    assert said["Drops"]["after_ms"] == pytest.approx(6000, abs=5)
    assert told["evidence"]["witnessed"] == iso(prometheus.at - 5.0)


def test_a_witness_that_is_through_soon_takes_no_time(prometheus: MemoryPrometheus) -> None:
    """Most of a deadline is left then, and it runs from when the fault was seen in force."""
    firing(prometheus, 5.5, 4.5)
    moments = {"realised": iso(prometheus.at - 9.9), "witnessed": iso(prometheus.at - 8.9)}
    _, said = ask(prometheus, deadline=3.3, **moments)
    assert (said["Drops"]["noticed"], said["Drops"]["deadline_ms"]) == (False, 3400)


# ---------------------------------------------------------------------- several namespaces

PLAN = Apart(own=frozenset({"pets"}), others=frozenset({"checkout", "ledger"}))


@pytest.mark.parametrize(
    ("labels", "noticed"),
    [
        ({"namespace": "checkout"}, False),
        ({"namespace": "pets"}, True),
        ({"namespace": "kube-system"}, True),
        ({"namespace": "kube-system", "source_namespace": "checkout"}, False),
        ({"source_namespace": "checkout", "destination_namespace": "pets"}, True),
        ({"source_namespace": "checkout", "destination_namespace": "ledger"}, False),
        ({"exported_namespace": "ledger", "severity": "pets"}, False),
        ({"team": "checkout"}, True),
    ],
)
def test_an_alert_of_another_namespace_of_the_plan_is_no_notice(
    prometheus: MemoryPrometheus, labels: dict[str, str], noticed: bool
) -> None:
    """One label that may be the fault's is enough; one outside the plan decides nothing."""
    firing(prometheus, 8.0, 7.0, **labels)
    told, said = ask(prometheus, apart=PLAN)
    assert said["Drops"]["noticed"] is noticed
    assert told["reading"] == ("FIRING" if noticed else "SILENT")
    if not noticed:
        assert said["Drops"]["why"].startswith("it fired for ")


def test_an_alert_of_another_namespace_hides_none_of_the_faults(
    prometheus: MemoryPrometheus,
) -> None:
    """It fired before the fault, and for that one nobody waits."""
    firing(prometheus, 12.0, 11.0, 10.0, 9.0, namespace="checkout")
    firing(prometheus, 8.0, 7.0, namespace="pets")
    _, said = ask(prometheus, apart=PLAN)
    assert said["Drops"]["noticed"] is True
    assert said["Drops"]["after_ms"] == pytest.approx(2000, abs=5)


def test_the_probe_knows_whose_run_it_is_in(prometheus: MemoryPrometheus) -> None:
    """Its own namespace counts, said or not; so do those that the fault touches."""
    firing(prometheus, 8.0, 7.0, namespace="ledger")
    wanted = [{"name": "Drops", "kind": "alert", "deadline": 5.0}]
    run = run_on(FakeApi())
    run.note("submitted", "a fault", iso(prometheus.at - FAULT))
    run.witnessed = iso(prometheus.at - FAULT + 1)
    arm(run)
    try:
        found = [
            read_detectors(wanted, touched=touched, elsewhere=["checkout", "ledger", "pets"])
            for touched in (["checkout"], ["ledger"])
        ]
        assert [one["reading"] for one in found] == ["SILENT", "FIRING"]
        assert found[0]["evidence"]["witnessed"] == run.witnessed
        assert "must be a list" in read_detectors(wanted, elsewhere="checkout")["sentence"]
    finally:
        disarm()


def test_silence_of_other_namespaces_is_not_waited_for(prometheus: MemoryPrometheus) -> None:
    """Their alerts are of other faults."""
    firing(prometheus, 2.0, 0.1, namespace="checkout")
    assert silence(prometheus)["reading"] == "FIRING"
    assert silence(prometheus, apart=PLAN)["reading"] == "SILENT"


def test_an_alertmanager_tells_whose_an_alert_is(
    prometheus: MemoryPrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silenced one as well."""
    listed(monkeypatch, prometheus, 5.0, "checkout", muted="silenced")
    firing(prometheus, 5.0, 4.0, namespace="checkout")
    _, said = ask(prometheus, apart=PLAN)
    assert (said["Drops"]["noticed"], said["Drops"]["why"]) == (
        False,
        "it fired for checkout alone",
    )
    assert silence(prometheus, apart=PLAN)["reading"] == "SILENT"


# ---------------------------------------------------------------------- Alertmanager alone


def listed(
    monkeypatch: pytest.MonkeyPatch,
    prometheus: MemoryPrometheus,
    ago: float,
    namespace: str = "pets",
    muted: str = "",
) -> None:
    """Have an Alertmanager list the alert, which began so many seconds ago."""
    manager = Alertmanager("http://alertmanager")
    found = Alert({"alertname": "Drops", "namespace": namespace}, prometheus.at - ago, muted)
    monkeypatch.setattr(manager, "firing", lambda name, labels: [found])
    monkeypatch.setattr(manager, "silences", lambda labels: False)
    monkeypatch.setattr(Alertmanager, "from_environ", lambda environ: manager)


@pytest.mark.parametrize(
    ("began", "noticed", "why"),
    [
        (-2.5, None, "it was firing before the fault"),
        (-1.5, None, "which came first cannot be told"),
        (1.5, None, "which came first cannot be told"),
        (2.5, True, ""),
    ],
)
def test_what_an_alertmanager_alone_dates_about_the_fault_cannot_be_told(
    prometheus: MemoryPrometheus,
    monkeypatch: pytest.MonkeyPatch,
    began: float,
    noticed: bool | None,
    why: str,
) -> None:
    """Its clock is compared with nobody's."""

    def nobody(*_: Any) -> Any:
        raise ApiError("no Prometheus is named")

    monkeypatch.setattr(alerts, "prometheus_from", nobody)
    listed(monkeypatch, prometheus, FAULT - began)
    told, said = ask(prometheus)
    assert said["Drops"]["noticed"] is noticed
    assert told["reading"] == ("FIRING" if noticed else "UNKNOWN")
    assert why in said["Drops"]["why"]


# ---------------------------------------------------------------------- claims


@pytest.mark.parametrize(
    ("runs", "noticed", "why"),
    [
        ([(12, 11, False), (9, 8, True)], True, ""),
        ([(19, 18, False), (17, 9.999, True), (9.9, 9.5, False)], False, "it held in 1 run"),
        ([(19, 18, False), (17, 9.5, True), (9, 8, True)], True, ""),
        ([(12, 11, False), (10.5, 9.5, True)], False, "no data: no run of it began and ended"),
        ([(12, 11, False), (9, 8, False)], False, "it held in 1 run"),
        ([(12, 11, False), (4, 3, True)], False, "no data: no run of it began and ended"),
        ([(12, 11, False), (9, 8, None)], False, "1 of its runs could not tell: said"),
        ([(12, 11, True), (9, 8, True)], None, "before the fault it was missed"),
        ([(12, 11, None), (9, 8, True)], None, "before the fault its run could not tell"),
        ([(9, 8, True)], None, "nobody ran it before"),
    ],
)
def test_what_the_runs_of_a_claim_prove(
    prometheus: MemoryPrometheus,
    tmp_path: Path,
    runs: list[tuple[float, float, bool | None]],
    noticed: bool | None,
    why: str,
) -> None:
    """Missed after the fault, held before it; a run that began before says nothing of it."""
    run(tmp_path / file_of("door"), prometheus.at, *runs)
    with (tmp_path / HELD_BY_PLAYER).open("w") as player:
        fcntl.flock(player, fcntl.LOCK_EX)
        _, said = ask(prometheus, Detector("door", "claim", 5.0), folder=str(tmp_path))
    assert said["door"]["noticed"] is noticed, said
    assert why in said["door"]["why"]


def test_a_player_that_died_is_no_claim_that_held(
    prometheus: MemoryPrometheus, tmp_path: Path
) -> None:
    """Its lock went with it."""
    run(tmp_path / file_of("door"), prometheus.at, (12, 11, False))
    (tmp_path / HELD_BY_PLAYER).touch()
    assert not is_held(tmp_path)
    told, said = ask(prometheus, Detector("door", "claim", 5.0), folder=str(tmp_path))
    assert (told["reading"], said["door"]["noticed"]) == ("UNKNOWN", None)


def test_a_line_that_is_cut_short_or_none_is_passed_over(
    prometheus: MemoryPrometheus, tmp_path: Path
) -> None:
    """The player may be writing it."""
    file = tmp_path / file_of("door")
    run(file, prometheus.at, (12, 11, False), (9, 8, True))
    file.write_text("[]\nnonsense\n" + file.read_text() + '{"started": "20')
    _, said = ask(prometheus, Detector("door", "claim", 5.0), folder=str(tmp_path))
    assert said["door"]["noticed"] is True


def test_names_of_claims_are_files_of_their_own() -> None:
    """None leads out of the folder, and no two are one."""
    names = ["../x", "..-x", "a b", "a-b", "/etc/passwd", "x" * 300, "x" * 301]
    files = [file_of(name) for name in names]
    assert len(set(files)) == len(files)
    assert all("/" not in one and not one.startswith(".") and len(one) < 120 for one in files)


def test_the_jobs_of_a_cron_job_are_its_runs(prometheus: MemoryPrometheus) -> None:
    """What fails there is what the team sees; others' Jobs and unfinished ones are left out."""
    api: Any = FakeApi()
    at = int(prometheus.at)
    api.lists[JOBS] = [
        job("claims-1", at - 13, "Complete"),
        job("claims-2", at - 7, "Failed"),
        job("other-1", at - 8, "Failed", owner="other"),
        job("claims-3", at - 1, ""),
    ]
    api.now = lambda: datetime.now(UTC)
    found = Detector("door", "claim", 5.0, cronjob="ops/claims")
    told = read_noticed(api, {}, [found], "", iso(at - FAULT))
    (said,) = told["evidence"]["detectors"]
    assert [one.name for one in ended_jobs(api, "ops/claims")] == ["claims-1", "claims-2"]
    assert (said["noticed"], said["bound_ms"]) == (True, 1500)
    assert said["after_ms"] == pytest.approx(3000, abs=50)


@pytest.mark.parametrize(
    ("began", "noticed", "why"),
    [(-3, False, "no data"), (0, None, "which came first cannot be told"), (2, True, "")],
)
def test_a_job_that_began_within_the_fault_s_second_cannot_be_told(
    prometheus: MemoryPrometheus, began: int, noticed: bool | None, why: str
) -> None:
    """Its moments are whole seconds."""
    api: Any = FakeApi()
    at = int(prometheus.at)
    api.lists[JOBS] = [
        job("claims-1", at - 15, "Complete"),
        job("claims-2", at - FAULT + 3, "Failed", began=at - FAULT + began),
    ]
    api.now = lambda: datetime.now(UTC)
    found = Detector("door", "claim", 5.0, cronjob="ops/claims")
    told = read_noticed(api, {}, [found], "", iso(at - FAULT + 0.4))
    (said,) = told["evidence"]["detectors"]
    assert said["noticed"] is noticed
    assert why in said["why"]


def job(
    name: str, at: float, condition: str, owner: str = "claims", began: float | None = None
) -> dict[str, Any]:
    """A Job that ended so; it began then as well, unless that is said."""

    def stamp(moment: float) -> str:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    moment = stamp(at)
    told = {"type": condition, "status": "True", "lastTransitionTime": moment, "reason": "Why"}
    return {
        "metadata": {"name": name, "ownerReferences": [{"kind": "CronJob", "name": owner}]},
        "status": {"startTime": stamp(began or at), "conditions": [told] if condition else []},
    }


# ---------------------------------------------------------------------- together, and before


def test_one_that_noticed_outweighs_one_that_cannot_tell(
    prometheus: MemoryPrometheus, tmp_path: Path
) -> None:
    """Each says its own; the first is named."""
    firing(prometheus, 8.0, 7.0)
    door = Detector("door", "claim", 5.0, judges=("security",))
    told, said = ask(prometheus, Detector("Drops", "alert", 5.0), door, folder=str(tmp_path))
    assert told["met"] is True
    assert told["sentence"] == "Drops noticed after 2.0 s; not door"
    assert (said["door"]["noticed"], said["door"]["for"]) == (None, ["security"])


def test_without_a_detector_nobody_notices(prometheus: MemoryPrometheus) -> None:
    """That is a finding, and takes no time."""
    api: Any = FakeApi()
    told = read_noticed(api, {}, [], "", iso(prometheus.at))
    assert (told["reading"], told["met"]) == ("SILENT", False)


def silence(
    prometheus: MemoryPrometheus,
    began: float = -5.0,
    folder: str = "",
    apart: Apart | None = None,
) -> dict[str, Any]:
    """Ask once whether all are silent, as if it had begun so many seconds from now."""
    api: Any = FakeApi()
    wanted = [Detector("Drops", "alert", 5.0)]
    wanted += [Detector("door", "claim", 5.0)] if folder else []
    return read_silence(api, {}, wanted, folder, 0.0, apart, clock=lambda: prometheus.at + began)


def test_silent_is_what_neither_fires_nor_could_for_what_was_before(
    prometheus: MemoryPrometheus,
) -> None:
    """What was dropped a moment ago must have been scraped, and the rule evaluated, first."""
    assert silence(prometheus)["reading"] == "SILENT"
    late = silence(prometheus, began=-0.5)
    assert (late["reading"], "not evaluated yet" in late["sentence"]) == ("FIRING", True)


@pytest.mark.parametrize("state", ["firing", "pending"])
def test_what_fires_or_is_about_to_is_not_silent(prometheus: MemoryPrometheus, state: str) -> None:
    """Each is named."""
    firing(prometheus, 2.0, 0.1, state=state)
    told = silence(prometheus)
    assert (told["reading"], told["met"]) == ("FIRING", False)
    assert "Drops fires, or is about to" in told["sentence"]


def test_a_claim_is_silent_when_its_last_run_held(
    prometheus: MemoryPrometheus, tmp_path: Path
) -> None:
    """One that nobody has run says nothing yet."""
    with (tmp_path / HELD_BY_PLAYER).open("w") as player:
        fcntl.flock(player, fcntl.LOCK_EX)
        assert "nobody has run it yet" in silence(prometheus, folder=str(tmp_path))["sentence"]
        run(tmp_path / file_of("door"), prometheus.at, (9, 8, True), (3, 2, False))
        assert silence(prometheus, folder=str(tmp_path))["reading"] == "SILENT"
        run(tmp_path / file_of("door"), prometheus.at, (9, 8, False), (3, 2, True))
        assert silence(prometheus, folder=str(tmp_path))["reading"] == "FIRING"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("x", "list of at most"),
        ([{"name": "a", "kind": "page"}], "kind must be alert or claim"),
        ([{"name": "", "kind": "alert"}], "name must be"),
        ([{"name": "a", "kind": "alert", "deadline": "soon"}], "deadline must be a number"),
        ([{"name": "a", "kind": "claim", "cronjob": "x"}], "cronjob must be"),
        ([{"name": "a", "kind": "alert", "lables": {}}], "has no 'lables'"),
        ([{"name": "a", "kind": "alert"}] * 2, "two detectors are called"),
    ],
)
def test_detectors_that_cannot_be_meant_are_refused(given: Any, sentence: str) -> None:
    """In one sentence."""
    with pytest.raises(ArgumentError, match=sentence):
        detectors_of(given)


def test_as_many_detectors_as_a_plan_may_have_can_be_asked() -> None:
    """With what is suggested for a survivor beside them."""
    most = plan_checks.schema()["properties"]["detectors"]["maxItems"]
    suggested = 2
    assert most == 50
    given = [{"name": f"a{n}", "kind": "alert"} for n in range(most + suggested)]
    assert len(detectors_of(given)) <= MOST


def test_detectors_are_read_as_an_experiment_says_them() -> None:
    """All of what a game day writes."""
    given: list[Mapping[str, Any]] = [
        {"name": "Drops", "kind": "alert", "for": ["availability"], "deadline": 3.3}
        | {"labels": {"team": "pets"}},
        {"name": "door", "kind": "claim", "for": ["security"], "deadline": 3, "cronjob": "a/b"},
    ]
    assert detectors_of(given) == [
        Detector("Drops", "alert", 3.3, {"team": "pets"}, "", ("availability",)),
        Detector("door", "claim", 3.0, {}, "a/b", ("security",)),
    ]


def test_what_every_target_was_scraped_for_since_need_not_be_waited_for(
    prometheus: MemoryPrometheus,
) -> None:
    """A scrape of one target says nothing of what another has counted."""
    began = -0.5

    def up(*agos: float) -> None:
        for number, ago in enumerate(agos):
            labels = {"__name__": "up", "instance": f"node-{number}", "job": "hubble"}
            sample = (tuple(sorted(labels.items())), 1.0)
            prometheus.history.append(prometheus.at - ago, [sample], ("up", str(number)))

    up(0.3, 0.9)
    assert "not evaluated yet" in silence(prometheus, began)["sentence"]
    up(0.3, 0.2)
    assert silence(prometheus, began)["reading"] == "SILENT"
