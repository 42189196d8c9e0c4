"""A seeded sample of the fault matrix; `make fault-matrix` plays all of it."""

import os
from pathlib import Path

import pytest

from tests.failures import fault_matrix
from tests.failures.experiments import KINDS
from tests.failures.left import leave
from tests.failures.spoiled_restores import COMMANDS, cases_after
from tests.failures.spoiling import FOREVER, LASTING, ONCE
from tests.failures.stand import Stand
from tests.tiers import loop

pytestmark = pytest.mark.slow

SEED = os.environ.get("ACNS_CHAOS_SEED", "5")


POLICIES = "ciliumnetworkpolicies"
ALL = ",".join(fault_matrix.KINDS)


@pytest.mark.parametrize(
    ("kinds", "parts", "sample"),
    loop(
        [
            ("held", "runs", 2),
            ("modify", "runs", 3),
            ("modify", "restores", 3),
            (ALL, "runs,restores", 120),
        ],
        keep=3,
    ),
)
def test_a_sample_of_the_fault_matrix(
    kinds: str, parts: str, sample: int, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Answered badly at some request, a run says what really happened and leaves nothing."""
    code = fault_matrix.main(
        [
            *("--sample", str(sample), "--seed", SEED, "--kinds", kinds, "--parts", parts),
            *("--results", str(tmp_path / "results.jsonl")),
        ]
    )
    told = capfd.readouterr().out
    assert code == 0, told
    assert f"{sample} runs" in told


def test_there_is_every_kind_of_fault_and_every_way_to_restore() -> None:
    """What an experiment may inject is answered badly, and so is all that puts it back."""
    assert set(fault_matrix.KINDS) == {"held", *KINDS}
    arguments = {one.arguments[0] for one in COMMANDS.values()}
    assert arguments == {"--all", "--run", "--expired"}
    assert any(one.watches for one in COMMANDS.values())


def test_every_request_of_a_restore_is_met(tmp_path: Path) -> None:
    """Of people and janitors, by hand or for ever; once, and for as long as it takes."""
    with Stand(tmp_path) as stand:
        cases = cases_after(stand, "modify")
    for name, command in COMMANDS.items():
        mine = [one for one in cases if one.command == name]
        points = {one.point for one in mine}
        writes = [(one.verb, one.resource) for one in points if one.writes]
        expected = [
            ("update", "ciliumnetworkpolicies"),
            ("create", "events"),
            ("update", "leases"),
            ("update", "configmaps"),
            ("delete", "configmaps"),
        ]
        # The janitor says first that it is there: for the first time, or once more.
        first = [("update" if command.known else "create", "leases")]
        assert sorted(writes) == sorted(
            [*expected, *(first if "janitor" in command.agent else [])]
        ), name
        for point in points:
            met = {(one.trouble, one.how) for one in mine if one.point == point}
            assert ("503", LASTING if command.watches else FOREVER) in met
            assert command.watches or ("reset", ONCE) in met


def test_a_killed_run_is_laid_again_as_it_lay(tmp_path: Path) -> None:
    """Records that are believed, and a fault that one command puts back; more than once."""
    with Stand(tmp_path) as stand:
        left = leave(stand, "two-documents")
        for old in (False, True):
            stand.renew()
            left.lay(stand, old)
            assert len(stand.named()) == 2
            waiting = stand.restore("--expired", "--namespace", "pets")
            assert waiting.code == 0, waiting.output
            assert stand.is_original() is old, waiting.output
            done = stand.restore("--all", "--namespace", "pets")
            assert done.code == 0, done.output
            assert stand.is_original()
            assert stand.named() + stand.records() == []


def test_a_restore_that_meets_trouble_says_what_to_do(tmp_path: Path) -> None:
    """Whether the policy was reached or not: the record stands, and the same command goes on."""
    asked = {
        "the policy is not written": ({"verbs": ["update"], "resource": POLICIES}, 7),
        "nothing is answered at all": ({}, 2),
    }
    with Stand(tmp_path) as stand:
        left = leave(stand, "modify")
        for what, (selection, code) in asked.items():
            stand.renew()
            left.lay(stand, old=False)
            order = stand.order("503", {**selection, "user_agent": "acns-chaos-restore"})
            told = stand.restore("--all", "--namespace", "pets")
            stand.clear(order)
            assert told.code == code, (what, told.output)
            assert "keeps its record: give the same command again" in told.output, what
            assert stand.named(), what
            done = stand.restore("--all", "--namespace", "pets")
            assert done.code == 0, done.output
            assert stand.is_original()
