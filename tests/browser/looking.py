"""Looking at a page with a real browser: what it does, and what a person would find wrong.

A `Visit` is a page that was opened from a file with everything else out of reach. It keeps what
the page said and asked for; `Visit.quiet` holds it against the promise that a report is one file.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Route

AUDITS = (Path(__file__).parent / "audits.js").read_text("utf-8")
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
"""A small phone, as Playwright wants it of a context."""


@dataclass
class Visit:
    """A page in a browser.

    Attributes:
        page: the page.
        file: what was opened.
        console: errors and warnings on the console.
        errors: exceptions that no script caught.
        requests: addresses asked for, but for the file itself.
        dialogs: what alert, confirm or prompt said.
    """

    page: Page
    file: Path
    console: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def noise(self) -> list[str]:
        """All that a page of one file has no reason for."""
        return [*self.console, *self.errors, *self.requests, *self.dialogs]

    def ask(self, audit: str, *arguments: object) -> Any:
        """Call a function of audits.js in the page."""
        given = ", ".join(json.dumps(one) for one in arguments)
        return self.page.evaluate(f"() => ({AUDITS.strip()})[{json.dumps(audit)}]({given})")

    def open_all(self) -> None:
        """Unfold everything that can be unfolded."""
        self.ask("openAll")

    def violations(self, axe: str) -> list[str]:
        """What axe-core holds against the page as it is now, each with rule, place and why.

        What it cannot decide, which is contrast of what lies over other things, `faint` does.
        """
        # Evaluated by the debugger: the page's own policy forbids a script tag.
        self.page.evaluate(f"() => {{ {axe}; window.axe = axe; }}")
        found = self.page.evaluate(
            "tags => axe.run(document, {runOnly: tags, resultTypes: ['violations']})", list(TAGS)
        )
        return [
            f"{rule['id']}: {node['target']}: {node['failureSummary']}"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]

    def tabbed(self, most: int = 400) -> list[dict[str, Any]]:
        """Press Tab from the beginning until the focus leaves the page; where it was each time."""
        self.page.evaluate("() => { document.activeElement.blur(); window.scrollTo(0, 0); }")
        found: list[dict[str, Any]] = []
        for _ in range(most):
            self.page.keyboard.press("Tab")
            at = self.ask("focused")
            if at is None or (found and at["number"] == found[0]["number"]):
                return found
            found.append(at)
        raise AssertionError(f"The focus did not leave the page after {most} tabs: {found[-3:]}")

    def printed(self, pdftotext: str) -> list[str]:
        """Print the page, and read the text of each sheet with that program."""
        file = self.file.with_suffix(".pdf")
        self.page.pdf(path=file, prefer_css_page_size=True, print_background=True)
        done = subprocess.run(
            [pdftotext, "-layout", "-enc", "UTF-8", str(file), "-"],
            check=True,
            capture_output=True,
            text=True,
        )
        *sheets, rest = done.stdout.split("\f")
        assert not rest.strip()
        return sheets


@contextmanager
def visiting(browser: Browser, file: Path, **options: Any) -> Iterator[Visit]:
    """Open a file in a context of its own, from which nothing but the file can be reached.

    Args:
        browser: the browser.
        file: an HTML file.
        options: of the context: `color_scheme`, `viewport`, `java_script_enabled`...
    """
    context = browser.new_context(**options)
    try:
        # Nothing is waited for here but what is there already.
        context.set_default_timeout(10_000)
        page = context.new_page()
        visit = Visit(page, file)
        own = file.resolve().as_uri()

        def through(route: Route) -> None:
            if route.request.url == own:
                route.continue_()
                return
            visit.requests.append(route.request.url)
            route.abort()

        context.route("**/*", through)
        page.on(
            "console",
            lambda said: (
                visit.console.append(f"{said.type}: {said.text}")
                if said.type in ("error", "warning")
                else None
            ),
        )
        page.on("pageerror", lambda error: visit.errors.append(str(error)))
        page.on("dialog", lambda box: (visit.dialogs.append(box.message), box.dismiss()))
        page.on("popup", lambda other: visit.requests.append(other.url))
        page.goto(own, wait_until="load")
        yield visit
    finally:
        context.close()
