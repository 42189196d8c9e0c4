"""The drawn timeline: what it shows, and that its figures are the journal's, whatever it holds."""

import copy
import json
import time
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.evidence.facts import Facts
from acns_chaos.report.build_times import stood_of
from acns_chaos.report.drawing import COLUMNS, Drawing, timeline
from acns_chaos.report.drawing.layout import BOLD, CHARACTER, LINE, NARROW, Label, Sheet, laid_out
from acns_chaos.report.drawing.score import score_of
from acns_chaos.report.drawing.svg import STYLES
from acns_chaos.report.scales import Scale, seconds_text, ticks
from tests.tiers import examples

JOURNALS = sorted((Path(__file__).parents[1] / "data/journals").glob("*.json"))
REAL = [pytest.param(file, id=file.stem) for file in JOURNALS]
ELEMENTS = {"svg", "title", "desc", "g", "line", "rect", "circle", "path", "text"}
SVG = "{http://www.w3.org/2000/svg}"
# What stands behind the labels on purpose.
BEHIND = {"band", "grid", "phase", "fault"}


def journal(name: str = "storefront-ingress") -> dict[str, Any]:
    """A journal of a real run in the lab."""
    found: dict[str, Any] = json.loads(
        next(file for file in JOURNALS if file.stem == name).read_text()
    )
    return found


def drawn(of: object, compact: bool = False) -> Drawing:
    """The drawing of a journal."""
    return timeline(Facts(of), compact)


def parsed(drawing: Drawing) -> ET.Element:
    """The picture's root; it must be well-formed."""
    return ET.fromstring(str(drawing.svg))


def elements(drawing: Drawing) -> list[ET.Element]:
    """Every element of the picture."""
    return list(parsed(drawing).iter())


def words(drawing: Drawing) -> str:
    """All labels of the picture."""
    return " ".join(one.text or "" for one in parsed(drawing).iter(f"{SVG}text"))


def rectangle(label: Label, width: int) -> tuple[float, float, float, float]:
    """Where a label stands in a picture of so many pixels: left, top, right, bottom."""
    long = len(label.text) * (BOLD if label.style in ("bad", "heading") else CHARACTER)
    x = label.x * width / 100 - {"start": 0.0, "middle": long / 2, "end": long}[label.anchor]
    return x, label.y - LINE + 4, x + long, label.y + 3


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two rectangles share a point."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize("file", REAL)
def test_picture_is_well_formed_small_and_holds_nothing_that_could_leave_it(file: Path) -> None:
    """Known elements only, no id, style, class, script, link; within the budgets."""
    for compact, most in ((False, 12_000), (True, 4_000)):
        drawing = drawn(json.loads(file.read_text()), compact)

        assert len(drawing.svg.encode()) <= most
        for one in elements(drawing):
            assert one.tag.removeprefix(SVG) in ELEMENTS
            for name in one.attrib:
                assert name not in ("id", "style", "class", "href")
                assert not name.startswith("on")


def test_picture_tells_a_screen_reader_what_it_is() -> None:
    """It is one image, with a title and the summary as its description."""
    drawing = drawn(journal())
    root = parsed(drawing)

    assert root.get("role") == "img"
    assert [one.tag for one in list(root)[:2]] == [f"{SVG}title", f"{SVG}desc"]
    assert root[1].text == drawing.summary


def test_colours_are_the_pages() -> None:
    """Every colour is one of the page's properties, so light, dark and print follow the page."""
    known = {"ink", "paper", "line", "good", "bad", "warn", "accent", "muted"}
    colours = {
        one.attrib[key]
        for one in elements(drawn(journal()))
        for key in ("fill", "stroke")
        if key in one.attrib
    }

    assert colours <= {f"var(--{name})" for name in known} | {"none"}


@pytest.mark.parametrize("file", REAL)
@pytest.mark.parametrize("width", [NARROW, 360, 1100])
@pytest.mark.parametrize("compact", [False, True])
def test_labels_never_overlap(file: Path, width: int, compact: bool) -> None:
    """No two labels share a place, on a phone or a desk, and none is cut off at an edge."""
    sheet = laid_out(score_of(Facts(json.loads(file.read_text()))), compact)
    places = [rectangle(one, width) for one in sheet.labels]

    assert places
    assert [pair for pair in combinations(places, 2) if overlap(*pair)] == []
    for left, top, right, bottom in places:
        assert left >= 0
        assert right <= width
        assert top >= 0
        assert bottom <= sheet.height + 1


@pytest.mark.parametrize("file", REAL)
def test_shapes_keep_off_the_labels(file: Path) -> None:
    """Marks, lines and bars stand on lines of their own; only bands and grids lie behind text."""
    sheet = laid_out(score_of(Facts(json.loads(file.read_text()))))
    for shape in sheet.shapes:
        if shape.style in BEHIND:
            continue
        high = shape.height if shape.style in ("outage", "bound", "rate") else 0
        reach = 1 if shape.style in ("axis", "track", "span") else 7
        top, bottom = shape.y - (0 if high else reach), shape.y + (high or reach)
        for label in sheet.labels:
            assert not (label.y - LINE + 5 < top < label.y - 2), (shape, label)
            assert not (label.y - LINE + 5 < bottom < label.y - 2), (shape, label)


