"""Markdown building blocks.

All text from a journal goes through `plain` or `fenced`: it may come from anybody, and must not
bring markup, links or HTML of its own.
"""

import re
from collections.abc import Iterable, Sequence

from acns_chaos.evidence.values import text

__all__ = ["fenced", "items", "plain", "table"]

# An underscore within a word is no emphasis, so policy and probe names stay readable in source.
_MARKUP = re.compile(r"[\\`*\[\]<#|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
# What begins a list or a quotation, where a line or a list's item begins.
_BLOCK = re.compile(r"^(?:>|[-+](?= |$)|(?P<number>\d+)(?P<end>[.)])(?= |$))")
# GitHub turns bare addresses into links.
_ADDRESS = re.compile(r"(?<=[A-Za-z])(?=://)|(?<=www)(?=\.)", re.IGNORECASE)


def plain(value: object, longest: int = 400) -> str:
    """Return a value as one line of Markdown that renders as its own characters, "–" for none."""
    line = _MARKUP.sub(r"\\\g<0>", text(value, longest).replace("&", "&amp;"))
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
