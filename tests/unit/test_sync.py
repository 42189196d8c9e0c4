"""Copies of claims in experiments, kept in step by `acns-chaos sync`."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from acns_chaos.cli import main

DECLARED = {"type": "env", "key": "PATIENCE", "default": 0.0, "env_var_type": "float"}


def probe(**arguments: Any) -> dict[str, Any]:
    """A claim's probe."""
    return {"name": "customers reach the shop", "provider": {"arguments": arguments}}


def document(configuration: dict[str, Any], *probes: dict[str, Any]) -> dict[str, Any]:
    """A claim or an experiment, as far as sync reads it."""
    return {
        "configuration": configuration,
        "steady-state-hypothesis": {"title": "All is well", "probes": list(probes)},
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A claim that reads a variable, and a folder for experiments."""
    for folder in ("probes", "experiments"):
        (tmp_path / folder).mkdir()
    claim = document({"namespace": "pets", "patience": DECLARED}, probe(deadline="${patience}"))
    (tmp_path / "probes" / "claim.json").write_text(json.dumps(claim))
    return tmp_path


def synced(root: Path, experiment: dict[str, Any], *options: str) -> tuple[Result, dict[str, Any]]:
    """What the command says, and the experiment afterwards."""
    file = root / "experiments" / "one.json"
    file.write_text(json.dumps(experiment, indent=2) + "\n")
    done = CliRunner().invoke(main, ["sync", "--root", str(root), *options])
    return done, json.loads(file.read_text())


def test_what_a_claim_reads_comes_along_with_its_copy(root: Path) -> None:
    """Undeclared, the host would pass the name on as it stands, and every run would fail on it."""
    old = document({"namespace": "shop"}, probe(timeout=2))
    done, found = synced(root, old)

    assert (done.exit_code, "written" in done.output) == (0, True)
    assert found == document(
        {"namespace": "shop", "patience": DECLARED}, probe(deadline="${patience}")
    )
    assert synced(root, found, "--check")[0].output == "1 claims in step\n"


def test_what_an_experiment_declares_is_its_own(root: Path) -> None:
    """A copy changes no value that somebody chose."""
    own = document({"patience": 7}, probe(deadline="${patience}"))
    done, found = synced(root, own, "--check")

    assert (done.exit_code, found) == (0, own)


def test_a_difference_is_told_and_not_written(root: Path) -> None:
    """As CI asks."""
    old = document({"namespace": "shop"}, probe(timeout=2))
    done, found = synced(root, old, "--check")

    assert done.exit_code == 2
    assert "1 files are out of step" in done.output
    assert found == old
