"""The timeline's figures: how near it is to the truth, and what it costs the runner.

`python -m tests.bench timeline` measures both, `python -m tests.bench.timeline accuracy 50` the
first. Faults are injected and restored in this process, with the timeline's own threads beside them
as in a run, and its moments are held against what the lab itself noted (`/lab/v1/truth`). A `chaos`
around each would only add seconds.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.cluster.labcontrol import LabControl
from acns_chaos.cluster.policies import policy_ref
from acns_chaos.cluster.target import describe
from acns_chaos.evidence.timeline.moments import seconds
from acns_chaos.evidence.timeline.recorder import Timeline
from acns_chaos.evidence.timeline.settings import rates_from, sources_of
from acns_chaos.faults.change import by_operator
from acns_chaos.faults.inject import inject
from acns_chaos.faults.ledger import Debt, NoLedger
from acns_chaos.faults.plan import Limits
from acns_chaos.faults.restore import restore_all
from acns_chaos.faults.runcontext import RunContext
from tests.bench.figures import show

ROOT = Path(__file__).resolve().parents[2]
POLICY = policy_ref("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
FAULTS = 50
CLIENT_MS, HUBBLE_MS, CORE_PERCENT = 40, 150, 15
RUNS = 3


class _Kept(NoLedger):
    """Debts of a run that nobody kills: kept in this process."""

    def __init__(self) -> None:
        self._debts: list[Debt] = []

    def record(self, debt: Debt) -> None:
        """Keep it."""
        self._debts.append(debt)

    def all(self) -> list[Debt]:
        """All of them."""
        return list(self._debts)


@contextmanager
def registered_lab(home: Path) -> Iterator[dict[str, Any]]:
    """A lab that takes orders; yields what it says of itself."""
    process = subprocess.Popen(
        [sys.executable, "-m", "acns_chaos.lab", "serve", "--register", "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "ACNS_CHAOS_LAB_HOME": str(home)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        process.stdout.readline()
        yield json.loads((home / "lab.json").read_text())
        process.stdin.close()
        process.wait(10)


def faults_in(ready: dict[str, Any], count: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Inject and restore the workshop's fault again and again; returns timeline and truth."""
    control = LabControl(ready)
    control._ask("POST", "/truth")
    api, name = kubeconfig_api("", ready["kubeconfig"])
    environ = {**os.environ, **ready["env"]}
    run = RunContext("bench", describe(api, name, "pets"), api, environ, {}, ledger=_Kept())
    sources, off = sources_of(rates_from({}, "lab"), api, environ, "pets", "store-front")
    timeline = Timeline(sources, off, run.events)
    timeline.start()
    late = timeline.wait_ready(10)
    assert not late, late
    chance = random.Random(4711)
    truth: list[dict[str, Any]] = []
    for _ in range(count):
        # At any moment of the samplers' rounds.
        Event().wait(0.1 + chance.uniform(0.0, 0.2))
        inject(run, by_operator("ingress-from-nobody", POLICY), Limits(), 10.0)
        Event().wait(chance.uniform(0.0, 0.2))
        restore_all(run)
        after = truth[-1]["n"] if truth else 0
        truth += control._ask("GET", f"/truth?after={after}")["truth"]
    Event().wait(1.5)
    found = timeline.as_json([debt.as_json() for debt in run.ledger.all()])
    pools = api.client.rest_client.pool_manager.pools
    for key in list(pools.keys()):
        pools[key].close()
    return found, truth


