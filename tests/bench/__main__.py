"""The budgets, measured: `make bench`. One JSON line a figure, never a test: machines are noisy.

`python -m tests.bench policy` measures one part; the parts are PARTS below.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import hubble, lab, mutants, policy, report, timeline
from tests.bench.figures import child, show

ROOT = Path(__file__).resolve().parents[2]
RUNS = 5


def seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    """Return the median of some runs, after one that does not count."""
    work()
    taken: list[float] = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def python(code: str) -> Callable[[], object]:
    """Return a fresh interpreter that runs *code*."""
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)


def lab_ready() -> None:
    """Start a lab, wait for its ready line, end it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "acns_chaos.lab", "serve", "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["ready"]
    ended.append(process)


ended: list["subprocess.Popen[bytes]"] = []


def flagship(folder: str) -> None:
    """Run the shipped experiment with the real `chaos`."""
    subprocess.run(
        [
            *(str(Path(sys.executable).parent / "chaos"), "--no-version-check", "--no-log-file"),
            *("run", "--journal-path", f"{folder}/journal.json"),
            str(ROOT / "experiments/storefront-ingress.json"),
        ],
        check=True,
        capture_output=True,
        env={**os.environ, "ACNS_CHAOS_CLUSTER": "lab", "ACNS_CHAOS_LAB_HOME": folder},
    )


def product() -> None:
    """Print the figures of the product as a whole."""
    host = seconds(python("import chaoslib"))
    ours = seconds(python("import chaoslib, acns_chaos.actions, acns_chaos.probes"))
    show("import on top of chaoslib", (ours - host) * 1000, "ms", 50)
    show("lab, from start to ready", seconds(lab_ready), "s", 1.0)
    for process in ended:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    with tempfile.TemporaryDirectory() as folder:
        took = seconds(lambda: flagship(folder), 3)
    show("flagship run, all waits included", took, "s", 15)


def mutant_classes() -> None:
    """Print how long making and classing mutants takes."""
    found = child("-m", "tests.bench.mutants")
    more = {name: found[name] for name in ("mutants", "seconds", "classes", "peak_rss_mib")}
    name = f"{mutants.BUDGET_MUTANTS:,} mutants of a {mutants.POLICIES}-policy app classed"
    enough = found["mutants"] >= mutants.BUDGET_MUTANTS
    taken = mutants.BUDGET_MUTANTS / found["per_second"] if enough else None
    show(name, taken, "s", mutants.BUDGET_SECONDS, **more)


PARTS = {
    "product": product,
    "lab": lab.main,
    "policy": policy.main,
    "hubble": hubble.main,
    "mutants": mutant_classes,
    "timeline": timeline.main,
    "report": report.main,
}


def main() -> None:
    """Print each figure beside its budget, of the named parts or of all."""
    unknown = [name for name in sys.argv[1:] if name not in PARTS]
    if unknown:
        sys.exit(f"There is no part {unknown[0]!r} of the bench; take one of {', '.join(PARTS)}.")
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


main()
