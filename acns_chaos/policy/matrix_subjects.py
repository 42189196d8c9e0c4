"""The subjects of a matrix: which rules bind each of them, and what those come to.

Belongs here: gathering rules by subject, and which subjects a changed object touches. Does not
belong here: pairing the two sides (`matrix`), and what a rule matches (`matrix_rules`).
"""

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass

from acns_chaos.policy.compile import Rule
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.matrix_cells import NO_SUBJECT, PASSES, sides
from acns_chaos.policy.matrix_population import Population
from acns_chaos.policy.matrix_rules import Masks, Sayings, add_up
from acns_chaos.policy.model import EGRESS, INGRESS, NOT_APPLICABLE, ObjectRef
from acns_chaos.policy.peers import is_outside
from acns_chaos.policy.verdict import Engine
from acns_chaos.policy.views import enforces

_BOTH = (EGRESS, INGRESS)


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """A subject in one direction; subjects with the same rules may share it.

    Attributes:
        rules: that bind it.
        masks: what they come to, by port.
        fixed: the side of all its cells where no rule can matter, else "".
    """

    rules: tuple[Rule, ...] = ()
    masks: Masks = ()
    fixed: str = ""

    def side(self, port: int) -> object:
        """What all its cells on a port follow from."""
        return self.fixed or self.masks[port]

    def passing(self, port: int) -> int:
        """The peers that it lets pass on a port, as a bitset."""
        return self.masks[port][1]


