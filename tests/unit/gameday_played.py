"""Folders of game days that are over: as many mutants as wanted, with journals of real runs."""

import json
import random
from pathlib import Path
from typing import Any

from acns_chaos.gameday.history import History
from acns_chaos.gameday.results import parse
from tests.unit.gameday_results import DAY, SHARD, detector, document

__all__ = ["PLAN", "make_day", "remember", "results"]

JOURNALS = Path(__file__).parents[1] / "data" / "journals"
# Real runs whose fault was in force.
USED = ("storefront-ingress", "product-egress-open", "storefront-ingress-edited")
ALERTS, CLAIMS = (
    ("StorefrontDrops", "NodeDrops", "OrderQueueGrows"),
    ("rabbitmq-closed", "dns-kept"),
)
POLICIES = (
    *("allow-store-front-traffic", "allow-order-service-traffic", "allow-product-service-traffic"),
    *("allow-rabbitmq-traffic", "allow-names"),
)
OPERATORS = (
    ("selector-matches-nothing", "selectors", "The selector names a label that no pod has."),
    ("label-misspelled", "labels", "A label of a peer is misspelled."),
    ("rule-emptied", "rules", "A rule is emptied, so that it admits everybody."),
    ("port-off-by-one", "ports", "A port is off by one."),
    ("entity-world-added", "entities", "The rule admits the world."),
)
PLAN: dict[str, Any] = {
    "name": "pets",
    "detectors": [
        *({"alert": name, "for": "availability"} for name in ALERTS),
        *({"claim": f"claims/{name}.json", "for": ["security"]} for name in CLAIMS),
    ],
    "minimum": {"availability": 0.8, "security": 0.5},
}
PLACE = {"kind": "lab", "uid": "u1", "label": "LAB (simulated)", "namespace": "pets"}
ASKED = {"workload": "product-service", "service": "rabbitmq", "port": 5672, "expect": "OPEN"}
EXPERIMENT = {
    "configuration": {"namespace": "pets"},
    "method": [{"provider": {"func": "read_connection", "arguments": ASKED}}],
}


def results(count: int, seed: int = 1, day: str = DAY) -> list[dict[str, Any]]:
    """Lines of so many mutants, of every kind; the same ones for the same seed.

    Args:
        count: how many.
        seed: decides how they fare.
        day: its id.
    """
    luck = random.Random(seed)
    return [_one(number, luck, day) for number in range(1, count + 1)]


def _one(number: int, luck: random.Random, day: str) -> dict[str, Any]:
    policy = POLICIES[number % len(POLICIES)]
    operator, family, mistake = OPERATORS[number // len(POLICIES) % len(OPERATORS)]
    where = f"spec.{'ingress' if number % 3 else 'egress'}[{number // 25}]"
    effect = luck.choice(("closes", "closes", "opens", "opens", "both"))
    fate = luck.choices(("killed", "survived", "unknown"), (7, 2, 1))[0]
    told = [_word(name, effect, fate, luck) for name in (*ALERTS, *CLAIMS)]
    seen = sorted((one for one in told if one["noticed"]), key=lambda one: one["after_ms"])
    status = fate if fate != "killed" or seen else "survived"
    if status == "survived":
        # Whoever cannot tell leaves it undecided.
        told = [one | {"noticed": bool(one["noticed"])} for one in told]
    undecided = status == "unknown" and number % 2 == 0
    rose = status == "survived" and effect != "opens" and luck.random() < 0.7
    signal = f"hubble_drop_total pets/{policy.split('-', 1)[1].removesuffix('-traffic')} ingress"
    minute = f"2026-11-23T10:{15 + number // 60:02}:{number % 60:02}"
    changes: dict[str, Any] = {
        "day": day,
        "position": number,
        "policy": f"pets/{policy}",
        "operator": operator,
        "family": family,
        "where": where,
        "mistake": mistake,
        "class": effect,
        "started": f"{minute}+00:00",
        "ended": f"{minute}.9+00:00",
        "experiment": f"experiments/{number:03}.json",
        "journal": f"journals/{number:03}.json",
        "bit": status != "unknown" or undecided,
        "detectors": told if status != "unknown" or undecided else [],
        "signals": [{"name": signal, "rose": rose, "by": 4 if rose else None}],
        "by": seen[0]["name"] if seen else "",
        "first_ms": seen[0]["after_ms"] if seen else None,
    }
    if undecided:
        changes["why"] = f"whether it was noticed cannot be told: {ALERTS[0]}: no answer"
    return document(f"pets/{policy}:{operator}@{where}", status, **changes)


def _word(name: str, effect: str, fate: str, luck: random.Random) -> dict[str, Any]:
    """What one detector made of a mutant."""
    way = "availability" if name in ALERTS else "security"
    mine = effect in {"availability": ("closes", "both"), "security": ("opens", "both")}[way]
    noticed = fate == "killed" and mine and luck.random() < 0.6
    one = detector(name, noticed, round(luck.lognormvariate(7.7, 0.7), 1), way)
    one["kind"] = "alert" if name in ALERTS else "claim"
    if mine and not noticed:
        silent = ({"why": "it looked and saw nothing"}, {"why": "no data"}, {"noticed": None})
        one |= luck.choice(silent)
    return one


def make_day(
    folder: Path, lines: list[dict[str, Any]], *, journals: bool = True, plan: Any = PLAN
) -> Path:
    """Write the folder of a day; returns it.

    Args:
        folder: which is made.
        lines: as `results`, or changed.
        journals: whether there are any.
        plan: as it stands in `plan.json`.
    """
    for name in ("experiments", "journals"):
        (folder / name).mkdir(parents=True)
    (folder / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    selection = [
        {
            "id": one["mutant"],
            "shard": one.get("shard", SHARD),
            "policy": one["policy"],
            "class": one["class"],
            "closed": ["pets/a -> pets/b:80/TCP"] * (one["class"] != "opens"),
            "opened": ["pets/c -> pets/d:5672/TCP"] * (one["class"] != "closes"),
        }
        for one in lines
    ]
    day = lines[0]["day"] if lines else DAY
    written = {"day": day, "place": PLACE, "plan": plan, "selection": selection}
    (folder / "plan.json").write_text(json.dumps(written))
    if journals:
        texts = [(JOURNALS / f"{name}.json").read_text("utf-8") for name in USED]
        for number, one in enumerate(lines):
            (folder / one["journal"]).write_text(texts[number % len(texts)])
            (folder / one["experiment"]).write_text(json.dumps(EXPERIMENT))
    return folder


def remember(history: Path, days: int, count: int) -> None:
    """Add days before the one of `results` to a history, each with the same mutants."""
    for number in range(days):
        lines = results(count, seed=100 + number, day=f"202611{10 + number:02}T101500-ab12")
        for one in lines:
            for key in ("started", "ended"):
                one[key] = one[key].replace("2026-11-23", f"2026-11-{10 + number:02}")
        History(history).add([parse(json.dumps(one)) for one in lines], PLAN["name"])
