"""PromQL's functions of numbers and instant vectors. Evaluation is in `evaluation`."""

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from acns_chaos.lab.net.promql.history import PatternError, compiled
from acns_chaos.lab.net.promql.vectors import ExecutionError, Vector, nameless, unique

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_REFERENCE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")


def _whole(rounding: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: float(rounding(value)) if math.isfinite(value) else value


def _logarithm(log: Callable[[float], float]) -> Callable[[float], float]:
    def of(value: float) -> float:
        if value == 0:
            return -math.inf
        return log(value) if value > 0 else math.nan

    return of


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _sign(value: float) -> float:
    return value if value == 0 or math.isnan(value) else math.copysign(1.0, value)


OF_EACH: Mapping[str, Callable[[float], float]] = {
    "abs": abs,
    "ceil": _whole(math.ceil),
    "floor": _whole(math.floor),
    "exp": _exp,
    "ln": _logarithm(math.log),
    "log2": _logarithm(math.log2),
    "log10": _logarithm(math.log10),
    "sqrt": lambda value: math.sqrt(value) if value >= 0 else math.nan,
    "sgn": _sign,
}


def rounded(value: float, to: float) -> float:
    """A value rounded to the nearest multiple, halves upwards."""
    if to == 0:
        return math.nan
    inverse = 1.0 / to
    scaled = value * inverse + 0.5
    return math.floor(scaled) / inverse if math.isfinite(scaled) else scaled / inverse


def clamped(value: float, low: float, high: float) -> float:
    """A value kept between two bounds; NaN stays, and a bound that is NaN makes NaN."""
    if math.isnan(value) or math.isnan(low) or math.isnan(high):
        return math.nan
    return max(low, min(high, value))


def ordered(vector: Vector, *, descending: bool) -> Vector:
    """The vector sorted by value, NaN last."""
    sign = -1 if descending else 1
    return sorted(vector, key=lambda element: (math.isnan(element[1]), sign * element[1]))


def relabelled(vector: Vector, target: str, template: str, source: str, pattern: str) -> Vector:
    """The vector with a label made of another one's value, where that matches.

    Args:
        vector: what to change.
        target: the label to write; an empty value takes it away.
        template: its value, in which `$1` and `${name}` are what a group matched.
        source: the label to read; an absent one is empty.
        pattern: RE2 expression, which must match the whole value.

    Raises:
        ExecutionError: the pattern or the label's name is none, or two elements become the same.
    """
    if not _LABEL.fullmatch(target):
        raise ExecutionError(f"invalid destination label name in label_replace(): {target}")
    try:
        tried = compiled(pattern)
    except PatternError as problem:
        raise ExecutionError(
            f"invalid regular expression in label_replace(): {pattern}"
        ) from problem
    found: Vector = []
    for labels, value in vector:
        match = tried.fullmatch(labels.get(source, ""))
        changed = dict(labels)
        if match is not None:
            changed[target] = _REFERENCE.sub(partial(_group, match), template)
        found.append(({name: text for name, text in changed.items() if text}, value))
    return unique(found)


def _group(match: Any, reference: re.Match[str]) -> str:
    """What a reference of a template stands for; a group that there is not is empty."""
    if reference[1]:
        return "$"
    name = reference[2] or reference[3]
    try:
        return match[int(name) if name.isdigit() else name] or ""
    except (IndexError, KeyError):
        return ""


def histogram_quantile(at: float, vector: Vector) -> Vector:
    """A quantile of each classic histogram whose buckets are in a vector.

    Args:
        at: between 0 and 1.
        vector: cumulative counts with the label `le`; elements without one are passed over.
    """
    histograms: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
    for labels, count in vector:
        try:
            bound = float(labels.get("le", ""))
        except ValueError:
            continue
        rest = frozenset((key, value) for key, value in nameless(labels).items() if key != "le")
        histograms.setdefault(rest, []).append((bound, count))
    return [(dict(key), _bucket_quantile(at, buckets)) for key, buckets in histograms.items()]


def _bucket_quantile(at: float, buckets: list[tuple[float, float]]) -> float:
    if math.isnan(at):
        return math.nan
    if at < 0 or at > 1:
        return math.copysign(math.inf, at)
    summed: dict[float, float] = {}
    for bound, count in sorted(buckets):
        summed[bound] = summed.get(bound, 0.0) + count
    bounds = list(summed)
    # Counts that fall are what scrapes at different moments leave behind.
    counts: list[float] = []
    for count in summed.values():
        counts.append(max(count, counts[-1]) if counts else count)
    if bounds[-1] != math.inf or len(bounds) < 2 or not counts[-1] > 0:
        return math.nan
    rank = at * counts[-1]
    index = next((i for i, count in enumerate(counts[:-1]) if count >= rank), len(bounds) - 1)
    if index == len(bounds) - 1:
        return bounds[-2]
    if index == 0 and bounds[0] <= 0:
        return bounds[0]
    start, count = 0.0, counts[index]
    if index > 0:
        start = bounds[index - 1]
        count -= counts[index - 1]
        rank -= counts[index - 1]
    share = rank / count if count else math.nan
    return start + (bounds[index] - start) * share
