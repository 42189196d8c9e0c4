"""How long mutants take: from what was measured in the lab, and from how often detectors look.

Belongs here: seconds. Does not belong here: what is run (`selection`).

Where the time goes: the steady state is asked before and after; the fault is written and seen; it
stands until every detector that judges it has noticed, or until the last one's deadline; it is
restored and seen to be; the alerts fall silent. A closed claim waits for its drop to be counted,
so with rare scrapes these are what takes longest.

Measured on 2026-11-23 on two shared cores, from the journals of two experiments that `acns-chaos
init` wrote for the lab's world `pets` (a peer's key misspelt in allow-order-service-traffic, and
allow-store-front-traffic's subject): the steady state took 1.03 to 1.07 s, of which 1 s is the
client's patience at what is denied; the injection 1.11 and 1.18 s; the restore 0.06 s, and 1.04 s
where a client must meet silence again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from acns_chaos.gameday.alert_rules import EVALUATION, AlertRule
from acns_chaos.gameday.plan_values import ALERT, Detector
from acns_chaos.policy.mutants import OPENS, Mutant

__all__ = ["CLUSTER", "Estimate", "Pace", "Timing", "deadline_of", "estimate", "timing_of"]

# Seconds, as measured (see above).
STEADY, INJECTED, RESTORED, DENIED_AGAIN = 1.07, 1.18, 0.06, 1.04
# A client meets silence for a second before it says so.
PATIENCE = 1.0
# A claim of one or two probes, its process being there already.
CLAIM_RUN = 1.5
# Customers come once a second in the lab; the first one cut off is half of that away.
TRAFFIC = 0.5


@dataclass(frozen=True, slots=True)
class Pace:
    """How often things happen somewhere; times in seconds.

    Attributes:
        scrape: between two scrapes.
        evaluation: between two evaluations of an alert rule, at least.
        every: between two runs of a claim, at least.
        usual: between two evaluations of a rule that nobody can list.
    """

    scrape: float
    evaluation: float = 0.0
    every: float = 0.0
    usual: float = EVALUATION


CLUSTER = Pace(scrape=30.0, evaluation=30.0, every=60.0)
"""A cluster as AKS sets it up: scraped every 30 s; rules and claims seldom run more often."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds.

    Attributes:
        about: when every detector notices.
        most: when none does.
    """

    about: float
    most: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long all of them take, one after another.

    Attributes:
        pace: for which it holds.
        total: of all.
        each: id of each mutant, to its own.
    """

    pace: Pace
    total: Timing
    each: Mapping[str, Timing]

    @property
    def mean(self) -> Timing:
        """Of one mutant, on average; zeros without any."""
        count = len(self.each) or 1
        return Timing(self.total.about / count, self.total.most / count)


def deadline_of(detector: Detector, rules: Mapping[str, AlertRule], pace: Pace) -> float:
    """The seconds that a detector has, by the plan and never less than it needs.

    Args:
        detector: of the plan.
        rules: what is known of alert rules, by name.
        pace: of the place.
    """
    rule = _rule(detector, rules, pace)
    slower = replace(detector, every=max(detector.every, pace.every))
    return slower.patience(pace.scrape, rule.evaluation, rule.held)


def estimate(
    mutants: Iterable[Mutant],
    detectors: Iterable[Detector],
    rules: Mapping[str, AlertRule],
    pace: Pace,
) -> Estimate:
    """How long mutants take; arguments as `timing_of`."""
    known = tuple(detectors)
    each = {mutant.id: timing_of(mutant, known, rules, pace) for mutant in mutants}
    about, most = (sum(getattr(one, kind) for one in each.values()) for kind in ("about", "most"))
    return Estimate(pace, Timing(about, most), each)


def timing_of(
    mutant: Mutant, detectors: Iterable[Detector], rules: Mapping[str, AlertRule], pace: Pace
) -> Timing:
    """How long one mutant takes.

    Args:
        mutant: classed.
        detectors: of the plan.
        rules: what is known of alert rules, by name.
        pace: of the place.
    """
    judging = [one for one in detectors if one.judges(mutant.effect)]
    noticed = max((_noticed(one, rules, pace) for one in judging), default=0.0)
    deadline = max((deadline_of(one, rules, pace) for one in judging), default=0.0)
    # An alert fires for as long as its expression looks back; the next fault waits for that.
    quiet = max((_quiet(one, rules, pace) for one in judging), default=0.0)
    restored = DENIED_AGAIN if mutant.effect == OPENS else RESTORED
    usual, late = STEADY + max(0.0, pace.scrape / 2 - PATIENCE), STEADY + pace.scrape
    return Timing(
        usual + INJECTED + max(PATIENCE, noticed) + restored + max(usual, quiet),
        late + INJECTED + max(PATIENCE, deadline) + restored + max(late, quiet),
    )


def _rule(detector: Detector, rules: Mapping[str, AlertRule], pace: Pace) -> AlertRule:
    """What is known of its rule, not faster than the place is."""
    known = rules.get(detector.name) if detector.kind == ALERT else None
    if known is None:
        return AlertRule(detector.name, max(pace.evaluation, pace.usual), back=2 * pace.scrape)
    evaluation, back = max(known.evaluation, pace.evaluation), max(known.back, 2 * pace.scrape)
    return AlertRule(known.name, evaluation, known.held, back)


def _noticed(detector: Detector, rules: Mapping[str, AlertRule], pace: Pace) -> float:
    """Seconds after which it usually notices."""
    if detector.kind != ALERT:
        return max(detector.every, pace.every) / 2 + CLAIM_RUN
    rule = _rule(detector, rules, pace)
    return TRAFFIC + (pace.scrape + rule.evaluation) / 2 + rule.held


def _quiet(detector: Detector, rules: Mapping[str, AlertRule], pace: Pace) -> float:
    """Seconds after the last drop until it is silent again."""
    if detector.kind != ALERT:
        return 0.0
    rule = _rule(detector, rules, pace)
    return rule.back + (pace.scrape + rule.evaluation) / 2
