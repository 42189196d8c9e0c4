"""`make fault-matrix`: at every request of inject and restore the API server answers badly.

For some kinds of fault an undisturbed run tells the requests of the runner and of its watchdog.
Then each is answered with each kind of trouble, once and for a while. However it ends, the outcome
says what really happened, nobody's edit is overwritten, and afterwards the policies are as before.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.failures.crowd import play
from tests.failures.points import RUNNER, WATCHDOG, Point, points_of
from tests.failures.spoiling import (
    ENVIRON,
    HELD_KIND,
    LASTING,
    MISSED,
    ONCE,
    PERSON,
    PERSON_AFTER,
    Case,
    Played,
    document,
    play_case,
)
from tests.failures.stand import Stand

__all__ = ["all_cases", "every_case", "main", "play_cases"]

KINDS = (HELD_KIND, "modify", "delete", "create", "two-documents")
STATUSES = ("401", "403", "404", "409", "429", "500", "503")


def points_of_kind(stand: Stand, kind: str) -> list[Point]:
    """Every request of the runner and of its watchdog in an undisturbed run.

    A write that met a conflict is repeated, and other runs will not do so: two runs must agree.
    """
    before: list[Point] = []
    for _ in range(6):
        stand.tidy()
        stand.listen()
        run = stand.run(document(kind, stand.folder()))
        assert run.over.wait(90), run.output
        assert stand.is_original()
        if kind == HELD_KIND:
            assert run.code == 0, run.output
        heard = stand.requests()
        points = points_of(heard, RUNNER)
        if points == before:
            return [*points, *points_of(heard, WATCHDOG)]
        before = points
    raise AssertionError(f"no two undisturbed runs of {kind} make the same requests")


def all_cases(kind: str, points: Iterable[Point]) -> list[Case]:
    """Every trouble at every request of one kind of fault.

    What the kinds have in common, up to the Lease, is met with the first of them only.
    """
    found: list[Case] = []
    for point in points:
        if kind != HELD_KIND and point.agent == RUNNER and not (point.writes or point.after):
            continue
        found += [Case(kind, point, trouble, ONCE) for trouble in _troubles(point)]
        if kind == HELD_KIND:
            found += [Case(kind, point, one, LASTING) for one in ("403", "404", "503", "hang")]
        if kind == "modify" and point.agent == RUNNER:
            found.append(Case(kind, point, "slow", PERSON))
            if point.writes:
                found.append(Case(kind, point, "unanswered-write", PERSON_AFTER))
    return found


def _troubles(point: Point) -> list[str]:
    writing = point.verb in ("create", "update", "patch", "delete")
    found = [one for one in STATUSES if one != "409" or writing]
    found += ["reset", "hang", "unanswered-write" if point.writes else "reset-mid-body"]
    if point.writes and point.resource.endswith("policies"):
        found.append("late-write")
    return found


# ---------------------------------------------------------------------- playing


def play_cases(stand: Stand, cases: Iterable[Case]) -> Iterable[Played]:
    """Play cases one after another on one stand."""
    for case in cases:
        done = play_case(stand, case)
        if done.problem == MISSED:
            _renew(stand)
            done = play_case(stand, case)
        yield done
        _renew(stand)


def _renew(stand: Stand) -> None:
    stand.tidy()
    if not stand.is_original():
        stand.restart_lab()


def every_case(stand: Stand, kinds: Iterable[str]) -> list[Case]:
    """Every case of some kinds, in a settled order."""
    return [case for kind in kinds for case in all_cases(kind, points_of_kind(stand, kind))]


def table(done: list[Played]) -> str:
    """Figures by trouble, for people."""
    rows = ["trouble            runs  failures  outcomes; who restored"]
    for trouble in dict.fromkeys(one.case.trouble for one in done):
        mine = [one for one in done if one.case.trouble == trouble]
        outcomes = _counted(one.outcome for one in mine)
        by = _counted(one.by for one in mine)
        failures = sum(bool(one.problem) for one in mine)
        rows.append(f"{trouble:<18} {len(mine):>4}  {failures:>8}  {outcomes}; {by}")
    return "\n".join(rows)


def _counted(words: Iterable[str]) -> str:
    found = [word or "none" for word in words]
    return ", ".join(f"{word} {found.count(word)}" for word in sorted(set(found)))


def main(arguments: list[str] | None = None) -> int:
    """Play the matrix; exit code 1 when anything ended otherwise than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="only this many runs")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--only", default="", help="only cases whose description holds this")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    done: list[Played] = []
    with tempfile.TemporaryDirectory(prefix="acns-chaos-faults-") as folder:
        with Stand(Path(folder) / "stand", ENVIRON) as stand:
            cases = [
                one for one in every_case(stand, given.kinds.split(",")) if given.only in str(one)
            ]
        random.Random(given.seed).shuffle(cases)
        cases = cases[: given.sample or None]
        print(f"{len(cases)} runs on {given.workers} labs", flush=True)
        for one in play(play_cases, [cases], given.workers, folder, ENVIRON):
            done.append(one)
            if one.problem:
                print(
                    f"FAILED {one}: {one.problem}: {one.outcome} {one.sentence}\n    {one.detail}",
                    flush=True,
                )
            if len(done) % 50 == 0:
                print(f"{len(done)} runs, {time.monotonic() - began:.0f} s", flush=True)
    failed = [one for one in done if one.problem]
    done.sort(key=lambda one: one.case.trouble)
    print(table(done))
    for one in failed:
        print(f"FAILED {one}: {one.problem}")
    slowest = max((one.seconds for one in done), default=0.0)
    minutes = (time.monotonic() - began) / 60
    print(
        f"{len(done)} runs in {minutes:.1f} minutes, {len(failed)} failures, the slowest "
        f"{slowest:.0f} s, seed {given.seed}"
    )
    return 1 if failed or not done else 0


if __name__ == "__main__":
    sys.exit(main())
