"""Signals, a closed terminal, a disk that is full: restored first, reported second."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from acns_chaos.cluster.waiting import wait_until
from tests.journeys.conftest import Chaos, Done, Lab
from tests.journeys.minimal import (
    activity,
    broken,
    experiment,
    inject,
    moment,
    nothing_is_left,
    read,
    seconds_until_submitted,
)
from tests.lab.misbehaving import orders_for
from tests.tiers import loop

pytestmark = [pytest.mark.journey, pytest.mark.slow]

# The budget is 150 ms on a machine that is not busy with other things; tests share theirs.
PROMPT = 0.15
BUSY = 1.0

STUBBORN = """
import time

def stubborn():
    "Take no exception for an answer, as a client library does that retries everything."
    until = time.monotonic() + 4
    while time.monotonic() < until:
        try:
            time.sleep(0.1)
        except BaseException:
            pass
"""


def pause() -> dict[str, Any]:
    """A pause of the host's."""
    one = read("the storefront is Ready", "read_readiness", workload="store-front")
    return {**one, "pauses": {"before": 15}}


def hanging_request(lab: Lab) -> list[dict[str, Any]]:
    """A probe that waits for an answer that does not come."""
    orders_for(lab.home).inject("hang", server="shop")
    return [inject(), read("the shop", "read_storefront", timeout=15)]


def hanging_exec(lab: Lab) -> list[dict[str, Any]]:
    """A probe in a pod, which waits for a denied connection."""
    arguments = {"workload": "virtual-customer", "service": "rabbitmq", "port": 5672}
    return [inject(), read("a stranger", "read_connection", **arguments, timeout=15)]


def witness_loop(lab: Lab) -> list[dict[str, Any]]:
    """An effect that does not come, as the agents are down."""
    orders_for(lab.home).inject("frozen-agent")
    return [inject(timeout=15)]


def stubborn(lab: Lab) -> list[dict[str, Any]]:
    """An activity that swallows what the host's handlers raise."""
    (lab.home / "stubborn.py").write_text(STUBBORN)
    return [inject(), activity("be stubborn", "stubborn", "stubborn")]


def in_the_background(lab: Lab) -> list[dict[str, Any]]:
    """A thread for which the host waits before it plays the rollbacks."""
    orders_for(lab.home).inject("hang", server="shop")
    waiting = read("the shop", "read_storefront", timeout=4)
    return [inject(), {**waiting, "background": True}, pause()]


MOMENTS: list[Callable[[Lab], list[dict[str, Any]]]] = [
    hanging_request,
    hanging_exec,
    witness_loop,
    lambda _: [inject(), pause()],
    stubborn,
    in_the_background,
]


def interrupted(chaos: Chaos, lab: Lab, method: list[dict[str, Any]], number: int) -> float:
    """Run, send the signal while the fault stands; returns seconds until a restore was sent."""
    before = lab.policies()
    started = chaos.start(experiment(*method), PYTHONPATH=str(lab.home))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    sent = moment()
    started[0].send_signal(number)
    assert wait_until(lambda: not broken(lab), 5, interval=0.005), "it was not restored at once"
    done = chaos.finish(started)
    is_no_pass(done)
    nothing_is_left(lab, before)
    return seconds_until_submitted(done, sent)


def is_no_pass(done: Done) -> None:
    """Assert that the run says that it did not hold, and that the policy was put back."""
    assert done.code == 1, done.output
    # Cut short, or the effect was not waited for.
    assert done.outcome in ("INCONCLUSIVE", "NOT_INJECTED"), done.section["outcome"]
    for fault in done.section["faults"]:
        assert fault["restored"]["verified"], fault["restored"]


@pytest.mark.parametrize("at", loop(MOMENTS), ids=lambda one: getattr(one, "__name__", "pause"))
def test_whatever_runs_when_the_signal_comes(
    chaos: Chaos, lab: Lab, at: Callable[[Lab], list[dict[str, Any]]]
) -> None:
    """The restore is on its way at once, on both engines, also while nothing can be interrupted."""
    seconds = interrupted(chaos, lab, at(lab), signal.SIGTERM)
    assert seconds < BUSY, seconds


