"""Mutation operators: ways in which people get a live policy wrong, and how to apply one.

Belongs here: the list of all operators, mutants' ids, and raw policy in, raw mutant out. Does not
belong here: the mistakes themselves (`mutation`), what a mutant opens or closes (`mutants`), and
writing it anywhere.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from acns_chaos.errors import PolicyError
from acns_chaos.policy.model import ObjectRef
from acns_chaos.policy.mutation import labels, names, objects, peer_lists, ports, sections
from acns_chaos.policy.mutation.edits import Edit, Operator, Surroundings
from acns_chaos.policy.validity import problems

__all__ = [
    "OPERATORS",
    "Operator",
    "Surroundings",
    "apply_operator",
    "mutant_id",
    "operator_changes",
]

_FAMILIES = (
    sections.EMPTIES,
    sections.DIRECTION,
    labels.SUBJECT,
    peer_lists.PEERS,
    labels.PEERS,
    peer_lists.ENTITIES,
    peer_lists.CIDR,
    peer_lists.SERVICES,
    ports.PORTS,
    ports.PROTOCOLS,
    names.DNS,
    names.FQDN,
    names.HTTP,
    sections.DENY,
    objects.OBJECT,
    objects.INVALID,
)

OPERATORS: Mapping[str, Operator] = {
    operator.name: operator for family in _FAMILIES for operator in family.operators
}
"""Every operator by its name, family by family."""

# Named in a sentence; `acns-chaos mutants` has them all.
_SHOWN = 12


def mutant_id(ref: ObjectRef, operator: str, edit: Edit) -> str:
    """The id of a mutant, e.g. "pets/front:rule-emptied@spec.ingress[0]".

    It follows from the object's name, the operator and the place alone, so it stays the same for as
    long as these do. A NetworkPolicy's begins with its kind, as it may share name and namespace
    with a CiliumNetworkPolicy.

    Args:
        ref: the object.
        operator: the operator's name.
        edit: one of the operator's edits.
    """
    kind = "NetworkPolicy/" if ref.kind == "NetworkPolicy" else ""
    return f"{kind}{ref}:{operator}@{edit.where}"


def apply_operator(
    name: str,
    policy: Mapping[str, Any],
    *,
    place: str = "",
    around: Surroundings | None = None,
) -> dict[str, Any]:
    """A mutant of a policy.

    Args:
        name: of the operator, when it applies at exactly one place; `name@place`; or the id of a
            mutant as `acns-chaos mutants` prints it.
        policy: a raw object; it is not changed.
        place: where, e.g. "spec.ingress[0]", unless the name says it.
        around: what else is live; mistakes such as a service's port are made with it.

    Returns:
        The changed object, raw, with nothing shared with the original.

    Raises:
        PolicyError: there is no such operator or place, the operator applies at several and none is
            named, it would change nothing, it does more than rewrite this object, or the agents
            would refuse the mutant and keep the original in force.
    """
    ref = ObjectRef.of(policy)
    operator, where = _named(name, ref, place)
    edit, objects_after = _chosen(operator, where, policy, around or Surroundings())
    if len(objects_after) != 1 or ObjectRef.of(objects_after[0]) != ref:
        raise PolicyError(
            f"Operator {operator.name} does more than rewrite {ref} (at {edit.where}): only a "
            "mutant that keeps the object can be injected; take another operator."
        )
    mutant: dict[str, Any] = dict(objects_after[0])
    findings = problems(mutant)
    if findings and not problems(policy):
        raise PolicyError(
            f"Operator {operator.name} does not apply to {ref}: the agents would refuse the result "
            f"and keep the original in force ({findings[0].rstrip('.')})."
        )
    return mutant


def operator_changes(
    name: str,
    policy: Mapping[str, Any],
    *,
    around: Surroundings | None = None,
    ignored: bool = False,
) -> dict[ObjectRef, dict[str, Any] | None]:
    """A mutant of a policy as what each object becomes: it may move, copy or delete the object.

    Args:
        name: as for `apply_operator`.
        policy: a raw object; it is not changed.
        around: what else is live.
        ignored: take a mutant that the agents would refuse, keeping the original in force.

    Returns:
        Each object that changes; None for one that is deleted.

    Raises:
        PolicyError: as `apply_operator`, except that several objects may change.
    """
    ref = ObjectRef.of(policy)
    operator, where = _named(name, ref, "")
    _, objects_after = _chosen(operator, where, policy, around or Surroundings())
    after: dict[ObjectRef, dict[str, Any] | None] = {ref: None}
    after |= {ObjectRef.of(one): dict(one) for one in objects_after}
    for one in after.values():
        findings = problems(one) if one is not None and not ignored else ()
        if findings and not problems(policy):
            raise PolicyError(
                f"Operator {operator.name} does not apply to {ref}: the agents would refuse the "
                f"result and keep the original in force ({findings[0].rstrip('.')})."
            )
    return after


def _named(name: str, ref: ObjectRef, place: str) -> tuple[Operator, str]:
    """The operator and place that a name, `name@place` or id means."""
    start, _, written = name.partition("@")
    of, colon, bare = start.rpartition(":")
    if colon and of.removeprefix("NetworkPolicy/") != str(ref):
        raise PolicyError(f"Mutant {name!r} is one of {of}, not of {ref}: correct one of them.")
    operator = OPERATORS.get(bare)
    if operator is None:
        near = get_close_matches(bare, OPERATORS, n=3)
        hint = f"did you mean {' or '.join(near)}" if near else "see `acns-chaos operators`"
        raise PolicyError(f"There is no operator {bare!r}; {hint}.")
    if ref.kind == "NetworkPolicy" and not operator.native:
        raise PolicyError(
            f"Operator {bare} does not apply to the NetworkPolicy {ref}; it is for Cilium's kinds."
        )
    return operator, written or place


def _chosen(
    operator: Operator, where: str, policy: Mapping[str, Any], around: Surroundings
) -> tuple[Edit, tuple[Mapping[str, Any], ...]]:
    """The one edit that is meant."""
    ref = ObjectRef.of(policy)
    if problems(policy):
        raise PolicyError(
            f"Operator {operator.name} does not apply to {ref}: the agents refuse the object as it "
            f"is ({problems(policy)[0].rstrip('.')})."
        )
    edits = operator.edits(policy, around)
    if not edits:
        raise PolicyError(f"Operator {operator.name} would change nothing in {ref}.")
    found = [one for one in edits if where in {"", one[0].where}]
    if not found:
        # Without its variant a place is enough where there is but one.
        found = [one for one in edits if one[0].where.partition("=")[0] == where]
    if len(found) == 1:
        return found[0]
    places = [edit.where for edit, _ in found or edits]
    listed = ", ".join(places[:_SHOWN])
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    if found:
        raise PolicyError(
            f"Operator {operator.name} applies at {len(places)} places of {ref}; write one of them "
            f"behind it, as in {operator.name}@{places[0]}: {listed}{more}."
        )
    raise PolicyError(
        f"Operator {operator.name} does not apply at {where!r} of {ref}; it does at {listed}{more}."
    )
