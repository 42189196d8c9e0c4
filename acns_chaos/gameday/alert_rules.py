"""The rule file of a lab's Prometheus, as far as a game day rests on it.

Belongs here: which alerts a file has, how often they are evaluated, how long they wait and look
back. Does not belong here: evaluating them; the lab and Prometheus do, and they say better what is
wrong with an expression.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acns_chaos.cluster.documents import parse
from acns_chaos.cluster.prometheus import Prometheus
from acns_chaos.cluster.sources import read_bounded
from acns_chaos.errors import ApiError, DocumentError

__all__ = ["EVALUATION", "AlertRule", "live_rules", "read_rules"]

# A group without an interval, in the lab; Prometheus' own is 1 min.
EVALUATION = 1.0

_UNITS = {
    "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0
}  # fmt: skip
_PART = re.compile(r"([0-9]+)(ms|[smhdwy])")
_LENGTH = re.compile(r"(?:[0-9]+(?:ms|[smhdwy]))+")
# What an expression looks back by, in `[2m]` and `offset 2m`; in a text within it, harmless.
_BACK = re.compile(r"(?:\[|\boffset\s+)\s*((?:[0-9]+(?:ms|[smhdwy]))+)")


@dataclass(frozen=True, slots=True)
class AlertRule:
    """An alert rule; times in seconds.

    Attributes:
        name: of the alert.
        evaluation: how often it is evaluated.
        held: for how long its expression must hold before it fires (`for`).
        back: how far its expression looks back, so how long it fires after the last drop.
        expression: PromQL.
    """

    name: str
    evaluation: float
    held: float = 0.0
    back: float = 0.0
    expression: str = ""


def read_rules(path: Path) -> dict[str, AlertRule]:
    """The alert rules of a Prometheus rule file.

    Args:
        path: of the file.

    Returns:
        Each by its alert's name; of several with one name the slowest.

    Raises:
        DocumentError: there is no such file, or it is no rule file.
    """
    documents = parse(read_bounded(path), str(path))
    value = documents[0].value if len(documents) == 1 else None
    groups = value.get("groups") if isinstance(value, Mapping) else None
    if not isinstance(groups, list):
        raise DocumentError(f"{path}: is no rule file of Prometheus; it begins with `groups:`.")
    numbered = enumerate(groups)
    return _slowest(rule for number, group in numbered for rule in _rules(group, path, number))


def live_rules(prometheus: Prometheus) -> dict[str, AlertRule]:
    """The alert rules that a Prometheus evaluates; empty where it tells nobody which.

    Args:
        prometheus: asked for its list of rules, which Azure's query API does not have.

    Returns:
        Each by its alert's name; of several with one name the slowest.
    """
    try:
        told = prometheus.json("/api/v1/rules", {"type": "alert"})
        groups = told["data"]["groups"]
        rules = [
            AlertRule(
                str(rule["name"]),
                float(group.get("interval") or EVALUATION),
                float(rule.get("duration") or 0.0),
                _back(str(rule.get("query", ""))),
                str(rule.get("query", "")),
            )
            for group in groups
            for rule in group["rules"]
            if rule.get("type") == "alerting"
        ]
    except (ApiError, KeyError, TypeError, ValueError, AttributeError):
        return {}
    return _slowest(rules)


def _slowest(rules: Iterable[AlertRule]) -> dict[str, AlertRule]:
    found: dict[str, AlertRule] = {}
    for rule in rules:
        known = found.get(rule.name)
        if known is None or rule.held + rule.evaluation > known.held + known.evaluation:
            found[rule.name] = rule
    return found


def _back(expression: str) -> float:
    return max((_seconds(one) for one in _BACK.findall(expression)), default=0.0)


def _rules(group: Any, path: Path, number: int) -> list[AlertRule]:
    where = f"{path}, at groups[{number}]"
    rules = group.get("rules") if isinstance(group, Mapping) else None
    if not isinstance(rules, list):
        raise DocumentError(f"{where}: has no list `rules`; write one.")
    every = _length(group.get("interval"), EVALUATION, f"{where}.interval")
    found = []
    for index, rule in enumerate(rules):
        here = f"{where}.rules[{index}]"
        if not isinstance(rule, Mapping):
            raise DocumentError(f"{here}: is no rule; write `alert:` and `expr:`.")
        name, expression = rule.get("alert"), rule.get("expr")
        if name is None and isinstance(rule.get("record"), str):
            continue  # It records, and tells nobody.
        if not isinstance(name, str) or not isinstance(expression, str):
            raise DocumentError(f"{here}: has no text for `alert` or `expr`; write both.")
        held = _length(rule.get("for"), 0.0, f"{here}.for")
        found.append(AlertRule(name, every, held, _back(expression), expression))
    return found


def _length(value: Any, default: float, where: str) -> float:
    if value is None:
        return default
    if value == 0 and not isinstance(value, bool):
        return 0.0
    if not isinstance(value, str) or not _LENGTH.fullmatch(value):
        raise DocumentError(f"{where}: is no length of time; write one such as 30s.")
    return _seconds(value)


def _seconds(text: str) -> float:
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
