"""`make fault-matrix`: at every request of inject and restore the API server answers badly.

For each kind of fault an undisturbed run tells the requests of the runner and of its watchdog, and
an undisturbed `acns-chaos restore` those of people and janitors. Each is answered with each kind of
trouble, once and for a while. However it ends, what is said is what really happened, nobody's edit
is overwritten, and afterwards the policies are as before.
"""

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from pathlib import Path

from tests.failures.crowd import interruptible, play
from tests.failures.experiments import KINDS as FAULTS
from tests.failures.left import Left, leave
from tests.failures.notes import Notes, chosen
from tests.failures.points import RUNNER, WATCHDOG, Point, points_of
from tests.failures.spoiled_restores import RestoreCase, cases_after, play_restore
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
    troubles_of,
)
from tests.failures.stand import Stand

__all__ = ["all_cases", "every_case", "main", "play_cases"]

KINDS = (HELD_KIND, *FAULTS)
# What is answered badly: runs with their watchdogs, and the command that restores.
RUNS, RESTORES = "runs", "restores"
# Runs wait more than they work: with fewer, two cores idle.
WORKERS = 6
# Kinds of fault whose policy a person edits while a run is at work: changed, and created.
PEOPLE = ("modify", "create", "clusterwide")


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
        assert run.journal["acns_chaos"]["faults"], run.output
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
    edited = _edited_at(kind, points := list(points)) if kind in PEOPLE else []
    for point in points:
        own = point.writes or point.after or point.dry_run
        if kind != HELD_KIND and point.agent == RUNNER and not own:
            continue
        found += [Case(kind, point, trouble, ONCE) for trouble in troubles_of(point)]
        if kind == HELD_KIND:
            found += [Case(kind, point, one, LASTING) for one in ("403", "404", "503", "hang")]
        if point in edited:
            found.append(Case(kind, point, "slow", PERSON))
            if point.writes and not _deletes(point):
                found.append(Case(kind, point, "unanswered-write", PERSON_AFTER))
    return found


def _edited_at(kind: str, points: list[Point]) -> list[Point]:
    """The runner's requests at which the policy that a person may edit is there."""
    mine = [one for one in points if one.agent == RUNNER]
    writes = [n for n, one in enumerate(mine) if one.writes and _policy(one)]
    # One that was created is there from the answer to its creation to its deletion.
    created = _deletes(mine[writes[-1]])
    return mine[writes[0] + 1 : writes[-1] + 1] if created else mine


def _policy(point: Point) -> bool:
    return point.resource.endswith("policies")


def _deletes(point: Point) -> bool:
    return point.verb == "delete" and _policy(point)


# ---------------------------------------------------------------------- playing


def play_cases(stand: Stand, cases: Iterable[Case | RestoreCase]) -> Iterable[Played]:
    """Play cases one after another on one stand."""
    lefts: dict[str, Left] = {}
    for case in cases:
        done = _played(stand, case, lefts)
        if done.problem == MISSED:
            stand.renew()
            done = _played(stand, case, lefts)
        yield done
        stand.renew()


def _played(stand: Stand, case: Case | RestoreCase, lefts: dict[str, Left]) -> Played:
    try:
        if isinstance(case, Case):
            return play_case(stand, case)
        # Another lab is another cluster, in which a record of this one is not believed.
        lab = f"{stand.home} {case.kind}"
        if lab not in lefts:
            lefts[lab] = leave(stand, case.kind)
        return play_restore(stand, lefts[lab], case)
    except Exception:  # noqa: BLE001 - told as what became of this case; the others are played
        stand.restart_lab()
        problem = "the harness did not get through"
        return Played(case, problem=problem, detail=traceback.format_exc())


def every_case(
    stand: Stand, kinds: Iterable[str], parts: Iterable[str] = (RUNS, RESTORES)
) -> list[Case | RestoreCase]:
    """Every case of some kinds, in a settled order; says how many there are."""
    found: list[Case | RestoreCase] = []
    for kind in kinds:
        runs: list[Case] = []
        restores: list[RestoreCase] = []
        if RUNS in parts:
            runs = all_cases(kind, points_of_kind(stand, kind))
        if RESTORES in parts and kind in FAULTS:
            restores = cases_after(stand, kind)
            stand.renew()
        found += [*runs, *restores]
        print(f"{kind}: {len(runs)} runs, {len(restores)} restores", flush=True)
    return found


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
    given = _options().parse_args(arguments)
    began = time.monotonic()
    notes = Notes(__spec__.name, Path(given.results) if given.results else None, given.resume)
    done: list[Played] = []
    with tempfile.TemporaryDirectory(prefix="acns-chaos-faults-") as folder:
        with Stand(Path(folder) / "stand", ENVIRON) as stand:
            cases = every_case(stand, given.kinds.split(","), given.parts.split(","))
        cases = chosen(cases, given.only)
        random.Random(given.seed).shuffle(cases)
        cases = [one for one in cases[: given.sample or None] if str(one) not in notes.passed]
        notes.begin(len(cases))
        print(f"{len(cases)} runs on {given.workers} labs", flush=True)
        for one in interruptible(play(play_cases, [cases], given.workers, folder, ENVIRON)):
            done.append(one)
            notes.add(
                str(one),
                one.problem,
                one.case.kind,
                outcome=one.outcome,
                sentence=one.sentence,
                by=one.by,
                seconds=round(one.seconds, 2),
                detail=one.detail,
            )
    done.sort(key=lambda one: one.case.trouble)
    print(table(done))
    notes.tell()
    slowest = max((one.seconds for one in done), default=0.0)
    minutes = (time.monotonic() - began) / 60
    before = f" ({len(notes.passed)} passed before)" if notes.passed else ""
    print(
        f"{len(done)} runs{before} in {minutes:.1f} minutes, {len(notes.failed)} failures, the "
        f"slowest {slowest:.0f} s, seed {given.seed}"
    )
    return 1 if notes.failed or len(done) < len(cases) or not (done or notes.passed) else 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="only this many runs")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--parts", default=f"{RUNS},{RESTORES}", help="what is answered badly")
    parser.add_argument("--only", default="", help="the case, or all, whose description holds this")
    parser.add_argument(
        "--results", default="out/fault-matrix.jsonl", help="a file for results as they come"
    )
    parser.add_argument("--resume", action="store_true", help="leave out what passed in that file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
