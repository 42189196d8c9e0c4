"""A plan held against a cluster: what would be run, in which order, and how long it takes.

Belongs here: looking, choosing and estimating in one. Does not belong here: running anything.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from acns_chaos.cluster.documents_bounds import short
from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.prometheus import Prometheus
from acns_chaos.errors import ApiError, GameDayError
from acns_chaos.gameday.alert_rules import AlertRule, live_rules
from acns_chaos.gameday.estimate import CLUSTER, Estimate, Pace, deadline_of, estimate, timing_of
from acns_chaos.gameday.plan_values import ALERT, Plan
from acns_chaos.gameday.selection import Selection, select
from acns_chaos.gameday.sight import Sight, look
from acns_chaos.gameday.subsumption import part_of
from acns_chaos.gameday.times import told
from acns_chaos.policy.mutants import Mutant

__all__ = ["Prepared", "prepare", "require_time"]

# Until two scrapes were seen, nobody knows how far apart they are.
LAB_SCRAPE = 1.0
# Seconds of a mutant's own before a detector's deadline begins, as an injection is given up that is
# not seen in force by then, and after it, until the fault is put back.
BEFORE, AFTER = 10.0, 5.0
# What Prometheus and Azure Monitor take for a group of rules that does not say.
USUAL_EVALUATION = 60.0


@dataclass(frozen=True)
class Prepared:
    """What a day would be.

    Attributes:
        plan: as read.
        sight: what the cluster holds, with a proposal for each mutant that can be witnessed.
        selection: what is run, in order.
        rules: what is known of the alert rules, by name.
        here: the estimate for this place.
        there: the same for a cluster that is scraped every 30 s.
        notes: what a person should know, one sentence each.
    """

    plan: Plan
    sight: Sight
    selection: Selection
    rules: Mapping[str, AlertRule]
    here: Estimate
    there: Estimate
    notes: tuple[str, ...] = ()

    @property
    def deadlines(self) -> dict[str, float]:
        """Seconds that each detector has here, by its name."""
        pace = self.here.pace
        return {one.name: deadline_of(one, self.rules, pace) for one in self.plan.detectors}

    def judging(self, mutant: Mutant) -> list[str]:
        """The names of the detectors that ought to notice a mutant."""
        return [one.name for one in self.plan.detectors if one.judges(mutant.effect)]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, for `plan.json` and for programs."""
        return {
            "name": self.plan.name,
            "cluster": self.plan.cluster,
            "seed": self.selection.seed,
            "experiments": [str(path) for path in self.plan.experiments],
            "selection": [self._mutant(one) for one in self.selection.chosen],
            "left_out": [
                {"mutant": one.mutant, "reason": one.reason, "why": one.why}
                for one in self.selection.left
            ],
            "uncovered": [
                {"policy": str(ref), "rule": place, "why": why}
                for (ref, place), why in self.selection.uncovered.items()
            ],
            "detectors": [
                {
                    "name": one.name,
                    "kind": one.kind,
                    "for": list(one.directions),
                    "deadline_ms": round(self.deadlines[one.name] * 1000),
                }
                for one in self.plan.detectors
            ],
            "estimate": {"here": _estimate(self.here), "at_30_s": _estimate(self.there)},
            "notes": list(self.notes),
        }

    def _mutant(self, mutant: Mutant) -> dict[str, Any]:
        timing = self.here.each[mutant.id]
        whole = mutant.as_json()
        kept = {key: whole[key] for key in ("id", "operator", "family", "mistake", "policy")}
        proposal = self.sight.proposals[mutant.id]
        return {
            **kept,
            "place": mutant.place,
            "part": part_of(mutant),
            "class": mutant.effect,
            "closed": whole["closed"],
            "opened": whole["opened"],
            "affected": list(proposal.limit),
            "seen_by": [str(ask) for ask in proposal.turned],
            "detectors": self.judging(mutant),
            "seconds": {"about": round(timing.about, 2), "most": round(timing.most, 2)},
        }


def _estimate(one: Estimate) -> dict[str, Any]:
    return {
        "scrape": one.pace.scrape,
        "total": {"about": round(one.total.about, 1), "most": round(one.total.most, 1)},
        "mean": {"about": round(one.mean.about, 2), "most": round(one.mean.most, 2)},
    }


