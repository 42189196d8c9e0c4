"""The pages beside the README: each is found from it, each link leads somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.hosts import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def links(page: Path) -> set[Path]:
    """The files of this repository that a page links."""
    found = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    return {(page.parent / one).resolve() for one in found}


def test_every_page_is_linked_from_the_readme() -> None:
    """No page under docs/ has to be guessed."""
    linked = links(ROOT / "README.md")
    assert [page.name for page in (ROOT / "docs").glob("*.md") if page not in linked] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """What a page links is there."""
    assert [str(one) for one in links(page) if not one.exists()] == []


def test_every_module_that_is_named_is_there() -> None:
    """A path or a module of the package that a page or the lab's own list names exists."""
    package = ROOT / "acns_chaos"
    texts = [page.read_text("utf-8") for page in PAGES]
    paths = {one for text in texts for one in re.findall(r"`(acns_chaos/[\w./]+)`", text)}
    assert [one for one in paths if not (ROOT / one).exists()] == []
    listed = (package / "lab" / "__init__.py").read_text("utf-8")
    for one in re.findall(r"``((?:api|net|hubble|misbehave|world)\.[\w.]+)``", listed):
        place = package / "lab" / one.replace(".", "/")
        assert place.is_dir() or place.with_suffix(".py").is_file(), one


def test_tests_for_a_real_cluster_are_deselected_without_one() -> None:
    """They are not skipped, which would fail CI, and they are there."""
    environ = {k: v for k, v in os.environ.items() if k != "ACNS_CHAOS_TEST_CONTEXT"}
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "tests/real"]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "6 deselected" in done.stdout) == (5, True), done.stdout
    assert "skipped" not in done.stdout
