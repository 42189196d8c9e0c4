"""From the text of a PromQL query to an expression, and from a selector to its matchers.

The parsing is promql-parser's; refused on top is what it takes and Prometheus 2.42 does not.
Evaluation is in `evaluation`.
"""

import re

import promql_parser as pp

from acns_chaos.lab.net.promql.history import Matcher, PatternError, matcher

# The parser's enumeration is not hashable.
_MATCH = (
    (pp.MatchOp.Equal, "="),
    (pp.MatchOp.NotEqual, "!="),
    (pp.MatchOp.Re, "=~"),
    (pp.MatchOp.NotRe, "!~"),
)
# The parser and the evaluator recurse, and the parser takes the process with it when its stack is
# full. People write a handful of operators.
_MOST_OPERATORS = 150
_LONGEST = 20_000
_OPERATORS = re.compile(r"[-+*/%^(<>]|\b(?:and|or|unless|atan2)\b|[!=]=")
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`', re.DOTALL)
# What the parser takes and Prometheus 2 does not.
_NO_UNIT = re.compile(r"[\[:]\s*[0-9.]+\s*[\]:]|\boffset\s+-?\s*[0-9.]+(?![0-9a-z.])")
_WITH_UNIT = re.compile(r"(?<![\w.])[0-9]+(?:ms|[smhdwy])\b")
_PLACES_OF_DURATIONS = re.compile(r"\[[^\]]*\]|\boffset\s+-?\s*[0-9a-z]+")
_NEWER_NAMES = frozenset({"limitk", "limit_ratio", "info", "sort_by_label", "sort_by_label_desc"})


class ParseError(Exception):
    """The query is not PromQL. One sentence."""


def parse(text: str) -> pp.Expr:
    """Parse a query.

    Raises:
        ParseError: it is not PromQL as Prometheus 2.42 knows it, or nested beyond any use.
    """
    bare = _STRINGS.sub('""', text)
    if not bare.strip():
        raise ParseError("no expression found in input")
    if len(text) > _LONGEST or len(_OPERATORS.findall(bare)) > _MOST_OPERATORS:
        raise ParseError(
            f"the lab takes {_LONGEST} characters and {_MOST_OPERATORS} operators at most"
        )
    newer = _NO_UNIT.search(bare) or _WITH_UNIT.search(_PLACES_OF_DURATIONS.sub("", bare))
    if newer:
        raise ParseError(f'bad number or duration syntax: "{newer.group().strip()}"')
    try:
        expression = pp.parse(text)
    except ValueError as problem:
        raise ParseError(str(problem)) from problem
    _check(expression)
    return expression


def parse_selector(text: str) -> pp.VectorSelector:
    """Parse a series selector, as `match[]` holds it.

    Raises:
        ParseError: it is another kind of expression, or none.
    """
    expression = parse(text)
    if not isinstance(expression, pp.VectorSelector):
        raise ParseError("unexpected expression, expected a series selector")
    return expression


def _check(node: object) -> None:
    """Raise a ParseError for matchers and functions that Prometheus 2.42 does not parse."""
    if isinstance(node, pp.VectorSelector):
        if node.matchers.or_matchers:
            raise ParseError('unexpected "or" in label matching')
        matchers(node)
    elif isinstance(node, pp.MatrixSelector):
        _check(node.vector_selector)
    elif isinstance(node, pp.Call):
        if node.func.name in _NEWER_NAMES:
            raise ParseError(f'unknown function with name "{node.func.name}"')
        for argument in node.args:
            _check(argument)
    elif isinstance(node, pp.AggregateExpr):
        if str(node.op) in _NEWER_NAMES:
            raise ParseError(f'unknown function with name "{node.op}"')
        _check(node.expr)
        _check(node.param)
    elif isinstance(node, pp.BinaryExpr):
        _check(node.lhs)
        _check(node.rhs)
    elif isinstance(node, pp.ParenExpr | pp.UnaryExpr | pp.SubqueryExpr):
        _check(node.expr)


def matchers(selector: pp.VectorSelector) -> list[Matcher]:
    """What a series must fulfil to be selected.

    Raises:
        ParseError: a regular expression is none.
    """
    found: list[Matcher] = []
    if selector.name:
        found.append(matcher("__name__", "=", selector.name))
    for one in selector.matchers.matchers:
        text = next(text for op, text in _MATCH if op == one.op)
        try:
            found.append(matcher(one.name, text, one.value))
        except PatternError as problem:
            raise ParseError(str(problem)) from problem
    return found
