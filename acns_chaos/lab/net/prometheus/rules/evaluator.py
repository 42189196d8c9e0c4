"""Rules at work: each group evaluated at its interval, on the lab's clock, into the history.

A group is evaluated at once when it comes, and a file replaces another as a reload does: a group
that stands goes on undisturbed, a rule that keeps its name and labels keeps its alerts, and the
series of one that is gone end.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import promql_parser as pp

from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.prometheus.rules.alerting import Alert, Alerting, Samples, recorded
from acns_chaos.lab.net.prometheus.rules.reading import Group, Spec, read_groups
from acns_chaos.lab.net.prometheus.rules.texts import scientific
from acns_chaos.lab.net.promql.evaluation import Query
from acns_chaos.lab.net.promql.expressions import ParseError
from acns_chaos.lab.net.promql.history import History, milliseconds
from acns_chaos.lab.net.promql.vectors import ExecutionError, Vector

FILE = "rules.yml"
_NEVER = "0001-01-01T00:00:00Z"
# Group, kind, name, labels, and which of several that are alike.
_Key = tuple[object, ...]


@dataclass(slots=True)
class _Evaluated:
    """When something was evaluated last, and how long that took, in seconds."""

    at: float | None = None
    took: float = 0.0

    def as_json(self) -> dict[str, Any]:
        last = _NEVER if self.at is None else _moment(self.at)
        return {"evaluationTime": self.took, "lastEvaluation": last}


class _Rule:
    """One rule at work."""

    def __init__(self, spec: Spec, key: _Key, history: History) -> None:
        self.spec = spec
        self.key = key
        self.alerting = Alerting(spec)
        self.health = "unknown"
        self.trouble = ""
        self.last = _Evaluated()
        self._history = history
        self._query = Query(spec.expression, history)
        self._generation = history.generation

    def evaluate(self, at: float, limit: int) -> None:
        """Evaluate it, and store what comes of it; what it stored before stays after an error."""
        begun = time.perf_counter()
        try:
            samples = self._samples(at, limit)
        except (ExecutionError, ParseError) as problem:
            self.health, self.trouble = "err", str(problem)
        else:
            self.health, self.trouble = "ok", ""
            self._history.append(at, samples, self.key)
        self.last = _Evaluated(at, time.perf_counter() - begun)

    def _samples(self, at: float, limit: int) -> Samples:
        vector = self._vector(at)
        if self.spec.alerting:
            return self.alerting.evaluate(at, vector, limit)
        return recorded(self.spec, vector, limit)

    def _vector(self, at: float) -> Vector:
        if self._generation != self._history.generation:
            # A query remembers which series it selected.
            self._query = Query(self._query.expression, self._history)
            self._generation = self._history.generation
        if isinstance(self._query.expression, pp.MatrixSelector):
            raise ExecutionError("rule result is not a vector or scalar")
        value = self._query.at(at)
        if isinstance(value, str):
            raise ExecutionError("rule result is not a vector or scalar")
        return [({}, value)] if isinstance(value, float) else value

    def as_json(self) -> dict[str, Any]:
        """The rule as the API shows it."""
        spec = self.spec
        about = {"name": spec.name, "query": spec.query}
        state = {"health": self.health, **({"lastError": self.trouble} if self.trouble else {})}
        if not spec.alerting:
            labels = {"labels": dict(spec.labels)} if spec.labels else {}
            return {**about, **labels, **state, **self.last.as_json(), "type": "recording"}
        return {
            "state": self.alerting.state,
            **about,
            "duration": _number(spec.hold),
            "keepFiringFor": _number(spec.keep),
            "labels": dict(spec.labels),
            "annotations": dict(spec.annotations),
            "alerts": [_alert(alert) for alert in self.alerting.current],
            **state,
            **self.last.as_json(),
            "type": "alerting",
        }


@dataclass(slots=True)
class _Group:
    """One group at work."""

    spec: Group
    rules: list[_Rule]
    last: _Evaluated = field(default_factory=_Evaluated)
    task: "asyncio.Task[None] | None" = None

    def evaluate(self, at: float) -> None:
        begun = time.perf_counter()
        for rule in self.rules:
            rule.evaluate(at, self.spec.limit)
        self.last = _Evaluated(at, time.perf_counter() - begun)


class Rules:
    """The rules of one Prometheus.

    Args:
        history: that they ask, and store into.
        clock: when.

    Attributes:
        text: of the file that is in force.
        file: what it is called.
    """

    def __init__(self, history: History, clock: Clock) -> None:
        self._history = history
        self._clock = clock
        self._groups: list[_Group] = []
        self._is_running = False
        self.text = ""
        self.file = FILE

    def replace(self, text: str, file: str = FILE) -> None:
        """Put a file in the place of the one in force.

        Args:
            text: of a rule file; "" for no rules.
            file: what to call it.

        Raises:
            BadRules: it cannot be used; the rules in force stay.
        """
        wanted = read_groups(text)
        before = {group.spec.name: group for group in self._groups}
        rules = {rule.key: rule for group in self._groups for rule in group.rules}
        groups = []
        for spec in wanted:
            group = before.get(spec.name)
            if group is not None and group.spec == spec:
                before.pop(spec.name)
            else:
                group = self._group(spec, rules)
            groups.append(group)
        for gone in before.values():
            if gone.task is not None:
                gone.task.cancel()
        self._groups, self.text, self.file = groups, text, file
        kept = {rule.key for group in groups for rule in group.rules}
        for key in rules.keys() - kept:
            self._history.append(self._clock.now(), [], key)
        if self._is_running:
            self._begin()

    def start(self) -> None:
        """Evaluate from now on."""
        self._is_running = True
        self._begin()

    async def stop(self) -> None:
        """Evaluate no more."""
        self._is_running = False
        tasks = [group.task for group in self._groups if group.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def groups(self, kind: str = "") -> list[dict[str, Any]]:
        """The groups as the API shows them, with the rules of a kind, "" for both."""
        return [
            {
                "name": group.spec.name,
                "file": self.file,
                "rules": [
                    rule.as_json()
                    for rule in group.rules
                    if kind in ("", "alert" if rule.spec.alerting else "record")
                ],
                "interval": _number(group.spec.interval),
                "limit": group.spec.limit,
                **group.last.as_json(),
            }
            for group in sorted(self._groups, key=lambda group: group.spec.name)
        ]

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that are pending or fire, as the API shows them."""
        rules = (rule for group in self._groups for rule in group.rules)
        return [_alert(alert) for rule in rules for alert in rule.alerting.current]

    def _group(self, spec: Group, before: Mapping[_Key, _Rule]) -> _Group:
        rules = []
        for key, one in _keyed(spec.name, spec.rules):
            rule = _Rule(one, key, self._history)
            if key in before:
                rule.alerting.alerts = before[key].alerting.alerts
            rules.append(rule)
        return _Group(spec, rules)

    def _begin(self) -> None:
        for group in self._groups:
            if group.task is None:
                group.evaluate(self._clock.now())
                work = self._forever(group)
                group.task = asyncio.get_running_loop().create_task(work)

    async def _forever(self, group: _Group) -> None:
        # Whole milliseconds, and the moment that is due: `for` is over after so many evaluations.
        interval = milliseconds(group.spec.interval)
        due = milliseconds(self._clock.now())
        while True:
            # One that was missed, because the machine slept, is not made up for.
            late = milliseconds(self._clock.now()) - due
            due += interval * max(1, -(-late // interval))
            await self._clock.sleep(due / 1000 - self._clock.now())
            group.evaluate(due / 1000)


def _keyed(group: str, rules: Iterable[Spec]) -> list[tuple[_Key, Spec]]:
    seen: Counter[_Key] = Counter()
    found: list[tuple[_Key, Spec]] = []
    for spec in rules:
        key = (group, spec.alerting, spec.name, spec.labels)
        found.append(((*key, seen[key]), spec))
        seen[key] += 1
    return found


def _alert(alert: Alert) -> dict[str, Any]:
    kept = {} if alert.kept_since is None else {"keepFiringSince": _moment(alert.kept_since)}
    return {
        "labels": dict(alert.labels),
        "annotations": alert.annotations,
        "state": alert.state,
        "activeAt": _moment(alert.active_at),
        **kept,
        "value": scientific(alert.value),
    }


def _moment(at: float) -> str:
    text = datetime.fromtimestamp(round(at * 1000) / 1000, UTC).isoformat(timespec="milliseconds")
    whole, _, fraction = text.removesuffix("+00:00").partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}{'.' if fraction else ''}{fraction}Z"


def _number(seconds: float) -> float | int:
    return int(seconds) if seconds == int(seconds) else seconds
