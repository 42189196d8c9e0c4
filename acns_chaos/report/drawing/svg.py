"""Shapes and labels as SVG elements.

The elements are built as a tree and written at the end, so nothing from a journal can become
markup. There are no ids, classes, styles, scripts or references: several pictures may stand in one
page, under the strictest content policy. Hatching is done by dashes, which need no pattern with an
id.
"""

from itertools import groupby
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

from acns_chaos.report.drawing.layout import Shape, Sheet

__all__ = ["STYLES", "svg_of"]

# Painted in this order: style -> how it is drawn and the attributes of all shapes of that style.
STYLES: dict[str, tuple[str, dict[str, str]]] = {
    "band": ("rect", {"fill": "var(--warn)", "fill-opacity": ".12"}),
    "grid": ("upright", {"stroke": "var(--line)"}),
    "track": ("line", {"stroke": "var(--line)"}),
    "axis": ("line", {"stroke": "var(--muted)"}),
    "phase": ("rect", {"fill": "none", "stroke": "var(--line)"}),
    "fault": ("rect", {"fill": "var(--warn)", "fill-opacity": ".3", "stroke": "var(--warn)"}),
    "rate": (
        "steps",
        {"fill": "var(--accent)", "fill-opacity": ".3", "stroke": "var(--accent)"},
    ),
    "answered": (
        "line",
        {
            "stroke": "var(--good)",
            "stroke-width": "5",
            "stroke-linecap": "round",
            "stroke-dasharray": "0 8",
        },
    ),
    "failed": (
        "line",
        {"stroke": "var(--bad)", "stroke-width": "12", "stroke-dasharray": "2.5 2.5"},
    ),
    "other": (
        "line",
        {"stroke": "var(--muted)", "stroke-width": "4", "stroke-dasharray": "8 4"},
    ),
    "gap": ("line", {"stroke": "var(--muted)", "stroke-width": "14", "stroke-dasharray": "1 4"}),
    "silent": ("line", {"stroke": "var(--bad)", "stroke-dasharray": "4 4"}),
    "quiet": ("line", {"stroke": "var(--muted)", "stroke-dasharray": "4 4"}),
    "outage": ("rect", {"fill": "var(--bad)"}),
    "span": ("line", {"stroke": "var(--accent)", "stroke-width": "2"}),
    "bound": ("rect", {"fill": "none", "stroke": "var(--muted)", "rx": "2"}),
    "start": ("glyph", {"stroke": "var(--accent)", "stroke-width": "2"}),
    "back": ("glyph", {"fill": "var(--good)"}),
    "cross": ("glyph", {"stroke": "var(--bad)", "stroke-width": "2.5"}),
    "nothing": ("glyph", {"stroke": "var(--muted)", "stroke-width": "2"}),
    "disc": ("circle", {"fill": "var(--accent)"}),
    "ring": ("circle", {"fill": "var(--paper)", "stroke": "var(--accent)", "stroke-width": "2"}),
    "square": ("glyph", {"fill": "var(--paper)", "stroke": "var(--accent)", "stroke-width": "2"}),
    "diamond": ("glyph", {"fill": "var(--accent)", "stroke": "var(--paper)"}),
}
GLYPHS = {
    "start": "M0-5V5",
    "back": "M0 6-5-4H5Z",
    "cross": "M-5-5 5 5M5-5-5 5",
    "nothing": "M-4-4 4 4M4-4-4 4",
    "square": "M-4-4H4V4H-4Z",
    "diamond": "M0-7 7 0 0 7-7 0Z",
}
TEXTS = {
    "ink": {"fill": "var(--ink)"},
    "muted": {"fill": "var(--muted)"},
    "bad": {"fill": "var(--bad)", "font-weight": "600"},
    "heading": {"fill": "var(--muted)", "font-weight": "600"},
}
TITLE = "Timeline of the run"


def svg_of(sheet: Sheet, summary: str) -> Markup:
    """Write a picture.

    Args:
        sheet: where everything stands.
        summary: its description.
    """
    root = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "role": "img",
            "width": "100%",
            "height": _n(sheet.height),
            "font-size": "12",
        },
    )
    SubElement(root, "title").text = TITLE
    SubElement(root, "desc").text = summary
    order = {style: number for number, style in enumerate(STYLES)}
    for style, shapes in groupby(
        sorted(sheet.shapes, key=lambda one: order[one.style]), key=lambda one: one.style
    ):
        kind, attributes = STYLES[style]
        group = SubElement(root, "g", attributes)
        for shape in shapes:
            _DRAWN[kind](group, shape)
    for style, attributes in TEXTS.items():
        labels = [one for one in sheet.labels if one.style == style]
        if labels:
            group = SubElement(root, "g", attributes)
            for label in labels:
                more = {"text-anchor": label.anchor} if label.anchor != "start" else {}
                at = {"x": _percent(label.x)} if label.x else {}
                SubElement(group, "text", {**at, "y": _n(label.y), **more}).text = label.text
    return Markup(tostring(root, encoding="unicode"))  # noqa: S704 - a tree's own writing


def _line(group: Element, shape: Shape) -> None:
    ends = {"x1": _percent(shape.x), "x2": _percent(shape.x + shape.width)}
    SubElement(group, "line", {**ends, "y1": _n(shape.y), "y2": _n(shape.y)})


def _upright(group: Element, shape: Shape) -> None:
    x = _percent(shape.x)
    ends = {"x1": x, "x2": x, "y1": _n(shape.y), "y2": _n(shape.height)}
    SubElement(group, "line", ends)


def _rect(group: Element, shape: Shape) -> None:
    where = {"x": _percent(shape.x), "y": _n(shape.y), "width": _percent(shape.width)}
    SubElement(group, "rect", {**where, "height": _n(shape.height)})


def _circle(group: Element, shape: Shape) -> None:
    SubElement(group, "circle", {"cx": _percent(shape.x), "cy": _n(shape.y), "r": "4.5"})


def _glyph(group: Element, shape: Shape) -> None:
    """A path takes no percentages, so it stands in a picture of its own that is put there."""
    at = {"x": _percent(shape.x), "y": _n(shape.y), "overflow": "visible"}
    SubElement(SubElement(group, "svg", at), "path", {"d": GLYPHS[shape.style]})


def _steps(group: Element, shape: Shape) -> None:
    """Steps are as wide as the picture: a picture of their own that is stretched."""
    height = _n(shape.height)
    own = {
        "y": _n(shape.y),
        "height": height,
        "width": "100%",
        "viewBox": f"0 0 1000 {height}",
        "preserveAspectRatio": "none",
    }
    # As neighbours share an edge, they are one line.
    path, end = "", -1
    for since, until, high in shape.path:
        top = _n(shape.height * (1 - high / 1000) + 1)
        if since > end:
            path += f"{f'V{height}' if path else ''}M{since} {height}"
        path += f"V{top}H{until}"
        end = until
    drawn = {"d": f"{path}V{height}", "vector-effect": "non-scaling-stroke"}
    if path:
        SubElement(SubElement(group, "svg", own), "path", drawn)


_DRAWN = {
    "line": _line,
    "upright": _upright,
    "rect": _rect,
    "circle": _circle,
    "glyph": _glyph,
    "steps": _steps,
}


def _percent(value: float) -> str:
    return f"{_n(value)}%"


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