@pytest.mark.parametrize("file", REAL)
def test_figures_are_the_journals(file: Path) -> None:
    """Whatever was noticed, lasted or came back is told with the journal's own figure."""
    read = json.loads(file.read_text())
    drawing, facts = drawn(read), Facts(read)
    told = drawing.summary
    for one in stood_of(facts):
        for notice in one.notices:
            assert notice.after.phrase in told
            assert notice.name in told
        for span in (one.outage, one.recovery):
            assert span.ms is None or span.phrase in told
    section = (facts.section.get("timeline") or {}).get("faults") or []
    begun = stood_of(facts)[0].since if section else ""
    for fault in section:
        for one in fault["moments"]:
            since = _ms(one["at"]) - _ms(begun)
            row = [r for r in drawing.rows if r[2] == one["source"] and _same(r[0], since)]
            assert row, one
            assert f"{one['bound_ms'] / 1000:.3f}" in [r[3] for r in row]


def _ms(at: str) -> float:
    from acns_chaos.evidence.values import moment

    found = moment(at)
    assert found is not None
    return found.timestamp() * 1000


def _same(shown: str, ms: float) -> bool:
    return abs(float(shown.replace("−", "-")) * 1000 - ms) < 1.1


def test_flagship_shows_every_part() -> None:
    """Phases, requests by shape, drops as steps, marks with their bounds, outage and recovery."""
    drawing = drawn(journal())
    styles = {one.style for one in laid_out(score_of(Facts(journal()))).shapes}

    assert styles >= {"band", "fault", "phase", "answered", "failed", "outage", "rate", "span"}
    assert styles >= {"bound", "disc", "diamond", "ring", "square", "back", "axis", "grid"}
    for part in ("fault stands", "Customers cut off", "Back after the restore", "UTC"):
        assert part in words(drawing)
    assert len(COLUMNS) == len(drawing.rows[0])


def test_table_is_in_the_order_of_time() -> None:
    """Rows follow each other in time, so that it can be read as the story it is."""
    times = [float(one[0].replace("−", "-")) for one in drawn(journal()).rows if one[0] != "–"]

    assert len(times) > 10
    assert times == sorted(times)


def test_each_fault_of_several_has_its_band() -> None:
    """A policy that flaps shows three faults, and one row for each that noticed, not three."""
    read = journal("policy-flapping")
    sheet = laid_out(score_of(Facts(read)))
    drawing = drawn(read)

    assert sum(one.style == "band" for one in sheet.shapes) == 3
    assert [one.text for one in sheet.labels].count("client") == 1
    assert "3 times" in words(drawing)
    assert "f3: the fault in" in drawing.summary


def test_silent_detector_is_marked_by_shape_and_in_words() -> None:
    """Who should have told and did not has a cross where the others have a mark."""
    read = journal("product-egress-open")
    sheet = laid_out(score_of(Facts(read)))
    drawing = drawn(read)

    assert any(one.style == "cross" for one in sheet.shapes)
    assert not any(one.style == "diamond" for one in sheet.shapes)
    assert '"Prometheus notices policy drops on the nodes" did not notice' in drawing.summary


def test_what_a_source_did_not_see_is_hatched() -> None:
    """A gap of Hubble and one of the client are stripes, and the client's is a row of the table."""
    read = journal()
    begun = read["acns_chaos"]["timeline"]["faults"][0]["moments"][0]["at"]
    for source in read["acns_chaos"]["timeline"]["sources"]:
        source["gaps"] = [{"from": begun, "to": None, "why": "the relay was away"}]
    sheet = laid_out(score_of(Facts(read)))

    assert sum(one.style == "gap" for one in sheet.shapes) >= 3
    assert any(one[1] == "not seen: the relay was away" for one in drawn(read).rows)


def test_journal_without_a_timeline_is_drawn_from_its_events() -> None:
    """The run's own events and readings make a picture, too."""
    read = journal()
    del read["acns_chaos"]["timeline"]
    drawing = drawn(read)

    assert "fault stands" in words(drawing)
    assert "Prometheus notices policy drops" in words(drawing)
    assert any(one[1].startswith("fault submitted") for one in drawing.rows)


@pytest.mark.parametrize("nothing", [{}, None, [], {"acns_chaos": {"timeline": []}}])
def test_nothing_is_drawn_of_nothing(nothing: object) -> None:
    """No picture, no rows, and a sentence that says so."""
    drawing = drawn(nothing)

    assert drawing.svg == ""
    assert drawing.rows == ()
    assert "nothing to draw" in drawing.summary


def test_fault_that_was_not_put_back_reaches_to_the_end() -> None:
    """Its band does not end, and the words say that it is not shown to have."""
    read = journal()
    read["acns_chaos"]["faults"][0]["restored"] = None
    sheet = laid_out(score_of(Facts(read)))
    band = next(one for one in sheet.shapes if one.style == "band")

    assert band.x + band.width > 95
    assert "is not shown to have ended" in drawn(read).summary


