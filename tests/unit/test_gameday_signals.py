"""Being told to end: heard from the first moment of a day to its last."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from acns_chaos.gameday.signals import SIGNALS, Ended, Signals, held

KILLED = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    yield
    assert {number: signal.getsignal(number) for number in SIGNALS} == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask


@pytest.mark.parametrize("number", KILLED)
def test_a_signal_ends_what_looks(number: signal.Signals) -> None:
    """As Ctrl-C does, so that all lets go of what it holds; and it is known which one came."""
    with Signals() as signals:
        signals.listen()
        with pytest.raises(Ended):
            signal.raise_signal(number)
    assert signals.number == number
    assert signals.name == number.name
    assert issubclass(Ended, KeyboardInterrupt)


def test_one_that_was_lost_on_its_way_is_heard_before_anything_is_injected() -> None:
    """What is raised in a finaliser, Python only prints."""
    with Signals() as signals:
        signals.listen()
        with contextlib.suppress(Ended):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Ended):
            signals.require_none()
    with Signals() as signals:
        signals.require_none()


def test_what_is_written_at_the_end_is_written_first(capfd: pytest.CaptureFixture[str]) -> None:
    """Once; whoever says it again means it."""
    with Signals() as signals:
        signals.listen()
        with signals.noted():
            signal.raise_signal(signal.SIGTERM)
            assert signals.number == signal.SIGTERM
            with pytest.raises(Ended):
                signal.raise_signal(signal.SIGHUP)
    assert "SIGTERM came: the day is written first." in capfd.readouterr().err
    assert signals.number == signal.SIGTERM


def test_one_that_is_ignored_stays_ignored() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            signals.listen()
            signal.raise_signal(signal.SIGHUP)
        assert signals.number == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_one_that_comes_while_they_are_held_is_heard_afterwards() -> None:
    """Also by the program that a process becomes meanwhile."""
    program = (
        "import os, signal, sys\n"
        "from acns_chaos.gameday.signals import Ended, Signals, held\n"
        "if sys.argv[1:] == ['first']:\n"
        "    with held():\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "        os.execv(sys.executable, [sys.executable, '-c', os.environ['PROGRAM'], 'then'])\n"
        "with Signals() as signals:\n"
        "    try:\n"
        "        signals.listen()\n"
        "    except Ended:\n"
        "        print('heard', signals.name, sys.argv[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "first"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PROGRAM": program, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout == "heard SIGTERM then\n", done.stderr


def test_what_was_held_in_vain_is_let_go() -> None:
    """Where the process becomes no other program."""
    with held():
        assert signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, [])
