"""A game day is killed at random moments and resumed: no mutant twice, none lost, nothing left.

The moments, and whether the day's process, the one that runs mutants or both are killed, follow
from ACNS_CHAOS_SEED and the case's number.
"""

import os
import signal
from collections.abc import Iterator

import pytest

from acns_chaos.cluster.waiting import wait_until
from tests.conftest import IN_CI
from tests.failures.gamedays import BOTH, CHILD, PARENT, GameDay
from tests.tiers import loop

pytestmark = pytest.mark.slow

SEED = os.environ.get("ACNS_CHAOS_SEED", "9")
# Of `make full`, and of CI whatever its part; ACNS_CHAOS_GAMEDAY_KILLS=50 plays more.
CASES = int(os.environ.get("ACNS_CHAOS_GAMEDAY_KILLS") or 5)


@pytest.fixture(scope="module")
def game_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GameDay]:
    """A day that was begun, in a lab of its own."""
    with GameDay(tmp_path_factory.mktemp("gameday")) as found:
        yield found


@pytest.fixture
def begun(game_day: GameDay) -> GameDay:
    """The day, of which nothing is run yet."""
    game_day.anew()
    return game_day


@pytest.mark.parametrize("case", loop(range(CASES), keep=CASES if IN_CI else 1))
def test_killed_at_random_moments_and_resumed(begun: GameDay, case: int) -> None:
    """Whoever dies, and whenever."""
    begun.play(f"{SEED}-{case}")
    assert sorted(begun.counted()) == sorted(begun.selected()), begun.log
    begun.settle()


@pytest.mark.full
def test_killed_while_the_fault_stands(game_day: GameDay) -> None:
    """The policy is put back by the watchdog, and the mutant is run again."""
    for who in (CHILD, PARENT, BOTH):
        game_day.anew()
        _killed(game_day, who)


def _killed(begun: GameDay, who: str) -> None:
    process = begun.resume()
    assert _stands(begun), begun.tail()
    begun.kill(process, who)
    if who != CHILD:
        begun.settle()
        process = begun.resume()
    assert process.wait(120) in (0, 1), begun.tail()
    assert sorted(begun.counted()) == sorted(begun.selected())
    begun.settle()


@pytest.mark.full
def test_told_to_end_while_the_fault_stands(game_day: GameDay) -> None:
    """It restores, says how to go on, and ends as one that a signal ended."""
    for number in (signal.SIGINT, signal.SIGTERM):
        game_day.anew()
        _told(game_day, number)


def _told(begun: GameDay, number: signal.Signals) -> None:
    process = begun.resume()
    assert _stands(begun), begun.tail()
    process.send_signal(number)
    assert process.wait(60) == 128 + number, begun.tail()
    assert not begun.left()
    assert (
        f"{len(begun.selected())} to go: acns-chaos gameday run --resume {begun.day}"
        in begun.tail()
    )
    assert begun.resume().wait(120) in (0, 1), begun.tail()
    assert sorted(begun.counted()) == sorted(begun.selected())


def _stands(day: GameDay) -> bool:
    return bool(wait_until(lambda: day.policies() != day.original, 60, 0.02))
