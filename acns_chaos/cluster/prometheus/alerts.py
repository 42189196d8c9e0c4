"""Alerts that fire: as Prometheus says in `ALERTS`, or as an Alertmanager would tell people.

An Alertmanager knows what was silenced, and is asked where one is named. Belongs here: what fires,
since when, and whether a rule of that name exists. What it proves is in `evidence.alerts`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.moments import moment
from acns_chaos.cluster.prometheus.client import TIMEOUT, Prometheus
from acns_chaos.cluster.prometheus.counters import quoted, selector
from acns_chaos.cluster.prometheus.credentials import Credentials
from acns_chaos.cluster.prometheus.settings import settings_from
from acns_chaos.errors import ApiError, Forbidden, NotFound

__all__ = [
    "Alert",
    "Alertmanager",
    "Rule",
    "fired_before",
    "fired_since",
    "firing_in",
    "rule_named",
]

# Paths that a query API without rules does not have, or does not show.
_NO_RULES = (400, 405, 501)
# A rule that missed this many evaluations is not evaluated; and what a group says of its interval
# when it says nothing, in seconds.
_EVALUATIONS = 3
_USUAL_INTERVAL = 60.0


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that fires.

    Attributes:
        labels: all of them.
        began: when it began to fire, seconds since 1970 by Prometheus' clock; None if unknown.
        muted: why nobody is told, "" when somebody is.
    """

    labels: Mapping[str, str]
    began: float | None
    muted: str = ""

    def has(self, labels: Mapping[str, str]) -> bool:
        """Tell whether it carries these labels, whatever their case."""
        own = {name.lower(): value.lower() for name, value in self.labels.items()}
        return all(own.get(name.lower()) == value.lower() for name, value in labels.items())


@dataclass(frozen=True, slots=True)
class Rule:
    """An alerting rule.

    Attributes:
        name: of the alert.
        trouble: why its last evaluation failed, "" when it did not.
        idle: seconds since its last evaluation when that is far too long ago, else 0.
        known: whether a list of rules could be had at all.
        others: names of the alerts that there are, when this one is not among them.
        evaluated: when it last was, seconds since 1970 by Prometheus' clock; None if unknown.
    """

    name: str
    trouble: str = ""
    idle: float = 0.0
    known: bool = True
    others: tuple[str, ...] = ()
    evaluated: float | None = None

    @property
    def is_absent(self) -> bool:
        """Whether it is certain that no such rule exists."""
        return self.known and not self.name


