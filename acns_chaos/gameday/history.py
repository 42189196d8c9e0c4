"""The memory of game days: a local SQLite file that results are added to.

Belongs here: what is added, and what it says: trends, regressions, what has waited longest. Does
not belong here: the file (`history_file`), and what the results of one day come to (`score`).

What is compared is only what can be: the same plan in the same place. The lab is one place, each
cluster is one of its own. Several processes may add at once, and adding twice changes nothing. What
would be dropped beside another result of the same mutant and day is refused.
"""

import os
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from acns_chaos.cluster.moments import END
from acns_chaos.errors import GameDayError
from acns_chaos.evidence.values import text
from acns_chaos.gameday.history_file import VARIABLE, answers, transaction
from acns_chaos.gameday.merge import NOT_RUN
from acns_chaos.gameday.plan_values import AVAILABILITY, SECURITY
from acns_chaos.gameday.results import KILLED, LAB, SURVIVED, UNKNOWN, Result, parse
from acns_chaos.gameday.score import (
    DIRECTIONS,
    UNDECIDED,
    Judges,
    Tally,
    status_in,
    status_of,
    ways_of,
)

__all__ = [
    "HOLDS",
    "NO_DATE",
    "VARIABLE",
    "History",
    "Regression",
    "Remembered",
    "Trend",
    "history_path",
    "place_of",
]

NO_DATE = datetime(1970, 1, 1, tzinfo=UTC)
"""When something ended that does not say when: the oldest of all."""

_Row = Mapping[str, str | float | None]

# For so long a judgement holds: a cluster changes.
HOLDS = timedelta(days=30)
# A moment that nobody can mean counts as none, as in `moments.moment`: an older version took it.
_ENDED = f"CASE WHEN ended > 0 AND ended < {END:.0f} THEN ended ELSE 0 END"
# Of two results of one mutant on one day that which ended first counts, as in `merge`; what does
# not say when it ended comes last.
_ADD = """
INSERT INTO result VALUES (
    :day, :shard, :mutant, :place, :plan, :policy, :family, :status, :availability, :security,
    :signalled, :by_whom, :first_ms, :ended, :line
)
ON CONFLICT (day, shard, mutant) DO UPDATE SET
    place = excluded.place, plan = excluded.plan, policy = excluded.policy,
    family = excluded.family, status = excluded.status, availability = excluded.availability,
    security = excluded.security, signalled = excluded.signalled, by_whom = excluded.by_whom,
    first_ms = excluded.first_ms, ended = excluded.ended, line = excluded.line
WHERE (excluded.ended = 0, excluded.ended, excluded.line) < (ended = 0, ended, line)
"""
# What would stay in place of a result. What ended at the same moment is the same one, of which
# another version wrote the line.
_STAYS = """
SELECT 1 FROM result
WHERE day = :day AND shard = :shard AND mutant = :mutant AND line != :line
AND NOT (ended != 0 AND ended = :ended)
AND (ended = 0, ended, line) < (:ended = 0, :ended, :line)
"""
# Another lab is another shard, and the same place.
_BESIDE = """
SELECT shard FROM result
WHERE place = :place AND plan = :plan AND mutant = :mutant AND day = :day
"""


@dataclass(frozen=True, slots=True)
class Trend:
    """One day of one plan in one place.

    Attributes:
        place: as `place_of`.
        plan: its name.
        day: its id.
        ended: when its last mutant ended; NO_DATE where none says.
        directions: AVAILABILITY and SECURITY.
    """

    place: str
    plan: str
    day: str
    ended: datetime
    directions: Mapping[str, Tally]


