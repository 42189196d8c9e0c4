"""A lab that a real Prometheus scrapes, with a real Alertmanager, and days that are run there."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.journeys.hosts import ROOT
from tests.journeys.labs import end_lab, start_lab
from tests.lab.promql_support import RealPrometheus, real_alertmanager, real_prometheus

GAMEDAYS = ROOT / "gamedays"
RULES = GAMEDAYS / "pets-rules.yaml"
WORLD = GAMEDAYS / "lab" / "pets-1s.yaml"
SCRAPE = 1.0


@dataclass(frozen=True)
class Watched:
    """A lab that is up, and who watches it.

    Attributes:
        environ: of a process that is to join this lab and to ask those who watch it.
        prometheus: the real one.
        alertmanager: base URL of the real one.
    """

    environ: Mapping[str, str]
    prometheus: RealPrometheus
    alertmanager: str

    def run(self, *arguments: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
        """`acns-chaos gameday run` with these arguments, in this lab."""
        return gameday("run", *arguments, cwd=cwd, environ=self.environ)


@contextmanager
def watched_lab(folder: Path) -> Iterator[Watched]:
    """Start all three; the lab's own Prometheus evaluates no rule, so that it can be no detector.

    Args:
        folder: for their files.
    """
    lab, ready = start_lab(folder / "lab", "--world", str(WORLD))
    try:
        with (
            real_alertmanager(folder) as manager,
            real_prometheus(
                *(folder, ready["scrape"], RULES.read_text("utf-8")),
                manager.removeprefix("http://"),
                interval=SCRAPE,
            ) as prometheus,
        ):
            environ = {
                "ACNS_CHAOS_LAB_HOME": str(folder / "lab"),
                "ACNS_CHAOS_LAB_PROMETHEUS_URL": prometheus.url,
                "ACNS_CHAOS_LAB_ALERTMANAGER_URL": manager,
            }
            yield Watched(environ, prometheus, manager)
    finally:
        end_lab(lab)


def gameday(
    *arguments: object, cwd: Path, environ: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run `acns-chaos gameday`."""
    return subprocess.run(
        [sys.executable, "-m", "acns_chaos.cli", "gameday", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
        cwd=cwd,
        env={**os.environ, **environ},
    )


def plan_of(file: Path, most: int, *policies: str) -> Path:
    """The shipped day with so many mutants, of these policies if any are named."""
    text = (GAMEDAYS / "pets.yaml").read_text("utf-8")
    changes = [("most: 48", f"most: {most}")]
    changes += [('"allow-*"', ", ".join(policies))] if policies else []
    # Files are named by their whole paths, as the plan lies elsewhere.
    changes += [(f"{key}: ", f"{key}: {GAMEDAYS}/") for key in ("rules", "world", "claim")]
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    file.write_text(text, "utf-8")
    return file
