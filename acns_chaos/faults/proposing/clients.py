"""Who is asked in an experiment: who sees what is opened, and which flows are claimed."""

from collections.abc import Iterable

from acns_chaos.faults.proposing.asks import CLOSED, CONNECT, CUSTOMER, NAME, OPEN, STRANGER, Ask
from acns_chaos.faults.proposing.effects import Effects
from acns_chaos.faults.proposing.outline import BY_NAME, Tried
from acns_chaos.faults.proposing.roster import Roster
from acns_chaos.policy.model import EGRESS, INGRESS
from acns_chaos.policy.mutants import Mutant

__all__ = ["Clients"]


class Clients:
    """Finds them among what can be asked.

    Args:
        roster: who can ask whom.
        effects: what can be asked, and what the policies say of it now.
        fewest: how many must see what a mistake opens.
    """

    def __init__(self, roster: Roster, effects: Effects, fewest: int) -> None:
        self._roster = roster
        self._effects = effects
        self._fewest = fewest

    def of_opened(
        self, found: Iterable[Ask], home: str, strangers: bool, tried: Tried
    ) -> tuple[Ask, ...]:
        """Who sees what is opened; () when too few can.

        Args:
            found: the asks that a mistake opens.
            home: the namespace of the experiment.
            strangers: whether one that Hubble sees as well is taken first.
            tried: what is known already.
        """
        opened = [
            ask
            for ask in found
            if not tried.get(ask) and (ask.way != NAME or self.reached(ask, tried))
        ]
        # The first is the fault's own witness, which must be able to ask by name.
        opened.sort(key=lambda ask: self.named(ask, home, True, tried) is None)
        # Hubble does not know by which name an address was asked once lookups are not inspected.
        seen = [ask for ask in opened if self._fewest == 1 and self._is_seen(ask)]
        unknown = [ask for ask in seen if ask.way == STRANGER]
        if strangers and unknown:
            return (unknown[0],)
        pair = [ask for ask in opened if ask.way != STRANGER]
        # Another client rather than the same; an outside name last, as a denied one takes longest.
        pair[1:] = sorted(pair[1:], key=lambda ask: (ask.way == NAME, ask.source == pair[0].source))
        if len(pair) > 1:
            return tuple(pair[:2])
        return tuple(seen[:1]) or (tuple(opened[:2]) if len(opened) > 1 else ())

    def _is_seen(self, ask: Ask) -> bool:
        """Whether Hubble tells who lets the one who asks in."""
        return ask.way in (CONNECT, STRANGER) and bool(self._roster.arrives_at(ask)[0])

    def reached(self, ask: Ask, tried: Tried) -> list[Ask]:
        """Who is let through to an outside name that is closed to somebody else."""
        if ask.way != NAME:
            return []
        return [
            other
            for other in self._effects.asks
            if other.target == ask.target
            and self._effects.now[other] == OPEN
            and not tried.get(other)
        ]

    def named(self, ask: Ask, home: str, opens: bool, tried: Tried) -> str | None:
        """The flow for `witness`: "" where inject_fault finds one itself, None for neither."""
        if ask.way == CUSTOMER:
            return ""
        if ask.way == STRANGER:
            return (
                f"a stranger -> {ask.target.partition('/')[2]}.{home}.svc.cluster.local:{ask.port}"
            )
        source = ask.source.removeprefix(f"{home}/")
        if ask.way == NAME:
            return f"{source} -> {ask.target}:{ask.port}"
        if not tried.get(Ask(ask.source, ask.target, ask.port, BY_NAME)):
            place, _, name = ask.target.partition("/")
            return f"{source} -> {name}.{place}.svc.cluster.local:{ask.port}"
        # By address, from a pod of the experiment's own namespace; not what opens, as many a pod
        # of those that are let in has no tool.
        return "" if "/" not in source and not opens else None

    def claim(self, state: str, mutant: Mutant, tried: Tried) -> Ask | None:
        """An ask that is open or closed now, of the policy's own pods if there is one."""
        view = self._effects.engine.view
        home, ref = mutant.policy.namespace, mutant.policy
        best: tuple[tuple[object, ...], Ask] | None = None
        for ask in self._effects.asks:
            ways = (CONNECT, STRANGER) if state == CLOSED else (CONNECT,)
            if self._effects.now[ask] != state or tried.get(ask) or ask.way not in ways:
                continue
            if state == CLOSED and not self._roster.counted(self._effects.engine, ask):
                continue
            own = any(
                ref in view(way, end).selecting
                for end in self._roster.ends(ask)
                for way in (EGRESS, INGRESS)
            )
            # One that was tried already costs nothing more.
            new = ask not in tried
            # A stranger is made: where somebody is there, that one is asked.
            order = (ask.way == STRANGER, not own, new, *self._effects.order(ask, home))
            if best is None or order < best[0]:
                best = (order, ask)
        return best[1] if best else None
