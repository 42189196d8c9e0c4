"""Mutants: every realistic mistake in a set of live policies, and what each would do.

Belongs here: making mutants with the operators and classing them by the engine. Does not belong
here: the mistakes (`mutation`), comparing (`blast`), and writing anything anywhere.

A mutant is classed over the workloads, ports and names that are known (`known`):

- *closes*: some flow no longer passes, none newly does
- *opens*: the other way round; no drop will ever show it
- *both*
- *equivalent*: no verdict differs, so nobody could notice
- *invalid*: the agents refuse the object, and the old version stays in force
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.errors import PolicyError
from acns_chaos.policy.blast import BlastRadius, Outlook, outlook_of
from acns_chaos.policy.model import ObjectRef
from acns_chaos.policy.mutation.edits import Operator, Surroundings
from acns_chaos.policy.operators import OPERATORS, mutant_id
from acns_chaos.policy.validity import problems
from acns_chaos.policy.world import World

__all__ = [
    "BOTH",
    "CLASSES",
    "CLOSES",
    "EQUIVALENT",
    "INVALID",
    "OPENS",
    "Mutant",
    "applied",
    "mutants",
    "restored",
]

Raw = Mapping[str, Any]

CLOSES, OPENS, BOTH = "closes", "opens", "both"
EQUIVALENT, INVALID = "equivalent", "invalid"
CLASSES = (CLOSES, OPENS, BOTH, EQUIVALENT, INVALID)


@dataclass(frozen=True)
class Mutant:
    """One mistake at one place.

    Attributes:
        id: for experiments, e.g. "pets/front:rule-emptied@spec.ingress[0]".
        operator: the name of the operator that made it.
        family: the operator's.
        mistake: one sentence: what it imitates.
        policy: the object that is mistaken.
        place: where in it.
        changes: what each object becomes; None deletes it. All other objects stay.
        before: the same objects as they are; None for one that is not there.
        effect: one of CLASSES.
        radius: the flows it opens and closes; empty for an invalid or equivalent one.
        problems: why the agents refuse it, one sentence each.
    """

    id: str
    operator: str
    family: str
    mistake: str
    policy: ObjectRef
    place: str
    changes: Mapping[ObjectRef, Raw | None]
    before: Mapping[ObjectRef, Raw | None]
    effect: str
    radius: BlastRadius
    problems: tuple[str, ...] = ()

    @property
    def injectable(self) -> bool:
        """Whether an experiment can inject it: it rewrites one object, and agents take it."""
        rewritten = list(self.changes) == [self.policy] and self.changes[self.policy] is not None
        return rewritten and self.effect != INVALID

    def as_json(self) -> dict[str, Any]:
        """Plain JSON: all but the objects."""
        return {
            "id": self.id,
            "operator": self.operator,
            "family": self.family,
            "mistake": self.mistake,
            "policy": {
                "kind": self.policy.kind,
                "namespace": self.policy.namespace,
                "name": self.policy.name,
            },
            "place": self.place,
            "class": self.effect,
            "injectable": self.injectable,
            **self.radius.as_json(),
            "problems": list(self.problems),
        }


def mutants(
    world: World, *, operators: Iterable[str] = (), of: Iterable[ObjectRef] = ()
) -> list[Mutant]:
    """Every mutant of the policies of a world, classed.

    Objects that the agents refuse as they are have no mutants: nobody knows what is in force.

    Args:
        world: the policies, and the pods they are for.
        operators: names of those to apply; empty means all.
        of: the objects to mutate; empty means all.

    Returns:
        The mutants in the order of objects and operators, with ids that are unique.

    Raises:
        PolicyError: an object is no policy, or an operator is not known.
    """
    chosen = [_operator(name) for name in operators] or list(OPERATORS.values())
    live = {ObjectRef.of(policy): policy for policy in world.policies}
    around = Surroundings(tuple(live.values()), world.endpoints, world.services)
    outlook = outlook_of(world)
    wanted = set(of) or set(live)
    return [
        mutant
        for ref, policy in live.items()
        if ref in wanted and ref not in world.invalid
        for operator in chosen
        for mutant in _of_operator(operator, ref, policy, around, outlook)
    ]


def _operator(name: str) -> Operator:
    if name not in OPERATORS:
        raise PolicyError(f"There is no operator {name!r}; see `acns-chaos operators`.")
    return OPERATORS[name]


def _of_operator(
    operator: Operator, ref: ObjectRef, policy: Raw, around: Surroundings, outlook: Outlook
) -> Iterator[Mutant]:
    live = {ObjectRef.of(one): one for one in around.policies}
    for edit, after in operator.edits(policy, around):
        changes: dict[ObjectRef, Raw | None] = {ref: None}
        changes |= {ObjectRef.of(obj): obj for obj in after}
        found = tuple(
            problem for obj in after for problem in problems(obj, outlook.matrix.engine.settings)
        )
        radius = BlastRadius() if found else outlook.change(changes)
        yield Mutant(
            id=mutant_id(ref, operator.name, edit),
            operator=operator.name,
            family=operator.family,
            mistake=operator.summary,
            policy=ref,
            place=edit.where,
            changes=changes,
            before={one: live.get(one) for one in changes},
            effect=INVALID if found else _class(radius),
            radius=radius,
            problems=found,
        )


def _class(radius: BlastRadius) -> str:
    if radius.empty:
        return EQUIVALENT
    if radius.opened_count and radius.closed_count:
        return BOTH
    return OPENS if radius.opened_count else CLOSES


def applied(mutant: Mutant, policies: Mapping[ObjectRef, Raw]) -> dict[ObjectRef, Raw]:
    """A set of policies with a mutant in it.

    Args:
        mutant: one of these policies.
        policies: raw objects by reference; they are not changed.

    Raises:
        PolicyError: an object is not, or no longer, what the mutant was made from.
    """
    return _exchanged(mutant, policies, mutant.before, mutant.changes)


def restored(mutant: Mutant, policies: Mapping[ObjectRef, Raw]) -> dict[ObjectRef, Raw]:
    """The set of policies that a mutant was applied to, as it was.

    Args:
        mutant: the one that is in force.
        policies: raw objects by reference, the mutant among them; they are not changed.

    Raises:
        PolicyError: an object is not what the mutant made of it: somebody changed it meanwhile.
    """
    return _exchanged(mutant, policies, mutant.changes, mutant.before)


def _exchanged(
    mutant: Mutant,
    policies: Mapping[ObjectRef, Raw],
    found: Mapping[ObjectRef, Raw | None],
    wanted: Mapping[ObjectRef, Raw | None],
) -> dict[ObjectRef, Raw]:
    for ref, policy in found.items():
        if policies.get(ref) != policy:
            raise PolicyError(
                f"{ref.kind} {ref} is not as mutant {mutant.id} found or left it: nothing was put "
                "in its place."
            )
    rest = {ref: wanted.get(ref, policy) for ref, policy in policies.items()}
    rest |= {ref: policy for ref, policy in wanted.items() if ref not in rest}
    return {ref: policy for ref, policy in rest.items() if policy is not None}
