"""The report as its readers have it: in a browser, by keyboard, on a phone, printed, read aloud."""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.browser.looking import PHONE, Visit
from tests.browser.reports import CLUSTER, EVIL, Reports
from tests.docs.runs import FLAGSHIP, JOURNALS, KEPT
from tests.journeys.conftest import Chaos, Lab, lab, own_chaos, start
from tests.tiers import loop

__all__ = ["Lab", "lab", "own_chaos", "start"]

LABEL = "LAB (simulated)"
SCHEMES = ("light", "dark")
ALL = "all of them in one page"
PAGES = loop([FLAGSHIP, ALL, *(name for name in KEPT if name != FLAGSHIP)], keep=2)
TEXT_CONTRAST, RING_CONTRAST, FINGER, LETTER = 4.5, 3, 24, 9
Open = Callable[..., Visit]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """Reports of stored journals."""
    return Reports(tmp_path_factory.mktemp("reports"))


def page_of(reports: Reports, name: str) -> Path:
    """The page of a stored journal, or of all."""
    return reports.all_kept() if name == ALL else reports.kept(name)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_where_it_was_and_is_quiet(reports: Reports, visit: Open, name: str) -> None:
    """Title and first line have the place; nothing is on the console, nothing is asked for.

    What a page says and asks for is held against it whenever one is opened (`visit`).
    """
    seen = visit(page_of(reports, name))

    assert LABEL in seen.page.title()
    first = next(one for one in seen.page.inner_text("body").splitlines() if one.strip())
    skipped = seen.page.inner_text("body").splitlines()[:3]
    assert LABEL in first or any(LABEL in one for one in skipped)
    assert seen.page.locator("html").get_attribute("lang") == "en"
    assert seen.ask("active") == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PAGES)
def test_nobody_is_left_out(
    reports: Reports, visit: Open, axe: str, name: str, scheme: str
) -> None:
    """All rules of axe-core, folded and unfolded, and what it leaves out: drawings."""
    seen = visit(page_of(reports, name), color_scheme=scheme)

    if (name, scheme) == (FLAGSHIP, "light"):
        assert seen.violations(axe) == []
    seen.open_all()
    assert seen.violations(axe) == []
    assert seen.ask("faint", TEXT_CONTRAST) == []
    assert seen.ask("colliding") == []
    assert seen.ask("cut") == []
    assert seen.ask("divided") == []
    assert (seen.ask("paper") > 0.5) is (scheme == "light")


@pytest.mark.parametrize("name", loop([FLAGSHIP, ALL]))
def test_the_keyboard_is_enough(reports: Reports, visit: Open, name: str) -> None:
    """Tab reaches everything in the order of reading, visibly; Enter and Space unfold."""
    # No gliding to what has the focus: it is looked for at once.
    seen = visit(page_of(reports, name), reduced_motion="reduce")
    stops = seen.tabbed()

    numbers = [one["number"] for one in stops]
    assert numbers == sorted(numbers)
    missed = [one["name"] for one in seen.ask("reachable") if one["number"] not in numbers]
    assert missed == []
    assert "skip" in stops[0]["name"].lower()
    invisible = [one["name"] for one in stops if one["ring"] < 1 or one["contrast"] < RING_CONTRAST]
    assert invisible == []
    assert [one["name"] for one in stops if not one["seen"]] == []

    folds = seen.page.locator("summary:visible")
    assert folds.count() >= 1
    for number in range(folds.count()):
        fold = folds.nth(number)
        for key in ("Enter", "Space"):
            before = fold.evaluate("one => one.parentElement.open")
            fold.focus()
            seen.page.keyboard.press(key)
            assert fold.evaluate("one => one.parentElement.open") is not before


