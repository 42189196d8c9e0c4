"""A small PromQL evaluator over `history`; the parsing is promql-parser's.

It knows selectors with all matchers, ranges, `offset`, increase, rate, irate, delta, vector(),
time(), sum, max, min, avg, count with by and without, arithmetic, comparison and the set
operators, vectors matched one to one. Everything else is refused by name, never guessed.
Extrapolation is Prometheus's own. HTTP is in `prometheus`.
"""

import itertools
import math
import re
from dataclasses import dataclass

import promql_parser as pp

from acns_chaos.lab.net.history import History, Matcher, Series, matcher
from acns_chaos.lab.net.vectors import (
    AGGREGATE,
    SETS,
    ExecutionError,
    Value,
    Vector,
    each,
    grouped,
    match_set,
    matched,
    nameless,
    not_modelled,
    operate,
    unique,
)

# The parser's enumeration is not hashable.
_MATCH = (
    (pp.MatchOp.Equal, "="),
    (pp.MatchOp.NotEqual, "!="),
    (pp.MatchOp.Re, "=~"),
    (pp.MatchOp.NotRe, "!~"),
)
_RANGE_FUNCTIONS = frozenset({"increase", "rate", "irate", "delta"})


class ParseError(Exception):
    """The query is not PromQL. One sentence."""


def parse(text: str) -> pp.Expr:
    """Parse a query.

    Raises:
        ParseError: it is not PromQL.
    """
    if not text.strip():
        raise ParseError("no expression found in input")
    try:
        return pp.parse(text)
    except ValueError as problem:
        raise ParseError(str(problem)) from problem


def select_series(history: History, selector: pp.Expr) -> list[Series]:
    """The series that an instant vector selector names.

    Raises:
        ExecutionError: it is another kind of expression, or uses matchers that are not modelled.
    """
    if not isinstance(selector, pp.VectorSelector):
        raise ExecutionError("this expression is no series selector")
    if selector.matchers.or_matchers:
        raise not_modelled("`or` between matchers")
    if selector.at is not None:
        raise not_modelled("the @ modifier")
    matchers: list[Matcher] = []
    if selector.name:
        matchers.append(matcher("__name__", "=", selector.name))
    for one in selector.matchers.matchers:
        try:
            text = next(text for op, text in _MATCH if op == one.op)
            matchers.append(matcher(one.name, text, one.value))
        except re.error as problem:
            raise not_modelled(f"the regular expression {one.value!r}") from problem
    return history.select(matchers)


@dataclass(frozen=True, slots=True)
class Range:
    """A range vector at one moment.

    Attributes:
        start, end: the window in seconds since 1970, the start excluded.
        series: labels and samples of each series that has any.
    """

    start: float
    end: float
    series: list[tuple[dict[str, str], list[tuple[float, float]]]]


