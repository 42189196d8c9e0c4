"""What a plan means, as values.

Belongs here: the parts of a `Plan`, and what follows from them alone. Does not belong here: reading
one (`plan`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from acns_chaos.gameday.alert_rules import AlertRule
from acns_chaos.gameday.times import Blackout

__all__ = ["ALERT", "AVAILABILITY", "CLAIM", "SECURITY", "Detector", "Plan", "Wanted"]

AVAILABILITY, SECURITY = "availability", "security"
ALERT, CLAIM = "alert", "claim"

# See `Detector.patience`.
PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class Detector:
    """What would have told the team without us; times in seconds.

    Attributes:
        name: of the alert, or the claim's file without its ending.
        kind: ALERT or CLAIM.
        directions: AVAILABILITY, SECURITY or both: which faults it judges.
        deadline: how long it may take, as written; None is as long as it needs (`patience`).
        labels: that the alert must carry.
        claim: path of the claim's file.
        every: how often the claim is run.
        lasts: how long its probes may take together.
        cronjob: "namespace/name" of what runs it on a cluster, "" in the lab.
    """

    name: str
    kind: str
    directions: tuple[str, ...]
    deadline: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    claim: Path | None = None
    every: float = 0.0
    lasts: float = 0.0
    cronjob: str = ""

    def judges(self, effect: str) -> bool:
        """Whether it ought to notice a mutant of a class ("closes", "opens" or "both")."""
        return (effect != "opens" and AVAILABILITY in self.directions) or (
            effect != "closes" and SECURITY in self.directions
        )

    def slowest(self, scrape: float, evaluation: float, held: float = 0.0) -> float:
        """Seconds after which it has noticed at the latest, if it does at all.

        Args:
            scrape: seconds between two scrapes.
            evaluation: seconds between two evaluations of its rule.
            held: seconds for which the rule's expression must hold.
        """
        # A claim waits for its drops to be counted.
        return scrape + (self.every if self.kind == CLAIM else evaluation + held)

    def patience(self, scrape: float, evaluation: float, held: float = 0.0) -> float:
        """Its deadline in seconds, never shorter than it needs; arguments as `slowest`.

        One that needs t seconds was not asked in haste after three times t. A claim that was being
        run when the fault bit must end, and another run must be had in full.
        """
        slowest = self.slowest(scrape, evaluation, held)
        least = max(PATIENCE * slowest, slowest + 2 * self.lasts)
        return max(self.deadline or 0.0, least)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which mutants are meant.

    Attributes:
        policies: names or globs, of names or of "namespace/name"; empty is all.
        families: of mistakes; empty is all.
        classes: "closes", "opens", "both".
        names: outside names that are asked besides those that policies write in full.
        most: mutants at most; 0 is no limit.
        budget: seconds at most by the estimate; 0 is no limit.
    """

    policies: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    classes: tuple[str, ...] = ("closes", "opens", "both")
    names: tuple[str, ...] = ()
    most: int = 0
    budget: float = 0.0


@dataclass(frozen=True)
class Plan:
    """A plan as it is meant.

    Attributes:
        name: of the day, in reports and history.
        cluster: "lab", "in-cluster" or a kube context.
        namespaces: whose policies may be made wrong.
        world: of a lab that is started: a name or a path.
        rules_file: the alert rules of such a lab; None without.
        rules: what they hold, by name; empty on a cluster, whose Prometheus knows its own.
        mutants: None when only experiments are meant.
        experiments: paths of further experiments, run first.
        detectors: each with a name of its own.
        affected: workloads that may be touched; empty leaves it to each mutant's prediction.
        max_flows: how many flows a mutant may turn; 0 is any number.
        per_run: seconds that one mutant may stand.
        stop_survivors, stop_unknown: stop after so many; 0 never. NOT_RESTORED always stops.
        blackout: when nothing is injected.
        minimum: direction to the least score that passes; a direction without one always does.
        document: the plan as it was read, plain JSON: `plan_of` makes it a plan again.
        folder: where its files are.
    """

    name: str
    cluster: str
    namespaces: tuple[str, ...]
    world: str
    rules_file: Path | None
    rules: Mapping[str, AlertRule]
    mutants: Wanted | None
    experiments: tuple[Path, ...]
    detectors: tuple[Detector, ...]
    affected: tuple[str, ...]
    max_flows: int
    per_run: float
    stop_survivors: int
    stop_unknown: int
    blackout: tuple[Blackout, ...]
    minimum: Mapping[str, float]
    document: Mapping[str, Any]
    folder: Path

    def blackout_at(
        self, moment: datetime, within: float = 0.0
    ) -> tuple[Blackout, datetime] | None:
        """The hours that forbid faults at a moment, and when they end; None when none do.

        Args:
            moment: with a time zone.
            within: seconds after it in which they may as well begin.
        """
        last = moment + timedelta(seconds=within)
        while moment <= last:
            for one in self.blackout:
                if (end := one.until(moment)) is not None:
                    return one, end
            # Hours begin with a minute.
            moment = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        return None
