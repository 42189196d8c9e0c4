"""The page of a game day as its readers have it: in a browser, by keyboard, on a phone, printed."""

import json
import re
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.browser.looking import PHONE, Visit
from tests.browser.reports import EVIL
from tests.journeys.hosts import own
from tests.tiers import loop
from tests.unit.gameday_played import make_day, remember, results

LABEL = "LAB (simulated)"
SCHEMES = loop(["light", "dark"])
COUNT, MANY = 14, 200
TEXT_CONTRAST, RING_CONTRAST, FINGER, LETTER = 4.5, 3, 24, 9
Open = Callable[..., Visit]


def written(folder: Path, *more: str) -> Path:
    """The page of the day in a folder, by the real command."""
    page = folder.with_suffix(".html")
    done = subprocess.run(
        [str(own().acns_chaos), "gameday", "report", str(folder), *more, "-o", str(page)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small day with journals, and the days before it."""
    folder = tmp_path_factory.mktemp("day")
    history = folder / "history.sqlite"
    remember(history, 5, COUNT)
    return written(make_day(folder / "small", results(COUNT)), "--history", str(history))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of two hundred mutants."""
    return written(make_day(tmp_path_factory.mktemp("many") / "many", results(MANY)))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day in which every free text tries something."""
    lines = results(len(EVIL))
    for one, evil in zip(lines, EVIL, strict=True):
        # A line whose mutant cannot be printed is none.
        for key in ("policy", "operator", "where", "mistake", "why", "by", "outcome"):
            one[key] = f"{one[key]} {evil}"
        one["mutant"] = f"{one['mutant']} {''.join(c for c in evil if c.isprintable())}"
        for each in one["detectors"]:
            each["name"] += f" {evil}"
            each["why"] = evil
    return written(make_day(tmp_path_factory.mktemp("hostile") / "hostile", lines))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nobody_is_left_out(page: Path, visit: Open, axe: str, scheme: str) -> None:
    """Says where it was, is quiet; all rules of axe-core, folded and unfolded; contrast."""
    seen = visit(page, color_scheme=scheme)

    assert LABEL in seen.page.title()
    assert LABEL in "".join(seen.page.inner_text("body").splitlines()[:3])
    assert seen.ask("active") == []
    assert seen.violations(axe) == []
    seen.open_all()
    assert seen.violations(axe) == []
    for audit in (("faint", TEXT_CONTRAST), ("colliding",), ("cut",), ("divided",)):
        assert seen.ask(*audit) == []
    assert (seen.ask("paper") > 0.5) is (scheme == "light")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_light_and_dark_can_be_chosen(page: Path, visit: Open, scheme: str) -> None:
    """The toggle turns the colours of the matrix over, too."""
    seen = visit(page, color_scheme=scheme)
    seen.page.get_by_role("checkbox", name=re.compile("^(Dark|Light)$")).focus()
    seen.page.keyboard.press("Space")

    assert (seen.ask("paper") > 0.5) is (scheme == "dark")
    assert seen.ask("faint", TEXT_CONTRAST) == []


def test_a_phone_shows_all_of_it(page: Path, visit: Open) -> None:
    """Nothing sticks out at 360 pixels but the matrix, which scrolls in itself under its names."""
    seen = visit(page, **PHONE)

    for _ in range(2):
        assert seen.ask("sideways") == []
        assert seen.ask("tiny", FINGER) == []
        assert seen.ask("small", LETTER) == []
        assert seen.ask("divided") == []
        seen.open_all()
    heat = seen.page.locator(".heat")
    name = heat.locator("tbody th[scope=row]").first
    name.scroll_into_view_if_needed()
    before = name.bounding_box()
    heat.evaluate("one => { one.scrollLeft = 200; }")
    after = name.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(after["x"] - before["x"]) < 1
    assert after["width"] < 0.5 * 360


def test_the_keyboard_is_enough(page: Path, visit: Open) -> None:
    """Tab reaches everything in the order of reading, visibly; a row leads to its fold, opened."""
    seen = visit(page, reduced_motion="reduce")
    stops = seen.tabbed()

    numbers = [one["number"] for one in stops]
    assert numbers == sorted(numbers)
    missed = [one["name"] for one in seen.ask("reachable") if one["number"] not in numbers]
    assert missed == []
    assert [
        one["name"] for one in stops if one["ring"] < 1 or one["contrast"] < RING_CONTRAST
    ] == []
    assert [one["name"] for one in stops if not one["seen"]] == []

    link = seen.page.locator(".heat a").last
    link.focus()
    seen.page.keyboard.press("Enter")
    assert seen.page.locator(link.get_attribute("href") or "#nowhere").is_visible()


def test_a_screen_reader_hears_the_same(page: Path, visit: Open) -> None:
    """One heading of the first level, no level left out, named tables, named drawings, headers."""
    seen = visit(page)
    seen.open_all()
    levels = [
        int(one.evaluate("one => one.tagName[1]"))
        for one in seen.page.locator("h1, h2, h3, h4, h5, h6").all()
    ]

    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    tree = seen.page.locator("body").aria_snapshot()
    assert re.search(r'img "The score for availability on \d days, the oldest first: ', tree)
    assert re.search(r"^\s*- table(:|$)", tree, re.MULTILINE) is None, "a table without a name"
    assert re.search(r'rowheader "', tree)
    assert re.search(r'cell "not its direction', tree)


def test_every_sheet_says_where_it_was(page: Path, visit: Open, pdftotext: str) -> None:
    """Printed on white paper; the suggestions of a few survivors are printed, though folded."""
    seen = visit(page, color_scheme="dark")
    sheets = seen.printed(pdftotext)

    assert [number for number, sheet in enumerate(sheets, 1) if LABEL not in sheet] == []
    printed = "".join(sheets)
    assert "Who noticed what" in printed
    assert "groups:" in printed
    assert "✗ no" in printed
    # As wide as A4 between the margins.
    seen.page.set_viewport_size({"width": 665, "height": 970})
    seen.page.emulate_media(media="print")
    assert seen.ask("sideways") == []
    assert seen.ask("divided") == []
    assert seen.ask("paper") > 0.9
    assert seen.ask("faint", TEXT_CONTRAST) == []


@pytest.mark.full
def test_who_asks_for_own_colours_gets_them(page: Path, visit: Open) -> None:
    """Forced colours leave every cell to be read, and twice as large is as good."""
    for scheme in ("light", "dark"):
        seen = visit(page, forced_colors="active", color_scheme=scheme)
        seen.open_all()
        assert seen.ask("faint", TEXT_CONTRAST) == []
    seen.page.evaluate("() => { document.documentElement.style.fontSize = '200%'; }")
    assert seen.ask("sideways") == []


@pytest.mark.parametrize("allowed", loop([True, False]))
def test_hostile_names_do_nothing(hostile: Path, visit: Open, allowed: bool) -> None:
    """Markup, scripts, addresses and templates in every free text are shown as what they are."""
    seen = visit(hostile, java_script_enabled=allowed, **PHONE)
    seen.open_all()

    assert seen.page.evaluate("() => window.hacked") is None
    assert seen.ask("active") == []
    assert seen.ask("sideways") == []
    text = " ".join(seen.page.inner_text("body").split())
    assert [one for one in EVIL[:-1] if " ".join(one.split()) not in text] == []


def test_two_hundred_mutants_are_there_at_once(many: Path, visit: Open) -> None:
    """Within three megabytes and three seconds; each that was in force is a row that leads on."""
    seen = visit(many)
    judged = sum(one["bit"] for one in results(MANY))

    assert many.stat().st_size <= 3_000_000
    took = seen.page.evaluate(
        "() => performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    )
    assert took < 3000, f"the page took {took:.0f} ms to be there"
    rows = seen.page.locator(".heat tbody th[scope=row]")
    assert rows.count() == judged
    link = rows.nth(judged // 2).locator("a")
    link.click()
    assert seen.page.locator(link.get_attribute("href") or "#nowhere").is_visible()
    assert seen.ask("sideways") == []


def test_the_figures_are_those_of_score_json(page: Path, visit: Open) -> None:
    """What the page says is what programs are told."""
    told = json.loads(
        subprocess.run(
            [str(own().acns_chaos), "gameday", "score", "--json", str(page.with_suffix(""))],
            check=False,
            capture_output=True,
            text=True,
        ).stdout
    )
    text = visit(page).page.inner_text(".figures")

    for way, one in told["directions"].items():
        low, high = one["interval"]
        share = f"{100 * one['score']:.0f} % {100 * low:.0f} to {100 * high:.0f} %"
        said = f"{way.capitalize()} score {share}"
        assert said in " ".join(text.split())
