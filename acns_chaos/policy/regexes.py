"""Regular expressions as Go and Envoy read them, in Python's engine.

Belongs here: the differences between the two dialects that show in policies. Does not belong
here: what is matched.
"""

import re
import warnings
from functools import lru_cache

_POSIX_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
LONGEST = 10_000
"""Characters of a pattern that are read: compiling takes time for each of them."""

# Go's engine has no look-around, no atomic groups, no conditions, no references.
_NOT_IN_GO = re.compile(r"\(\?(=|!|<=|<!|>|\(|#|P=)|(?<!\\)(\\\\)*\\[1-9Z]|[*+?}]\+")
_POSIX = re.compile(r"\[:(\^?)([a-z]+):\]")


@lru_cache(maxsize=4096)
def go_regex(pattern: str) -> re.Pattern[str] | None:
    """A pattern compiled, or None when Go would not take it.

    Args:
        pattern: in the syntax of Go's regexp package.
    """
    if len(pattern) > LONGEST or _NOT_IN_GO.search(pattern):
        return None
    translated = _translate(pattern)
    if translated is None:
        return None
    try:
        with warnings.catch_warnings():
            # What Python may read differently one day.
            warnings.simplefilter("ignore", FutureWarning)
            return re.compile(translated)
    except (re.error, OverflowError, RecursionError):
        return None


def _translate(pattern: str) -> str | None:
    """The pattern in Python's syntax, None when it has a POSIX class that does not exist."""
    out: list[str] = []
    position, in_class = 0, False
    while position < len(pattern):
        sign = pattern[position]
        if sign == "\\":
            pair = pattern[position : position + 2]
            out.append(r"\Z" if pair == r"\z" else pair)
            position += 2
            continue
        posix = _POSIX.match(pattern, position) if in_class else None
        if posix is not None:
            if posix[1] or posix[2] not in _POSIX_CLASSES:
                return None
            out.append(_POSIX_CLASSES[posix[2]])
            position = posix.end()
            continue
        if not in_class and sign == "[":
            in_class = True
            # A bracket right after the opening one, or after its "^", is itself a member.
            start = re.compile(r"\[\^?\]?").match(pattern, position)
            opening = start[0] if start else sign
            out.append(opening.replace("]", r"\]"))
            position += len(opening)
            continue
        if in_class and sign == "]":
            in_class = False
        # Python warns of set operations it may have one day: "[[", "--", "&&", "~~", "||".
        out.append("\\" + sign if in_class and sign in "[&~|" else sign)
        position += 1
    return "".join(out)