@dataclass(frozen=True, slots=True)
class Regression:
    """A mutant that used to be noticed and is not any more.

    Attributes:
        place: as `place_of`.
        plan: its name.
        mutant: its id.
        direction: in which nobody noticed it.
        day: on which it survived.
        killed: the day on which it was noticed, the last before that it was judged on.
        by: who noticed it then in this direction, the soonest first.
    """

    place: str
    plan: str
    mutant: str
    direction: str
    day: str
    killed: str
    by: str

    def __str__(self) -> str:
        return (
            f"{self.mutant} survived ({self.direction}); on {self.killed} it was noticed"
            f"{f' by {self.by}' if self.by else ''}"
        )


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of a mutant now.

    Attributes:
        place: as `place_of`.
        plan: its name.
        mutant: its id.
        status: KILLED or SURVIVED while the last judgement holds, else UNKNOWN.
        last: what that judgement said; UNKNOWN when there never was one.
        judged: when it was; None for never, NO_DATE where it does not say.
        since: since when it is unknown: the day it was first tried in vain after that judgement, or
            when the judgement ceased to hold; None while it is not, or where nothing says.
    """

    place: str
    plan: str
    mutant: str
    status: str
    last: str
    judged: datetime | None
    since: datetime | None


def history_path(named: str = "", environ: Mapping[str, str] = os.environ) -> Path:
    """Where the history is.

    Args:
        named: by an option; "" for none.
        environ: ACNS_CHAOS_HISTORY names it, else it is in the folder for state (XDG).
    """
    if path := named or environ.get(VARIABLE, ""):
        return Path(path).expanduser()
    state = environ.get("XDG_STATE_HOME", "")
    # The specification ignores a relative one.
    home = Path(state) if Path(state).is_absolute() else _home(environ) / ".local" / "state"
    return home / "acns-chaos" / "history.sqlite"


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or "~").expanduser()


def place_of(result: Result) -> str:
    """What results are compared within: "lab/pets", or a cluster's uid with the namespace.

    A lab has another uid each time, and is the same place.
    """
    if result.place.kind != LAB:
        return result.shard
    return f"{LAB}/{result.place.namespace or result.shard.rpartition('/')[2]}"


class History:
    """A store.

    Args:
        path: of the file; it and its folder are made when something is added.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, results: Iterable[Result], plan: str, judges: Judges | None = None) -> int:
        """Add results; those that are there already change nothing.

        Args:
            results: of one plan; those that were never run are passed over.
            plan: its name.
            judges: as for `score`.

        Returns:
            How many were new, or took the place of another that ended later.

        Raises:
            GameDayError: others of the same day are there, or the file cannot be used or written;
                nothing was added.
        """
        rows = [_row(one, plan, judges) for one in results if one.why != NOT_RUN]
        with transaction(self.path) as store:
            self._require_same(store, rows)
            before = store.total_changes
            store.executemany(_ADD, rows)
            return store.total_changes - before

    def _require_same(self, store: sqlite3.Connection, rows: Sequence[_Row]) -> None:
        """Refuse what would be dropped, or counted twice: the name of the day was used before."""
        shards = {row["shard"] for row in rows}
        others = [row for row in rows if _is_another(store, row, shards)]
        if others:
            one, more = others[0], len(others) - 1
            raise GameDayError(
                f"{self.path} has another result of {text(one['mutant'])} in {text(one['place'])} "
                f"on day {text(one['day'])}{f', and of {more} more' if more else ''}; nothing was "
                "added: give each day a name of its own; when a shard ran twice, merge both runs "
                "at once."
            )

    def knows(self, day: str) -> bool:
        """Whether results of a day of this name are there, of any plan and place; only reads.

        What compares days tells them apart by their names: a new one needs a name of its own.

        Args:
            day: its id.

        Raises:
            GameDayError: the file cannot be used.
        """
        return bool(
            answers(self.path, "SELECT 1 FROM result WHERE day = :day LIMIT 1", {"day": day})
        )

    def trends(self, plan: str = "", place: str = "", most: int = 0) -> list[Trend]:
        """Each day of each plan in each place, the oldest first.

        Args:
            plan: only this one's; "" for all.
            place: only this one's, or, as "lab" or a cluster's uid, all of its namespaces.
            most: of each plan and place only so many, the newest; 0 for all.

        Raises:
            GameDayError: the file cannot be used.
        """
        columns = ", ".join(_counts(way) for way in DIRECTIONS)
        query = f"""
            SELECT place, plan, day, MAX({_ENDED}), {columns} FROM result
            WHERE {_WANTED} GROUP BY place, plan, day ORDER BY place, plan, MAX({_ENDED}), day
        """  # noqa: S608 - constants
        groups: dict[tuple[str, str], list[Trend]] = {}
        for where, name, day, ended, *counts in answers(self.path, query, _wanted(plan, place)):
            tallies = {way: Tally(*counts[5 * n : 5 * n + 5]) for n, way in enumerate(DIRECTIONS)}
            trend = Trend(where, name, day, _moment(ended), tallies)
            groups.setdefault((where, name), []).append(trend)
        return [one for days in groups.values() for one in days[-most if most else 0 :]]

    def regressions(self, day: str = "", plan: str = "", place: str = "") -> list[Regression]:
        """The mutants that survived and were noticed the last time they were judged before.

        Args:
            day: on which they survived; "" for each plan's newest in each place.
            plan: as for `trends`.
            place: as for `trends`.

        Raises:
            GameDayError: the file cannot be used.
        """
        newest = {(one.place, one.plan): one.day for one in self.trends(plan, place, most=1)}
        query = f"""
            SELECT place, plan, day, mutant, availability, security, shard FROM result
            WHERE {_WANTED} ORDER BY place, plan, mutant, {_ENDED}, day
        """  # noqa: S608 - constants
        found: list[Regression] = []
        last: dict[tuple[str, str, str, str], tuple[str, str, str]] = {}
        for where, name, when, mutant, *told, shard in answers(
            self.path, query, _wanted(plan, place)
        ):
            looked = when == (day or newest.get((where, name)))
            for way, status in zip((AVAILABILITY, SECURITY), told, strict=True):
                key = (where, name, mutant, way)
                before = last.get(key)
                if looked and status == SURVIVED and before and before[0] == KILLED:
                    by = self._noticed_by(before[1], before[2], mutant, way)
                    found.append(Regression(where, name, mutant, way, when, before[1], by))
                if status in (KILLED, SURVIVED):
                    last[key] = status, when, shard
        return found

    def _noticed_by(self, day: str, shard: str, mutant: str, way: str) -> str:
        """Who noticed a mutant in a direction, the soonest first."""
        query = """
            SELECT line, by_whom FROM result
            WHERE day = :day AND shard = :shard AND mutant = :mutant
        """
        key = {"day": day, "shard": shard, "mutant": mutant}
        for line, by in answers(self.path, query, key):
            try:
                every = parse(line).detectors
            except GameDayError:
                return str(by)
            noticed = [one for one in every if one.noticed and way in ways_of(one, None)]
            noticed.sort(key=lambda one: (one.after_ms is None, one.after_ms or 0.0, one.name))
            return ", ".join(one.name for one in noticed) or str(by)
        return ""

    def waited(self, plan: str = "", place: str = "") -> dict[str, datetime]:
        """Each mutant that was ever judged, to when it last was.

        Arguments and errors as `trends`.
        """
        query = f"""
            SELECT mutant, MAX({_ENDED}) FROM result
            WHERE status IN ('{KILLED}', '{SURVIVED}') AND {_WANTED} GROUP BY mutant
        """  # noqa: S608 - constants
        return {
            mutant: _moment(ended)
            for mutant, ended in answers(self.path, query, _wanted(plan, place))
        }

    def remembered(
        self, now: datetime, plan: str = "", place: str = "", holds: timedelta = HOLDS
    ) -> list[Remembered]:
        """What is known of each mutant now: a judgement decays to unknown.

        Args:
            now: with a time zone.
            plan: as for `trends`.
            place: as for `trends`.
            holds: for how long a judgement does.

        Raises:
            GameDayError: the file cannot be used.
        """
        query = f"""
            SELECT place, plan, mutant, status, {_ENDED} FROM result
            WHERE {_WANTED} ORDER BY place, plan, mutant, {_ENDED}, day
        """  # noqa: S608 - constants
        known: dict[tuple[str, str, str], tuple[str, datetime | None, datetime | None]] = {}
        for *key, status, ended in answers(self.path, query, _wanted(plan, place)):
            last, judged, vain = known.get(tuple(key), (UNKNOWN, None, None))
            at = _moment(ended)
            if status == UNKNOWN:
                known[tuple(key)] = last, judged, vain or (at if at > NO_DATE else None)
            else:
                known[tuple(key)] = status, at, None
        return [
            _remembered((*key,), last, judged, vain, now, holds)
            for key, (last, judged, vain) in known.items()
        ]


