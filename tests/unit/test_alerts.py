"""Alerts: fired since the fault, silent, and UNKNOWN where silence proves nothing; freshness."""

from datetime import UTC, datetime
from typing import Any

import pytest

from acns_chaos.cluster.prometheus import Alert, Alertmanager
from acns_chaos.errors import ApiError, ArgumentError, NotFound
from acns_chaos.evidence import alerts, freshness
from acns_chaos.evidence.alerts import alert_labels, read_alert
from acns_chaos.evidence.freshness import read_freshness
from tests.unit.fakes import FakeApi, MemoryPrometheus

RULE = {"name": "DropsByPolicy", "type": "alerting", "health": "ok", "lastError": ""}


@pytest.fixture
def prometheus(monkeypatch: pytest.MonkeyPatch) -> MemoryPrometheus:
    """A Prometheus of one node that evaluates one rule."""
    one = MemoryPrometheus("node-0")
    now = datetime.fromtimestamp(one.at, UTC).isoformat()
    one.rules = rules({**RULE, "lastEvaluation": now})
    for module in (alerts, freshness):
        monkeypatch.setattr(module, "prometheus_from", lambda api, environ: one)
    return one


def rules(*found: Any, interval: float = 15) -> dict[str, Any]:
    """What /api/v1/rules answers."""
    return {"data": {"groups": [{"interval": interval, "rules": list(found)}]}}


def firing(prometheus: MemoryPrometheus, *agos: float, **labels: str) -> None:
    """Let the alert fire at these moments, seconds ago; what is not evaluated again ends."""
    name = {"alertname": "DropsByPolicy", "alertstate": "firing", **labels}
    found = (tuple(sorted({**name, "__name__": "ALERTS"}.items())), 1.0)
    for ago in agos:
        prometheus.history.append(prometheus.at - ago, [found], ("rules", str(labels)))


