"""docs/policy.md says what the code does: its Python runs, its commands print what it shows."""

import os
import re
import shlex
import subprocess
from itertools import pairwise
from typing import Any

import pytest

from tests.journeys.hosts import ROOT, own

PAGE = (ROOT / "docs/policy.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [text.strip() for kind, text in BLOCKS if kind == "sh"]
SHOWN = {
    before[1].strip(): after[1]
    for before, after in pairwise(BLOCKS)
    if (before[0], after[0]) == ("sh", "text")
}


def test_the_python_of_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks one after the other, with their own assertions."""
    monkeypatch.chdir(ROOT)
    namespace: dict[str, Any] = {}
    blocks = [text for kind, text in BLOCKS if kind == "python"]
    assert len(blocks) >= 6
    for block in blocks:
        exec(compile(block, "docs/policy.md", "exec"), namespace)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_runs_and_prints_what_is_shown(command: str) -> None:
    """Each line shown stands in the output, in that order; the exit code is the one said."""
    line, _, comment = command.partition("  # ")
    words = shlex.split(line)
    assert words[0] == "acns-chaos"
    done = subprocess.run(
        [str(own().acns_chaos), *words[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "CI": "true"},
    )
    said = re.search(r"exits (\d)", comment)
    assert done.returncode == (int(said[1]) if said else 0), done.stderr
    position = 0
    real = done.stdout.splitlines()
    for shown in SHOWN.get(command, "").splitlines():
        assert shown in real[position:], f"{shown!r} not after {real[:position]!r} in {real}"
        position = real.index(shown, position) + 1


def test_the_page_speaks_of_every_policy_command() -> None:
    """And of nothing that is not there."""
    assert {command.split()[1] for command in COMMANDS} == {
        "explain",
        "diff",
        "mutants",
        "conformance",
    }
