"""The budgets of the policy library: verdicts, a whole matrix, one mutant's delta, memory, import.

Honest work: each timed matrix is made in a process of its own, so that nothing is compiled or
remembered when the clock starts; making the world is not timed, checking and compiling its
policies is. What was timed is re-checked against the engine, one cell at a time.
"""

import gc
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from acns_chaos.errors import PolicyError
from acns_chaos.policy import ObjectRef
from acns_chaos.policy.matrix import Matrix
from acns_chaos.policy.matrix_cells import OPEN
from acns_chaos.policy.operators import OPERATORS, apply_operator
from tests.bench.figures import child, show
from tests.bench.peer import compare
from tests.bench.worlds import PORTS, Generated, generate

IDENTITIES = POLICIES = 500
LARGE = (5_000, 2_000)
RUNS = 5
RECHECKED = 10_000
MUTANTS = 400
IMPORT = """
import json, sys, time
began = time.perf_counter()
import acns_chaos.policy
seconds = time.perf_counter() - began
heavy = [name for name in ("kubernetes", "requests", "grpc", "pandas") if name in sys.modules]
print(json.dumps({"seconds": seconds, "heavy": heavy}))
"""


def main() -> None:
    """Print each figure of the policy library beside its budget."""
    _matrix_in_fresh_processes()
    world = generate(IDENTITIES, POLICIES)
    matrix = Matrix(world.engine(), world.endpoints, PORTS)
    show(
        "random cells that differ from Engine.verdict", *_recheck(world, matrix), checked=RECHECKED
    )
    _one_verdict_at_a_time(world)
    _mutants(world, matrix)
    _memory()
    _import()
    compare()


