"""A seeded sample of the kill matrix; `make kill-matrix` plays all of it."""

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.failures import kill_matrix
from tests.failures.experiments import KINDS
from tests.failures.killing import AFTER, BEFORE, JANITOR, LATE, WATCHED
from tests.failures.points import Point, points_of
from tests.failures.stand import Stand

pytestmark = pytest.mark.slow

SEED = os.environ.get("ACNS_CHAOS_SEED", "5")


def test_a_sample_of_the_kill_matrix(capfd: pytest.CaptureFixture[str]) -> None:
    """Killed at some requests of some kinds of fault, everything comes back."""
    code = kill_matrix.main(["--sample", "16", "--seed", SEED, "--kinds", "modify,create,moved"])
    told = capfd.readouterr().out
    assert code == 0, told
    assert "16 kills" in told


def test_the_matrix_meets_every_request(tmp_path: Path) -> None:
    """It enumerates the requests of lease, ledger, write, restore and clean-up by itself."""
    with Stand(tmp_path) as stand:
        points = kill_matrix.requests_of(stand, "modify")
        cases = kill_matrix.cases_of("modify", points)
    writes = [(one.verb, one.resource) for one in points if one.writes]
    assert [one for one in writes if one[1] != "events"] == [
        ("create", "leases"),
        ("create", "configmaps"),
        ("update", "leases"),
        ("update", "ciliumnetworkpolicies"),
        ("update", "ciliumnetworkpolicies"),
        ("update", "leases"),
        ("update", "configmaps"),
        ("delete", "configmaps"),
    ]
    assert {one.resource for one in points} >= {"leases", "configmaps", "ciliumnetworkpolicies"}
    moments = Counter((one.when, one.left) for one in cases)
    for when in (BEFORE, AFTER):
        for left in (WATCHED, JANITOR):
            assert moments[when, left] == len(points)
    assert moments[LATE, WATCHED] == moments[LATE, JANITOR] == 2


def test_there_is_an_experiment_for_each_kind_of_fault() -> None:
    """Modify, delete, create, several objects, cluster-wide and invalid."""
    assert set(KINDS) == {
        *("modify", "delete", "create", "moved", "two-documents", "clusterwide", "invalid")
    }


def test_reads_are_met_again_after_each_write() -> None:
    """A read counts once between two writes; a write counts each time."""
    heard = [
        _request("get", "a"),
        _request("get", "a"),
        _request("update", "a"),
        _request("get", "a"),
        _request("update", "a"),
        {**_request("update", "a"), "user_agent": "acns-chaos-watchdog"},
    ]
    points = points_of(heard)
    update = Point("acns-chaos/", "update", "things", "pets", "a", "/things/a", False, 1)
    assert [(one.verb, one.nth, one.after) for one in points] == [
        ("get", 1, None),
        ("update", 1, None),
        ("get", 1, update),
        ("update", 2, None),
    ]


def _request(verb: str, name: str) -> dict[str, object]:
    return {
        "server": "kubernetes",
        "user_agent": "acns-chaos/1",
        "verb": verb,
        "resource": "things",
        "namespace": "pets",
        "name": name,
        "path": f"/things/{name}",
        "dry_run": False,
    }