class Query:
    """A parsed query over a history.

    Args:
        expression: from `parse`.
        history: the samples.
    """

    def __init__(self, expression: pp.Expr, history: History) -> None:
        self.expression = expression
        self._history = history
        self._selected: dict[int, list[Series]] = {}

    def at(self, when: float) -> Value:
        """The query's value at a moment.

        Args:
            when: seconds since 1970.

        Returns:
            A number for a scalar, labels and values for a vector.

        Raises:
            ExecutionError: something in it is not modelled, or its result would be ambiguous.
        """
        return self._evaluate(self.expression, when)

    def range_at(self, selector: pp.MatrixSelector, when: float) -> Range:
        """The samples of a range selector at a moment."""
        inner = selector.vector_selector
        end = when - _offset(inner)
        start = end - selector.range.total_seconds()
        found = []
        for series in self._series(inner):
            samples = series.between(start, end)
            if samples:
                found.append((series.names, samples))
        return Range(start, end, found)

    def _evaluate(self, node: object, when: float) -> Value:
        if isinstance(node, pp.NumberLiteral):
            return float(node.val)
        if isinstance(node, pp.ParenExpr):
            return self._evaluate(node.expr, when)
        if isinstance(node, pp.VectorSelector):
            return self._instant(node, when)
        if isinstance(node, pp.Call):
            return self._call(node, when)
        if isinstance(node, pp.AggregateExpr):
            return self._aggregate(node, when)
        if isinstance(node, pp.BinaryExpr):
            return self._binary(node, when)
        if isinstance(node, pp.UnaryExpr):
            value = self._evaluate(node.expr, when)
            if isinstance(value, float):
                return -value
            return unique([(nameless(labels), -number) for labels, number in value])
        if isinstance(node, pp.SubqueryExpr):
            raise not_modelled("a subquery")
        raise not_modelled(
            "a string" if isinstance(node, pp.StringLiteral) else "a range vector here"
        )

    def _series(self, selector: pp.VectorSelector) -> list[Series]:
        # The same node is evaluated once per step of a range query.
        key = id(selector)
        if key not in self._selected:
            self._selected[key] = select_series(self._history, selector)
        return self._selected[key]

    def _instant(self, selector: pp.VectorSelector, when: float) -> Vector:
        moment = when - _offset(selector)
        found = ((series.names, series.at(moment)) for series in self._series(selector))
        return [(labels, value) for labels, value in found if value is not None]

    def _call(self, node: pp.Call, when: float) -> Value:
        name = node.func.name
        if name == "time" and not node.args:
            return when
        if name == "vector":
            value = self._evaluate(node.args[0], when)
            return [({}, value)] if isinstance(value, float) else value
        if name not in _RANGE_FUNCTIONS:
            raise not_modelled(f"the function {name}()")
        selector = node.args[0]
        if not isinstance(selector, pp.MatrixSelector):
            raise not_modelled(f"{name}() of anything but a range selector")
        window = self.range_at(selector, when)
        found: Vector = []
        for labels, samples in window.series:
            rate = irate(samples) if name == "irate" else extrapolate(name, samples, window)
            if rate is not None:
                found.append((nameless(labels), rate))
        return unique(found)

    def _aggregate(self, node: pp.AggregateExpr, when: float) -> Vector:
        name = str(node.op)
        if name not in AGGREGATE:
            raise not_modelled(f"the aggregation {name}")
        value = self._evaluate(node.expr, when)
        if isinstance(value, float):
            raise ExecutionError(f"{name} needs an instant vector, not a scalar")
        groups: dict[tuple[tuple[str, str], ...], list[float]] = {}
        for labels, number in value:
            key = tuple(sorted(grouped(labels, node.modifier).items()))
            groups.setdefault(key, []).append(number)
        return [(dict(key), float(AGGREGATE[name](numbers))) for key, numbers in groups.items()]

    def _binary(self, node: pp.BinaryExpr, when: float) -> Value:
        name = str(node.op)
        left, right = self._evaluate(node.lhs, when), self._evaluate(node.rhs, when)
        modifier = node.modifier
        truth = bool(modifier and modifier.return_bool)
        if isinstance(left, float) and isinstance(right, float):
            return operate(name, left, right)
        if isinstance(right, float):
            return each(name, [(labels, value, right, value) for labels, value in left], truth)  # type: ignore[union-attr]
        if isinstance(left, float):
            return each(name, [(labels, left, value, value) for labels, value in right], truth)
        if modifier and modifier.group_labels is not None:
            raise not_modelled("group_left and group_right")
        if modifier and "Many" in str(modifier.card) and name not in SETS:
            raise not_modelled("group_left and group_right")
        if name in SETS:
            return match_set(name, left, right, modifier)
        return matched(name, left, right, modifier, truth)


# ---------------------------------------------------------------------- rates


def extrapolate(name: str, samples: list[tuple[float, float]], window: Range) -> float | None:
    """increase, rate or delta over a window, extended to its edges as Prometheus does.

    Args:
        name: "increase", "rate" or "delta".
        samples: (time, value) in the window, oldest first.
        window: its edges.

    Returns:
        None for fewer than two samples: the first sample of a series is no increase.
    """
    if len(samples) < 2:
        return None
    (first_time, first), (last_time, last) = samples[0], samples[-1]
    result = last - first
    if name != "delta":
        result += math.fsum(
            before for (_, before), (_, value) in itertools.pairwise(samples) if value < before
        )
    sampled = last_time - first_time
    average = sampled / (len(samples) - 1)
    to_start, to_end = first_time - window.start, window.end - last_time
    if to_start >= 1.1 * average:
        to_start = average / 2
    if name != "delta" and result > 0 and first >= 0:
        # A counter is not extended below zero.
        to_start = min(to_start, sampled * first / result)
    if to_end >= 1.1 * average:
        to_end = average / 2
    result *= (sampled + to_start + to_end) / sampled
    return result / (window.end - window.start) if name == "rate" else result


def irate(samples: list[tuple[float, float]]) -> float | None:
    """The rate between the last two samples, None when there are fewer."""
    if len(samples) < 2:
        return None
    (before, old), (after, new) = samples[-2:]
    return (new if new < old else new - old) / (after - before)


def _offset(selector: pp.VectorSelector) -> float:
    return selector.offset.total_seconds() if selector.offset else 0.0
