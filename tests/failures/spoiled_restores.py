"""Answer one request of `acns-chaos restore` badly, and judge what it says and what it leaves.

A killed run left a fault and its record. Somebody restores by hand, or the janitor does, and meets
trouble. Whatever comes of it: "restored" is said of nothing that is not, nobody's edit is
overwritten, the command ends and says what to do, and the same command puts everything back later.
"""

import re
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.failures.control import eventually
from tests.failures.experiments import EDITABLE
from tests.failures.left import Left, leave
from tests.failures.points import Point, points_of
from tests.failures.processes import send
from tests.failures.spoiling import (
    BUGS,
    ENDLESS,
    FOREVER,
    LASTING,
    MISSED,
    ONCE,
    PERSON,
    PERSON_AFTER,
    Played,
    arrived,
    edit_stands,
    heard,
    ordered,
    trouble_comes,
    troubles_of,
    without_the_edit,
)
from tests.failures.stand import Run, Stand

__all__ = ["COMMANDS", "RestoreCase", "cases_after", "play_restore"]

IN = ("--namespace", "pets")
# Exit codes: nothing is left; the cluster cannot be used; not restored; somebody else's edit.
DONE, UNUSABLE, NOT_RESTORED, DRIFTED = 0, 2, 7, 9
# A janitor with a round every two seconds has this long once the trouble is over.
ROUNDS = 20.0
# A sentence that says so of a policy: "pets/allow-store-front-traffic is as it was (run …)."
_RESTORED = re.compile(r"^(\S+) (?:is as it was|was as before already) \(run ", re.MULTILINE)
# How a sentence says what to do; one that only tells what went wrong leaves people alone.
_NEXT = re.compile(
    r"again|by hand|by-hand|--force|restore --|put (that )?right|let somebody|kubectl|apply |allow "
    r"|compare|correct|name (a|another) |stop them|delete it|start a lab",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Command:
    """One way to restore.

    Attributes:
        arguments: of `acns-chaos restore`; RUN stands for the run's id.
        agent: what it calls itself.
        old: whether the record's deadline passed long ago.
        known: whether a janitor's Lease lies there from before.
        watches: whether it goes on until it is told to end.
    """

    arguments: tuple[str, ...]
    agent: str = "acns-chaos-restore"
    old: bool = False
    known: bool = False
    watches: bool = False

    def lay(self, stand: Stand, left: Left) -> None:
        """Have a stand as it is when this command is given."""
        left.lay(stand, self.old)
        stand.janitor_was_there(self.known)


RUN = "RUN"
_JANITOR = "acns-chaos-janitor"
COMMANDS = {
    "restore --all": Command(("--all",)),
    "restore --all an hour late": Command(("--all",), old=True),
    "restore --run": Command(("--run", RUN)),
    "restore --expired": Command(("--expired",), _JANITOR, old=True, known=True),
    "restore --expired --watch": Command(
        ("--expired", "--watch"), _JANITOR, old=True, watches=True
    ),
}
# What a record holds makes no difference to who may restore it, so one kind meets all commands.
FIRST_KIND, FIRST_COMMAND = "modify", "restore --all"


@dataclass(frozen=True, slots=True)
class RestoreCase:
    """One request of a restore answered badly; attributes as `spoiling.Case`.

    Attributes:
        command: of COMMANDS.
        kind: of the fault that was left.
        point: the request.
        trouble: a kind of misbehaviour of the lab.
        how: ONCE, LASTING, FOREVER, PERSON or PERSON_AFTER.
    """

    command: str
    kind: str
    point: Point
    trouble: str
    how: str

    def __str__(self) -> str:
        return f"{self.command} after {self.kind}, {self.trouble} {self.how} at {self.point}"


# ---------------------------------------------------------------------- enumerating


def cases_after(stand: Stand, kind: str) -> list[RestoreCase]:
    """Every trouble at every request of restoring what a killed run of a kind left.

    What the kinds have in common, up to the first policy, is met with the first of them only.
    """
    left = leave(stand, kind)
    found: list[RestoreCase] = []
    for name, command in COMMANDS.items():
        if kind != FIRST_KIND and name != FIRST_COMMAND:
            continue
        points = points_of_restore(stand, left, command)
        if kind != FIRST_KIND:
            own = [n for n, one in enumerate(points) if one.resource.endswith("policies")]
            points = points[own[0] :]
        for point in points:
            found += [RestoreCase(name, kind, point, *one) for one in _spoiled(command, point)]
        if name == FIRST_COMMAND and kind in EDITABLE:
            for point in _edited_at(kind, points):
                found.append(RestoreCase(name, kind, point, "slow", PERSON))
                if point.writes and not (point.verb == "delete" and "policies" in point.resource):
                    found.append(RestoreCase(name, kind, point, "unanswered-write", PERSON_AFTER))
    return found


def points_of_restore(stand: Stand, left: Left, command: Command) -> list[Point]:
    """Every request of an undisturbed restore; two must agree."""
    before: list[Point] = []
    once = [one for one in command.arguments if one != "--watch"]
    for _ in range(6):
        stand.renew()
        command.lay(stand, left)
        stand.listen()
        run = stand.restore(*_given(once, left), *IN)
        assert run.code == DONE, run.output
        assert stand.is_original()
        assert stand.records() + stand.named() == []
        points = points_of(stand.requests(), command.agent)
        if points == before:
            return points
        before, earlier = points, before
    differ = [str(one) for one in {*points} ^ {*earlier}]
    raise AssertionError(f"undisturbed restores of {left.kind} make other requests: {differ}")


def _spoiled(command: Command, point: Point) -> list[tuple[str, str]]:
    """Kinds of trouble and how long they last."""
    once = [(one, ONCE) for one in troubles_of(point)]
    lasting = ["403", "404", "429", "503", "hang", *(["409"] if point.writes else [])]
    if command.watches:
        # Once is what the command without --watch meets, and another round.
        return [(one, LASTING) for one in lasting] + [one for one in once if "write" in one[0]]
    return once + [(one, FOREVER) for one in lasting]


def _edited_at(kind: str, points: list[Point]) -> list[Point]:
    """The requests at which the policy that a person may edit is there.

    One that the fault created is gone once it is restored.
    """
    if not any(one.verb == "delete" and one.name == _name(kind) for one in points):
        return points
    last = max(
        n for n, one in enumerate(points) if one.verb == "delete" and _name(kind) in one.path
    )
    return points[: last + 1]


def _name(kind: str) -> str:
    return EDITABLE[kind].rpartition("/")[2]


def _given(arguments: Iterable[str], left: Left) -> list[str]:
    return [left.run if one == RUN else one for one in arguments]


# ---------------------------------------------------------------------- playing


def play_restore(stand: Stand, left: Left, case: RestoreCase) -> Played:
    """Restore with trouble at one request, and judge how it ended.

    Args:
        stand: as at its start.
        left: by a killed run of the case's kind.
        case: the case.
    """
    command = COMMANDS[case.command]
    done = Played(case)
    stand.tidy()
    command.lay(stand, left)
    stand.listen()
    began = time.monotonic()
    order, first = ordered(stand, case)
    run = stand.command("restore", *_given(command.arguments, left), *IN)
    struck = trouble_comes(stand, run, case, order, first)
    person = struck and case.how in (PERSON, PERSON_AFTER)
    if not struck:
        done.problem = MISSED
    elif command.watches:
        _judge_janitor(stand, done, run)
    else:
        _judge(stand, done, run, person)
    done.seconds = time.monotonic() - began
    if not run.over.is_set():
        stand.kill(run)
        run.over.wait(20)
        done.problem = done.problem or f"it does not end within {ENDLESS:g} s"
    stand.clear()
    if not done.problem:
        if case.trouble == "late-write":
            arrived(stand, order)
        _later(stand, done, _given([one for one in command.arguments if one != "--watch"], left))
    if not done.problem and run.left_behind():
        done.problem = f"it left files in the temporary folder: {run.left_behind()}"
    if done.problem:
        done.detail = heard(stand, run)
    return done


def _judge(stand: Stand, done: Played, run: Run, person: bool) -> None:
    """Hold exit code and sentences against what is there."""
    if not run.over.wait(ENDLESS):
        return
    told = run.output
    done.outcome, done.sentence = f"exit code {run.code}", " ".join(told.split())
    there = stand.policies()
    edited = edit_stands(there)
    if person:
        there = without_the_edit(there)
    back = there == stand.original
    if bug := next((one for one in BUGS if one in told), ""):
        done.problem = f"somebody did not expect that answer ({bug})"
    elif run.code not in (DONE, UNUSABLE, NOT_RESTORED, DRIFTED):
        done.problem = f"exit code {run.code}"
    elif run.code == DONE and not back:
        done.problem = "exit code 0, and a policy is still changed"
    elif wrong := _falsely_restored(told, there, stand.original):
        done.problem = f"said to be restored, and it is not: {wrong}"
    elif run.code != DONE and not _NEXT.search(told):
        done.problem = "nothing says what to do next"
    elif person and not edited:
        done.problem = "a person's edit was overwritten"
    elif run.code == DRIFTED and not person:
        done.problem = "somebody else is said to have changed the policy, and nobody did"
    done.by = "nobody: a person edited it" if person else "restore" if back else ""


def _falsely_restored(told: str, there: dict[str, Any], original: dict[str, Any]) -> str:
    """Policies that are said to be restored and differ."""
    said = _RESTORED.findall(told)
    titles = [title for title in {*there, *original} if title.split(" ", 1)[1].lstrip("/") in said]
    return ", ".join(one for one in titles if there.get(one) != original.get(one))


def _judge_janitor(stand: Stand, done: Played, run: Run) -> None:
    """One that goes on has restored by itself once the trouble is over, and ends when told.

    What it ends with is what its last round came to: it is told after a round without trouble.
    """
    begun = _rounds(stand)

    def settled() -> bool:
        return run.over.is_set() or (_nothing_left(stand) and _rounds(stand) >= begun + 2)

    if eventually(settled, ROUNDS) is None:
        done.problem = f"not as before {ROUNDS:g} s after the trouble was over"
    elif run.over.is_set():
        done.problem = f"the janitor ended by itself with exit code {run.code}"
    else:
        done.by = "restore"
    send(run.pid, signal.SIGTERM)
    ended = run.over.wait(20)
    done.outcome, done.sentence = f"exit code {run.code}", " ".join(run.output.split())
    if done.problem:
        return
    if not ended:
        done.problem = "the janitor does not end when it is told to"
    elif run.code != DONE:
        done.problem = f"the janitor ended with exit code {run.code} when it was told to"
    elif bug := next((one for one in BUGS if one in run.output), ""):
        done.problem = f"somebody did not expect that answer ({bug})"


def _rounds(stand: Stand) -> int:
    """How many rounds the janitor has begun."""
    return sum(one["path"] == "/version" for one in stand.requests())


def _nothing_left(stand: Stand) -> bool:
    return stand.is_original() and not stand.named() and not stand.records()


def _later(stand: Stand, done: Played, arguments: list[str]) -> None:
    """The trouble is over: the same command restores what is left, once and for all."""
    again = stand.restore(*arguments, *IN)
    if done.case.how in (PERSON, PERSON_AFTER):
        # Where the person edited what was restored already, nothing is left to restore.
        if not edit_stands(stand.policies()):
            done.problem = "a person's edit was overwritten by the second restore"
        elif again.code not in (DONE, DRIFTED):
            done.problem = f"the second restore answers {again.code}: {again.output}"
        return
    if again.code != DONE:
        done.problem = f"the second restore answers {again.code}: {again.output}"
    elif not stand.is_original():
        done.problem = f"not as before after the second restore: {again.output}"
    elif stand.named():
        done.problem = f"a Lease still names {stand.named()}: {again.output}"
    elif "Nothing to restore" not in again.output and "restore" in done.by:
        done.by = "restore, and what was left by the second"
    elif not done.by:
        done.by = "the second restore"
