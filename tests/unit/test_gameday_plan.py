"""A plan: what it means, and one sentence with the line for whatever it cannot mean."""

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.cli import main
from acns_chaos.cluster.kube import Api
from acns_chaos.errors import DocumentError, GameDayError, TargetRefused
from acns_chaos.gameday import preparing
from acns_chaos.gameday.alert_rules import AlertRule, read_rules
from acns_chaos.gameday.estimate import Pace
from acns_chaos.gameday.plan import cluster_of, plan_of, read_plan
from acns_chaos.gameday.plan_checks import KEYWORDS, breach, schema
from acns_chaos.gameday.plan_values import Detector
from acns_chaos.gameday.preparing import require_time
from acns_chaos.gameday.times import Blackout, seconds_of, told
from acns_chaos.policy.operators import OPERATORS
from tests.tiers import examples

ROOT = Path(__file__).parents[2]
Json = dict[str, Any]

SMALL: Json = {
    "schema": 1,
    "name": "small",
    "target": {"cluster": "aks-shop", "namespaces": ["pets"]},
    "mutants": {"most": 3},
    "detectors": [{"alert": "Drops", "for": "availability"}],
}
# Every key there is.
WHOLE: Json = {
    "schema": 1,
    "name": "whole",
    "target": {"cluster": "lab", "namespaces": ["pets", "far"], "beside": ["checkout"]},
    "lab": {"world": "pets", "rules": "rules.yaml"},
    "mutants": {
        "policies": ["allow-*", "far/web"],
        "families": ["selectors", "ports"],
        "classes": ["closes", "opens"],
        "names": ["graph.microsoft.com"],
        "most": 48,
        "budget": "10m",
    },
    "experiments": ["experiment.json"],
    "detectors": [
        {"alert": "Drops", "labels": {"team": "pets"}, "for": "availability", "deadline": "auto"},
        {
            "claim": "claim.json",
            "every": "60s",
            "runs": {"cronjob": "pets/claims"},
            "for": ["security", "availability"],
            "deadline": "20s",
        },
    ],
    "limits": {"affected": ["pets/store-front"], "max_flows": 200, "per_run": "60s"},
    "stop": {"survivors": 3, "unknown": 5, "not_restored": "always"},
    "blackout": [{"days": ["fri"], "from": "16:00", "to": "24:00", "zone": "Europe/Berlin"}],
    "minimum": {"availability": 0.8, "security": 0.5},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the files that WHOLE names."""
    rule = {"alert": "Drops", "expr": "sum(x) - sum(x offset 2m) > 0", "for": "30s"}
    rules = {"groups": [{"name": "a", "interval": "15s", "rules": [rule]}]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    (tmp_path / "experiment.json").write_text('{"method": [{"type": "action"}]}')
    probe = {"provider": {"arguments": {"timeout": 2}}}
    claim = {"steady-state-hypothesis": {"probes": [probe, {}]}, "method": []}
    (tmp_path / "claim.json").write_text(json.dumps(claim))
    return tmp_path


def written(folder: Path, document: Any) -> Path:
    """Write a plan; a text as it is."""
    file = folder / "plan.yaml"
    text = document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False)
    file.write_text(text, "utf-8")
    return file


def refused(folder: Path, document: Any) -> str:
    """The sentence about a plan, without the folder."""
    with pytest.raises(DocumentError) as caught:
        read_plan(written(folder, document))
    return str(caught.value).replace(f"{folder}/", "")


def changed(document: Json, *path: Any, value: Any) -> Json:
    """A plan with another value at one place."""
    other: Any = copy.deepcopy(document)
    place = other
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return dict(other)


def test_every_key_is_read(folder: Path) -> None:
    """What is written is what is meant, in seconds and with paths beside the plan."""
    plan = read_plan(written(folder, WHOLE))
    assert (plan.name, plan.cluster, plan.namespaces) == ("whole", "lab", ("pets", "far"))
    assert (plan.world, plan.rules_file) == ("pets", folder / "rules.yaml")
    assert plan.mutants is not None
    assert (plan.mutants.policies, plan.mutants.families) == (
        ("allow-*", "far/web"),
        ("selectors", "ports"),
    )
    assert (plan.mutants.names, plan.mutants.most, plan.mutants.budget) == (
        ("graph.microsoft.com",),
        48,
        600.0,
    )
    assert plan.mutants.classes == ("closes", "opens")
    assert plan.experiments == (folder / "experiment.json",)
    alert, claim = plan.detectors
    assert (alert.name, alert.kind, alert.labels, alert.deadline) == (
        "Drops",
        "alert",
        {"team": "pets"},
        None,
    )
    assert (claim.name, claim.every, claim.lasts, claim.deadline) == ("claim", 60.0, 3.0, 20.0)
    assert (claim.claim, claim.cronjob) == (folder / "claim.json", "pets/claims")
    assert (plan.affected, plan.max_flows, plan.per_run) == (("pets/store-front",), 200, 60.0)
    assert (plan.stop_survivors, plan.stop_unknown) == (3, 5)
    assert plan.minimum == {"availability": 0.8, "security": 0.5}
    rule = plan.rules["Drops"]
    assert (rule.evaluation, rule.held, rule.back) == (15.0, 30.0, 120.0)


def test_a_plan_survives_being_written_down(folder: Path) -> None:
    """What a resumed day reads from its own file is the same plan."""
    plan = read_plan(written(folder, WHOLE))
    assert plan_of(json.loads(json.dumps(plan.document)), plan.folder) == plan


def test_the_smallest_plan_has_careful_defaults(folder: Path) -> None:
    """All classes, no limit but the prediction's, never a stop but for what is not restored."""
    plan = read_plan(written(folder, SMALL))
    assert plan.mutants is not None
    assert plan.mutants.classes == ("closes", "opens", "both")
    assert (plan.affected, plan.stop_survivors, plan.blackout, plan.minimum) == ((), 0, (), {})


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("mutnats",), {}, "line 12, at mutnats: there is no key 'mutnats'; did you mean mutants."),
        (
            ("mutants", "policy"),
            [],
            "line 9, at mutants.policy: there is no key 'policy'; did you mean policies.",
        ),
        (
            ("mutants", "families"),
            ["selector"],
            "line 10, at mutants.families[0]: is 'selector'; did you mean selectors.",
        ),
        (("mutants", "most"), 0, "line 8, at mutants.most: is 0; it must be at least 1."),
        (("mutants", "most"), True, "line 8, at mutants.most: is true; it must be a whole number."),
        (
            ("mutants", "budget"),
            600,
            "line 9, at mutants.budget: is 600; it must be a text with its unit, such as 60s.",
        ),
        (("mutants", "budget"), "0s", "line 9, at mutants.budget: 0s is no time at all"),
        (("schema",), 2, "line 1, at schema: is 2; it must be 1."),
        (("name",), "Pets\n", "line 2, at name: is 'Pets\\n'; expected is what the day is called"),
        (("target", "cluster"), "", "line 4, at target.cluster: is empty; write something."),
        (("target", "namespaces"), [], "line 5, at target.namespaces: is empty; write an item"),
        (
            ("target", "namespaces"),
            ["pets", "pets"],
            "line 7, at target.namespaces[1]: 'pets' is there twice; keep one.",
        ),
        (("lab",), {"world": "pets"}, "line 12, at lab: is for `cluster: lab`, and the target is"),
        (("stop",), {"not_restored": "never"}, "at stop.not_restored: is 'never'; it must be"),
        (("minimum",), {"security": 80}, "at minimum.security: is 80; it must be at most 1."),
        (
            ("blackout",),
            [{"from": "16:00", "to": "18:00", "zone": "Europe/Atlantis"}],
            "at blackout[0].zone: there is no time zone 'Europe/Atlantis'; write one such as",
        ),
        (
            ("blackout",),
            [{"from": "4pm", "to": "18:00", "zone": "UTC"}],
            "at blackout[0].from: is '4pm'; expected is its beginning, such as \"16:00\".",
        ),
        (("detectors",), [], "at detectors: is empty; write an item, or leave the key out."),
        (
            ("detectors",),
            [{"alert": "A", "claim": "b.json", "for": "security"}],
            "line 10, at detectors[0]: write either alert or claim.",
        ),
        (("detectors",), [{"alert": "A"}], "at detectors[0]: the key for is missing; write it."),
        (
            ("detectors",),
            [{"alert": "A", "for": "securty"}],
            "at detectors[0].for: is 'securty'; did you mean security.",
        ),
        (
            ("detectors",),
            [{"alert": "A", "for": "security", "every": "1s"}],
            "at detectors[0].every: an alert has no every; leave it out.",
        ),
        (
            ("detectors",),
            [{"alert": "A", "for": "security"}, {"alert": "A", "for": "availability"}],
            "at detectors[1]: two detectors are called A; keep one.",
        ),
        (
            ("detectors",),
            [{"claim": "claim.json", "for": "security"}],
            "at detectors[0]: how often the claim is run is not said; write every.",
        ),
        (
            ("detectors",),
            [{"claim": "claim.json", "every": "60s", "for": "security"}],
            "at detectors[0]: nobody is named who runs this claim on a cluster; write",
        ),
        (
            ("detectors",),
            [{"claim": "gone.json", "every": "60s", "for": "security"}],
            "at detectors[0].claim: there is no file gone.json; correct the name.",
        ),
        (
            ("detectors",),
            [{"claim": "experiment.json", "every": "60s", "for": "security"}],
            "at detectors[0].claim: experiment.json does something, and a claim only looks",
        ),
        (
            ("detectors",),
            [{"alert": "A", "for": "security", "deadline": "300s"}],
            "at detectors[0].deadline: 300s is no shorter than the 300 s that a mutant may stand",
        ),
        (("experiments",), ["rules.yaml"], "at experiments[0]: rules.yaml is no experiment"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value)[:40],
)
def test_what_cannot_be_meant_is_one_sentence_with_its_line(
    folder: Path, path: tuple[Any, ...], value: Any, sentence: str
) -> None:
    """What was found, in which line, and what to write instead."""
    said = refused(folder, changed(SMALL, *path, value=value))
    assert said.startswith("plan.yaml, line ")
    assert sentence in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "plan.yaml: holds nothing; a plan is one document."),
        ("a: 1\n---\nb: 2\n", "plan.yaml: holds 2 documents; a plan is one document."),
        ("- 1\n", "plan.yaml, line 1: is a list; it must be an object."),
        ("name: a\nname: b\n", "plan.yaml, line 2: the key name is there twice; keep one."),
        ("a: !!python/object:os.system x\n", "plan.yaml, line 1, at a: the tag "),
        ("a: &x [*x]\n", "the anchor &x holds itself, so it would never end."),
        ("a: [\n", "plan.yaml, line 2"),
        ("[" * 200, "nested deeper than 100 levels."),
        ("name: " + "x" * 600_000, "plan.yaml has more than 500 kB; a plan is short."),
        ("\x00", "plan.yaml"),
    ],
    ids=range(10),
)
def test_hostile_texts_are_one_sentence(folder: Path, text: str, sentence: str) -> None:
    """They cost no more than honest ones, and are never obeyed."""
    assert sentence in refused(folder, text)


