"""Journals for people who would rather look: one HTML file that stands alone.

It loads nothing, runs no script and leads nowhere, which its own content security policy enforces.
All text goes through the template engine's escaping; the only markup that is trusted is our own
drawing's. Layout and wording belong here, what is told in `build`, what is proved in `evidence`.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from acns_chaos import __version__
from acns_chaos.report.build_answers import clock
from acns_chaos.report.model import Story
from acns_chaos.report.page_view import MOST, View, view_of
from acns_chaos.report.place import Group, grouped, headline, separate

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["label_box", "page", "rendered", "style_of"]

TEMPLATES = ("page.html.j2", "parts.html.j2", "run.html.j2", "gameday.html.j2")
# How many runs a page shows in full: with more, each is told briefly, and the page says so.
FULL = 12
BRIEF = (
    "This page tells of {count} runs, so of each it leaves out the drawing, the difference, the "
    "flows, the passes, the readings, the permissions and the events: "
    "`acns-chaos report JOURNAL -o run.html` makes the whole page of one."
)
# The space in "2.17 s (± 0.02)".
_UNIT = re.compile(r"(?<=\d) (?=m?s\b)|(?<=s) (?=\(±)|(?<=±) ")
PASS_TONES = {"met": "good", "not met": "bad"}
ROLES = {"sampled": "this run's own sampling"}
SIGNS = {"added": "+", "removed": "−", "skipped": "⋯"}


def page(stories: Sequence[Story], problems: Sequence[object] = ()) -> str:
    """Write stories as one self-contained HTML page.

    Args:
        stories: one, told in full; or several, a table for each place and then each run.
        problems: sentences on what could not be read, which the page begins with.

    Returns:
        The document; UTF-8, with no reference to anything outside it.
    """
    shown = _shown(stories)
    groups = [one.group for one in shown]
    where = " and ".join(dict.fromkeys(group.label for group in groups)) or "no run"
    return rendered(
        "page.html.j2",
        style=style_of("page.css") + _margins(groups, where),
        title=_title(stories, where),
        where=where,
        kind=groups[0].kind if len(groups) == 1 else "several",
        about=_about(groups),
        problems=[str(one) for one in problems],
        single=shown[0].runs[0] if len(stories) == 1 else None,
        places=shown,
        headline=headline(stories),
        separate=separate(groups),
        left_out=BRIEF.format(count=len(stories)) if len(stories) > FULL else "",
        count="one journal" if len(stories) == 1 else f"{len(stories)} journals",
        pass_tones=PASS_TONES,
        roles=ROLES,
        most=MOST,
        permission_head=("resource", "verbs", "namespace", "role"),
    )


def rendered(template: str, *, style: str, **given: object) -> str:
    """Fill one of our templates, which all stand in the same frame.

    Args:
        template: its name, of TEMPLATES.
        style: the one style sheet: our own, with labels in it only as `label_box` writes them.
        given: what the frame wants (title, where, kind, about, problems, count), and the template.

    Returns:
        The document, which allows nothing but its style sheet.
    """
    from markupsafe import Markup

    return (
        _environment()
        .get_template(template)
        .render(
            policy=_policy(style),
            style=Markup(style),  # noqa: S704 - our own style sheet; labels are escaped in it
            version=__version__,
            signs=SIGNS,
            clock=clock,
            **given,
        )
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """The runs of one place, as the template wants them."""

    group: Group
    runs: tuple[View, ...]


def _shown(stories: Sequence[Story]) -> list[Shown]:
    numbers = {id(one): number for number, one in enumerate(stories, 1)}
    brief = len(stories) > FULL
    return [
        Shown(
            group,
            tuple(view_of(one, numbers[id(one)], group.page, brief) for one in group.stories),
        )
        for group in grouped(stories)
    ]


def _title(stories: Sequence[Story], where: str) -> str:
    if len(stories) == 1:
        return f"{where} · {stories[0].verdict.outcome} · {stories[0].title}"
    return f"{where} · {headline(stories)}"


def _about(groups: Sequence[Group]) -> str:
    if len(groups) != 1:
        return "Results of different places are told apart"
    words = {"lab": "No cluster was touched", "cluster": "A real cluster"}
    return words.get(groups[0].kind, "The journal does not say where it ran")


def _policy(style: str) -> str:
    """Allow nothing but the one style sheet, by its hash."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _margins(groups: Sequence[Group], where: str) -> str:
    """Say in the margin of every printed page where what is on it was."""
    rules = [label_box(where)]
    if len(groups) > 1:
        rules += [label_box(one.label, one.page) for one in groups]
        rules += [f".{one.page} {{ page: {one.page}; }}\n" for one in groups]
    return "".join(rules)


def label_box(label: str, page: str = "") -> str:
    """The rule that writes a label into the margin of each printed page.

    Args:
        label: any text.
        page: only of the pages of this name; "" for all.
    """
    font = "font: 600 8.5pt system-ui, sans-serif; color: #1a1d23"
    named = f"{page} " if page else ""
    return f"@page {named}{{ @top-left {{ content: {_quoted(label)}; {font} }} }}\n"


def _quoted(label: str) -> str:
    """Return text as a CSS string, in which only letters and digits stand for themselves."""
    return (
        '"' + "".join(c if c.isascii() and c.isalnum() else f"\\{ord(c):x} " for c in label) + '"'
    )


@cache
def _environment() -> "Environment":
    from jinja2 import DictLoader, Environment, StrictUndefined

    return Environment(
        loader=DictLoader({name: style_of(name) for name in TEMPLATES}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=_firm,
    )


def _firm(value: object) -> object:
    """Keep a number and its unit on one line; markup stays as it is."""
    if type(value) is str and (" ms" in value or " s" in value or "± " in value):
        return _UNIT.sub("\N{NO-BREAK SPACE}", value)
    return value


def style_of(name: str) -> str:
    """The text of one of our own style sheets or templates."""
    return resources.files("acns_chaos.report").joinpath("templates", name).read_text("utf-8")
