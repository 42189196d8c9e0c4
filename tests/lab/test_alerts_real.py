"""Alerts end to end: a real Prometheus evaluates a rule over the lab, a real Alertmanager hears."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from misbehaving import MisbehavingLab, cut_off, eventually, misbehaving_lab
from promql_support import RealPrometheus, real_alertmanager, real_prometheus

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.evidence.alerts import read_alert

pytestmark = pytest.mark.slow

# `increase()` is 0 for the first drop of a new series, in a rule as well: raw sums.
RULES = """\
groups:
- name: drops
  rules:
  - alert: StorefrontDrops
    expr: sum by (reason) (hubble_drop_total{reason=~"POLICY_DEN.*",destination=~"pets/.*"}) > 0
    labels: {severity: critical}
  - alert: AlwaysThere
    expr: vector(1)
  - alert: CannotBe
    expr: up / on (cluster) up > 5
"""


@dataclass
class Stand:
    """The lab, who watches it, and since when its fault is there."""

    lab: MisbehavingLab
    api: Api
    prometheus: RealPrometheus
    alertmanager: str
    fault: str = ""

    def ask(
        self, name: str, expect: str = "FIRING", deadline: float = 0.0, manager: bool = False
    ) -> dict[str, Any]:
        """Read an alert since the fault, or any before there is one."""
        environ = {"ACNS_CHAOS_PROMETHEUS_URL": self.prometheus.url}
        if manager:
            environ["ACNS_CHAOS_ALERTMANAGER_URL"] = self.alertmanager
        return read_alert(self.api, environ, name, {}, expect, self.fault, deadline)

    def break_it(self) -> AbstractContextManager[None]:
        """Admit nobody to the storefront, and try to be admitted."""
        self.fault = datetime.now(UTC).isoformat()
        return cut_off(self.api, self.lab.ready["env"]["ACNS_CHAOS_STOREFRONT_URL"])


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """All three, before any fault."""
    folder = tmp_path_factory.mktemp("alerts")
    with (
        misbehaving_lab(folder) as lab,
        real_alertmanager(folder) as manager,
        real_prometheus(
            folder, lab.ready["scrape"], RULES, manager.removeprefix("http://")
        ) as prometheus,
    ):
        prometheus.wait_for('ALERTS{alertname="AlwaysThere",alertstate="firing"}')
        eventually(lambda: requests.get(f"{manager}/api/v2/alerts", timeout=5).json(), 20)
        api, _ = kubeconfig_api("", lab.ready["kubeconfig"])
        yield Stand(lab, api, prometheus, manager)
        api.close()


def state(told: dict[str, Any]) -> tuple[str, bool | None]:
    """The reading and whether it was met."""
    return told["reading"], told["met"]


def test_before_the_fault_the_alert_is_silent(stand: Stand) -> None:
    """Prometheus has the rule and evaluates it: the same by either's word."""
    for manager in (False, True):
        told = stand.ask("StorefrontDrops", "SILENT", manager=manager)
        assert state(told) == ("SILENT", True), told


def test_a_rule_that_is_none_or_cannot_be_evaluated_is_unknown(stand: Stand) -> None:
    """A misspelt alert is silent for ever, and so is a rule with an error."""
    told = stand.ask("StorefrontDropped", "SILENT")
    assert state(told) == ("UNKNOWN", None)
    assert "there is AlwaysThere, CannotBe, StorefrontDrops" in told["sentence"]
    # Once two targets have been scraped, two series match two.
    eventually(lambda: "cannot be evaluated" in stand.ask("CannotBe", "SILENT")["sentence"], 10)
    assert state(stand.ask("CannotBe", "SILENT")) == ("UNKNOWN", None)


def test_after_the_fault_the_alert_fires(stand: Stand) -> None:
    """Both say so, and when it began; an alert that was there before is no notice of it."""
    began = time.monotonic()
    with stand.break_it():
        told = stand.ask("StorefrontDrops", deadline=20)
    took = time.monotonic() - began
    assert state(told) == ("FIRING", True), told
    assert 0 < told["seconds"] <= took
    assert told["evidence"]["labels"][0]["severity"] == "critical"

    heard = stand.ask("StorefrontDrops", deadline=20, manager=True)
    assert state(heard) == ("FIRING", True), heard
    assert heard["evidence"]["source"] == "alertmanager"
    assert heard["seconds"] == pytest.approx(told["seconds"], abs=1.0)

    for manager in (False, True):
        old = stand.ask("AlwaysThere", manager=manager)
        assert state(old) == ("UNKNOWN", None), repr(old)
        assert "before the fault" in old["sentence"]


def test_a_silenced_alert_tells_nobody(stand: Stand) -> None:
    """It fires, and it is no detector: the person on call hears nothing."""
    now = datetime.now(UTC)
    stand.fault = stand.fault or now.isoformat()
    matchers = [{"name": "alertname", "value": "StorefrontDrops", "isRegex": False}]
    silence = {
        "matchers": matchers,
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "somebody",
        "comment": "maintenance",
    }
    answer = requests.post(f"{stand.alertmanager}/api/v2/silences", json=silence, timeout=5)
    assert answer.ok, answer.text
    told = stand.ask("StorefrontDrops", "SILENT", deadline=10, manager=True)
    assert state(told) == ("SILENT", True), told
    assert "is silenced: nobody is told" in told["sentence"]


def test_nobody_to_ask_is_unknown(stand: Stand) -> None:
    """Neither answers; neither is named."""
    gone = {"ACNS_CHAOS_ALERTMANAGER_URL": "http://127.0.0.1:9"}
    for environ in (gone, {"ACNS_CHAOS_PROMETHEUS_URL": "http://127.0.0.1:9"}, {}):
        told = read_alert(stand.api, environ, "StorefrontDrops", {}, "SILENT", "", 0.0)
        assert state(told) == ("UNKNOWN", None), told