def prepare(
    plan: Plan,
    api: Api,
    environ: Mapping[str, str],
    *,
    in_lab: bool,
    seed: int = 0,
    waited: Mapping[str, datetime] | None = None,
    tries: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> Prepared:
    """Hold a plan against a cluster. Nothing is changed.

    Args:
        plan: as read.
        api: the cluster.
        environ: the environment, with what a lab hands over.
        in_lab: whether it is the lab.
        seed: decides between mutants that are equal otherwise.
        waited: id of each mutant that was judged before, to when it last was.
        tries: see `sight.look`.
        progress: told what is being done, for people.

    Raises:
        ArgumentError: the plan means no policy that is there.
        ApiError: something that is needed cannot be read.
        GameDayError: a mutant may not stand for as long as a detector has.
    """
    pace, live, notes = _pace(api, environ, in_lab=in_lab)
    # What is evaluated counts, where that can be told.
    rules = live or plan.rules
    require_time(plan, rules, pace)
    sight = Sight((), (), ())
    if plan.mutants is not None:
        sight = look(
            *(api, environ, plan.namespaces, plan.mutants),
            tries=tries,
            evidence_timeout=max(10.0, 2 * pace.scrape),
            progress=progress,
        )
    selection = select(
        sight.mutants,
        unseen=sight.unseen,
        beyond=lambda mutant: mutant.radius.beyond(plan.affected, plan.max_flows),
        rules=sight.rules,
        most=plan.mutants.most if plan.mutants else 0,
        budget=plan.mutants.budget if plan.mutants else 0.0,
        seconds=lambda mutant: timing_of(mutant, plan.detectors, rules, pace).most,
        waited=waited,
        seed=seed,
    )
    return Prepared(
        *(plan, sight, selection, rules),
        here=estimate(selection.chosen, plan.detectors, rules, pace),
        there=estimate(selection.chosen, plan.detectors, rules, CLUSTER),
        notes=(*sight.notes, *notes, *_unheard(plan, selection, rules)),
    )


def require_time(plan: Plan, rules: Mapping[str, AlertRule], pace: Pace) -> None:
    """Refuse a plan by which a mutant would be put back before each detector had its time.

    What is silent until then would count as having noticed nothing.

    Args:
        plan: with `per_run` and detectors.
        rules: what is known of alert rules, by name.
        pace: of the place.

    Raises:
        GameDayError: one has more; the sentence says which `per_run` would do.
    """
    if plan.mutants is None or not plan.detectors:
        return
    deadline, slowest = max(
        ((deadline_of(one, rules, pace), one) for one in plan.detectors), key=lambda pair: pair[0]
    )
    least = math.ceil(BEFORE + deadline + AFTER)
    if least > plan.per_run:
        raise GameDayError(
            f"The {slowest.kind} {short(slowest.name, 200)} has {told(deadline)} to notice here, "
            f"and a mutant may stand for {told(plan.per_run)} at most, so its silence would prove "
            f"nothing: write at least `per_run: {least}s` in limits, or have the detector look "
            "more often."
        )


def _pace(
    api: Api, environ: Mapping[str, str], *, in_lab: bool
) -> tuple[Pace, dict[str, AlertRule], list[str]]:
    usual = Pace(LAB_SCRAPE) if in_lab else Pace(CLUSTER.scrape, usual=USUAL_EVALUATION)
    try:
        prometheus = Prometheus.from_environ(environ, api)
        scrape = prometheus.scrape_interval()
    except ApiError as error:
        return usual, {}, [f"Prometheus cannot be asked, so times are guessed: {error}"]
    if in_lab:
        # A lab that has just begun has not scraped twice; its world says no less than this.
        scrape = max(scrape or LAB_SCRAPE, 0.1)
    return replace(usual, scrape=scrape or usual.scrape), live_rules(prometheus), []


def _unheard(plan: Plan, selection: Selection, rules: Mapping[str, AlertRule]) -> list[str]:
    """What is odd about the plan, in this place."""
    notes = []
    for effect, word in (("closes", "availability"), ("opens", "security")):
        count = sum(1 for one in selection.chosen if one.effect in (effect, "both"))
        if count and not any(word in one.directions for one in plan.detectors):
            notes.append(f"No detector is for {word}: {count} mutants will survive in that score.")
    unheard = (one for one in plan.detectors if rules and one.kind == ALERT)
    return notes + [
        f"There is no alert rule {one.name}: it can notice nothing."
        for one in unheard
        if one.name not in rules
    ]
