"""A mutant of the shipped game day, repeated with `chaos run`: killed or survived, rightly."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from acns_chaos.cluster.policies import Policies, content_hash
from acns_chaos.gameday.document import experiment_of, file_name
from acns_chaos.gameday.judging import result_of
from acns_chaos.gameday.plan import read_plan
from acns_chaos.gameday.preparing import Prepared, prepare
from acns_chaos.gameday.results import Result
from acns_chaos.gameday.stage import Stage, opened_stage
from tests.journeys.hosts import ROOT, own
from tests.tiers import loop

pytestmark = pytest.mark.journey

LABEL = "spec.ingress[0].fromEndpoints[0].matchLabels.app"


@dataclass
class Day:
    """The shipped plan, held against a lab that is up for these tests."""

    stage: Stage
    prepared: Prepared


@pytest.fixture(scope="module")
def day() -> Iterator[Day]:
    """The policies alone say what can be witnessed: trying each flow takes half a minute.

    What that would find out is that these pods reach no Service by its name.
    """
    plan = read_plan(ROOT / "gamedays" / "pets.yaml")
    kept = {key: one for key, one in os.environ.items() if not key.startswith("ACNS_CHAOS_")}
    with opened_stage(plan, "lab", kept) as stage:
        found = prepare(plan, stage.api, stage.environ, in_lab=True, tries=False)
        proposals = {
            name: one if one.opens else replace(one, named="")
            for name, one in found.sight.proposals.items()
        }
        yield Day(stage, replace(found, sight=replace(found.sight, proposals=proposals)))


def repeated(day: Day, name: str, folder: Path) -> Result:
    """Run the experiment of a mutant as anybody would, and judge its journal."""
    mutant = next(one for one in day.prepared.sight.mutants if one.id == name)
    experiment = folder / file_name(1, mutant)
    experiment.write_text(json.dumps(experiment_of(day.prepared, mutant, 1)))
    journal = folder / "journal.json"
    done = subprocess.run(
        [
            *(str(own().chaos), "--no-version-check", "--no-log-file", "run"),
            *("--journal-path", str(journal), str(experiment)),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=dict(day.stage.environ),
        timeout=90,
    )
    assert journal.exists(), done.stderr
    return result_of(
        json.loads(journal.read_text()),
        json.loads(experiment.read_text()),
        day="d1",
        shard="u1/pets",
        position=1,
        place=day.stage.place,
        files=(f"experiments/{experiment.name}", "journals/journal.json"),
    )


@pytest.mark.parametrize(
    ("policy", "mistake", "status", "by"),
    loop(
        [
            (
                *("order-service", "peer-widened@spec.ingress[0].fromEndpoints[0]"),
                *("killed", "rabbitmq-kept-from-order-service"),
            ),
            ("rabbitmq", f"peer-key-misspelt@{LABEL}", "killed", "BackendDrops"),
            ("product-service", f"peer-key-misspelt@{LABEL}", "survived", ""),
            ("store-front", "peers-forgotten@spec.ingress[0].fromEntities", "survived", ""),
        ]
    ),
)
def test_a_mutant_is_judged_by_its_detectors_alone(
    day: Day, tmp_path: Path, policy: str, mistake: str, status: str, by: str
) -> None:
    """Both directions, noticed and not; nothing is left, and no player runs on."""
    before = policies(day)
    told = repeated(day, f"pets/allow-{policy}-traffic:{mistake}", tmp_path)
    assert (told.status, told.by) == (status, by), (told.outcome, told.why)
    assert (told.bit, told.restored) == (True, True)
    assert told.outcome == ("HELD" if status == "killed" else "NOT_NOTICED")
    assert all(one.deadline_ms is not None and one.deadline_ms >= 3300 for one in told.detectors)
    assert any(signal.rose for signal in told.signals)
    assert day.stage.busy("pets", 5) == ""
    assert policies(day) == before


def policies(day: Day) -> dict[str, str]:
    """What the shop's policies say."""
    found = [one for one in Policies(day.stage.api).all() if one["metadata"]["namespace"] == "pets"]
    return {one["metadata"]["name"]: content_hash(one) for one in found}
