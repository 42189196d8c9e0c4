"""The memory of game days: a local SQLite file that results are added to.

Belongs here: the store, and what it says: trends, regressions, what has waited longest. Does not
belong here: what the results of one day come to (`score`).

What is compared is only what can be: the same plan in the same place. The lab is one place, each
cluster is one of its own. Several processes may add at once, and adding twice changes nothing. A
file that is somebody else's, broken, or of a newer version is never written to.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from acns_chaos.errors import GameDayError
from acns_chaos.gameday.merge import NOT_RUN
from acns_chaos.gameday.plan_values import AVAILABILITY, SECURITY
from acns_chaos.gameday.results import KILLED, LAB, SURVIVED, UNKNOWN, Result
from acns_chaos.gameday.score import DIRECTIONS, Judges, Tally, status_in, status_of

__all__ = [
    "HOLDS",
    "VARIABLE",
    "History",
    "Regression",
    "Remembered",
    "Trend",
    "history_path",
    "place_of",
]

VARIABLE = "ACNS_CHAOS_HISTORY"
# For so long a judgement holds: a cluster changes.
HOLDS = timedelta(days=30)
# "ACNS" in SQLite's own field for whose file it is, and the version of the tables below.
_APPLICATION, _VERSION = 0x41434E53, 1
# Seconds to wait for another process that writes.
_PATIENCE = 10.0
_TABLES = """
CREATE TABLE result (
    day TEXT NOT NULL, shard TEXT NOT NULL, mutant TEXT NOT NULL,
    place TEXT NOT NULL, plan TEXT NOT NULL, policy TEXT NOT NULL, family TEXT NOT NULL,
    status TEXT NOT NULL, availability TEXT NOT NULL, security TEXT NOT NULL,
    signalled INTEGER NOT NULL, by_whom TEXT NOT NULL, first_ms REAL, ended REAL NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (day, shard, mutant)
) WITHOUT ROWID;
CREATE INDEX result_judged ON result (place, plan, mutant, ended);
"""
# Of two results of one mutant on one day that which ended first counts, as in `merge`; what does
# not say when it ended comes last.
_ADD = """
INSERT INTO result VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, shard, mutant) DO UPDATE SET
    place = excluded.place, plan = excluded.plan, policy = excluded.policy,
    family = excluded.family, status = excluded.status, availability = excluded.availability,
    security = excluded.security, signalled = excluded.signalled, by_whom = excluded.by_whom,
    first_ms = excluded.first_ms, ended = excluded.ended, line = excluded.line
