"""For each policy and family of mistakes, one that closes and one that opens, if it can be seen.

What cannot be witnessed from here is no experiment: it could only end INCONCLUSIVE. It is named
with the reason instead. Nothing is asked of a cluster here; what was tried before is given.

What opens something makes no drop, so a family's worst mistake is often the one that closes
nothing; it is looked for by itself, or the one that everybody notices would always be taken.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from acns_chaos.cluster.policies import policy_ref
from acns_chaos.faults.prediction import predict
from acns_chaos.faults.proposing.asks import (
    CLOSED,
    NAME,
    OPEN,
    STRANGER,
    Ask,
)
from acns_chaos.faults.proposing.clients import Clients
from acns_chaos.faults.proposing.effects import Effect, Effects
from acns_chaos.faults.proposing.outline import (
    LINGERS,
    NO_CLIENT,
    NO_CLOSED,
    NO_OPEN,
    ONE_CLIENT,
    ONLY_LOOKUPS,
    UNCOUNTED,
    UNINJECTABLE,
    Proposal,
    Skipped,
    Tried,
)
from acns_chaos.faults.proposing.roster import Roster
from acns_chaos.policy.blast import Outlook
from acns_chaos.policy.model import ObjectRef
from acns_chaos.policy.mutants import EQUIVALENT, INVALID, Mutant

__all__ = ["Chooser"]

# Of one family so many mistakes are looked at before it is given up.
LOOKED_AT = 12


class Chooser:
    """Chooses, as often as something new was tried.

    Args:
        roster: who can ask whom.
        outlook: the policies.
        mutants: every mutant of the policies in question.
        asks: what can be asked.
        in_use: more of them: what Hubble has seen.
        clients: how many must see what a mistake opens. One is enough where something else sees it
            too, as Hubble does a connection that was let through.
    """

    def __init__(
        self,
        roster: Roster,
        outlook: Outlook,
        mutants: Iterable[Mutant],
        asks: Iterable[Ask],
        in_use: Iterable[Ask] = (),
        clients: int = 2,
    ) -> None:
        self._roster = roster
        self._in_use = frozenset(in_use)
        self._effects = Effects(roster, outlook, {*asks, *self._in_use}, self._in_use)
        self._clients = Clients(roster, self._effects, clients)
        self._families: dict[ObjectRef, dict[str, list[Mutant]]] = {}
        for mutant in mutants:
            families = self._families.setdefault(mutant.policy, {})
            families.setdefault(mutant.family, []).append(mutant)
        self._judged: dict[str, tuple[str, tuple[str, ...]]] = {}

    def choose(self, tried: Tried, most: int = 0) -> tuple[list[Proposal], list[Skipped]]:
        """Choose at most so many experiments, first one of each policy, then one of the other kind.

        Args:
            tried: what is known already; an ask that is not in it counts as good.
            most: 0 is no limit.

        Returns:
            The experiments, and what was looked at and is none.
        """
        found: list[Proposal] = []
        skipped: list[Skipped] = []
        left = {
            ref: {opens: self._of_policy(ref, turn, opens, tried) for opens in (False, True)}
            for turn, ref in enumerate(self._families)
        }
        rounds = 0
        while left and not (most and len(found) >= most):
            for turn, (ref, kinds) in enumerate(tuple(left.items())):
                # By turns: with few experiments some policies get one that closes, some the other.
                first = bool((turn + rounds) % 2)
                taken = self._next(kinds[first], skipped) or self._next(kinds[not first], skipped)
                if taken is None:
                    del left[ref]
                elif not most or len(found) < most:
                    found.append(taken)
            rounds += 1
        found.sort(key=lambda one: (one.mutant.policy, one.mutant.family, one.opens))
        return found, sorted(skipped, key=lambda one: (one.policy, one.family, one.opens))

    def of(self, mutant: Mutant, tried: Tried) -> Proposal | str:
        """The experiment of one mutant, seen by what it closes if there is anything; or why not.

        Args:
            mutant: one of those given.
            tried: as for `choose`.
        """
        if mutant.effect in (EQUIVALENT, INVALID) or not _can_be_injected(mutant):
            return UNINJECTABLE
        told = [
            self._proposal(mutant, opens, False, tried)
            for opens in (False, True)
            if (mutant.radius.opened_count if opens else mutant.radius.closed_count)
        ]
        found = next((one for one in told if isinstance(one, Proposal)), None)
        return found or max((str(one) for one in told), key=_nearness)

    def opened(self, mutant: Mutant, tried: Tried) -> tuple[Ask, ...]:
        """What a mutant opens and workloads that are there can ask, nearest first.

        Args:
            mutant: one of those given.
            tried: as for `choose`; what did otherwise is left out, what was tried comes first.
        """
        home = mutant.policy.namespace
        found = [
            ask
            for ask in self._effects.of(mutant).opened
            if ask.way != STRANGER
            and not tried.get(ask)
            and (ask.way != NAME or self._clients.reached(ask, tried))
        ]
        return tuple(
            sorted(found, key=lambda ask: (ask not in tried, *self._effects.order(ask, home)))
        )

    def open_flows(self) -> list[Ask]:
        """The asks that are open because a rule says so, those in use first."""
        found = [
            ask
            for ask in self._effects.asks
            if self._effects.now[ask] == OPEN and ask.way != STRANGER and self._roster.ruled(ask)
        ]
        return sorted(found, key=lambda ask: (ask not in self._in_use, ask))

    @staticmethod
    def _next(one: Iterator[Proposal | Skipped], skipped: list[Skipped]) -> Proposal | None:
        for found in one:
            if isinstance(found, Proposal):
                return found
            skipped.append(found)
        return None

    def _of_policy(
        self, ref: ObjectRef, turn: int, opens: bool, tried: Tried
    ) -> Iterator[Proposal | Skipped]:
        """What becomes of each family of a policy, of those mistakes that close or that open.

        Each policy begins with another family, so that few experiments are of many kinds.
        """
        families: list[tuple[str, list[Mutant]]] = []
        for family, every in self._families[ref].items():
            # What the agents refuse changes as little as what is equivalent.
            found = [
                one
                for one in every
                if one.effect not in (EQUIVALENT, INVALID)
                and (one.radius.opened_count if opens else one.radius.closed_count)
            ]
            families += [(family, found)] if found else []
        first = turn % len(families) if families else 0
        for family, every in (*families[first:], *families[:first]):
            if not (fit := sorted(filter(_can_be_injected, every), key=_preferred(opens))):
                yield Skipped(ref, family, UNINJECTABLE, opens)
                continue
            # A policy that opens lets its own pods out, or strangers in: by turns as well.
            yield self._best(ref, family, fit[:LOOKED_AT], opens, bool(turn % 2), tried)

    def _best(
        self,
        ref: ObjectRef,
        family: str,
        fit: list[Mutant],
        opens: bool,
        strangers: bool,
        tried: Tried,
    ) -> Proposal | Skipped:
        told = [self._proposal(mutant, opens, strangers, tried) for mutant in fit]
        found = [one for one in told if isinstance(one, Proposal)]

        def order(one: Proposal) -> tuple[bool, bool, bool, int, bool]:
            asked = one.turned[0]
            far = (asked.way == STRANGER) != strangers
            return (far, *self._effects.order(asked, ref.namespace)[:-1])

        if found:
            return min(found, key=order)
        # The last obstacle is the one that was nearest to an experiment.
        return Skipped(ref, family, max((str(one) for one in told), key=_nearness), opens)

    def _proposal(
        self, mutant: Mutant, opens: bool, strangers: bool, tried: Tried
    ) -> Proposal | str:
        """The experiment of a mutant, or why it is none."""
        effect = self._effects.of(mutant)
        closed = [one for one in effect.closed if not tried.get(one[0])]
        turned = tuple(ask for ask, _ in closed[:1])
        home = mutant.policy.namespace
        if opens:
            turned = self._clients.of_opened(effect.opened, home, strangers, tried)
        if not turned:
            return self._why_unseen(mutant, effect, tried, opens)
        dropped = ("", "") if opens else closed[0][1]
        named = self._clients.named(turned[0], home, opens, tried)
        if named is None:
            return f"{turned[0].target} cannot be asked by name, so the fault could not be seen"
        open_claim = self._clients.claim(OPEN, mutant, tried) if opens else turned[0]
        closed_claim = turned[0] if opens else self._clients.claim(CLOSED, mutant, tried)
        if open_claim is None or closed_claim is None:
            return NO_OPEN if open_claim is None else NO_CLOSED
        refused, limit = self._judge(mutant)
        if refused:
            return refused
        reached = tuple(
            one for ask in turned if opens for one in self._clients.reached(ask, tried)[:1]
        )
        used = not opens and turned[0] in self._in_use
        claims = (open_claim, closed_claim)
        end = (
            self._roster.arrives_at(turned[0]),
            self._effects.arrival(mutant, turned[0]) if opens else "",
        )
        return Proposal(mutant, limit, opens, turned, named, dropped, *claims, reached, used, *end)

    def _why_unseen(self, mutant: Mutant, effect: Effect, tried: Tried, opens: bool) -> str:
        turned = effect.opened if opens else tuple(ask for ask, _ in effect.closed)
        failed = next((tried[ask] for ask in turned if tried.get(ask)), "")
        if failed:
            return failed
        if opens and turned:
            return ONE_CLIENT
        if effect.uncounted:
            return UNCOUNTED
        if effect.lingers:
            return LINGERS
        if all(flow.port == 53 for flow in chain(mutant.radius.closed, mutant.radius.opened)):
            return ONLY_LOOKUPS
        return NO_CLIENT

    def _judge(self, mutant: Mutant) -> tuple[str, tuple[str, ...]]:
        """Why inject_fault would refuse it, else the limit that lets it through."""
        if mutant.id not in self._judged:
            changes = {
                policy_ref(ref.kind, ref.namespace, ref.name): after
                for ref, after in mutant.changes.items()
            }
            prediction = predict(self._roster.inventory, changes)
            if prediction.lockouts:
                told = f"it would cut {prediction.lockouts[0].what}, which is never injected"
            elif not prediction.radius.affected:
                told = "no workload answers for its effect, so it could have no limit"
            else:
                told = ""
            self._judged[mutant.id] = told, tuple(sorted(prediction.radius.affected))
        return self._judged[mutant.id]


def _can_be_injected(mutant: Mutant) -> bool:
    """Whether inject_fault takes it: it rewrites or deletes its own object and no other."""
    return mutant.effect != INVALID and list(mutant.changes) == [mutant.policy]


def _preferred(opens: bool) -> Callable[[Mutant], tuple[bool, int]]:
    """What only closes or only opens before what does both, what reaches less before the rest."""

    def order(mutant: Mutant) -> tuple[bool, int]:
        other = mutant.radius.closed_count if opens else mutant.radius.opened_count
        return bool(other), mutant.radius.size

    return order


def _nearness(reason: str) -> int:
    far = (NO_CLIENT, ONLY_LOOKUPS, UNCOUNTED, ONE_CLIENT)
    return far.index(reason) if reason in far else len(far)
