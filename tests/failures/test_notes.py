"""Results of a matrix are told as they come, and one that was cut short goes on."""

from pathlib import Path

import pytest

from tests.failures.notes import Notes, chosen

MATRIX = "tests.failures.some_matrix"


def test_a_failure_is_told_with_the_command_that_repeats_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Quoted as a shell needs it, before the matrix is over."""
    notes = Notes(MATRIX, tmp_path / "results.jsonl", resume=False)
    notes.begin(2)
    notes.add("modify, 403 once at get /a's", "it failed", "modify", detail="why")
    told = capsys.readouterr().out
    assert "FAILED modify, 403 once at get /a's: it failed\n    why\n" in told
    only = """'modify, 403 once at get /a'"'"'s'"""
    assert f"python -m {MATRIX} --workers 1 --kinds modify --only {only}" in told


def test_what_passed_is_left_out_when_a_matrix_goes_on(tmp_path: Path) -> None:
    """A failure is played again, and so is what was cut in the middle of a line."""
    file = tmp_path / "results.jsonl"
    first = Notes(MATRIX, file, resume=False)
    first.add("one", "", "modify")
    first.add("two", "it failed", "modify")
    with file.open("a") as out:
        out.write('{"case": "three", "probl')
    second = Notes(MATRIX, file, resume=True)
    assert second.passed == {"one"}
    second.add("three", "", "modify")
    assert Notes(MATRIX, file, resume=True).passed == {"one", "three"}
    assert Notes(MATRIX, file, resume=False).passed == set()


def test_results_of_another_product_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What passed before a change says nothing about what is there now."""
    file = tmp_path / "results.jsonl"
    Notes(MATRIX, file, resume=False).add("one", "", "modify")
    monkeypatch.setattr("tests.failures.notes._product", lambda: "another")
    assert Notes(MATRIX, file, resume=True).passed == set()
    assert "is of another product: everything is played" in capsys.readouterr().out


def test_a_whole_description_chooses_one_case() -> None:
    """Another whose description goes on where it ends is not meant."""
    cases = ["get /a", "get /a, after update /b"]
    assert chosen(cases, "get /a") == ["get /a"]
    assert chosen(cases, "get") == cases
    assert chosen(cases, "") == cases
