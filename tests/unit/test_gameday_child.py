"""The process that runs a namespace's experiments, without any: what it hears and answers."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.gameday import child as module
from acns_chaos.gameday.child import Child

ORDER = {
    "do": "run",
    "position": 3,
    "experiment": "experiments/003-x.json",
    "journal": "journals/003-x.json",
    "mutant": "",
    "namespace": "pets",
    "shard": "u1/pets",
}


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[tuple[Child, int]]:
    """A child that was told its day, and where the day listens."""
    (tmp_path / "journals").mkdir()
    here, there = os.pipe()
    child = Child(there)
    child.hear({"do": "day", "day": "d", "folder": str(tmp_path), "place": {"kind": "lab"}})
    assert said(here) == [{"event": "ready", "pid": os.getpid()}]
    yield child, here
    os.close(here)
    os.close(there)


def said(pipe: int) -> list[dict[str, Any]]:
    """What it said since."""
    return [json.loads(line) for line in os.read(pipe, 1 << 16).splitlines()]


def test_a_run_is_the_hosts_own_with_a_journal_that_is_whole(
    talk: tuple[Child, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written beside, and put in place when it is done; an older draft is no journal."""
    child, here = talk
    (tmp_path / "journals" / ".003-x.json").write_text("older")

    def host(*arguments: str) -> None:
        assert not (tmp_path / "journals" / ".003-x.json").exists()
        assert arguments[0] == "--journal-path"
        assert arguments[2] == str(tmp_path / "experiments" / "003-x.json")
        journal = {"experiment": {"title": "t"}, "run": [], "status": "completed"}
        Path(arguments[1]).write_text(json.dumps(journal))

    monkeypatch.setattr(module, "_host", host)
    child.hear(ORDER)
    (answer,) = said(here)
    assert (answer["event"], answer["position"], answer["interrupted"]) == ("done", 3, False)
    # It has no signature of ours.
    assert answer["outcome"] == "INCONCLUSIVE"
    assert [one.name for one in (tmp_path / "journals").iterdir()] == ["003-x.json"]


@pytest.mark.parametrize(
    ("section", "restored"),
    [
        (None, None),
        ({"faults": []}, True),
        ({"faults": [{"id": "f1", "policy": {"name": "x"}}]}, False),
    ],
)
def test_it_says_whether_all_is_shown_to_be_restored(
    talk: tuple[Child, int],
    monkeypatch: pytest.MonkeyPatch,
    section: dict[str, Any] | None,
    restored: bool | None,
) -> None:
    """Also of the plan's own experiments; nobody knows it of a journal without our section."""
    child, here = talk

    def host(*arguments: str) -> None:
        more = {} if section is None else {"acns_chaos": section}
        journal = {"experiment": {"title": "t"}, "run": [], "status": "completed"}
        Path(arguments[1]).write_text(json.dumps(journal | more))

    monkeypatch.setattr(module, "_host", host)
    child.hear(ORDER)
    assert said(here)[0]["restored"] is restored


def test_no_journal_is_said(talk: tuple[Child, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """An experiment that the host refuses leaves none."""
    child, here = talk
    monkeypatch.setattr(module, "_host", lambda *_: None)
    child.hear(ORDER)
    assert said(here) == [
        {
            "event": "done",
            "position": 3,
            "failed": "the host wrote no journal",
            "interrupted": False,
        }
    ]


def test_what_fails_is_an_answer_too(
    talk: tuple[Child, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process goes on with the next one."""
    child, here = talk

    def host(*_: str) -> None:
        raise ValueError("no")

    monkeypatch.setattr(module, "_host", host)
    child.hear(ORDER)
    assert said(here)[0]["failed"] == "ValueError: no"


def test_when_the_day_is_gone_what_is_run_is_interrupted_and_nothing_begins(
    talk: tuple[Child, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by Ctrl-C, which the guard answers by restoring."""
    child, _here = talk
    began = []

    def host(*_: str) -> None:
        began.append(1)
        child.end()
        # Signals are handled between two steps of the main thread.
        for _step in range(1000):
            pass

    monkeypatch.setattr(module, "_host", host)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            child.hear(ORDER)
        child.hear(ORDER)
        child.end()
    finally:
        signal.signal(signal.SIGINT, before)
    assert began == [1]


def test_a_day_that_is_gone_hears_nothing(talk: tuple[Child, int]) -> None:
    """And that is no error of the run."""
    child, _ = talk
    here, there = os.pipe()
    os.close(here)
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        Child(there).say({"event": "done"})
    finally:
        signal.signal(signal.SIGPIPE, before)
        os.close(there)
    assert not child._busy
