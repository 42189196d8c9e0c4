"""Markdown building blocks.

All text from a journal goes through `plain` or `fenced`: it may come from anybody, and must not
bring markup, links or HTML of its own, nor call people or close issues where it is pasted.
"""

import re
from collections.abc import Iterable, Sequence

from acns_chaos.evidence.values import text

__all__ = ["fenced", "folded", "items", "plain", "table"]

# An underscore within a word is no emphasis, so policy and probe names stay readable in source.
_MARKUP = re.compile(r"[\\`*\[\]<#|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
# What begins a list or a quotation, where a line or a list's item begins.
_BLOCK = re.compile(r"^(?:>|=|[-+](?= |$|-)|(?P<number>\d+)(?P<end>[.)])(?= |$))")
# GitHub turns bare addresses into links.
_ADDRESS = re.compile(r"(?<=[A-Za-z])(?=://)|(?<=www)(?=\.)", re.IGNORECASE)
# "@name" calls a person, "#1" and "GH-1" point at an issue, and "fixes #1" closes it; forges look
# for these in what was rendered, so that no escape helps. A word joiner is not seen and ends them.
_CALL = re.compile(r"(?<=@)(?=\w)|(?<=#)(?=\d)|(?<=GH-)(?=\d)|(?<=[!&])(?=\d)", re.IGNORECASE)
_JOINER = "\u2060"


def plain(value: object, longest: int = 400) -> str:
    """Return a value as one line of Markdown that renders as its own characters, "–" for none."""
    line = _CALL.sub(_JOINER, text(value, longest))
    line = _MARKUP.sub(r"\\\g<0>", line.replace("&", "&amp;"))
    line = _BLOCK.sub(_escaped, line)
    return _ADDRESS.sub(r"\\", line) or "–"


def _escaped(start: re.Match[str]) -> str:
    number = start["number"]
    return f"{number}\\{start['end']}" if number else f"\\{start[0]}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table's lines; its cells are Markdown already."""
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(' --- ' for _ in head)}|"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def items(entries: Iterable[str]) -> list[str]:
    """Return a list's lines; its entries are Markdown already."""
    return [*(f"- {entry}" for entry in entries), ""]


def fenced(language: str, lines: Sequence[str]) -> list[str]:
    """Return a code block whose fence is longer than any run of backticks inside it."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *lines, fence, ""]


def folded(summary: str, lines: Sequence[str]) -> list[str]:
    """Return lines that are shown when somebody asks for them.

    Args:
        summary: ours alone: within the tag it stands in, no escape of Markdown holds.
        lines: Markdown that ends with an empty line.
    """
    opening = ["<details>", f"<summary>{summary}</summary>", ""]
    return [*opening, *lines, "</details>", ""] if lines else []
