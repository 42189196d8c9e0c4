"""A day's folder for tests: as `gameday run` leaves it before its first run."""

import json
from pathlib import Path
from typing import Any

from acns_chaos.gameday.day import Day, reopen
from tests.unit.gameday_results import DAY

PLAN: dict[str, Any] = {
    "schema": 1,
    "name": "small",
    "target": {"cluster": "lab", "namespaces": ["pets", "far"]},
    "mutants": {"most": 3},
    "detectors": [{"alert": "StorefrontDrops", "for": "availability"}],
}


def begun(folder: Path, *mutants: str, experiments: tuple[str, ...] = (), **plan: Any) -> Day:
    """Begin a day.

    Args:
        folder: of the day.
        mutants: "name" or "namespace/name", in order; namespace pets without one.
        experiments: names of further ones, in namespace pets.
        plan: keys of the plan that a test changes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    selection = []
    for position, told in enumerate(mutants, 1):
        where, _, name = told.rpartition("/")
        where = where or "pets"
        policy = {"kind": "CiliumNetworkPolicy", "namespace": where, "name": "allow-x"}
        row = {"id": name, "class": "closes", "policy": policy, "position": position}
        row |= {"namespace": where, "shard": f"u1/{where}"}
        selection.append(row | {"experiment": f"experiments/{position:03d}-{name}.json"})
    document = {
        "schema": 1,
        "day": DAY,
        "plan": PLAN | plan,
        "folder": str(folder),
        "place": {"kind": "lab", "label": "LAB (simulated)", "context": "lab", "uid": "u1"},
        "estimate": {"here": {"mean": {"about": 6.0, "most": 9.0}}},
        "detectors": [{"name": "StorefrontDrops", "deadline_ms": 6000}],
        "experiments": [
            {"name": one, "namespace": "pets", "experiment": f"experiments/own-{one}.json"}
            for one in experiments
        ],
        "selection": selection,
    }
    (folder / "plan.json").write_text(json.dumps(document))
    for name in ("experiments", "journals", "logs"):
        (folder / name).mkdir(exist_ok=True)
    return reopen(folder)