def test_neither_mutants_nor_experiments_is_no_day(folder: Path) -> None:
    """There has to be something to run."""
    document = {key: one for key, one in SMALL.items() if key != "mutants"}
    assert "line 1: write mutants or experiments, or both." in refused(folder, document)


def test_an_alert_that_the_labs_rules_do_not_have_is_named_with_the_nearest(folder: Path) -> None:
    """A misspelt detector would survive nothing and notice nothing."""
    document = changed(WHOLE, "detectors", 0, "alert", value="Dropz")
    said = refused(folder, document)
    assert "there is no alert Dropz in the lab's rules; did you mean Drops." in said


@pytest.mark.parametrize(
    "text",
    ["[]", "groups: 1", "groups: [{rules: 1}]", "groups: [{rules: [{alert: A}]}]",
     "groups: [{interval: soon, rules: []}]", "groups: [{rules: [1]}]"],
)  # fmt: skip
def test_a_file_that_holds_no_rules_is_one_sentence(folder: Path, text: str) -> None:
    """With the file's name and what it should hold."""
    (folder / "rules.yaml").write_text(text)
    assert refused(folder, WHOLE).startswith("rules.yaml")


# --- the schema itself --------------------------------------------------------------------------


def places(wanted: Json, name: str = "plan") -> list[tuple[str, Json]]:
    """Every schema within the schema, with a name for it."""
    found = [(name, wanted)]
    for key, one in wanted.get("properties", {}).items():
        found += places(one, f"{name}.{key}")
    for key in ("items", "additionalProperties", "propertyNames"):
        if isinstance(wanted.get(key), dict):
            found += places(wanted[key], f"{name}.{key}")
    for key in ("oneOf", "anyOf"):
        for one in wanted.get(key, ()):
            found += places(one, f"{name}.{key}") if "required" not in one else []
    return found


