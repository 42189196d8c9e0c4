"""How a value from a document is shown in a sentence: on one line, and never long.

Belongs here: only that. A document may hold texts of megabytes, numbers of thousands of digits
and structures deeper than Python recurses; none of them may reach a message, or stop one.
"""

from acns_chaos.policy.schema import Path, json_type

MAX_FINDINGS = 100
"""Findings given for one object: more would say nothing new, and cost memory without end."""

_LONGEST = 80
_LARGEST = 2**64
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/:$")


def shown(value: object) -> str:
    """A value for people: a text in quotes, a number as it is, of all else only the kind."""
    if isinstance(value, str):
        return repr(value) if len(value) <= _LONGEST else f"{value[:_LONGEST]!r}..."
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < _LARGEST else "a number of more than 64 bits"
    if isinstance(value, float):
        return str(value)
    return a(json_type(value))


def clipped(text: str) -> str:
    """A text without quotes where that is readable: short, and of signs that can be printed."""
    if not text.isprintable():
        return shown(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def a(kind: str) -> str:
    """The name of a JSON type with its article, in the words of a YAML author."""
    word = {
        "null": "null",
        "string": "a text",
        "boolean": "true or false",
        "integer": "a whole number",
        "number": "a number",
        "array": "a list",
        "object": "an object",
        "int-or-string": "a number or a text",
    }.get(kind)
    return word or f"a {kind}"


def place(path: Path) -> str:
    """A path for people: "spec.ingress[0].fromEntities[0]", odd keys in quotes."""
    steps = "".join(f"[{s}]" if isinstance(s, int) else _member(s) for s in path)
    return steps.removeprefix(".")


def _member(name: str) -> str:
    if name and len(name) <= _LONGEST and _PLAIN.issuperset(name):
        return f".{name}"
    return f"[{shown(name)}]"


def related(path: str, other: str) -> bool:
    """Whether one of two paths leads to the other, or both are the same."""
    short, long = sorted((path, other), key=len)
    return long.startswith(short) and long[len(short) :][:1] in {"", ".", "["}
