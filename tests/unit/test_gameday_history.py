"""The history of game days: idempotent, apart by place and plan, and never over other files."""

import contextlib
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.errors import GameDayError
from acns_chaos.gameday.history import History, Remembered, history_path
from acns_chaos.gameday.merge import NOT_RUN
from acns_chaos.gameday.results import Result
from tests.tiers import examples
from tests.unit.gameday_results import detector, result

AVAILABILITY = "availability"


def on(date: int, mutant: str = "m1", status: str = "killed", **changes: Any) -> Result:
    """A result of a day of November 2026."""
    ended = f"2026-11-{date:02}T10:00:00+00:00"
    uid = f"lab-{date}"
    place = {"kind": "lab", "label": "LAB (simulated)", "uid": uid, "namespace": "pets"}
    shard = f"{uid}/pets"
    given = {"day": f"d{date:02}", "shard": shard, "ended": ended, "place": place}
    return result(mutant, status, **(given | changes))


def real(
    date: int, mutant: str = "m1", status: str = "killed", uid: str = "u9", **changes: Any
) -> Result:
    """The same of a cluster."""
    place = {"kind": "cluster", "label": "prod", "uid": uid, "namespace": "pets"}
    return on(date, mutant, status, place=place, shard=f"{uid}/pets", **changes)


@pytest.fixture
def history(tmp_path: Path) -> History:
    """Return a history that is not there yet."""
    return History(tmp_path / "state" / "history.sqlite")


def test_what_was_never_added_is_an_empty_history_and_no_file(history: History) -> None:
    """Looking makes nothing."""
    assert (history.trends(), history.regressions(), history.waited()) == ([], [], {})
    assert not history.path.parent.exists()


def test_adding_twice_changes_nothing(history: History) -> None:
    """A day may be added again after a crash, in parts and in any order."""
    found = [on(1, "m1"), on(1, "m2", "survived"), on(1, "m3", "unknown")]
    assert history.add(found, "pets") == 3
    before = history.trends()
    assert history.add(reversed(found), "pets") == 0
    assert history.trends() == before
    tally = before[0].directions[AVAILABILITY]
    assert (tally.killed, tally.survived, tally.unknown) == (1, 1, 1)