def test_every_keyword_of_the_schema_is_enforced() -> None:
    """What the interpreter does not know, it would pass over."""
    for name, one in places(dict(schema())):
        assert set(one) <= KEYWORDS, name
        if one.get("type") == "object":
            assert one.get("additionalProperties") is not None, f"{name} takes any key"
        if "pattern" in one:
            assert one["pattern"].startswith("^"), name
            assert one["pattern"].endswith("$"), name


def test_every_key_of_the_schema_is_described_and_in_the_whole_plan() -> None:
    """So a key that is added is tried here and explained to people."""

    def keys(wanted: Json, value: Any, name: str) -> None:
        for key, one in wanted.get("properties", {}).items():
            here = f"{name}.{key}"
            assert one.get("description") or key in ("alert", "claim"), here
            values = [part[key] for part in value if key in part]
            assert values, f"{here} is in no plan of this test"
            inner = [one for one in values if isinstance(one, dict)]
            listed = [x for one in values if isinstance(one, list) for x in one]
            keys(one, inner, here)
            keys(one.get("items", {}), [x for x in listed if isinstance(x, dict)], here)

    keys(dict(schema()), [WHOLE], "plan")


def test_the_families_are_those_of_the_operators() -> None:
    """A new family can be chosen; the invalid ones never bite."""
    listed = schema()["properties"]["mutants"]["properties"]["families"]["items"]["enum"]
    assert listed == list(dict.fromkeys(one.family for one in OPERATORS.values()))[:-1]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@examples(200)
