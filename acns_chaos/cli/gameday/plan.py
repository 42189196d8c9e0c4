"""`acns-chaos gameday plan`: what a game day would do, and how long it would take."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from acns_chaos.cli import show

if TYPE_CHECKING:
    from acns_chaos.gameday.estimate import Estimate
    from acns_chaos.gameday.preparing import Prepared

__all__ = ["plan"]


@click.command(
    epilog="Exit codes: 0 there is something to run; 1 nothing can be run, and why is said; 2 "
    "usage, the plan cannot be used, or the cluster cannot be asked."
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Repeats a selection."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every flow.")
@click.option(
    "--no-tries",
    is_flag=True,
    help="Try no flow from inside the pods; the policies alone say what can be witnessed.",
)
@click.pass_context
def plan(context: click.Context, file: Path, seed: int, as_json: bool, no_tries: bool) -> None:
    """Show what a plan would run, its predicted effect and how long it takes.

    Nothing is changed: policies are read, and each flow that an experiment would rest on is tried
    once, as a client would.
    """
    from acns_chaos.cluster.opening import opened
    from acns_chaos.cluster.target import LAB_MARK
    from acns_chaos.gameday.plan import cluster_of, read_plan
    from acns_chaos.gameday.preparing import prepare

    read = read_plan(file)
    with opened(cluster_of(read), agent="acns-chaos-gameday", world=read.world) as there:
        click.echo(f"Looking at {there.name}; nothing is changed.", err=True)
        prepared = prepare(
            *(read, there.api, there.environ),
            in_lab=LAB_MARK in str(there.api.get("/version").get("gitVersion", "")),
            seed=seed,
            tries=not no_tries,
            progress=lambda said: click.echo(f"  {said} …", err=True),
        )
    if as_json:
        show(json.dumps({**prepared.as_json(), "place": there.name}, indent=2))
    else:
        _print(prepared, there.name)
    if not prepared.selection.chosen and not read.experiments:
        context.exit(1)


def _print(prepared: "Prepared", place: str) -> None:
    from acns_chaos.cluster.documents_bounds import short
    from acns_chaos.gameday.times import told

    chosen = prepared.selection.chosen
    for path in prepared.plan.experiments:
        show(f"experiment {path}")
    rows: list[tuple[str, ...]] = [("", "CLASS", "ABOUT", "MUTANT", "EFFECT")]
    for number, mutant in enumerate(chosen, 1):
        about = told(prepared.here.each[mutant.id].about)
        rows.append((str(number), mutant.effect, about, mutant.id, mutant.radius.sentence()))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows if chosen else ():
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        show("  ".join((*cells, row[4])))
    for (ref, rule), why in prepared.selection.uncovered.items():
        show(f"No mutant of {ref} {rule}: {why}.")
    counts_left = prepared.selection.counts()
    if counts_left:
        show("Left out: " + ", ".join(f"{n} {reason}" for reason, n in counts_left.items()) + ".")
    for one in prepared.plan.detectors:
        told_for = " and ".join(one.directions)
        deadline = told(prepared.deadlines[one.name])
        show(f"Detector {short(one.name, 200)} ({one.kind}, {told_for}): {deadline} to notice.")
    for note in prepared.notes:
        show(f"Note: {note}")
    here, there = prepared.here, prepared.there
    show(f"{len(chosen)} mutants in {place}: {_length(here)}.")
    pace = there.pace
    show(
        f"On a cluster with a scrape every {pace.scrape:g} s, rules evaluated every "
        f"{pace.evaluation:g} s and claims run every {pace.every:g} s: {_length(there)}."
    )


def _length(one: "Estimate") -> str:
    from acns_chaos.gameday.times import told

    return (
        f"about {told(one.total.about)} ({told(one.mean.about)} each) if all detectors notice, "
        f"{told(one.total.most)} ({told(one.mean.most)} each) at most"
    )
