"""A seeded sample of the kill matrix; `make kill-matrix` plays all of it."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.failures import kill_matrix
from tests.failures.experiments import KINDS, MORE, experiment
from tests.failures.killing import AFTER, BEFORE, JANITOR, LATE, WATCHED, caught
from tests.failures.points import Point, points_of
from tests.failures.stand import Stand
from tests.tiers import loop

pytestmark = pytest.mark.slow

SEED = os.environ.get("ACNS_CHAOS_SEED", "5")


@pytest.mark.parametrize(
    ("kinds", "sample"), loop([("modify,create", 5), (",".join(kill_matrix.ALL), 120)])
)
def test_a_sample_of_the_kill_matrix(
    kinds: str, sample: int, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Killed at some requests of some kinds of fault, everything comes back."""
    code = kill_matrix.main(
        [
            *("--sample", str(sample), "--seed", SEED, "--kinds", kinds),
            *("--results", str(tmp_path / "results.jsonl")),
        ]
    )
    told = capfd.readouterr().out
    assert code == 0, told
    assert f"{sample} kills" in told


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


def test_what_is_left_in_the_temporary_folder_is_seen(tmp_path: Path) -> None:
    """A run has one of its own: it is empty at the end, and not when all were killed."""
    with Stand(tmp_path) as stand:
        point = next(one for one in kill_matrix.requests_of(stand, "modify") if one.after)
        stand.tidy()
        run = stand.run(experiment("modify", stand.folder()))
        assert caught(stand, run, point, AFTER), run.output
        stand.kill(run, watchdogs=True)
        assert run.over.wait(20)
        assert run.left_behind()
        stand.renew()
        undisturbed = stand.run(experiment("modify", stand.folder()))
        assert undisturbed.over.wait(60)
        assert undisturbed.left_behind() == []


def test_there_is_an_experiment_for_each_kind_of_fault() -> None:
    """Modify, delete, create, several objects, cluster-wide, invalid, large; and more."""
    assert set(KINDS) == {
        *("modify", "delete", "create", "moved", "two-documents", "clusterwide", "invalid"),
        "large",
    }
    assert set(MORE) == {"prober", "flapping", "restart"}
    for kind in MORE:
        assert kind in kill_matrix.ALL


def test_a_sample_holds_every_kind() -> None:
    """One of each comes first; the rest keep their order, and none is lost."""
    point = Point("acns-chaos/", "get", "things", "pets", "a", "/things/a", False, 1)
    kinds = ["modify"] * 5 + ["create", "prober"] + ["modify"]
    cases = [
        kill_matrix.Case(kind, replace(point, nth=number), BEFORE, WATCHED)
        for number, kind in enumerate(kinds)
    ]
    ordered = kill_matrix.of_each_kind_first(cases)
    assert {one.kind for one in ordered[:3]} == {"modify", "create", "prober"}
    assert sorted(ordered, key=cases.index) == cases


def test_pods_of_a_workload_look_alike() -> None:
    """Whatever letters their controller gave them; a Service of that name does not."""
    first, second = (
        _request("delete", f"order-service-5f9f9c7c8b-{ending}") for ending in ("7wq2k", "x2x9k")
    )
    assert [one.nth for one in points_of([first, second])] == [1, 2]
    assert len({one.name for one in points_of([first, second])}) == 1


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
