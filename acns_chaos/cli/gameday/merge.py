"""`acns-chaos gameday merge`: the results of many shards as one day."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from acns_chaos.cli import show
from acns_chaos.errors import GameDayError

if TYPE_CHECKING:
    from acns_chaos.gameday.scoring import Day

__all__ = ["merge"]


@click.command(
    epilog="Exit codes: 0 all shards are there and the plan's minimum is reached; 1 it is not, or "
    "an experiment of the plan did not hold; 2 usage, or the results do not belong together; 3 "
    "shards, mutants or experiments are missing; 4 what used to be noticed is not any more; 7 "
    "something was not restored, by whichever run."
)
@click.argument(
    "places", nargs=-1, required=True, metavar="FOLDER...", type=click.Path(path_type=Path)
)
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Where to write; it must be empty, or not be there.",
)
@click.option("--day", default="", metavar="DAY", help="Only results of this day.")
@click.option(
    "--expect",
    type=click.File("r", encoding="utf-8", errors="replace"),
    metavar="FILE",
    help="Shards that must have results, one a line: cluster uid/namespace.",
)
@click.option(
    "--history",
    default="",
    metavar="FILE",
    help="Add to this history; without it to the one that ACNS_CHAOS_HISTORY names, else to none.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was united as JSON.")
@click.pass_context
def merge(
    context: click.Context,
    places: tuple[Path, ...],
    folder: Path,
    day: str,
    expect: TextIO | None,
    history: str,
    as_json: bool,
) -> None:
    """Unite the results of shards, each mutant exactly once, and score them.

    A FOLDER is that of a day, or holds such folders. In which order they come and how often makes
    no difference. Where a shard ran twice, what ended first counts, and the other run is named.
    """
    from acns_chaos.gameday.merge import DIFFERING, NOT_RUN, read_parts
    from acns_chaos.gameday.own import OWN
    from acns_chaos.gameday.score_text import day_lines
    from acns_chaos.gameday.scoring import NOT_RESTORED, day_of, write_whole

    _require_empty(folder)
    shards = [line.strip() for line in expect if line.strip()] if expect is not None else []
    done = day_of(read_parts(places), shards, day)
    merged = done.merged
    files = {
        "plan.json": json.dumps(merged.expected.as_json(), indent=1),
        "results.jsonl": "".join(one.line() for one in merged.results if one.why != NOT_RUN),
        "merged.json": json.dumps(merged.as_json(), indent=2),
        "score.json": json.dumps(done.as_json(), indent=2),
    }
    own = (*merged.own.counted, *merged.own.differing)
    more = {
        DIFFERING: "".join(one.line() for one in merged.differing),
        OWN: "".join(one.line(merged.expected.day) for one in own),
    }
    files |= {name: text for name, text in more.items() if text}
    for name, text in files.items():
        write_whole(folder / name, text)
    lost, failed = _remembered(history, done)
    if as_json:
        show(json.dumps({**merged.as_json(), "regressions": lost}, indent=2))
    else:
        show("\n".join([*day_lines(done), *(f"Regression: {one}." for one in lost)]))
        show(f"Written to {folder}.")
    if failed:
        click.echo(f"Failed: {failed}", err=True)
    code = done.code_after(regressed=bool(lost))
    context.exit(2 if failed and code != NOT_RESTORED else code)


def _require_empty(folder: Path) -> None:
    try:
        if folder.exists() and any(folder.iterdir()):
            raise GameDayError(f"{folder} is not empty: name a folder that is, or a new one.")
    except OSError as error:
        raise GameDayError(f"{folder} cannot be read: {error.strerror}.") from error


def _remembered(named: str, day: "Day") -> tuple[list[str], str]:
    """Add a day to the history, where one is named.

    Returns:
        What is noticed no more; and why it could not be added, "" when it was.
    """
    from acns_chaos.cli.gameday.ending import remembered
    from acns_chaos.gameday.history import VARIABLE, history_path

    if not named and not os.environ.get(VARIABLE):
        return [], ""
    try:
        return remembered(history_path(named), day), ""
    except GameDayError as error:
        return [], str(error)
