"""`acns-chaos gameday run`: make one mistake after another, and say who noticed."""

import json
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from acns_chaos.cli import show
from acns_chaos.errors import GameDayError

if TYPE_CHECKING:
    from acns_chaos.gameday.day import Day
    from acns_chaos.gameday.plan_values import Plan
    from acns_chaos.gameday.preparing import Prepared
    from acns_chaos.gameday.running import Stopped
    from acns_chaos.gameday.scoring import Day as Scored
    from acns_chaos.gameday.stage import Stage

__all__ = ["run"]

OUT = Path("out") / "gameday"
# As `acns_chaos.gameday.scoring` has it, which is imported when it is needed.
NOT_RESTORED = 7
# How long the player of claims of a killed day may take to end.
PLAYER_SECONDS = 30.0
# Of a process that was ended by a signal, as shells have it.
SIGNALLED = 128


@click.command(
    epilog="Exit codes: 0 the plan's minimum is reached; 1 it is not, or an experiment of the plan "
    "did not hold; 2 usage, or nothing can be run; 3 the day stopped before its end; 4 what used "
    "to be noticed is not any more; 7 something was not restored; 129, 130 and 143 a signal came."
)
@click.argument(
    "file", required=False, metavar="[PLAN]", type=click.Path(dir_okay=False, path_type=Path)
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help=f"Where the day is written; without it a new folder below {OUT}.",
)
@click.option("--seed", type=click.IntRange(0), help="Repeats a selection; 0 without it.")
@click.option("--day", "name", default="", help="Its name, which shards of one day share.")
@click.option(
    "--resume",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Go on with the day in this folder; nothing is selected anew, no mutant is run twice.",
)
@click.option(
    "--parallel",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="Namespaces at once, where no alert is shared by several.",
)
@click.option(
    "--history",
    default="",
    metavar="FILE",
    help="Without it the one that ACNS_CHAOS_HISTORY names, else the user's own.",
)
@click.option("--no-history", is_flag=True, help="Neither look at a history nor add to one.")
@click.option(
    "--suggestions",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write what is suggested for survivors there, as files.",
)
@click.option(
    "--verify-suggestions",
    is_flag=True,
    help="In the lab: run each survivor again with what is suggested for it.",
)
@click.option("--yes", is_flag=True, help="Do not ask, on a cluster.")
@click.pass_context
def run(
    context: click.Context,
    file: Path | None,
    out: Path | None,
    seed: int | None,
    name: str,
    resume: Path | None,
    parallel: int,
    history: str,
    no_history: bool,
    suggestions: Path | None,
    verify_suggestions: bool,
    yes: bool,
) -> None:
    """Run a PLAN: every mutant is injected, judged by the detectors, and restored.

    Each is an ordinary experiment in the day's folder, which `chaos run` repeats. Ctrl-C restores
    what stands and leaves a day that --resume goes on with.
    """
    if file is None and resume is None:
        raise click.UsageError("Give a PLAN, or --resume with the folder of a day.")
    if resume and (out or seed is not None):
        raise click.UsageError("A day that is resumed keeps its folder and its selection.")
    if name and not re.fullmatch(r"[A-Za-z0-9][-A-Za-z0-9._]{0,99}", name):
        raise click.UsageError("A day's name has letters, digits and - . _ only, at most 100.")
    past = "" if no_history else _history(history)
    try:
        with _begun(file, out, seed or 0, name, resume, past, yes) as (day, stage):
            code = _run(day, stage, past, parallel, suggestions, verify_suggestions)
    except KeyboardInterrupt:
        # Before the first mutant, or after the last one: nothing stands changed.
        click.echo("Interrupted.", err=True)
        code = SIGNALLED + signal.SIGINT
    context.exit(code)


def _run(
    day: "Day",
    stage: "Stage",
    past: str,
    parallel: int,
    suggestions: Path | None,
    verifying: bool,
) -> int:
    """Run a day that has begun; returns the exit code."""
    from acns_chaos.gameday.progress import shown
    from acns_chaos.gameday.running import Running

    if verifying and not stage.ends:
        raise click.UsageError(
            "Suggestions are verified in a lab that the day starts itself, as its alert rules "
            "are replaced meanwhile: `acns-chaos lab down` ends the one that is up."
        )
    with _played(day, stage):
        with shown(day, parallel) as progress:
            stopped = Running(day, stage, progress, parallel).run()
        ended = _ended(day, past, suggestions)
        code = _told(day, stopped, *ended)
        if verifying and stopped is None:
            restored = _verified(day, stage, ended[0])
            _report(day, past)
            code = code if restored else NOT_RESTORED
    return code


