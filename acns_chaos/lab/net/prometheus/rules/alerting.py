"""What one rule makes of its expression's value: alerts with their states, or recorded series.

Step by step as Prometheus 2.42 does it; when a rule is evaluated, `evaluator` knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from acns_chaos.lab.net.prometheus.rules.reading import Spec
from acns_chaos.lab.net.prometheus.rules.texts import TemplateError, expanded
from acns_chaos.lab.net.promql.history import Labels, milliseconds
from acns_chaos.lab.net.promql.vectors import ExecutionError, Vector, nameless

INACTIVE, PENDING, FIRING = "inactive", "pending", "firing"
_ORDER = (INACTIVE, PENDING, FIRING)
# One that is over is remembered for this many seconds, and nobody sees it.
_REMEMBERED = 900.0
_SAME = "vector contains metrics with the same labelset after applying {} labels"
Samples = list[tuple[Labels, float]]


@dataclass(slots=True)
class Alert:
    """One alert of a rule; moments are seconds since 1970.

    Attributes:
        labels: of the element, with those of the rule and `alertname`.
        annotations: expanded.
        state: INACTIVE once it is over.
        value: of the element, when it was last there.
        active_at: since when its condition holds.
        resolved_at: when it was over.
        kept_since: since when it fires on though its condition no longer holds.
    """

    labels: Labels
    annotations: dict[str, str]
    value: float
    active_at: float
    state: str = PENDING
    resolved_at: float | None = None
    kept_since: float | None = None


@dataclass(slots=True)
class Alerting:
    """The alerts of one alerting rule.

    Attributes:
        spec: the rule.
        alerts: by labels, those that are over among them.
    """

    spec: Spec
    alerts: dict[Labels, Alert] = field(default_factory=dict)

    @property
    def current(self) -> list[Alert]:
        """Those that are pending or fire."""
        return [alert for alert in self.alerts.values() if alert.state != INACTIVE]

    @property
    def state(self) -> str:
        """The worst that an alert of it is in."""
        states = [alert.state for alert in self.current]
        return max(states, key=_ORDER.index, default=INACTIVE)

    def evaluate(self, at: float, vector: Vector, limit: int) -> Samples:
        """Go on to a moment.

        Args:
            at: seconds since 1970.
            vector: what the expression gave.
            limit: of alerts, 0 for none.

        Returns:
            The samples of ALERTS and ALERTS_FOR_STATE.

        Raises:
            ExecutionError: two alerts have the same labels, or there are more than the limit.
        """
        found = self._found(at, vector)
        for labels, alert in found.items():
            known = self.alerts.get(labels)
            if known is None or known.state == INACTIVE:
                self.alerts[labels] = alert
            else:
                known.value, known.annotations = alert.value, alert.annotations
        samples: Samples = []
        active = 0
        for labels, alert in list(self.alerts.items()):
            if labels in found:
                alert.kept_since = None
            elif not self._is_kept(alert, at):
                self._resolve(alert, at)
                continue
            active += 1
            if alert.state == PENDING and _passed(at, alert.active_at, self.spec.hold):
                alert.state = FIRING
            samples.append((_named("ALERTS", {**dict(labels), "alertstate": alert.state}), 1.0))
            samples.append((_named("ALERTS_FOR_STATE", dict(labels)), float(int(alert.active_at))))
        if limit and active > limit:
            self.alerts.clear()
            raise ExecutionError(f"exceeded limit of {limit} with {active} alerts")
        return samples

    def _found(self, at: float, vector: Vector) -> dict[Labels, Alert]:
        found: dict[Labels, Alert] = {}
        for element, value in vector:
            texts = {
                name: _filled(text, element, value)
                for name, text in (*self.spec.labels, ("alertname", self.spec.name))
            }
            labels = _sorted({**nameless(element), **texts})
            if labels in found:
                raise ExecutionError(_SAME.format("alert"))
            notes = {name: _filled(text, element, value) for name, text in self.spec.annotations}
            found[labels] = Alert(labels, notes, value, at)
        return found

    def _is_kept(self, alert: Alert, at: float) -> bool:
        """Whether one whose condition no longer holds fires on for a while."""
        if alert.state != FIRING or not self.spec.keep:
            return False
        if alert.kept_since is None:
            alert.kept_since = at
        return not _passed(at, alert.kept_since, self.spec.keep)

    def _resolve(self, alert: Alert, at: float) -> None:
        over = alert.resolved_at is not None and at - alert.resolved_at > _REMEMBERED
        if alert.state == PENDING or over:
            del self.alerts[alert.labels]
        if alert.state != INACTIVE:
            alert.state, alert.resolved_at = INACTIVE, at


def recorded(spec: Spec, vector: Vector, limit: int) -> Samples:
    """What a recording rule stores.

    Args:
        spec: the rule.
        vector: what its expression gave.
        limit: of series, 0 for none.

    Raises:
        ExecutionError: two series have the same labels, or there are more than the limit.
    """
    samples = {
        _named(spec.name, {**nameless(labels), **dict(spec.labels)}): value
        for labels, value in vector
    }
    if len(samples) != len(vector):
        raise ExecutionError(_SAME.format("rule"))
    if limit and len(samples) > limit:
        raise ExecutionError(f"exceeded limit of {limit} with {len(samples)} series")
    return list(samples.items())


def _passed(at: float, since: float, seconds: float) -> bool:
    """Whether so much time has passed, to the millisecond."""
    return milliseconds(at) - milliseconds(since) >= milliseconds(seconds)


def _filled(text: str, labels: Mapping[str, str], value: float) -> str:
    try:
        return expanded(text, labels, value)
    except TemplateError as problem:
        return f"<error expanding template: {problem}>"


def _named(name: str, labels: Mapping[str, str]) -> Labels:
    return _sorted({**labels, "__name__": name})


def _sorted(labels: Mapping[str, str]) -> Labels:
    # An empty label is an absent one to Prometheus.
    return tuple(sorted((name, value) for name, value in labels.items() if value))
