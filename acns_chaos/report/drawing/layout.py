"""Rows from top to bottom: where each shape and each label of a timeline stands.

Places along the time are percentages, heights are pixels. A label has a line of its own, or stands
in a phase that holds it even where the picture is NARROW.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from unicodedata import east_asian_width

from acns_chaos.report.drawing.rates import Rate
from acns_chaos.report.drawing.score import told_of
from acns_chaos.report.drawing.values import BAD, GOOD, FaultBand, Lane, Noticing, Score
from acns_chaos.report.model import Span
from acns_chaos.report.scales import INSET, Scale, ticks

__all__ = ["BOLD", "CHARACTER", "LINE", "NARROW", "Label", "Shape", "Sheet", "laid_out"]

# The narrowest picture in pixels; how wide a character is on average in a wide font, and a bold
# one; a line's height. Where a page is narrower still, the picture scrolls in its box.
NARROW, CHARACTER, BOLD, LINE = 296, 7.0, 7.4, 15
ROOM = NARROW * (1 - INSET / 50)
COLUMNS, BOLD_COLUMNS = int(ROOM / CHARACTER), int(ROOM / BOLD)
# A figure stands at the right of its name's line where both fit, and also where it has no more
# characters than this, and the name goes on below; a longer one stands below the name.
BESIDE = 16
TRACK, GAP, RATE = 18, 8, 30
LEFT, RIGHT = INSET, 100 - INSET
MOST_LINES, MOST_ROWS = 3, 10
HEADINGS = {
    "detector": "Detectors: what tells the team",
    "sampled": "Seen by the run's own sampling",
    "witness": "Witnesses and explanations",
    "explanation": "Witnesses and explanations",
}
GLYPHS = {"detector": "diamond", "sampled": "disc", "witness": "ring", "explanation": "square"}
LEGEND = "Dots: answered. Bars: failed. Boxes: error bounds. Stripes: not seen."


@dataclass(frozen=True, slots=True)
class Label:
    """A text.

    Attributes:
        x: percent; `anchor` "start", "middle" or "end" tells which part of the text stands there.
        y: its baseline, pixels.
        style: "ink", "muted", "bad" or "heading".
    """

    x: float
    y: float
    text: str
    anchor: str = "start"
    style: str = "ink"


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape in a style of `svg.STYLES`.

    Attributes:
        x, width: percent. y, height: pixels.
        path: of rates: (from, to, height) in thousandths of the width and of the height.
    """

    style: str
    x: float
    y: float
    width: float = 0.0
    height: float = 0.0
    path: tuple[tuple[int, int, int], ...] = ()


@dataclass(slots=True)
class Sheet:
    """A picture: its height in pixels, its shapes by style in the order of painting, its labels."""

    scale: Scale
    height: float = 0.0
    shapes: list[Shape] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)

    def add(self, style: str, x: float, y: float, width: float = 0.0, height: float = 0.0) -> None:
        """Put down a shape."""
        self.shapes.append(Shape(style, x, y, width, height))

    def over(self, style: str, since: float, until: float, y: float, height: float = 0.0) -> None:
        """Put a shape over a stretch of time; one without length keeps a little."""
        if until < self.scale.begin or since > self.scale.end:
            return
        x = self.scale.x(since)
        width = max(self.scale.x(until) - x, 0.4)
        self.add(style, min(x, 99.0 - width / 2), y, round(width, 2), height)

    def caption(self, name: str, figure: str, style: str = "ink", heading: bool = False) -> None:
        """Write a name at the left and a figure at the right, or below it where it is long."""
        columns = BOLD_COLUMNS if heading or style == "bad" else COLUMNS
        together = len(name) + len(figure) + 2 <= columns
        beside = bool(figure) and (together or len(figure) <= BESIDE)
        first = columns - len(figure) - 2 if beside else columns
        lines = _wrapped(name, first, columns)
        for number, line in enumerate(lines):
            self.height += LINE
            self.labels.append(
                Label(LEFT, self.height - 3, line, "start", "heading" if heading else style)
            )
            if beside and number == 0:
                self.labels.append(Label(RIGHT, self.height - 3, figure, "end", style))
        if figure and not beside:
            for line in _wrapped(figure, COLUMNS, COLUMNS):
                self.height += LINE
                self.labels.append(Label(LEFT, self.height - 3, line, "start", "muted"))


def laid_out(score: Score, compact: bool = False) -> Sheet:
    """Lay a score out.

    Args:
        score: what to draw.
        compact: the essential rows only.
    """
    sheet = Sheet(Scale(score.begin, score.end))
    _phases(sheet, score)
    if compact:
        _compact(sheet, score)
    else:
        for lane in score.lanes[:MOST_ROWS]:
            _lane(sheet, lane)
        _stretches(sheet, score.faults)
        for rate in score.rates[:MOST_ROWS]:
            _rate(sheet, rate)
        _noticed(sheet, score)
    _axis(sheet, score, compact)
    return sheet


