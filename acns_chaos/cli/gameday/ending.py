"""The end of `acns-chaos gameday run`: score, history and report, what is said, the exit code."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from acns_chaos.cli import show
from acns_chaos.errors import GameDayError

if TYPE_CHECKING:
    from acns_chaos.gameday.day import Day
    from acns_chaos.gameday.running import Stopped
    from acns_chaos.gameday.scoring import Day as Scored
    from acns_chaos.gameday.stage import Stage

__all__ = ["Ended", "ended", "remembered", "tell", "verified"]


@dataclass(slots=True)
class Ended:
    """What came of a day.

    Attributes:
        done: the score; None where it cannot be told.
        past: file of the history; "" without one, or when that cannot be used.
        lost: what is noticed no more, one sentence each.
        failed: what could not be written, one sentence each; the results stand.
    """

    done: "Scored | None" = None
    past: str = ""
    lost: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @contextmanager
    def each(self) -> Iterator[None]:
        """Do a part of the end; when it fails the others are done all the same."""
        try:
            yield
        except GameDayError as error:
            self.failed.append(str(error))


def ended(day: "Day", past: str, suggestions: Path | None) -> Ended:
    """Score what was run, remember it and write its report."""
    from acns_chaos.cli.gameday.score import write_suggestions
    from acns_chaos.gameday.merge import read_parts
    from acns_chaos.gameday.scoring import day_of, write_whole

    end = Ended()
    with end.each():
        end.done = done = day_of(read_parts([day.folder]), scrape=day.scrape)
        with end.each():
            write_whole(day.folder / "score.json", json.dumps(done.as_json(), indent=2))
        if suggestions is not None:
            with end.each():
                count = write_suggestions(done, suggestions)
                click.echo(f"Wrote {count} suggestions to {suggestions}.", err=True)
        if past:
            with end.each():
                end.lost = remembered(Path(past), done)
                end.past = past
        with end.each():
            _report(day, end.past)
    return end


def remembered(path: Path, done: "Scored") -> list[str]:
    """Add a scored day to a history.

    Args:
        path: the history's file.
        done: the day, of one run or of many shards.

    Returns:
        What is noticed no more, one sentence each.

    Raises:
        GameDayError: the history cannot be used.
    """
    from acns_chaos.gameday.history import History

    store, results, expected = History(path), done.merged.results, done.merged.expected
    store.add(results, expected.plan, expected.judges)
    days = sorted({one.day for one in results})
    lost = [one for day in days for one in store.regressions(day=day, plan=expected.plan)]
    return [str(one) for one in lost]


def _report(day: "Day", past: str) -> None:
    """Write the day's reports, with what is known by now."""
    from acns_chaos.gameday.report.writing import write_report

    write_report(day.folder, history=Path(past) if past else None, scrape=day.scrape)


def tell(day: "Day", stopped: "Stopped | None", end: Ended) -> int:
    """Say what came of the day; returns the exit code."""
    from acns_chaos.evidence.values import text
    from acns_chaos.gameday.score_text import day_lines

    lines = [*day_lines(end.done)] if end.done else []
    lines += [f"Regression: {one}." for one in end.lost]
    lines += [f"Failed: {text(one)}" for one in end.failed]
    if stopped is not None:
        lines.append(f"Stopped: {text(stopped.why)}")
    left = len(day.pending()) + len(day.own_pending())
    if left:
        again = shlex.quote(str(day.folder))
        lines.append(f"{left} to go: acns-chaos gameday run --resume {again}")
    lines.append(f"Written to {day.folder}.")
    show("\n".join(lines))
    return _code(day, stopped, end)


def _code(day: "Day", stopped: "Stopped | None", end: Ended) -> int:
    from acns_chaos.gameday import running
    from acns_chaos.gameday.scoring import INCOMPLETE, NOT_RESTORED
    from acns_chaos.gameday.signals import SIGNALLED

    kind, done = stopped.kind if stopped else "", end.done
    left = any(one.left for one in day.own_results.values())
    if kind == running.NOT_RESTORED or left or (done and done.code == NOT_RESTORED):
        return NOT_RESTORED
    if stopped is not None and stopped.signal:
        return SIGNALLED + stopped.signal
    if kind == running.BROKEN or end.failed or done is None:
        return 2
    return INCOMPLETE if stopped is not None else done.code_after(regressed=bool(end.lost))


def verified(day: "Day", stage: "Stage", end: Ended, code: int) -> int:
    """Run survivors again with what is suggested for them.

    Args:
        day: that was run.
        stage: a lab of its own.
        end: with the score.
        code: the day's exit code.

    Returns:
        The exit code with what came of this.
    """
    from acns_chaos.evidence.values import text
    from acns_chaos.gameday.again import again
    from acns_chaos.gameday.scoring import NOT_RESTORED, write_whole
    from acns_chaos.gameday.verify import verify

    done = end.done
    if done is None:
        return code
    survivors = [(one, done.suggestions.get(one.key, ())) for one in done.scored.survivors]
    count = sum(1 for _, made in survivors if made)
    click.echo(f"Running {count} survivors again, with what is suggested for them.", err=True)
    rules = day.plan.rules_file.read_text("utf-8") if day.plan.rules_file else ""
    with again(day, stage) as lab:
        found = verify(survivors, lab, rules)
    told = json.dumps([one.as_json() for one in found], indent=2)
    write_whole(day.folder / "verified.json", told)
    for one in found:
        show(f"{text(one.mutant)}: {text(str(one))}.")
    _report(day, end.past)
    return NOT_RESTORED if lab.left else code
