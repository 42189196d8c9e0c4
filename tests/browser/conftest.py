"""A real browser: Debian's Chromium, driven by Playwright; axe-core judges what it shows.

Chromium and pdftotext are taken from PATH, axe-core's script from `.tools` of the checkout, where
`.ci/run` puts it. A part that is missing skips the tests with its name, which fails in CI.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.looking import Visit, visiting
from tests.journeys.hosts import ROOT

TOOLS = ROOT / ".tools"
WHERE = f"{os.environ.get('PATH', '')}{os.pathsep}{TOOLS}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave this folder to `make test`: a browser takes seconds to start."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


def program(name: str, package: str) -> str:
    """Where a program is; the test is skipped when it is not there."""
    found = shutil.which(name, path=WHERE)
    if found is None:
        pytest.skip(f"There is no {name} on PATH: install Debian's package {package}.")
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for the tests of a module: it takes a second to start."""
    chromium = program("chromium", "chromium")
    home = tmp_path_factory.mktemp("browser")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=chromium,
            # Chromium's sandbox refuses to run for root.
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
            env={**os.environ, "HOME": str(home)},
        )
        yield found
        found.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core."""
    file = TOOLS / "axe.min.js"
    if not file.is_file():
        pytest.skip(
            "There is no .tools/axe.min.js: `npm pack axe-core@4` and take it out of the archive, "
            "as .ci/run does."
        )
    return file.read_text("utf-8")


@pytest.fixture
def pdftotext() -> str:
    """What reads the text of a printed page."""
    return program("pdftotext", "poppler-utils")


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Open pages; they are closed with the test, and none may have said or asked for anything."""
    opened: list[Visit] = []
    with ExitStack() as stack:

        def open_page(file: Path, **options: Any) -> Visit:
            found = stack.enter_context(visiting(browser, file, **options))
            opened.append(found)
            return found

        yield open_page
        for one in opened:
            assert one.noise() == [], one.file
