"""`acns-chaos conformance`: files of vectors, one line at the end, an exit code."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from acns_chaos.cli import main

VECTORS = Path(__file__).resolve().parents[1] / "data" / "vectors"
FLOWS = VECTORS / "01-default-deny-and-empties.json"


def run(*arguments: object) -> Result:
    """Call the command."""
    return CliRunner().invoke(main, ["conformance", *map(str, arguments)])


@pytest.mark.slow
def test_all_samples_pass() -> None:
    """196 vectors, 10,803 flows and 1,169 objects of generated worlds."""
    result = run(*sorted(VECTORS.glob("*.json")), VECTORS / "generated.jsonl.gz")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "In worlds marked harness, counted below too: 7653 passed, 0 failed",
        "12168 passed, 0 failed",
    ]


def test_without_generated_worlds_there_is_one_line() -> None:
    """Nothing is said of a harness."""
    vectors = json.loads(FLOWS.read_text())["vectors"]
    assert run(FLOWS).stdout == f"{len(vectors)} passed, 0 failed\n"


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """A file in which one vector and one flow expect the opposite."""
    vectors = json.loads(FLOWS.read_text())
    vectors["vectors"][0]["expected"]["verdict"] = "SOMETHING"
    (tmp_path / "wrong.json").write_text(json.dumps(vectors))
    lines = gzip.decompress((VECTORS / "generated.jsonl.gz").read_bytes()).splitlines()
    world = next(w for w in map(json.loads, lines) if w.get("harness"))
    world["expected"][0][2] = "SOMETHING"
    (tmp_path / "wrong.jsonl").write_text(json.dumps(world) + "\n")
    return tmp_path


def test_failures_are_named_and_exit_1(wrong: Path) -> None:
    """The id, what was expected and what came out; the harness on its own line."""
    result = run(wrong / "wrong.json", wrong / "wrong.jsonl")
    vectors = json.loads(FLOWS.read_text())["vectors"]
    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert lines[0] == f"FAILED {vectors[0]['id']} in {wrong / 'wrong.json'}"
    assert lines[2].startswith("  expected egress=")
    assert "verdict=SOMETHING" in lines[2]
    assert lines[3].startswith("  got      egress=")
    assert any(line.startswith("FAILED ") and "flow 0 (harness" in line for line in lines)
    assert lines[-2].endswith("passed, 1 failed")
    assert lines[-2].startswith("In worlds marked harness, counted below too: ")
    assert lines[-1].endswith(" passed, 2 failed")


def test_the_json_counts_the_same(wrong: Path) -> None:
    """One object."""
    found = json.loads(run(wrong / "wrong.json", wrong / "wrong.jsonl", "--json").stdout)
    assert found["failed"] == len(found["failures"]) == 2
    assert found["harness"]["failed"] == 1


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("none.json", None, "cannot be read: No such file or directory."),
        ("x.json", b"{", "line 1: is not JSON"),
        ("x.json", b"[]", ": is no vector file, it has no list at vectors."),
        ("x.json", b'{"vectors": [3]}', ", at vectors[0]: is not an object."),
        ("x.json", b'{"vectors": [{}]}', ", at vectors[0]: A vector without an id was given."),
        ("x.json", b'{"vectors": []}', "holds no vector."),
        ("x.jsonl", b"{}\n", ", line 1: A vector without an id was given."),
        ("x.jsonl.gz", b"no gzip", "cannot be read: Not a gzipped file (b'no')."),
        ("x.jsonl.gz", gzip.compress(b"{}", mtime=0)[:-4], "cannot be read: "),
    ],
)
def test_a_file_that_cannot_be_used_exits_2(
    tmp_path: Path, name: str, content: Any, sentence: str
) -> None:
    """With the place in the file."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    result = run(path)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {path}")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
