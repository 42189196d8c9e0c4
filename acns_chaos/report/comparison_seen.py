"""What was seen of predicted flows: by the run's own witness, and by probes of the method."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from acns_chaos.evidence.answers import Run
from acns_chaos.evidence.facts import Facts
from acns_chaos.evidence.values import mapping, mappings, moment, text, word

__all__ = [
    "CLOSES",
    "DENIED",
    "DROPPED",
    "LONGEST",
    "OPEN",
    "OPENS",
    "UNLOOKED",
    "SeenFlow",
    "probed",
    "witnessed",
]

CLOSES, OPENS = "closes", "opens"
DROPPED, DENIED, OPEN = "dropped", "denied", "open"
UNLOOKED = "nobody looked"
LONGEST = 160
# So many are named who saw a flow.
TOLD = 3
# "FLOW was denied: how", as the run's own witness says.
_WITNESS = re.compile(r"(?P<flow>.+? -> \S+) was (?P<state>denied|open): (?P<how>.+)")
_SHOWN = re.compile(r"(?P<source>\S+) -> (?P<destination>\S+):(?P<port>\d+)/TCP")


@dataclass(slots=True)
class SeenFlow:
    """One predicted flow and what was seen of it."""

    text: str
    way: str
    happened: dict[str, list[str]] = field(default_factory=dict)
    contrary: dict[str, list[str]] = field(default_factory=dict)

    def told(self, state: str, how: str) -> None:
        """Take what somebody saw."""
        wanted = (DROPPED, DENIED) if self.way == CLOSES else (OPEN,)
        into = self.happened if state in wanted else self.contrary
        known = into.setdefault(state, [])
        if how not in known and len(known) < TOLD:
            known.append(how)

    def row(self) -> tuple[str, str, str, str]:
        """Write it."""
        seen = {**self.happened, **self.contrary}
        states = " and ".join(seen) or UNLOOKED
        hows = [how for known in seen.values() for how in known]
        return (self.text, self.way, states, "; ".join(hows))


def witnessed(
    facts: Facts, flows: dict[tuple[str, str], SeenFlow]
) -> list[tuple[str, str, str, str]]:
    """Take what the run's own witness saw; return what of it was predicted by no name it used."""
    beside: dict[str, tuple[str, str, str, str]] = {}
    for fault in mappings(facts.section.get("faults")):
        found = _WITNESS.fullmatch(text(fault.get("realised_by"), 400))
        if found is None or moment(fault.get("realised")) is None:
            continue
        state = DENIED if found["state"] == "denied" else OPEN
        how = f"the run's witness: {text(found['how'], LONGEST)}"
        way = CLOSES if state == DENIED else OPENS
        home = word(mapping(fault.get("policy")).get("namespace")) or word(
            facts.target.get("namespace")
        )
        if (flow := flows.get((way, _whole(found["flow"], home)))) is not None:
            flow.told(state, how)
        else:
            name = text(found["flow"], LONGEST)
            beside.setdefault(name, (name, "not by this name", state, how))
    return list(beside.values())


def _whole(flow: str, home: str) -> str:
    """Write a flow as a prediction does: with namespaces, a port and a protocol."""
    source, _, destination = flow.partition(" -> ")
    if re.fullmatch(r".+/[A-Z]+", destination):
        return text(flow, LONGEST)
    source = source if "/" in source or source in ("world", "a stranger") else f"{home}/{source}"
    host = destination.partition(":")[0]
    inside = "." not in host and "/" not in host
    return text(f"{source} -> {f'{home}/' if inside else ''}{destination}/TCP", LONGEST)


def probed(facts: Facts, flows: dict[tuple[str, str], SeenFlow]) -> None:
    """Take what probes of the method met while a fault stood."""
    stood = _stood(facts)
    for run in facts.runs:
        asked = _asked(run, word(facts.target.get("namespace")))
        answer = run.answer
        if asked is None or answer.state not in ("OPEN", "DENIED"):
            continue
        began, ended = run.began(answer), moment(mapping(run.output).get("at"))
        if not (began and ended) or not any(a <= began and ended <= b for a, b in stood):
            continue
        state = OPEN if answer.state == "OPEN" else DENIED
        for flow in _meant(asked, flows):
            flow.told(state, f'probe "{text(run.name, 80)}"')


def _meant(
    asked: tuple[str, str, str], flows: dict[tuple[str, str], SeenFlow]
) -> Iterable[SeenFlow]:
    """Find the predicted flow that a probe tried: by its port, else the only one between the two.

    A probe names a Service's port and policy the pod's, so of several none is certain.
    """
    source, destination, port = asked
    for way in (CLOSES, OPENS):
        between: dict[str, SeenFlow] = {}
        for (kind, name), flow in flows.items():
            found = _SHOWN.fullmatch(name)
            ends = (source, destination)
            if kind == way and found and (found["source"], found["destination"]) == ends:
                between[found["port"]] = flow
        if port in between:
            yield between[port]
        elif len(between) == 1:
            yield from between.values()


def _asked(run: Run, home: str) -> tuple[str, str, str] | None:
    """Return (source, destination, port) of a probe that tries one connection, else None."""
    provider = mapping(run.activity.get("provider"))
    given = mapping(provider.get("arguments"))
    func = word(provider.get("func"))
    space = word(given.get("namespace")) or home
    workload = word(given.get("workload"))
    source = f"{space}/{workload}" if workload else ""
    if not source or word(provider.get("module")) != "acns_chaos.probes":
        return None
    if func == "read_connection":
        service = word(given.get("service"))
        return source, service if "/" in service else f"{space}/{service}", text(given.get("port"))
    found = re.fullmatch(r"(https?)://([^/:]+)(?::(\d+))?(?:/.*)?", word(given.get("url")))
    if func == "read_egress" and found:
        return source, found[2], found[3] or {"https": "443", "http": "80"}[found[1]]
    return None


def _stood(facts: Facts) -> list[tuple[datetime, datetime]]:
    """Return when each fault was in force for sure: realised, and not yet being put back."""
    found = []
    for fault in mappings(facts.section.get("faults")):
        since = moment(fault.get("realised"))
        until = moment(mapping(fault.get("restored")).get("submitted"))
        if since and until:
            found.append((since, until))
    return found
