"""`acns-chaos gameday run`: make one mistake after another, and say who noticed."""

import re
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
    from acns_chaos.gameday.signals import Signals
    from acns_chaos.gameday.stage import Stage

__all__ = ["run"]

OUT = Path("out") / "gameday"
# As `acns_chaos.gameday.scoring` has it, which is imported when it is needed.
NOT_RESTORED = 7
# How long the player of claims of a killed day may take to end.
PLAYER_SECONDS = 30.0


@click.command(
    epilog="Exit codes: 0 the plan's minimum is reached; 1 it is not, or an experiment of the plan "
    "did not hold; 2 usage, nothing can be run, or a file or the history cannot be written; 3 the "
    "day stopped before its end; 4 what used to be noticed is not any more; 7 something was not "
    "restored; 129, 130 and 143 a signal came. Of several the first of 7, 129 to 143, 2, 3, 4, 1."
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
    help="Namespaces at once; each alert must carry a label that names its namespace.",
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
    from acns_chaos.gameday.signals import Signals

    with Signals() as signals:
        code = 0
        try:
            signals.listen()
            _require_usage(file, out, seed, name, resume)
            past = "" if no_history else _history(history)
            begun = _begun(file, out, seed or 0, name, resume, past, parallel, yes)
            with begun as (day, stage):
                code = _run(day, stage, past, parallel, suggestions, verify_suggestions, signals)
        except (KeyboardInterrupt, click.Abort):
            # What was begun is let go of by now; what stands is told, as `Running` restores first.
            if not signals.number:
                raise
            click.echo(f"{signals.name} came: the day ends here.", err=True)
        if signals.number and code != NOT_RESTORED:
            code = signals.code
    context.exit(code)


def _require_usage(
    file: Path | None, out: Path | None, seed: int | None, name: str, resume: Path | None
) -> None:
    if file is None and resume is None:
        raise click.UsageError("Give a PLAN, or --resume with the folder of a day.")
    if resume and (out or seed is not None or name):
        raise click.UsageError(
            "A day that is resumed keeps its folder, its selection and its name."
        )
    if name and not re.fullmatch(r"[A-Za-z0-9][-A-Za-z0-9._]{0,99}", name):
        raise click.UsageError("A day's name has letters, digits and - . _ only, at most 100.")


def _run(
    day: "Day",
    stage: "Stage",
    past: str,
    parallel: int,
    suggestions: Path | None,
    verifying: bool,
    signals: "Signals",
) -> int:
    """Run a day that has begun; returns the exit code."""
    from acns_chaos.cli.gameday.ending import ended, tell, verified
    from acns_chaos.gameday.progress import shown
    from acns_chaos.gameday.running import Running

    if verifying and not stage.ends:
        raise click.UsageError(
            "Suggestions are verified in a lab that the day starts itself, as its alert rules "
            "are replaced meanwhile: `acns-chaos lab down` ends the one that is up."
        )
    code = 0
    try:
        with _played(day, stage):
            signals.require_none()
            with shown(day, parallel) as progress:
                stopped = Running(day, stage, progress, parallel).run()
            with signals.noted():
                end = ended(day, past, suggestions)
                code = tell(day, stopped, end)
            if verifying and (stopped is not None or signals.number or end.done is None):
                show("No suggestion was verified, as the day did not come to its end.")
            elif verifying:
                code = verified(day, stage, end, code)
    except KeyboardInterrupt:
        # Nothing that comes afterwards is worse.
        if code != NOT_RESTORED:
            raise
    return code


@contextmanager
def _begun(
    file: Path | None,
    out: Path | None,
    seed: int,
    name: str,
    resume: Path | None,
    past: str,
    parallel: int,
    yes: bool,
) -> "Iterator[tuple[Day, Stage]]":
    """The day, new or resumed, its folder held, and the cluster it takes place in."""
    from acns_chaos.gameday.day import begin, new_id, require_begun, require_free
    from acns_chaos.gameday.plan import cluster_of, read_plan
    from acns_chaos.gameday.stage import opened_stage
    from acns_chaos.gameday.writing import held_alone

    if resume is not None:
        # A folder that is misspelt is not made.
        require_begun(resume)
        with held_alone(resume), _resumed(file, resume, parallel, yes) as (day, stage):
            yield day, stage
        return
    plan = read_plan(file or Path())
    _require_no_blackout(plan)
    if name and past:
        _require_new(name, past)
    id_ = name or new_id()
    folder = out or OUT / id_
    require_free(folder)
    with opened_stage(plan, cluster_of(plan)) as stage:
        _require_apart(plan, stage, parallel)
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
def _resumed(
    file: Path | None, folder: Path, parallel: int, yes: bool
) -> "Iterator[tuple[Day, Stage]]":
    from acns_chaos.gameday.day import reopen
    from acns_chaos.gameday.plan import cluster_of, read_plan
    from acns_chaos.gameday.stage import opened_stage

    day = reopen(folder)
    if file is not None and read_plan(file).document != day.plan.document:
        raise click.UsageError(f"{file} is not the plan that the day in {folder} began with.")
    with opened_stage(day.plan, cluster_of(day.plan)) as stage:
        _require_same(day, stage)
        _require_apart(day.plan, stage, parallel)
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


def _require_new(name: str, past: str) -> None:
    """Refuse a name that the history has: of two days of one name it would keep but one."""
    from acns_chaos.gameday.history import History

    if History(Path(past)).knows(name):
        raise GameDayError(
            f"The history {past} has a day {name}: give this one another name, or run it with "
            "--no-history if it is a shard of that day, for `gameday merge`."
        )


def _require_apart(plan: "Plan", stage: "Stage", parallel: int) -> None:
    """Refuse several namespaces at once where nobody could tell whose fault was noticed."""
    from acns_chaos.gameday.parallel import require_apart, rules_of

    if parallel < 2:
        return
    if note := require_apart(plan, rules_of(plan, stage), parallel):
        click.echo(f"Note: {note}", err=True)


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


def _history(named: str) -> str:
    from acns_chaos.gameday.history import history_path

    return str(history_path(named))
