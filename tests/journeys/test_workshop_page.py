"""The workshop, followed line by line with the real kubectl against `acns-chaos lab up`."""

import os
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from tests.journeys.hosts import ROOT, own

PAGE = (ROOT / "docs/workshop.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

pytestmark = [pytest.mark.journey, pytest.mark.slow]


def steps() -> list[tuple[str, int, str]]:
    """Each command with its exit code and what it prints."""
    found = []
    for (kind, command), (after, shown) in pairwise([*BLOCKS, ("", "")]):
        if kind == "sh":
            line, _, comment = command.strip().partition("  # exits ")
            found.append((line, int(comment or 0), shown if after == "text" else ""))
    return found


def printed(shown: str, real: str) -> bool:
    """Whether each line shown stands in the real output, in that order."""
    lines = iter(real.replace("\r\n", "\n").splitlines())
    return all(any(_like(wanted, line) for line in lines) for wanted in shown.splitlines())


def _like(wanted: str, line: str) -> bool:
    words = [re.escape(word).replace("…", ".*") for word in wanted.split()]
    return re.fullmatch(r"\s+".join(words), line.strip()) is not None


def test_every_step_prints_what_the_page_shows(tmp_path: Path) -> None:
    """All policies, both connectivity tests before and after, FQDN, chaos, describe, restore."""
    for program in ("bash", "curl", "kubectl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    script = [f"cd '{ROOT}'"]
    for number, (line, code, _) in enumerate(steps()):
        # As typed: `-it` without a terminal is only a warning of kubectl's on standard error.
        once = f"{{ {line}\n}} >'{tmp_path}/{number}.out' 2>&1; echo $? >'{tmp_path}/{number}.rc'"
        script.append(once)
        if number and "kubectl apply" in steps()[number - 1][0]:
            # Agents enforce a policy some 20 ms after it was stored; a person is slower than that.
            same = f"[ $(cat '{tmp_path}/{number}.rc') = {code} ]"
            script.append(f"for again in 1 2 3 4 5; do {same} || {{ {once}; }}; done")
    home = tmp_path / "home"
    home.mkdir()
    environ = {key: value for key, value in os.environ.items() if not key.startswith("ACNS_CHAOS")}
    bin_of = own().acns_chaos.parent
    environ |= {
        "HOME": str(home),
        "PATH": f"{bin_of}{os.pathsep}{environ['PATH']}",
        "ACNS_CHAOS_LAB_HOME": str(home / "lab"),
    }
    try:
        subprocess.run(
            ["bash", "-c", "\n".join(script)],
            env=environ,
            check=False,
            timeout=180,
            capture_output=True,
        )
        for number, (line, code, shown) in enumerate(steps()):
            real = (tmp_path / f"{number}.out").read_text()
            assert int((tmp_path / f"{number}.rc").read_text()) == code, (line, real)
            assert printed(shown, f"{real}\n"), (line, shown, real)
    finally:
        subprocess.run([own().acns_chaos, "lab", "down"], env=environ, check=False, timeout=30)


def test_the_page_has_every_step_of_the_workshop() -> None:
    """Four manifests, five tests from order-service, the diagnosis and the end."""
    commands = [line for line, _, _ in steps()]
    assert sum("kubectl apply" in line for line in commands) == 4
    assert sum("-c order-service -- sh -c" in line for line in commands) == 6
    assert any("describe -n pets cnp" in line for line in commands)
    assert commands[0].startswith("acns-chaos lab up")
    assert commands[-1] == "acns-chaos lab down"
