"""`acns-chaos gameday score`: what a day comes to, and what would have noticed the rest."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from acns_chaos.cli import show

if TYPE_CHECKING:
    from acns_chaos.gameday.scoring import Day

__all__ = ["SUGGESTED", "score", "write_suggestions"]

# Below the folder of suggestions: rules for Prometheus, and one file a claim.
SUGGESTED = "suggested-rules.yaml"


@click.command(
    epilog="Exit codes: 0 the plan's minimum is reached; 1 it is not, or an experiment of the plan "
    "did not hold; 2 usage, or the results cannot be used; 3 something was not run; 7 something "
    "was not restored."
)
@click.argument(
    "places", nargs=-1, required=True, metavar="FOLDER...", type=click.Path(path_type=Path)
)
@click.option("--day", default="", metavar="DAY", help="Only results of this day.")
@click.option(
    "--scrape",
    type=click.FloatRange(0.05, 3600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two scrapes of the Prometheus that suggested rules are for.",
)
@click.option(
    "--suggestions",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write what is suggested there, as files.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, suggestions included.")
@click.pass_context
def score(
    context: click.Context,
    places: tuple[Path, ...],
    day: str,
    scrape: float,
    suggestions: Path | None,
    as_json: bool,
) -> None:
    """Score the results of one game day again, from its FOLDER.

    Faults that close flows are judged by the detectors for availability, those that open some by
    those for security. Changes nothing.
    """
    from acns_chaos.gameday.merge import read_parts
    from acns_chaos.gameday.score_text import day_lines
    from acns_chaos.gameday.scoring import day_of

    done = day_of(read_parts(places), day=day, scrape=scrape)
    if suggestions is not None:
        count = write_suggestions(done, suggestions)
        told = f"Wrote {count} file{'' if count == 1 else 's'} to {suggestions}."
        click.echo(told if count else "There is nothing to suggest.", err=True)
    show(json.dumps(done.as_json(), indent=2) if as_json else "\n".join(day_lines(done)))
    context.exit(done.code)


def write_suggestions(day: "Day", folder: Path) -> int:
    """Write suggestions as files; returns how many files.

    Args:
        day: that is over.
        folder: files of the same names in it are replaced, others left alone.

    Raises:
        GameDayError: they cannot be written.
    """
    from acns_chaos.gameday.plan_values import ALERT
    from acns_chaos.gameday.scoring import write_whole
    from acns_chaos.gameday.suggest import rules_text

    every = [one for made in day.suggestions.values() for one in made]
    files = {f"{one.name}.json": one.text for one in every if one.kind != ALERT}
    if any(one.kind == ALERT for one in every):
        files[SUGGESTED] = rules_text(every)
    for name, text in files.items():
        write_whole(folder / name, text)
    return len(files)
