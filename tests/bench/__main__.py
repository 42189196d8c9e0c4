"""The budgets, measured: `make bench`. Figures for people, never a test: machines are noisy."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from acns_chaos.policy import Endpoint, Engine

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


def verdicts_per_second() -> float:
    """Judge every pair of 200 pods, once warm."""
    policy = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {
            "endpointSelector": {},
            "ingress": [{"fromEndpoints": [{"matchLabels": {"app": "a1"}}]}],
        },
    }
    pods = [Endpoint.pod("n", {"app": f"a{number}"}) for number in range(200)]
    engine = Engine([policy], namespaces={"n": {}}, endpoints=pods)

    def matrix() -> None:
        for source in pods:
            for destination in pods:
                engine.verdict(source, destination, 80)

    return len(pods) ** 2 / seconds(matrix, 3)


def main() -> None:
    """Print each figure beside its budget."""
    host = seconds(python("import chaoslib"))
    ours = seconds(python("import chaoslib, acns_chaos.actions, acns_chaos.probes"))
    print(f"import on top of chaoslib   {(ours - host) * 1000:8.0f} ms    budget 50 ms")
    print(f"lab: start to ready         {seconds(lab_ready):8.2f} s     budget 1.0 s")
    for process in ended:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    with tempfile.TemporaryDirectory() as folder:
        took = seconds(lambda: flagship(folder), 3)
    print(f"flagship run, all waits     {took:8.1f} s     budget 15 s")
    print(f"verdicts                    {verdicts_per_second():8.0f} /s    budget 1 M/s")


main()
