"""The sample vectors that Cilium 1.19.4's own engine confirmed."""

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.policy import Endpoint, Engine, Settings
from acns_chaos.policy.validity import problems

VECTORS = Path(__file__).resolve().parents[1] / "data" / "vectors"


def load(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))["vectors"]


def flow_vectors() -> Iterator[Any]:
    for path in sorted(VECTORS.glob("*.json")):
        for vector in load(path):
            if "flow" in vector:
                yield pytest.param(vector, id=vector["id"])


def validity_vectors() -> Iterator[Any]:
    for path in sorted(VECTORS.glob("*.json")):
        for vector in load(path):
            if "flow" not in vector:
                yield pytest.param(vector, id=vector["id"])


def engine_of(world: Mapping[str, Any], endpoints: Any) -> Engine:
    return Engine(
        world["policies"],
        namespaces=world.get("namespaces", {}),
        endpoints=endpoints,
        services=world.get("services", ()),
        cidr_groups=world.get("cidrGroups", ()),
        settings=Settings.from_json(world.get("config") or {}),
    )


def judged(
    engine: Engine,
    source: Endpoint,
    destination: Endpoint,
    port: int | None,
    protocol: str,
    more: Mapping[str, Any],
) -> list[str | None]:
    verdict = engine.verdict(
        source,
        destination,
        port,
        protocol,
        icmp_type=more.get("icmpType"),
        dns_query=more.get("dnsQuery"),
        http=more.get("http"),
    )
    sides = [verdict.egress.verdict, verdict.ingress.verdict]
    return [*sides, verdict.verdict, verdict.drop_reason, verdict.l7]


@pytest.mark.parametrize("vector", list(flow_vectors()))
def test_a_sample_flow_gets_the_verdict_of_ciliums_own_engine(vector: dict[str, Any]) -> None:
    """Each side, the drop reason and the proxy's answer are those of the vector."""
    flow, expected = vector["flow"], vector["expected"]
    source = Endpoint.from_json(flow["source"], vector.get("namespaces", {}))
    destination = Endpoint.from_json(flow["destination"], vector.get("namespaces", {}))
    engine = engine_of(vector, (source, destination))
    assert judged(engine, source, destination, flow.get("port"), flow["protocol"], flow) == [
        expected.get(k) for k in ("egress", "ingress", "verdict", "dropReason", "l7")
    ]


@pytest.mark.parametrize("vector", list(validity_vectors()))
def test_a_sample_object_is_imported_or_refused_as_by_ciliums_agent(
    vector: dict[str, Any],
) -> None:
    """The sanitizer finds a problem exactly where the agent does."""
    settings = Settings.from_json(vector.get("config") or {})
    found = [finding for policy in vector["policies"] for finding in problems(policy, settings)]
    assert (not found) is vector["expected"]["valid"], found


@pytest.mark.slow
def test_generated_worlds_are_judged_as_by_ciliums_own_engine() -> None:
    """Every flow of every random world has the verdict that the engine of Cilium 1.19.4 gave."""
    lines = gzip.decompress((VECTORS / "generated.jsonl.gz").read_bytes()).splitlines()
    flows, wrong = 0, []
    for world in map(json.loads, lines):
        named = {
            name: Endpoint.from_json(raw, world.get("namespaces", {}))
            for name, raw in world["endpoints"].items()
        }
        engine = engine_of(world, named.values())
        for flow, expected in zip(world["flows"], world["expected"], strict=True):
            source, destination, protocol, port, *more = flow
            got = judged(
                engine, named[source], named[destination], port, protocol, more[0] if more else {}
            )
            flows += 1
            if got != expected:
                wrong.append((world["id"], flow, expected, got))
    assert not wrong, wrong[:5]
    assert flows > 2000


def test_generated_worlds_have_the_invalid_policies_that_ciliums_agent_refused() -> None:
    """The sanitizer agrees about every policy of every random world."""
    lines = gzip.decompress((VECTORS / "generated.jsonl.gz").read_bytes()).splitlines()
    refused, wrong = 0, []
    for world in map(json.loads, lines):
        settings = Settings.from_json(world.get("config") or {})
        valid = world.get("validity") or [True] * len(world["policies"])
        for policy, expected in zip(world["policies"], valid, strict=True):
            found = problems(policy, settings)
            refused += not expected
            if (not found) is not expected:
                wrong.append((world["id"], policy["metadata"], found))
    assert not wrong, wrong[:5]
    assert refused > 0
