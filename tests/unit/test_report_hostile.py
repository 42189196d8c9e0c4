"""Whatever somebody planted in a journal is text: in HTML, in Markdown, in XML and in JSON.

Journals of real runs get hostile text at any place; what is written of them is then read as its
reader does, and must hold what our templates make and nothing else.
"""

import json
import random
import re
import xml.etree.ElementTree as ET
from contextlib import nullcontext
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from acns_chaos.evidence.values import text as line
from acns_chaos.report import page as page_module
from acns_chaos.report.as_json import as_json
from acns_chaos.report.build import story
from acns_chaos.report.junit import junit
from acns_chaos.report.markdown import markdown
from acns_chaos.report.model import Story
from acns_chaos.report.page import page
from acns_chaos.report.partial import partial
from acns_chaos.report.reading import Problem
from tests.tiers import examples, loop
from tests.unit import hostile
from tests.unit.evidence_journals import believed

# What cannot be seen and is ours: see `report.text`.
JOINER = "\u2060"


def unseen(document: str) -> set[str]:
    """Return what of a document is no text: controls, marks of direction, halves."""
    return {c for c in set(document) if not c.isprintable()} - {"\n", "\N{NO-BREAK SPACE}"}


class Page(HTMLParser):
    """What a browser makes of a page: elements, attributes, the text of styles and scripts."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.others: list[str] = []
        self.open: list[str] = []
        self.style = ""
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            self.style += data

    def handle_comment(self, data: str) -> None:
        self.others.append(f"comment {data}")

    def handle_decl(self, decl: str) -> None:
        self.others.append(decl)

    def handle_pi(self, data: str) -> None:
        self.others.append(f"instruction {data}")

    def unknown_decl(self, data: str) -> None:
        self.others.append(f"declaration {data}")


def of_templates() -> tuple[set[str], set[str]]:
    """Return the names of elements and attributes that the page's sources can make."""
    folder = Path(page_module.__file__).parent
    markup = "".join(one.read_text() for one in folder.glob("templates/*.j2"))
    drawn = "".join(one.read_text() for one in folder.glob("drawing/svg.py"))
    elements = set(re.findall(r"<([a-zA-Z][a-zA-Z0-9]*)", markup))
    elements |= set(re.findall(r'Element\([^"{]*"(\w+)"', drawn))
    elements |= set(re.findall(r'\), "(\w+)", \{', drawn)) | {f"h{n}" for n in range(1, 7)}
    attributes = set(re.findall(r"([a-zA-Z-]+)=", markup)) | {"d"}
    attributes |= set(re.findall(r'"([a-zA-Z0-9-]+)":', drawn))
    return {one.lower() for one in elements}, {one.lower() for one in attributes}


ELEMENTS, ATTRIBUTES = of_templates()
# What may hold text of a journal; every other attribute's value is one of our own words.
SAYING = {"content", "aria-label"}
WORD = re.compile(r"[\w #.,:;%()/=+-]*", re.ASCII)


