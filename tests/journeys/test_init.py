"""`acns-chaos init` on a cluster that is not the pet shop, and what it wrote, run."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.lab.world.generated import generated
from tests.journeys.conftest import Chaos, Lab
from tests.journeys.hosts import ROOT, own

pytestmark = [pytest.mark.journey, pytest.mark.slow]

Start = Callable[..., Lab]


def often_scraped(folder: Path, count: int) -> Path:
    """The world `generated:N`, scraped each half second: its runs wait for nothing else."""
    file = folder / "world.yaml"
    file.write_text(json.dumps({**generated(f"generated:{count}"), "scrape_seconds": 0.5}))
    return file


def init(lab: Lab, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would."""
    environ = Chaos(own(), folder, lab.home).environ
    return subprocess.run(
        [
            *(sys.executable, "-m", "acns_chaos.cli", "init", "--cluster", "lab"),
            *("-o", str(folder / "proposed"), *arguments),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environ,
        timeout=600,
    )


def experiments(folder: Path) -> dict[Path, dict[str, Any]]:
    """What was proposed."""
    files = sorted((folder / "proposed" / "experiments").glob("*.json"))
    return {file: json.loads(file.read_text()) for file in files}


def of_a_stranger(proposed: dict[Path, dict[str, Any]]) -> Path:
    """One that opens something to a pod that nobody knows."""
    return next(file for file, one in proposed.items() if "a stranger in" in str(one["method"]))


def policy_of(document: dict[str, Any]) -> tuple[str, str]:
    """The policy that an experiment makes wrong."""
    return (
        document["configuration"]["namespace"],
        document["method"][0]["provider"]["arguments"]["policy"],
    )


def check(folder: Path) -> None:
    """Every file is as `acns-chaos check --strict` and `chaos validate` want it."""
    files = [str(file) for file in (folder / "proposed").rglob("*.json")]
    command = [sys.executable, "-m", "acns_chaos.cli", "check", "--strict", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    # One of each: all come from the same two functions, and each start takes half a second.
    for kind in ("probes", "experiments"):
        first = next(file for file in sorted(files) if f"/{kind}/" in file)
        command = [str(own().chaos), "--no-version-check", "--no-log-file", "validate", first]
        valid = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        assert valid.returncode == 0, valid.stdout


def test_a_namespace_that_is_not_the_shop_gets_experiments_that_hold(
    start: Start, tmp_path: Path
) -> None:
    """Looking changes nothing; a claim and an experiment of what was written hold."""
    lab = start("--world", str(often_scraped(tmp_path, 6)))
    before = lab.policies()
    done = init(lab, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.policies() == before
    check(tmp_path)
    proposed = experiments(tmp_path)
    assert {policy_of(one) for one in proposed.values()} == {
        tuple(name.split("/")) for name in before if name.startswith("team-")
    }
    claim = min((tmp_path / "proposed" / "probes").glob("*-closed.json"))
    chaos = Chaos(own(), tmp_path, lab.home)
    closes = next(file for file in proposed if file.stem.endswith("-closes"))
    for file in (claim, closes, of_a_stranger(proposed)):
        ran = chaos.run(str(file))
        assert (ran.code, ran.outcome) == (0, "HELD"), ran.output[-3000:]
    assert lab.policies() == before


@pytest.mark.full
def test_every_experiment_for_thirty_services_tells_something(start: Start, tmp_path: Path) -> None:
    """One at least for each policy that closes and one that opens; each ends HELD or DEVIATED."""
    lab = start("--world", str(often_scraped(tmp_path, 30)))
    before = lab.policies()
    done = init(lab, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    check(tmp_path)
    proposed = experiments(tmp_path)
    policies = Counter(map(policy_of, proposed.values()))
    assert len(proposed) >= 30
    assert len(policies) == 30
    for effect in ("closes", "opens"):
        of = {policy_of(one) for file, one in proposed.items() if file.stem.endswith(effect)}
        assert len(of) == 30
    # Both ways out of a policy that fails open: its own pods get out, and strangers get in.
    opens = [str(one["method"]) for file, one in proposed.items() if file.stem.endswith("opens")]
    assert 5 < sum("a stranger in" in one for one in opens) < len(opens) - 5
    chaos = Chaos(own(), tmp_path, lab.home)
    ended = {}
    for file in proposed:
        ran = chaos.run(str(file))
        ended[file.stem] = (ran.outcome, ran.section["outcome"]["sentence"])
    print(Counter(outcome for outcome, _ in ended.values()))  # noqa: T201 - shown with -s
    assert [one for one in ended.items() if one[1][0] not in ("HELD", "DEVIATED")] == []
    assert all(sentence for _, sentence in ended.values())
    assert lab.policies() == before
