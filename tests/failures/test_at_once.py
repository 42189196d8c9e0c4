"""Many at once, with real processes: one changes the policy at a time, and nothing is lost."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.failures.experiments import POLICY, experiment
from tests.failures.killing import AFTER, caught
from tests.failures.points import points_of
from tests.failures.stand import Run, Stand
from tests.tiers import loop

pytestmark = pytest.mark.slow

RUNNERS, RESTORERS = 10, 20


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """A lab and whoever works on it."""
    with Stand(tmp_path) as found:
        yield found


@pytest.mark.parametrize("runners", loop([4, RUNNERS]))
def test_many_runs_at_once_in_one_namespace(stand: Stand, runners: int) -> None:
    """One at a time holds the Lease and breaks the policy; the others are told who it is."""
    runs = [stand.run(experiment("modify", stand.folder())) for _ in range(runners)]
    assert all(run.over.wait(90) for run in runs)
    sections = [run.journal["acns_chaos"] for run in runs]
    winners = [one for one in sections if one["faults"]]
    losers = [one for one in sections if not one["faults"]]
    assert winners
    stood = sorted(_stood(one) for one in winners)
    for (_, ended), (began, _) in pairwise(stood):
        assert ended < began
    for one in losers:
        assert one["outcome"]["name"] in ("NOT_STARTED", "NOT_INJECTED"), one["outcome"]
        assert "is held by" in one["outcome"]["sentence"], one["outcome"]
        assert one["outcome"]["next"]
    assert stand.is_original()
    assert stand.records() + stand.named() + stand.holders() == []


def _stood(section: dict[str, Any]) -> tuple[str, str]:
    """From when to when a run's fault stood."""
    (fault,) = section["faults"]
    assert fault["restored"]["verified"]
    return fault["submitted"], fault["restored"]["verified"]


@pytest.mark.parametrize("restorers", loop([6, RESTORERS]))
def test_many_restores_at_once_after_a_runner_was_killed(stand: Stand, restorers: int) -> None:
    """They race for one record: the policy comes back once, and whoever fails says why."""
    _die_with_the_fault(stand)
    assert not stand.is_original()
    processes = [_restore(stand) for _ in range(restorers)]
    told = [(one.communicate(timeout=90), one.returncode) for one in processes]
    assert stand.is_original()
    assert stand.named() == []
    assert stand.records() == []
    for (out, err), code in told:
        assert "Traceback" not in err, err
        assert code in (0, 7), (out, err)
        # Whoever could not says so in one sentence, and the next one finds nothing to do.
        assert out or err
    assert any(code == 0 for _, code in told)
    last = stand.restore("--all", "--namespace", "pets")
    assert last.code == 0, last.output


def _die_with_the_fault(stand: Stand) -> Run:
    """Kill a run and its watchdog right after the fault was written."""
    stand.listen()
    first = stand.run(experiment("modify", stand.folder()))
    assert first.over.wait(60), first.output
    (point, *_) = [one for one in points_of(stand.requests()) if one.writes and one.name == POLICY]
    run = stand.run(experiment("modify", stand.folder()))
    assert caught(stand, run, point, AFTER)
    stand.kill(run, watchdogs=True)
    assert run.over.wait(20)
    stand.clear()
    return run


def _restore(stand: Stand) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*(sys.executable, "-m", "acns_chaos.cli", "restore"), "--all", "--namespace", "pets"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=stand.environ(),
    )
