"""`acns-chaos gameday run` in the lab, from a plan to its report."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.hosts import ROOT, own

pytestmark = [pytest.mark.slow, pytest.mark.journey, pytest.mark.full]

GAMEDAYS = ROOT / "gamedays"
FEW = 4


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped day with few mutants, and files named by their whole paths."""
    text = (GAMEDAYS / "pets.yaml").read_text("utf-8")
    for before, after in (
        ("most: 48", f"most: {FEW}"),
        # Some that are noticed and some that are not.
        ('"allow-*"', "allow-product-service-traffic, allow-rabbitmq-traffic"),
        ("rules: ", f"rules: {GAMEDAYS}/"),
        ("world: ", f"world: {GAMEDAYS}/"),
        ("claim: ", f"claim: {GAMEDAYS}/"),
    ):
        assert before in text
        text = text.replace(before, after)
    file = tmp_path_factory.mktemp("plan") / "few.yaml"
    file.write_text(text, "utf-8")
    return file


def gameday(*arguments: object, home: Path) -> "subprocess.CompletedProcess[str]":
    """Run the command; no lab is up."""
    command = [sys.executable, "-m", "acns_chaos.cli", "gameday", "run", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        cwd=home,
        env={**os.environ, "ACNS_CHAOS_LAB_HOME": str(home / "lab")},
    )


@pytest.fixture(scope="module")
def folder(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day that was run, with its suggestions verified."""
    home = tmp_path_factory.mktemp("day")
    more = ("--seed", "3", "--suggestions", home / "suggested", "--verify-suggestions")
    done = gameday(plan, "--out", home / "day", "--history", home / "h", *more, home=home)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert f"[{FEW}/{FEW}] " in done.stderr
    assert f"{FEW} mutants," in done.stdout
    return home / "day"


def results(folder: Path) -> list[dict[str, Any]]:
    """The lines of a day."""
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_every_mutant_is_judged_and_restored(folder: Path) -> None:
    """Each was seen in force, and has its experiment and journal."""
    found = results(folder)
    selected = [one["id"] for one in json.loads((folder / "plan.json").read_text())["selection"]]
    assert [one["mutant"] for one in found] == selected
    assert len(found) == FEW
    for one in found:
        assert one["restored"] is True
        assert (folder / one["experiment"]).is_file()
        assert (folder / one["journal"]).is_file()
        assert one["status"] != "unknown", one["why"]
    assert {one["status"] for one in found} == {"killed", "survived"}
    for name in ("score.json", "report.html", "report.md", "junit.xml", "verified.json"):
        assert (folder / name).stat().st_size


def test_what_was_suggested_would_have_noticed(folder: Path) -> None:
    """The survivors were run again with it, and the report says so."""
    verified = json.loads((folder / "verified.json").read_text())
    assert verified
    assert all(one["caught"] for one in verified), verified
    assert "Verified: the mutant was run again" in (folder / "report.html").read_text()


def test_the_same_seed_gives_the_same_day(folder: Path, plan: Path, tmp_path: Path) -> None:
    """The same mutants in the same order, killed by the same detectors or survived."""
    done = gameday(*(plan, "--out", tmp_path / "day", "--seed", "3", "--no-history"), home=tmp_path)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    before = [(one["mutant"], one["status"]) for one in results(folder)]
    assert [(one["mutant"], one["status"]) for one in results(tmp_path / "day")] == before


def test_anybody_can_repeat_one_with_chaos_run(folder: Path, tmp_path: Path) -> None:
    """From anywhere, with the outcome that it had in the day."""
    one = results(folder)[0]
    command = [str(own().chaos), "--no-version-check", "--no-log-file", "run"]
    done = subprocess.run(
        [*command, "--journal-path", "j.json", str(folder / one["experiment"])],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={
            **os.environ,
            "ACNS_CHAOS_CLUSTER": "lab",
            "ACNS_CHAOS_LAB_HOME": str(tmp_path / "lab"),
        },
    )
    journal = json.loads((tmp_path / "j.json").read_text())
    assert journal["acns_chaos"]["outcome"]["name"] == one["outcome"], done.stdout + done.stderr


def test_a_day_that_is_done_is_only_scored_again(folder: Path, tmp_path: Path) -> None:
    """Nothing is run twice."""
    lines = (folder / "results.jsonl").read_bytes()
    done = gameday("--resume", folder, "--no-history", home=tmp_path)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert f"{FEW} of {FEW} mutants have a result" in done.stderr
    assert (folder / "results.jsonl").read_bytes() == lines