def test_the_skip_link_leads_past_the_head(reports: Reports, visit: Open) -> None:
    """One Tab and Enter, and the next Tab is inside the main part."""
    seen = visit(reports.kept(FLAGSHIP))
    seen.page.keyboard.press("Tab")
    seen.page.keyboard.press("Enter")
    seen.page.keyboard.press("Tab")

    assert seen.page.evaluate("() => Boolean(document.activeElement.closest('main'))")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_light_and_dark_can_be_chosen(reports: Reports, visit: Open, axe: str, scheme: str) -> None:
    """The toggle, which has a name, turns the paper over; the keyboard is enough."""
    seen = visit(reports.kept(FLAGSHIP), color_scheme=scheme)
    seen.page.get_by_role("checkbox", name=re.compile("^(Dark|Light)$")).focus()
    seen.page.keyboard.press("Space")

    assert (seen.ask("paper") > 0.5) is (scheme == "dark")
    assert seen.violations(axe) == []
    assert seen.ask("faint", TEXT_CONTRAST) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_shows_all_of_it(reports: Reports, visit: Open, name: str) -> None:
    """Nothing sticks out at 360 pixels, and a finger hits what can be tapped."""
    seen = visit(page_of(reports, name), **PHONE)

    for _ in range(2):
        assert seen.ask("sideways") == []
        assert seen.ask("tiny", FINGER) == []
        assert seen.ask("small", LETTER) == []
        assert seen.ask("colliding") == []
        assert seen.ask("divided") == []
        seen.open_all()


@pytest.mark.parametrize("name", loop([FLAGSHIP, ALL]))
def test_twice_as_large_is_as_good(reports: Reports, visit: Open, name: str) -> None:
    """Zoomed to 200 %, and with letters twice as large: nothing sticks out."""
    zoomed = visit(
        page_of(reports, name), viewport={"width": 640, "height": 400}, device_scale_factor=2
    )
    zoomed.open_all()
    assert zoomed.ask("sideways") == []

    zoomed.page.set_viewport_size({"width": 1280, "height": 800})
    zoomed.page.evaluate("() => { document.documentElement.style.fontSize = '200%'; }")
    assert zoomed.ask("sideways") == []


@pytest.mark.parametrize("scheme", loop(SCHEMES))
def test_every_sheet_says_where_it_was(
    reports: Reports, visit: Open, pdftotext: str, scheme: str
) -> None:
    """Printed, on white paper whatever the screen was, with what is folded on the screen."""
    unfolded = visit(reports.kept(FLAGSHIP))
    unfolded.open_all()
    folded = unfolded.page.locator("details").all_inner_texts()
    seen = visit(reports.kept(FLAGSHIP), color_scheme=scheme)

    sheets = seen.printed(pdftotext)

    assert len(sheets) >= 2
    assert [number for number, sheet in enumerate(sheets, 1) if LABEL not in sheet] == []
    printed = words(" ".join(sheets))
    assert folded
    for one in folded:
        missing = [word for word in words(one) if word not in printed]
        assert missing == []
    # As wide as A4 between the margins.
    seen.page.set_viewport_size({"width": 665, "height": 970})
    seen.page.emulate_media(media="print")
    assert seen.ask("divided") == []
    assert seen.ask("sideways") == []
    assert seen.ask("paper") > 0.9
    assert seen.ask("faint", TEXT_CONTRAST) == []


def words(text: str) -> set[str]:
    """The words of a text that no line break can have divided."""
    return {one for one in re.findall(r"[a-z]+", text) if 3 < len(one) < 12}


def test_every_sheet_of_many_runs_says_so_too(
    reports: Reports, visit: Open, pdftotext: str
) -> None:
    """However many sheets: the table alone, or with what was unfolded."""
    seen = visit(reports.all_kept())
    short = seen.printed(pdftotext)
    seen.open_all()
    long = seen.printed(pdftotext)

    assert len(long) >= len(short) + len(KEPT)
    for sheets in (short, long):
        assert [number for number, sheet in enumerate(sheets, 1) if LABEL not in sheet] == []


def test_sheets_of_two_places_are_told_apart(
    reports: Reports, visit: Open, axe: str, pdftotext: str
) -> None:
    """Each sheet has the place of what is on it; the first line and the title have both."""
    seen = visit(reports.two_places())
    cluster = f"cluster {CLUSTER}"
    assert LABEL in seen.page.title()
    assert cluster in seen.page.title()
    assert seen.page.locator("table:visible").count() == 2
    seen.open_all()
    assert seen.violations(axe) == []

    sheets = [sheet.strip().splitlines() for sheet in seen.printed(pdftotext)]
    tops = [sheet[0] for sheet in sheets]

    assert [top for top in tops if LABEL not in top and cluster not in top] == []
    assert sum(LABEL in top for top in tops) > 3
    assert sum(cluster in top for top in tops) > 3
    for sheet in sheets:
        if not (LABEL in sheet[0] and cluster in sheet[0]):
            other = cluster if LABEL in sheet[0] else LABEL
            assert other not in "\n".join(sheet[1:]), sheet


