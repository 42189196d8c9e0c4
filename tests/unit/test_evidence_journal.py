"""Reading a journal's file: one sentence for each way it can be none."""

import json

import pytest

from acns_chaos.errors import JournalError
from acns_chaos.evidence.journal import load_journal
from tests.unit.evidence_journals import held, signed

WHOLE = json.dumps(signed(held()))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty: the run died before the host wrote its journal"),
        (b" \n\n", "is empty: the run died before the host wrote its journal"),
        (WHOLE[:2000].encode(), "is cut off: the host stopped while it wrote"),
        (b"{", "is cut off: the host stopped while it wrote"),
        (b"title: yaml", "is not JSON"),
        (b'{"run": 1,}', "is not JSON"),
        (b'{"run": ' + b"1" * 5000 + b"}", "is not JSON"),
        (b"[" * 100_000, "is nested too deeply"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"[]", "a JSON object was expected"),
        (b'"journal"', "a JSON object was expected"),
        (b"null", "a JSON object was expected"),
        (b"{}", "is not a journal of Chaos Toolkit"),
        (b'{"experiment": null, "run": []}', "is not a journal of Chaos Toolkit"),
        (b'{"experiment": {}}', "is not a journal of Chaos Toolkit"),
        (b'{"title": "x", "method": []}', "is an experiment, not a journal"),
    ],
)
def test_not_a_journal(tmp_path, content, sentence):
    """What is not a whole journal is refused in one sentence that names the file."""
    path = tmp_path / "journal.json"
    path.write_bytes(content)
    with pytest.raises(JournalError) as caught:
        load_journal(path)

    assert sentence in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing(tmp_path):
    """A killed run writes no journal, and the sentence says so."""
    with pytest.raises(JournalError, match="a run that was killed writes none"):
        load_journal(tmp_path / "none.json")


def test_directory(tmp_path):
    """A directory cannot be read as a journal."""
    with pytest.raises(JournalError, match="cannot be read: Is a directory"):
        load_journal(tmp_path)


@pytest.mark.parametrize("name", ["\0", "x" * 5000])
def test_impossible_path(name):
    """A path that the system refuses is an error of ours, not a traceback."""
    with pytest.raises(JournalError, match="cannot be read"):
        load_journal(name)


@pytest.mark.parametrize("prefix", ["", "\ufeff"])
def test_whole(tmp_path, prefix):
    """A journal comes back as it was written, with or without a byte order mark."""
    path = tmp_path / "journal.json"
    path.write_text(prefix + WHOLE, encoding="utf-8")

    assert load_journal(str(path)) == json.loads(WHOLE)


def test_of_an_interrupted_run(tmp_path):
    """An interrupted run's journal, with runs without a status and bare NaN, is a journal."""
    path = tmp_path / "journal.json"
    path.write_text('{"experiment": {}, "status": "interrupted", "run": [{"x": NaN}]}')

    assert load_journal(path)["status"] == "interrupted"
