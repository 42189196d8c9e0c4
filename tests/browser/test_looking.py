"""The checks themselves: on a page that is bad in every way each of them finds its defect."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.looking import PHONE, visiting

BAD = """<!DOCTYPE html><html><head><title>x</title><style>
.faint { color: #999 } :focus { outline: none } .wide { width: 900px }
.small { height: 12px; width: 12px; padding: 0 } .moving { transition: color 2s }
</style></head><body>
<h3>A heading of the third level</h3><p class="faint">hardly to be seen</p>
<div class="wide">as wide as a desk</div><button class="small moving">x</button>
<details><summary>more</summary><p>folded</p></details>
<p style="width: 3em; overflow-wrap: anywhere">undividable</p>
<button tabindex="2">first of all</button>
<svg viewBox="0 0 720 100" width="360" height="50"><rect width="720" height="100" fill="#333"/>
<text x="10" y="50" font-size="12" fill="#444">dark on dark</text>
<text x="12" y="52" font-size="12" fill="#fff">on top of it</text>
<text x="690" y="90" font-size="12" fill="#fff">over the edge</text></svg>
<img src="http://192.0.2.1/picture.png"><a href="http://192.0.2.1/">away</a>
<script>console.error("something broke"); alert("hello"); throw new Error("uncaught")</script>
</body></html>"""


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """The page."""
    file = tmp_path / "bad.html"
    file.write_text(BAD)
    return file


def has(found: list[str], *words: str) -> bool:
    """Whether some finding has each of the words."""
    return all(any(word in one for one in found) for word in words)


def test_what_a_page_says_and_asks_for_is_kept(browser: Browser, bad: Path) -> None:
    """Errors on the console, uncaught ones, requests and dialogs are four findings."""
    with visiting(browser, bad) as seen:
        assert has(seen.console, "something broke")
        assert seen.errors == ["uncaught"]
        assert seen.requests == ["http://192.0.2.1/picture.png"]
        assert seen.dialogs == ["hello"]
        assert len(seen.noise()) >= 4
        assert has(seen.ask("active"), "img", "href")


def test_axe_finds_what_a_screen_reader_would_miss(browser: Browser, bad: Path, axe: str) -> None:
    """A picture without a text, a language that is not told, no landmark, faint text."""
    with visiting(browser, bad) as seen:
        found = seen.violations(axe)
    assert has(found, "image-alt", "html-has-lang", "landmark-one-main", "color-contrast")


def test_what_is_drawn_is_looked_at_too(browser: Browser, bad: Path) -> None:
    """Axe-core leaves drawings out: contrast, size, overlaps and edges are ours."""
    with visiting(browser, bad) as seen:
        assert has(seen.ask("faint", 4.5), "dark on dark", "hardly to be seen")
        assert not has(seen.ask("faint", 4.5), "on top of it")
        assert has(seen.ask("small", 9), 'on top of it": 6.0px')
        assert has(seen.ask("colliding"), "dark on dark")
        assert has(seen.ask("cut"), "over the edge")
        assert not has(seen.ask("cut"), "on top of it")
        assert has(seen.ask("moving"), "button")
        assert seen.ask("divided") == ['undividable in p "undividable"']


def test_the_keyboard_tells_order_and_invisible_focus(browser: Browser, bad: Path) -> None:
    """A tabindex of its own jumps the queue, and a removed outline is a focus nobody sees."""
    with visiting(browser, bad) as seen:
        seen.open_all()
        found = seen.tabbed()
        numbers = [one["number"] for one in found]
        assert found[0]["name"].endswith('"first of all"')
        assert numbers != sorted(numbers)
        assert {one["number"] for one in seen.ask("reachable")} <= set(numbers)
        assert all(one["ring"] == 0 for one in found if one["tag"] != "a")


def test_a_phone_tells_what_sticks_out_and_what_no_finger_hits(browser: Browser, bad: Path) -> None:
    """A box of 900 pixels scrolls sideways; a button of 12 is too small."""
    with visiting(browser, bad, **PHONE) as seen:
        assert has(seen.ask("sideways"), "as wide as a desk")
        assert has(seen.ask("tiny", 24), "12x12")


def test_print_gives_the_text_of_each_sheet(
    browser: Browser, tmp_path: Path, pdftotext: str
) -> None:
    """Two sheets, each with its own text."""
    file = tmp_path / "two.html"
    file.write_text("<p>one</p><p style='break-before: page'>two</p>")
    with visiting(browser, file) as seen:
        assert [sheet.strip() for sheet in seen.printed(pdftotext)] == ["one", "two"]


def test_a_page_without_scripts_can_still_be_asked(browser: Browser, bad: Path) -> None:
    """Its own scripts do not run; the checks do."""
    with visiting(browser, bad, java_script_enabled=False) as seen:
        assert seen.dialogs == []
        assert has(seen.ask("faint", 4.5), "hardly to be seen")
