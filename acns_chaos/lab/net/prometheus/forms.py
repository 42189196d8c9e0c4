"""Parameters and results of Prometheus's HTTP API: from text, and to JSON.

The errors are worded as Prometheus 2.42 words them. What is done with them is in `server`.
"""

import math
import re
from datetime import datetime
from decimal import Decimal

import promql_parser as pp
from multidict import MultiMapping

from acns_chaos.lab.net.promql.expressions import ParseError, parse, parse_selector
from acns_chaos.lab.net.promql.vectors import Value

Form = MultiMapping[str]


class BadData(Exception):
    """A parameter that cannot be used."""


def query_of(form: Form) -> pp.Expr:
    """The parameter `query`.

    Raises:
        BadData: it is no PromQL.
    """
    try:
        return parse(form.get("query", ""))
    except ParseError as problem:
        raise BadData(f'invalid parameter "query": parse error: {problem}') from problem


def selector_of(text: str) -> pp.VectorSelector:
    """One `match[]`.

    Raises:
        BadData: it is no series selector.
    """
    try:
        return parse_selector(text)
    except ParseError as problem:
        raise BadData(f'invalid parameter "match[]": parse error: {problem}') from problem


def time_of(form: Form, parameter: str, default: float | None) -> float:
    """A moment in seconds since 1970, written as such or as RFC 3339.

    Args:
        form: the parameters.
        parameter: its name.
        default: when it is not there; None when it has to be.

    Raises:
        BadData: it is no time.
    """
    text = form.get(parameter)
    if not text and default is not None:
        return default
    text = text or ""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isnan(seconds):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            seconds = moment.timestamp()
    # What fits Go's milliseconds.
    if not abs(seconds) < 9.2e15:
        raise BadData(
            f'invalid parameter "{parameter}": cannot parse "{text}" to a valid timestamp'
        )
    return seconds


def duration_of(form: Form, parameter: str) -> float:
    """A span in seconds, written as such or as Prometheus writes durations.

    Raises:
        BadData: it is no duration.
    """
    text = form.get(parameter, "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = pp.parse_duration(text).total_seconds()
        except (ValueError, OverflowError):
            seconds = math.nan
    if not abs(seconds) < 9.2e9:
        raise BadData(f'invalid parameter "{parameter}": cannot parse "{text}" to a valid duration')
    return seconds


def step_of(form: Form) -> float:
    """The parameter `step`, in seconds.

    Raises:
        BadData: it is no duration, or none to step by.
    """
    step = duration_of(form, "step")
    if not step > 0:
        raise BadData(
            'invalid parameter "step": zero or negative query resolution step widths are not '
            "accepted. Try a positive integer"
        )
    return step


def instant(value: Value, when: float) -> dict[str, object]:
    """The result of an instant query as JSON."""
    at = moment(round(when * 1000))
    if isinstance(value, str):
        return {"resultType": "string", "result": [at, value]}
    if isinstance(value, float):
        return {"resultType": "scalar", "result": [at, number(value)]}
    result = [{"metric": labels, "value": [at, number(one)]} for labels, one in value]
    return {"resultType": "vector", "result": result}


def moment(at: int) -> float | int:
    """Milliseconds as seconds, whole ones without a fraction."""
    return at // 1000 if at % 1000 == 0 else at / 1000


def number(value: float) -> str:
    """A sample value as text: an exponent only for the very small and the very large."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value and not 1e-6 <= abs(value) < 1e21:
        return re.sub(r"e-0", "e-", repr(value))
    return format(Decimal(repr(value)), "f").removesuffix(".0")
