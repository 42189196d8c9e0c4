"""Vectors: flows and objects with the verdicts that Cilium's own engine gave.

Belongs here: judging one vector or one generated world, and counting. Does not belong here: reading
files, and what the fields of a vector mean to Cilium (the README beside the vectors says it).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from acns_chaos.errors import PolicyError
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.model import ObjectRef, Settings, Verdict
from acns_chaos.policy.validity import problems, schema_of
from acns_chaos.policy.validity_schema import review
from acns_chaos.policy.verdict import Engine
from acns_chaos.policy.world import World

__all__ = ["Failure", "Tally", "check", "judge"]

Raw = Mapping[str, Any]

_SIDES = ("egress", "ingress", "verdict", "dropReason", "l7")
_UNUSABLE = (TypeError, AttributeError, KeyError, ValueError, IndexError, RecursionError)


@dataclass(frozen=True, slots=True)
class Failure:
    """One expectation that was not met.

    Attributes:
        id: of the vector, or of the world with what in it: "world-7 flow 12".
        expected: as the vector has it.
        got: as this engine has it.
        what: the flow or the object.
        quirk: marked as surprising to most people.
        harness: something besides Cilium's engine took part in the expectation.
    """

    id: str
    expected: str
    got: str
    what: str = ""
    quirk: bool = False
    harness: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "id": self.id,
            "expected": self.expected,
            "got": self.got,
            "what": self.what,
            "quirk": self.quirk,
            "harness": self.harness,
        }


@dataclass(slots=True)
class Tally:
    """How many expectations were met.

    Attributes:
        passed: expectations met: a vector is one, a flow or an object of a world is one.
        harness_passed: those of them in worlds marked `harness`.
        failures: the ones not met.
    """

    passed: int = 0
    harness_passed: int = 0
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Take another tally in."""
        self.passed += other.passed
        self.harness_passed += other.harness_passed
        self.failures += other.failures

    def note(self, failure: Failure | None, *, harness: bool = False) -> None:
        """Count one expectation: met when there is no failure."""
        if failure is not None:
            self.failures.append(failure)
        else:
            self.passed += 1
            self.harness_passed += harness

    @property
    def harness_failed(self) -> int:
        """The failures in worlds marked `harness`."""
        return sum(failure.harness for failure in self.failures)


def check(entry: Raw) -> Tally:
    """Judge a vector, or every flow and object of a generated world.

    Args:
        entry: a vector (with `expected` as an object) or a world (with `flows`).

    Returns:
        What was met and what not.

    Raises:
        PolicyError: it is neither, or something in it cannot be read.
    """
    name = entry.get("id") if isinstance(entry, Mapping) else None
    if not isinstance(name, str) or not name:
        raise PolicyError("A vector without an id was given.")
    tally = Tally()
    try:
        if "flows" in entry:
            for failure in _world(entry, name):
                tally.note(failure, harness=bool(entry.get("harness")))
        elif "flow" in entry:
            tally.note(_flow(entry, name))
        elif "valid" in (entry.get("expected") or {}):
            tally.note(_validity(entry, name))
        else:
            raise PolicyError(f"{name} has neither a flow nor flows, nor says what is valid.")
    except _UNUSABLE as error:
        raise PolicyError(f"{name} is no vector: {' '.join(str(error).split())[:120]}.") from error
    return tally


def judge(
    engine: Engine,
    source: Endpoint,
    destination: Endpoint,
    port: int | None,
    protocol: str,
    request: Raw | None = None,
) -> Verdict:
    """The verdict on a flow as vectors write it.

    Args:
        engine: of the vector's world.
        source: who opens the connection.
        destination: who is asked.
        port: destination port; None for ICMP.
        protocol: of the flow.
        request: {"icmpType"} or {"dnsQuery"} or {"http"}.
    """
    more = request or {}
    return engine.verdict(
        source,
        destination,
        port,
        protocol,
        icmp_type=more.get("icmpType"),
        dns_query=more.get("dnsQuery"),
        http=more.get("http"),
    )


def _sides(verdict: Verdict) -> list[str | None]:
    sides = [verdict.egress.verdict, verdict.ingress.verdict]
    return [*sides, verdict.verdict, verdict.drop_reason, verdict.l7]