_WANTED = (
    "(:plan = '' OR plan = :plan) AND "
    "(:place = '' OR place = :place OR substr(place, 1, length(:place) + 1) = :place || '/')"
)


def _wanted(plan: str, place: str) -> dict[str, str]:
    return {"plan": plan, "place": place}


def _counts(way: str) -> str:
    """The columns of a `Tally`."""
    statuses = (KILLED, SURVIVED, UNDECIDED, UNKNOWN)
    columns = [f"COUNT(*) FILTER (WHERE {way} = '{status}')" for status in statuses]
    return ", ".join([*columns, f"COUNT(*) FILTER (WHERE {way} = '{SURVIVED}' AND signalled)"])


def _is_another(store: sqlite3.Connection, row: _Row, shards: Collection[object]) -> bool:
    """Whether a result of another run of the same mutant and day stays in the way of one."""
    if store.execute(_STAYS, row).fetchone():
        return True
    if row["place"] == row["shard"]:
        return False
    beside = {shard for (shard,) in store.execute(_BESIDE, row)}
    return bool(beside - {*shards}) and row["shard"] not in beside


def _row(one: Result, plan: str, judges: Judges | None) -> _Row:
    ended = one.ended_at
    return {
        "day": one.day,
        "shard": one.shard,
        "mutant": one.mutant,
        "place": place_of(one),
        "plan": plan,
        "policy": one.policy,
        "family": one.family,
        # What nobody can tell is no judgement: it decays, and waits for its turn again.
        "status": UNKNOWN if (status := status_of(one, judges)) == UNDECIDED else status,
        "availability": status_in(one, AVAILABILITY, judges),
        "security": status_in(one, SECURITY, judges),
        "signalled": int(any(signal.rose for signal in one.signals)),
        "by_whom": one.by,
        "first_ms": one.first_ms,
        "ended": ended.timestamp() if ended else 0.0,
        "line": one.line(),
    }


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _remembered(
    key: tuple[str, ...],
    last: str,
    judged: datetime | None,
    vain: datetime | None,
    now: datetime,
    holds: timedelta,
) -> Remembered:
    place, plan, mutant = key
    if judged is None:
        return Remembered(place, plan, mutant, UNKNOWN, last, None, vain)
    if now - judged <= holds:
        return Remembered(place, plan, mutant, last, last, judged, None)
    since = min(judged + holds, vain or now) if judged > NO_DATE else vain
    return Remembered(place, plan, mutant, UNKNOWN, last, judged, since)
