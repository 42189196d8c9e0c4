"""Readings of alerts: does one fire, has it begun to since the fault, and would anybody be told?

Silence proves something only of a rule that exists and is evaluated.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.prometheus import (
    Alert,
    Alertmanager,
    Prometheus,
    Rule,
    fired_before,
    fired_since,
    firing_in,
    prometheus_from,
    rule_named,
)
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError, ArgumentError
from acns_chaos.evidence.apart import Apart
from acns_chaos.evidence.looks import Look, is_any, named
from acns_chaos.evidence.readings import FIRING, SILENT, UNKNOWN, Reading, reading

__all__ = ["Asker", "alert_labels", "read_alert"]

LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
INTERVAL = 0.5
# An Alertmanager's clock is compared with nobody's: by so many seconds its moments may be off.
SLACK = 2.0
# How far back to look for an alert's beginning when nothing says from when on, in seconds.
LOOK_BACK = 3600.0


def alert_labels(name: Any, labels: Any) -> dict[str, str]:
    """Check what an experiment calls an alert.

    Returns:
        The labels, as text.

    Raises:
        ArgumentError: the name is none, or the labels are no mapping of label names to values.
    """
    if not isinstance(name, str) or not name.strip():
        raise ArgumentError(f"name must be the name of an alert, not {name!r}")
    if not isinstance(labels, Mapping) or not all(
        isinstance(one, str) and LABEL.fullmatch(one) for one in labels
    ):
        raise ArgumentError('labels must be a mapping such as {"severity": "critical"}')
    return {label: str(value) for label, value in labels.items()}


def read_alert(
    api: Api,
    environ: Mapping[str, str],
    name: str,
    labels: Mapping[str, str],
    expect: str,
    start: str,
    deadline: float,
) -> Reading:
    """Ask whether an alert fires, until it is as expected or *deadline* has passed.

    Args:
        api: the cluster.
        environ: looked up for Prometheus and Alertmanager (docs/prometheus.md).
        name: of the alert.
        labels: that it must carry.
        expect: FIRING or SILENT.
        start: ISO 8601 moment; an alert that fired before is no notice of what came after. ""
            takes any.
        deadline: seconds; 0 asks once.

    Returns:
        FIRING with `seconds` after the start; SILENT when nobody is told of it; UNKNOWN when nobody
        can be asked, when it fired already, or when no rule of that name is evaluated.
    """
    what = f"alert {name}"
    asker: list[Asker] = []
    looks: list[Look] = []

    def expected() -> bool:
        looks[:] = [asker[0].look()]
        return bool(looks[0].new) == (expect == FIRING)

    try:
        asker.append(Asker(api, environ, name, labels, start))
        wait_until(expected, deadline, INTERVAL)
        return asker[0].told(what, expect, looks[0])
    except ApiError as error:
        evidence = {"asked_again": asker[0].notes} if asker else {}
        return reading(UNKNOWN, what, str(error), None, expect, evidence)


class Asker:
    """Asks Alertmanager where one is named, Prometheus otherwise.

    Args:
        api: the cluster.
        environ: as for `read_alert`.
        name: of the alert.
        labels: that it must carry.
        start: as for `read_alert`.
        apart: whose alerts are of other faults.
    """

    def __init__(
        self,
        api: Api,
        environ: Mapping[str, str],
        name: str,
        labels: Mapping[str, str],
        start: str,
        apart: Apart | None = None,
    ) -> None:
        self._name, self._labels = name, labels
        self._apart = apart or Apart()
        self._start = datetime.fromisoformat(start).timestamp() if start else None
        self._manager = Alertmanager.from_environ(environ)
        self._prometheus: Prometheus | None = None
        self._before: list[Mapping[str, str]] | None = None
        # Whether the moments of the last look are by this Prometheus' clock.
        self._dated = self._manager is None
        try:
            self._prometheus = prometheus_from(api, environ)
        except ApiError:
            # An Alertmanager alone will do.
            if self._manager is None:
                raise

    @property
    def notes(self) -> list[str]:
        """Every question that had to be asked again."""
        return [note for one in (self._manager, self._prometheus) if one for note in one.notes]

    def look(self) -> Look:
        """Ask once; raises ApiError."""
        if self._manager is not None:
            return self._from_alertmanager(self._manager)
        assert self._prometheus is not None  # the constructor saw to it
        return self._from_prometheus(self._prometheus)

    def heard(self) -> Look:
        """Ask once what has begun to fire since the start, over by now or not; raises ApiError.

        `old` holds what fired, or was about to, when it came. An Alertmanager knows what is over
        no more: where a Prometheus is named, too, that one's word counts for it, and for when.
        """
        if self._prometheus is None or self._start is None:
            return self.look()
        now, since = self._prometheus.now(), self._prometheus.moment(self._start)
        if self._before is None:
            self._before = self._fired_before(self._prometheus, since, pending=True)
        apart: list[Alert] = []
        every = fired_since(self._prometheus, self._name, self._labels, since, now)
        fired = self._ours(every, apart)
        if self._manager is not None:
            found = self._joined(fired, self._before, now)
            found.apart.extend(apart)
        else:
            found = Look(apart=apart)
            for alert in fired:
                (found.old if is_any(alert, self._before) else found.new).append(alert)
        if not (found.new or found.old or found.muted):
            found.old.extend(Alert(one, None) for one in self._before)
        return found

    def quiet_since(self, begin: float) -> str:
        """Why it may still begin to fire for what was before a moment, "" when it will not.

        Args:
            begin: seconds since 1970 by this machine's clock. What was dropped until then must have
                been scraped, and its rule evaluated.

        Raises:
            ApiError: it cannot be asked.
        """
        if self._manager is not None and (self.look().new or self.look().old):
            return f"{self._name} fires"
        if self._prometheus is None:
            return ""
        if self._fired_before(self._prometheus, self._prometheus.now(), pending=True):
            return f"{self._name} fires, or is about to"
        scrape = self._prometheus.scrape_interval()
        if scrape is None:
            return "Prometheus has not scraped twice yet"
        begin = self._prometheus.moment(begin)
        scraped, last = begin + scrape, self._prometheus.scraped()
        if last is not None and last[0] >= begin:
            # Every target was scraped since: what follows need not be waited for.
            scraped = min(scraped, last[1])
        rule = rule_named(self._prometheus, self._name)
        if rule.evaluated is not None and rule.evaluated < scraped and not rule.idle:
            return f"the rule {self._name} was not evaluated yet"
        return ""

    def began(self, look: Look) -> tuple[float | None, float]:
        """When the first new alert began, by this machine's clock, and how far that may be off.

        Of one that surely began after the start, if there is any.
        """
        ahead, bound = 0.0, SLACK
        if self._prometheus is not None and self._dated:
            clock = self._prometheus.clock()
            ahead, bound = clock.ahead, clock.bound or 0.0
        began = [one.began - ahead for one in look.new if one.began is not None]
        sure = [at for at in began if self._start is None or at - bound >= self._start]
        return min(sure or began, default=None), bound

    def whose(self, look: Look) -> str:
        """The namespaces whose alerts fired that are of other faults, "" for none."""
        return ", ".join(sorted({name for one in look.apart for name in self._of_others(one)}))

    def _joined(
        self, fired: Sequence[Alert], before: Sequence[Mapping[str, str]], now: float
    ) -> Look:
        """What Alertmanager tells, with what Prometheus knows of it and of what is over.

        Args:
            fired: what Prometheus says has fired since the start.
            before: what fired there, or was about to, at the start.
            now: by Prometheus' clock.
        """
        assert self._manager is not None  # the caller saw to it
        told = self._from_alertmanager(self._manager)
        found = Look(muted=list(told.muted), apart=list(told.apart))
        self._dated = True
        for alert in (*told.new, *told.old):
            same = next((one for one in fired if alert.has(named(one.labels))), None)
            if is_any(alert, before):
                found.old.append(alert)
            elif same is not None:
                found.new.append(replace(alert, began=same.began))
            else:
                # Another Prometheus may have told of it.
                self._dated = False
                (found.old if alert in told.old else found.new).append(alert)
        if found.new or found.old or found.muted:
            return found
        assert self._prometheus is not None  # the caller saw to it
        standing = self._fired_before(self._prometheus, now) if fired else []
        for alert in fired:
            if is_any(alert, before):
                found.old.append(alert)
            elif is_any(alert, standing):
                # It may still be on its way there.
                found.muted.append(replace(alert, muted="unknown to Alertmanager"))
            elif self._manager.silences(alert.labels):
                found.muted.append(replace(alert, muted="silenced"))
            else:
                found.new.append(alert)
        return found

    def _ours(self, alerts: Sequence[Alert], apart: list[Alert]) -> list[Alert]:
        """Those that may be of the fault; the rest goes to *apart*."""
        apart.extend(one for one in alerts if self._of_others(one))
        return [one for one in alerts if not self._of_others(one)]

    def _of_others(self, alert: Alert) -> list[str]:
        return self._apart.whose(alert.labels)

    def _fired_before(
        self, prometheus: Prometheus, at: float, *, pending: bool = False
    ) -> list[Mapping[str, str]]:
        found = fired_before(prometheus, self._name, self._labels, at, pending=pending)
        return [labels for labels in found if not self._apart.whose(labels)]

    def _from_alertmanager(self, manager: Alertmanager) -> Look:
        found = Look()
        for alert in self._ours(manager.firing(self._name, self._labels), found.apart):
            is_old = self._start is not None and (
                alert.began is None or alert.began < self._start - SLACK
            )
            (found.muted if alert.muted else found.old if is_old else found.new).append(alert)
        return found

    def _from_prometheus(self, prometheus: Prometheus) -> Look:
        now = prometheus.now()
        if self._start is None:
            since, found = now - LOOK_BACK, Look()
            firing = firing_in(prometheus, self._name, self._labels, since, now)
            found.new.extend(self._ours(firing, found.apart))
            return found
        since = prometheus.moment(self._start)
        before = self._fired_before(prometheus, since)
        found = Look()
        firing = firing_in(prometheus, self._name, self._labels, since, now)
        for alert in self._ours(firing, found.apart):
            (found.old if dict(alert.labels) in before else found.new).append(alert)
        return found

    def told(self, what: str, expect: str, look: Look) -> Reading:
        """Make a reading of the last look; raises ApiError."""
        evidence = self._evidence(look)
        doubt = self.doubt(expect, look)
        if doubt:
            return reading(UNKNOWN, what, doubt, None, expect, evidence)
        if look.new or look.old:
            text = f"{self._name} fires{self._after(look)}"
            met = expect == FIRING
            return reading(FIRING, what, text, met, expect, evidence, seconds=evidence["seconds"])
        text = f"{self._name} does not fire"
        if look.muted:
            text = f"{self._name} fires and is {look.muted[0].muted}: nobody is told"
        return reading(SILENT, what, text, expect == SILENT, expect, evidence)

    def doubt(self, expect: str, look: Look) -> str:
        """Why a look does not tell what it seems to, "" when it does; raises ApiError."""
        if look.old and not look.new and expect == FIRING:
            return f"{self._name} fired before the fault, so that it fires now says nothing"
        cluster = self._prometheus.cluster if self._prometheus else ""
        if look.new and cluster and not self._labels:
            strange = [one for one in look.new if "cluster" not in one.labels]
            if strange:
                return f"{self._name} fires, and no label says whether it does for {cluster}"
        if look.new or look.old or look.muted:
            return ""
        rule = (
            rule_named(self._prometheus, self._name) if self._prometheus else Rule("", known=False)
        )
        if rule.is_absent:
            others = ", ".join(rule.others[:5]) or "none"
            return f"there is no alerting rule {self._name}: there is {others}"
        if rule.trouble:
            return f"the rule {self._name} cannot be evaluated: {rule.trouble}"
        if rule.idle:
            return f"the rule {self._name} was evaluated {rule.idle:.0f} s ago for the last time"
        if not rule.known and expect == SILENT:
            return f"{self._name} does not fire, and whether there is such a rule cannot be told"
        return ""

    def _evidence(self, look: Look) -> dict[str, Any]:
        where = self._manager or self._prometheus
        fires = look.new or look.old or look.muted
        began = min((one.began for one in fires if one.began is not None), default=None)
        if began is not None and self._manager is None and self._prometheus is not None:
            began -= self._prometheus.clock().ahead
        evidence: dict[str, Any] = {
            "source": "alertmanager" if self._manager else "prometheus",
            "url": where.url if where else "",
            "labels": [dict(one.labels) for one in fires[:5]],
            "seconds": None,
            "asked_again": self.notes[:10],
        }
        if began is not None and not look.old:
            evidence["began"] = datetime.fromtimestamp(began, UTC).isoformat()
            if self._start is not None:
                evidence["seconds"] = round(began - self._start, 3)
        return evidence

    def _after(self, look: Look) -> str:
        began = [one.began for one in look.new if one.began is not None]
        if self._start is None or not began or look.old:
            return ""
        ahead = 0.0
        if self._manager is None and self._prometheus is not None:
            ahead = self._prometheus.clock().ahead
        return f", {max(0.0, min(began) - ahead - self._start):.1f} s after the fault"
