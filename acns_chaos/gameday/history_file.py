"""The file of the history: whose it is, its tables, and who writes to it when.

Belongs here: opening it, and what goes wrong in that. Does not belong here: what stands in it
(`history`).

A file that is somebody else's, broken, or of a newer version is never written to. One that is empty
says nothing: somebody is about to make its tables, or was ended before.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from acns_chaos.errors import GameDayError

__all__ = ["VARIABLE", "answers", "transaction"]

VARIABLE = "ACNS_CHAOS_HISTORY"
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
_TABLES_THERE = "SELECT COUNT(*) FROM sqlite_master"


def answers(path: Path, query: str, values: Mapping[str, str]) -> list[Any]:
    """Ask the file; nothing is written, and what is missing or empty has no rows.

    Args:
        path: of the file.
        query: one of ours.
        values: of its names.

    Raises:
        GameDayError: the file cannot be used.
    """
    if not path.exists():
        return []
    with _opened(path, "ro") as store:
        return store.execute(query, values).fetchall() if _has_tables(path, store) else []


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file to add to it: all of what is done is kept, or nothing where that raises.

    Args:
        path: of the file; it and its folder are made when missing.

    Raises:
        GameDayError: the file cannot be used or written.
    """
    with _opened(path, "rw") as store:
        # Asked in one transaction: another process may make the tables meanwhile.
        store.execute("BEGIN IMMEDIATE")
        if not _has_tables(path, store):
            for statement in _TABLES.split(";"):
                store.execute(statement)
            store.execute(f"PRAGMA application_id = {_APPLICATION}")
            store.execute(f"PRAGMA user_version = {_VERSION}")
        store.execute("COMMIT")
        _let_read(store)
        store.execute("BEGIN IMMEDIATE")
        yield store
        store.execute("COMMIT")


@contextmanager
def _opened(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    try:
        if mode == "rw":
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Its owner's alone: names of policies are nobody else's business.
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(_connected(path, mode)) as store:
            if mode == "ro" and _is_half_written(store):
                # Whoever opens it to write takes back what a killed process began.
                with closing(_connected(path, "rw")) as mending:
                    mending.execute(_TABLES_THERE).fetchone()
            yield store
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise GameDayError(
                f"{path} was written to by somebody else for {_PATIENCE:.0f} s: try again."
            ) from error
        raise GameDayError(
            f"The history {path} cannot be used: {error}. It must be on a local disk, in "
            f"a folder that can be written to: name another with --history or {VARIABLE}."
        ) from error
    except sqlite3.DatabaseError as error:
        raise GameDayError(
            f"{path} is no history of game days, or is broken ({error}); it was left as "
            "it is: move it away, or name another with --history."
        ) from error
    except OSError as error:
        raise GameDayError(
            f"The history {path} cannot be written: {error.strerror}; name another with "
            f"--history or {VARIABLE}."
        ) from error


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    location = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(location, uri=True, timeout=_PATIENCE, isolation_level=None)


def _is_half_written(store: sqlite3.Connection) -> bool:
    try:
        store.execute(_TABLES_THERE).fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
            raise
        return True
    return False


def _let_read(store: sqlite3.Connection) -> None:
    """Readers and a writer need not wait for each other; it is kept in the file."""
    try:
        store.execute("PRAGMA journal_mode = WAL").fetchone()
    except sqlite3.OperationalError as error:
        # SQLite does not wait here for whoever has the file open: the next one that adds will.
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise


def _has_tables(path: Path, store: sqlite3.Connection) -> bool:
    """Whether somebody made our tables; a file of anybody else is refused."""
    # As one answer: another process may make them meanwhile.
    application, version, tables = store.execute(
        f"SELECT application_id, user_version, ({_TABLES_THERE}) "  # noqa: S608 - a constant
        "FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if not (application or version or tables):
        return False
    if application != _APPLICATION:
        raise GameDayError(
            f"{path} is a database of another program; it was left as it is: name another "
            "file with --history."
        )
    if version > _VERSION:
        raise GameDayError(
            f"{path} was written by a newer acns-chaos (version {version} of the history, "
            f"this one knows {_VERSION}); it was left as it is: update, or name another file."
        )
    return True
