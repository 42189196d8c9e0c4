"""What PromQL does to instant vectors: grouping, matching, arithmetic. Evaluation is `promql`."""

import math
import operator
from collections.abc import Callable, Mapping

import promql_parser as pp

Element = tuple[dict[str, str], float]
Vector = list[Element]
Value = float | Vector

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "==": operator.eq, "!=": operator.ne, ">": operator.gt,
    "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip
AGGREGATE: Mapping[str, Callable[[list[float]], float]] = {
    "sum": sum,
    "max": max,
    "min": min,
    "avg": lambda values: sum(values) / len(values),
    "count": len,
}
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


def grouped(labels: Mapping[str, str], modifier: pp.AggModifier | None) -> dict[str, str]:
    """The labels by which an aggregation groups an element."""
    if modifier is None:
        return {}
    names = set(modifier.labels)
    if modifier.type == pp.AggModifierType.By:
        return {key: value for key, value in labels.items() if key in names}
    return {key: value for key, value in nameless(labels).items() if key not in names}


def operate(name: str, left: float, right: float) -> float:
    """Arithmetic or comparison (1 or 0) of two numbers.

    Raises:
        ExecutionError: the operator is not modelled.
    """
    if name in _COMPARE:
        return float(_COMPARE[name](left, right))
    if name == "%" and math.isinf(left):
        return math.nan
    if name in ("/", "%") and right == 0:
        if name == "%" or left == 0 or math.isnan(left):
            return math.nan
        return math.copysign(math.inf, left) * math.copysign(1, right)
    arithmetic: Mapping[str, Callable[[float, float], float]] = {
        "+": operator.add, "-": operator.sub, "*": operator.mul,
        "/": operator.truediv, "%": math.fmod,
    }  # fmt: skip
    if name not in arithmetic:
        raise not_modelled(f"the operator {name}")
    return arithmetic[name](left, right)


def each(name: str, rows: list[tuple[dict[str, str], float, float, float]], truth: bool) -> Vector:
    """Operate on (labels, left, right, the vector's own value) of every element."""
    found: Vector = []
    for labels, left, right, own in rows:
        value = operate(name, left, right)
        if name not in _COMPARE or truth:
            found.append((nameless(labels), value))
        elif value:
            found.append((labels, own))
    return unique(found)


def _signature(
    labels: Mapping[str, str], modifier: pp.BinModifier | None
) -> frozenset[tuple[str, str]]:
    matching = modifier.matching if modifier else None
    if matching is None:
        return frozenset(nameless(labels).items())
    names = set(matching.labels)
    if matching.type == pp.LabelModifierType.Include:
        return frozenset((key, value) for key, value in labels.items() if key in names)
    return frozenset((k, v) for k, v in nameless(labels).items() if k not in names)


def match_set(name: str, left: Vector, right: Vector, modifier: pp.BinModifier | None) -> Vector:
    """`and`, `or`, `unless` of two vectors."""
    if name == "or":
        known = {_signature(labels, modifier) for labels, _ in left}
        return left + [e for e in right if _signature(e[0], modifier) not in known]
    known = {_signature(labels, modifier) for labels, _ in right}
    return [e for e in left if (_signature(e[0], modifier) in known) is (name == "and")]


def matched(
    name: str, left: Vector, right: Vector, modifier: pp.BinModifier | None, truth: bool
) -> Vector:
    """Arithmetic or comparison of two vectors, their elements matched one to one.

    Args:
        name: the operator.
        left: the left-hand side, whose values a comparison keeps.
        right: the right-hand side.
        modifier: `on` or `ignoring`.
        truth: `bool` was given: compare to 1 or 0 instead of filtering.

    Raises:
        ExecutionError: an element has several partners.
    """
    partners: dict[frozenset[tuple[str, str]], float] = {}
    for labels, value in right:
        key = _signature(labels, modifier)
        if key in partners:
            raise ExecutionError(
                "found duplicate series for the match group on the right hand-side of the operation"
            )
        partners[key] = value
    found: Vector = []
    used = set()
    for labels, value in left:
        key = _signature(labels, modifier)
        if key not in partners:
            continue
        if key in used:
            raise ExecutionError(
                "multiple matches for labels: many-to-one matching must be explicit "
                "(group_left/group_right)"
            )
        used.add(key)
        result = operate(name, value, partners[key])
        keep_filtered = name in _COMPARE and not truth
        if not keep_filtered:
            found.append((dict(key), result))
        elif result:
            kept = labels if not (modifier and modifier.matching) else dict(key)
            found.append((kept, value))
    return found
