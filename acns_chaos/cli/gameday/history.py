"""`acns-chaos gameday history`: scores over the days, and what is noticed no more."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from acns_chaos.cli import show

if TYPE_CHECKING:
    from acns_chaos.gameday.history import Regression, Remembered, Trend

__all__ = ["history"]

# Mutants that are unknown, at most so many by name.
LISTED = 10


@click.command(
    epilog="Exit codes: 0; 1 a mutant that used to be noticed survived on the newest day; 2 usage, "
    "or the history cannot be used."
)
@click.option(
    "--history",
    "named",
    default="",
    metavar="FILE",
    help="Without it the one that ACNS_CHAOS_HISTORY names, else the user's own.",
)
@click.option("--plan", default="", metavar="NAME", help="Only of this plan.")
@click.option(
    "--place",
    default="",
    metavar="PLACE",
    help="Only of the lab, a cluster's uid, or uid/namespace.",
)
@click.option(
    "--days", "most", type=click.IntRange(0), default=20, show_default=True, help="0 is all."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def history(
    context: click.Context, named: str, plan: str, place: str, most: int, as_json: bool
) -> None:
    """Show how scores went, day by day: each plan in each place apart, never the lab with others.

    A judgement holds for 30 days; then the mutant is unknown until it is run again.
    """
    from acns_chaos.gameday.history import History, history_path

    path = history_path(named)
    store = History(path)
    trends = store.trends(plan, place, most)
    regressions = store.regressions(plan=plan, place=place)
    known = store.remembered(datetime.now(UTC), plan, place)
    if as_json:
        show(json.dumps(_json(str(path), trends, regressions, known), indent=2))
    elif not trends:
        show(f"No game day is in {path}{' of that plan or place' if plan or place else ''}.")
    else:
        show("\n".join(_lines(trends, regressions, known)))
    context.exit(1 if regressions else 0)


def _lines(
    trends: "Iterable[Trend]", regressions: "list[Regression]", known: "list[Remembered]"
) -> Iterator[str]:
    from acns_chaos.evidence.values import text
    from acns_chaos.gameday.results import UNKNOWN
    from acns_chaos.gameday.score_text import share, table

    groups: dict[tuple[str, str], list[Trend]] = {}
    for one in trends:
        groups.setdefault((one.place, one.plan), []).append(one)
    for (place, plan), days in groups.items():
        yield f"{text(plan) or 'a plan without a name'} in {text(place)}"
        ways = list(days[0].directions)
        rows = [("DAY", "ENDED", *(way.upper() for way in ways), "UNDECIDED", "UNKNOWN")]
        for one in days:
            tallies = one.directions.values()
            # In the order of the directions: a mutant that does both is unknown in each.
            undecided = "/".join(str(each.undecided) for each in tallies)
            unknown = "/".join(str(each.unknown) for each in tallies)
            ended = _told(one.ended, "%Y-%m-%d %H:%M")
            rows.append((text(one.day), ended, *map(share, tallies), undecided, unknown))
        yield from table(rows, left=2)
        mine = [one for one in regressions if (one.place, one.plan) == (place, plan)]
        yield from (f"Regression: {text(str(one))}." for one in mine)
        lost = [o for o in known if (o.place, o.plan, o.status) == (place, plan, UNKNOWN)]
        yield from _unknown(lost)
        yield ""


def _told(at: datetime, form: str) -> str:
    from acns_chaos.gameday.history import NO_DATE

    return at.strftime(form) if at > NO_DATE else "at an unknown time"


def _unknown(lost: "list[Remembered]") -> Iterator[str]:
    from acns_chaos.evidence.values import text

    for one in sorted(lost, key=lambda each: str(each.since))[:LISTED]:
        since = f" since {one.since:%Y-%m-%d}" if one.since else ""
        when = _told(one.judged, "on %Y-%m-%d") if one.judged else ""
        judged = f"; {one.last} {when}" if when else "; never judged"
        yield f"Unknown{since}: {text(one.mutant)}{judged}"
    if len(lost) > LISTED:
        yield f"and {len(lost) - LISTED} more that are unknown"


def _json(
    path: str,
    trends: "Iterable[Trend]",
    regressions: "Iterable[Regression]",
    known: "Iterable[Remembered]",
) -> Mapping[str, Any]:
    from acns_chaos.gameday.history import NO_DATE

    def moment(at: datetime | None) -> str | None:
        return at.isoformat() if at and at > NO_DATE else None

    return {
        "schema": 1,
        "history": path,
        "days": [
            {
                "place": one.place,
                "plan": one.plan,
                "day": one.day,
                "ended": moment(one.ended),
                "directions": {way: each.as_json() for way, each in one.directions.items()},
            }
            for one in trends
        ],
        "regressions": [
            {
                "place": one.place,
                "plan": one.plan,
                "mutant": one.mutant,
                "direction": one.direction,
                "day": one.day,
                "killed": one.killed,
                "by": one.by,
            }
            for one in regressions
        ],
        "mutants": [
            {
                "place": one.place,
                "plan": one.plan,
                "mutant": one.mutant,
                "status": one.status,
                "last": one.last,
                "judged": moment(one.judged),
                "since": moment(one.since),
            }
            for one in known
        ],
    }
