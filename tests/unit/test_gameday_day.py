"""A day's folder: nothing in it is counted twice or lost, whenever its writer dies."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.errors import DocumentError, GameDayError
from acns_chaos.gameday.day import Own, reopen, require_free
from acns_chaos.gameday.writing import append_line, drop_cut_line, held_alone
from tests.tiers import examples
from tests.unit.gameday_days import begun
from tests.unit.gameday_results import document, result


def line(mutant: str, status: str = "killed", **changes: object) -> str:
    """A line of results."""
    return result(mutant, status, **changes).line()


def test_a_new_day_has_everything_to_do(tmp_path: Path) -> None:
    """In the plan's order, each with its files and namespace."""
    day = begun(tmp_path, "m1", "far/m2", experiments=("mine",))
    assert [(job.position, job.name, job.namespace) for job in day.pending()] == [
        (1, "m1", "pets"),
        (2, "m2", "far"),
    ]
    assert day.pending()[1].experiment == "experiments/002-m2.json"
    assert day.pending()[1].journal == "journals/002-m2.json"
    (own,) = day.own_pending()
    assert (own.name, own.experiment, own.journal, own.blank) == (
        "mine",
        "experiments/own-mine.json",
        "journals/own-mine.json",
        None,
    )
    assert (day.patience, day.seconds) == (6.0, 6.0)


def test_what_was_run_is_not_run_again(tmp_path: Path) -> None:
    """A result is kept across processes, and a second one of its mutant is refused."""
    day = begun(tmp_path, "m1", "m2", experiments=("mine",))
    day.add(day.jobs[0], result("m1"))
    day.add_own(Own("mine", "HELD", "Fine.", "journals/own-mine.json", "2026-11-23T10:15:00Z"))
    later = reopen(tmp_path)
    assert [job.name for job in later.pending()] == ["m2"]
    assert later.results[1].status == "killed"
    assert not later.own_pending()
    assert later.own_results["mine"].held
    with pytest.raises(GameDayError, match="there already"):
        later.add(later.jobs[0], result("m1"))
    with pytest.raises(GameDayError, match="another's"):
        later.add(later.jobs[1], result("m1"))


@examples(40)
@given(cut=st.integers(0, 400), more=st.booleans())
def test_a_line_that_was_cut_short_is_run_again(
    tmp_path_factory: pytest.TempPathFactory, cut: int, more: bool
) -> None:
    """Wherever a crash cut it, and what is appended then is a line of its own."""
    folder = tmp_path_factory.mktemp("day")
    begun(folder, "m1", "m2", "m3")
    whole = line("m2")
    (folder / "results.jsonl").write_text(line("m1") * more + whole[: min(cut, len(whole) - 1)])
    day = reopen(folder)
    assert [job.name for job in day.pending()] == ["m2", "m3"] if more else ["m1", "m2", "m3"]
    day.add(day.jobs[1], result("m2", "survived"))
    again = reopen(folder)
    assert again.results[2].status == "survived"
    found = [
        json.loads(one)["mutant"] for one in (folder / "results.jsonl").read_text().splitlines()
    ]
    assert found == (["m1", "m2"] if more else ["m2"])


def test_of_a_mutant_that_is_there_twice_the_first_line_counts(tmp_path: Path) -> None:
    """Also when a later one says something else; a line of another day is no result of this one."""
    begun(tmp_path, "m1", "m2")
    other = json.dumps(document("m2", day="20250101T000000-0000")) + "\n"
    (tmp_path / "results.jsonl").write_text(line("m1") + line("m1", "survived") + other)
    day = reopen(tmp_path)
    assert day.results[1].status == "killed"
    assert [job.name for job in day.pending()] == ["m2"]


def test_a_long_cut_line_is_dropped_whole(tmp_path: Path) -> None:
    """Only what has no end goes; files that are whole, empty or missing stay as they are."""
    file = tmp_path / "f"
    drop_cut_line(file)
    assert not file.exists()
    for text, left in (("", ""), ("a\nb\n", "a\nb\n"), ("a\n" + "x" * 9999, "a\n"), ("x", "")):
        file.write_text(text)
        drop_cut_line(file)
        assert file.read_text() == left


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    """The sentence names the file and the reason."""
    with pytest.raises(GameDayError, match="/dev/full cannot be written: No space left"):
        append_line(Path("/dev/full"), "x\n")
    with pytest.raises(GameDayError, match=r"cannot be written"):
        append_line(tmp_path / "no" / "f", "x\n")


def test_a_day_is_run_by_one_process_at_a_time(tmp_path: Path) -> None:
    """Another one is told which process holds it; one that was killed holds nothing."""
    told = pytest.raises(GameDayError, match=f"run by process {os.getpid()}:")
    with held_alone(tmp_path), told, held_alone(tmp_path):
        raise AssertionError
    code = (
        "import os,sys;from pathlib import Path;from acns_chaos.gameday.writing import held_alone\n"
        "with held_alone(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -9
    with held_alone(tmp_path):
        pass


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    """One with a day is gone on with; what a day left that never came to its plan is written on."""
    require_free(tmp_path / "new")
    (tmp_path / "experiments").mkdir()
    (tmp_path / ".lock").touch()
    require_free(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(GameDayError, match="is not empty"):
        require_free(tmp_path)
    begun(tmp_path, "m1")
    with pytest.raises(GameDayError, match=f"--resume {tmp_path}"):
        require_free(tmp_path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "holds no plan.json"),
        ("{", "cannot be read as a plan"),
        ("[]", "is not the plan of a day"),
        ('{"schema": 1}', "is not the plan of a day"),
        ('{"schema": 2, "plan": {"name": "x"}, "version": "9.1"}', "resume the day with .* 9.1"),
        ("[" * 100_000, "cannot be read as a plan"),
    ],
)
def test_a_folder_without_a_day_is_said_to_be_none(
    tmp_path: Path, text: str | None, why: str
) -> None:
    """One sentence."""
    if text is not None:
        (tmp_path / "plan.json").write_text(text)
    with pytest.raises(GameDayError, match=why):
        reopen(tmp_path)


def test_a_plan_that_was_changed_by_hand_is_held_against_the_schema(tmp_path: Path) -> None:
    """As when it was read first."""
    begun(tmp_path, "m1")
    found = json.loads((tmp_path / "plan.json").read_text())
    found["plan"]["stop"] = {"survivor": 3}
    (tmp_path / "plan.json").write_text(json.dumps(found))
    with pytest.raises(DocumentError, match="survivors"):
        reopen(tmp_path)


def test_files_stay_within_the_day(tmp_path: Path) -> None:
    """Whatever its plan names: a folder may come from elsewhere."""
    begun(tmp_path, "m1", experiments=("x",))
    found = json.loads((tmp_path / "plan.json").read_text())
    found["selection"][0]["experiment"] = "../../etc/passwd"
    found["experiments"][0]["experiment"] = "/etc/passwd"
    (tmp_path / "plan.json").write_text(json.dumps(found))
    day = reopen(tmp_path)
    assert day.jobs[0].experiment == day.own[0].experiment == "experiments/passwd"
