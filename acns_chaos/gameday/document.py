"""A mutant as an experiment: plain Chaos Toolkit, which anybody can repeat with `chaos run`.

Belongs here: what a game day adds to what every experiment of a proposal has, which is its
detectors and what `judging` must know of the mutant. Does not belong here: how detectors are asked
(`acns_chaos.evidence.detecting`), and running anything.

The detectors are two activities. Before the fault one waits until all are silent, so that none is
taken to have noticed what was there before; while it stands the other waits until each has noticed
or its time is over. Neither is a witness: what proves that the fault bit kills nothing.
"""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from acns_chaos.cluster.documents import parse
from acns_chaos.cluster.inventory import workload_of
from acns_chaos.cluster.sources import read_bounded
from acns_chaos.errors import GameDayError
from acns_chaos.evidence.values import mapping, sequence, text
from acns_chaos.faults.proposing import documents
from acns_chaos.faults.proposing.asks import CONNECT
from acns_chaos.faults.proposing.outline import Proposal
from acns_chaos.gameday.asked import MUTANT, denied
from acns_chaos.gameday.plan_values import ALERT, CLAIM, Detector, Plan
from acns_chaos.gameday.preparing import Prepared
from acns_chaos.policy.model import INGRESS
from acns_chaos.policy.mutants import Mutant

__all__ = ["CONTROL", "MUTANT", "NOTICED", "QUIET", "experiment_of", "file_name"]

Json = dict[str, Any]

# The names of the activities.
QUIET, NOTICED = "the detectors are silent before the fault", "somebody notices"
CONTROL = "acns_chaos.controls.schedule"

# A drop must be counted within so many seconds, and within so many scrapes.
LEAST_EVIDENCE, SCRAPES = 10.0, 2
# An alert looks back, and a claim must be run once: seconds until detectors are silent, at least,
# and how often the longest deadline.
LEAST_QUIET, DEADLINES = 15.0, 2
# Of what a mutant opens so many are written down: flows that can be asked, and flows of any kind.
ASKS, FLOWS = 3, 3
DNS = 53
# Of a file's name in characters, without its number and ending.
LONGEST_SLUG = 100


def file_name(position: int, mutant: Mutant) -> str:
    """The name of a mutant's experiment and journal, such as "007-allow-x-rule-emptied-….json".

    Args:
        position: in the day's order; what makes it unique.
        mutant: whose.
    """
    words = f"{mutant.policy.name} {mutant.operator} {mutant.place}".lower()
    slug = re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:LONGEST_SLUG].rstrip("-")
    return f"{position:03d}-{slug or 'mutant'}.json"


def experiment_of(
    prepared: Prepared, mutant: Mutant, position: int, *, schedule: str = ""
) -> dict[str, Any]:
    """The experiment of a mutant.

    Args:
        prepared: the plan, held against the cluster.
        mutant: one of those that were chosen.
        position: in the day's order.
        schedule: folder into which the day's player of claims writes (`schedule.play`); "" lets the
            experiment play them itself, as it does when nobody plays there.

    Returns:
        The document. Claims that the lab plays are copied into it, so that it needs no other file;
        the lab's world and rules are named by absolute paths.

    Raises:
        GameDayError: the mutant cannot be witnessed, so there is no experiment of it.
        DocumentError: a claim's file cannot be read any more.
    """
    proposal = prepared.sight.proposals.get(mutant.id)
    if proposal is None:
        raise GameDayError(f"{mutant.id} cannot be witnessed from here, so it is no experiment.")
    plan = prepared.plan
    judging = [one for one in plan.detectors if one.judges(mutant.effect)]
    asked = [_asked(one, prepared.deadlines[one.name]) for one in judging]
    places = _places(plan, mutant)
    witnessing, witnesses = documents.witnesses_of(proposal, by_flows=True)
    found = documents.experiment_of(
        proposal,
        [_silent(asked, places)] if asked else [],
        [*witnessing, _noticed(asked, places), *_signal(proposal)],
        {
            "witnesses": witnesses,
            "detectors": [NOTICED],
            MUTANT: _described(mutant, proposal, position, plan) | _to_suggest(mutant, prepared),
        },
        plan.max_flows,
    )
    if _lookup_goes(mutant, proposal):
        # By name, each try would wait until the lookup is given up; by address the flow itself.
        (inject,) = (one for one in found["method"] if one["name"] == "inject the fault")
        inject["provider"]["arguments"].pop("witness", None)
    configuration = found["configuration"]
    if "evidence_timeout" in configuration:
        least = max(LEAST_EVIDENCE, SCRAPES * prepared.here.pace.scrape)
        configuration["evidence_timeout"]["default"] = least
    configuration["fault_deadline"] = plan.per_run
    found["tags"].append("game-day")
    _controls(found, plan, [one for one in judging if one.kind == CLAIM], schedule)
    return found


