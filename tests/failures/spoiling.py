"""Answer one request of a run badly, and judge how the run ended and what it left.

How a request is answered badly is also what `spoiled_restores` needs; how a run is judged is not.
"""

import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from acns_chaos.cluster.waiting import wait_until
from tests.failures.control import eventually
from tests.failures.experiments import EDITABLE, experiment, short_flagship
from tests.failures.points import Point
from tests.failures.stand import Run, Stand

__all__ = [
    "BUGS",
    "EDITED",
    "ENDLESS",
    "ENVIRON",
    "FOREVER",
    "HELD_KIND",
    "LASTING",
    "MISSED",
    "ONCE",
    "PERSON",
    "PERSON_AFTER",
    "Case",
    "Played",
    "Spoiled",
    "arrived",
    "document",
    "edit_stands",
    "heard",
    "ordered",
    "play_case",
    "trouble_comes",
    "troubles_of",
    "without_the_edit",
]

HELD_KIND = "held"
ONCE, LASTING, FOREVER = "once", "for a while", "for ever"
# Somebody edits the policy while the request is on its way, or was done and not answered.
PERSON, PERSON_AFTER = "while a person edits", "before a person edits"
STATUSES = ("401", "403", "404", "409", "429", "500", "503")
# How long trouble lasts, from its first strike.
WHILE = 2.5
# A server that hangs is waited for this long, instead of ten seconds.
ENVIRON = {"ACNS_CHAOS_API_TIMEOUT": "1.0"}
# The last net asks a silent server for 90 s; nothing lasts longer than that.
ENDLESS = 120.0
EDITED = "edited by hand"
MISSED = "the request did not come again"
# What a program says that did not expect an answer.
BUGS = (
    "Traceback",
    "KeyError",
    "TypeError",
    "AttributeError",
    "NameError",
    "ValueError",
    "Unbound",
)


class Spoiled(Protocol):
    """A case of either matrix part: a request, its trouble, and for how long."""

    @property
    def kind(self) -> str:
        """Of the fault."""

    @property
    def point(self) -> Point:
        """The request."""

    @property
    def trouble(self) -> str:
        """A kind of misbehaviour of the lab."""

    @property
    def how(self) -> str:
        """ONCE, LASTING, FOREVER, PERSON or PERSON_AFTER."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request answered badly.

    Attributes:
        kind: of fault, or "held": an experiment that can be HELD.
        point: the request.
        trouble: a kind of misbehaviour of the lab.
        how: ONCE, LASTING, PERSON or PERSON_AFTER.
    """

    kind: str
    point: Point
    trouble: str
    how: str

    def __str__(self) -> str:
        return f"{self.kind}, {self.trouble} {self.how} at {self.point}"


@dataclass
class Played:
    """What came of it.

    Attributes:
        case: the case.
        outcome: the journal's, "" when there is none; of a command its exit code.
        by: who restored in the end: "run", "others" (watchdog) or "restore --all".
        seconds: how long the run took.
        problem: what is wrong, "" when nothing is.
    """

    case: Spoiled
    outcome: str = ""
    sentence: str = ""
    by: str = ""
    seconds: float = 0.0
    problem: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return str(self.case)


def document(kind: str, folder: Path) -> dict[str, Any]:
    """The experiment of a kind."""
    return short_flagship() if kind == HELD_KIND else experiment(kind, folder)


def play_case(stand: Stand, case: Case) -> Played:
    """Run an experiment with trouble at one request, and judge how it ended."""
    done = Played(case)
    stand.tidy()
    stand.listen()
    began = time.monotonic()
    order, first = ordered(stand, case)
    run = stand.run(document(case.kind, stand.folder()))
    struck = trouble_comes(stand, run, case, order, first)
    person = struck and case.how in (PERSON, PERSON_AFTER)
    ended = run.over.wait(ENDLESS)
    done.seconds = time.monotonic() - began
    at_end = stand.policies()
    if not ended:
        done.problem = f"it does not end within {ENDLESS:g} s"
        stand.kill(run, watchdogs=True)
        run.over.wait(20)
    elif not struck:
        done.problem = MISSED
    else:
        _judge(stand, done, run, at_end, person)
    if not done.problem:
        _afterwards(stand, done, person, order)
    if not done.problem and eventually(lambda: not run.left_behind(), 5.0) is None:
        done.problem = f"it left files in the temporary folder: {run.left_behind()}"
    stand.clear()
    if done.problem:
        done.detail = heard(stand, run)
    return done


def heard(stand: Stand, run: Run) -> str:
    """What was asked and said, for whoever looks at a failure."""
    requests = "\n    ".join(
        f"{one['user_agent']} {one['verb']}{' (dry)' * one['dry_run']} {one['path']}"
        for one in stand.requests()
    )
    return f"{requests}\n    {run.output[-3000:]}"


def ordered(stand: Stand, case: Spoiled) -> tuple[str, str]:
    """Order the trouble; before a read that comes after a write, hold that write first."""
    if case.point.after is not None:
        options = {"seconds": 60}
        return "", stand.order("slow", case.point.after.selection(), count=1, options=options)
    return _order(stand, case), ""