@given(st.permutations([0, 1, 2, 3]))
@examples(10)
def test_of_a_mutant_that_ran_twice_what_ended_first_counts(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    """As in merging, whichever was added first; one without an end comes last, none is dropped."""
    ends = ["", "2026-11-01T10:00:09+00:00", "2026-11-01T10:00:05+00:00", "soon"]
    statuses = ["survived", "survived", "killed", "survived"]
    history = History(tmp_path_factory.mktemp("history") / "h.sqlite")
    for place, number in enumerate(order):
        refused = 2 in order[:place]
        with pytest.raises(GameDayError) if refused else contextlib.suppress(GameDayError):
            history.add([on(1, status=statuses[number], ended=ends[number])], "pets")
    assert history.trends()[0].directions[AVAILABILITY].killed == 1


@pytest.mark.parametrize("made", [on, real])
def test_a_second_day_of_one_name_is_refused_and_not_dropped(
    history: History, made: Callable[..., Result]
) -> None:
    """Its regressions would never be seen, and in the lab both would count as one day."""
    first = [made(1, "m1", day="nightly"), made(1, "m2", day="nightly")]
    second = [
        made(2, "m1", "survived", day="nightly"),
        made(2, "m2", day="nightly"),
        made(2, "m3", day="nightly"),
    ]
    history.add(first, "pets")
    with pytest.raises(GameDayError, match=r"another result of m1 in .*, and of 1 more; nothing"):
        history.add(second, "pets")
    assert list(history.waited()) == ["m1", "m2"]
    assert history.add(first, "pets") == 0


def test_shards_of_one_day_are_added_one_after_the_other(history: History) -> None:
    """Also with what was added before, and where all of them are labs."""
    one, other = on(1, day="d"), on(2, day="d")
    assert history.add([one, real(1, day="d")], "pets") == 2
    assert history.add([real(1, day="d", uid="u8")], "pets") == 1
    assert history.add([other, one], "pets") == 1
    assert history.add([one], "pets") == history.add([other], "pets") == 0


def test_the_line_of_another_version_is_the_same_result(history: History) -> None:
    """A key more or less does not make another result of it."""
    history.add([on(1)], "pets")
    with sqlite3.connect(history.path) as store:
        store.execute("UPDATE result SET status = 'survived', line = '!' || line")
    store.close()
    history.add([on(1)], "pets")
    assert history.trends()[0].directions[AVAILABILITY].killed == 1


def test_whether_a_day_of_a_name_is_there_can_be_asked(history: History) -> None:
    """Of any plan and place; asking makes no file."""
    assert not history.knows("d01")
    assert not history.path.parent.exists()
    history.add([on(1)], "pets")
    assert (history.knows("d01"), history.knows("d1"), history.knows("")) == (True, False, False)


def test_a_mutant_that_was_not_run_is_not_remembered_as_tried(history: History) -> None:
    """It keeps waiting."""
    history.add([on(1, status="unknown", why=NOT_RUN)], "pets")
    assert history.trends() == []


def test_what_was_noticed_and_is_not_any_more_is_a_regression(history: History) -> None:
    """Days on which it was unknown in between do not hide it."""
    history.add([on(1), on(1, "m2", "survived")], "pets")
    history.add([on(2, status="unknown"), on(2, "m2", "survived")], "pets")
    assert history.regressions() == []
    history.add([on(3, status="survived"), on(3, "m2", "survived")], "pets")
    (one,) = history.regressions()
    assert (one.mutant, one.direction, one.day, one.killed) == ("m1", AVAILABILITY, "d03", "d01")
    assert str(one) == "m1 survived (availability); on d01 it was noticed by StorefrontDrops"
    assert history.regressions(day="d03") == [one]
    # Once known it is no news: it survived the last time, too.
    history.add([on(4, status="survived")], "pets")
    assert history.regressions() == []
    assert history.regressions(day="d03") == [one]


def test_a_regression_in_one_direction_is_one(history: History) -> None:
    """The mutant is still noticed in the other."""
    both = {"class": "both"}
    seen = [detector("A", judges="availability"), detector("S", judges="security")]
    history.add([on(1, detectors=seen, **both)], "pets")
    history.add([on(2, detectors=seen[:1], **both)], "pets")
    assert [one.direction for one in history.regressions()] == ["security"]


def test_a_regression_names_who_noticed_in_its_direction(history: History) -> None:
    """Not who noticed first in the other one; the soonest first."""
    seen = [
        detector("A", after=100, judges="availability"),
        detector("C", after=900, judges="security"),
        detector("B", after=300, judges="security"),
        detector("D", False, judges="security"),
    ]
    both = {"class": "both", "by": "A"}
    history.add([on(1, detectors=seen, **both)], "pets")
    silent = [seen[0], *(one | {"noticed": False, "after_ms": None} for one in seen[1:])]
    history.add([on(2, detectors=silent, **both)], "pets")
    (one,) = history.regressions()
    assert (one.direction, one.by) == ("security", "B, C")


def test_where_nobody_can_tell_nothing_regressed(history: History) -> None:
    """Nor is it the last judgement: a day on which the detector cannot tell hides nothing."""
    both = {"class": "both"}
    first = detector("A", judges="availability")
    history.add([on(1, detectors=[first, detector("S", judges="security")], **both)], "pets")
    history.add([on(2, detectors=[first, detector("S", None, judges="security")], **both)], "pets")
    assert history.regressions() == []
    history.add([on(3, detectors=[first, detector("S", False, judges="security")], **both)], "pets")
    assert [(one.killed, one.by) for one in history.regressions()] == [("d01", "S")]


def test_lab_clusters_and_plans_are_kept_apart(history: History) -> None:
    """A lab is the same place each time, though it has another uid; no cluster is another's."""
    history.add([on(1)], "pets")
    history.add([on(2, status="survived")], "other")
    history.add([real(2, status="survived"), real(2, status="survived", uid="u8")], "pets")
    assert history.regressions() == []
    assert [(one.place, one.plan) for one in history.trends()] == [
        ("lab/pets", "other"),
        ("lab/pets", "pets"),
        ("u8/pets", "pets"),
        ("u9/pets", "pets"),
    ]
    history.add([on(3, status="survived")], "pets")
    assert [one.place for one in history.regressions()] == ["lab/pets"]
    assert [one.place for one in history.trends(place="u9")] == ["u9/pets"]
    assert history.trends(place="u") == []


def test_the_newest_days_are_shown_the_oldest_first(history: History) -> None:
    """Of each plan and place so many."""
    for date in (3, 1, 2):
        history.add([on(date), real(date)], "pets")
    told = [(one.place, one.day) for one in history.trends(most=2)]
    assert told == [
        ("lab/pets", "d02"),
        ("lab/pets", "d03"),
        ("u9/pets", "d02"),
        ("u9/pets", "d03"),
    ]


def test_what_has_waited_is_when_it_was_last_judged(history: History) -> None:
    """A day on which it was unknown does not count as judged."""
    history.add([on(1), on(1, "m2", "unknown")], "pets")
    history.add([on(5, status="unknown")], "pets")
    assert history.waited("pets", "lab") == {"m1": datetime(2026, 11, 1, 10, tzinfo=UTC)}


def test_a_judgement_decays(history: History) -> None:
    """After a month it is unknown, and since when is said."""
    history.add([on(1), on(1, "m2", "unknown")], "pets")
    judged = datetime(2026, 11, 1, 10, tzinfo=UTC)
    soon, late = judged + timedelta(days=30), judged + timedelta(days=31)

    def told(now: datetime) -> list[tuple[str, str, datetime | None]]:
        found: list[Remembered] = history.remembered(now)
        return [(one.status, one.last, one.since) for one in found]

    assert told(soon) == [("killed", "killed", None), ("unknown", "unknown", judged)]
    assert told(late)[0] == ("unknown", "killed", soon)


@pytest.mark.parametrize("ended", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_line_with_a_date_that_nobody_can_mean_spoils_nothing(
    history: History, ended: str
) -> None:
    """It counts as one without a date, also where an older version has written it down."""
    history.add([on(1), on(2, "m2", ended=ended)], "pets")
    judged = datetime(2026, 11, 1, 10, tzinfo=UTC)
    none = datetime(1970, 1, 1, tzinfo=UTC)
    days = [("d02", none), ("d01", judged)]
    assert [(one.day, one.ended) for one in history.trends()] == days
    with sqlite3.connect(history.path) as store:
        seconds = datetime.fromisoformat(ended).timestamp()
        store.execute("UPDATE result SET ended = ? WHERE mutant = 'm2'", [seconds])
    store.close()
    assert [(one.day, one.ended) for one in history.trends()] == days
    assert history.waited() == {"m1": judged, "m2": none}
    assert [one.judged for one in history.remembered(judged)] == [judged, none]
    assert history.add([on(2, "m2", ended=ended)], "pets") == 0


def test_it_is_its_owners_alone(history: History) -> None:
    """Names of policies are nobody else's business."""
    history.add([on(1)], "pets")
    assert stat.S_IMODE(history.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(history.path.parent.stat().st_mode) == 0o700


# ---------------------------------------------------------------------- files that are not ours


def spoiled(path: Path, how: str) -> None:
    """Make a file that is no history of ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == "text":
        path.write_text("this is no database, and it is long enough to be looked at\n" * 20)
        return
    if how == "foreign":
        with sqlite3.connect(path) as store:
            store.execute("CREATE TABLE songs (name TEXT)")
        store.close()
        return
    History(path).add([on(1)], "pets")
    if how == "newer":
        with sqlite3.connect(path) as store:
            store.execute("PRAGMA user_version = 2")
        store.close()
    else:
        data = bytearray(path.read_bytes())
        data[100:] = bytes(len(data) - 100)
        path.write_bytes(data)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("text", "is no history of game days, or is broken"),
        ("foreign", "is a database of another program"),
        ("newer", "was written by a newer acns-chaos"),
        ("broken", "is no history of game days, or is broken"),
    ],
)
def test_what_is_not_ours_is_a_sentence_and_left_as_it_is(
    history: History, how: str, why: str
) -> None:
    """Neither reading nor adding changes a byte."""
    spoiled(history.path, how)
    before = history.path.read_bytes()
    for ask in (history.trends, history.regressions, lambda: history.add([on(2)], "pets")):
        with pytest.raises(GameDayError, match=why):
            ask()
    assert history.path.read_bytes() == before


def test_an_empty_file_says_nothing_and_can_be_added_to(history: History) -> None:
    """Somebody is about to make its tables, or was ended before."""
    history.path.parent.mkdir()
    history.path.touch()
    assert (history.trends(), history.waited(), history.knows("d01")) == ([], {}, False)
    assert history.path.read_bytes() == b""
    assert history.add([on(1)], "pets") == 1


def test_what_a_killed_process_began_is_taken_back(history: History, tmp_path: Path) -> None:
    """Also by who only looks: a day that begins would be refused for ever."""
    history.add([on(1)], "pets")
    with closing(sqlite3.connect(history.path, isolation_level=None)) as store:
        store.execute("PRAGMA journal_mode = DELETE").fetchone()
        store.execute("PRAGMA cache_size = 1")
        store.execute("BEGIN IMMEDIATE")
        row = "SELECT day || n, shard, mutant, place, plan, policy, family, status, availability"
        row += ", security, signalled, by_whom, first_ms, ended, line FROM result"
        numbers = "WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many LIMIT 99) "
        store.execute(f"{numbers} INSERT INTO result {row}, many")
        # As it would be there after a kill: the journal on the disk, and a part of the pages.
        left = History(tmp_path / "left.sqlite")
        for end in ("", "-journal"):
            shutil.copy(f"{history.path}{end}", f"{left.path}{end}")
    assert list(left.waited()) == ["m1"]
    assert [one.day for one in left.trends()] == ["d01"]


def test_a_folder_that_cannot_be_written_to_is_a_sentence(tmp_path: Path) -> None:
    """It names the option."""
    (tmp_path / "file").write_text("")
    with pytest.raises(GameDayError, match="name another with --history"):
        History(tmp_path / "file" / "h.sqlite").add([on(1)], "pets")
    with pytest.raises(GameDayError, match="--history"):
        History(tmp_path).add([on(1)], "pets")


def test_a_name_with_odd_letters_is_a_name(tmp_path: Path) -> None:
    """A path is no URI, and a mutant's id no SQL."""
    history = History(tmp_path / "a ?mode=ro#%20 b.sqlite")
    history.add([on(1, "'; DROP TABLE result; --")], "it's")
    assert list(history.waited("it's")) == ["'; DROP TABLE result; --"]
    assert {one.name[:7] for one in tmp_path.iterdir()} == {"a ?mode"}


def test_the_path_is_an_option_a_variable_or_the_folder_for_state() -> None:
    """In this order; a relative XDG folder is ignored, as its specification says."""
    home = {"HOME": "/home/me"}
    usual = Path("/home/me/.local/state/acns-chaos/history.sqlite")
    assert history_path("x.sqlite", {"ACNS_CHAOS_HISTORY": "y"}) == Path("x.sqlite")
    assert history_path("", home | {"ACNS_CHAOS_HISTORY": "/y"}) == Path("/y")
    assert history_path("", home) == history_path("", home | {"XDG_STATE_HOME": "here"}) == usual
    state = history_path("", home | {"XDG_STATE_HOME": "/state"})
    assert state == Path("/state/acns-chaos/history.sqlite")


_WRITER = """
import sys
from pathlib import Path
from acns_chaos.gameday.history import History
from tests.unit.test_gameday_history import on

number = int(sys.argv[2])
sys.stdin.readline()
History(Path(sys.argv[1])).waited()
for mutant in range(40):
    History(Path(sys.argv[1])).add([on(1, f"m{mutant}"), on(1, f"own-{number}-{mutant}")], "pets")
"""


@pytest.mark.slow
def test_several_processes_add_at_once(history: History) -> None:
    """To a file that is not there yet, asking before: nothing is lost or twice, nobody fails."""
    command = [sys.executable, "-c", _WRITER, str(history.path)]
    root = Path(__file__).parents[2]
    writers = [
        subprocess.Popen(
            [*command, str(number)], cwd=root, stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for number in range(4)
    ]
    for one in writers:
        assert one.stdin is not None
        one.stdin.write(b"go\n")
        one.stdin.flush()
    assert [(one.communicate(timeout=60)[1], one.returncode) for one in writers] == [(b"", 0)] * 4
    assert history.trends()[0].directions[AVAILABILITY].killed == 40 + 4 * 40
