"""Label selectors in filters: Kubernetes' syntax over Cilium's labels with a source.

`k8s:app=web` asks for that source, `app=web` for any. Errors are worded as Kubernetes' parser words
them, because Hubble hands them on.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

_TOKEN = re.compile(r"\s*(==|!=|=|!|<|>|\(|\)|,|[^\s=!<>(),]+)")
_SIGNS = frozenset({"==", "!=", "=", "!", "<", ">", "(", ")", ","})
_OPERATORS = ("in", "notin", "=", "==", "!=", ">", "<")
_END = ""

Labels = list[tuple[str, str, str]]


class SelectorError(ValueError):
    """The text is no selector."""


@dataclass
class _Tokens:
    """The selector's words, one after another."""

    words: list[str]
    position: int = field(default=0)

    def peek(self) -> str:
        return self.words[self.position] if self.position < len(self.words) else _END

    def take(self) -> str:
        word = self.peek()
        self.position += 1
        return word


Requirement = Callable[[Labels], bool]


def parsed(labels: Iterable[str]) -> Labels:
    """Labels as (source, key, value)."""
    found = []
    for label in labels:
        source, _, rest = label.partition(":")
        key, _, value = rest.partition("=")
        found.append((source, key, value))
    return found


def selector(text: str) -> Requirement:
    """A test of labels.

    Args:
        text: requirements joined by commas, e.g. "k8s:app in (web, api), !reserved:host".

    Raises:
        SelectorError: the text is no selector.
    """
    tokens = _Tokens(_TOKEN.findall(text))
    requirements: list[Requirement] = []
    while tokens.peek() != _END:
        if tokens.peek() in _SIGNS - {"!"}:
            raise _unexpected(tokens.peek(), "!, identifier, or 'end of string'")
        requirements.append(_requirement(tokens))
        following = tokens.take()
        if following == _END:
            break
        if following != ",":
            raise _unexpected(following, "',' or 'end of string'")
        if tokens.peek() in (_SIGNS - {"!"}) | {_END}:
            raise _unexpected(tokens.peek(), "identifier after ','")
    return lambda labels: all(requirement(labels) for requirement in requirements)


def _requirement(tokens: _Tokens) -> Requirement:
    absent = tokens.peek() == "!"
    if absent:
        tokens.take()
    key = tokens.take()
    if key == _END or key in _SIGNS:
        raise _unexpected(key, "identifier")
    source, colon, name = key.partition(":")
    if not colon:
        source, name = "any", key

    def values(labels: Labels) -> list[str]:
        return [v for s, k, v in labels if k == name and source in ("any", s)]

    if absent:
        return lambda labels: not values(labels)
    if tokens.peek() in (_END, ","):
        return lambda labels: bool(values(labels))
    return _compared(tokens, values)


def _compared(tokens: _Tokens, values: Callable[[Labels], list[str]]) -> Requirement:
    operator = tokens.take()
    if operator not in _OPERATORS:
        raise _unexpected(operator, ", ".join(_OPERATORS))
    if operator in ("in", "notin"):
        wanted = _listed(tokens)
    else:
        wanted = {"" if tokens.peek() in (_END, ",") else tokens.take()}
    if operator in (">", "<"):
        return _ordered(operator, wanted.pop(), values)
    if operator in ("notin", "!="):
        return lambda labels: not any(value in wanted for value in values(labels))
    return lambda labels: any(value in wanted for value in values(labels))


def _ordered(operator: str, limit: str, values: Callable[[Labels], list[str]]) -> Requirement:
    if not limit.lstrip("-").isdigit():
        raise SelectorError(
            f"values[0]: Invalid value: \"{limit}\": for 'Gt', 'Lt' operators, the value must be "
            "an integer"
        )
    bound = int(limit)

    def matches(labels: Labels) -> bool:
        numbers = [int(v) for v in values(labels) if v.lstrip("-").isdigit()]
        return any(n > bound if operator == ">" else n < bound for n in numbers)

    return matches


def _listed(tokens: _Tokens) -> set[str]:
    if tokens.peek() != "(":
        raise _unexpected(tokens.peek(), "'('")
    tokens.take()
    wanted: set[str] = set()
    while True:
        word = tokens.take()
        if word == ")":
            return wanted or {""}
        if word in (_SIGNS - {","}) | {_END}:
            raise _unexpected(word, "',', ')' or identifier")
        if word != ",":
            wanted.add(word)


def _unexpected(found: str, expected: str) -> SelectorError:
    return SelectorError(f"unable to parse requirement: found '{found}', expected: {expected}")
