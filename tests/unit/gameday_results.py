"""Results of game days for tests: one line's object, with what a test changes."""

import json
from typing import Any

from acns_chaos.gameday.results import Result, parse

DAY = "20261123T101500-ab12"
SHARD = "u1/pets"


def detector(
    name: str, noticed: bool | None = True, after: float | None = 1800.0, judges: str = ""
) -> dict[str, Any]:
    """Return a detector's word; `judges` is "availability", "security", or "" to leave it out."""
    told: dict[str, Any] = {
        "name": name,
        "kind": "alert",
        "noticed": noticed,
        "after_ms": after if noticed else None,
        "bound_ms": 1000,
        "deadline_ms": 6000,
        "why": "",
    }
    return told | ({"for": [judges]} if judges else {})


def document(mutant: str = "m1", status: str = "killed", **changes: Any) -> dict[str, Any]:
    """Return a line's object; a killed one is noticed by StorefrontDrops."""
    noticed = status == "killed"
    found = {
        "schema": 1,
        "day": DAY,
        "shard": SHARD,
        "position": 1,
        "mutant": mutant,
        "place": {
            "kind": "lab",
            "label": "LAB (simulated)",
            "context": "lab",
            "uid": "u1",
            "namespace": "pets",
        },
        "policy": "pets/allow-store-front-traffic",
        "kind": "CiliumNetworkPolicy",
        "operator": "rule-emptied",
        "family": "rules",
        "where": "spec.ingress[0]",
        "mistake": "A rule is emptied.",
        "class": "closes",
        "experiment": "experiments/001-m1.json",
        "journal": "journals/001-m1.json",
        "started": "2026-11-23T10:15:00+00:00",
        "ended": "2026-11-23T10:15:04+00:00",
        "seconds": 4.2,
        "outcome": "HELD" if noticed else "NOT_NOTICED",
        "bit": status != "unknown",
        "restored": True,
        "detectors": [] if status == "unknown" else [detector("StorefrontDrops", noticed)],
        "signals": [],
        "status": status,
        "by": "StorefrontDrops" if noticed else "",
        "first_ms": 1800.0 if noticed else None,
        "why": "the fault was not seen in force" if status == "unknown" else "",
        "suggestion": None,
    }
    return found | changes


def result(mutant: str = "m1", status: str = "killed", **changes: Any) -> Result:
    """Return a result as it is read from a line; arguments as `document`."""
    return parse(json.dumps(document(mutant, status, **changes)))