def test_names_from_a_journal_are_text_and_nothing_else() -> None:
    """Markup in names, results and reasons makes no element, no attribute and no entity."""
    hostile = "<script>alert(1)</script>\"'&lt;]]>--><svg onload=x>"
    read = journal()
    plain = [one.tag for one in elements(drawn(read))]
    section = read["acns_chaos"]["timeline"]
    times = section["faults"][0]["time_to_detect"]
    times[hostile] = times.pop("Prometheus notices policy drops on the nodes")
    for source in section["sources"]:
        source["about"] = hostile
    section["not_observed"] = [{"source": hostile, "why": hostile}]
    drawing = drawn(read)

    assert [one.tag for one in elements(drawing) if one.tag not in plain] == []
    assert "<script" not in drawing.svg
    assert "alert(1)" in words(drawing)


def paths_of(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a journal's part."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [here, *(path for key, one in items for path in paths_of(one, (*here, key)))]


BASE = journal()
PLACES = [
    ("acns_chaos", *path)
    for part in ("timeline", "faults", "events")
    for path in paths_of(BASE["acns_chaos"][part], (part,))
]
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [
            "9999-12-31T23:59:59+00:00",
            "0001-01-01T00:00:00+14:00",
            "2026-11-23T08:59:35.895+00:00",
            "<b>\ud800\x00\u202e]]>&",
            "x" * 5000,
            -1e308,
            1e308,
            10**400,
        ]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def spoilt(changes: list[tuple[tuple[Any, ...], Any]]) -> dict[str, Any]:
    """The flagship's journal with some places changed."""
    read = copy.deepcopy(BASE)
    for path, value in changes:
        where: Any = read
        for key in path[:-1]:
            try:
                where = where[key]
            except (KeyError, IndexError, TypeError):
                where = None
                break
        if isinstance(where, dict) or (isinstance(where, list) and path[-1] in range(len(where))):
            where[path[-1]] = value
    return read


@examples(30)
@given(st.lists(st.tuples(st.sampled_from(PLACES), ODD), min_size=1, max_size=6))
def test_no_journal_breaks_the_picture(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    """Whatever stands in the section: nothing raises, the picture is XML, its size is bounded."""
    read = spoilt(changes)
    for compact in (False, True):
        drawing = drawn(read, compact)
        if drawing.svg:
            parsed(drawing)
        assert len(drawing.svg) <= 60_000
        assert len(drawing.rows) <= 400


def test_picture_of_many_things_stays_small() -> None:
    """Thousands of runs, sources, faults and moments are cut, not drawn."""
    read = journal()
    section = read["acns_chaos"]["timeline"]
    for source in section["sources"]:
        source.get("samples", {}).update(runs=source.get("samples", {}).get("runs", []) * 3000)
        source["gaps"] = [{"from": section["from"], "to": section["to"], "why": "away"}] * 3000
    section["sources"] *= 50
    section["faults"][0]["moments"] *= 500
    drawing = drawn(read)

    assert len(drawing.svg) <= 150_000
    assert len(drawing.rows) <= 400


def test_picture_takes_milliseconds() -> None:
    """A page of many runs waits for none: 5 ms of one core each."""
    facts = Facts(journal())
    took = []
    for _ in range(7):
        begun = time.process_time()
        timeline(facts)
        took.append(time.process_time() - begun)

    assert min(took) <= 0.005


def test_every_style_of_the_layout_can_be_drawn() -> None:
    """A style without a way to draw it would be a picture without that part."""
    for file in JOURNALS:
        sheet: Sheet = laid_out(score_of(Facts(json.loads(file.read_text()))))

        assert {one.style for one in sheet.shapes} <= set(STYLES)


@pytest.mark.parametrize(
    ("stretch", "shown"),
    [
        ((-1.4, 4.6), ["−1", "0", "1", "2", "3", "4"]),
        ((0.0, 0.6), ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6"]),
        ((0.0, 300.0), ["0:00", "1:00", "2:00", "3:00", "4:00", "5:00"]),
        ((0.0, 0.0), []),
        ((5.0, 1.0), []),
    ],
)
def test_ticks_stand_at_round_numbers(stretch: tuple[float, float], shown: list[str]) -> None:
    """Tenths, seconds, or minutes as a clock shows them; none where there is no stretch."""
    assert [word for _, word in ticks(*stretch)] == shown


def test_moments_off_a_scale_stand_at_its_ends() -> None:
    """Nothing is drawn outside the picture, and a scale without length has a middle."""
    assert Scale(0, 10).x(-5) == Scale(0, 10).x(0) == 1.5
    assert Scale(0, 10).x(50) == 98.5
    assert Scale(3, 3).x(3) == 50


@pytest.mark.parametrize(
    ("at", "step", "shown"),
    [
        (0.0191, 0.001, "0.019"),
        (-2.5, 0.5, "−2.5"),
        (3725, 60, "1:02:05"),
        (-0.0001, 0.001, "0.000"),
    ],
)
def test_moments_are_written_as_exactly_as_they_differ(at: float, step: float, shown: str) -> None:
    """As many digits as tell two of them apart, and no minus before nothing."""
    assert seconds_text(at, step) == shown
