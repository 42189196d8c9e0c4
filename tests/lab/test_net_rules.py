"""Alert rules of the lab's Prometheus: the file, the states, the API, and other rules at run time.

The states are compared with promtool's, which evaluates rules as Prometheus does, on its own clock.
"""

import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from net_support import NOBODY, Bench, JumpingClock

from acns_chaos.lab.net.prometheus.rules.evaluator import Rules
from acns_chaos.lab.net.prometheus.rules.reading import BadRules, read_groups
from acns_chaos.lab.net.prometheus.rules.texts import scientific, written
from acns_chaos.lab.net.promql.evaluation import Query
from acns_chaos.lab.net.promql.expressions import parse
from acns_chaos.lab.net.promql.history import History
from tests.tiers import scaled

STEPS = 25
DROPS = """\
groups:
- name: drops
  rules:
  - alert: StorefrontDrops
    expr: sum by (reason) (hubble_drop_total{reason=~"POLICY_DEN.*",destination=~"pets/.*"}) > 0
    for: 2s
    keep_firing_for: 3s
    labels: {severity: critical}
    annotations: {summary: "{{ $value }} drops: {{ $labels.reason }}"}
"""
WALK = """\
groups:
- name: states
  rules:
  - {alert: AtOnce, expr: level > 2}
  - {alert: AfterAWhile, expr: level > 2, for: 3s}
  - {alert: Kept, expr: level > 2, keep_firing_for: 4s}
  - {alert: Both, expr: level > 3, for: 2s, keep_firing_for: 2500ms}
  - alert: ByZone
    expr: sum by (zone) (level) > 4
    for: 1s
    labels: {zone: "in {{ $labels.zone }}"}
  - alert: Named
    expr: level == 4
    labels: {x: "{{ .Value }}", zone: "", of: "{{$labels.__name__}}"}
  - alert: Gone
    expr: absent(level{pod="a"})
    for: 2s
    annotations: {t: "{{ $value }} {{ $labels.pod }}"}
  - {alert: Scalar, expr: scalar(sum(level)) > bool 5}
  - alert: Often
    expr: changes(level[4s]) > 2
    annotations: {t: "{{ $value }} of {{ $labels.pod }}."}
  - {alert: OfAnother, expr: 'ALERTS{alertname="AfterAWhile",alertstate="firing"}', for: 1s}
- name: recorded
  rules:
  - {record: "zone:level:sum", expr: sum by (zone) (level), labels: {by: zone}}
  - {alert: OfRecorded, expr: "zone:level:sum > 5", for: 1s}
  - {record: one, expr: "1"}
"""


