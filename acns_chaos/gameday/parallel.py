"""Namespaces that are run at once: whose fault a detector has noticed must be told apart.

Belongs here: which detectors can be told apart, and refusing others. Does not belong here: telling
the alerts themselves apart while a fault stands (`acns_chaos.evidence.apart`).
"""

import re
from collections.abc import Mapping

from acns_chaos.cluster.documents_bounds import short
from acns_chaos.cluster.prometheus import Prometheus
from acns_chaos.errors import ApiError, GameDayError
from acns_chaos.evidence.apart import LABELS
from acns_chaos.gameday.alert_rules import AlertRule, live_rules
from acns_chaos.gameday.plan_values import ALERT, CLAIM, Detector, Plan
from acns_chaos.gameday.stage import Stage

__all__ = ["require_apart", "rules_of"]

_KEPT = re.compile(r"\bby\s*\(([^)]*)\)")
# Of names in a sentence.
_SHOWN = 5


def require_apart(plan: Plan, rules: Mapping[str, AlertRule], parallel: int) -> str:
    """Refuse to run namespaces at once where an alert does not say of which one it is.

    Args:
        plan: names detectors and namespaces.
        rules: what is known of alert rules, by name.
        parallel: how many namespaces at once.

    Returns:
        What a person should know of the claims, in one sentence; "" for nothing.

    Raises:
        GameDayError: the fault of another namespace would kill mutants.
    """
    if parallel < 2 or len(plan.namespaces) < 2:
        return ""
    shared = [one.name for one in plan.detectors if one.kind == ALERT and not _apart(one, rules)]
    if shared:
        raise GameDayError(
            f"With --parallel {parallel} an alert must say of which namespace it is, and nothing "
            f"shows that {_names(shared)} does: write what it carries into the plan, such as "
            f"`labels: {{namespace: {plan.namespaces[0]}}}`, have its rule keep it, such as by "
            "`sum by (namespace)`, or leave --parallel out."
        )
    claims = [one.name for one in plan.detectors if one.kind == CLAIM]
    if not claims:
        return ""
    return (
        f"With --parallel {parallel} a claim that is missed counts for each mutant that stands, "
        f"of whichever namespace: {_names(claims)}; leave --parallel out where that matters."
    )


def rules_of(plan: Plan, stage: Stage) -> Mapping[str, AlertRule]:
    """What is known of the alert rules of a place, by name: what is evaluated, else the plan's."""
    try:
        return live_rules(Prometheus.from_environ(stage.environ, stage.api)) or plan.rules
    except ApiError:
        return plan.rules


def _apart(one: Detector, rules: Mapping[str, AlertRule]) -> bool:
    """Whether an alert carries a label that names a namespace, as far as anybody can tell."""
    expression = rules[one.name].expression if one.name in rules else ""
    kept = {name.strip() for found in _KEPT.findall(expression) for name in found.split(",")}
    return bool({*map(str.lower, one.labels), *map(str.lower, kept)} & LABELS)


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(short(one, 100) for one in names[:_SHOWN]) + more