def ask(
    prometheus: MemoryPrometheus,
    expect: str = "FIRING",
    fault_ago: float | None = 10.0,
    labels: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Ask for the alert since a fault so many seconds ago; None takes any."""
    start = ""
    if fault_ago is not None:
        start = datetime.fromtimestamp(prometheus.at - fault_ago, UTC).isoformat()
    api: Any = FakeApi()
    return read_alert(api, {}, "DropsByPolicy", labels or {}, expect, start, 0.0)


def is_unknown(told: dict[str, Any], *sentence: str) -> None:
    """Assert that a reading could not tell, and says why."""
    assert (told["reading"], told["met"]) == ("UNKNOWN", None), told
    for part in sentence:
        assert part in told["sentence"]


def test_an_alert_that_began_after_the_fault_fires(prometheus: MemoryPrometheus) -> None:
    """With how long it took, by the clock of who evaluated it."""
    firing(prometheus, 4, 3, 2, 1, 0, severity="critical")
    told = ask(prometheus, labels={"severity": "critical"})
    assert (told["reading"], told["met"]) == ("FIRING", True)
    assert told["seconds"] == pytest.approx(6.0, abs=0.05)
    assert told["evidence"]["began"]


def test_an_alert_that_fired_before_the_fault_is_no_notice_of_it(
    prometheus: MemoryPrometheus,
) -> None:
    """It would have fired without the fault."""
    firing(prometheus, *range(20, -1, -1))
    is_unknown(ask(prometheus), "fired before the fault")
    assert ask(prometheus, "SILENT")["met"] is False
    assert ask(prometheus, fault_ago=None)["met"] is True


def test_another_instance_of_an_alert_is_a_notice(prometheus: MemoryPrometheus) -> None:
    """One that fired before for another namespace does not hide the one that began."""
    firing(prometheus, *range(20, -1, -1), namespace="other")
    firing(prometheus, 3, 2, 1, 0, namespace="pets")
    assert ask(prometheus)["met"] is True


def test_other_labels_are_another_alert(prometheus: MemoryPrometheus) -> None:
    """A label that is asked for must be there."""
    firing(prometheus, 4, 3, 2, 1, 0, severity="info")
    told = ask(prometheus, labels={"severity": "critical"})
    assert (told["reading"], told["met"]) == ("SILENT", False)


def test_an_alert_that_does_not_fire_is_silent(prometheus: MemoryPrometheus) -> None:
    """Its rule exists and is evaluated: that is what makes it an answer."""
    assert ask(prometheus)["met"] is False
    told = ask(prometheus, "SILENT")
    assert (told["reading"], told["met"]) == ("SILENT", True)


def test_an_alert_that_is_over_is_silent(prometheus: MemoryPrometheus) -> None:
    """What fires is what fires now."""
    firing(prometheus, 8, 7)
    prometheus.history.append(prometheus.at - 6, [], ("rules", "{}"))
    assert ask(prometheus)["reading"] == "SILENT"


def test_a_rule_that_nobody_defined_is_unknown(prometheus: MemoryPrometheus) -> None:
    """A misspelt name would be silent for ever; the names that there are, are told."""
    prometheus.rules = rules({**RULE, "name": "DropsByPolicyOfPets"})
    is_unknown(ask(prometheus, "SILENT"), "no alerting rule DropsByPolicy:", "DropsByPolicyOfPets")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"health": "err", "lastError": "many-to-many matching"}, "many-to-many matching"),
        ({"lastEvaluation": "2020-01-01T00:00:00Z"}, "for the last time"),
    ],
)
def test_a_rule_that_is_not_evaluated_is_unknown(
    prometheus: MemoryPrometheus, changed: dict[str, str], sentence: str
) -> None:
    """It cannot fire."""
    prometheus.rules = rules({**RULE, **changed})
    is_unknown(ask(prometheus), sentence)


@pytest.mark.parametrize("error", [NotFound("404", 404), ApiError("not modelled", 501)])
def test_without_a_list_of_rules_silence_is_no_claim(
    prometheus: MemoryPrometheus, error: ApiError
) -> None:
    """Azure's query endpoint has none: that nobody was told holds, that all is well does not."""
    prometheus.rules = error
    is_unknown(ask(prometheus, "SILENT"), "cannot be told")
    assert ask(prometheus)["reading"] == "SILENT"


def test_rules_that_cannot_be_asked_for_are_unknown(prometheus: MemoryPrometheus) -> None:
    """A server that is down knows nothing."""
    prometheus.rules = ApiError("does not answer", 0)
    is_unknown(ask(prometheus), "does not answer")


def test_an_alert_of_nobody_knows_which_cluster_is_unknown(prometheus: MemoryPrometheus) -> None:
    """In a shared workspace it may be a neighbour's, unless a label says otherwise."""
    prometheus.cluster = "pets-aks"
    firing(prometheus, 2, 1, 0, team="shop")
    is_unknown(ask(prometheus), "pets-aks")
    assert ask(prometheus, labels={"team": "shop"})["met"] is True


def test_an_alert_of_another_cluster_is_none_of_ours(prometheus: MemoryPrometheus) -> None:
    """The matcher takes the cluster's own and those without the label."""
    prometheus.cluster = "pets-aks"
    firing(prometheus, 2, 1, 0, cluster="other-aks")
    assert ask(prometheus)["reading"] == "SILENT"
    firing(prometheus, 2, 1, 0, cluster="pets-aks")
    assert ask(prometheus)["met"] is True


# ---------------------------------------------------------------------- Alertmanager


class Told(Alertmanager):
    """An Alertmanager that has these alerts."""

    def __init__(self, *found: Any) -> None:
        super().__init__("http://alertmanager")
        self.found = list(found)

    def _get(self, path: str, params: Any) -> Any:
        assert ("filter", 'alertname="DropsByPolicy"') in params
        return self.found


def alert(prometheus: MemoryPrometheus, ago: float, state: str = "active", **labels: str) -> Any:
    """An alert as the API v2 shows it."""
    by = ["7c1f"] if state == "suppressed" else []
    return {
        "labels": {"alertname": "DropsByPolicy", **labels},
        "startsAt": datetime.fromtimestamp(prometheus.at - ago, UTC).isoformat(),
        "status": {"state": state, "silencedBy": by, "inhibitedBy": []},
    }


@pytest.mark.parametrize(
    ("ago", "state", "reading", "met"),
    [
        (4.0, "active", "FIRING", True),
        (11.0, "active", "FIRING", True),
        (60.0, "active", "UNKNOWN", None),
        (4.0, "suppressed", "SILENT", False),
    ],
)
def test_an_alertmanager_says_who_is_told(
    prometheus: MemoryPrometheus,
    monkeypatch: pytest.MonkeyPatch,
    ago: float,
    state: str,
    reading: str,
    met: bool | None,
) -> None:
    """A silenced alert tells nobody; clocks may differ by a little, an old alert is old."""
    manager = Told(alert(prometheus, ago, state))
    monkeypatch.setattr(Alertmanager, "from_environ", lambda environ: manager)
    told = ask(prometheus)
    assert (told["reading"], told["met"]) == (reading, met)
    assert told["evidence"]["source"] == "alertmanager"


SILENCE = {"name": "alertname", "value": "Drops.*", "isRegex": True, "isEqual": True}


def heard(
    prometheus: MemoryPrometheus, start_ago: float = 10.0
) -> tuple[alerts.Asker, alerts.Look]:
    """What has begun to fire since a moment, by both."""
    start = datetime.fromtimestamp(prometheus.at - start_ago, UTC).isoformat()
    api: Any = FakeApi()
    asker = alerts.Asker(api, {}, "DropsByPolicy", {}, start)
    return asker, asker.heard()


def over(prometheus: MemoryPrometheus, ago: float) -> None:
    """Let nothing fire from a moment on."""
    prometheus.history.append(prometheus.at - ago, [], ("rules", "{}"))


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Told:
    """One that has no alerts."""
    found = Told()
    monkeypatch.setattr(Alertmanager, "from_environ", lambda environ: found)
    return found


def test_what_an_alertmanager_tells_of_is_dated_by_prometheus(
    prometheus: MemoryPrometheus, manager: Told
) -> None:
    """The clock of that one was compared with ours."""
    firing(prometheus, 7.0, 1.0, 0.0)
    manager.found = [alert(prometheus, 11.0)]
    asker, look = heard(prometheus)
    began, bound = asker.began(look)
    assert [len(found) for found in (look.new, look.old, look.muted)] == [1, 0, 0]
    assert began == pytest.approx(prometheus.at - 7.0, abs=0.01)
    assert bound < 0.1


def test_an_alert_that_prometheus_knows_from_before_is_old_at_once(
    prometheus: MemoryPrometheus, manager: Told
) -> None:
    """However little an Alertmanager's clock and ours may differ."""
    firing(prometheus, 11.0, 1.0, 0.0)
    manager.found = [alert(prometheus, 11.0)]
    _, look = heard(prometheus)
    assert [len(found) for found in (look.new, look.old, look.muted)] == [0, 1, 0]


def test_an_alertmanager_with_alerts_of_another_prometheus_is_off_by_who_knows(
    prometheus: MemoryPrometheus, manager: Told
) -> None:
    """Then its own time is all there is."""
    manager.found = [alert(prometheus, 4.0)]
    asker, look = heard(prometheus)
    assert asker.began(look) == (pytest.approx(prometheus.at - 4.0, abs=0.01), alerts.SLACK)


@pytest.mark.parametrize(
    ("matchers", "state", "muted"),
    [
        ([], "", False),
        ([SILENCE], "active", True),
        ([SILENCE], "expired", False),
        ([{**SILENCE, "isEqual": False}], "active", False),
        ([SILENCE, {"name": "team", "value": "shop", "isRegex": False}], "active", False),
    ],
)
def test_what_is_over_is_prometheus_word_but_for_silences(
    prometheus: MemoryPrometheus,
    manager: Told,
    monkeypatch: pytest.MonkeyPatch,
    matchers: list[Any],
    state: str,
    muted: bool,
) -> None:
    """An Alertmanager knows no more what is over; it was asked a moment too late."""
    firing(prometheus, 7.0, 6.0)
    over(prometheus, 5.0)
    silences = [{"matchers": matchers, "status": {"state": state}}]
    answers = {"/api/v2/alerts": [], "/api/v2/silences": silences}
    monkeypatch.setattr(manager, "_get", lambda path, params: answers[path])
    asker, look = heard(prometheus)
    assert (len(look.new), len(look.old), len(look.muted)) == (not muted, 0, muted)
    if not muted:
        assert asker.began(look)[0] == pytest.approx(prometheus.at - 7.0, abs=0.01)


def test_an_alert_that_never_reached_alertmanager_tells_nobody(
    prometheus: MemoryPrometheus, manager: Told
) -> None:
    """It still fires in Prometheus, and is on nobody's list."""
    firing(prometheus, 7.0, 1.0, 0.0)
    _, look = heard(prometheus)
    assert not look.new
    assert [one.muted for one in look.muted] == ["unknown to Alertmanager"]


def test_a_silence_that_cannot_be_read_is_no_answer(
    prometheus: MemoryPrometheus, manager: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether people were told is not known then."""
    bad = [{"matchers": [{**SILENCE, "value": "("}], "status": {"state": "active"}}]
    monkeypatch.setattr(manager, "_get", lambda path, params: bad)
    with pytest.raises(ApiError, match="a silence that cannot be read"):
        manager.silences({"alertname": "x"})
    manager.found = {"message": "no"}  # type: ignore[assignment]
    monkeypatch.setattr(manager, "_get", lambda path, params: manager.found)
    with pytest.raises(ApiError, match="no list of silences"):
        manager.silences({"alertname": "x"})


def test_an_alertmanager_that_answers_something_else_is_unknown(
    prometheus: MemoryPrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object is no list of alerts."""
    manager = Told()
    manager.found = {"message": "no"}  # type: ignore[assignment]
    monkeypatch.setattr(Alertmanager, "from_environ", lambda environ: manager)
    is_unknown(ask(prometheus), "no list of alerts")


def test_labels_match_in_any_case() -> None:
    """Azure Monitor's casing is not to be relied on."""
    one = Alert({"Severity": "Critical"}, None)
    assert one.has({"severity": "critical"})
    assert not one.has({"severity": "info"})
    assert not one.has({"team": ""})


@pytest.mark.parametrize(
    ("name", "labels"),
    [("", {}), (None, {}), ("A", ["x"]), ("A", {'x="1"} or vector(1) #': "y"}), ("A", {1: "y"})],
)
def test_what_is_no_alert_is_refused(name: Any, labels: Any) -> None:
    """Nothing an experiment gives can change what is asked."""
    with pytest.raises(ArgumentError):
        alert_labels(name, labels)


def test_a_label_value_stays_a_value(prometheus: MemoryPrometheus) -> None:
    """Quotes and backslashes are escaped."""
    value = 'a"} or vector(1) #\\'
    firing(prometheus, 2, 1, 0, team=value)
    assert ask(prometheus, labels={"team": value})["met"] is True
    assert ask(prometheus, labels={"team": 'b"} or vector(1) #\\'})["reading"] == "SILENT"


# ---------------------------------------------------------------------- freshness


def fresh(expect: str = "READY", max_age: float = 0.0) -> dict[str, Any]:
    """Ask for the freshness."""
    api: Any = FakeApi()
    return read_freshness(api, {}, expect, max_age, 0.0)


def test_metrics_of_every_node_are_fresh(prometheus: MemoryPrometheus) -> None:
    """Both endpoints of each node, within two and a half scrapes."""
    for ago in (3, 2, 1):
        prometheus.scrape(ago, "node-0")
    assert (fresh()["reading"], fresh()["met"]) == ("READY", True)
    assert fresh("READY", 0.5)["reading"] == "NOT_READY"


def test_metrics_that_are_old_are_not_ready(prometheus: MemoryPrometheus) -> None:
    """Five seconds are old when a scrape comes every second."""
    for ago in (7, 6, 5):
        prometheus.scrape(ago, "node-0")
    told = fresh("NOT_READY")
    assert (told["reading"], told["met"]) == ("NOT_READY", True)
    assert "node-0" in told["sentence"]


def test_freshness_of_another_cluster_is_unknown(prometheus: MemoryPrometheus) -> None:
    """Its metrics are as fresh as can be, and say nothing."""
    prometheus.scrape(1, "aks-other-vmss000000")
    is_unknown(fresh(), "aks-other-vmss000000")