class Alertmanager:
    """An Alertmanager's API v2.

    Args:
        url: its base, without credentials.
        credentials: who asks.
        timeout: seconds for one answer.

    Attributes:
        notes: every question that had to be asked again.
    """

    def __init__(
        self, url: str, credentials: Credentials | None = None, timeout: float = TIMEOUT
    ) -> None:
        self.url = url
        self.timeout = timeout
        self.notes: list[str] = []
        self._credentials = credentials or Credentials()
        self._session: Any = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Alertmanager | None":
        """Open the Alertmanager named by the environment, None when none is.

        Raises:
            ApiError: the variables do not fit together.
        """
        settings = settings_from(environ)
        if not settings.alertmanager:
            return None
        return cls(settings.alertmanager, settings.alertmanager_credentials)

    def firing(self, name: str, labels: Mapping[str, str]) -> list[Alert]:
        """List the alerts that fire.

        Args:
            name: of the alert.
            labels: that it must carry.

        Raises:
            ApiError: it cannot be asked, or answers something else.
        """
        wanted = {"alertname": name, **labels}
        filters = [f"{label}={quoted(value)}" for label, value in wanted.items()]
        told = self._get("/api/v2/alerts", [("filter", one) for one in filters])
        if not isinstance(told, list):
            raise ApiError(f"Alertmanager at {self.url} gave no list of alerts")
        return [alert for one in told if (alert := _alert(one)).has(wanted)]

    def silences(self, labels: Mapping[str, str]) -> bool:
        """Whether a silence that is in force would keep people from hearing of an alert.

        Args:
            labels: of the alert, its name among them.

        Raises:
            ApiError: it cannot be asked, or answers something else.
        """
        told = self._get("/api/v2/silences", [])
        if not isinstance(told, list):
            raise ApiError(f"Alertmanager at {self.url} gave no list of silences")
        in_force = (one for one in told if (one.get("status") or {}).get("state") == "active")
        own = {name.lower(): value for name, value in labels.items()}
        return any(
            all(self._matches(each, own) for each in one.get("matchers") or []) for one in in_force
        )

    def _matches(self, matcher: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
        value, wanted = labels.get(str(matcher.get("name")).lower(), ""), str(matcher.get("value"))
        if not matcher.get("isRegex"):
            found = value.lower() == wanted.lower()
        else:
            try:
                found = re.fullmatch(wanted, value, re.IGNORECASE) is not None
            except re.error as error:
                raise ApiError(
                    f"Alertmanager at {self.url} has a silence that cannot be read: {error}"
                ) from error
        # Alertmanagers that are older than 0.22 do not say isEqual, and know nothing else.
        return found == bool(matcher.get("isEqual", True))

    def _get(self, path: str, params: list[tuple[str, str]]) -> Any:
        from acns_chaos.cluster.prometheus.session import Session, asked

        if self._session is None:
            self._session = Session(self._credentials, self.timeout)
        return asked(
            self._session,
            f"Alertmanager at {self.url}",
            lambda: self._session.json(f"{self.url}{path}", params),
            self.notes.append,
        )


def firing_in(
    prometheus: Prometheus, name: str, labels: Mapping[str, str], since: float, now: float
) -> list[Alert]:
    """List the alerts that Prometheus says fire now.

    Args:
        prometheus: that evaluates the rules, or stores what they said.
        name: of the alert.
        labels: that it must carry.
        since: how far back to look for the beginning, seconds since 1970 by its clock.
        now: the moment that is asked about, likewise.

    Raises:
        ApiError: it cannot be asked.
    """
    query = _alerts(prometheus, name, labels)
    current = {_key(one.labels) for one in prometheus.instant(query, now)}
    found = []
    for one in prometheus.series(query, since, now):
        if _key(one.labels) in current and one.samples:
            current.discard(_key(one.labels))
            found.append(Alert(one.labels, one.samples[0][0]))
    # Those without a sample since: they fired before, and no evaluation has come since.
    return found + [Alert(dict(labels), None) for labels in sorted(current)]


def fired_since(
    prometheus: Prometheus, name: str, labels: Mapping[str, str], since: float, now: float
) -> list[Alert]:
    """List the alerts that fired at some moment since then, over by now or not.

    Arguments and errors as `firing_in`.
    """
    query = _alerts(prometheus, name, labels)
    found = prometheus.series(query, since, now)
    return [Alert(one.labels, one.samples[0][0]) for one in found if one.samples]


def fired_before(
    prometheus: Prometheus, name: str, labels: Mapping[str, str], at: float, pending: bool = False
) -> list[Mapping[str, str]]:
    """List the labels of the alerts that fired at a moment; errors as `firing_in`.

    Args:
        prometheus: as for `firing_in`.
        name: of the alert.
        labels: that it must carry.
        at: seconds since 1970 by Prometheus' clock.
        pending: list those that were about to fire, too.
    """
    query = _alerts(prometheus, name, labels, pending=pending)
    return [one.labels for one in prometheus.instant(query, at)]


def rule_named(prometheus: Prometheus, name: str) -> Rule:
    """Look for an alerting rule; one that nobody can list is not known to be there or not.

    Raises:
        ApiError: Prometheus cannot be asked. A query API without rules, or without the right to
            see them, is no error.
    """
    try:
        told = prometheus.json("/api/v1/rules", {"type": "alert"})
    except (NotFound, Forbidden):
        return Rule("", known=False)
    except ApiError as error:
        if error.status in _NO_RULES:
            return Rule("", known=False)
        raise
    rules = list(_rules(told))
    for rule, interval in rules:
        if str(rule.get("name", "")).lower() == name.lower():
            bad = rule.get("health") == "err"
            trouble = str(rule.get("lastError") or "no reason given")[:200] if bad else ""
            evaluated = _moment(rule.get("lastEvaluation"))
            idle = prometheus.now() - (evaluated or prometheus.now())
            late = idle if idle > _EVALUATIONS * interval else 0.0
            return Rule(str(rule["name"]), trouble, late, evaluated=evaluated)
    return Rule("", others=tuple(sorted({str(one.get("name", "")) for one, _ in rules})))


def _alerts(
    prometheus: Prometheus, name: str, labels: Mapping[str, str], pending: bool = False
) -> str:
    """Select what fires; an alert that carries no label `cluster` may be this cluster's."""
    matchers = [f"{label}={quoted(value)}" for label, value in sorted(labels.items())]
    if prometheus.cluster:
        # RE2, anchored: the one or none.
        matchers.append(f"cluster=~{quoted(re.escape(prometheus.cluster) + '|')}")
    states = 'alertstate=~"firing|pending"' if pending else 'alertstate="firing"'
    return selector("ALERTS", "", f"alertname={quoted(name)}", states, *matchers)


def _rules(told: Any) -> Iterator[tuple[dict[str, Any], float]]:
    """Take the alerting rules out of an answer, each with its group's interval in seconds."""
    groups = ((told if isinstance(told, dict) else {}).get("data") or {}).get("groups") or []
    for group in groups:
        for rule in group.get("rules") or []:
            if rule.get("type", "alerting") == "alerting":
                yield rule, float(group.get("interval") or _USUAL_INTERVAL)


def _key(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    # An instant answer and a range of raw samples name the same series.
    return tuple(sorted(labels.items()))


def _alert(one: Any) -> Alert:
    told = one if isinstance(one, dict) else {}
    labels = {str(name): str(value) for name, value in (told.get("labels") or {}).items()}
    status = told.get("status") or {}
    muted = ""
    if status.get("state") == "suppressed":
        by = "silenced" if status.get("silencedBy") else "inhibited by another alert"
        muted = by
    return Alert(labels, _moment(told.get("startsAt")), muted)


def _moment(text: Any) -> float | None:
    # Go writes the year 1 for "never".
    found = moment(text)
    return found.timestamp() if found is not None else None
