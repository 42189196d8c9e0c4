"""Every shipped file through the real `chaos`: it ends as the catalogue says, and all is as before.

The files are played at the same time in some labs, since they mostly wait; no two share a lab.
"""

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.cli.catalogue import entries
from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.cluster.pods import workload_of
from tests.journeys.conftest import Chaos, Done, Lab
from tests.journeys.hosts import ROOT, own
from tests.journeys.labs import end_lab, start_lab
from tests.journeys.minimal import nothing_is_left
from tests.tiers import loop

pytestmark = [pytest.mark.journey, pytest.mark.slow]

FILES = sorted([*(ROOT / "experiments").glob("*.json"), *(ROOT / "probes").glob("*.json")])
LANES = 3
FAILS_OPEN = ("storefront-selector-typo", "rabbitmq-policy-gone", "product-egress-open")
REFUSED = ("clusterwide-default-deny", "invalid-policy-ignored")


@dataclass
class Played:
    """A file that was played in a lab of its own.

    Attributes:
        done: how it ended.
        before, after: the content of every policy.
        pods: names of all pods afterwards, but for what the world has or its controllers made anew.
    """

    done: Done
    before: dict[str, Any]
    after: dict[str, Any]
    pods: set[str]


def name(file: Path) -> str:
    """A claim and an experiment may have one name."""
    return f"{file.parent.name}-{file.stem}"


def pods_of(lab: Lab) -> set[str]:
    """The pods there are, by namespace and workload: one that is made anew has another name."""
    return {
        f"{one['metadata']['namespace']}/{workload_of(one)}"
        for one in lab.api.get("/api/v1/pods")["items"]
    }


def play(file: Path | dict[str, Any], folder: Path) -> Played:
    """Run one file in a lab of its own."""
    folder.mkdir()
    process, ready = start_lab(folder)
    api, _ = kubeconfig_api("", ready["kubeconfig"])
    try:
        lab = Lab(ready, folder, api)
        before, pods = lab.policies(), pods_of(lab)
        chaos = Chaos(own(), folder, folder)
        done = chaos.run(file if isinstance(file, dict) else str(file.relative_to(ROOT)))
        nothing_is_left(lab, before)
        return Played(done, before, lab.policies(), pods_of(lab) - pods)
    finally:
        api.close()
        end_lab(process)


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, "Future[Played]"]]:
    """Every file that this session asks for, on its way; a test waits for its own."""
    asked = {
        item.callspec.params.get("file")
        for item in request.session.items
        if hasattr(item, "callspec")
    }
    folder = tmp_path_factory.mktemp("catalogue")
    # Threads start while one test's environment stands, and outlive it.
    environ = {**os.environ, "HOME": str(folder)}
    os.environ |= environ
    with ThreadPoolExecutor(LANES) as pool:
        yield {
            name(one): pool.submit(play, one, folder / name(one)) for one in FILES if one in asked
        }


@pytest.mark.parametrize("file", FILES, ids=name)
def test_every_file_ends_as_the_catalogue_says(
    file: Path, played: dict[str, "Future[Played]"]
) -> None:
    """With the outcome of the table, and every object as before."""
    (entry,) = entries([file])
    found = played[name(file)].result()
    assert found.done.outcome == entry.outcome, found.done.output
    assert found.done.code == (0 if entry.outcome == "HELD" else 1)
    assert found.after == found.before
    assert found.pods == set()
    if file.parent.name == "probes":
        assert found.done.section["faults"] == found.done.section["probers"] == []


def test_the_outcomes_are_those_that_were_agreed() -> None:
    """HELD, but for what is refused or ignored and what fails open; never INCONCLUSIVE."""
    for file in FILES:
        (entry,) = entries([file])
        wanted = "NOT_NOTICED" if file.stem in FAILS_OPEN else "HELD"
        wanted = "NOT_INJECTED" if file.stem in REFUSED else wanted
        assert entry.outcome == wanted, file.name


def closed_claim(experiment: dict[str, Any]) -> dict[str, Any]:
    """The closed claim that an experiment's fault breaks, as what would run on a schedule."""
    denied = [
        one
        for one in experiment["steady-state-hypothesis"]["probes"]
        if one["provider"]["arguments"].get("expect") == "DENIED"
    ]
    (claim,) = denied
    arguments = {**claim["provider"]["arguments"], "expect": "OPEN"}
    return {
        "type": "probe",
        "name": f"the scheduled claim “{claim['name']}” fails",
        "provider": {**claim["provider"], "arguments": arguments},
    }


@pytest.mark.parametrize("stem", loop(FAILS_OPEN))
def test_what_fails_open_is_found_by_a_closed_claim_and_by_nothing_else(
    stem: str, tmp_path: Path
) -> None:
    """As shipped, its only detector stays silent; with the claim in its place the run is HELD."""
    experiment = json.loads((ROOT / f"experiments/{stem}.json").read_text())
    claim = closed_claim(experiment)
    detectors = experiment["extensions"][0]["detectors"]
    position = [one["name"] for one in experiment["method"]].index(detectors[0])
    experiment["method"][position] = claim
    experiment["extensions"][0]["detectors"] = [claim["name"]]
    found = play(experiment, tmp_path / "lab")
    assert found.done.outcome == "HELD", found.done.output


@pytest.mark.parametrize("file", [ROOT / "experiments/order-dns-egress.json"], ids=name)
def test_without_names_nobody_notices_before_a_pod_restarts(
    file: Path, played: dict[str, "Future[Played]"]
) -> None:
    """Orders, their page and readiness are fine until the restart; then none but the order is."""
    done = played[name(file)].result().done
    assert done.journal is not None
    runs = done.journal["run"]
    played_at = [one["activity"]["provider"]["func"] for one in runs].index("restart_pods")
    asked = {
        before: {
            (one["activity"]["provider"]["func"], one["output"]["reading"])
            for one in part
            if one["activity"]["provider"]["func"]
            in ("read_order", "read_storefront", "read_readiness")
        }
        for before, part in ((True, runs[:played_at]), (False, runs[played_at + 1 : -2]))
    }
    fine = {("read_order", "OPEN"), ("read_storefront", "OPEN"), ("read_readiness", "READY")}
    assert asked[True] == fine
    assert asked[False] == {("read_storefront", "FAILED"), ("read_readiness", "NOT_READY")}
    detectors = done.journal["experiment"]["extensions"][0]["detectors"]
    assert {one["activity"]["name"] for one in runs[played_at + 1 : -2]} == set(detectors)
    (restart,) = done.section["restarts"]
    assert (restart["problem"], bool(restart["ready"])) == ("", True)


def test_a_restart_alone_is_noticed_by_nobody(tmp_path: Path) -> None:
    """With the policy as it should be the pod is Ready again sooner than a stuck one is told."""
    experiment = json.loads((ROOT / "experiments/order-dns-egress.json").read_text())
    restart, stuck = (
        next(one for one in experiment["method"] if one["provider"]["func"] == func)
        for func in ("restart_pods", "read_readiness")
    )
    stuck["provider"]["arguments"] |= {"expect": "NOT_READY", "deadline": 1, "hold": 3}
    experiment["method"] = [restart, stuck]
    experiment["extensions"] = []
    found = play(experiment, tmp_path / "lab")
    assert found.done.journal is not None
    assert found.done.journal["run"][1]["output"]["reading"] == "READY", found.done.output
    assert found.done.outcome == "HELD", found.done.output
    assert found.done.section["restarts"][0]["ready"]
