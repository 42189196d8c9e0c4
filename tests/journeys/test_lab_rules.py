"""A lab with alert rules: `lab up --rules`, and a run that brings its own."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import Chaos
from tests.journeys.hosts import own
from tests.journeys.minimal import experiment

pytestmark = pytest.mark.journey
Run = Callable[..., "subprocess.CompletedProcess[str]"]
RULES = """\
groups:
- name: example
  rules:
  - {alert: Always, expr: vector(1) > 0}
  - {alert: Never, expr: vector(1) > 1}
  - {alert: Broken, expr: up / on (cluster) up > 1}
"""


def ask(alert: str, expect: str) -> dict[str, Any]:
    """Read an alert, whenever it began."""
    arguments = {"name": alert, "expect": expect, "since": "any", "deadline": 2}
    return {
        "type": "probe",
        "name": f"{alert} is {expect}",
        "provider": {
            "type": "python",
            "module": "acns_chaos.probes",
            "func": "read_alert",
            "arguments": arguments,
        },
    }


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A file of rules."""
    path = tmp_path / "rules.yml"
    path.write_text(RULES)
    return path


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Run]:
    """`acns-chaos lab`, with a lab that is down after the test."""

    def run(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(own().acns_chaos), "lab", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "ACNS_CHAOS_LAB_HOME": str(tmp_path / "home"), **environ},
        )

    yield run
    run("down")


def test_a_lab_comes_up_with_rules_and_shows_them(command: Run, rules: Path) -> None:
    """The status has each alert's state; another file is no longer taken, a bad one never."""
    up = command("up", "--rules", "rules.yml")
    assert up.returncode == 0, up.stderr
    said = command("status").stdout
    assert "Alert rules of rules.yml:\n  Always: firing\n  Never: inactive\n  Broken: " in said
    assert "it cannot be evaluated: found duplicate series" in said
    assert command("up", ACNS_CHAOS_LAB_RULES=str(rules)).returncode == 0
    assert command("up").returncode == 0

    rules.write_text(RULES + "  - {alert: Another, expr: up}\n")
    again = command("up", "--rules", "rules.yml")
    assert again.returncode == 2
    assert again.stderr == (
        "Error: The lab that is up evaluates other alert rules than rules.yml: end it with "
        "`acns-chaos lab down`, and start one with `--rules`.\n"
    )
    command("down")
    rules.write_text(RULES.replace("up /", "up //"))
    for bad, says in (
        ("rules.yml", "cannot be used: line 6: group example, rule 3, Broken: `expr` is no PromQL"),
        ("none.yml", "cannot be read: No such file or directory."),
    ):
        refused = command("up", "--rules", bad)
        assert refused.returncode == 2
        assert f"The alert rules {bad} {says}" in refused.stderr
        assert refused.stderr.count("\n") == 1


def test_a_run_brings_its_rules(lonely_chaos: Chaos, rules: Path) -> None:
    """By the environment or by the experiment, for the lab that it starts."""
    wanted = experiment(ask("Always", "FIRING"), ask("Never", "SILENT"))
    done = lonely_chaos.run(wanted, ACNS_CHAOS_LAB_RULES=str(rules))
    outputs = [one["output"]["reading"] for one in done.journal["run"]]
    assert outputs == ["FIRING", "SILENT"], json.dumps(done.journal["run"])[:2000]

    (control,) = [one for one in wanted["controls"] if one["name"] == "lab"]
    control["provider"]["arguments"] = {"rules": str(rules)}
    done = lonely_chaos.run(wanted)
    outputs = [one["output"]["reading"] for one in done.journal["run"]]
    assert outputs == ["FIRING", "SILENT"], json.dumps(done.journal["run"])[:2000]


def test_a_run_does_not_join_a_lab_with_other_rules(own_chaos: Chaos, rules: Path) -> None:
    """Its detectors would not be there: nothing is done, and the reason is said."""
    done = own_chaos.run(experiment(ask("Always", "FIRING")), ACNS_CHAOS_LAB_RULES=str(rules))
    assert done.code == 1
    assert "evaluates other alert rules than" in done.output
