"""Real policies, and seeded ways to corrupt them: what a broken document may hold anywhere."""

import gzip
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import date
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

VECTORS = Path(__file__).resolve().parents[1] / "data" / "vectors"


@cache
def samples() -> tuple[dict[str, Any], ...]:
    """Policies of all three kinds, of the sample vectors: each once."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(VECTORS.glob("*.json")):
        for vector in json.loads(path.read_text(encoding="utf-8")).get("vectors", []):
            found |= {json.dumps(policy): policy for policy in vector["policies"]}
    for line in gzip.decompress((VECTORS / "generated.jsonl.gz").read_bytes()).splitlines()[:40]:
        found |= {json.dumps(policy): policy for policy in json.loads(line)["policies"]}
    return tuple(found.values())


def deep(levels: int, key: str | None = None) -> Any:
    """A value nested this deep, in lists or under one key."""
    value: Any = {}
    for _ in range(levels):
        value = [value] if key is None else {key: value}
    return value


_WRONG: tuple[Callable[[], Any], ...] = (
    lambda: None,
    lambda: True,
    lambda: False,
    lambda: 0,
    lambda: -1,
    lambda: 8080,
    lambda: 2**31,
    lambda: 10**5000,
    lambda: -(10**5000),
    lambda: 1.5,
    lambda: float("nan"),
    lambda: float("inf"),
    lambda: "",
    lambda: "x",
    lambda: "*",
    lambda: "9" * 5000,
    lambda: "0" * 5000 + "7",
    lambda: "a" * 300,
    lambda: "a" * 40 + "!",
    lambda: "(" * 3000,
    lambda: "((((((((((a+)+)+)+)+)+)+)+)+)+)+$",
    lambda: "[[--a&&b||c~~d]]",
    lambda: "\x00\ud800\n\u202e",
    lambda: "10.0.0.0/8",
    lambda: "fe80::1%eth0/64",
    lambda: "k8s:a:b:c=d",
    lambda: "$",
    lambda: b"bytes",
    lambda: date(2026, 11, 22),
    list,
    dict,
    lambda: [{}],
    lambda: [None],
    lambda: [[]],
    lambda: ["x", 5],
    lambda: {"": ""},
    lambda: {1: 2},
    lambda: {None: None},
    lambda: {float("nan"): []},
    lambda: {("a", 1): {}},
    lambda: {"matchLabels": {"a": None}},
    lambda: deep(1000),
    lambda: deep(1000, "spec"),
    lambda: deep(300, "ingress"),
    lambda: [deep(1000, "matchLabels")],
)


def wrong_value(random: Random) -> Any:
    """A fresh value that has no business where it is put."""
    return random.choice(_WRONG)()


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key or number) of everything inside a value."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            for key, member in one.items():
                yield one, key
                waiting.append(member)
        elif isinstance(one, list):
            for number, member in enumerate(one):
                yield one, number
                waiting.append(member)


def corrupted(random: Random) -> Any:
    """A policy with one to four things wrong with it."""
    policy: Any = deepcopy(random.choice(samples()))
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        found = list(places(policy)) if isinstance(policy, dict | list) else []
        if not found:
            return wrong_value(random)
        container, key = random.choice(found)
        match random.randrange(7):
            case 0 | 1 | 2:
                container[key] = wrong_value(random)
            case 3:
                container[key] = [container[key]]
            case 4 if isinstance(container, dict):
                name = random.choice(
                    [f"{key}s", str(key)[:-1], 7, "kind", "spec", "ports", "rules"]
                )
                container[name] = container.pop(key)
            case 5 if isinstance(container, list):
                container.extend([container[key]] * random.choice((1, 3, 60)))
            case _:
                del container[key]
    return policy
