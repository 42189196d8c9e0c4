"""The schema as data: what it refuses, drops and keeps, held against samples and a real server."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.policy import schema_patterns as patterns
from acns_chaos.policy.model import ObjectRef
from acns_chaos.policy.schema import breaches, joined, json_type, prune, unknown_fields
from acns_chaos.policy.schema_cilium import POLICY
from acns_chaos.policy.validity import findings, schema_of
from acns_chaos.policy.validity_schema import Review, review
from tests.policy.policy_cases import cnp

DATA = Path(__file__).resolve().parents[1] / "data" / "vectors"
CAPTURED = Path(__file__).resolve().parents[1] / "lab" / "captured_writes.json"


def looked_at(policy: dict[str, Any]) -> Review:
    ref = ObjectRef.of(policy)
    return review(policy, ref, schema_of(ref))


def by_hand() -> Iterator[dict[str, Any]]:
    for path in sorted(DATA.glob("*.json")):
        yield from json.loads(path.read_text(encoding="utf-8"))["vectors"]


def test_every_sample_passes_the_schema_or_not_as_it_says() -> None:
    """crdSchemaAccepts, absent where it is true, is what the schema layer answers."""
    told, wrong = {True: 0, False: 0}, []
    for vector in by_hand():
        expected = vector.get("crdSchemaAccepts", vector["expected"].get("crdSchemaAccepts", True))
        found = [said for policy in vector["policies"] for said in looked_at(policy).refusals]
        told[expected] += 1
        if (not found) is not expected:
            wrong.append((vector["id"], expected, found))
    assert not wrong
    assert told == {True: 184, False: 12}


def test_every_imported_policy_of_the_generated_worlds_passes_the_schema() -> None:
    """What Cilium's agent imported was stored by an API server before; nothing is dropped."""
    checked, wrong = 0, []
    for line in gzip.decompress((DATA / "generated.jsonl.gz").read_bytes()).splitlines():
        world = json.loads(line)
        valid = world.get("validity") or [True] * len(world["policies"])
        for policy, imported in zip(world["policies"], valid, strict=True):
            seen = looked_at(policy)
            checked += imported
            if imported and (seen.refusals or seen.dropped):
                wrong.append((world["id"], seen.refusals, seen.dropped))
    assert not wrong
    assert checked == 1153


