"""A run's timeline as a picture, as a sentence and as a table: the same figures three times.

- `values`: what is drawn; `score`, `rates`: from a journal to it
- `layout`: rows from top to bottom, and where each label stands
- `svg`: elements
- `telling`: the summary and the table

No plotting library is used: none makes small, accessible, themeable inline SVG in milliseconds.

The picture has no width of its own: places along the time are percentages and everything else is
in pixels, so that its text is as large on a phone as on a desk, where a scaled picture's would
shrink. Each label has a line of its own, so none can overlap another at any width from 296 pixels
up. Colours are the page's (`--ink`, `--paper`, `--line`, `--good`, `--bad`, `--warn`, `--accent`,
`--muted`), and whatever a colour says is said by a shape, too.
"""

from dataclasses import dataclass

from markupsafe import Markup

from acns_chaos.evidence.facts import Facts
from acns_chaos.report.drawing.layout import laid_out
from acns_chaos.report.drawing.score import score_of
from acns_chaos.report.drawing.svg import svg_of
from acns_chaos.report.drawing.telling import COLUMNS, rows_of, summary_of

__all__ = ["COLUMNS", "Drawing", "timeline"]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A timeline.

    Attributes:
        svg: one inline element without ids, scripts, styles or references; "" for nothing.
        summary: one paragraph for those who do not see it.
        rows: the table, in the order of time, with the columns COLUMNS.
    """

    svg: Markup
    summary: str
    rows: tuple[tuple[str, ...], ...]


def timeline(facts: Facts, compact: bool = False) -> Drawing:
    """Draw a run's timeline; never raises.

    Args:
        facts: of a journal.
        compact: the essential rows only, for a page of many runs.
    """
    score = score_of(facts)
    summary = summary_of(score)
    svg = Markup("")
    if not score.is_empty:
        # Many pictures on a page share its size, and the first sentence tells what this one is.
        described = f"{summary.partition('. ')[0].rstrip('.')}." if compact else summary
        svg = svg_of(laid_out(score, compact), described)
    return Drawing(svg, summary, rows_of(score))
