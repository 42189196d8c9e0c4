"""Hold on to the Leases of a run, and notice when one is lost.

A renewal that is not answered loses nothing until the Lease would have lapsed. One that was deleted
or taken is lost at once: another run may be changing the same policies by now. Nothing is restored
here, and nobody is told.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from acns_chaos.cluster.leases import Leases
from acns_chaos.errors import AcnsChaosError, ApiError, LeaseHeld, NotFound

__all__ = ["Tenure"]


@dataclass(slots=True)
class _Kept:
    """A Lease, when it was last renewed (by the clock given), and whether it is lost."""

    lease: Leases
    renewed: float
    lost: bool = False


class Tenure:
    """The Leases of one run, each held already when it is added.

    Args:
        holder: what they call the run.
        duration: seconds after which one lapses that is not renewed.
        clock: seconds, monotonic; injected by tests.
    """

    def __init__(
        self, holder: str, duration: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._holder = holder
        self._duration = duration
        self._clock = clock
        # Replaced, never changed: one thread adds while another renews.
        self._kept: tuple[_Kept, ...] = ()

    def add(self, lease: Leases) -> None:
        """Keep this one, too; it was written just now."""
        self._kept = (*self._kept, _Kept(lease, self._clock()))

    def keep(self, closely: bool) -> str:
        """Renew what is due.

        Args:
            closely: look also at those that are not due, because something stands behind them.

        Returns:
            One sentence, once, when a Lease was lost; "" otherwise.

        Raises:
            ApiError: one could not be asked about, and has not lapsed yet; the others were kept.
        """
        trouble: list[ApiError] = []
        lost: list[str] = []
        for one in self._kept:
            if one.lost:
                continue
            try:
                self._keep(one, closely)
            except (LeaseHeld, NotFound) as error:
                one.lost = True
                lost.append(str(error))
            except ApiError as error:
                silent = self._clock() - one.renewed
                if silent <= self._duration:
                    trouble.append(error)
                    continue
                one.lost = True
                lost.append(
                    f"Lease {one.lease.name} could not be renewed for {silent:.0f} s, so anybody "
                    f"may have taken it ({error})."
                )
        if lost:
            return f"The run lost its Lease, so it restores and ends. {' '.join(lost)}"
        if trouble:
            raise trouble[0]
        return ""

    def _keep(self, one: _Kept, closely: bool) -> None:
        moment = self._clock()
        try:
            if moment - one.renewed > self._duration / 3:
                one.lease.renew(self._holder)
                one.renewed = moment
            elif closely:
                one.lease.require(self._holder)
        except NotFound:
            # An answer may be wrong, and a Lease that is gone ends the run: look again.
            one.lease.require(self._holder)

    def release(self) -> None:
        """Let go of them; what cannot be written lapses by itself."""
        for one in self._kept:
            with suppress(AcnsChaosError):
                one.lease.release(self._holder)