def _phases(sheet: Sheet, score: Score) -> None:
    """The phases as boxes at the top, and each fault as a band over everything below."""
    y, height = 1.0, 20.0
    sheet.height = y + height + GAP
    edges = [sheet.scale.begin]
    for fault in score.faults:
        until = fault.until if fault.until is not None else sheet.scale.end
        sheet.over("band", fault.since, until, y, -1)
        sheet.over("fault", fault.since, until, y, height)
        lasted = Span(fault.stood.lasted.ms).phrase if fault.until is not None else ""
        words: tuple[str, ...] = (
            (f"fault stands {lasted}", f"fault {lasted}", lasted, "fault", fault.name)
            if lasted
            else ("fault, not shown to have ended", "not ended", fault.name)
        )
        _inside(sheet, fault.since, until, y, words)
        edges += [fault.since, until]
    edges.append(sheet.scale.end)
    if not score.faults:
        edges = [sheet.scale.begin, sheet.scale.end]
    for number in range(0, len(edges) - 1, 2):
        since, until = edges[number], edges[number + 1]
        if until - since <= 0:
            continue
        sheet.over("phase", since, until, y, height)
        named: tuple[str, ...] = ()
        if not score.faults:
            named = ("no fault was injected", "no fault")
        elif number == 0:
            named = ("steady state", "before")
        elif number == len(edges) - 2:
            named = ("after the restore", "after")
        _inside(sheet, since, until, y, named, "muted")


def _inside(
    sheet: Sheet, since: float, until: float, y: float, words: Sequence[str], style: str = "ink"
) -> None:
    """Write the first of some words that stands within a stretch even in a narrow picture."""
    width = sheet.scale.width(since, until)
    room = int((width * NARROW / 100 - 6) / CHARACTER)
    word = next((one for one in words if one and len(one) <= room), "")
    if word:
        middle = round(sheet.scale.x(since) + width / 2, 2)
        sheet.labels.append(Label(middle, y + 14, word, "middle", style))


def _lane(sheet: Sheet, lane: Lane) -> None:
    more = f" ({lane.hidden} earlier changes not shown)" if lane.hidden else ""
    sheet.caption(f"{lane.name}{more}", lane.results)
    _requests(sheet, lane)


def _requests(sheet: Sheet, lane: Lane) -> None:
    y = sheet.height + TRACK / 2
    for run in lane.runs:
        style = {GOOD: "answered", BAD: "failed"}.get(run.kind, "other")
        sheet.over(style, run.since, run.until, y)
    for gap in lane.gaps:
        sheet.over("gap", gap.since, gap.until, y)
    sheet.height += TRACK + GAP


def _stretches(sheet: Sheet, faults: Sequence[FaultBand]) -> None:
    """How long customers were cut off, and how long the way back took."""
    for name, style, pairs in (
        ("Customers cut off", "outage", [(one.outage, one.stood.outage) for one in faults]),
        ("Back after the restore", "span", [(one.recovery, one.stood.recovery) for one in faults]),
    ):
        known = [(where, span) for where, span in pairs if where is not None]
        if not known:
            continue
        sheet.caption(name, told_of([span for _, span in known]))
        y = sheet.height + TRACK / 2
        for where, _ in known:
            if where is None:
                continue
            sheet.over(style, where[0], where[1], y - (4 if style == "outage" else 0), 8)
            if style == "span":
                sheet.add("start", sheet.scale.x(where[0]), y)
                sheet.add("back", sheet.scale.x(where[1]), y)
        sheet.height += TRACK + GAP


def _rate(sheet: Sheet, rate: Rate) -> None:
    peak = rate.peak
    sheet.caption(rate.name, str(rate.total))
    base = sheet.height + RATE
    path = []
    for step in rate.steps:
        if step.until < sheet.scale.begin or step.since > sheet.scale.end:
            continue
        since, until = sheet.scale.x(step.since), sheet.scale.x(step.until)
        high = round(1000 * min(1.0, step.rate / peak)) if peak > 0 else 0
        # A step of a moment is still to be seen.
        path.append((round(10 * since), round(10 * max(until, since + 0.3)), max(high, 40)))
    sheet.shapes.append(Shape("rate", 0, sheet.height, 100, RATE, tuple(path)))
    sheet.add("track", sheet.scale.x(sheet.scale.begin), base, 97)
    for since, until in rate.gaps:
        sheet.over("gap", since, until, base - TRACK / 2)
    sheet.height = base + GAP


