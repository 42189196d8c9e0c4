"""`acns-chaos gameday plan` in the lab: what would run, in which order, and nothing changed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.hosts import ROOT

PLAN = str(ROOT / "gamedays" / "pets.yaml")
WORKSHOP = {f"allow-{name}-traffic" for name in ("rabbitmq", "order-service", "product-service")}
WORKSHOP |= {"allow-store-front-traffic"}

pytestmark = pytest.mark.slow


def plan(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would, with a folder in which no lab is registered."""
    kept = {key: one for key, one in os.environ.items() if not key.startswith("ACNS_CHAOS_")}
    return subprocess.run(
        [sys.executable, "-m", "acns_chaos.cli", "gameday", "plan", PLAN, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**kept, "ACNS_CHAOS_LAB_HOME": str(home), "ACNS_CHAOS_CLUSTER": "lab"},
        timeout=300,
    )


def test_the_policies_alone_say_what_a_day_would_be(tmp_path: Path) -> None:
    """Both directions, all policies, FQDN, every rule accounted for, and how long it takes."""
    done = plan(tmp_path, "--no-tries", "--json", "--seed", "7")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    _is_a_day(found)
    assert found["seed"] == 7
    uncovered = {(one["policy"], one["rule"]) for one in found["uncovered"]}
    # The quickstart has no ai-service: nobody could notice what happens to its rule.
    assert uncovered == {("pets/allow-product-service-traffic", "spec.egress[0]")}
    assert {one["name"]: one["deadline_ms"] for one in found["detectors"]} == dict.fromkeys(
        (
            "StorefrontDrops",
            "BackendDrops",
            "rabbitmq-kept-from-order-service",
            "rabbitmq-kept-from-product-service",
        ),
        3300,
    )
    here, there = found["estimate"]["here"], found["estimate"]["at_30_s"]
    assert (here["scrape"], there["scrape"]) == (1.0, 30.0)
    assert here["mean"]["about"] < 8
    assert there["total"]["about"] > 10 * here["total"]["about"]


def test_the_table_tells_the_same(tmp_path: Path) -> None:
    """One line a mutant in the order in which they run, then what a person should know."""
    done = plan(tmp_path, "--no-tries")
    assert done.returncode == 0, done.stderr
    header, *lines = done.stdout.splitlines()
    assert header.split() == ["CLASS", "ABOUT", "MUTANT", "EFFECT"]
    as_json = json.loads(plan(tmp_path, "--no-tries", "--json").stdout)
    selection = as_json["selection"]
    # "1  closes  6.3 s  pets/…  closed …"
    rows = [line.split()[:5] for line in lines[: len(selection)]]
    assert [(row[1], row[4]) for row in rows] == [(one["class"], one["id"]) for one in selection]
    assert "closed pets/store-front -> pets/order-service:3000/TCP" in done.stdout
    assert lines[-1].startswith("On a cluster with a scrape every 30 s")
    assert "nothing is changed" in done.stderr


@pytest.mark.full
def test_with_each_flow_tried_there_are_forty_still(tmp_path: Path) -> None:
    """What a container without tools cannot ask is left out, and why is said."""
    done = plan(tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    _is_a_day(found)
    reasons = {one["why"] for one in found["left_out"] if one["reason"] == "not witnessed"}
    assert "the image of pets/product-service has no nc" in reasons


def _is_a_day(found: dict[str, Any]) -> None:
    selection = found["selection"]
    assert len(selection) >= 40
    assert {one["policy"]["name"] for one in selection} == WORKSHOP
    assert {one["class"] for one in selection} == {"closes", "opens", "both"}
    assert sum(one["class"] == "opens" for one in selection) >= 12
    assert any(one["family"] == "fqdn" for one in selection)
    assert all(one["detectors"] and one["affected"] and one["seen_by"] for one in selection)
    assert all(one["closed"] or one["opened"] for one in selection)
