"""Texts of rules: templates in labels and annotations, expressions and numbers as Prometheus has.

Of Go's templates the lab knows ``{{ $labels.NAME }}`` and ``{{ $value }}``, also written
``{{ .Labels.NAME }}`` and ``{{ .Value }}``; the rest is named, never guessed.
"""

import math
import re
from collections.abc import Mapping
from decimal import Decimal

import promql_parser as pp

_ACTION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_LABEL = re.compile(r"(?:\$labels|\.Labels)\.([a-zA-Z_][a-zA-Z0-9_]*)")
_VALUE = frozenset({"$value", ".Value"})
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_HELD = re.compile("\0([0-9]+)\0")


class TemplateError(Exception):
    """A template that the lab does not expand. One sentence, without its full stop."""


def expanded(text: str, labels: Mapping[str, str], value: float) -> str:
    """A template of a rule, filled in.

    Args:
        text: of a label or an annotation.
        labels: of the element that the expression gave; an absent one is empty.
        value: of that element.

    Raises:
        TemplateError: it holds more than labels and the value.
    """

    def put(action: re.Match[str]) -> str:
        inner = action.group(1).strip()
        if label := _LABEL.fullmatch(inner):
            return labels.get(label.group(1), "")
        if inner in _VALUE:
            return _plain(value)
        raise TemplateError(f"the template {action.group()} is not modelled by the lab")

    if "{{" in _ACTION.sub("", text):
        raise TemplateError("a template is begun by {{ and not ended")
    return _ACTION.sub(put, text)


def _plain(value: float) -> str:
    """A number as Go's templates print it."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    if value and not 1e-4 <= abs(value) < 1e21:
        return scientific(value)
    return format(Decimal(repr(value)), "f").removesuffix(".0")


def scientific(value: float) -> str:
    """A number as the API writes an alert's value: ``1e+00``."""
    if not math.isfinite(value):
        return _plain(value)
    sign, digits, _ = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).strip("0") or "0"
    exponent = Decimal(repr(value)).adjusted() if value else 0
    fraction = f".{text[1:]}" if len(text) > 1 else ""
    return f"{'-' if sign else ''}{text[0]}{fraction}e{exponent:+03d}"


def written(expression: pp.Expr) -> str:
    """An expression in one line, as Prometheus writes it back."""
    strings: list[str] = []

    def hold(found: re.Match[str]) -> str:
        strings.append(found.group())
        return f"\0{len(strings) - 1}\0"

    # The parser's own writing breaks long lines.
    text = _STRING.sub(hold, expression.prettify())
    text = re.sub(r"\(\s*\n\s*", "(", text)
    text = re.sub(r"\s*\n\s*\)", ")", text)
    text = re.sub(r"\s*\n\s*", " ", text).strip()
    return _HELD.sub(lambda found: strings[int(found.group(1))], text)