def check_page(document: str) -> None:
    """Refuse a page that holds what no template of ours makes."""
    found = Page(document)

    assert unseen(document) == set()
    assert found.others == ["DOCTYPE html"]
    assert {tag for tag, _ in found.elements} <= ELEMENTS - {"script", "iframe", "img", "form"}
    for tag, attributes in found.elements:
        assert set(attributes) <= ATTRIBUTES, (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert "src" not in attributes
        assert re.fullmatch(r"#[a-z0-9-]+", attributes.get("href") or "#x"), attributes
        for name, value in attributes.items():
            assert name in SAYING or WORD.fullmatch(value or ""), (tag, name, value)
    assert sum(tag == "style" for tag, _ in found.elements) == 1
    labels = re.findall(r"@top-left {\s*content: (.*?); font", found.style, re.DOTALL)
    assert labels
    assert all(re.fullmatch(r'"(?:[A-Za-z0-9]|\\[0-9a-f]+ )*"', label) for label in labels)


PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
SUMMARY = re.compile(
    r"<details>\n<summary>(?:Answers for a reviewer|What was (?:changed|not observed) \(\d+\)"
    r"|What was asked, seen and restored|Who noticed when"
    r"|Target, versions, permissions, evidence|Run \d+ of \d+ there)</summary>\n"
)
BLOCKS = {
    f"{name}_{end}"
    for name in ("heading", "paragraph", "bullet_list", "list_item")
    for end in ("open", "close")
} | {
    f"{name}_{end}"
    for name in ("table", "thead", "tbody", "tr", "th", "td")
    for end in ("open", "close")
}
INLINE = {"text", "strong_open", "strong_close"}
# What forges make of text that is no markup at all.
CALLS = re.compile(r"(?<![\\\w])(?:https?|ftp)://|(?<![\\])www\.|@\w|#\d|GH-\d", re.IGNORECASE)


def check_markdown(document: str, runs: int) -> None:
    """Refuse Markdown that renders as more than headings, lists, tables, folds and differences."""
    assert unseen(document) <= {JOINER}
    tokens = PARSER.parse(document)
    for token in tokens:
        if token.type == "html_block":
            assert SUMMARY.fullmatch(token.content) or token.content == "</details>\n", token
        elif token.type == "fence":
            assert token.info == "diff"
        elif token.type == "inline":
            assert {one.type for one in token.children or ()} <= INLINE, token.content
            rendered = "".join(one.content for one in token.children or ())
            assert not re.search(r"@\w|#\d|GH-\d", rendered, re.IGNORECASE), rendered
            assert not CALLS.search(token.content), token.content
        else:
            assert token.type in BLOCKS, token
    folds = [one.content for one in tokens if one.type == "html_block"]
    assert sum(one != "</details>\n" for one in folds) == folds.count("</details>\n")
    headings = [one.tag for one in tokens if one.type == "heading_open"]
    assert headings.count("h1") == 1
    told = sum("<summary>Run " in one for one in folds)
    assert headings.count("h3") == told <= runs
    assert len(headings) == 1 + headings.count("h2") + told
    assert (runs == 1) is (headings.count("h2") == 0)


# Children of each element, and its attributes.
XML = {
    "testsuites": ({"testsuite"}, {"name"}),
    "testsuite": (
        {"properties", "testcase"},
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    ),
    "testcase": (
        {"properties", "failure", "error", "system-out"},
        {"classname", "name", "time"},
    ),
    "properties": ({"property"}, set()),
    "property": (set(), {"name", "value"}),
    "failure": (set(), {"message", "type"}),
    "error": (set(), {"message", "type"}),
    "system-out": (set(), set()),
}


def check_xml(document: str, cases: int) -> None:
    """Refuse XML that does not parse, or holds what no reader of JUnit XML knows."""
    root = ET.fromstring(document)

    assert unseen(document) == set()
    for element in root.iter():
        children, attributes = XML[element.tag]
        assert {one.tag for one in element} <= children
        assert set(element.attrib) <= attributes
    assert len(list(root.iter("testcase"))) == cases


def check(stories: list[Story], text: str) -> None:
    """Write stories in every way, and a problem that holds hostile text, and read them."""
    # As `reading` makes them of a file's name and of an error about it.
    problems = [Problem(line(f"x{text}"), line(f"y{text}."), "left out")]
    check_page(page(stories, [str(one) for one in problems]))
    check_markdown(markdown(stories, problems), len(stories))
    check_xml(junit(stories, problems), len(stories) + 1)
    told = as_json(stories, problems)
    assert told.isascii()
    assert len(json.loads(told)["stories"]) == len(stories)


# The same examples each time, and a failing one as it is: to make it smaller takes minutes.
AT_ONCE = (Phase.explicit, Phase.generate)


def fuzzed(data: st.DataObject) -> None:
    """Draw a spoilt journal, believed or not, whole or not, perhaps beside a good one: check it."""
    name, texts = data.draw(hostile.spoilt())
    journal = hostile.planted(hostile.BASE[name], texts)
    with believed() if data.draw(st.booleans()) else nullcontext():
        stories = [story(journal)]
        other = data.draw(st.integers(0, 9))
        if other == 1:
            stories = [partial(stories[0])]
        if other == 0:
            stories.append(story(hostile.BASE["storefront-ingress"]))
        check(stories, data.draw(hostile.texts()))


@pytest.mark.slow
@examples(20, derandomize=True, phases=AT_ONCE)
@given(data=st.data())
def test_some_hostile_journals(data):
    """Hostile text at any places of a real journal stays text."""
    fuzzed(data)


@pytest.mark.full
@examples(1_300, derandomize=True, phases=AT_ONCE)
@given(data=st.data())
def test_hostile_journals(data):
    """The same for more than 5,000 journals, which are the same ones in each run of the test."""
    fuzzed(data)


@pytest.mark.slow
@pytest.mark.parametrize("text", loop(hostile.FRAGMENTS, keep=3))
def test_hostile_text_everywhere(text):
    """Each hostile text at all places of a journal at once, in a report that is otherwise whole."""
    with believed():
        spoilt = [hostile.everywhere(one, text) for one in hostile.BASE.values()]
        check([story(one) for one in spoilt], text)
        check([story(spoilt[0])], text)


@pytest.mark.slow
@pytest.mark.parametrize("amount", [None, *hostile.NUMBERS], ids=hostile.short)
@pytest.mark.parametrize("instant", [None, *loop(hostile.MOMENTS, keep=2)])
def test_odd_moments_and_numbers(instant, amount):
    """Points in time and numbers that nobody can mean, at all places of a journal at once."""
    with believed():
        stories = [
            story(hostile.settled(hostile.odd(one, instant, amount)))
            for one in hostile.BASE.values()
        ]
        check(stories, "")
        check(stories[:1], "")


@pytest.mark.slow
@pytest.mark.parametrize("seed", loop(range(60), keep=6))
def test_some_odd_moments_and_numbers(seed):
    """The same at some places of a journal: some are before others that they must follow."""
    chance = random.Random(seed)

    def some(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: some(one) for key, one in value.items()}
        if isinstance(value, list):
            return [some(one) for one in value]
        if chance.random() < 0.9:
            return value
        return hostile.odd(value, chance.choice(hostile.MOMENTS), chance.choice(hostile.NUMBERS))

    with believed():
        spoilt = [some(one) for one in hostile.BASE.values()]
        check([story(hostile.settled(one)) for one in spoilt], "")


@pytest.mark.slow
def test_the_base_passes():
    """What the checks refuse is not in reports of the real journals themselves."""
    with believed():
        check([story(one) for one in hostile.BASE.values()], "")


@pytest.mark.parametrize(
    "document",
    [
        "<!DOCTYPE html><style></style><p onclick='x'>",
        "<!DOCTYPE html><style></style><a href='javascript:x'>",
        "<!DOCTYPE html><style></style><blink>",
        "<!DOCTYPE html><style></style><!-- x -->",
        "<!DOCTYPE html><style></style><script>1</script>",
        "<!DOCTYPE html><style></style><p id='\"x'>",
        "<!DOCTYPE html><style></style>\x1b",
        '<!DOCTYPE html><style>@top-left { content: "*/"; font: x }</style>',
    ],
)
def test_the_check_of_pages_finds(document):
    """The check of pages refuses what it is there to refuse."""
    sound = '<style>@top-left { content: "LAB"; font: x }</style>'
    check_page(f"<!DOCTYPE html>{sound}")

    with pytest.raises(AssertionError):
        check_page(document.replace("<style></style>", sound))


@pytest.mark.parametrize(
    "document",
    [
        "# x\n\n<b>",
        "# x\n\n<details>\n<summary><b></summary>\n",
        "# x\n\n</details>\n",
        "# x\n\n[x](y)",
        "# x\n\n![x](y)",
        "# x\n\na `b`",
        "# x\n\n> q",
        "# x\n\n1. q",
        "# x\n\n# y",
        "# x\n\nhttp://x",
        "# x\n\n@you",
        "# x\n\nfixes \\#1",
        "# x\n\n```js\n```",
        "# x\n\n\u202e",
    ],
)
def test_the_check_of_markdown_finds(document):
    """The check of Markdown refuses what it is there to refuse."""
    with pytest.raises(AssertionError):
        check_markdown(document, 1)
