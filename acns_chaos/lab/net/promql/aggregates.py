"""PromQL's aggregations of an instant vector. Evaluation is in `evaluation`."""

import math
from collections.abc import Callable, Mapping

import promql_parser as pp

from acns_chaos.lab.net.promql.vectors import ExecutionError, Vector, nameless

_Labels = tuple[tuple[str, str], ...]
_FAR = 2.0**63


def grouped(labels: Mapping[str, str], modifier: pp.AggModifier | None) -> dict[str, str]:
    """The labels by which an aggregation groups an element."""
    if modifier is None:
        return {}
    names = set(modifier.labels)
    if modifier.type == pp.AggModifierType.By:
        return {key: value for key, value in labels.items() if key in names}
    return {key: value for key, value in nameless(labels).items() if key not in names}


def largest(values: list[float]) -> float:
    """The maximum; NaN only when there is nothing else."""
    return max((v for v in values if not math.isnan(v)), default=math.nan)


def smallest(values: list[float]) -> float:
    """The minimum; NaN only when there is nothing else."""
    return min((v for v in values if not math.isnan(v)), default=math.nan)


def average(values: list[float]) -> float:
    """The arithmetic mean."""
    return sum(values) / len(values)


def _variance(values: list[float]) -> float:
    # Welford's way, as Prometheus goes: of one infinite value it is 0.
    mean, total = values[0], 0.0
    for count, value in enumerate(values[1:], 2):
        delta = value - mean
        mean += delta / count
        total += delta * (value - mean)
    return total / len(values)


def quantile(at: float, values: list[float]) -> float:
    """The value at a quantile, between two ranks in proportion; NaN counts as smallest."""
    if math.isnan(at):
        return math.nan
    if at < 0 or at > 1:
        return math.copysign(math.inf, at)
    ordered = sorted(values, key=lambda value: (not math.isnan(value), value))
    rank = at * (len(ordered) - 1)
    lower = math.floor(rank)
    upper = min(len(ordered) - 1, lower + 1)
    weight = rank - lower
    return ordered[lower] * (1 - weight) + ordered[upper] * weight


FOLDS: Mapping[str, Callable[[list[float]], float]] = {
    "sum": sum,
    "max": largest,
    "min": smallest,
    "avg": average,
    "count": lambda values: float(len(values)),
    "group": lambda _: 1.0,
    "stddev": lambda values: math.sqrt(_variance(values)),
    "stdvar": _variance,
}
WITH_NUMBER = frozenset({"topk", "bottomk", "quantile"})


def aggregate(
    name: str, vector: Vector, modifier: pp.AggModifier | None, number: float | None
) -> Vector:
    """One of `FOLDS` or `WITH_NUMBER`.

    Args:
        name: of the aggregation.
        vector: what is aggregated.
        modifier: `by` or `without`.
        number: the parameter of topk, bottomk and quantile.

    Raises:
        ExecutionError: the number cannot be used.
    """
    groups: dict[_Labels, Vector] = {}
    for labels, value in vector:
        key = tuple(sorted(grouped(labels, modifier).items()))
        groups.setdefault(key, []).append((labels, value))
    if name in ("topk", "bottomk"):
        keep = _count(number if number is not None else math.nan)
        return [e for group in groups.values() for e in _ranked(name, group)[:keep]]
    if name == "quantile":
        at = number if number is not None else math.nan
        return [(dict(key), quantile(at, [v for _, v in group])) for key, group in groups.items()]
    return [(dict(key), FOLDS[name]([v for _, v in group])) for key, group in groups.items()]


def _count(number: float) -> int:
    if not -_FAR <= number < _FAR:
        raise ExecutionError(f"Scalar value {number:g} overflows int64")
    return max(0, int(number))


def _ranked(name: str, group: Vector) -> Vector:
    sign = -1 if name == "topk" else 1
    return sorted(group, key=lambda e: (math.isnan(e[1]), sign * e[1]))