def _order(stand: Stand, case: Spoiled) -> str:
    count = None if case.how in (LASTING, FOREVER) else 1
    seconds = {"late-write": 2.0, "slow": 60}.get(case.trouble)
    options = {"seconds": seconds} if seconds else {}
    return stand.order(case.trouble, case.point.selection(), count=count, options=options)


def trouble_comes(stand: Stand, run: Run, case: Spoiled, order: str, first: str) -> bool:
    """Let the trouble come and go; returns whether it came."""

    def struck(number: str) -> bool:
        found = wait_until(
            lambda: bool(stand.about(number)["struck"]) or run.over.is_set(), ENDLESS, 0.02
        )
        return bool(found) and bool(stand.about(number)["struck"])

    if first:
        if not struck(first):
            return False
        order = _order(stand, case)
        stand.clear(first)
    if not struck(order):
        return False
    if case.how == LASTING:
        run.over.wait(WHILE)
        stand.clear(order)
    elif case.how == FOREVER:
        run.over.wait(ENDLESS)
        stand.clear(order)
    elif case.how in (PERSON, PERSON_AFTER):
        options = {"policy": EDITABLE[case.kind], "after": 0, "start": "now"}
        person = stand.order("person", {}, options=options, count=1)
        assert eventually(lambda: stand.about(person)["struck"], 5.0) is not None
        stand.clear(order)
    return True


def troubles_of(point: Point) -> list[str]:
    """What may be answered to a request, once."""
    writing = point.verb in ("create", "update", "patch", "delete")
    found = [one for one in STATUSES if one != "409" or writing]
    found += ["reset", "hang", "unanswered-write" if point.writes else "reset-mid-body"]
    if point.writes and point.resource.endswith("policies"):
        found.append("late-write")
    return found


# ---------------------------------------------------------------------- judging


def _judge(stand: Stand, done: Played, run: Run, at_end: dict[str, Any], person: bool) -> None:
    """Hold what the journal says against what is there."""
    section = run.journal.get("acns_chaos")
    if not isinstance(section, dict):
        done.problem = "it wrote no journal of ours"
        return
    outcome = section["outcome"]
    done.outcome, done.sentence = str(outcome["name"]), str(outcome["sentence"])
    original = at_end == stand.original
    faults = section["faults"]
    claims = [one for one in faults if (one.get("restored") or {}).get("verified")]
    if person:
        at_end = without_the_edit(at_end)
    wrong = [one for one in faults if _differs(one, at_end, stand.original)]
    if (run.code == 0) is not (done.outcome == "HELD"):
        done.problem = f"exit code {run.code} with outcome {done.outcome}"
    elif done.outcome == "HELD" and not (original and faults and len(claims) == len(faults)):
        done.problem = "HELD, and it was not"
    elif any(one in claims for one in wrong):
        done.problem = "a policy is said to be restored, and it is not"
    elif not original and done.outcome not in ("NOT_RESTORED", "INCONCLUSIVE") and not person:
        done.problem = f"a policy is changed, and the outcome is {done.outcome}"
    elif not outcome.get("next"):
        done.problem = "nothing says what to do next"
    elif bug := next((one for one in BUGS if one in done.sentence or one in run.output), ""):
        done.problem = f"somebody did not expect that answer ({bug})"
    elif original and not person:
        done.by = "run"


def without_the_edit(policies: dict[str, Any]) -> dict[str, Any]:
    """The policies as they were but for what the person wrote."""
    found = deepcopy(policies)
    for policy in found.values():
        spec = policy.get("spec") or {}
        if spec.get("description") == EDITED:
            del spec["description"]
    return found


def edit_stands(policies: dict[str, Any]) -> bool:
    """Whether what the person wrote still stands."""
    return any((one.get("spec") or {}).get("description") == EDITED for one in policies.values())


def _differs(fault: dict[str, Any], now: dict[str, Any], original: dict[str, Any]) -> bool:
    policy = fault["policy"]
    name = f"{policy['kind']} {policy['namespace']}/{policy['name']}"
    return now.get(name) != original.get(name)


def arrived(stand: Stand, order: str) -> None:
    """Wait until a late write has arrived, two seconds after it was sent."""
    wait_until(lambda: "unheard" in str(stand.about(order)["notes"]), 5.0, 0.1)


def _afterwards(stand: Stand, done: Played, edited: bool, order: str) -> None:
    """The trouble is over: the policy comes back by itself or by one command."""
    if edited:
        stand.restore("--all", "--namespace", "pets")
        if not edit_stands(stand.policies()):
            done.problem = "a person's edit was overwritten"
        elif done.outcome == "HELD":
            done.problem = "HELD, while a person edited the policy"
        done.by = "nobody: a person edited it"
        return
    if done.case.trouble == "late-write":
        arrived(stand, order)
    if eventually(stand.is_original, 3.0) is None or stand.named():
        told = stand.restore("--all", "--namespace", "pets")
        done.by = "restore --all"
        if told.code != 0:
            done.problem = f"restore --all answers {told.code}: {told.output}"
    if not stand.is_original():
        done.problem = done.problem or "the policies are not as before"
    elif stand.named():
        done.problem = done.problem or f"a Lease still names {stand.named()}"
    done.by = done.by or "others"
