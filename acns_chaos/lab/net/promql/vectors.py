"""What PromQL's operators do to numbers and instant vectors. Evaluation is in `evaluation`."""

import math
import operator
from collections.abc import Callable, Mapping

import promql_parser as pp

Element = tuple[dict[str, str], float]
Vector = list[Element]
Value = float | str | Vector
_Key = frozenset[tuple[str, str]]

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "==": operator.eq, "!=": operator.ne, ">": operator.gt,
    "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip
SETS = frozenset({"and", "or", "unless"})


class ExecutionError(Exception):
    """The query is well formed, but cannot be answered. One sentence."""


def not_modelled(what: str) -> ExecutionError:
    """The error that names what this evaluator leaves out."""
    return ExecutionError(f"{what} is not modelled by the lab")


def nameless(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels without the metric's name."""
    return {key: value for key, value in labels.items() if key != "__name__"}


def unique(vector: Vector) -> Vector:
    """The vector itself.

    Raises:
        ExecutionError: two of its elements have the same labels.
    """
    seen = set()
    for labels, _ in vector:
        key = frozenset(labels.items())
        if key in seen:
            raise ExecutionError("vector cannot contain metrics with the same labelset")
        seen.add(key)
    return vector


# ---------------------------------------------------------------------- two numbers


def operate(name: str, left: float, right: float) -> float:
    """Arithmetic or comparison (1 or 0) of two numbers, with IEEE's infinities and NaN.

    Raises:
        ExecutionError: the operator is not modelled.
    """
    if name in _COMPARE:
        return float(_COMPARE[name](left, right))
    arithmetic: Mapping[str, Callable[[float, float], float]] = {
        "+": operator.add, "-": operator.sub, "*": operator.mul,
        "/": _divide, "%": _remainder, "^": _power,
    }  # fmt: skip
    if name not in arithmetic:
        raise not_modelled(f"the operator {name}")
    return arithmetic[name](left, right)


def _divide(left: float, right: float) -> float:
    if right == 0:
        if left == 0 or math.isnan(left):
            return math.nan
        return math.copysign(math.inf, left) * math.copysign(1, right)
    return left / right


def _remainder(left: float, right: float) -> float:
    return math.nan if right == 0 or math.isinf(left) else math.fmod(left, right)


def _power(left: float, right: float) -> float:
    odd = right == math.floor(right) and right % 2 == 1 if math.isfinite(right) else False
    try:
        return math.pow(left, right)
    except OverflowError:
        return -math.inf if left < 0 and odd else math.inf
    except ValueError:
        if left == 0:  # to a negative power
            return math.copysign(math.inf, left) if odd else math.inf
        return math.nan


# ---------------------------------------------------------------------- vectors


def with_number(
    name: str, rows: list[tuple[dict[str, str], float, float, float]], truth: bool
) -> Vector:
    """Operate on a vector and a number.

    Args:
        name: the operator.
        rows: (labels, left, right, the vector's own value) of every element.
        truth: `bool` was given: compare to 1 or 0 instead of filtering.
    """
    found: Vector = []
    for labels, left, right, own in rows:
        value = operate(name, left, right)
        if name not in _COMPARE or truth:
            found.append((nameless(labels), value))
        elif value:
            found.append((labels, own))
    return unique(found)


def match_set(name: str, left: Vector, right: Vector, modifier: pp.BinModifier | None) -> Vector:
    """`and`, `or`, `unless` of two vectors."""
    if name == "or":
        known = {_signature(labels, modifier) for labels, _ in left}
        return unique(left + [e for e in right if _signature(e[0], modifier) not in known])
    known = {_signature(labels, modifier) for labels, _ in right}
    return [e for e in left if (_signature(e[0], modifier) in known) is (name == "and")]


def matched(name: str, left: Vector, right: Vector, modifier: pp.BinModifier | None) -> Vector:
    """Arithmetic or comparison of two vectors.

    Args:
        name: the operator.
        left: the left-hand side, whose values a comparison keeps.
        right: the right-hand side.
        modifier: `on` or `ignoring`, `group_left` or `group_right`, `bool`.

    Raises:
        ExecutionError: an element has several partners where it may have one.
    """
    if not left or not right:
        return []
    card = str(modifier.card).rsplit(".", 1)[-1] if modifier else "OneToOne"
    swapped = card == "OneToMany"
    many, one = (right, left) if swapped else (left, right)
    partners: dict[_Key, Element] = {}
    for element in one:
        key = _signature(element[0], modifier)
        if key in partners:
            group, side = _text(dict(key)), "left" if swapped else "right"
            pair = f"{_text(element[0])}, {_text(partners[key][0])}"
            raise ExecutionError(
                f"found duplicate series for the match group {group} on the {side} hand-side of "
                f"the operation: [{pair}];many-to-many matching not allowed: matching labels must "
                "be unique on one side"
            )
        partners[key] = element
    truth = bool(modifier and modifier.return_bool)
    found: Vector = []
    used: set[_Key] = set()
    for labels, value in many:
        key = _signature(labels, modifier)
        if key not in partners:
            continue
        other, number = partners[key]
        result = _judge(name, number if swapped else value, value if swapped else number, truth)
        if result is None:
            continue
        metric = _result_labels(name, labels, other, modifier, truth)
        mark = key if card == "OneToOne" else frozenset(metric.items())
        if mark in used:
            raise ExecutionError(
                "multiple matches for labels: many-to-one matching must be explicit "
                "(group_left/group_right)"
                if card == "OneToOne"
                else "multiple matches for labels: grouping labels must ensure unique matches"
            )
        used.add(mark)
        found.append((metric, result))
    return unique(found)


def _judge(name: str, left: float, right: float, truth: bool) -> float | None:
    """The value of one match, None when a comparison filters it."""
    result = operate(name, left, right)
    if name not in _COMPARE or truth:
        return result
    return left if result else None


def _signature(labels: Mapping[str, str], modifier: pp.BinModifier | None) -> _Key:
    matching = modifier.matching if modifier else None
    if matching is None:
        return frozenset(nameless(labels).items())
    names = set(matching.labels)
    if matching.type == pp.LabelModifierType.Include:
        return frozenset((key, value) for key, value in labels.items() if key in names)
    return frozenset((k, v) for k, v in nameless(labels).items() if k not in names)


def _result_labels(
    name: str,
    labels: dict[str, str],
    other: dict[str, str],
    modifier: pp.BinModifier | None,
    truth: bool,
) -> dict[str, str]:
    metric = dict(labels)
    if name not in _COMPARE or truth:
        metric.pop("__name__", None)
    matching = modifier.matching if modifier else None
    if modifier is not None and modifier.group_labels is not None:
        for label in modifier.group_labels:
            metric.pop(label, None)
            if other.get(label):
                metric[label] = other[label]
    elif matching is not None:
        names = set(matching.labels)
        include = matching.type == pp.LabelModifierType.Include
        metric = {key: value for key, value in metric.items() if (key in names) is include}
    return metric


def _text(labels: Mapping[str, str]) -> str:
    name = labels.get("__name__", "")
    pairs = ", ".join(f'{key}="{value}"' for key, value in sorted(nameless(labels).items()))
    return f"{name}{{{pairs}}}"