@given(data=st.data())
def test_anything_anywhere_is_a_breach_or_fits(data: st.DataObject) -> None:
    """No value at any place of a plan makes the check itself fail."""
    plan = copy.deepcopy(WHOLE)
    place: Any = plan
    while True:
        options = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(options))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        place = inner
    place[key] = data.draw(JSON_VALUES)
    found = breach(plan)
    assert found is None or (isinstance(found[1], str) and "\n" not in found[1])


# --- detectors, times, clusters -----------------------------------------------------------------


def test_no_deadline_is_shorter_than_three_times_what_a_detector_needs() -> None:
    """Whatever is written, so that nothing survives by haste."""
    alert = Detector("A", "alert", ("availability",), deadline=0.1)
    assert alert.patience(scrape=1.0, evaluation=0.5) == 4.5
    assert alert.patience(scrape=30.0, evaluation=30.0, held=60.0) == 360.0
    assert Detector("A", "alert", (), deadline=90.0).patience(1.0, 1.0) == 90.0


def test_a_long_claim_is_given_the_run_under_way_and_one_in_full() -> None:
    """The run that began before the fault must not use up the deadline."""
    claim = Detector("c", "claim", ("security",), every=1.0, lasts=4.0)
    assert claim.patience(scrape=1.0, evaluation=1.0) == 10.0
    short = Detector("c", "claim", ("security",), every=60.0, lasts=1.0)
    assert short.patience(scrape=30.0, evaluation=1.0) == 270.0


@pytest.mark.parametrize(
    ("effect", "judging"),
    [("closes", ["a", "b"]), ("opens", ["s", "b"]), ("both", ["a", "s", "b"])],
)
def test_closing_faults_are_for_availability_and_opening_ones_for_security(
    effect: str, judging: list[str]
) -> None:
    """One that does both is judged by both."""
    every = [
        Detector("a", "alert", ("availability",)),
        Detector("s", "alert", ("security",)),
        Detector("b", "alert", ("availability", "security")),
    ]
    assert [one.name for one in every if one.judges(effect)] == judging


@pytest.mark.parametrize(
    ("moment", "end"),
    [
        ("2026-11-20T14:59:59+00:00", None),
        ("2026-11-20T15:00:00+00:00", "2026-11-21T00:00:00+01:00"),
        ("2026-11-20T22:59:59+00:00", "2026-11-21T00:00:00+01:00"),
        ("2026-11-20T23:00:00+00:00", None),
        ("2026-11-19T15:30:00+00:00", None),
    ],
)
def test_a_blackout_is_told_in_its_own_zone(moment: str, end: str | None) -> None:
    """Friday at four in Berlin is three in UTC."""
    friday = Blackout(("fri",), "16:00", "24:00", "Europe/Berlin")
    found = friday.until(datetime.fromisoformat(moment))
    assert (found and found.isoformat()) == end


