"""Journals in which somebody planted text that is to run, to lead away, or to break a layout."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from acns_chaos.evidence.rules import derive

__all__ = [
    "BASE",
    "FRAGMENTS",
    "MOMENTS",
    "NUMBERS",
    "everywhere",
    "odd",
    "planted",
    "short",
    "spoilt",
    "texts",
]

DATA = Path(__file__).parents[1] / "data" / "journals"

FRAGMENTS = (
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>"),
    *("</style><script>alert(1)</script>", "</title><b>", "</details></summary>", "<!--", "-->"),
    *("<iframe src=//evil.example>", "<a href='javascript:alert(1)'>x</a>", "<base href=//x>"),
    *("<meta http-equiv=refresh content=0>", "<!DOCTYPE x>", "<?xml version='1.0'?>", "]]>"),
    *("<![CDATA[", "&lt;b&gt;", "&#60;script&#62;", "&amp;", "&", "<", ">", '"', "'", "`", "```"),
    *("~~~", "|", "\\", "\\|", "*b*", "**", "_i_", "~~s~~", "# h", "> q", "- i", "1. i", "---"),
    *("===", "[x](javascript:alert(1))", "![x](http://evil.example/p.png)", "[x]: //evil.example"),
    *(
        "<http://evil.example>",
        "http://evil.example",
        "https://evil.example/?q=1",
        "www.evil.example",
    ),
    *("mail@evil.example", "mailto:mail@evil.example", "@everyone", "fixes #1", "GH-1", "!1"),
    *("{{ 7*7 }}", "{% raw %}", "{# c #}", "${x}", "$$x$$", "$x$", ":bomb:", "<br>", "    code"),
    *("' onmouseover='alert(1)", '" onload="alert(1)', '"><b>', "'><b>", "/>", "x:expression(1)"),
    *("\x1b[31m", "\x1b]8;;http://evil.example\x07", "\x00", "\x08", "\x7f", "\x9b", "\r\n\r\n"),
    *(
        "\n\n<b>",
        "\n# h\n",
        "\n| a |\n| --- |",
        "\t",
        "\u2028",
        "\u2029",
        "\u200b",
        "\u202e",
        "\u2066",
    ),
    *("\ufeff", "\ufffe", "\ud800", "\udfff", "\U000e0041", "a\u0301" * 40, "\U0001f600", "\u0130"),
    *("A" * 3000, "<" * 500, "`" * 300, "][" * 300, "…", "–", "◀"),
)

# What reads as a point in time, and is outside of every calendar, or of all that can be meant.
MOMENTS = (
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z"),
    *("1970-01-01T00:00:00Z", "9999-12-31T23:59:59", "2200-01-01"),
)
# What JSON may hold, and sums of it or its text may not.
NUMBERS = (1e308, -1e308, 1e18, 10**400, -(10**400))
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:")


def short(value: object) -> str:
    """The beginning of a value, to name a test by."""
    return str(value)[:25]


def odd(value: Any, instant: str | None, amount: float | None) -> Any:
    """Return a copy of a document with each point in time and each number replaced.

    Args:
        value: the document.
        instant: in place of points in time; None to keep them.
        amount: in place of numbers, also of those that are written as text; None to keep them.
    """
    if isinstance(value, dict):
        return {name: odd(one, instant, amount) for name, one in value.items()}
    if isinstance(value, list):
        return [odd(one, instant, amount) for one in value]
    if instant is not None and isinstance(value, str) and _MOMENT.match(value):
        return instant
    if amount is not None and isinstance(value, str) and value.isdecimal():
        return str(amount)
    counted = isinstance(value, int | float) and not isinstance(value, bool)
    return amount if amount is not None and counted else value


def texts() -> st.SearchStrategy[str]:
    """Return text made of such fragments, and of any characters."""
    pieces = st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=12))
    return st.lists(pieces, min_size=1, max_size=3).map("".join)


def journals() -> dict[str, dict[str, Any]]:
    """Return journals of real runs, by name, without their seals, which nobody looks at here."""
    found = {}
    for path in sorted(DATA.glob("*.json")):
        journal = json.loads(path.read_text())
        section = journal["acns_chaos"]
        section["permissions"] = [
            {"tier": "probes", "verb": "get", "resource": "pods", "namespace": "pets", "name": ""}
        ]
        for key in ("chain", "names", "signature"):
            section.pop(key, None)
        found[path.stem] = journal
    return found


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every text of a document; of one that is a key, with None behind it."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key, None)
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


def planted(journal: dict[str, Any], found: dict[tuple[Any, ...], str]) -> dict[str, Any]:
    """Return a copy of a journal with texts at some places, deepest first."""
    # Faster than to copy it.
    spoilt: dict[str, Any] = json.loads(json.dumps(journal))
    for path, text in sorted(found.items(), key=lambda pair: -len(pair[0])):
        key = path[-2] if path[-1] is None else path[-1]
        place: Any = spoilt
        for step in path[: -2 if path[-1] is None else -1]:
            place = place[step]
        if path[-1] is None:
            place[text] = place.pop(key)
        else:
            place[key] = text
    return settled(spoilt)


def everywhere(journal: dict[str, Any], text: str) -> dict[str, Any]:
    """Return a copy of a journal with a text behind each text that no word of ours must be.

    What decides on a shape (kinds, readings, times) stays, so that every part of a report is made.
    """
    kept = ("at", "start", "end", "status", "reading", "type", "module", "func", "name", "schema")
    kept += ("kind", "change", "by", "verified", "submitted", "accepted", "realised", "id", "what")
    kept += ("sha256", "before_sha256", "source", "clock", "fault", "expected")
    named = ("experiment", "title"), ("acns_chaos", "target", "context")
    found = {}
    for path in places(journal):
        value = journal
        for step in path[:-1] if path[-1] is None else path:
            value = value[step]
        if path[-1] is not None and (path[-1] not in kept or path in named):
            found[path] = f"{value}{text}"
    return planted(journal, found)


def settled(journal: dict[str, Any]) -> dict[str, Any]:
    """Store the outcome that a journal's evidence has, where it can be stored."""
    section = journal.get("acns_chaos")
    if isinstance(section, dict):
        section["outcome"] = derive(journal).as_json()
    return journal


BASE = journals()
PLACES = {name: sorted(places(journal), key=repr) for name, journal in BASE.items()}


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[str, dict[tuple[Any, ...], str]]:
    """The name of a real journal, and hostile text for some of its places."""
    name = draw(st.sampled_from(sorted(BASE)))
    chosen = draw(st.lists(st.sampled_from(PLACES[name]), min_size=1, max_size=12, unique=True))
    # A key and what stands below it are not replaced together.
    keys = {path[:-1] for path in chosen if path[-1] is None}
    kept = [
        path
        for path in chosen
        if not any(path[: len(key)] == key and path != (*key, None) for key in keys)
    ]
    return name, {path: draw(texts()) for path in kept}
