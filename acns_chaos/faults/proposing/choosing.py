"""For each policy and family of mistakes, the one mistake whose effect can be witnessed from here.

What cannot be witnessed is no experiment: it could only end INCONCLUSIVE. It is named with the
reason instead. Nothing is asked of a cluster here; what was tried before is given.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from acns_chaos.cluster.policies import policy_ref
from acns_chaos.faults.prediction import predict
from acns_chaos.faults.proposing.asks import CLOSED, CONNECT, CUSTOMER, NAME, OPEN, Ask, Roster
from acns_chaos.faults.proposing.effects import Effect, Effects
from acns_chaos.policy.blast import Outlook
from acns_chaos.policy.model import EGRESS, INGRESS, ObjectRef
from acns_chaos.policy.mutants import EQUIVALENT, INVALID, Mutant

__all__ = ["BY_NAME", "Chooser", "Proposal", "Skipped", "Tried"]

# A Service asked by its name, as inject_fault's `witness` does.
BY_NAME = "by name"
# Of one family so many mistakes are looked at before it is given up.
LOOKED_AT = 12

Tried = Mapping[Ask, str]
"""What was tried, to why it cannot be built on; "" where it did what the policies say."""

NO_CLIENT = "no flow that it turns can be asked from here"
ONE_CLIENT = "only one flow that it opens can be asked from here, and two clients must see it"
ONLY_LOOKUPS = "it turns lookups alone, and no client tells a lost lookup from a dead server"
UNCOUNTED = "its drops are counted under a name that neither the workload nor the Service has"
NO_OPEN = "no open flow can be asked from here, and without one there is no open claim"
NO_CLOSED = "no denied flow can be asked from here, and without one there is no closed claim"
UNINJECTABLE = "none of them rewrites one valid object, so inject_fault takes none"


@dataclass(frozen=True, slots=True)
class Proposal:
    """An experiment to be.

    Attributes:
        mutant: the mistake.
        limit: the workloads that its effect may reach.
        opens: whether it is seen by what it opens; else by what it closes.
        turned: the asks that see it: one that it closes, or two that it opens.
        named: the flow for `witness`; "" lets inject_fault choose.
        dropped: "egress" or "ingress", and the workload that counts the drops; of one that closes.
        open_claim: what must work before and after.
        closed_claim: what must be denied before and after.
        in_use: whether Hubble has seen the flow that it closes.
    """

    mutant: Mutant
    limit: tuple[str, ...]
    opens: bool
    turned: tuple[Ask, ...]
    named: str
    dropped: tuple[str, str]
    open_claim: Ask
    closed_claim: Ask
    in_use: bool

    @property
    def asks(self) -> dict[Ask, str]:
        """What it builds on, to what each is expected to read before the fault."""
        expected = {self.open_claim: OPEN, self.closed_claim: CLOSED}
        return expected | dict.fromkeys(self.turned, CLOSED if self.opens else OPEN)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A family of mistakes in a policy that is no experiment.

    Attributes:
        policy: which.
        family: of mistakes; "" for all.
        reason: why not.
    """

    policy: ObjectRef
    family: str
    reason: str


