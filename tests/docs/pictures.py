"""The pictures of the README and of docs/, as `make docs` makes them: real runs, their reports.

`python -m tests.docs.pictures FOLDER` plays the runs, keeps journals and pages in FOLDER, and
writes what a browser shows of them into docs/images. With `--again` it takes the journals that are
there already: for whoever works on how the page looks.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, FloatRect, Page, sync_playwright

from tests.docs.runs import FLAGSHIP, MISBEHAVIOURS, RUNS, play_all
from tests.journeys.hosts import ROOT, own

IMAGES = ROOT / "docs/images"
SCHEMES = ("light", "dark")
CATALOGUE = tuple(name for name in RUNS if name not in MISBEHAVIOURS)
MOST_BYTES = 200_000
"""No picture is larger: they are in every clone."""
MARGIN = 12
"""So many pixels around a part of a page."""


@dataclass(frozen=True)
class Picture:
    """What is shown.

    Attributes:
        runs: whose report.
        selector: of the part shown, with a margin; "" for the page from its beginning.
        width: of the window, in pixels.
        height: how much of the page, at most.
    """

    runs: tuple[str, ...]
    selector: str = ""
    width: int = 1000
    height: int = 1300


PICTURES: Mapping[str, Picture] = {
    "report": Picture((FLAGSHIP,)),
    "timeline": Picture((FLAGSHIP,), "figure svg"),
    "runs": Picture(CATALOGUE, width=1180, height=1200),
}
"""Every picture there is; each is made light and dark, as NAME-light.png and NAME-dark.png."""


def files() -> list[Path]:
    """Every file that `make docs` makes."""
    return [IMAGES / f"{name}-{scheme}.png" for name in PICTURES for scheme in SCHEMES]


def page_of(runs: tuple[str, ...], folder: Path) -> Path:
    """Make the report of some runs with the real command; returns the page."""
    page = folder / f"{runs[0] if len(runs) == 1 else 'runs'}.html"
    journals = [str(folder / f"{name}.json") for name in runs]
    subprocess.run([str(own().acns_chaos), "report", *journals, "-o", str(page)], check=True)
    return page


def take(page: Page, picture: Picture, file: Path) -> None:
    """Take one picture of a page that is open."""
    tall = page.evaluate("() => document.documentElement.scrollHeight")
    left, top, wide, high = 0.0, 0.0, float(picture.width), float(min(tall, picture.height))
    if picture.selector:
        box = page.locator(picture.selector).first.bounding_box()
        assert box is not None, f"{picture.selector} is not to be seen in {page.url}"
        left, top = box["x"] - MARGIN, box["y"] - MARGIN
        wide, high = box["width"] + 2 * MARGIN, box["height"] + 2 * MARGIN
    area: FloatRect = {"x": left, "y": top, "width": wide, "height": high}
    page.screenshot(path=file, clip=area, full_page=True, animations="disabled")


def take_all(browser: Browser, folder: Path) -> None:
    """Take every picture, light and dark."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, picture in PICTURES.items():
        page_file = page_of(picture.runs, folder)
        for scheme in SCHEMES:
            page = browser.new_page(
                color_scheme="dark" if scheme == "dark" else "light",
                viewport={"width": picture.width, "height": 800},
            )
            page.goto(page_file.resolve().as_uri())
            take(page, picture, IMAGES / f"{name}-{scheme}.png")
            page.close()
    for file in files():
        size = file.stat().st_size
        if size > MOST_BYTES:
            sys.exit(f"{file.name} has {size} bytes; show less of the page, {MOST_BYTES} at most.")
        sys.stdout.write(f"{file.relative_to(ROOT)} {size} bytes\n")


def main() -> None:
    """Play the runs, and take the pictures."""
    if len(sys.argv) < 2:
        sys.exit("Usage: python -m tests.docs.pictures FOLDER [--again]")
    folder = Path(sys.argv[1])
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("There is no chromium on PATH: install Debian's package chromium.")
    needed = dict.fromkeys(name for one in PICTURES.values() for name in one.runs)
    again = "--again" in sys.argv[2:]
    play_all([n for n in needed if not (again and (folder / f"{n}.json").is_file())], folder)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            # Chromium's sandbox refuses to run for root.
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        take_all(browser, folder)
        browser.close()


if __name__ == "__main__":
    main()