def test_a_blackout_may_last_over_midnight() -> None:
    """It belongs to the day on which it begins."""
    night = Blackout(("mon",), "22:00", "06:00", "UTC")
    assert night.until(datetime(2026, 11, 24, 5, 59, tzinfo=UTC)) == datetime(
        2026, 11, 24, 6, tzinfo=UTC
    )
    assert night.until(datetime(2026, 11, 23, 5, 59, tzinfo=UTC)) is None
    assert night.until(datetime(2026, 11, 24, 6, 0, tzinfo=UTC)) is None


def test_a_plan_says_until_when_it_is_forbidden(folder: Path) -> None:
    """With the hours that forbid it."""
    plan = read_plan(written(folder, WHOLE))
    found = plan.blackout_at(datetime(2026, 11, 20, 18, tzinfo=UTC))
    assert found is not None
    assert str(found[0]) == "fri 16:00 to 24:00 (Europe/Berlin)"
    assert plan.blackout_at(datetime(2026, 11, 22, 18, tzinfo=UTC)) is None


def test_lengths_of_time() -> None:
    """As written, and for people."""
    assert [seconds_of(one) for one in ("500ms", "1.5s", "10m", "1h")] == [0.5, 1.5, 600.0, 3600.0]
    assert [told(one) for one in (7.96, 59.4, 60, 605, 3540, 7500)] == [
        "8.0 s",
        "59 s",
        "1 min",
        "10 min 5 s",
        "59 min",
        "2 h 5 min",
    ]


@pytest.mark.parametrize("named", ["", "aks-shop", "lab"])
def test_the_environment_may_narrow_a_plan(folder: Path, named: str) -> None:
    """To the lab, where nothing is touched."""
    plan = read_plan(written(folder, SMALL))
    assert cluster_of(plan, {"ACNS_CHAOS_CLUSTER": named}) == (named or "aks-shop")


def test_the_environment_never_widens_a_plan(folder: Path) -> None:
    """A plan for one cluster does not run in another."""
    plan = read_plan(written(folder, SMALL))
    with pytest.raises(TargetRefused, match="is for aks-shop and ACNS_CHAOS_CLUSTER says prod"):
        cluster_of(plan, {"ACNS_CHAOS_CLUSTER": "prod"})
    lab = read_plan(written(folder, changed(WHOLE, "target", "cluster", value="lab")))
    with pytest.raises(TargetRefused):
        cluster_of(lab, {"ACNS_CHAOS_CLUSTER": "prod"})


def test_the_plan_that_comes_along_can_be_read() -> None:
    """With its rules and claims; every detector's deadline follows from the lab's scrapes."""
    plan = read_plan(ROOT / "gamedays" / "pets.yaml")
    assert plan.cluster == "lab"
    assert {one.kind for one in plan.detectors} == {"alert", "claim"}
    assert {way for one in plan.detectors for way in one.directions} == {"availability", "security"}
    assert set(read_rules(ROOT / "gamedays" / "pets-rules.yaml")) == {
        one.name for one in plan.detectors if one.kind == "alert"
    }


def test_the_command_says_what_is_wrong_before_it_looks_anywhere(folder: Path) -> None:
    """One sentence, exit code 2, no lab."""
    file = written(folder, changed(SMALL, "detectors", value=[]))
    done = CliRunner().invoke(main, ["gameday", "plan", str(file)])
    assert done.exit_code == 2
    said = "line 9, at detectors: is empty; write an item, or leave the key out."
    assert done.output == f"Error: {file}, {said}\n"
    done = CliRunner().invoke(main, ["gameday", "plan", str(folder / "gone.yaml")])
    assert (done.exit_code, done.output.count("\n")) == (2, 1)


def test_the_page_has_every_key() -> None:
    """What the schema takes is explained to people."""
    page = (ROOT / "docs" / "gamedays.md").read_text("utf-8")
    keys = {key for _, one in places(dict(schema())) for key in one.get("properties", {})}
    assert {key for key in keys if f"`{key}" not in page and f"{key}:" not in page} == set()


