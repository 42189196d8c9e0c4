"""Kill a run at one request, and see whether everything comes back, and by whom."""

import time
from dataclasses import dataclass, field
from typing import Any

from acns_chaos.cluster.waiting import wait_until
from tests.failures.control import eventually
from tests.failures.points import RUNNER, WATCHDOG, Point
from tests.failures.processes import alive
from tests.failures.stand import Run, Stand

__all__ = ["AFTER", "BEFORE", "JANITOR", "LATE", "WATCHED", "Killed", "caught", "kill_at"]

# When the run dies: the request was not done; it was done and not answered; it is done later.
BEFORE, AFTER, LATE = "before", "after", "late"
_ORDERS: dict[str, dict[str, Any]] = {
    BEFORE: {"kind": "hang"},
    AFTER: {"kind": "hang-after"},
    LATE: {"kind": "late-write", "options": {"seconds": 0.7, "answer": "hang"}},
}
# Who is left: the watchdog, or only the janitor.
WATCHED, JANITOR = "watchdog", "janitor"
# The watchdog has two seconds, and the machine may be busy.
WATCHDOG_SECONDS, MARGIN = 2.0, 1.0
# What remains to be tidied by then: a creation that was never answered is waited for (3 s), a pod
# that waits for a name asks again after 7 s and has to start.
TIDY_SECONDS = 12.0
# The janitor has until the deadline and ten seconds.
JANITOR_SECONDS = 10.0
# No run takes longer to its next request than this.
PATIENCE = 40.0
JANITOR_AGENT = "acns-chaos-janitor"


@dataclass
class Killed:
    """What came of one kill.

    Attributes:
        kind: of the fault.
        point: the request.
        when: BEFORE, AFTER or LATE.
        left: WATCHED or JANITOR.
        seconds: from the kill until every policy was as before. That every pod is follows, in tidy.
        tidy: from the kill until nothing of the run was left.
        by: who wrote to a policy after the kill; "runner" when it had restored it itself, "" when
            nothing was changed.
        problem: what went wrong, "" when nothing did.
    """

    kind: str
    point: Point
    when: str
    left: str
    seconds: float = 0.0
    tidy: float = 0.0
    by: str = ""
    problem: str = ""
    seen: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.kind}, only the {self.left} left, killed {self.when} {self.point}"


def kill_at(
    stand: Stand,
    kind: str,
    experiment: dict[str, Any],
    point: Point,
    when: str,
    left: str,
    deadline: float,
) -> Killed:
    """Run an experiment, kill it at a request, and wait until all is as before.

    Args:
        stand: tidy, with a janitor if that is who is left.
        kind: of fault, for the result.
        experiment: to run.
        point: the request.
        when: BEFORE, AFTER or LATE.
        left: WATCHED kills the runner alone, JANITOR the watchdog with it.
        deadline: seconds after which the experiment's fault may be restored by anybody.
    """
    done = Killed(kind, point, when, left)
    stand.tidy()
    stand.listen()
    run = stand.run(experiment)
    order = caught(stand, run, point, when)
    if not order:
        done.problem = "the request did not come again"
        stand.kill(run, watchdogs=True)
        run.over.wait(20)
        return done
    dogs = stand.kill(run, watchdogs=left == JANITOR)
    began = time.monotonic()
    if when == LATE:
        # The policy is what it was at the end, not for a moment before the write arrives.
        wait_until(lambda: "unheard" in str(stand.about(order)["notes"]), 5.0, 0.02)
    stand.clear(order)
    if left == WATCHED:
        _watched(stand, done, dogs, began)
    else:
        _unwatched(stand, done, began, deadline)
    run.over.wait(20)
    done.by = _by(stand.requests())
    if not done.problem and left == WATCHED and dogs and run.left_behind():
        done.problem = f"its watchdog left files in the temporary folder: {run.left_behind()}"
    if done.problem:
        done.seen = [
            f"{one['user_agent']} {one['verb']}{' (dry)' * one['dry_run']} {one['path']}"
            for one in stand.requests()
        ]
    return done