@contextmanager
def _begun(
    file: Path | None,
    out: Path | None,
    seed: int,
    name: str,
    resume: Path | None,
    past: str,
    yes: bool,
) -> "Iterator[tuple[Day, Stage]]":
    """The day, new or resumed, its folder held, and the cluster it takes place in."""
    from acns_chaos.gameday.day import begin, new_id, require_free
    from acns_chaos.gameday.plan import cluster_of, read_plan
    from acns_chaos.gameday.stage import opened_stage
    from acns_chaos.gameday.writing import held_alone

    if resume is not None:
        with held_alone(resume), _resumed(file, resume, yes) as (day, stage):
            yield day, stage
        return
    plan = read_plan(file or Path())
    _require_no_blackout(plan)
    id_ = name or new_id()
    folder = out or OUT / id_
    require_free(folder)
    with opened_stage(plan, cluster_of(plan)) as stage:
        prepared = _prepared(plan, stage, seed, past)
        count = len(prepared.selection.chosen) + len(plan.experiments)
        if not count:
            raise GameDayError(f"Nothing of {plan.name} can be run: `gameday plan` says why.")
        _require_yes(stage, yes, count)
        with held_alone(folder):
            require_free(folder)
            day = begin(prepared, folder, id_, stage.place)
            _announce(prepared, day, stage)
            yield day, stage


@contextmanager
def _resumed(file: Path | None, folder: Path, yes: bool) -> "Iterator[tuple[Day, Stage]]":
    from acns_chaos.gameday.day import reopen
    from acns_chaos.gameday.plan import cluster_of, read_plan
    from acns_chaos.gameday.stage import opened_stage

    day = reopen(folder)
    if file is not None and read_plan(file).document != day.plan.document:
        raise click.UsageError(f"{file} is not the plan that the day in {folder} began with.")
    with opened_stage(day.plan, cluster_of(day.plan)) as stage:
        _require_same(day, stage)
        if left := len(day.pending()) + len(day.own_pending()):
            _require_yes(stage, yes, left)
        click.echo(
            f"Going on with day {day.id} in {stage.name}: {len(day.results)} of "
            f"{len(day.jobs)} mutants have a result.",
            err=True,
        )
        yield day, stage


def _prepared(plan: "Plan", stage: "Stage", seed: int, past: str) -> "Prepared":
    from acns_chaos.gameday.history import History
    from acns_chaos.gameday.preparing import prepare

    click.echo(f"Looking at {stage.name}; nothing is changed yet.", err=True)
    where = "lab" if stage.in_lab else stage.place.uid
    return prepare(
        *(plan, stage.api, stage.environ),
        in_lab=stage.in_lab,
        seed=seed,
        waited=History(Path(past)).waited(plan.name, where) if past else None,
        progress=lambda said: click.echo(f"  {said} …", err=True),
    )


def _announce(prepared: "Prepared", day: "Day", stage: "Stage") -> None:
    from acns_chaos.gameday.times import told

    for note in prepared.notes:
        click.echo(f"Note: {note}", err=True)
    here = prepared.here.total
    click.echo(
        f"Day {day.id} in {stage.name}: {len(day.jobs)} mutants, about {told(here.about)}, at most "
        f"{told(here.most)}; it is written to {day.folder}.",
        err=True,
    )


def _require_same(day: "Day", stage: "Stage") -> None:
    """Refuse to go on with a day somewhere else; a lab is another one each time, and the same."""
    was, now = day.place, stage.place
    if was.kind != now.kind or (was.uid != now.uid and not stage.in_lab):
        raise GameDayError(
            f"The day in {day.folder} began in {was.label} {was.uid}, and this is {now.label} "
            f"{now.uid}: go on there."
        )


def _require_no_blackout(plan: "Plan") -> None:
    from acns_chaos.gameday.scoring import INCOMPLETE

    hours = plan.blackout_at(datetime.now(UTC))
    if hours is not None:
        until = f"{hours[1]:%Y-%m-%d %H:%M %Z}"
        show(f"The plan {plan.name} allows no faults {hours[0]}: run it after {until}.")
        raise click.exceptions.Exit(INCOMPLETE)


def _require_yes(stage: "Stage", yes: bool, count: int) -> None:
    """Ask before a cluster is touched."""
    if stage.in_lab or yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("Where nobody can be asked, a day on a cluster needs --yes.")
    if not click.confirm(f"Run {count} experiments in {stage.name}?", err=True):
        raise click.Abort