class Chooser:
    """Chooses, as often as something new was tried.

    Args:
        roster: who can ask whom.
        outlook: the policies.
        mutants: every mutant of the policies in question.
        asks: what can be asked.
        in_use: more of them: what Hubble has seen.
    """

    def __init__(
        self,
        roster: Roster,
        outlook: Outlook,
        mutants: Iterable[Mutant],
        asks: Iterable[Ask],
        in_use: Iterable[Ask] = (),
    ) -> None:
        self._roster = roster
        self._in_use = frozenset(in_use)
        self._effects = Effects(roster, outlook, {*asks, *self._in_use}, self._in_use)
        self._engine = self._effects.engine
        self._families: dict[ObjectRef, dict[str, list[Mutant]]] = {}
        for mutant in mutants:
            families = self._families.setdefault(mutant.policy, {})
            families.setdefault(mutant.family, []).append(mutant)
        self._judged: dict[str, tuple[str, tuple[str, ...]]] = {}

    def choose(self, tried: Tried, most: int = 0) -> tuple[list[Proposal], list[Skipped]]:
        """Choose at most so many experiments, first one of each policy, then further families.

        Args:
            tried: what is known already; an ask that is not in it counts as good.
            most: 0 is no limit.

        Returns:
            The experiments, and what was looked at and is none.
        """
        found: list[Proposal] = []
        skipped: list[Skipped] = []
        left = [self._of_policy(ref, turn, tried) for turn, ref in enumerate(self._families)]
        while left and not (most and len(found) >= most):
            for one in tuple(left):
                taken = self._next(one, skipped)
                if taken is None:
                    left.remove(one)
                elif not most or len(found) < most:
                    found.append(taken)
        found.sort(key=lambda one: (one.mutant.policy, one.mutant.family))
        return found, sorted(skipped, key=lambda one: (one.policy, one.family))

    def open_flows(self) -> list[Ask]:
        """The asks that are open because a rule says so, those in use first."""
        found = [
            a for a in self._effects.asks if self._effects.now[a] == OPEN and self._roster.ruled(a)
        ]
        return sorted(found, key=lambda ask: (ask not in self._in_use, ask))

    @staticmethod
    def _next(one: Iterator[Proposal | Skipped], skipped: list[Skipped]) -> Proposal | None:
        for found in one:
            if isinstance(found, Proposal):
                return found
            skipped.append(found)
        return None

    def _of_policy(self, ref: ObjectRef, turn: int, tried: Tried) -> Iterator[Proposal | Skipped]:
        """What becomes of each family of a policy.

        Each policy begins with another family, so that few experiments are of many kinds.
        """
        families = list(self._families[ref].items())
        first = turn % len(families)
        for family, every in (*families[first:], *families[:first]):
            # What the agents refuse changes as little as what is equivalent.
            candidates = [one for one in every if one.effect not in (EQUIVALENT, INVALID)]
            fit = sorted((one for one in candidates if one.injectable), key=_preferred)
            if candidates and not fit:
                yield Skipped(ref, family, UNINJECTABLE)
            elif fit:
                yield self._best(ref, family, fit[:LOOKED_AT], tried)

    def _best(
        self, ref: ObjectRef, family: str, fit: list[Mutant], tried: Tried
    ) -> Proposal | Skipped:
        told = [self._proposal(mutant, tried) for mutant in fit]
        found = [one for one in told if isinstance(one, Proposal)]
        if found:
            return min(
                found, key=lambda one: self._effects.order(one.turned[0], ref.namespace)[:-1]
            )
        # The last obstacle is the one that was nearest to an experiment.
        return Skipped(ref, family, max((str(one) for one in told), key=_nearness))

    def _proposal(self, mutant: Mutant, tried: Tried) -> Proposal | str:
        """The experiment of a mutant, or why it is none."""
        effect = self._effects.of(mutant)
        closed = [one for one in effect.closed if not tried.get(one[0])]
        opened = [ask for ask in effect.opened if not tried.get(ask)]
        if not closed and len(opened) < 2:
            return self._why_unseen(mutant, effect, tried, opened)
        opens = not closed
        home = mutant.policy.namespace
        turned = tuple(opened[:2]) if opens else (closed[0][0],)
        dropped = ("", "") if opens else closed[0][1]
        named = self._named(turned[0], home, opens, tried)
        if named is None:
            return f"{turned[0].target} cannot be asked by name, so the fault could not be seen"
        open_claim = self._claim(OPEN, mutant, tried) if opens else turned[0]
        closed_claim = turned[0] if opens else self._claim(CLOSED, mutant, tried)
        if open_claim is None or closed_claim is None:
            return NO_OPEN if open_claim is None else NO_CLOSED
        refused, limit = self._judge(mutant)
        if refused:
            return refused
        used = not opens and turned[0] in self._in_use
        claims = (open_claim, closed_claim)
        return Proposal(mutant, limit, opens, turned, named, dropped, *claims, used)

    def _why_unseen(self, mutant: Mutant, effect: Effect, tried: Tried, opened: list[Ask]) -> str:
        if opened:
            return ONE_CLIENT
        turned = [*(ask for ask, _ in effect.closed), *effect.opened]
        failed = next((tried[ask] for ask in turned if tried.get(ask)), "")
        if failed:
            return failed
        if effect.uncounted:
            return UNCOUNTED
        if all(flow.port == 53 for flow in chain(mutant.radius.closed, mutant.radius.opened)):
            return ONLY_LOOKUPS
        return NO_CLIENT

    def _named(self, ask: Ask, home: str, opens: bool, tried: Tried) -> str | None:
        """The flow for `witness`: "" where inject_fault finds one itself, None for neither."""
        if ask.way == CUSTOMER:
            return ""
        source = ask.source.removeprefix(f"{home}/")
        if ask.way == NAME:
            return f"{source} -> {ask.target}:{ask.port}"
        if not tried.get(Ask(ask.source, ask.target, ask.port, BY_NAME)):
            place, _, name = ask.target.partition("/")
            return f"{source} -> {name}.{place}.svc.cluster.local:{ask.port}"
        # By address, from a pod of the experiment's own namespace; not what opens, as many a pod
        # of those that are let in has no tool.
        return "" if "/" not in source and not opens else None

    def _claim(self, state: str, mutant: Mutant, tried: Tried) -> Ask | None:
        """An ask that is open or closed now, of the policy's own pods if there is one."""
        view = self._engine.view
        home, ref = mutant.policy.namespace, mutant.policy
        best: tuple[tuple[object, ...], Ask] | None = None
        for ask in self._effects.asks:
            if self._effects.now[ask] != state or tried.get(ask) or ask.way != CONNECT:
                continue
            if state == CLOSED and not self._roster.counted(self._engine, ask):
                continue
            own = any(
                ref in view(way, end).selecting
                for end in self._roster.ends(ask)
                for way in (EGRESS, INGRESS)
            )
            # One that was tried already costs nothing more.
            order = (not own, ask not in tried, *self._effects.order(ask, home))
            if best is None or order < best[0]:
                best = (order, ask)
        return best[1] if best else None

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


def _preferred(mutant: Mutant) -> tuple[bool, int]:
    """What closes flows before what opens some, what reaches less before what reaches more."""
    return not mutant.radius.closed_count, mutant.radius.size


def _nearness(reason: str) -> int:
    far = (NO_CLIENT, ONLY_LOOKUPS, UNCOUNTED, ONE_CLIENT)
    return far.index(reason) if reason in far else len(far)