def caught(stand: Stand, run: Run, point: Point, when: str) -> str:
    """Wait until the run stands at the request; returns the order that holds it, "" if it never.

    The write before a read is held first, so that the read is chosen among those after it.
    """
    first = ""
    if point.after is not None:
        options = {"seconds": 60}
        first = stand.order("slow", point.after.selection(), count=1, options=options)
        if not _struck(stand, run, first, ""):
            return ""
    chosen = {key: value for key, value in _ORDERS[when].items() if key != "kind"}
    order = stand.order(_ORDERS[when]["kind"], point.selection(), count=1, **chosen)
    if first:
        stand.clear(first)
    return order if _struck(stand, run, order, "unheard" if when == AFTER else "") else ""


def _struck(stand: Stand, run: Run, order: str, note: str) -> bool:
    def struck() -> str:
        about = stand.about(order)
        if about["struck"] and note in " ".join(about["notes"]):
            return "yes"
        return "no" if run.over.is_set() else ""

    return wait_until(struck, PATIENCE, 0.01) == "yes"


def _watched(stand: Stand, done: Killed, dogs: list[int], began: float) -> None:
    allowed = WATCHDOG_SECONDS + MARGIN
    if eventually(stand.is_original, allowed) is None:
        done.problem = f"not as before {allowed:g} s after the kill: {_differences(stand)}"
        return
    done.seconds = time.monotonic() - began

    def tidy() -> bool:
        left = stand.named() or stand.records() or any(alive(pid) for pid in dogs)
        return not left and stand.is_whole()

    if eventually(tidy, TIDY_SECONDS) is None:
        done.problem = (
            f"left {TIDY_SECONDS:g} s after the kill: records {stand.records()}, named in a Lease "
            f"{stand.named()}, watchdogs {[pid for pid in dogs if alive(pid)]}, probers "
            f"{stand.probers()}, all Ready: {stand.is_whole()}"
        )
        return
    done.tidy = time.monotonic() - began
    if not stand.is_original():
        done.problem = f"as before for a moment only: {_differences(stand)}"


def _unwatched(stand: Stand, done: Killed, began: float, deadline: float) -> None:
    allowed = deadline + JANITOR_SECONDS

    def settled() -> bool:
        if stand.is_original():
            done.seconds = done.seconds or time.monotonic() - began
        else:
            done.seconds = 0.0
        return bool(done.seconds) and not stand.named()

    if eventually(settled, allowed) is None:
        done.problem = (
            f"not as before {allowed:g} s after the kill: {_differences(stand)}, "
            f"named in a Lease {stand.named()}"
        )
        return
    if eventually(stand.is_whole, TIDY_SECONDS) is None:
        done.problem = f"probers {stand.probers()} are left, or a workload is not Ready"
        return
    done.tidy = time.monotonic() - began


def _by(requests: list[dict[str, Any]]) -> str:
    writers = [
        one["user_agent"]
        for one in requests
        if one["resource"].endswith("policies")
        and one["verb"] in ("create", "update", "delete")
        and not one["dry_run"]
    ]
    # A rehearsed deletion says so in its body, which no log shows: before the runner's first write
    # nothing of the watchdog's can be a restore.
    begun = [number for number, who in enumerate(writers) if who.startswith(RUNNER)]
    later = writers[begun[0] :] if begun else []
    for agent, word in ((WATCHDOG, "watchdog"), (JANITOR_AGENT, "janitor")):
        if any(who.startswith(agent) for who in later):
            return word
    return "runner" if len(begun) > 1 else ""


def _differences(stand: Stand) -> str:
    now, before = stand.policies(), stand.original
    wrong = [name for name in sorted({*now, *before}) if now.get(name) != before.get(name)]
    return ", ".join(wrong) or "no policy differs"