@contextmanager
def _played(day: "Day", stage: "Stage") -> Iterator[None]:
    """Have the claims of a lab run on their schedule; on a cluster somebody does."""
    from acns_chaos.cluster.waiting import wait_until
    from acns_chaos.gameday.day import SCHEDULE
    from acns_chaos.gameday.plan_values import CLAIM
    from acns_chaos.gameday.schedule import play, played_in

    claims = [one for one in day.plan.detectors if one.kind == CLAIM]
    if not stage.in_lab or not claims:
        yield
        return
    folder = (day.folder / SCHEDULE).absolute()
    # That of a day whose process was killed ends with the claim that it runs.
    wait_until(lambda: not played_in(folder), PLAYER_SECONDS)
    with play(claims, folder, stage.environ):
        yield


# ---------------------------------------------------------------------- the end


def _history(named: str) -> str:
    from acns_chaos.gameday.history import history_path

    return str(history_path(named))


def _ended(day: "Day", past: str, suggestions: Path | None) -> "tuple[Scored, list[str]]":
    """Score what was run, remember it and write its report; returns also what is noticed no more.

    Raises:
        GameDayError: something cannot be written; the results stand.
    """
    from acns_chaos.cli.gameday.score import write_suggestions
    from acns_chaos.gameday.history import History
    from acns_chaos.gameday.merge import read_parts
    from acns_chaos.gameday.scoring import day_of, write_whole

    done = day_of(read_parts([day.folder]), scrape=day.scrape)
    write_whole(day.folder / "score.json", json.dumps(done.as_json(), indent=2))
    if suggestions is not None:
        count = write_suggestions(done, suggestions)
        click.echo(f"Wrote {count} suggestions to {suggestions}.", err=True)
    lost: list[str] = []
    if past:
        store, expected = History(Path(past)), done.merged.expected
        store.add(done.merged.results, expected.plan, expected.judges)
        lost = [str(one) for one in store.regressions(day=day.id, plan=expected.plan)]
    _report(day, past)
    return done, lost


def _report(day: "Day", past: str) -> None:
    """Write the day's reports, with what is known by now."""
    from acns_chaos.gameday.report.writing import write_report

    write_report(day.folder, history=Path(past) if past else None, scrape=day.scrape)


def _told(day: "Day", stopped: "Stopped | None", done: "Scored", lost: list[str]) -> int:
    """Say what came of the day; returns the exit code."""
    from acns_chaos.evidence.values import text
    from acns_chaos.gameday.score_text import day_lines

    lines = [*day_lines(done), *(f"Regression: {one}." for one in lost)]
    lines += [
        f"Experiment {text(one.name)}: {text(one.outcome) or 'not run'}: {text(one.sentence)}"
        for one in day.own_results.values()
    ]
    if stopped is not None:
        lines.append(f"Stopped: {text(stopped.why)}")
    left = len(day.pending()) + len(day.own_pending())
    if left:
        again = shlex.quote(str(day.folder))
        lines.append(f"{left} to go: acns-chaos gameday run --resume {again}")
    lines.append(f"Written to {day.folder}.")
    show("\n".join(lines))
    return _code(day, stopped, done, lost)


def _code(day: "Day", stopped: "Stopped | None", done: "Scored", lost: list[str]) -> int:
    from acns_chaos.gameday import running
    from acns_chaos.gameday.scoring import BELOW, INCOMPLETE, REGRESSED

    kind = stopped.kind if stopped else ""
    own = list(day.own_results.values())
    left_changed = any(one.outcome == "NOT_RESTORED" for one in own)
    if kind == running.NOT_RESTORED or done.not_restored or left_changed:
        return NOT_RESTORED
    if stopped is not None and stopped.signal:
        return SIGNALLED + stopped.signal
    if kind == running.BROKEN:
        return 2
    if stopped is not None or done.code == INCOMPLETE:
        return INCOMPLETE
    if lost:
        return REGRESSED
    return done.code or (0 if all(one.held for one in own) else BELOW)


def _verified(day: "Day", stage: "Stage", done: "Scored") -> bool:
    """Run survivors again with what is suggested for them; returns whether all was put back."""
    from acns_chaos.evidence.values import text
    from acns_chaos.gameday.again import again
    from acns_chaos.gameday.scoring import write_whole
    from acns_chaos.gameday.verify import verify

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
    return not lab.left
