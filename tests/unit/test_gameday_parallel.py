"""Namespaces that are run at once: an alert must say of which one it is."""

from pathlib import Path
from typing import Any

import pytest

from acns_chaos.errors import GameDayError
from acns_chaos.gameday.alert_rules import AlertRule
from acns_chaos.gameday.parallel import require_apart
from acns_chaos.gameday.plan import plan_of
from acns_chaos.gameday.plan_values import Plan

RULES = {
    "Kept": AlertRule("Kept", 1.0, expression="sum by (destination, namespace) (x) > 0"),
    "Lost": AlertRule("Lost", 1.0, expression='sum by (pod) (x{namespace="pets"}) > 0'),
}


def plan(folder: Path, *detectors: dict[str, Any], namespaces: tuple[str, ...] = ()) -> Plan:
    """A plan for a cluster."""
    (folder / "c.json").write_text('{"method": []}')
    document = {
        "schema": 1,
        "name": "p",
        "target": {"cluster": "aks", "namespaces": list(namespaces or ("pets", "far"))},
        "mutants": {"most": 1},
        "detectors": [one | {"for": "availability"} for one in detectors],
    }
    return plan_of(document, folder)


@pytest.mark.parametrize(
    "detector", [{"alert": "Kept"}, {"alert": "Lost", "labels": {"namespace": "pets"}}]
)
def test_an_alert_that_names_its_namespace_may_be_asked_at_once(
    tmp_path: Path, detector: dict[str, Any]
) -> None:
    """By its rule, or by what the plan says that it carries."""
    assert require_apart(plan(tmp_path, detector), RULES, 2) == ""


@pytest.mark.parametrize("name", ["Lost", "Unheard"])
def test_an_alert_that_does_not_is_refused(tmp_path: Path, name: str) -> None:
    """Also one of whose rule nothing is known; one namespace after another it may be asked."""
    found = plan(tmp_path, {"alert": "Kept"}, {"alert": name})
    with pytest.raises(GameDayError) as caught:
        require_apart(found, RULES, 2)
    assert f"nothing shows that {name} does" in str(caught.value)
    assert "`labels: {namespace: pets}`" in str(caught.value)
    assert require_apart(found, RULES, 1) == ""
    alone = plan(tmp_path, {"alert": name}, namespaces=("pets",))
    assert require_apart(alone, RULES, 2) == ""


def test_of_claims_it_is_said(tmp_path: Path) -> None:
    """One that is missed does not say whose fault it was."""
    claim = {"claim": "c.json", "every": "60s", "runs": {"cronjob": "pets/c"}}
    found = require_apart(plan(tmp_path, {"alert": "Kept"}, claim), RULES, 3)
    assert found.startswith("With --parallel 3 a claim that is missed counts for each mutant")
    assert ": c; leave --parallel out" in found