# --- time to notice -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("detector", "rule", "per_run", "least"),
    [
        # Three times 30 s and what it takes besides.
        ({"claim": "claim.json", "every": "10m"}, {}, "5m", 1905),
        ({"claim": "claim.json", "every": "10m"}, {}, "1904s", 1905),
        ({"claim": "claim.json", "every": "10m"}, {}, "1905s", 0),
        ({"claim": "claim.json", "every": "60s"}, {}, "5m", 0),
        ({"alert": "Drops"}, {"held": 300.0}, "5m", 1185),
        ({"alert": "Drops"}, {"held": 300.0}, "20m", 0),
        ({"alert": "Drops", "deadline": "290s"}, {}, "5m", 305),
    ],
)
def test_a_mutant_stands_for_as_long_as_each_detector_has(
    folder: Path, detector: Json, rule: Json, per_run: str, least: int
) -> None:
    """Whatever its deadline follows from: silence by haste would count as survival."""
    more = {"for": "security"} | (
        {"runs": {"cronjob": "pets/claims"}} if "claim" in detector else {}
    )
    document = {**SMALL, "detectors": [*SMALL["detectors"], detector | more]}
    if "alert" in detector:
        document["detectors"] = [detector | more]
    plan = read_plan(written(folder, document | {"limits": {"per_run": per_run}}))
    rules = {"Drops": AlertRule("Drops", 60.0, **rule)}
    pace = Pace(30.0, usual=60.0)
    if not least:
        require_time(plan, rules, pace)
        return
    with pytest.raises(GameDayError) as caught:
        require_time(plan, rules, pace)
    name = detector.get("alert") or "claim"
    assert f"The {'alert' if 'alert' in detector else 'claim'} {name} has " in str(caught.value)
    assert f"`per_run: {least}s`" in str(caught.value)


def test_a_plan_that_leaves_too_little_time_is_refused_before_anything_is_tried(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a detector has follows from what was measured there, so only then it is known."""
    claim = {"claim": "claim.json", "every": "10m", "for": "security"}
    document = {**SMALL, "detectors": [claim | {"runs": {"cronjob": "pets/claims"}}]}
    monkeypatch.setattr(preparing, "_pace", lambda *_, **__: (Pace(30.0), {}, []))
    monkeypatch.setattr(preparing, "look", lambda *_, **__: pytest.fail("it was looked at"))
    with pytest.raises(GameDayError, match="has 31 min 30 s to notice here"):
        preparing.prepare(read_plan(written(folder, document)), cast("Api", None), {}, in_lab=False)


def test_a_plan_without_mutants_has_nothing_to_stand(folder: Path) -> None:
    """Its experiments have deadlines of their own."""
    claim = {"claim": "claim.json", "every": "10m", "for": "security"}
    document = {**SMALL, "experiments": ["experiment.json"]}
    document["detectors"] = [claim | {"runs": {"cronjob": "pets/claims"}}]
    del document["mutants"]
    require_time(read_plan(written(folder, document)), {}, Pace(30.0))


@pytest.mark.parametrize(
    ("file", "pace"),
    [
        ("gamedays/pets.yaml", Pace(1.0)),
        ("deploy/gameday/plan.yaml", Pace(30.0, usual=60.0)),
        ("deploy/gameday/plan.yaml", Pace(60.0, usual=60.0)),
    ],
)
def test_shipped_plans_leave_each_detector_its_time(file: str, pace: Pace) -> None:
    """In the lab, and on a cluster that is scraped twice or once a minute."""
    plan = read_plan(ROOT / file)
    require_time(plan, plan.rules, pace)


@given(
    st.datetimes(*(datetime(2026, month, 1) for month in (1, 12))),  # noqa: DTZ001 - gets its zone below
    st.floats(0, 7200),
)
@examples(50)
def test_hours_that_begin_within_some_seconds_are_known(moment: datetime, within: float) -> None:
    """As if each second were looked at; hours begin with a minute."""
    at = moment.replace(tzinfo=UTC)
    hours = {"from": "16:00", "to": "16:01", "zone": "Europe/Berlin"}
    plan = plan_of({**SMALL, "blackout": [hours]}, Path())
    found = plan.blackout_at(at, within)
    last = at + timedelta(seconds=within)
    begins = [
        at.replace(hour=hour, minute=0, second=0, microsecond=0) + timedelta(days=days)
        for days in (0, 1)
        for hour in (14, 15)
    ]
    expected = [
        one
        for one in begins
        if plan.blackout[0].until(one) and at < one + timedelta(minutes=1) and one <= last
    ]
    assert (found is not None) == bool(expected)
    if found:
        assert found[1] == expected[0] + timedelta(minutes=1)
