"""Alerts end to end: a real Prometheus evaluates a rule over the lab, a real Alertmanager hears.

The lab's own Prometheus has the same rules, and says the same.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from misbehaving import MisbehavingLab, cut_off, eventually, misbehaving_lab
from promql_support import RealPrometheus, real_alertmanager, real_prometheus

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.errors import TargetError
from acns_chaos.evidence.alerts import read_alert

pytestmark = pytest.mark.slow

# `increase()` is 0 for the first drop of a new series, in a rule as well: raw sums.
RULES = """\
groups:
- name: drops
  interval: 250ms
  rules:
  - alert: StorefrontDrops
    expr: sum by (reason) (hubble_drop_total{reason=~"POLICY_DEN.*",destination=~"pets/.*"}) > 0
    labels: {severity: critical, of: "{{ $labels.reason }}"}
    annotations: {summary: "there are drops: {{ $labels.reason }}"}
  - alert: DropsStay
    expr: sum(hubble_drop_total{reason=~"POLICY_DEN.*",destination=~"pets/.*"}) > 0
    for: 1s
    keep_firing_for: 5m
  - record: drops:sum
    expr: sum(hubble_drop_total)
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
        self,
        name: str,
        expect: str = "FIRING",
        deadline: float = 0.0,
        manager: bool = False,
        own: bool = False,
    ) -> dict[str, Any]:
        """Read an alert since the fault, or any before there is one; `own` asks the lab's own."""
        url = self.own if own else self.prometheus.url
        environ = {"ACNS_CHAOS_PROMETHEUS_URL": url}
        if manager:
            environ["ACNS_CHAOS_ALERTMANAGER_URL"] = self.alertmanager
        return read_alert(self.api, environ, name, {}, expect, self.fault, deadline)

    @property
    def own(self) -> str:
        """Address of the lab's own Prometheus."""
        return str(self.lab.ready["env"]["ACNS_CHAOS_PROMETHEUS_URL"])

    def both(self, path: str) -> tuple[Any, Any]:
        """What the lab's own and the real one answer, without what differs between any two."""
        mine = requests.get(f"{self.own}/api/v1/{path}", timeout=5).json()
        _, real = self.prometheus.get(path)
        return bare(mine["data"]), bare(real["data"])

    def break_it(self) -> AbstractContextManager[None]:
        """Admit nobody to the storefront, and try to be admitted."""
        self.fault = datetime.now(UTC).isoformat()
        return cut_off(self.api, self.lab.ready["env"]["ACNS_CHAOS_STOREFRONT_URL"])


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """All three, before any fault."""
    folder = tmp_path_factory.mktemp("alerts")
    (folder / "lab.yml").write_text(RULES)
    with (
        misbehaving_lab(folder, "--rules", str(folder / "lab.yml")) as lab,
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


TIMES = frozenset({"activeAt", "lastEvaluation", "evaluationTime", "keepFiringSince"})


def bare(told: Any) -> Any:
    """An answer with a place for every moment, path and count, so that two can be compared."""
    if isinstance(told, list):
        return sorted((bare(one) for one in told), key=repr)
    if not isinstance(told, dict):
        return told
    found = {key: "…" if key in TIMES else bare(one) for key, one in told.items()}
    for key in ("file", "value"):
        if key in found:
            found[key] = ""
    if "lastError" in found:
        # Which of two series comes first is nobody's promise.
        found["lastError"] = found["lastError"].partition("[")[0]
    return found


def state(told: dict[str, Any]) -> tuple[str, bool | None]:
    """The reading and whether it was met."""
    return told["reading"], told["met"]


def test_before_the_fault_the_alert_is_silent(stand: Stand) -> None:
    """Prometheus has the rule and evaluates it: the same by either's word."""
    for given in ({}, {"manager": True}, {"own": True}):
        told = stand.ask("StorefrontDrops", "SILENT", **given)
        assert state(told) == ("SILENT", True), told


def test_a_rule_that_is_none_or_cannot_be_evaluated_is_unknown(stand: Stand) -> None:
    """A misspelt alert is silent for ever, and so is a rule with an error."""
    for own in (False, True):
        told = stand.ask("StorefrontDropped", "SILENT", own=own)
        assert state(told) == ("UNKNOWN", None)
        assert "there is AlwaysThere, CannotBe, DropsStay, StorefrontDrops" in told["sentence"]
        # Once two targets have been scraped, two series match two.
        eventually(
            lambda own=own: (
                "cannot be evaluated" in stand.ask("CannotBe", "SILENT", own=own)["sentence"]
            ),
            10,
        )
        assert state(stand.ask("CannotBe", "SILENT", own=own)) == ("UNKNOWN", None)


def test_the_labs_own_has_the_same_rules_and_alerts(stand: Stand) -> None:
    """Field by field, before any fault."""
    eventually(lambda: len({repr(one) for one in stand.both("rules")}) == 1, 10)
    for path in ("rules", "rules?type=alert", "rules?type=record", "alerts"):
        mine, real = stand.both(path)
        assert mine == real, path
    assert len(stand.both("alerts")[0]["alerts"]) == 1


def test_after_the_fault_the_alert_fires(stand: Stand) -> None:
    """Both say so, and when it began; an alert that was there before is no notice of it."""
    began = time.monotonic()
    with stand.break_it():
        told = stand.ask("StorefrontDrops", deadline=20)
        own = stand.ask("StorefrontDrops", deadline=5, own=True)
        eventually(lambda: len({repr(one) for one in stand.both("alerts")}) == 1, 10)
        eventually(lambda: "DropsStay" in repr(stand.both("alerts")[0]), 10)
        eventually(lambda: "pending" not in repr(stand.both("alerts")), 10)
        for path in ("alerts", "rules"):
            mine, real = stand.both(path)
            assert mine == real, path
    took = time.monotonic() - began
    assert state(told) == ("FIRING", True), told
    assert 0 < told["seconds"] <= took
    assert told["evidence"]["labels"][0]["severity"] == "critical"

    # The lab's own scrapes every half second, the real one every quarter.
    assert state(own) == ("FIRING", True), own
    assert own["evidence"]["labels"] == told["evidence"]["labels"]
    assert own["seconds"] == pytest.approx(told["seconds"], abs=1.0)

    heard = stand.ask("StorefrontDrops", deadline=20, manager=True)
    assert state(heard) == ("FIRING", True), heard
    assert heard["evidence"]["source"] == "alertmanager"
    assert heard["seconds"] == pytest.approx(told["seconds"], abs=1.0)

    for given in ({}, {"manager": True}, {"own": True}):
        old = stand.ask("AlwaysThere", **given)
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


def test_the_lab_takes_other_rules_while_it_runs(stand: Stand, tmp_path: Path) -> None:
    """By its control endpoint: at once, and bad ones change nothing."""
    control = stand.lab.control
    assert control.rules()["text"] == RULES
    with pytest.raises(TargetError, match=r"line 4: group a, rule 1, A: `expr` is no PromQL"):
        control.replace_rules("groups:\n- name: a\n  rules:\n  - {alert: A, expr: up ==}\n")
    with pytest.raises(TargetError, match="1,000,000 bytes at most"):
        control.replace_rules("#" * 3_000_000)
    assert control.rules()["text"] == RULES
    assert "AlwaysThere" in repr(control.rules()["groups"])

    file = tmp_path / "é.yml"
    file.write_text("groups: [{name: é, rules: [{alert: Other, expr: vector(2) > 1}]}]")
    with pytest.raises(TargetError, match="evaluates other alert rules than"):
        control.require_rules(str(file))
    (group,) = control.replace_rules(file.read_text())["groups"]
    assert [(one["name"], one["state"]) for one in group["rules"]] == [("Other", "firing")]
    control.require_rules(str(file))
    with pytest.raises(TargetError, match=r"nowhere\.yml cannot be read: No such file"):
        control.require_rules("nowhere.yml")
    stand.fault = ""
    assert state(stand.ask("Other", own=True)) == ("FIRING", True)
    told = stand.ask("AlwaysThere", "SILENT", own=True)
    assert "there is no alerting rule AlwaysThere: there is Other" in told["sentence"]
