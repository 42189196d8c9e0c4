"""The conformance runner: it counts what is met, and names what is not."""

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.errors import PolicyError
from acns_chaos.policy.conformance import Tally, check

VECTORS = Path(__file__).resolve().parents[1] / "data" / "vectors"
FLOWS = json.loads((VECTORS / "01-default-deny-and-empties.json").read_text())["vectors"]
OBJECTS = json.loads((VECTORS / "13-validation.json").read_text())["vectors"]
LINES = gzip.decompress((VECTORS / "generated.jsonl.gz").read_bytes()).splitlines()
WORLDS = [json.loads(line) for line in LINES[:40]]


def changed(entry: Any, *path: Any, value: Any) -> Any:
    """A copy with another value somewhere."""
    copied = copy.deepcopy(entry)
    place = copied
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copied


def total(entries: Any) -> Tally:
    """All tallies together."""
    tally = Tally()
    for entry in entries:
        tally.add(check(entry))
    return tally


def test_vectors_count_one_each_and_worlds_by_flow_and_object() -> None:
    """With those of worlds marked harness counted apart, too."""
    assert total(FLOWS).passed == len(FLOWS)
    assert total(OBJECTS).passed == len(OBJECTS)
    found = total(WORLDS)
    size = sum(len(w["flows"]) + len(w["policies"]) for w in WORLDS)
    marked = [w for w in WORLDS if w.get("harness")]
    assert (found.passed, found.failures) == (size, [])
    assert found.harness_passed == sum(len(w["flows"]) + len(w["policies"]) for w in marked)
    assert 0 < found.harness_passed < size


def test_a_wrong_verdict_is_named_with_both_sides() -> None:
    """Expected and got, every part of the verdict."""
    vector = next(v for v in FLOWS if v["expected"]["verdict"] == "DENIED")
    tally = check(changed(vector, "expected", "verdict", value="ALLOWED"))
    (failure,) = tally.failures
    assert failure.id == vector["id"]
    assert failure.what == vector["title"]
    assert "verdict=ALLOWED" in failure.expected
    assert "verdict=DENIED" in failure.got
    assert failure.got.count("=") == failure.expected.count("=") == 5
    assert tally.passed == 0
    assert failure.as_json()["id"] == vector["id"]


@pytest.mark.parametrize("part", ["egress", "ingress", "dropReason", "l7"])
def test_every_part_of_a_verdict_counts(part: str) -> None:
    """A vector fails when any of them differs."""
    other = changed(FLOWS[0], "expected", part, value="SOMETHING")
    assert len(check(other).failures) == 1


def test_the_schema_counts_beside_the_verdict() -> None:
    """A vector that says the schema refuses, where it does not."""
    (failure,) = check({**FLOWS[0], "crdSchemaAccepts": False}).failures
    assert failure.expected.endswith(" schema=refuses")
    assert failure.got.endswith(" schema=accepts")


def test_a_wrong_validity_is_named_with_the_reason() -> None:
    """Both ways round, for the agent and for the schema."""
    invalid = next(v for v in OBJECTS if not v["expected"]["valid"])
    (failure,) = check(changed(invalid, "expected", "valid", value=True)).failures
    assert failure.expected.startswith("agent=imports")
    assert failure.got.startswith("agent=spec")
    valid = next(v for v in OBJECTS if v["expected"]["valid"])
    (failure,) = check(changed(valid, "expected", "valid", value=False)).failures
    assert failure.expected.startswith("agent=refuses")
    assert failure.got.startswith("agent=imports")
    accepts = valid["expected"]["crdSchemaAccepts"]
    assert (
        len(check(changed(valid, "expected", "crdSchemaAccepts", value=not accepts)).failures) == 1
    )


def test_failures_in_worlds_say_which_flow_or_object_and_whether_harness() -> None:
    """By number, with the names of the ends, marked where others took part."""
    world = next(w for w in WORLDS if w.get("harness"))
    other = changed(world, "expected", 0, value=["N/A", "N/A", "ALLOWED", None, "SOMETHING"])
    (failure,) = check(other).failures
    assert failure.id == f"{world['id']} flow 0"
    assert failure.what.startswith(f"{world['flows'][0][0]} -> {world['flows'][0][1]} on ")
    assert failure.harness
    plain = next(w for w in WORLDS if not w.get("harness"))
    validity = [False] * len(plain["policies"])
    tally = check({**plain, "validity": validity})
    refused = [i for i, ok in enumerate(plain.get("validity") or []) if not ok]
    assert [f.id for f in tally.failures] == [
        f"{plain['id']} policy {n}" for n in range(len(validity)) if n not in refused
    ]
    assert not any(f.harness for f in tally.failures)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({}, "A vector without an id was given."),
        ([], "A vector without an id was given."),
        ({"id": "x"}, "x has neither a flow nor flows, nor says what is valid."),
        ({"id": "x", "flow": {}, "expected": {}}, "x is no vector: "),
        ({"id": "x", "flows": 3}, "x is no vector: "),
        ({"id": "x", "expected": {"valid": True}, "policies": [{"kind": "Pod"}]}, "An object of"),
        ({**FLOWS[0], "config": {"x": 1}}, "Agent setting 'x' is not known"),
    ],
)
def test_what_is_no_vector_is_one_sentence(entry: Any, sentence: str) -> None:
    """Never a traceback."""
    with pytest.raises(PolicyError) as caught:
        check(entry)
    assert str(caught.value).startswith(sentence)