def _noticed(sheet: Sheet, score: Score) -> None:
    heading = ""
    order = {role: number for number, role in enumerate(HEADINGS)}
    rows = sorted(score.noticings, key=lambda one: order.get(one.role, 9))
    for row in rows[:MOST_ROWS]:
        if HEADINGS.get(row.role, "") != heading:
            heading = HEADINGS.get(row.role, "")
            sheet.height += 6
            sheet.caption(heading, "", heading=True)
            sheet.height += 2
        _notice(sheet, row, score.faults)
    if len(rows) > MOST_ROWS:
        sheet.caption(f"{len(rows) - MOST_ROWS} more are in the table", "", "muted")


def _notice(sheet: Sheet, row: Noticing, faults: Sequence[FaultBand]) -> None:
    """One line from the fault to the moment when it was noticed: the time to detect."""
    alarming = row.silent and row.role == "detector"
    sheet.caption(row.name, row.told, "bad" if alarming else "ink")
    y = sheet.height + TRACK / 2
    for mark in row.marks:
        sheet.over("span", mark.since, mark.at, y)
        sheet.add("start", sheet.scale.x(mark.since), y)
        if mark.bound > 0:
            sheet.over("bound", mark.at - mark.bound, mark.at + mark.bound, y - 4, 8)
        sheet.add(GLYPHS.get(row.role, "disc"), sheet.scale.x(mark.at), y)
    if not row.marks:
        for fault in faults:
            until = fault.until if fault.until is not None else sheet.scale.end
            if not row.silent:
                sheet.over("gap", fault.since, until, y)
                continue
            sheet.over("silent" if alarming else "quiet", fault.since, until, y)
            sheet.add("cross" if alarming else "nothing", sheet.scale.x(until), y)
    sheet.height += TRACK + GAP


def _compact(sheet: Sheet, score: Score) -> None:
    """One line of requests, and one with everybody who noticed."""
    lane = next((one for one in score.lanes if one.runs), None)
    if lane is not None:
        _requests(sheet, lane)
    y = sheet.height + TRACK / 2
    told = [one for one in score.noticings if one.role in ("detector", "sampled")]
    for row in told[:MOST_ROWS]:
        for mark in row.marks[:4]:
            sheet.add(GLYPHS[row.role], sheet.scale.x(mark.at), y)
    silent = [one for one in told if one.silent and one.role == "detector"]
    for _ in silent[:1]:
        for fault in score.faults[:4]:
            sheet.over("silent", fault.since, fault.until or sheet.scale.end, y)
    sheet.height += TRACK + GAP


def _axis(sheet: Sheet, score: Score, compact: bool) -> None:
    """Seconds below, a line over everything for each, and what the clock said at 0."""
    sheet.height += 2
    bottom = sheet.height
    sheet.add("axis", sheet.scale.x(sheet.scale.begin), bottom, 97)
    marks = _marks(sheet.scale, 4 if compact else 6)
    for at, word in marks:
        x = sheet.scale.x(at)
        sheet.add("grid", x, 22, 0, bottom)
        # A word in the middle of an end would be cut off there.
        half = 100 * len(word) * CHARACTER / 2 / NARROW
        anchor = "start" if x < half else "end" if x > 100 - half else "middle"
        sheet.labels.append(Label(x, bottom + LINE - 1, word, anchor, "muted"))
    sheet.height = bottom + LINE + 2
    if score.zero is not None and not compact:
        what = "the fault was submitted" if score.faults else "the first moment of it"
        clock = f"{score.zero:%Y-%m-%d %H:%M:%S}.{score.zero.microsecond // 1000:03} UTC"
        unit = "Minutes and seconds" if any(":" in word for _, word in marks) else "Seconds"
        sheet.caption(f"{unit}; 0 is when {what}, {clock}.", "", "muted")
        sheet.caption(LEGEND, "", "muted")
    sheet.height += 4
    for number, shape in enumerate(sheet.shapes):
        if shape.style == "band":
            tall = bottom - shape.y
            sheet.shapes[number] = Shape("band", shape.x, shape.y, shape.width, tall)


def _marks(scale: Scale, most: int) -> list[tuple[float, str]]:
    """Choose so many ticks at most that their words stand apart, also where one had to give way."""
    found: list[tuple[float, str]] = []
    for number in range(most, 0, -1):
        found = list(ticks(scale.begin, scale.end, number))
        longest = max((len(word) for _, word in found), default=0) * CHARACTER
        apart = [b - a for (a, _), (b, _) in pairwise(found)]
        length = scale.end - scale.begin
        if all(ROOM * one / length >= 1.5 * longest + 6 for one in apart):
            break
    return found


def _wrapped(words: str, first: int, columns: int) -> list[str]:
    """Break a text into lines; its first may be shorter, as something stands beside it."""
    if not words.isascii() and any(east_asian_width(one) in "WF" for one in words):
        first, columns = first // 2, columns // 2
    if len(words) <= first:
        return [words]
    head = textwrap.wrap(words, max(12, first))[:1] or [words[:first]]
    rest = words[len(head[0]) :].strip()
    return head + textwrap.wrap(rest, columns, max_lines=MOST_LINES - 1, placeholder=" …")