def _told(sides: Iterable[str | None]) -> str:
    return " ".join(f"{name}={side or '-'}" for name, side in zip(_SIDES, sides, strict=True))


def _flow(vector: Raw, name: str) -> Failure | None:
    flow, expected = vector["flow"], vector["expected"]
    world = World.from_json(vector)
    source, destination = world.endpoints
    verdict = judge(world.engine, source, destination, flow.get("port"), flow["protocol"], flow)
    wanted, got = _told(expected.get(side) for side in _SIDES), _told(_sides(verdict))
    accepts = bool(vector.get("crdSchemaAccepts", True))
    refusal = _schema_refusal(vector["policies"])
    if accepts is bool(refusal):
        wanted += f" schema={'accepts' if accepts else 'refuses'}"
        got += f" schema={refusal or 'accepts'}"
    if wanted == got:
        return None
    return Failure(
        name, wanted, got, str(vector.get("title") or ""), quirk=bool(vector.get("quirk"))
    )


def _validity(vector: Raw, name: str) -> Failure | None:
    settings = Settings.from_json(vector.get("config") or {})
    expected = vector["expected"]
    accepts = expected.get("crdSchemaAccepts", vector.get("crdSchemaAccepts"))
    found = _validity_failure(
        vector["policies"], settings, imported=bool(expected["valid"]), accepts=accepts
    )
    if found is None:
        return None
    return Failure(name, *found, str(vector.get("title") or ""), quirk=bool(vector.get("quirk")))


def _validity_failure(
    policies: Iterable[Raw], settings: Settings, *, imported: bool, accepts: bool | None
) -> tuple[str, str] | None:
    """(expected, got) where the agent or the schema decides otherwise; None where both agree.

    Args:
        policies: raw objects.
        settings: of the agents.
        imported: whether the agent imports all of them.
        accepts: whether the schema accepts all of them; None when nobody said.
    """
    policies = list(policies)
    found = [finding for policy in policies for finding in problems(policy, settings)]
    refusal = _schema_refusal(policies) if accepts is not None else ""
    if imported is not bool(found) and (accepts is None or accepts is not bool(refusal)):
        return None
    wanted = "agent=imports" if imported else "agent=refuses"
    got = f"agent={found[0] if found else 'imports'}"
    if accepts is not None:
        wanted += f" schema={'accepts' if accepts else 'refuses'}"
        got += f" schema={refusal or 'accepts'}"
    return wanted, got


def _schema_refusal(policies: Iterable[Raw]) -> str:
    """The first reason of the API server's schema against some of the objects, or ""."""
    for policy in policies:
        ref = ObjectRef.of(policy)
        refusals = review(policy, ref, schema_of(ref)).refusals
        if refusals:
            return f"{refusals[0][0]}: {refusals[0][1]}"
    return ""


def _world(raw: Raw, name: str) -> Iterator[Failure | None]:
    settings = Settings.from_json(raw.get("config") or {})
    harness = bool(raw.get("harness"))
    validity = raw.get("validity") or [True] * len(raw["policies"])
    for number, (policy, valid) in enumerate(zip(raw["policies"], validity, strict=True)):
        # What is imported passes the schema; of what is refused nobody said.
        accepts = True if valid else None
        found = _validity_failure([policy], settings, imported=bool(valid), accepts=accepts)
        if found is None:
            yield None
            continue
        what = str(policy["metadata"].get("name"))
        yield Failure(f"{name} policy {number}", *found, what, harness=harness)
    yield from _flows(raw, name, harness=harness)


def _flows(raw: Raw, name: str, *, harness: bool) -> Iterator[Failure | None]:
    world = World.from_json(raw)
    named = dict(zip(raw["endpoints"], world.endpoints, strict=True))
    quirks = {number for several in (raw.get("quirkFlows") or {}).values() for number in several}
    for number, (flow, wanted) in enumerate(zip(raw["flows"], raw["expected"], strict=True)):
        source, destination, protocol, port, *more = flow
        verdict = judge(
            world.engine, named[source], named[destination], port, protocol, more[0] if more else {}
        )
        got = _sides(verdict)
        if got == list(wanted):
            yield None
            continue
        yield Failure(
            f"{name} flow {number}",
            _told(wanted),
            _told(got),
            f"{source} -> {destination} on {verdict.traffic}",
            quirk=number in quirks,
            harness=harness,
        )
