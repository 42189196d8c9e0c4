"""What a mistake does to the flows that can be asked: which it closes, which it opens."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from acns_chaos.faults.proposing.asks import (
    CLOSED,
    CONNECT,
    CUSTOMER,
    NAME,
    OPEN,
    STRANGER,
    Ask,
)
from acns_chaos.faults.proposing.roster import Roster
from acns_chaos.policy import Engine
from acns_chaos.policy.blast import Outlook
from acns_chaos.policy.model import EGRESS, INGRESS
from acns_chaos.policy.mutants import Mutant

__all__ = ["Effect", "Effects"]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a mutant does to asks.

    Attributes:
        closed: those it closes, each with where it is dropped (`Roster.dropped_at`).
        opened: those it opens.
        uncounted: whether there are more, whose drops nobody would find.
        lingers: whether there are more that close only when what was learned of a name is old.
    """

    closed: tuple[tuple[Ask, tuple[str, str]], ...] = ()
    opened: tuple[Ask, ...] = ()
    uncounted: bool = False
    lingers: bool = False


class Effects:
    """Works out effects, each once.

    Args:
        roster: who can ask whom.
        outlook: the policies.
        asks: what can be asked.
        in_use: which of it is in use.

    Attributes:
        engine: the policies as they are.
        asks: sorted.
        now: each ask, to what the policies say of it.
    """

    def __init__(
        self, roster: Roster, outlook: Outlook, asks: Iterable[Ask], in_use: frozenset[Ask]
    ) -> None:
        self._roster = roster
        self._outlook = outlook
        self._in_use = in_use
        self.engine = outlook.matrix.engine
        self.asks = sorted(set(asks))
        self.now = {ask: roster.state(self.engine, ask) for ask in self.asks}
        self._known: dict[str, Effect] = {}

    def arrival(self, mutant: Mutant, ask: Ask) -> str:
        """On which side Hubble sees a flow that a mutant lets in: the direction it is told with.

        Where no policy is in force at ingress, its arrival is told as what the sender sent.
        """
        if ask.way == NAME:
            return EGRESS
        after = self._outlook.after(mutant.changes).engine
        pods = self._roster.receivers(ask)
        guarded = any(after.view(INGRESS, pod).enforced for pod in pods)
        return INGRESS if guarded else EGRESS

    def of(self, mutant: Mutant) -> Effect:
        """What a mutant would do; worked out once."""
        if mutant.id not in self._known:
            self._known[mutant.id] = self._worked_out(mutant)
        return self._known[mutant.id]

    def _worked_out(self, mutant: Mutant) -> Effect:
        after = self._outlook.after(mutant.changes).engine
        closed: list[tuple[Ask, tuple[str, str]]] = []
        opened: list[Ask] = []
        uncounted = lingers = False
        for ask in self._concerned(after):
            was, now = self.now[ask], self._roster.state(after, ask)
            if (was, now) == (OPEN, CLOSED) and self._roster.lingers(after, ask):
                lingers = True
            elif (was, now) == (OPEN, CLOSED):
                dropped = self._roster.dropped_at(after, ask)
                if ask.way == STRANGER:
                    # What no workload uses is missed by nobody.
                    continue
                if dropped[0] and (ask.way != CONNECT or self._roster.counted(after, ask)):
                    closed.append((ask, dropped))
                else:
                    uncounted = True
            elif (was, now) == (CLOSED, OPEN) and ask.way != CUSTOMER:
                # `read_egress` needs no counter.
                if ask.way == NAME or self._roster.counted(self.engine, ask):
                    opened.append(ask)
                else:
                    uncounted = True
        home = mutant.policy.namespace
        closed.sort(key=lambda one: self.order(one[0], home))
        opened.sort(key=lambda ask: self.order(ask, home))
        return Effect(tuple(closed), tuple(opened), uncounted, lingers)

    def _concerned(self, after: Engine) -> Iterator[Ask]:
        """The asks of which an end is judged by other rules now."""
        before = self.engine
        moved = {
            pod
            for pod in self._roster.inventory.pods
            if any(before.view(way, pod) is not after.view(way, pod) for way in (EGRESS, INGRESS))
        }
        for ask in self.asks:
            if not moved.isdisjoint(self._roster.ends(ask)):
                yield ask

    def order(self, ask: Ask, home: str) -> tuple[bool, bool, int, bool, Ask]:
        """What is in use first, then what is an application's, then what is near."""
        way = {CONNECT: 0, CUSTOMER: 1, NAME: 2, STRANGER: 3}[ask.way]
        system = any(place.startswith("kube-") for place in ask.places)
        return system, ask not in self._in_use, way, ask.places != {home}, ask
