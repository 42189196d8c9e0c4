"""Checks of permissions: verb by verb, what each experiment would ask for."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.permissions import (
    NEEDS,
    TIERS,
    Need,
    lacking,
    needs_of_change,
    needs_of_run,
)
from acns_chaos.cluster.policies import KINDS, NAME
from acns_chaos.evidence.doctor.finding import (
    MISSING,
    OK,
    UNKNOWN,
    WARN,
    Check,
    Context,
    Finding,
)
from acns_chaos.evidence.values import mapping, mappings, sequence, word

__all__ = ["CHECKS", "needs_of_experiment"]

LOOK, EXPERIMENT = TIERS[:2]
# Operators that do more than rewrite an object: what they do to objects of which kinds.
_MOVES = {
    "object-deleted": (("", "delete"),),
    "namespace-forgotten": (("", "delete"), ("", "create")),
    "kind-made-clusterwide": (("", "delete"), ("CiliumClusterwideNetworkPolicy", "create")),
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one line is about: a file, or a tier."""

    what: str
    namespace: str
    needs: tuple[Need, ...]


def permitted(context: Context) -> Iterator[Finding]:
    """May this account do what each experiment needs?"""
    answers: dict[tuple[Need, str], list[str]] = {}
    for asked in _asked(context):
        if isinstance(asked, Finding):
            yield asked
            continue
        for need in asked.needs:
            if (need, asked.namespace) not in answers:
                answers[need, asked.namespace] = lacking(context.api, need, asked.namespace)
        refused = {n: found for n in asked.needs if (found := answers[n, asked.namespace])}
        yield _judged(asked, refused)


def _judged(asked: _Asked, refused: Mapping[Need, list[str]]) -> Finding:
    verbs = sum(len(need.verbs) * max(1, len(need.names)) for need in asked.needs)
    if not refused:
        text = f"all {verbs} verbs that it needs are granted in namespace {asked.namespace}"
        return Finding(OK, asked.what, text)
    phrases = list(dict.fromkeys(phrase for found in refused.values() for phrase in found))
    files = " ".join(
        f"-f deploy/rbac/{tier}.yaml" for tier in dict.fromkeys(n.tier for n in refused)
    )
    text = f"this account may not {', '.join(phrases)}"
    # What only a fault needs keeps nobody from looking.
    level = WARN if asked.what == f"tier {EXPERIMENT}" else MISSING
    mend = f"kubectl apply {files}, and bind the roles to it (docs/permissions.md)"
    return Finding(level, asked.what, text, mend)


def _asked(context: Context) -> Iterator[_Asked | Finding]:
    if not context.experiments:
        tiers: dict[str, list[Need]] = {LOOK: [], EXPERIMENT: []}
        for need in NEEDS:
            if need.tier in tiers and not need.later:
                tiers[need.tier].append(need)
        for tier, of_tier in tiers.items():
            yield _Asked(f"tier {tier}", context.namespace, tuple(of_tier))
        return
    for file in context.experiments:
        what = f"permissions of {file.name}"
        try:
            experiment = mapping(json.loads(file.read_bytes()))
        except (OSError, ValueError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or "it is not JSON"
            yield Finding(UNKNOWN, what, f"{file} cannot be read: {reason}")
            continue
        if not experiment.get("title"):
            yield Finding(UNKNOWN, what, f"{file} is no experiment: it has no title")
            continue
        named = mapping(experiment.get("configuration")).get("namespace")
        namespace = named if isinstance(named, str) and NAME.fullmatch(named) else ""
        needs = tuple(dict.fromkeys(needs_of_experiment(experiment)))
        yield _Asked(what, namespace or context.namespace, needs)


def needs_of_experiment(experiment: Mapping[str, Any]) -> list[Need]:
    """What an experiment needs of the API server, as the guard will ask for it.

    Args:
        experiment: as JSON.
    """
    providers = [mapping(one.get("provider")) for one in _activities(experiment)]
    probes = {word(one.get("func")) for one in providers}
    needs = needs_of_run(probes)
    faults = [
        mapping(one.get("arguments")) for one in providers if one.get("func") == "inject_fault"
    ]
    if not faults and "restart_pods" not in probes:
        return [need for need in needs if need.tier == LOOK]
    for fault in faults:
        for kind, change in _changes(fault):
            needs += needs_of_change(kind, change)
    return needs


def _activities(experiment: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    hypothesis = mapping(experiment.get("steady-state-hypothesis"))
    for part in (hypothesis.get("probes"), experiment.get("method"), experiment.get("rollbacks")):
        yield from mappings(sequence(part))


def _changes(fault: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    kind = word(fault.get("kind")) or KIND
    if kind not in KINDS:
        return
    operator = word(fault.get("operator")).rpartition(":")[2].partition("@")[0]
    for other, change in _MOVES.get(operator, (("", "modify"),)):
        yield other or kind, change
    if fault.get("create") is True:
        yield kind, "create"


KIND = "CiliumNetworkPolicy"
CHECKS: tuple[tuple[str, Check], ...] = (("permissions", permitted),)
