"""A game day for people who would rather look: one HTML file that stands alone.

The frame, the style sheet and the promise (nothing is loaded, no script, nothing leads away) are
those of every report of ours (`report.page`).
"""

from acns_chaos.gameday.report.reading import Told
from acns_chaos.gameday.report.telling import counted
from acns_chaos.gameday.report.view import FEW, HIGH, NOTHING, WIDE, view_of
from acns_chaos.report.page import label_box, rendered, style_of

__all__ = ["page"]


def page(told: Told) -> str:
    """Write a day as one self-contained HTML page; UTF-8.

    Args:
        told: the day.
    """
    view = view_of(told)
    head = view.head
    return rendered(
        "gameday.html.j2",
        style=style_of("page.css") + style_of("gameday.css") + label_box(head.where),
        title=f"{head.where} · {head.word} · {head.title}, {head.day}",
        where=head.where,
        kind=head.kind,
        about=head.about,
        problems=view.problems,
        count=f"the results of {counted(len(told.day.merged.results), 'mutant')}",
        day=view,
        head=head,
        size=(WIDE, HIGH),
        no_advice=NOTHING,
        few=FEW,
    )