@pytest.mark.parametrize(
    "number",
    loop(
        [
            *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT),
            *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM),
        ]
    ),
)
def test_whatever_signal_comes(own_chaos: Chaos, lab: Lab, number: signal.Signals) -> None:
    """Also those that would kill, and the host's own that skips the rollbacks."""
    seconds = interrupted(own_chaos, lab, hanging_request(lab), number)
    assert seconds < BUSY, seconds


def test_the_restore_is_submitted_within_its_budget(own_chaos: Chaos, lab: Lab) -> None:
    """150 ms after the signal; the best of three, as other programs share the machine."""
    method = [inject(), pause()]
    found = [interrupted(own_chaos, lab, method, signal.SIGINT) for _ in range(3)]
    assert min(found) < PROMPT, found


@pytest.mark.parametrize("number", loop([signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL]))
def test_a_signal_that_ends_the_process_on_the_spot(
    own_chaos: Chaos, lab: Lab, number: signal.Signals
) -> None:
    """Nothing of the run is left to restore: the watchdog does."""
    before = lab.policies()
    started = own_chaos.start(experiment(inject(), pause()))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    started[0].send_signal(number)
    assert wait_until(lambda: not broken(lab), 2, interval=0.01)
    assert own_chaos.finish(started).code == -number
    nothing_is_left(lab, before)


def test_two_signals_are_as_good_as_one(own_chaos: Chaos, lab: Lab) -> None:
    """Somebody presses Ctrl-C until it ends: restored, and said."""
    before = lab.policies()
    started = own_chaos.start(experiment(inject(), pause()))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    for _ in range(20):
        started[0].send_signal(signal.SIGINT)
        wait_until(lambda: None, 0.01)
    done = own_chaos.finish(started)
    assert done.code != 0
    nothing_is_left(lab, before)


def test_a_closed_terminal(own_chaos: Chaos, lab: Lab) -> None:
    """The window is closed: SIGHUP, and whatever is said from then on goes nowhere."""
    before = lab.policies()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        # The terminal is its own, as in a window.
        ["setsid", "--ctty", *chaos_run(own_chaos, experiment(inject(), pause()))],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=own_chaos.folder,
        env=own_chaos.environ,
    )
    os.close(theirs)
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    os.close(ours)
    assert wait_until(lambda: not broken(lab), 5, interval=0.01)
    assert process.wait(60) != 0
    nothing_is_left(lab, before)


def chaos_run(chaos: Chaos, what: dict[str, Any], journal: str = "journal.json") -> list[str]:
    """The command that runs an experiment."""
    file = chaos.folder / "experiment.json"
    file.write_text(json.dumps(what))
    program = [str(chaos.host.chaos), "--no-version-check", "--no-log-file", "run"]
    return [*program, "--journal-path", journal, str(file)]


def unwritable(chaos: Chaos, lab: Lab, journal: str, *arguments: str) -> int:
    """Run to the end with a journal that cannot be written; returns the exit code."""
    before = lab.policies()
    method = inject(), read("the storefront is Ready", "read_readiness", workload="store-front")
    done = subprocess.run(
        [*arguments, *chaos_run(chaos, experiment(*method), journal)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=chaos.folder,
        env=chaos.environ,
        timeout=60,
    )
    assert "Outcome: " in done.stdout, done.stdout
    nothing_is_left(lab, before)
    return done.returncode


def test_a_full_disk(own_chaos: Chaos, lab: Lab) -> None:
    """No byte of the journal can be stored: everything is restored, and the run is no pass."""
    assert unwritable(own_chaos, lab, "/dev/full") != 0


def test_a_disk_that_fills_up(own_chaos: Chaos, lab: Lab) -> None:
    """Some of the journal fits and the rest does not."""
    assert unwritable(own_chaos, lab, "journal.json", "prlimit", "--fsize=4096", "--") != 0
    assert (own_chaos.folder / "journal.json").stat().st_size <= 4096


def test_a_journal_without_a_folder(own_chaos: Chaos, lab: Lab) -> None:
    """Its folder is not there when it is to be written."""
    assert unwritable(own_chaos, lab, "no/journal.json") != 0
