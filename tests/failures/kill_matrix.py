"""`make kill-matrix`: kill a run at every request it makes, and see everything come back.

For each kind of fault an undisturbed run tells the requests. Then the runner is killed (SIGKILL)
before and after each of them, and with a write to a policy or pod also while it is on its way: once
with its watchdog alive, once with both dead and only `acns-chaos restore --expired --watch` left.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.failures.crowd import interruptible, play
from tests.failures.experiments import DEADLINE, DEADLINES, KINDS, MORE, experiment, flagship
from tests.failures.killing import AFTER, BEFORE, JANITOR, LATE, WATCHED, Killed, kill_at
from tests.failures.notes import Notes, chosen
from tests.failures.points import Point, points_of
from tests.failures.stand import Stand

__all__ = ["ALL", "Case", "cases_of", "main", "of_each_kind_first", "run_cases", "table"]

FLAGSHIP = "flagship"
ALL = (*KINDS, *MORE, FLAGSHIP)
# A machine that is busy may let a request pass; then the case is tried again.
TRIES = 3


@dataclass(frozen=True, slots=True)
class Case:
    """One kill."""

    kind: str
    point: Point
    when: str
    left: str

    def __str__(self) -> str:
        return f"{self.kind}, only the {self.left} left, killed {self.when} {self.point}"


def document(kind: str, folder: Path) -> dict[str, Any]:
    """The experiment of a kind."""
    return flagship() if kind == FLAGSHIP else experiment(kind, folder)


def requests_of(stand: Stand, kind: str) -> list[Point]:
    """Run an experiment undisturbed; returns the requests at which its runner is to be killed.

    A write that met a conflict is repeated, and other runs will not do so: two runs must agree.
    """
    before: list[Point] = []
    for _ in range(2 * TRIES):
        points = _undisturbed(stand, kind)
        if points and points == before:
            return points
        before = points
    raise AssertionError(f"no two undisturbed runs of {kind} make the same requests")


def _undisturbed(stand: Stand, kind: str) -> list[Point]:
    """The requests of one run; none when its deadline passed before its method restored."""
    stand.tidy()
    stand.listen()
    run = stand.run(document(kind, stand.folder()))
    assert run.over.wait(90), run.output
    faults = run.journal.get("acns_chaos", {}).get("faults") or []
    assert faults, run.output
    assert all(one["restored"]["verified"] for one in faults), run.output
    assert stand.is_original()
    assert stand.is_whole()
    assert stand.records() + stand.named() + stand.holders() == []
    if any(one["restored"]["by"] != "method" for one in faults):
        return []
    return points_of(stand.requests(), reads=kind != FLAGSHIP)


def cases_of(kind: str, points: Iterable[Point]) -> list[Case]:
    """Every kill of one kind of fault."""
    found: list[Case] = []
    for point in points:
        moments = [BEFORE, AFTER]
        if point.writes and (point.resource.endswith("policies") or point.resource == "pods"):
            moments.append(LATE)
        found += [Case(kind, point, when, left) for when in moments for left in (WATCHED, JANITOR)]
    return found


def of_each_kind_first(cases: list[Case]) -> list[Case]:
    """The same cases, with one of each kind in front, so that a sample holds them all."""
    first = {case.kind: case for case in reversed(cases)}
    return [*first.values(), *(case for case in cases if first[case.kind] is not case)]


def run_cases(stand: Stand, cases: Iterable[Case]) -> Iterable[Killed]:
    """Play kills one after another on one stand; the lab must be as at the start between them."""
    for case in cases:
        if case.left == JANITOR:
            stand.start_janitor()
        else:
            stand.stop_janitor()
        deadline = DEADLINES.get(case.kind, DEADLINE)
        for _ in range(TRIES):
            plan = document(case.kind, stand.folder())
            done = kill_at(stand, case.kind, plan, case.point, case.when, case.left, deadline)
            if done.problem != "the request did not come again":
                break
        yield done
        stand.renew()


# ---------------------------------------------------------------------- telling


def table(done: list[Killed]) -> str:
    """Figures by kind of fault, for people."""
    header = (
        "kind           requests  kills   restored by  watchdog  janitor  runner  nobody needed   "
        "slowest: watchdog  janitor  failures"
    )
    rows = [header]
    for kind in dict.fromkeys(one.kind for one in done):
        mine = [one for one in done if one.kind == kind]
        by = {
            word: sum(one.by == word for one in mine)
            for word in ("watchdog", "janitor", "runner", "")
        }
        slowest = {
            left: max([one.seconds for one in mine if one.left == left], default=0.0)
            for left in (WATCHED, JANITOR)
        }
        rows.append(
            f"{kind:<14} {len({one.point for one in mine}):>8}  {len(mine):>5}   {'':<11}  "
            f"{by['watchdog']:>8}  {by['janitor']:>7}  {by['runner']:>6}  {by['']:>13}   "
            f"{slowest[WATCHED]:>15.2f} s  {slowest[JANITOR]:>5.2f} s  "
            f"{sum(bool(one.problem) for one in mine):>6}"
        )
    return "\n".join(rows)


def main(arguments: list[str] | None = None) -> int:
    """Play the matrix; exit code 1 when anything did not come back."""
    given = _options().parse_args(arguments)
    began = time.monotonic()
    notes = Notes(__spec__.name, Path(given.results) if given.results else None, given.resume)
    done: list[Killed] = []
    with tempfile.TemporaryDirectory(prefix="acns-chaos-kills-") as folder:
        cases: list[Case] = []
        with Stand(Path(folder) / "stand") as stand:
            for kind in given.kinds.split(","):
                points = requests_of(stand, kind)
                cases += cases_of(kind, points)
                writes = sum(one.writes for one in points)
                print(f"{kind}: {len(points)} requests, {writes} of them writes", flush=True)
        cases = chosen(cases, given.only)
        random.Random(given.seed).shuffle(cases)
        cases = of_each_kind_first(cases)
        cases = [one for one in cases[: given.sample or None] if str(one) not in notes.passed]
        notes.begin(len(cases))
        print(f"{len(cases)} kills on {given.workers} labs", flush=True)
        # Those that only the janitor restores come last, so that it is not at work before.
        heaps = [[one for one in cases if one.left == left] for left in (WATCHED, JANITOR)]
        for one in interruptible(play(run_cases, heaps, given.workers, folder)):
            done.append(one)
            notes.add(
                str(one),
                one.problem,
                one.kind,
                by=one.by,
                seconds=round(one.seconds, 2),
                detail="\n    ".join(one.seen),
            )
    done.sort(key=lambda one: ALL.index(one.kind))
    print(table(done))
    notes.tell()
    minutes = (time.monotonic() - began) / 60
    before = f" ({len(notes.passed)} passed before)" if notes.passed else ""
    print(
        f"{len(done)} kills{before} in {minutes:.1f} minutes, {len(notes.failed)} failures, "
        f"seed {given.seed}"
    )
    return 1 if notes.failed or len(done) < len(cases) or not (done or notes.passed) else 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="only this many kills")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kinds", default=",".join(ALL))
    parser.add_argument("--only", default="", help="the kill, or all, whose description holds this")
    parser.add_argument(
        "--results", default="out/kill-matrix.jsonl", help="a file for results as they come"
    )
    parser.add_argument("--resume", action="store_true", help="leave out what passed in that file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