CASES = json.loads(CAPTURED.read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_it_refuses_drops_and_keeps_what_a_real_server_did(case: dict[str, Any]) -> None:
    """The code says whether it was refused, the Warning what was dropped, `stored` what is left."""
    policy = cnp({}, name=case["case"])
    del policy["spec"]
    if case["spec"] is not None:
        policy["spec"] = case["spec"]
    seen = looked_at(policy)
    assert bool(seen.refusals) is (case["code"] != 201)
    if case["code"] == 201:
        assert seen.stored.get("spec") == case["stored"]
        dropped = case["warning"].split('\\"')[1::2] if case["warning"] else []
        assert [path for path, _ in seen.dropped] == dropped


ORIGINALS = {name: getattr(patterns, name) for name in ("PORT", "DNS_NAME", "DNS_PATTERN")}


@given(
    name=st.sampled_from(sorted(ORIGINALS)),
    text=st.text("aZ09-_.*:5\n", max_size=9) | st.from_regex(r"[0-9a-z.-]{1,7}", fullmatch=True),
)
def test_a_pattern_that_is_checked_by_hand_means_what_it_says(name: str, text: str) -> None:
    """On short texts, where backtracking is bearable, Python's engine agrees."""
    pattern = ORIGINALS[name]
    python = re.compile(re.sub(r"\$$", r"\\Z", pattern))
    assert patterns.matches(pattern, text) is bool(python.search(text))


@pytest.mark.parametrize(
    ("written", "fits"),
    [
        ("10.0.0.0/8", True),
        ("10.0.0.1/24", True),
        ("2001:db8::/32", True),
        ("10.0.0.0", False),
        ("10.0.0.0/33", False),
        ("10.0.0.0/08", False),
        ("10.0.0.0/255.0.0.0", False),
        ("fe80::1%eth0/64", False),
        ("", False),
    ],
)
def test_a_prefix_is_what_gos_parser_takes(written: str, fits: bool) -> None:
    """Host bits are fine; netmasks, zones and leading zeros are not."""
    assert patterns.has_format("cidr", written) is fits


def test_pruning_takes_nulls_and_unknown_fields_and_puts_defaults_in() -> None:
    """An empty list stays, and so does an item that is null."""
    spec = {
        "endpointSelector": {"matchLabels": {"app": "web", "gone": None}},
        "ingress": [{"fromEndpoints": [], "fromEntitys": ["world"], "toPorts": None}, None],
        "egress": None,
        "egressDeny": [{"icmps": [{"fields": [{"type": 8}]}]}],
    }
    assert prune(cnp(spec), POLICY)["spec"] == {
        "endpointSelector": {"matchLabels": {"app": "web"}},
        "ingress": [{"fromEndpoints": []}, None],
        "egressDeny": [{"icmps": [{"fields": [{"type": 8, "family": "IPv4"}]}]}],
    }
    assert [joined(path) for path in unknown_fields(cnp(spec), POLICY)] == [
        "spec.ingress[0].fromEntitys"
    ]


def test_breaches_come_in_the_order_of_a_real_server() -> None:
    """Alternatives first, then limits, then missing fields, then each field."""
    spec = {
        "endpointSelector": {"matchExpressions": [{"operator": "Foo"}]},
        "nodeSelector": {},
        "log": {"value": "x" * 33},
    }
    found = [(joined(one.path), one.rule) for one in breaches(cnp(spec), POLICY)]
    assert found == [
        ("spec", "any_of"),
        ("spec", "one_of"),
        ("spec.endpointSelector.matchExpressions[0].key", "required"),
        ("spec.endpointSelector.matchExpressions[0].operator", "enum"),
        ("spec.log.value", "max_length"),
    ]


def test_types_have_their_json_names() -> None:
    """What JSON cannot hold goes by its Python name."""
    values = (None, True, 1, 1.5, "", [], {}, b"")
    names = "null boolean integer number string array object bytes"
    assert [json_type(value) for value in values] == names.split()


@pytest.mark.parametrize(
    ("spec", "path", "sentence"),
    [
        (
            {"endpointSelector": {}, "ingress": [{"fromEntities": ["worlds"]}]},
            "spec.ingress[0].fromEntities[0]",
            (
                "'worlds' is not known here: the API server refuses the object, so the cluster "
                "keeps what it has; use 'world'."
            ),
        ),
        (
            {"endpointSelector": {}, "ingress": [{"toPorts": [{"ports": [{"port": 8080}]}]}]},
            "spec.ingress[0].toPorts[0].ports[0].port",
            (
                "a whole number stands where a text belongs: the API server refuses the object, so "
                "the cluster keeps what it has; put it in quotes."
            ),
        ),
        (
            {"endpointSelector": {}, "egress": [{"toCIDR": ["203.0.113.10"]}]},
            "spec.egress[0].toCIDR[0]",
            (
                "'203.0.113.10' is an address without a length: the API server refuses the "
                "object, so the cluster keeps what it has; write 203.0.113.10/32."
            ),
        ),
        (
            {"endpointSelector": {}, "egress": [{"toFQDNs": [{"matchName": "*.example.com"}]}]},
            "spec.egress[0].toFQDNs[0].matchName",
            (
                "'*.example.com' has a star, which a matchName cannot have: the API server refuses "
                "the object, so the cluster keeps what it has; use matchPattern."
            ),
        ),
        (
            {"endpointSelector": {}, "ingress": {"fromEntities": ["world"]}},
            "spec.ingress",
            (
                "an object stands where a list belongs: the API server refuses the object, so the "
                'cluster keeps what it has; write it as an item of a list, with a dash ("- ") in '
                "front."
            ),
        ),
        (
            {"endpointSelector": {}},
            "spec",
            (
                "there is none of ingress, ingressDeny, egress, egressDeny: the API server refuses "
                "the object, so the cluster keeps what it has; add rules; an empty rule (ingress: "
                "[{}]) closes its direction."
            ),
        ),
        (
            {"ingress": [{}]},
            "spec",
            (
                "there is neither an endpointSelector nor a nodeSelector: the API server refuses "
                "the object, so the cluster keeps what it has; say whom it is for with exactly "
                "one of them (endpointSelector: {} is every pod)."
            ),
        ),
    ],
)
def test_a_refusal_says_what_is_wrong_what_follows_and_what_to_do(
    spec: dict[str, Any], path: str, sentence: str
) -> None:
    """And where."""
    (finding,) = findings(cnp(spec))
    assert (finding.layer, finding.path, finding.sentence) == ("schema", path, sentence)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"apiVersion": "cilium.io/v1"}, "apiVersion"),
        ({"metadata": {"name": "Bad_Name", "namespace": "shop"}}, "metadata.name"),
        ({"metadata": {"name": "p", "namespace": "Shop"}}, "metadata.namespace"),
        ({"metadata": {"name": "p", "labels": {"a b": "c"}}}, "metadata.labels"),
        ({"metadata": {"name": "p", "labels": {"a": "b c"}}}, "metadata.labels.a"),
        ({"metadata": {"name": "p", "labels": {"a": 1}}}, "metadata.labels.a"),
        ({"metadata": {"name": "p", "annotations": {"a": "b" * 300_000}}}, "metadata.annotations"),
    ],
)
def test_metadata_is_checked_as_a_server_does(change: dict[str, Any], path: str) -> None:
    """A name that no object can have is refused before anything else happens."""
    policy = {**cnp({"endpointSelector": {}, "ingress": [{}]}), **change}
    (finding,) = findings(policy)
    assert (finding.layer, finding.path) == ("schema", path)
    assert "the API server refuses the object" in finding.sentence
