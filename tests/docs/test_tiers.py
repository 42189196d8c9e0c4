"""The tiers of CONTRIBUTING.md: what `make test` leaves out, and what brings it back."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.hosts import ROOT

pytestmark = pytest.mark.slow

# A loop, and runs on both engines where the machine has them.
FILES = ("tests/journeys/test_signals.py", "tests/journeys/test_janitor.py")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def collected(*arguments: str, files: tuple[str, ...] = FILES) -> list[str]:
    """The tests that pytest would run."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--collect-only", *arguments, *files],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if "::" in line]


@pytest.fixture(scope="module")
def everything() -> list[str]:
    """What `make full` runs."""
    return collected("--full")


@pytest.fixture(scope="module")
def tried() -> list[str]:
    """What `make test` runs."""
    return collected()


def test_make_test_tries_one_case_of_each_loop(everything: list[str], tried: list[str]) -> None:
    """Every function but those that are wholly for `make full` is there, with fewer cases."""

    def functions(tests: list[str]) -> set[str]:
        return {one.partition("[")[0] for one in tests}

    only_full = {f"{FILES[1]}::test_by_the_clock_a_fault_is_gone_when_told"}
    assert functions(everything) - functions(tried) == only_full
    assert set(tried) < set(everything)
    verbs = "test_without_one_verb_the_janitor_says_what_it_could_not_do["
    assert sum(verbs in one for one in tried) == 1
    assert sum(verbs in one for one in everything) > 15


def test_no_loop_of_any_file_is_lost() -> None:
    """Collecting all of it refuses a loop of which `make test` would try no case."""
    assert len(collected(files=("tests",))) > 5000


def test_a_seed_chooses_what_else_is_run(everything: list[str], tried: list[str]) -> None:
    """Never what `make test` runs; the same for a seed, another one for another."""
    first, again, other = (collected("--beyond", "0.5", "--seed", seed) for seed in ("1", "1", "2"))
    assert first == again
    assert first != other
    assert not set(first) & set(tried)
    assert set(collected("--beyond", "1")) == set(everything) - set(tried)


def test_a_case_that_is_named_is_run(everything: list[str], tried: list[str]) -> None:
    """Who names a test means it, whatever the tier."""
    one = next(test for test in everything if test not in tried)
    assert collected(files=(one,)) == [one]


def test_a_loop_without_a_case_for_make_test_is_refused(tmp_path: Path) -> None:
    """Otherwise nobody would try it on a change."""
    (tmp_path / "test_lost.py").write_text(
        "import pytest\n"
        "@pytest.mark.full\n"
        "@pytest.mark.parametrize('case', [1, 2])\n"
        "def test_lost(case): ...\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "tests.conftest"),
            *("-c", str(ROOT / "pyproject.toml"), str(tmp_path)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "no case of this loop is in `make test`" in done.stdout + done.stderr


def test_the_page_tells_each_tier_and_its_budget() -> None:
    """CONTRIBUTING.md and `make` say the same minutes."""
    told = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for tier in ("test", "full"):
        (minutes,) = re.findall(rf"^{tier} .*\((\d+) minutes at most\)$", told, re.MULTILINE)
        row = rf"^\| `make {tier}` \|.*\| {minutes} minutes \|$"
        assert re.search(row, CONTRIBUTING, re.MULTILINE)