def once(identities: int, policies: int, seed: int) -> dict[str, float]:
    """Make one matrix in this process and say how long it took and how much memory.

    Args:
        identities: how many.
        policies: how many.
        seed: of the world.

    Returns:
        "seconds" for all of it, "compiling" for checking and compiling the policies, "verdicts"
        made, "mib" at the peak.
    """
    world = generate(identities, policies, seed)
    gc.collect()
    began = time.perf_counter()
    engine = world.engine()
    compiled = time.perf_counter()
    matrix = Matrix(engine, world.endpoints, PORTS)
    ended = time.perf_counter()
    return {
        "seconds": ended - began,
        "compiling": compiled - began,
        "verdicts": sum(matrix.count().values()),
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _fresh(identities: int, policies: int, seed: int) -> dict[str, float]:
    return child("-m", "tests.bench.policy", *map(str, (identities, policies, seed)))


def _matrix_in_fresh_processes() -> None:
    world = generate(IDENTITIES, POLICIES)
    shape = {
        "identities": IDENTITIES,
        "policies": POLICIES,
        "ports": len(PORTS),
        "label_sets": len({endpoint.labels for endpoint in world.endpoints}),
        "peers": sorted(_peer_kinds(world)),
        "runs": RUNS,
    }
    runs = [_fresh(IDENTITIES, POLICIES, seed) for seed in range(1, RUNS + 1)]
    taken = statistics.median(run["seconds"] for run in runs)
    rate = statistics.median(run["verdicts"] / run["seconds"] for run in runs)
    compiling = statistics.median(run["compiling"] for run in runs)
    show("two-sided verdicts", rate, "1/s", 1_000_000, at_least=True, **shape)
    show(
        *("matrix of 500 identities and 500 policies, compilation included", taken * 1000, "ms"),
        *(250,),
        compiling_ms=round(compiling * 1000, 1),
        slowest_ms=round(max(run["seconds"] for run in runs) * 1000, 1),
        verdicts=runs[0]["verdicts"],
    )


def _peer_kinds(world: Generated) -> set[str]:
    sections = ("ingress", "egress", "ingressDeny", "egressDeny")
    return {
        f"{section}.{field}"
        for policy in world.policies
        for section in sections
        for item in policy["spec"].get(section) or ()
        for field in item
        if field not in {"toPorts", "ports"}
    }


def _recheck(world: Generated, matrix: Matrix) -> tuple[int, str, int]:
    """How many of some random cells an engine made anew judges otherwise; none may."""
    engine = world.engine()
    chance = random.Random(20)
    differing = 0
    for _ in range(RECHECKED):
        source, destination = chance.choice(world.endpoints), chance.choice(world.endpoints)
        number, protocol = chance.choice(PORTS)
        icmp = protocol.startswith("ICMP")
        verdict = engine.verdict(
            source,
            destination,
            None if icmp else number,
            protocol,
            icmp_type=number if icmp else None,
        )
        expected = (verdict.verdict, verdict.drop_reason)
        expected += (verdict.egress.verdict, verdict.ingress.verdict)
        differing += matrix.verdict(source, destination, number, protocol) != expected
    return differing, "cells", 0


def _one_verdict_at_a_time(world: Generated) -> None:
    """For comparison: asking the engine flow by flow, reasons included."""
    engine = world.engine()
    chance = random.Random(21)
    pairs = [chance.sample(world.endpoints, 2) for _ in range(5_000)]
    began = time.perf_counter()
    for source, destination in pairs:
        engine.verdict(source, destination, 8080)
    show(
        "verdicts with their reasons, one by one", len(pairs) / (time.perf_counter() - began), "1/s"
    )


@dataclass(frozen=True)
class Timed:
    """One mutant: how long its delta took, and with its flows written out, in seconds."""

    counted: float
    listed: float
    flows: int


def _mutants(world: Generated, matrix: Matrix) -> None:
    timed: list[Timed] = []
    for mutant in _some_mutants(world, MUTANTS):
        began = time.perf_counter()
        delta = matrix.delta(matrix.with_policy(mutant))
        counted = time.perf_counter()
        flows = len(delta.opened) + len(delta.closed)
        timed.append(Timed(counted - began, time.perf_counter() - began, flows))
        del delta  # Freeing its flows is no part of the next mutant's time.
    counted = sorted(one.counted * 1000 for one in timed)
    listed = sorted(one.listed * 1000 for one in timed)
    at95 = int(len(timed) * 0.95)
    show(
        "one mutant's delta, of 95 of 100 mutants",
        counted[at95],
        "ms",
        10,
        median_ms=round(statistics.median(counted), 2),
        slowest_ms=round(counted[-1], 2),
        flows_listed_too_ms=round(listed[at95], 2),
        mutants=len(timed),
        most_flows=max(one.flows for one in timed),
    )
    wide = {"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["world"]}]}
    show("delta of a clusterwide deny for everybody", _wide(matrix, wide), "ms")
    several = list(_some_mutants(world, 8))
    differing = sum(_differs_by_brute_force(world, matrix, mutant) for mutant in several)
    show("deltas that differ from two brute-force matrices", differing, "deltas", 0, checked=8)


def _wide(matrix: Matrix, spec: dict[str, object]) -> float:
    policy = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumClusterwideNetworkPolicy",
        "metadata": {"name": "everybody"},
        "spec": spec,
    }
    return _median(lambda: matrix.delta(matrix.with_policy(policy))) * 1000


def _some_mutants(world: Generated, wanted: int) -> Iterator[dict[str, object]]:
    """Mutants of policies all over the world, every operator in its turn."""
    chance = random.Random(22)
    names = list(OPERATORS)
    made = 0
    for attempt in range(wanted * 50):
        if made == wanted:
            return
        try:
            yield apply_operator(names[attempt % len(names)], chance.choice(world.policies))
        except PolicyError:
            continue
        made += 1


def _differs_by_brute_force(world: Generated, matrix: Matrix, mutant: dict[str, object]) -> bool:
    delta = matrix.delta(then := matrix.with_policy(mutant))
    if then.engine.invalid:
        return not delta.empty
    now = {ObjectRef.of(raw): raw for raw in (*world.policies, mutant)}
    changed = Generated(tuple(now.values()), world.namespaces, world.endpoints)
    after = Matrix(changed.engine(), world.endpoints, PORTS)
    opened = closed = 0
    for source in matrix.identities:
        for port in matrix.ports:
            one, two = (m.row(source, *port).translate(OPEN) for m in (matrix, after))
            if one != two:
                opened += sum(b > a for a, b in zip(one, two, strict=True))
                closed += sum(a > b for a, b in zip(one, two, strict=True))
    return (opened, closed) != (len(delta.opened), len(delta.closed))


def _memory() -> None:
    run = _fresh(*LARGE, 1)
    show(
        *("peak memory of 5,000 identities and 2,000 policies", run["mib"], "MiB", 1024),
        verdicts=run["verdicts"],
        seconds=round(run["seconds"], 2),
    )


def _import() -> None:
    """As installed: with the bytecode that pip leaves behind."""
    with tempfile.TemporaryDirectory() as folder:
        kept = {"PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}
        child("-c", IMPORT, **kept)
        runs = [child("-c", IMPORT, **kept) for _ in range(9)]
    taken = statistics.median(run["seconds"] for run in runs) * 1000
    show("import of acns_chaos.policy", taken, "ms", 60, heavy=runs[0]["heavy"])


def _median(work: Callable[[], object]) -> float:
    taken: list[float] = []
    for _ in range(RUNS):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(json.dumps(once(*map(int, sys.argv[1:]))))
    else:
        main()
