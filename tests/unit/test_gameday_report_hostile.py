"""Whatever somebody planted in a day's files is text: in HTML, in Markdown, in XML and in JSON.

Results, plan, journals and what was verified get hostile text at every place; what is written of
them must hold what our templates make and nothing else.
"""

import json
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape

from acns_chaos.evidence.values import text as printable
from acns_chaos.gameday.history import History
from acns_chaos.gameday.report import document
from acns_chaos.gameday.report.reading import read
from tests.tiers import loop
from tests.unit import hostile
from tests.unit.gameday_played import PLAN, make_day, results
from tests.unit.test_report_hostile import BLOCKS, CALLS, INLINE, JOINER, PARSER, check_page, unseen
from tests.unit.test_report_hostile import XML as PARTS

FOLDS = re.compile(
    r"<details>\n<summary>(?:What would have noticed them|What each detector is worth"
    r"|What is not known)</summary>\n"
)
# Words that decide what a line is; everything else is anybody's.
KEPT = ("schema", "status", "class", "kind", "for", "ended", "started")
XML = {**PARTS, "skipped": (set(), {"message"})}
XML["testcase"] = (PARTS["testcase"][0] | {"skipped"}, PARTS["testcase"][1])


def spoilt(value: Any, text: str, key: str = "") -> Any:
    """A copy in which every free text has more behind it."""
    if isinstance(value, dict):
        return {name: spoilt(one, text, name) for name, one in value.items()}
    if isinstance(value, list):
        return [spoilt(one, text, key) for one in value]
    if not isinstance(value, str) or key in KEPT:
        return value
    # What results are told apart by must be printable, or the line is none.
    plain = key in ("mutant", "shard", "day", "id")
    return f"{value}{printable(text, 300) if plain else text}"


def day(folder: Path, text: str) -> Path:
    """The folder of a day whose every file is spoilt."""
    lines = results(12)
    lines[0]["restored"] = False
    made = make_day(folder / "day", lines, plan=spoilt(PLAN, text))
    # The names of files stay where the journals are: others are not found, which is told.
    bad = [spoilt(one, text) | {"journal": one["journal"]} for one in lines]
    (made / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in bad))
    plan = json.loads((made / "plan.json").read_text())
    (made / "plan.json").write_text(json.dumps(spoilt(plan, text)))
    for number, name in enumerate(sorted(hostile.BASE)):
        journal = hostile.everywhere(hostile.BASE[name], text)
        (made / lines[number]["journal"]).write_text(json.dumps(journal))
    tried = [
        {"mutant": one["mutant"], "name": found.name, "caught": False, "why": text}
        for one in bad
        for each in read([made]).day.suggestions.values()
        for found in each
    ]
    (made / "verified.json").write_text(json.dumps(tried))
    own = {"experiment": f"x{text}", "outcome": f"y{text}", "sentence": text, "journal": text}
    (made / "experiments.jsonl").write_text(json.dumps(own) + "\n")
    return made


def check_markdown(written: str) -> None:
    """Refuse Markdown that renders as more than it is meant to."""
    assert unseen(written) <= {JOINER}
    tokens = PARSER.parse(written)
    for token in tokens:
        if token.type == "html_block":
            assert FOLDS.fullmatch(token.content) or token.content == "</details>\n", token
        elif token.type == "fence":
            assert token.info in ("yaml", "json")
        elif token.type == "inline":
            children = token.children or ()
            assert {one.type for one in children} <= INLINE | {"code_inline"}, token.content
            # The only code is our own command.
            assert all(
                one.content.startswith("acns-chaos ")
                for one in children
                if one.type == "code_inline"
            )
            rendered = "".join(one.content for one in children)
            assert not re.search(r"@\w|#\d|GH-\d", rendered, re.IGNORECASE), rendered
            assert not CALLS.search(token.content), token.content
        else:
            assert token.type in BLOCKS, token
    headings = [one.tag for one in tokens if one.type == "heading_open"]
    assert headings == ["h1", "h2"]


def check_xml(written: str) -> None:
    """Refuse XML that does not parse, or holds what no reader of JUnit XML knows."""
    assert unseen(written) == set()
    for element in ET.fromstring(written).iter():
        children, attributes = XML[element.tag]
        assert {one.tag for one in element} <= children
        assert set(element.attrib) <= attributes


def check(folder: Path, text: str) -> None:
    """Write a spoilt day in every way, and read it."""
    told = read([day(folder, text)])
    assert told.day.scored.results
    page = document("html", told)
    # It is there, so something was checked.
    assert str(escape(printable(text)[:9])) in page
    check_page(page)
    check_markdown(document("md", told))
    check_xml(document("junit", told))
    assert json.loads(document("json", told))["schema"] == 1


@pytest.mark.parametrize("text", loop([*hostile.FRAGMENTS], keep=2))
def test_hostile_text_everywhere(tmp_path, text):
    """Each hostile text at all places of a day at once."""
    check(tmp_path, text)


@pytest.mark.slow
@pytest.mark.parametrize("amount", [None, *hostile.NUMBERS], ids=hostile.short)
@pytest.mark.parametrize("instant", [None, *loop(hostile.MOMENTS, keep=2)])
def test_odd_moments_and_numbers(tmp_path, instant, amount):
    """Points in time and numbers that nobody can mean, at all places of a day at once."""
    made = day(tmp_path, "")
    for file in [made / "plan.json", *made.glob("*.jsonl"), *made.glob("*/*.json")]:
        lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
        bad = [hostile.odd(json.loads(one), instant, amount) for one in lines]
        # What decides whether a line is a result at all stays.
        kept = [one | {"schema": 1} if "schema" in one else one for one in bad]
        file.write_text("".join(json.dumps(one) + "\n" for one in kept))
    history = tmp_path / "history.sqlite"
    merged = read([made]).day.merged
    History(history).add(merged.results, merged.expected.plan, merged.expected.judges)
    told = read([made], history=history)
    assert told.day.scored.results
    check_page(document("html", told))
    check_markdown(document("md", told))
    check_xml(document("junit", told))
    assert json.loads(document("json", told))["schema"] == 1
    assert History(history).remembered(datetime.now(UTC))


def test_the_base_passes(tmp_path):
    """What the checks refuse is not in the report of an honest day."""
    check(tmp_path, "")
