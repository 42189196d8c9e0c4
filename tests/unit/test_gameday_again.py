"""A survivor's experiment with what was suggested for it as further detectors."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.labcontrol import LabControl
from acns_chaos.gameday.again import Again, with_detectors
from acns_chaos.gameday.document import CONTROL, NOTICED, QUIET
from acns_chaos.gameday.results import Place
from acns_chaos.gameday.stage import Stage
from acns_chaos.gameday.suggest import Suggestion
from tests.unit.gameday_days import begun
from tests.unit.gameday_results import document, result

RULE = Suggestion("alert", "availability", "Drops", {"alert": "Drops", "expr": "1"}, "why")
CLAIM = Suggestion("claim", "security", "kept", {"title": "Kept?"}, "why")


def activity(name: str) -> dict[str, Any]:
    """A probe that asks one detector."""
    asked = {"detectors": [{"name": "Own", "kind": "alert", "for": ["availability"]}]}
    return {"name": name, "provider": {"func": "read_detectors", "arguments": asked}}


def experiment(*controls: dict[str, Any]) -> dict[str, Any]:
    """As a day has it."""
    lab = {"name": "lab", "provider": {"module": "m", "arguments": {"world": "w", "rules": "r"}}}
    method = [activity(QUIET), {"name": "inject", "provider": {}}, activity(NOTICED)]
    return {"controls": [lab, *controls], "method": method}


def test_a_suggested_rule_is_asked_beside_the_others() -> None:
    """Before the fault, too, with its own deadline; the plan's rules are not insisted on."""
    before = experiment()
    found = with_detectors(before, [RULE], scrape=1.0)
    for index in (0, 2):
        asked = found["method"][index]["provider"]["arguments"]["detectors"]
        assert [one["name"] for one in asked] == ["Own", "Drops"]
        assert asked[1] == {
            "name": "Drops",
            "kind": "alert",
            "for": ["availability"],
            "deadline": 6.0,
        }
    assert found["controls"] == [
        {"name": "lab", "provider": {"module": "m", "arguments": {"world": "w"}}}
    ]
    assert before == experiment()


def test_a_suggested_claim_is_played_by_the_experiment() -> None:
    """With those that the day plays, which it then plays itself; alone where there are none."""
    mine = {"name": "kept", "every": 0.5, "document": {"title": "Kept?"}}
    other = {"name": "other", "every": 1.0, "document": {}}
    arguments = {"claims": [other], "folder": "/day/schedule"}
    control = {"name": "schedule", "provider": {"module": CONTROL, "arguments": arguments}}
    found = with_detectors(experiment(control), [CLAIM], scrape=1.0)
    assert found["controls"][1]["provider"]["arguments"] == {"claims": [other, mine]}
    found = with_detectors(experiment(), [CLAIM], scrape=1.0)
    assert found["controls"][1]["provider"] == {
        "type": "python",
        "module": CONTROL,
        "arguments": {"claims": [mine]},
    }
    asked = found["method"][2]["provider"]["arguments"]["detectors"]
    assert asked[1]["deadline"] == 1.5 + 2 * 5.0


def test_what_is_suggested_for_both_directions_is_asked_once() -> None:
    """Two detectors of one name would be refused."""
    other = replace(RULE, direction="security")
    found = with_detectors(experiment(), [RULE, other], scrape=1.0)
    asked = found["method"][2]["provider"]["arguments"]["detectors"]
    assert [(one["name"], one["for"]) for one in asked[1:]] == [
        ("Drops", ["availability", "security"])
    ]


def test_a_suggestion_of_a_detector_that_is_asked_has_it_judge_more() -> None:
    """Two detectors of one name would be refused; the day plays the claim already."""
    mine = {"name": "Own", "every": 1.0, "document": {}}
    arguments = {"claims": [mine], "folder": "/day/schedule"}
    control = {"name": "schedule", "provider": {"module": CONTROL, "arguments": arguments}}
    for kind in ("claim", "alert"):
        more = Suggestion(kind, "security", "Own", {"title": "Own?"}, "why")
        found = with_detectors(experiment(control), [more, more], scrape=1.0)
        for index in (0, 2):
            (asked,) = found["method"][index]["provider"]["arguments"]["detectors"]
            assert asked == {"name": "Own", "kind": "alert", "for": ["availability", "security"]}
        assert found["controls"][1]["provider"]["arguments"] == arguments


def test_a_suggestion_has_its_time() -> None:
    """The mutant stands longer where the plan lets it stand too shortly; never more shortly."""
    for given, wanted in ((20.0, 26.5), (60.0, 60.0)):
        before = experiment() | {"configuration": {"fault_deadline": given}}
        found = with_detectors(before, [CLAIM], scrape=1.0)
        assert found["configuration"]["fault_deadline"] == wanted


def test_what_a_second_run_does_not_say_the_lab_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its journal does not show that all is restored, what is left ends the verification."""
    day = begun(tmp_path, "m1")
    survivor = result("m1", "survived")
    (tmp_path / survivor.experiment).write_text(json.dumps(experiment()))
    answer = {"result": document("m1", "unknown", restored=None)}
    child = SimpleNamespace(run=lambda *_: answer)
    for left in ("", "pets/allow-x is broken on purpose."):
        stage = Stage(cast("Api", None), "the lab", Place("lab"), {}, ends=True)
        monkeypatch.setattr(Stage, "busy", lambda *_, left=left: left)
        running = Again(day, stage, cast("LabControl", None))
        monkeypatch.setattr(running, "_child", lambda _: child)
        found = running.run_again(survivor, [RULE])
        assert (found.restored, running.left) == ((False, True) if left else (None, False))
