"""What a person sees while a day is run."""

import io
from pathlib import Path

import pytest

from acns_chaos.gameday.day import Own
from acns_chaos.gameday.progress import Progress, sentence_of, shown
from tests.unit.gameday_days import begun
from tests.unit.gameday_results import result


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_the_time_left_comes_from_what_the_others_took(tmp_path: Path) -> None:
    """From the estimate before the first, then from the mean; divided among namespaces."""
    day = begun(tmp_path, *(f"m{number}" for number in range(1, 11)))
    progress = Progress(day, io.StringIO())
    assert progress.left() == "about 1 min left"
    progress.ended(result("m1", seconds=10))
    progress.ended(result("m2", seconds=20))
    assert progress.left() == "about 2 min left"
    assert Progress(day, io.StringIO(), parallel=2).left() == "about 30 s left"


def test_what_was_run_before_counts_as_done(tmp_path: Path) -> None:
    """A resumed day begins where it ended."""
    day = begun(tmp_path, "m1", "m2")
    day.add(day.jobs[0], result("m1", "survived"))
    seen = io.StringIO()
    with shown(day, stream=seen) as progress:
        assert progress.counts == "0 killed, 1 survived, 0 unknown"
        progress.ended(result("m2"))
    assert seen.getvalue() == "[2/2] killed by StorefrontDrops after 1.8 s: m2\n"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("killed", "killed by StorefrontDrops after 1.8 s: m1"),
        ("survived", "survived: m1"),
        ("unknown", "unknown: m1 (the fault was not seen in force)"),
    ],
)
def test_each_result_is_a_sentence(status: str, told: str) -> None:
    """With who noticed after how long, or why nobody can tell."""
    assert sentence_of(result("m1", status)) == told


def test_a_terminal_shows_a_bar_and_what_was_not_noticed(tmp_path: Path) -> None:
    """Killed ones are counted only; the others stay on the screen."""
    day = begun(tmp_path, "m1", "m2")
    seen = Terminal()
    with shown(day, stream=seen) as progress:
        progress.began(day.jobs[0])
        progress.ended(result("m1"))
        progress.ended(result("m2", "survived"))
        progress.ended_own(Own("[red]mine", "HELD", "Fine.", "", ""))
    text = seen.getvalue()
    assert "killed by" not in text
    assert "[2/2] survived: m2" in text
    assert "1 killed, 1 survived, 0 unknown" in text
    # What comes from files is no markup.
    assert "[red]mine: HELD: Fine." in text


def test_names_move_no_cursor(tmp_path: Path) -> None:
    """Whatever a file says stands there as text."""
    day = begun(tmp_path, "m1")
    seen = io.StringIO()
    with shown(day, stream=seen) as progress:
        progress.ended(result("m1", by="x\u001b[2J", first_ms=None))
    assert "\x1b" not in seen.getvalue()
