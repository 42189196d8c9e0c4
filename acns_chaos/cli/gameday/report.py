"""`acns-chaos gameday report`: a game day as a page, Markdown, JUnit XML or JSON."""

from pathlib import Path

import click

from acns_chaos.cli import show

__all__ = ["report"]


@click.command(
    epilog="Exit codes: 0 the report is written, whatever it says; 2 usage, or the results cannot "
    "be used. What the day is worth is the exit code of `gameday score`."
)
@click.argument(
    "places", nargs=-1, required=True, metavar="FOLDER...", type=click.Path(path_type=Path)
)
@click.option("--output", "-o", metavar="FILE", help="Write to FILE instead of stdout.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("html", "md", "json", "junit")),
    help="What to write; without it FILE's suffix says: .html, .md, .json, .xml; Markdown else.",
)
@click.option("--day", default="", metavar="DAY", help="Only results of this day.")
@click.option(
    "--history",
    default="",
    metavar="FILE",
    help="For the trend; without it the one that ACNS_CHAOS_HISTORY names, else the user's own.",
)
@click.option(
    "--scrape",
    type=click.FloatRange(0.05, 3600),
    metavar="SECONDS",
    help="Between two scrapes of the Prometheus that suggested rules are for; without it what the "
    "plan says.",
)
def report(
    places: tuple[Path, ...],
    output: str | None,
    form: str | None,
    day: str,
    history: str,
    scrape: float | None,
) -> None:
    """Write the report of one game day from its FOLDER, or from the folders of its shards.

    Survivors come first, each with what would have noticed it; then who noticed what, and each
    mutant with its policy, its timeline and the command that repeats it. Changes nothing else.
    """
    from acns_chaos.cli.report.write import SUFFIXES, put, writable
    from acns_chaos.gameday.history import history_path
    from acns_chaos.gameday.report.reading import read
    from acns_chaos.gameday.report.writing import document
    from acns_chaos.report.uncollected import uncollected

    # Before the work, so that a mistyped path costs nothing.
    read_too = [str(place / name) for place in places for name in ("results.jsonl", "plan.json")]
    target = writable(Path(output), [*map(str, places), *read_too]) if output is not None else None
    chosen = form or SUFFIXES.get(Path(output or "").suffix.lower(), "md")
    with uncollected(ends=True):
        told = read(places, day, scrape, _existing(history, history_path(history)))
        written = document(chosen, told)
    if target is None:
        show(written.rstrip("\n"))
    else:
        put(target, written)


def _existing(named: str, path: Path) -> Path | None:
    """The history, None where there is none yet; one that was named must be there."""
    from acns_chaos.errors import GameDayError

    if path.exists():
        return path
    if named:
        raise GameDayError(f"There is no history at {path}: name the file of one.")
    return None
