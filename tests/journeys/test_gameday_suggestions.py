"""Each kind of suggestion, run against the mutant that it was suggested for, in the lab."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.hosts import ROOT
from tests.journeys.test_gameday_run import gameday, results

pytestmark = [pytest.mark.slow, pytest.mark.journey, pytest.mark.full]

GAMEDAYS = ROOT / "gamedays"
# Nobody hears customers; two mistakes are of both directions, one of them beyond every client.
PLAN = f"""
schema: 1
name: suggestions
target: {{cluster: lab, namespaces: [pets]}}
lab: {{world: {GAMEDAYS}/lab/pets-1s.yaml, rules: {GAMEDAYS}/pets-rules.yaml}}
mutants:
  policies: [allow-store-front-traffic, allow-product-service-traffic]
  families: [peers, entities]
  most: 10
detectors:
  - {{alert: BackendDrops, for: availability}}
  - claim: {GAMEDAYS}/claims/rabbitmq-kept-from-product-service.json
    for: security
    every: 100ms
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day with its suggestions verified."""
    home = tmp_path_factory.mktemp("day")
    (home / "plan.yaml").write_text(PLAN, "utf-8")
    more = ("--out", home / "day", "--no-history", "--verify-suggestions")
    done = gameday(home / "plan.yaml", *more, home=home)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return home / "day"


def survivors(folder: Path) -> list[dict[str, Any]]:
    """Those of the day, with what was suggested."""
    found = json.loads((folder / "score.json").read_text())["survivors"]
    assert found
    return list(found)


def test_a_detector_is_suggested_in_every_direction_in_which_one_was_missing(folder: Path) -> None:
    """None is left without."""
    for one in survivors(folder):
        assert [each["for"] for each in one["suggestions"]] == one["missed"], one


def test_every_kind_of_suggestion_is_there_and_would_have_noticed(folder: Path) -> None:
    """A rule, an open claim where a rule would always fire, a closed one, and what stands in."""
    kinds = {
        (each["for"], each["kind"], "which no workload" in each["why"])
        for one in survivors(folder)
        for each in one["suggestions"]
    }
    assert kinds >= {
        ("availability", "alert", False),
        ("availability", "claim", False),
        ("security", "claim", False),
        ("security", "alert", True),
    }
    verified = json.loads((folder / "verified.json").read_text())
    count = sum(len(one["suggestions"]) for one in survivors(folder))
    assert len(verified) == count
    assert [one for one in verified if one["caught"] is not True] == []


def test_all_was_restored(folder: Path) -> None:
    """Second runs included."""
    assert all(one["restored"] for one in results(folder))