WHERE (excluded.ended = 0, excluded.ended, excluded.line) < (ended = 0, ended, line)
"""


@dataclass(frozen=True, slots=True)
class Trend:
    """One day of one plan in one place.

    Attributes:
        place: as `place_of`.
        plan: its name.
        day: its id.
        ended: when its last mutant ended.
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
        by: who noticed it first then.
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
        judged: when it was; None for never.
        since: since when it is unknown: the day it was first tried in vain after that judgement, or
            when the judgement ceased to hold; None while it is not.
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
            How many were new, or took another's place.

        Raises:
            GameDayError: the file cannot be used, or cannot be written.
        """
        rows = [_row(one, plan, judges) for one in results if one.why != NOT_RUN]
        with self._opened(writing=True) as store:
            before = store.total_changes
            store.execute("BEGIN IMMEDIATE")
            store.executemany(_ADD, rows)
            added = store.total_changes - before
            store.execute("COMMIT")
            return added

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
            SELECT place, plan, day, MAX(ended), {columns} FROM result
            WHERE {_WANTED} GROUP BY place, plan, day ORDER BY place, plan, MAX(ended), day
        """  # noqa: S608 - the columns are constants
        groups: dict[tuple[str, str], list[Trend]] = {}
        for where, name, day, ended, *counts in self._asked(query, _wanted(plan, place)):
            tallies = {way: Tally(*counts[4 * n : 4 * n + 4]) for n, way in enumerate(DIRECTIONS)}
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
            SELECT place, plan, day, mutant, availability, security, by_whom FROM result
            WHERE {_WANTED} ORDER BY place, plan, mutant, ended, day
        """  # noqa: S608 - a constant
        found: list[Regression] = []
        last: dict[tuple[str, str, str, str], tuple[str, str, str]] = {}
        for where, name, when, mutant, *told, by in self._asked(query, _wanted(plan, place)):
            looked = when == (day or newest.get((where, name)))
            for way, status in zip((AVAILABILITY, SECURITY), told, strict=True):
                key = (where, name, mutant, way)
                before = last.get(key)
                if looked and status == SURVIVED and before and before[0] == KILLED:
                    found.append(Regression(where, name, mutant, way, when, before[1], before[2]))
                if status in (KILLED, SURVIVED):
                    last[key] = status, when, by
        return found

    def waited(self, plan: str = "", place: str = "") -> dict[str, datetime]:
        """Each mutant that was ever judged, to when it last was.

        Arguments and errors as `trends`.
        """
        query = f"""
            SELECT mutant, MAX(ended) FROM result
            WHERE status IN ('{KILLED}', '{SURVIVED}') AND {_WANTED} GROUP BY mutant
        """  # noqa: S608 - constants
        return {
            mutant: _moment(ended) for mutant, ended in self._asked(query, _wanted(plan, place))
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
            SELECT place, plan, mutant, status, ended FROM result
            WHERE {_WANTED} ORDER BY place, plan, mutant, ended, day
        """  # noqa: S608 - a constant
        known: dict[tuple[str, str, str], tuple[str, datetime | None, datetime | None]] = {}
        for *key, status, ended in self._asked(query, _wanted(plan, place)):
            last, judged, vain = known.get(tuple(key), (UNKNOWN, None, None))
            if status == UNKNOWN:
                known[tuple(key)] = last, judged, vain or _moment(ended)
            else:
                known[tuple(key)] = status, _moment(ended), None
        return [
            _remembered((*key,), last, judged, vain, now, holds)
            for key, (last, judged, vain) in known.items()
        ]

    # ------------------------------------------------------------------ the file

    def _asked(self, query: str, values: Mapping[str, str]) -> list[Any]:
        if not self.path.exists():
            return []
        with self._opened(writing=False) as store:
            return store.execute(query, values).fetchall()

    @contextmanager
    def _opened(self, *, writing: bool) -> Iterator[sqlite3.Connection]:
        """Open the file, and see that it is ours before anything is written."""
        try:
            if writing:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                # Its owner's alone: names of policies are nobody else's business.
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            mode = "rw" if writing else "ro"
            location = f"{self.path.absolute().as_uri()}?mode={mode}"
            with closing(
                sqlite3.connect(location, uri=True, timeout=_PATIENCE, isolation_level=None)
            ) as store:
                self._prepare(store, writing=writing)
                yield store
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise GameDayError(
                    f"{self.path} was written to by somebody else for {_PATIENCE:.0f} s: try again."
                ) from error
            raise GameDayError(
                f"The history {self.path} cannot be used: {error}. It must be on a local disk, in "
                f"a folder that can be written to: name another with --history or {VARIABLE}."
            ) from error
        except sqlite3.DatabaseError as error:
            raise GameDayError(
                f"{self.path} is no history of game days, or is broken ({error}); it was left as "
                "it is: move it away, or name another with --history."
            ) from error
        except OSError as error:
            raise GameDayError(
                f"The history {self.path} cannot be written: {error.strerror}; name another with "
                f"--history or {VARIABLE}."
            ) from error

    def _prepare(self, store: sqlite3.Connection, *, writing: bool) -> None:
        """Refuse what is not ours; make the tables of what is empty."""
        # Asked in one transaction: another process may make the tables meanwhile.
        store.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
        application, version = (
            store.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version")
        )
        tables = store.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        is_empty = not (application or version or tables)
        if not is_empty and application != _APPLICATION:
            raise GameDayError(
                f"{self.path} is a database of another program; it was left as it is: name another "
                "file with --history."
            )
        if version > _VERSION:
            raise GameDayError(
                f"{self.path} was written by a newer acns-chaos (version {version} of the history, "
                f"this one knows {_VERSION}); it was left as it is: update, or name another file."
            )
        if is_empty:
            if not writing:
                raise GameDayError(f"{self.path} is empty: no game day was added to it.")
            for statement in _TABLES.split(";"):
                store.execute(statement)
            store.execute(f"PRAGMA application_id = {_APPLICATION}")
            store.execute(f"PRAGMA user_version = {_VERSION}")
        store.execute("COMMIT")
        if writing:
            # Readers and a writer do not wait for each other. Kept in the file.
            store.execute("PRAGMA journal_mode = WAL").fetchone()


_WANTED = (
    "(:plan = '' OR plan = :plan) AND "
    "(:place = '' OR place = :place OR substr(place, 1, length(:place) + 1) = :place || '/')"
)


def _wanted(plan: str, place: str) -> dict[str, str]:
    return {"plan": plan, "place": place}


def _counts(way: str) -> str:
    """The columns of a `Tally`."""
    statuses = (KILLED, SURVIVED, UNKNOWN)
    columns = [f"COUNT(*) FILTER (WHERE {way} = '{status}')" for status in statuses]
    return ", ".join([*columns, f"COUNT(*) FILTER (WHERE {way} = '{SURVIVED}' AND signalled)"])


def _row(one: Result, plan: str, judges: Judges | None) -> tuple[str | float | None, ...]:
    ended = one.ended_at
    return (
        *(one.day, one.shard, one.mutant, place_of(one), plan, one.policy, one.family),
        status_of(one, judges),
        status_in(one, AVAILABILITY, judges),
        status_in(one, SECURITY, judges),
        int(any(signal.rose for signal in one.signals)),
        one.by,
        one.first_ms,
        ended.timestamp() if ended else 0.0,
        one.line(),
    )


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
    return Remembered(place, plan, mutant, UNKNOWN, last, judged, min(judged + holds, vain or now))