def _lookup_goes(mutant: Mutant, proposal: Proposal) -> bool:
    """Whether a mistake closes the lookups as well of who sees what it closes, from a pod here."""
    ask = proposal.turned[0]
    if proposal.opens or ask.way != CONNECT or ask.home != mutant.policy.namespace:
        return False
    return any(
        flow.port == DNS and workload_of(flow.source) == ask.source for flow in mutant.radius.closed
    )


def _described(mutant: Mutant, proposal: Proposal, position: int, plan: Plan) -> Json:
    whole = mutant.as_json()
    kept = {key: whole[key] for key in ("id", "operator", "family", "mistake", "class", "policy")}
    seen_by = [str(ask) for ask in proposal.turned]
    return {**kept, "place": mutant.place, "position": position, "plan": plan.name} | {
        "seen_by": seen_by
    }


def _to_suggest(mutant: Mutant, prepared: Prepared) -> Json:
    """What `suggest` must know, should nobody notice."""
    plan, sight = prepared.plan, prepared.sight
    found: Json = {}
    if mutant.radius.opened_count:
        opened = sight.opened.get(mutant.id, ())
        flows = mutant.radius.as_json()["opened"]
        found["asked"] = [asdict(ask) for ask in opened[:ASKS]]
        found["opened"] = [str(one) for one in flows[:FLOWS]]
        found["more"] = max(0, mutant.radius.opened_count - FLOWS)
    ours = [one.claim for one in plan.detectors if one.kind == CLAIM and one.claim is not None]
    claims = [mapping(parse(read_bounded(path), str(path))[0].value) for path in ours]
    asks = {ask for one in claims for ask in denied(one)}
    ends = {sight.dropped.get(ask, (INGRESS, ask.target)) for ask in asks}
    return found | {"knocked": sorted(f"{owner} {way}" for way, owner in ends)}


def _asked(detector: Detector, deadline: float) -> Json:
    """A detector as the probe `read_detectors` takes it."""
    found: Json = {"name": detector.name, "kind": detector.kind, "for": list(detector.directions)}
    found["deadline"] = round(deadline, 3)
    if detector.kind == ALERT:
        return found | ({"labels": dict(detector.labels)} if detector.labels else {})
    return found | ({"cronjob": detector.cronjob} if detector.cronjob else {})


def _places(plan: Plan, mutant: Mutant) -> Json:
    """The plan's namespaces, as the probe `read_detectors` takes them; {} for only one."""
    beside = sequence(mapping(plan.document.get("target")).get("beside"))
    others = {*plan.namespaces, *map(text, beside)} - {mutant.policy.namespace}
    if not others:
        return {}
    ends = {workload.partition("/")[0] for workload in mutant.radius.workloads}
    found = {"touched": sorted(others & ends), "elsewhere": sorted(others - ends)}
    return found if found["elsewhere"] else {}


def _silent(asked: list[Json], places: Json) -> Json:
    deadline = max(LEAST_QUIET, DEADLINES * max(one["deadline"] for one in asked))
    arguments: Json = {"detectors": asked, "expect": "SILENT", "deadline": deadline, **places}
    return documents.probe_activity(QUIET, "read_detectors", arguments)


def _noticed(asked: list[Json], places: Json) -> Json:
    return documents.probe_activity(NOTICED, "read_detectors", {"detectors": asked, **places})


def _signal(proposal: Proposal) -> list[Json]:
    """The counter that somebody could have listened to: by now it has been scraped, if ever."""
    return [] if proposal.opens else [documents.counted(proposal, deadline=0)]


def _controls(found: Json, plan: Plan, claims: list[Detector], schedule: str) -> None:
    """Give the lab its world and rules, and have the claims run that nobody else runs."""
    if plan.cluster == "lab":
        (lab,) = (one for one in found["controls"] if one["name"] == "lab")
        world = plan.world
        is_file = world.endswith((".yaml", ".yml"))
        lab["provider"]["arguments"] = {
            "world": str(Path(world).absolute()) if is_file else world,
            **({"rules": str(plan.rules_file.absolute())} if plan.rules_file else {}),
        }
    ours = [one for one in claims if not one.cronjob]
    if not ours:
        return
    arguments: Json = {"claims": [_copied(one) for one in ours]}
    if schedule:
        arguments["folder"] = schedule
    provider = {"type": "python", "module": CONTROL, "arguments": arguments}
    # Before the lab: controls are cleaned up in their order, and claims need a lab that is there.
    found["controls"].insert(1, {"name": "schedule", "provider": provider})


def _copied(detector: Detector) -> Json:
    if detector.claim is None:
        raise GameDayError(f"The detector {detector.name} has no claim: write one in the plan.")
    document = parse(read_bounded(detector.claim), str(detector.claim))[0].value
    return {"name": detector.name, "every": detector.every, "document": document}