class Subjects:
    """All identities as subjects.

    Args:
        engine: the policies and the cluster.
        endpoints: one of each identity.
        ports: what is asked: (number, protocol).

    Attributes:
        judged: by direction: each subject, in the order of the endpoints.
    """

    def __init__(
        self, engine: Engine, endpoints: Sequence[Endpoint], ports: Sequence[tuple[int, str]]
    ) -> None:
        self._engine = engine
        self._endpoints = endpoints
        self._ports = ports
        seen = [engine.identities.as_peer(endpoint) for endpoint in endpoints]
        labels = [peer.labels for peer in seen]
        outside = {place: peer for place, peer in enumerate(seen) if is_outside(peer)}
        peers = Population(labels, outside)
        self._labels = [engine.identities.as_subject(endpoint) for endpoint in endpoints]
        self._subjects = peers if self._labels == labels else Population(self._labels)
        self._sayings = Sayings(peers, endpoints, ports, engine.identities)
        self._unasked = {
            direction: peers.bits(
                place
                for place, endpoint in enumerate(endpoints)
                if engine.admits_unasked(direction, endpoint)
            )
            for direction in _BOTH
        }
        self._fixed = list(map(self._without_rules, endpoints))
        self._bound = peers.bits(place for place, one in enumerate(self._fixed) if one is None)
        self._always = [enforces((), labels, engine.settings) for labels in self._labels]
        self.judged = self._gather()

    def rows(self, direction: str, port: int) -> list[bytes]:
        """Every subject's side towards all peers on one port.

        Args:
            direction: "egress" or "ingress".
            port: place of the port.
        """
        known: dict[object, bytes] = {}
        rows: list[bytes] = []
        for place, judgement in enumerate(self.judged[direction]):
            side = judgement.side(port)
            row = known.get(side)
            if row is None:
                row = known[side] = self.row(direction, place, port)
            rows.append(row)
        return rows

    def row(self, direction: str, place: int, port: int) -> bytes:
        """One subject's side towards all peers on one port."""
        judgement = self.judged[direction][place]
        if judgement.fixed:
            return judgement.fixed.encode() * self._subjects.size
        return sides(*judgement.masks[port], self._subjects.size)

    def moved(self, other: "Subjects") -> list[dict[str, list[int]]]:
        """For each port, by direction: the subjects that another judges otherwise on it."""
        ports = len(self._ports)
        found: list[dict[str, list[int]]] = [{way: [] for way in _BOTH} for _ in range(ports)]
        for way in _BOTH:
            known: dict[tuple[Judgement, Judgement], list[int]] = {}
            pairs = zip(self.judged[way], other.judged[way], strict=True)
            for place, (one, two) in enumerate(pairs):
                if one is two:
                    continue
                differing = known.get((one, two))
                if differing is None:
                    differing = [p for p in range(ports) if one.side(p) != two.side(p)]
                    known[one, two] = differing
                for port in differing:
                    found[port][way].append(place)
        return found

    def bits(self, places: Iterable[int]) -> int:
        """Some identities as a bitset."""
        return self._subjects.bits(places)

    def after(self, engine: Engine, ref: ObjectRef) -> "Subjects":
        """The subjects after one object changed.

        Args:
            engine: with the changed object, in the same world.
            ref: the object.
        """
        old, new = self._engine.rules.get(ref, ()), engine.rules.get(ref, ())
        other = copy(self)
        vars(other).update(_engine=engine)
        if old is not new:
            vars(other).update(_sayings=self._sayings.without(old))
            vars(other).update(judged=other.rejudged(old, new))
        return other

    def _without_rules(self, endpoint: Endpoint) -> Judgement | None:
        view = self._engine.unjudged(endpoint)
        if view is None or view.fixed is None:
            return None
        masks = ((0, self._subjects.everyone),) * len(self._ports)
        none = view.fixed.verdict == NOT_APPLICABLE
        return Judgement(masks=masks, fixed=NO_SUBJECT if none else PASSES)

    def _gather(self) -> dict[str, list[Judgement]]:
        binding = self._bind(rule for rules in self._engine.rules.values() for rule in rules)
        judged: dict[str, list[Judgement]] = {}
        for way in _BOTH:
            judge = self._judge(way)
            judged[way] = [
                fixed or judge(place, tuple(rules))
                for place, (fixed, rules) in enumerate(zip(self._fixed, binding[way], strict=True))
            ]
        return judged

    def rejudged(self, old: Iterable[Rule], new: Iterable[Rule]) -> dict[str, list[Judgement]]:
        """What becomes of the judgements where some rules give way to others.

        Args:
            old: rules that were in force.
            new: those that are now.
        """
        gone = set(old)
        lost, won = self._bind(gone), self._bind(new)
        rejudged: dict[str, list[Judgement]] = {}
        for way in _BOTH:
            judge = self._judge(way)
            rejudged[way] = judged = list(self.judged[way])
            for place, (less, more) in enumerate(zip(lost[way], won[way], strict=True)):
                if less or more:
                    kept = [rule for rule in judged[place].rules if rule not in gone]
                    judged[place] = judge(place, (*kept, *more))
        return rejudged

    def _bind(self, rules: Iterable[Rule]) -> dict[str, list[list[Rule]]]:
        """The rules that bind each subject, by direction."""
        binding: dict[str, list[list[Rule]]] = {way: [[] for _ in self._endpoints] for way in _BOTH}
        bound: dict[object, list[int]] = {}
        for rule in rules:
            # The rules of one object mostly have one subject.
            key = (rule.subject, rule.host)
            places = bound.get(key)
            if places is None:
                whom = rule.binds(self._subjects) & self._bound
                places = bound[key] = list(self._subjects.places(whom))
            lists = binding[rule.direction]
            for place in places:
                lists[place].append(rule)
        return binding

    def _judge(self, direction: str) -> Callable[[int, tuple[Rule, ...]], Judgement]:
        """A judge who remembers what sets of rules come to."""
        known: dict[object, Judgement] = {}
        settings = self._engine.settings
        everyone, ports = self._subjects.everyone, len(self._ports)

        def judge(place: int, rules: tuple[Rule, ...]) -> Judgement:
            subject = self._endpoints[place]
            key = (rules, self._always[place], subject.named_ports)
            judgement = known.get(key)
            if judgement is None:
                enforced = enforces(rules, self._labels[place], settings)
                said = ((rule.deny, self._sayings.of(rule, subject)) for rule in rules)
                unasked = self._unasked[direction] if enforced else everyone
                judgement = Judgement(rules, add_up(said, ports, unasked))
                known[key] = judgement
            return judgement

        return judge