@pytest.mark.parametrize("name", loop([ALL, FLAGSHIP]))
def test_scripts_are_not_needed(reports: Reports, visit: Open, name: str) -> None:
    """Without them the page says the same, word for word, and unfolds."""
    page = page_of(reports, name)
    texts = []
    for allowed in (True, False):
        seen = visit(page, java_script_enabled=allowed)
        fold = seen.page.locator("summary:visible").first
        fold.click()
        assert fold.evaluate("one => one.parentElement.open")
        fold.click()
        seen.open_all()
        texts.append(seen.page.inner_text("main"))
    assert texts[0] == texts[1]


def test_who_asks_for_rest_or_for_own_colours_gets_them(reports: Reports, visit: Open) -> None:
    """Nothing moves with reduced motion; forced colours leave every text to be seen."""
    assert visit(reports.kept(FLAGSHIP), reduced_motion="reduce").ask("moving") == []
    for scheme in SCHEMES:
        seen = visit(reports.kept(FLAGSHIP), forced_colors="active", color_scheme=scheme)
        seen.open_all()
        assert seen.ask("faint", TEXT_CONTRAST) == []


def test_a_screen_reader_hears_the_same(reports: Reports, visit: Open) -> None:
    """One heading of the first level, no level left out, named tables and a named drawing."""
    seen = visit(reports.kept(FLAGSHIP))
    seen.open_all()
    levels = [
        int(one.evaluate("one => one.tagName[1]"))
        for one in seen.page.locator("h1, h2, h3, h4, h5, h6").all()
    ]

    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    tree = seen.page.locator("body").aria_snapshot()
    assert re.search(r"- img \".{20,}", tree)
    assert "- main" in tree
    assert "- banner" in tree
    assert re.search(r"^\s*- table(:|$)", tree, re.MULTILINE) is None, "a table without a name"


@pytest.mark.parametrize("allowed", loop([True, False]))
def test_hostile_names_do_nothing(reports: Reports, visit: Open, allowed: bool) -> None:
    """Markup, scripts, addresses and templates in every free text are shown as what they are."""
    for page in (reports.hostile(), reports.hostile_one()):
        seen = visit(page, java_script_enabled=allowed)
        seen.open_all()
        seen.page.mouse.move(300, 300)
        assert seen.page.evaluate("() => window.hacked") is None
        assert seen.ask("active") == []
        text = seen.page.inner_text("body")
        missing = [one for one in EVIL[:-1] if " ".join(one.split()) not in " ".join(text.split())]
        assert missing == [], "not shown as it is"
        assert seen.ask("sideways") == []


def test_hostile_names_do_nothing_on_a_phone_either(reports: Reports, visit: Open) -> None:
    """A word of three hundred letters scrolls nothing sideways."""
    seen = visit(reports.hostile_one(), **PHONE)
    seen.open_all()

    assert seen.ask("sideways") == []


@pytest.mark.parametrize("count", loop([40, 200]))
def test_many_runs_are_a_table_to_dig_in(reports: Reports, visit: Open, count: int) -> None:
    """Each run is a row of the first table; its fold opens to what happened there."""
    seen = visit(reports.many(count))

    assert seen.page.locator("table").first.locator("tbody tr").count() == count
    took = seen.page.evaluate(
        "() => performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    )
    assert took < 3000, f"the page took {took:.0f} ms to be there"
    run = seen.page.locator("details").nth(count // 2)
    summary = run.locator("summary").first
    summary.scroll_into_view_if_needed()
    summary.focus()
    seen.page.keyboard.press("Enter")
    assert len(run.inner_text()) > len(summary.inner_text()) + 100
    row = seen.page.locator("table").first.locator("tbody tr").nth(count // 3)
    row.locator("a").click()
    target = seen.page.locator(row.locator("a").get_attribute("href") or "#nowhere")
    assert target.is_visible()
    assert seen.ask("sideways") == []


@pytest.mark.journey
def test_the_page_of_a_run_just_made(own_chaos: Chaos, visit: Open, tmp_path: Path) -> None:
    """A real run, the real command, a real browser: the page says what the run did."""
    done = own_chaos.run(json.loads((JOURNALS / f"{FLAGSHIP}.json").read_text())["experiment"])
    assert done.outcome == "HELD"

    seen = visit(Reports(tmp_path).of(done.file))

    text = seen.page.inner_text("main")
    for told in ("HELD", done.section["run"], "pets/allow-store-front-traffic"):
        assert told in text