def compared(timeline: dict[str, Any], truth: list[dict[str, Any]]) -> dict[str, list[float]]:
    """How far the timeline's moments are from the lab's, in milliseconds."""
    found: dict[str, list[float]] = {
        key: [] for key in ("client", "hubble", "prometheus", "recovery")
    }
    for fault in timeline["faults"]:
        at = {(one["what"], one["source"]): seconds(one["at"]) for one in fault["moments"]}
        submitted, asked = at["submitted", "runner"], at["restore-submitted", "runner"]
        enforced, back = _enforced(truth, submitted), _enforced(truth, asked)
        drop = next(
            one["at"]
            for one in truth
            if one["what"] == "drop" and one["at"] >= enforced - 0.001 and one["port"] == 8080
        )
        found["client"].append(_apart(at.get(("noticed", "client")), enforced))
        found["hubble"].append(_apart(at.get(("noticed", "hubble")), drop))
        found["prometheus"].append(_apart(at.get(("noticed", "prometheus")), drop))
        realised = next(
            (one["at"] for one in fault["moments"] if one["what"] == "restore-realised"), None
        )
        found["recovery"].append(_apart(seconds(realised), back))
    return found


def _enforced(truth: list[dict[str, Any]], since: float | None) -> float:
    """When the next version of the policy came into force on the first node that takes it."""
    return next(
        float(one["at"])
        for one in truth
        if one["what"] == "enforced"
        and one["policy"]["name"] == POLICY.name
        and one["at"] >= (since or 0.0)
    )


def _apart(told: float | None, true: float) -> float:
    return float("inf") if told is None else abs(told - true) * 1000


def percentile(values: list[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def accuracy(count: int = FAULTS) -> None:
    """Print how far the timeline is from the truth over many faults."""
    with tempfile.TemporaryDirectory() as folder, registered_lab(Path(folder)) as ready:
        apart = compared(*faults_in(ready, count))
    budgets = {"client": CLIENT_MS, "hubble": HUBBLE_MS}
    for name, values in apart.items():
        show(
            f"timeline against the lab's truth, {name}, p95 of {count}",
            percentile(values, 0.95),
            "ms",
            budgets.get(name),
            median=round(percentile(values, 0.5), 1),
            most=round(max(values), 1),
        )


def flagship(home: Path, sampled: bool) -> tuple[float, float]:
    """Run the shipped experiment; returns the runner's own processor seconds, and how long."""
    experiment = json.loads((ROOT / "experiments/storefront-ingress.json").read_text())
    module = "acns_chaos.controls.timeline"
    controls = [one for one in experiment["controls"] if one["provider"]["module"] != module]
    if sampled:
        controls.append({"name": "timeline", "provider": {"type": "python", "module": module}})
    file = home / f"{sampled}.json"
    file.write_text(json.dumps({**experiment, "controls": controls}))
    began = time.monotonic()
    process = subprocess.Popen(
        [
            *(str(Path(sys.executable).parent / "chaos"), "--no-version-check", "--no-log-file"),
            *("run", "--journal-path", str(home / "journal.json"), str(file)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "ACNS_CHAOS_CLUSTER": "lab", "ACNS_CHAOS_LAB_HOME": str(home)},
    )
    # It stays a zombie until its own time was read: the watchdog's is not in it.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    took = time.monotonic() - began
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    assert process.wait() == 0, f"the flagship {'with' if sampled else 'without'} it did not hold"
    return used, took


def overhead() -> None:
    """Print what share of one core the timeline costs the runner of the flagship."""
    with tempfile.TemporaryDirectory() as folder, registered_lab(Path(folder)):
        pairs = [
            (flagship(Path(folder), sampled=False), flagship(Path(folder), sampled=True))
            for _ in range(RUNS)
        ]
    shares = sorted((w[0] - o[0]) / w[1] * 100 for o, w in pairs)
    show(
        "timeline's overhead on the flagship",
        shares[len(shares) // 2],
        "% of one core",
        CORE_PERCENT,
        with_it=[round(w[0], 2) for _, w in pairs],
        without=[round(o[0], 2) for o, _ in pairs],
        seconds=[round(w[1], 1) for _, w in pairs],
    )


def main() -> None:
    """Print all figures."""
    overhead()
    accuracy()


if __name__ == "__main__":
    {"accuracy": lambda: accuracy(int(sys.argv[2])), "overhead": overhead}[sys.argv[1]]()
