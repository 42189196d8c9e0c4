"""docs/reports.md: its commands run on a real run's journal and print what it shows."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.test_walk import environment, missing, steps
from tests.journeys.hosts import ROOT

PAGE = (ROOT / "docs/reports.md").read_text("utf-8")
JOURNALS = ROOT / "tests/data/journals"


@pytest.mark.slow
def test_every_command_of_the_page_prints_what_it_shows(tmp_path: Path) -> None:
    """In order, in one folder, each with its exit code; each file named is there at the end."""
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(JOURNALS / "storefront-ingress.json", out / "journal.json")
    shutil.copy(JOURNALS / "product-egress-open.json", out / "another.json")
    for step in steps(PAGE):
        done = subprocess.run(
            ["bash", "-c", step.command],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == step.code, (step.command, done.stderr)
        assert missing(step.shown, done.stdout + done.stderr) == "", step.command
    assert sorted(one.name for one in out.iterdir()) == [
        "another.json",
        "journal.json",
        "public.html",
        "report.html",
        "runs.html",
    ]
    assert "allow-store-front-traffic" not in (out / "public.html").read_text("utf-8")
