"""A PromQL evaluator over `history`; the parsing is promql-parser's.

What it knows is listed in docs/promql.md; everything else is refused by name, never guessed. It
means what Prometheus 2.42 means: windows and the look-back include both of their edges. Operators
are in `vectors`, functions in `rates`, `functions` and `aggregates`; HTTP is in `net.prometheus`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import promql_parser as pp

from acns_chaos.lab.net.promql.aggregates import FOLDS, WITH_NUMBER, aggregate
from acns_chaos.lab.net.promql.expressions import matchers
from acns_chaos.lab.net.promql.functions import (
    OF_EACH,
    clamped,
    histogram_quantile,
    ordered,
    relabelled,
    rounded,
)
from acns_chaos.lab.net.promql.history import History, Series, milliseconds
from acns_chaos.lab.net.promql.rates import RANGE_FUNCTIONS, Samples, Window, over
from acns_chaos.lab.net.promql.vectors import (
    SETS,
    ExecutionError,
    Value,
    Vector,
    match_set,
    matched,
    nameless,
    not_modelled,
    operate,
    unique,
    with_number,
)


@dataclass(frozen=True, slots=True)
class Range:
    """A range vector at one moment.

    Attributes:
        window: where the samples are.
        series: labels and samples of each series that has any.
    """

    window: Window
    series: list[tuple[dict[str, str], Samples]]


class Query:
    """A parsed query over a history.

    Args:
        expression: from `parse`.
        history: the samples.
    """

    def __init__(self, expression: pp.Expr, history: History) -> None:
        self.expression = _bare(expression)
        self._history = history
        self._selected: dict[int, list[Series]] = {}
        self._functions: dict[str, Callable[[pp.Call, int], Value]] = {
            "time": self._time,
            "vector": self._to_vector,
            "scalar": self._scalar,
            "timestamp": self._timestamp,
            "round": self._round,
            "clamp": self._clamp,
            "clamp_min": self._clamp,
            "clamp_max": self._clamp,
            "sort": self._sort,
            "sort_desc": self._sort,
            "absent": self._absent,
            "absent_over_time": self._absent,
            "histogram_quantile": self._histogram_quantile,
            "label_replace": self._label_replace,
        }

    def at(self, when: float) -> Value:
        """The query's value at a moment.

        Args:
            when: seconds since 1970.

        Returns:
            A number for a scalar, a text for a string, labels and values for a vector.

        Raises:
            ExecutionError: something in it is not modelled, or its result would be ambiguous.
        """
        return self._evaluate(self.expression, milliseconds(when))

    def range_at(self, selector: pp.MatrixSelector, when: float) -> Range:
        """The samples of a range selector at a moment, in seconds since 1970."""
        return self._range(selector, milliseconds(when))

    def _range(self, selector: pp.MatrixSelector, when: int) -> Range:
        inner = selector.vector_selector
        end = when - _offset(inner)
        window = Window(end - milliseconds(selector.range.total_seconds()), end)
        found = []
        for series in self._series(inner):
            samples = series.between(window.start, window.end)
            if samples:
                found.append((series.names, samples))
        return Range(window, found)

    def _evaluate(self, node: object, when: int) -> Value:
        value: Value
        if isinstance(node, pp.NumberLiteral | pp.StringLiteral):
            literal: float | str = node.val
            return literal
        if isinstance(node, pp.ParenExpr):
            return self._evaluate(node.expr, when)
        if isinstance(node, pp.VectorSelector):
            return [(labels, value) for labels, _, value in self._instant(node, when)]
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
            return unique([(nameless(labels), -number) for labels, number in _vector(value)])
        what = "a subquery" if isinstance(node, pp.SubqueryExpr) else "a range vector here"
        raise not_modelled(what)

    def _series(self, selector: pp.VectorSelector) -> list[Series]:
        # The same node is evaluated once per step of a range query.
        key = id(selector)
        if key not in self._selected:
            self._selected[key] = self._history.select(matchers(selector))
        return self._selected[key]

    def _instant(
        self, selector: pp.VectorSelector, when: int
    ) -> list[tuple[dict[str, str], int, float]]:
        moment = when - _offset(selector)
        found = ((series.names, series.at(moment)) for series in self._series(selector))
        return [(labels, *sample) for labels, sample in found if sample is not None]

    # ------------------------------------------------------------------ functions

    def _call(self, node: pp.Call, when: int) -> Value:
        name = node.func.name
        if name in RANGE_FUNCTIONS:
            return self._over(name, node.args[0], when)
        if name in OF_EACH:
            return self._each(node, when, OF_EACH[name])
        special = self._functions.get(name)
        if special is None:
            raise not_modelled(f"the function {name}()")
        return special(node, when)

    def _over(self, name: str, selector: object, when: int) -> Vector:
        selector = _bare(selector)
        if not isinstance(selector, pp.MatrixSelector):
            raise not_modelled(f"{name}() of anything but a range selector")
        found = self._range(selector, when)
        results: Vector = []
        for labels, samples in found.series:
            value = over(name, samples, found.window)
            if value is not None:
                kept = labels if name == "last_over_time" else nameless(labels)
                results.append((kept, float(value)))
        return unique(results)

    def _each(self, node: pp.Call, when: int, change: Callable[[float], float]) -> Vector:
        vector = self._argument(node, 0, when)
        return unique([(nameless(labels), float(change(value))) for labels, value in vector])

    def _argument(self, node: pp.Call, index: int, when: int) -> Vector:
        return _vector(self._evaluate(node.args[index], when))

    def _number(self, node: pp.Call, index: int, when: int, default: float = math.nan) -> float:
        if index >= len(node.args):
            return default
        value = self._evaluate(node.args[index], when)
        if not isinstance(value, float):
            raise ExecutionError(f"{node.func.name}() needs a number")
        return value

    def _time(self, _node: pp.Call, when: int) -> Value:
        return when / 1000

    def _to_vector(self, node: pp.Call, when: int) -> Value:
        return [({}, self._number(node, 0, when))]

    def _scalar(self, node: pp.Call, when: int) -> Value:
        vector = self._argument(node, 0, when)
        return vector[0][1] if len(vector) == 1 else math.nan

    def _timestamp(self, node: pp.Call, when: int) -> Value:
        inner = _bare(node.args[0])
        if isinstance(inner, pp.VectorSelector):
            found = [(nameless(labels), at / 1000) for labels, at, _ in self._instant(inner, when)]
            return unique(found)
        return self._each(node, when, lambda _: when / 1000)

    def _round(self, node: pp.Call, when: int) -> Value:
        to = self._number(node, 1, when, 1.0)
        return self._each(node, when, lambda value: rounded(value, to))

    def _clamp(self, node: pp.Call, when: int) -> Value:
        bound = self._number(node, 1, when)
        if node.func.name == "clamp":
            low, high = bound, self._number(node, 2, when)
            if high < low:
                self._argument(node, 0, when)
                return []
        elif node.func.name == "clamp_min":
            low, high = bound, math.inf
        else:
            low, high = -math.inf, bound
        return self._each(node, when, lambda value: clamped(value, low, high))

    def _sort(self, node: pp.Call, when: int) -> Value:
        return ordered(self._argument(node, 0, when), descending=node.func.name == "sort_desc")

    def _absent(self, node: pp.Call, when: int) -> Value:
        inner = _bare(node.args[0])
        if node.func.name == "absent":
            there = bool(self._argument(node, 0, when))
        elif isinstance(inner, pp.MatrixSelector):
            there = bool(self._range(inner, when).series)
            inner = inner.vector_selector
        else:
            raise not_modelled("absent_over_time() of anything but a range selector")
        return [] if there else [(_wanted_labels(inner), 1.0)]

    def _histogram_quantile(self, node: pp.Call, when: int) -> Value:
        return histogram_quantile(self._number(node, 0, when), self._argument(node, 1, when))

    def _label_replace(self, node: pp.Call, when: int) -> Value:
        # The grammar has seen to it that these are texts.
        texts = [str(self._evaluate(one, when)) for one in node.args[1:]]
        return relabelled(self._argument(node, 0, when), *texts)

    # ------------------------------------------------------------------ operators

    def _aggregate(self, node: pp.AggregateExpr, when: int) -> Vector:
        name = str(node.op)
        if name not in FOLDS and name not in WITH_NUMBER:
            raise not_modelled(f"the aggregation {name}")
        number = None
        if name in WITH_NUMBER:
            value = self._evaluate(node.param, when)
            number = value if isinstance(value, float) else None
        return aggregate(name, _vector(self._evaluate(node.expr, when)), node.modifier, number)

    def _binary(self, node: pp.BinaryExpr, when: int) -> Value:
        name = str(node.op)
        left, right = self._evaluate(node.lhs, when), self._evaluate(node.rhs, when)
        truth = bool(node.modifier and node.modifier.return_bool)
        if isinstance(left, float) and isinstance(right, float):
            return operate(name, left, right)
        if isinstance(right, float):
            rows = [(labels, value, right, value) for labels, value in _vector(left)]
            return with_number(name, rows, truth)
        if isinstance(left, float):
            rows = [(labels, left, value, value) for labels, value in _vector(right)]
            return with_number(name, rows, truth)
        if name in SETS:
            return match_set(name, _vector(left), _vector(right), node.modifier)
        return matched(name, _vector(left), _vector(right), node.modifier)


def _vector(value: Value) -> Vector:
    if isinstance(value, float | str):
        raise ExecutionError("expected an instant vector")
    return value


def _bare(node: object) -> pp.Expr:
    """An expression without parentheses around it."""
    while isinstance(node, pp.ParenExpr):
        node = node.expr
    if not isinstance(node, pp.Expr):
        raise TypeError(type(node).__name__)
    return node


def _offset(selector: pp.VectorSelector) -> int:
    if selector.at is not None:
        raise not_modelled("the @ modifier")
    return milliseconds(selector.offset.total_seconds()) if selector.offset else 0


def _wanted_labels(node: object) -> dict[str, str]:
    """The labels that a selector asks for by equality: what `absent` answers with."""
    if not isinstance(node, pp.VectorSelector):
        return {}
    found: dict[str, str] = {}
    seen: set[str] = set()
    for one in node.matchers.matchers:
        if one.op == pp.MatchOp.Equal and one.name not in seen and one.name != "__name__":
            seen.add(one.name)
            found[one.name] = one.value
        else:
            found.pop(one.name, None)
    return {name: value for name, value in found.items() if value}
