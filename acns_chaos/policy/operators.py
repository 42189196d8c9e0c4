"""Mutation operators: ways in which people get a live policy wrong.

Belongs here: raw policy in, raw mutant out. Does not belong here: what a mutant opens or closes
(`diff`), and writing it anywhere.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.errors import PolicyError
from acns_chaos.policy.model import ObjectRef
from acns_chaos.policy.validity import problems

Raw = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operator:
    """One mutation.

    Attributes:
        name: its name in experiments.
        summary: what it does, on one line.
        function: changes a deep copy of the object's rule block (`spec`) in place.
    """

    name: str
    summary: str
    function: Callable[[Raw], None]


def _ingress_from_nobody(spec: Raw) -> None:
    spec["ingress"] = [{"fromEndpoints": []}]


def _egress_to_nobody(spec: Raw) -> None:
    spec["egress"] = [{"toEndpoints": []}]


def _without(direction: str) -> Callable[[Raw], None]:
    def remove(spec: Raw) -> None:
        # Deny rules too: alone they would keep the default-deny, and the direction closed.
        for section in (direction, f"{direction}Deny"):
            if spec.get(section):
                del spec[section]

    return remove


def _deny_world_ingress(spec: Raw) -> None:
    denied = {"fromEntities": ["world"]}
    rules = spec.get("ingressDeny") or []
    if denied not in rules:
        spec["ingressDeny"] = [*rules, denied]


OPERATORS: Mapping[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator(
            "ingress-from-nobody",
            "replace the ingress rules by one that allows nobody (fromEndpoints: [])",
            _ingress_from_nobody,
        ),
        Operator(
            "egress-to-nobody",
            "replace the egress rules by one that allows nobody (toEndpoints: [])",
            _egress_to_nobody,
        ),
        Operator(
            "ingress-removed",
            "take all ingress rules away, so that ingress is no longer restricted (fails open)",
            _without("ingress"),
        ),
        Operator(
            "egress-removed",
            "take all egress rules away, so that egress is no longer restricted (fails open)",
            _without("egress"),
        ),
        Operator(
            "deny-world-ingress",
            "add a deny rule for everything outside the cluster, which beats every allow rule",
            _deny_world_ingress,
        ),
    )
}


def apply_operator(name: str, policy: Mapping[str, Any]) -> dict[str, Any]:
    """A mutant of a policy.

    Args:
        name: of the operator, a key of OPERATORS.
        policy: a raw object; it is not changed.

    Returns:
        The changed object, raw, with nothing shared with the original.

    Raises:
        PolicyError: there is no such operator, it does not apply to this object, it would change
            nothing, or the agents would refuse the mutant and keep the original in force.
    """
    operator = OPERATORS.get(name)
    if operator is None:
        raise PolicyError(f"There is no operator {name!r}; use one of {', '.join(OPERATORS)}.")
    ref = ObjectRef.of(policy)
    if ref.kind == "NetworkPolicy":
        raise PolicyError(
            f"Operator {name} does not apply to the NetworkPolicy {ref}; it is for Cilium's kinds."
        )
    mutant: Raw = json.loads(json.dumps(policy))
    if not isinstance(mutant.get("spec"), dict):
        raise PolicyError(f"Operator {name} does not apply to {ref}: the object has no spec.")
    operator.function(mutant["spec"])
    if mutant == policy:
        raise PolicyError(f"Operator {name} would change nothing in {ref}.")
    findings = problems(mutant)
    if findings and not problems(policy):
        raise PolicyError(
            f"Operator {name} does not apply to {ref}: the agents would refuse the result and "
            f"keep the original in force ({findings[0].rstrip('.')})."
        )
    return mutant