def promtool(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Debian's promtool in a folder."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool on PATH")
    return subprocess.run(
        [program, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


# ---------------------------------------------------------------------- the states


def drawn(seed: int) -> dict[str, list[str]]:
    """Random values of some series at each step, `_` for none and `stale` for an end."""
    chance = random.Random(seed)
    found = {}
    for name in ('level{pod="a",zone="x"}', 'level{pod="b",zone="x"}', 'level{pod="c",zone="y"}'):
        values: list[str] = []
        for _ in range(STEPS):
            again = values and chance.random() < 0.6
            values.append(
                values[-1] if again else chance.choice(["0", "1", "3", "3", "4", "_", "stale"])
            )
        found[name] = values
    return found


async def states(inputs: dict[str, list[str]]) -> tuple[History, list[dict[str, Any]]]:
    """What the lab makes of the rules over the inputs: its history, and the alerts at the end."""
    history, clock = History(), JumpingClock(0)
    for name, values in inputs.items():
        named = parse(name).matchers.matchers
        labels = tuple(sorted([("__name__", "level"), *((one.name, one.value) for one in named)]))
        for at, value in enumerate(values):
            if value != "_":
                samples = [] if value == "stale" else [(labels, float(value))]
                history.append(at, samples, labels)
    rules = Rules(history, clock)
    rules.replace(WALK)
    rules.start()
    await clock.advance(STEPS - 1)
    alerts = rules.alerts()
    await rules.stop()
    return history, alerts


def expected(history: History, alerts: list[dict[str, Any]]) -> dict[str, Any]:
    """The same as promtool's tests put it."""
    asked = []
    for at in range(STEPS):
        for text in ("ALERTS", "ALERTS_FOR_STATE", "zone:level:sum", "one"):
            value = Query(parse(text), history).at(at)
            assert isinstance(value, list)
            samples = [{"labels": selector(labels), "value": number} for labels, number in value]
            asked.append({"expr": text, "eval_time": f"{at}s", "exp_samples": samples})
    firing = {}
    for alert in alerts:
        labels = dict(alert["labels"])
        name = labels.pop("alertname")
        told = {"exp_labels": labels, "exp_annotations": alert["annotations"]}
        firing.setdefault(name, []).extend([told] if alert["state"] == "firing" else [])
    notes = [
        {"alertname": name, "eval_time": f"{STEPS - 1}s", "exp_alerts": told}
        for name, told in firing.items()
    ]
    return {"promql_expr_test": asked, "alert_rule_test": notes}


def selector(labels: dict[str, str]) -> str:
    """Labels as a query has them."""
    pairs = ",".join(f"{k}={json.dumps(v)}" for k, v in labels.items() if k != "__name__")
    return f"{labels['__name__']}{{{pairs}}}"


@pytest.mark.slow
async def test_states_are_those_of_prometheus(tmp_path: Path) -> None:
    """Every state at every second, over random series that come and go, agrees with promtool's."""
    tests, seen = [], set()
    for seed in range(scaled(20)):
        inputs = drawn(seed)
        history, alerts = await states(inputs)
        series = [{"series": name, "values": " ".join(v)} for name, v in inputs.items()]
        told = expected(history, alerts)
        for one in told["promql_expr_test"]:
            seen |= {sample["labels"].partition(",pod")[0] for sample in one["exp_samples"]}
        tests.append({"interval": "1s", "input_series": series, **told})
    (tmp_path / "rules.yml").write_text(WALK)
    file = {"rule_files": ["rules.yml"], "evaluation_interval": "1s", "tests": tests}
    (tmp_path / "test.yml").write_text(json.dumps(file))
    done = promtool(tmp_path, "test", "rules", "test.yml")
    assert done.returncode == 0, (done.stdout + done.stderr)[:4000]
    for name in ("AfterAWhile", "Both", "ByZone", "Gone", "OfAnother", "OfRecorded"):
        assert any(name in one for one in seen), name
    # It would notice: one value off is a failure.
    tests[0]["promql_expr_test"][4]["exp_samples"] = [{"labels": "ALERTS", "value": 2}]
    (tmp_path / "test.yml").write_text(json.dumps(file))
    assert promtool(tmp_path, "test", "rules", "test.yml").returncode != 0


# ---------------------------------------------------------------------- the file


def rule(**fields: Any) -> str:
    """A file with one rule."""
    return yaml.safe_dump({"groups": [{"name": "g", "rules": [{"expr": "up == 0", **fields}]}]})


def of_group(**fields: Any) -> str:
    """A file with one group."""
    group = {"name": "g", "rules": [{"alert": "A", "expr": "up"}], **fields}
    return yaml.safe_dump({"groups": [group]})


TAKEN = [
    "", "groups: []", "groups:", "# nothing", "groups: [{name: g}]", DROPS, WALK,
    rule(alert="A", **{"for": "1h30m"}), rule(alert="A b é"), rule(alert="A", **{"for": 0}),
    rule(alert="A", **{"for": "0s"}), rule(alert="A", labels={"a": 1, "b": True, "c": None}),
    rule(alert="A", annotations={"a": "}} {{ $value }} {{.Labels.x}}"}), rule(record="a:b"),
    rule(record="a", labels={"b": "{{"}), of_group(interval="5s", limit=3), of_group(limit=-1),
    of_group(interval="0s"), rule(alert="A", expr=" \n up\n# said\n"),
    rule(alert="A", expr="up[5m]"),
    rule(alert="A", expr='"text"'), rule(alert="A", keep_firing_for="1y2w3d4h5m6s7ms"),
]  # fmt: skip
REFUSED = [
    "groups: 5", "groups: [5]", "a: b", "- a", "groups: [{rules: []}]", "groups: [{name: ''}]",
    "groups: [{name: a}, {name: a}]", rule(), rule(alert="A", record="b"), rule(alert=""),
    rule(alert="A", expr=""), rule(alert="A", expr="up =="),
    rule(alert="A", **{"for": "5"}), rule(alert="A", **{"for": "1.5s"}),
    rule(alert="A", **{"for": "1m1h"}), rule(alert="A", **{"for": "-5s"}),
    rule(alert="A", **{"for": "400y"}), rule(alert="A", hold="5s"), rule(alert=["A"]),
    rule(alert="A", labels={"a-b": "c"}), rule(alert="A", labels={"__name__": "c"}),
    rule(alert="A", labels=["a"]), rule(alert="A", annotations={"a b": "c"}),
    rule(alert="A", annotations={"a": "{{ $value"}), rule(alert="A", labels={"a": {"b": "c"}}),
    rule(record="a-b"), rule(record="a", **{"for": "5s"}), rule(record="a", annotations={"b": "c"}),
    rule(record="a", keep_firing_for="5s"), of_group(interval="often"), of_group(limit="many"),
    of_group(query_offset="1m"), of_group(rules=5), of_group(rules=["up"]), "groups: [", "\0",
    "groups:\n- name: a\n  name: b",
    "groups:\n- {name: a, rules: [{alert: A, expr: up, expr: up}]}",
]  # fmt: skip
# What Prometheus takes and the lab does not model.
NOT_MODELLED = {
    rule(alert="A", expr=None): "has no `expr`",
    rule(alert="A", labels={"a": "{{ $value | humanize }}"}): "is not modelled by the lab",
    "groups: [&a {name: b}]\nx: *a": "no aliases",
    "groups: !!seq []": "no tags",
    "groups: []\n---\ngroups: []": "a second document",
    of_group(interval="10ms"): "every 50ms at most",
    "groups: " + "[" * 5000: "nested deeper",
    "#" * 1_000_001: "1,000,000 bytes at most",
    of_group(rules=[{"alert": f"A{n}", "expr": "up"} for n in range(1001)]): "1000 rules at most",
}


@pytest.mark.slow
def test_files_are_taken_and_refused_as_prometheus_does(tmp_path: Path) -> None:
    """What the lab takes is good to promtool, too, and what it refuses is not."""
    for number, text in enumerate(TAKEN + REFUSED):
        (tmp_path / f"{number:03}.yml").write_text(text)
    names = sorted(path.name for path in tmp_path.iterdir())
    done = promtool(tmp_path, "check", "rules", "--lint=none", *names)
    told = done.stdout.split("Checking ")[1:]
    theirs = {one.split()[0]: "SUCCESS" in one for one in told}
    assert [name for name, is_taken in theirs.items() if is_taken] == names[: len(TAKEN)]
    assert len(theirs) == len(names)


@pytest.mark.parametrize("text", TAKEN)
def test_a_good_file_is_taken(text: str) -> None:
    """None of its rules is lost."""
    groups = (yaml.safe_load(text) or {}).get("groups") or []
    rules = [len(one.get("rules") or []) for one in groups]
    assert [len(group.rules) for group in read_groups(text)] == rules


@pytest.mark.parametrize(
    ("text", "says"), [*((text, "") for text in REFUSED), *NOT_MODELLED.items()]
)
def test_a_bad_file_is_refused_with_a_sentence(text: str, says: str) -> None:
    """One line that ends with a full stop and names the place."""
    with pytest.raises(BadRules) as refused:
        read_groups(text)
    told = str(refused.value)
    assert says in told
    assert told.endswith(".")
    assert "\n" not in told
    assert len(told) < 400
    assert told.startswith(("line ", "The "))


def test_a_refusal_names_line_group_rule_and_what_is_wrong() -> None:
    """As much as is needed to find it."""
    with pytest.raises(BadRules) as refused:
        read_groups(DROPS.replace("for: 2s", "hold: 2s"))
    assert str(refused.value) == (
        "line 6: group drops, rule 1 has no field `hold`: it has alert, record, expr, for, "
        "keep_firing_for, labels, annotations."
    )


LONG = 'increase(hubble_drop_total{a="( x )",b=~"POLICY_DEN.*",c=~"pets/store-front.*"}[5m]) > 0'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('sum(rate(a{x!="y",b=~".*"}[90s])) without (b) > bool 1e3',
         'sum without (b) (rate(a{b=~".*",x!="y"}[1m30s])) > bool 1000'),
        ("a * on(x) group_left(y) b + ignoring(z) group_right() -(c)",
         "a * on (x) group_left (y) b + ignoring (z) group_right () -(c)"),
        (f"{LONG} and on() histogram_quantile(0.9, sum by (le) (x_bucket))",
         f"{LONG} and on () histogram_quantile(0.9, sum by (le) (x_bucket))"),
    ],
)  # fmt: skip
def test_an_expression_is_written_back_as_prometheus_does(text: str, says: str) -> None:
    """In one line, whatever its length: the expected texts are a real one's."""
    assert written(parse(text)) == says


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1e+00"), (0, "0e+00"), (15, "1.5e+01"), (1e21, "1e+21"), (0.000125, "1.25e-04"),
     (-120, "-1.2e+02"), (float("nan"), "NaN"), (float("inf"), "+Inf"), (0.1, "1e-01")],
)  # fmt: skip
def test_values_are_written_as_go_does(value: float, text: str) -> None:
    """Shortest digits, an exponent of two figures."""
    assert scientific(float(value)) == text


