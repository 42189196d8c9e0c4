"""A game day whose alerts a real Prometheus evaluates and a real Alertmanager is told of.

The lab's own Prometheus has no rules here: what an alert notices, only the real ones can have told.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.journeys.gameday_real import SCRAPE, Watched, gameday, plan_of, watched_lab

pytestmark = [pytest.mark.slow, pytest.mark.journey]

Line = dict[str, Any]
# One that an alert notices, and one that a claim does.
FEW = 2
SOME_POLICIES = ("allow-store-front-traffic", "allow-product-service-traffic")
MANY = 12
ALERTS = ("StorefrontDrops", "BackendDrops")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The lab and who watches it, for all days."""
    with watched_lab(tmp_path_factory.mktemp("watched")) as one:
        yield one


@pytest.fixture(scope="module")
def few(watched: Watched, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small day there."""
    home = tmp_path_factory.mktemp("few")
    return day(watched, home, FEW, *SOME_POLICIES)


def day(watched: Watched, home: Path, most: int, *policies: str) -> Path:
    """Run a day; returns its folder."""
    plan = plan_of(home / "plan.yaml", most, *policies)
    more = ("--out", home / "day", "--seed", "3", "--no-history")
    done = watched.run(plan, *more, cwd=home)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert f"{most} mutants," in done.stdout
    return home / "day"


def results(folder: Path) -> list[Line]:
    """The lines of a day."""
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def kills(folder: Path) -> dict[str, tuple[str, list[str]]]:
    """Of each mutant what became of it, and who noticed."""
    return {
        one["mutant"]: (
            one["status"],
            sorted(said["name"] for said in one["detectors"] if said["noticed"]),
        )
        for one in results(folder)
    }


def noticed(line: Line, kind: str) -> list[Line]:
    """The detectors of a kind that noticed a mutant."""
    return [one for one in line["detectors"] if one["kind"] == kind and one["noticed"]]


def test_real_alerts_and_claims_kill(few: Path, watched: Watched) -> None:
    """All is judged and restored, and both kinds of detectors have their part."""
    found = results(few)
    assert len(found) == FEW
    for one in found:
        assert (one["status"], one["restored"]) == ("killed", True), one
    (by_alert,) = (one for one in found if noticed(one, "alert"))
    (by_claim,) = (one for one in found if noticed(one, "claim"))
    assert by_alert is not by_claim

    (said,) = noticed(by_alert, "alert")
    # By Prometheus' clock, which was compared with ours; an Alertmanager's own is off by who knows.
    assert 0 < said["after_ms"] <= said["deadline_ms"]
    assert said["bound_ms"] < 1000
    _, answer = watched.prometheus.get(
        "query", query=f'count_over_time(ALERTS{{alertname="{said["name"]}"}}[1h])'
    )
    assert answer["data"]["result"]
    metrics = requests.get(f"{watched.alertmanager}/metrics", timeout=5).text
    assert 'alertmanager_alerts_received_total{status="firing",version="v2"}' in metrics


def test_deadlines_follow_the_real_intervals(few: Path) -> None:
    """Three times what Prometheus says of its scrapes and its rules, so nothing ends by haste."""
    plan = json.loads((few / "plan.json").read_text())
    assert plan["scrape"] == pytest.approx(SCRAPE, abs=0.1)
    for one in plan["detectors"]:
        assert one["deadline_ms"] >= 3 * 1000 * (plan["scrape"] + 0.1) - 1, one


def test_a_prometheus_of_ones_own_needs_a_lab_that_is_up(watched: Watched, tmp_path: Path) -> None:
    """It could not scrape one that the day starts, and everything would survive."""
    plan = plan_of(tmp_path / "plan.yaml", FEW)
    environ = {**watched.environ, "ACNS_CHAOS_LAB_HOME": str(tmp_path / "nowhere")}
    done = gameday("run", plan, "--out", tmp_path / "day", cwd=tmp_path, environ=environ)
    assert done.returncode == 2
    assert "ACNS_CHAOS_LAB_PROMETHEUS_URL is set, and no lab is up" in done.stderr
    assert not (tmp_path / "day").exists()


@pytest.mark.full
def test_who_is_silenced_in_alertmanager_kills_nothing(
    few: Path, watched: Watched, tmp_path: Path
) -> None:
    """The alert fires in Prometheus, and nobody is told: the mutant survives."""
    before = {one["mutant"]: one for one in results(few)}
    now = datetime.now(UTC)
    silence = {
        "matchers": [{"name": "alertname", "value": "|".join(ALERTS), "isRegex": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "somebody",
        "comment": "maintenance",
    }
    url = f"{watched.alertmanager}/api/v2/silence"
    answer = requests.post(f"{url}s", json=silence, timeout=5)
    assert answer.ok, answer.text
    try:
        found = results(day(watched, tmp_path, FEW, *SOME_POLICIES))
    finally:
        requests.delete(f"{url}/{answer.json()['silenceID']}", timeout=5)
    assert {one["mutant"] for one in found} == set(before)
    for one in found:
        was = before[one["mutant"]]
        assert one["status"] == ("killed" if was["by"] not in ALERTS else "survived")
        if was["by"] in ALERTS:
            (said,) = (each for each in one["detectors"] if each["name"] == was["by"])
            assert "silenced: nobody is told" in said["why"]


@pytest.mark.full
def test_the_real_ones_kill_what_the_labs_own_does(watched: Watched, tmp_path: Path) -> None:
    """The same plan and seed: the same mutants, and who noticed them, in both directions."""
    (tmp_path / "real").mkdir()
    real = day(watched, tmp_path / "real", MANY)
    plan = plan_of(tmp_path / "plan.yaml", MANY)
    environ = {"ACNS_CHAOS_LAB_HOME": str(tmp_path / "lab")}
    more = ("--out", tmp_path / "own", "--seed", "3", "--no-history")
    done = gameday("run", plan, *more, cwd=tmp_path, environ=environ)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert {one["class"] for one in results(real)} >= {"closes", "opens"}
    assert all(one["restored"] and one["status"] != "unknown" for one in results(real))
    assert kills(real) == kills(tmp_path / "own")
