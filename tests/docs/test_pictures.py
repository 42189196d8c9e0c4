"""Pictures in the README and the docs: `make docs` makes each, and each that it makes is shown."""

import json
import re

import pytest

from tests.docs.pictures import MOST_BYTES, files
from tests.docs.runs import JOURNALS, KEPT
from tests.journeys.hosts import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture
def made() -> set[str]:
    """The names of what `make docs` makes."""
    return {file.name for file in files()}


def shown() -> set[str]:
    """The names of all pictures that a page shows, each of which must be there."""
    found = set()
    for page in PAGES:
        text = page.read_text("utf-8")
        for name in re.findall(r'(?:src|srcset)="([^"]+\.png)"|\]\(([^)\s]+\.png)\)', text):
            picture = (page.parent / (name[0] or name[1])).resolve()
            assert picture.is_file(), f"{page.name} shows {picture.name}, which is not there"
            assert picture.parent == ROOT / "docs/images", f"{picture} is not made by `make docs`"
            found.add(picture.name)
    return found


def test_what_is_shown_is_what_make_docs_makes(made: set[str]) -> None:
    """No picture of another origin, none that nobody sees, none left over."""
    assert shown() == made
    assert {file.name for file in (ROOT / "docs/images").iterdir()} == made


def test_pictures_are_small_and_have_a_dark_brother(made: set[str]) -> None:
    """They are in every clone; a page shows the dark one to those whose screen is dark."""
    for name in sorted(made):
        content = (ROOT / "docs/images" / name).read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert len(content) <= MOST_BYTES, name
    for page in PAGES:
        text = page.read_text("utf-8")
        for block in re.findall(r"<picture>.*?</picture>", text, re.DOTALL):
            (dark,) = re.findall(r'media="\(prefers-color-scheme: dark\)" srcset="([^"]+)"', block)
            (light,) = re.findall(r'<img [^>]*src="([^"]+)"', block)
            (words,) = re.findall(r'<img [^>]*alt="([^"]+)"', block)
            assert dark == light.replace("-light.png", "-dark.png")
            assert len(words) > 20


def test_stored_journals_are_of_real_runs_and_name_no_folder() -> None:
    """Each is there, ended with an outcome, and does not tell where somebody's checkout is."""
    assert sorted(file.stem for file in JOURNALS.glob("*.json")) == sorted(KEPT)
    for name in KEPT:
        text = (JOURNALS / f"{name}.json").read_text("utf-8")
        assert json.loads(text)["acns_chaos"]["outcome"]["name"]
        assert re.findall(r'(?<![\w.:])/(?:home|root|work|Users)/[^"\s]*', text) == []