# ---------------------------------------------------------------------- over HTTP


async def api(url: str, path: str, **params: str) -> Any:
    """The data of an answer."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/api/v1/{path}", params=params) as response,
    ):
        body = await response.json()
    return body.get("data", body)


async def test_an_alert_is_pending_fires_and_is_over() -> None:
    """A denied storefront: states, labels, annotations and moments, by all three ways to ask."""
    bench = Bench()
    prometheus = bench.net.prometheus
    prometheus.rules.replace(DROPS, "drops.yml")
    url = await prometheus.start()
    bench.net.traffic.start()
    await bench.clock.advance(5)
    (group,) = (await api(url, "rules"))["groups"]
    assert (group["name"], group["file"], group["interval"]) == ("drops", "drops.yml", 1)
    (quiet,) = group["rules"]
    assert (quiet["state"], quiet["health"], quiet["alerts"]) == ("inactive", "ok", [])
    assert (quiet["duration"], quiet["keepFiringFor"]) == (2, 3)
    assert (await api(url, "alerts"))["alerts"] == []

    await bench.apply("allow-store-front-traffic", ingress=NOBODY)
    seen = []
    for _ in range(8):
        await bench.clock.advance(1)
        (alert, *_) = [*(await api(url, "alerts"))["alerts"], {"state": "none"}]
        seen.append(alert["state"])
        now = await api(url, "query", query="ALERTS", time=f"{bench.clock.now()}")
        states = [one["metric"]["alertstate"] for one in now["result"]]
        assert states == ([] if alert["state"] == "none" else [alert["state"]])
    # `for: 2s`: two evaluations are not enough, the third is.
    first = seen.index("pending")
    assert seen[first:] == ["pending", "pending", *["firing"] * (len(seen) - first - 2)]
    assert set(seen[:first]) <= {"none"}
    assert alert["labels"] == {
        "alertname": "StorefrontDrops", "reason": "POLICY_DENIED", "severity": "critical"
    }  # fmt: skip
    assert alert["annotations"]["summary"].endswith(" drops: POLICY_DENIED")
    assert alert["activeAt"].startswith("1970-01-12T13:46:")
    assert float(alert["value"]) > 0
    active = await api(url, "query", query="ALERTS_FOR_STATE", time=f"{bench.clock.now()}")
    assert "alertstate" not in active["result"][0]["metric"]
    assert (await api(url, "rules", type="record"))["groups"][0]["rules"] == []
    assert (await api(url, "rules", type="x"))["errorType"] == "bad_data"
    # The sum of a counter stays above zero, unless the counter is gone.
    prometheus.rules.replace(DROPS.replace("> 0", "> 1e9"))
    assert (await api(url, "alerts"))["alerts"][0]["keepFiringSince"]
    await bench.clock.advance(2)
    assert [one["state"] for one in (await api(url, "alerts"))["alerts"]] == ["firing"]
    await bench.clock.advance(1)
    assert (await api(url, "alerts"))["alerts"] == []
    await bench.net.traffic.stop()
    await prometheus.stop()


async def test_other_rules_take_over_at_once() -> None:
    """What is kept keeps its alerts, what is gone ends, what is bad changes nothing."""
    history, clock = History(), JumpingClock(1000)
    rules = Rules(history, clock)
    rules.replace(of_group(rules=[_alert("A"), _alert("B"), _alert("C", severity="x")]))
    rules.start()
    await clock.advance(2)
    assert states_now(history, clock) == {"A": "firing", "B": "firing", "C": "firing"}
    since = {one["labels"]["alertname"]: one["activeAt"] for one in rules.alerts()}

    with pytest.raises(BadRules):
        rules.replace(of_group(rules=[{"alert": "A"}]))
    assert states_now(history, clock) == {"A": "firing", "B": "firing", "C": "firing"}

    await clock.advance(1.5)
    rules.replace(of_group(rules=[_alert("B"), _alert("C", severity="y"), _alert("D")], limit=9))
    assert states_now(history, clock) == {"B": "firing", "C": "firing", "D": "firing"}
    now = {one["labels"]["alertname"]: one["activeAt"] for one in rules.alerts()}
    assert now["B"] == since["B"]
    assert now["C"] > since["C"], "its labels are others, so it is another alert"

    rules.replace("")
    assert states_now(history, clock) == {}
    assert (rules.groups(), rules.alerts()) == ([], [])
    await clock.advance(3)
    assert states_now(history, clock) == {}
    await rules.stop()


async def test_a_rule_that_cannot_be_evaluated_says_why() -> None:
    """The others are evaluated, and what it said before stays: Prometheus knows no better."""
    history, clock = History(), JumpingClock(1000)
    rules = Rules(history, clock)
    rules.replace(
        of_group(
            limit=1,
            rules=[
                {"alert": "Many", "expr": "x"},
                {"alert": "Text", "expr": '"text"'},
                {"alert": "Range", "expr": "x[5m]"},
                {"alert": "Sub", "expr": "max_over_time(x[5m:1m])"},
                {"alert": "Same", "expr": "x", "labels": {"pod": ""}},
                {"record": "same", "expr": "x", "labels": {"pod": "c"}},
                {"alert": "Good", "expr": 'x{pod="a"}'},
            ],
        )
    )
    assert {rule["health"] for rule in rules.groups()[0]["rules"]} == {"unknown"}
    pods = [tuple(sorted({"__name__": "x", "pod": pod}.items())) for pod in "ab"]
    history.append(1000, [(pods[0], 1.0)])
    rules.start()
    assert states_now(history, clock)["Many"] == "firing"
    history.append(1001, [(one, 1.0) for one in pods])
    await clock.advance(2)
    told = {one["name"]: one.get("lastError", one["health"]) for one in rules.groups()[0]["rules"]}
    assert told == {
        "Many": "exceeded limit of 1 with 2 alerts",
        "Text": "rule result is not a vector or scalar",
        "Range": "rule result is not a vector or scalar",
        "Sub": told["Sub"],
        "Same": "vector contains metrics with the same labelset after applying alert labels",
        "same": "vector contains metrics with the same labelset after applying rule labels",
        "Good": "ok",
    }
    assert "not modelled by the lab" in told["Sub"]
    assert states_now(history, clock)["Many"] == "firing"
    await rules.stop()


def _alert(name: str, **labels: str) -> dict[str, Any]:
    return {"alert": name, "expr": "vector(1)", "labels": labels}


def states_now(history: History, clock: JumpingClock) -> dict[str, str]:
    """The states of `ALERTS` by alert."""
    value = Query(parse("ALERTS"), history).at(clock.now())
    assert isinstance(value, list)
    return {labels["alertname"]: labels["alertstate"] for labels, _ in value}
