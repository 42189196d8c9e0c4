"""Who put a policy back: what that means for the outcome, and how the report says it."""

from typing import Any

import pytest

from acns_chaos.errors import ApiError, RestoreFailed
from acns_chaos.evidence.rules import derive
from acns_chaos.faults.change import by_operator
from acns_chaos.faults.inject import inject
from acns_chaos.faults.plan import Limits
from acns_chaos.faults.restore import restore_all
from acns_chaos.report.build import story
from acns_chaos.report.markdown import markdown
from acns_chaos.report.model import Story
from tests.unit.evidence_journals import POLICY, held, signed
from tests.unit.fakes import STOREFRONT, FakeApi, run_on
from tests.unit.test_inject import REF

FLUX = {"by": "others", "who": "kustomize-controller", "when": "2026-11-22T23:05:05Z"}


def recovered(gitops: str = "", **restored: Any) -> dict[str, Any]:
    """A journal in which somebody put the policy back, under an experiment that says `gitops`."""
    journal = held()
    journal["acns_chaos"]["faults"][0]["restored"].update(restored)
    if gitops:
        journal["experiment"]["method"][0]["provider"]["arguments"]["gitops"] = gitops
    return journal


def test_an_own_restore_whose_answer_was_lost_is_nobody_elses() -> None:
    """The second attempt finds the original, which this run itself had written."""
    api = FakeApi()
    api.objects[STOREFRONT]["metadata"]["managedFields"] = [
        {"manager": "kustomize-controller", "time": "2026-01-01T00:00:00Z"}
    ]
    run = run_on(api)
    change = by_operator("ingress-from-nobody", REF)
    (debt,) = inject(run, change, Limits(gitops="observe"), 0.0)
    original = api.put

    def put(path: str, body: Any, query: Any = None) -> dict[str, Any]:
        original(path, body, query)
        # As a server notes it; the client sends none.
        api.objects[path]["metadata"]["managedFields"] = [
            {"manager": "kustomize-controller", "time": "2026-01-01T00:00:00Z"},
            {"manager": "acns-chaos", "time": "2026-01-01T00:00:09Z"},
        ]
        api.put = original  # type: ignore[method-assign]
        raise ApiError("no answer", 0)

    api.put = put  # type: ignore[method-assign]
    with pytest.raises(RestoreFailed, match="no answer"):
        restore_all(run, timeout=0)
    restore_all(run, timeout=0)
    assert debt.restored is not None
    assert debt.restored["by"] == "method"
    assert "who" not in debt.restored


def test_a_repair_that_the_experiment_observes_can_hold() -> None:
    """It asks whether GitOps recovers, and it did."""
    assert derive(recovered("observe", **FLUX)).outcome == "HELD"


@pytest.mark.parametrize("gitops", ["", "refuse"])
def test_a_repair_that_nobody_asked_for_does_not_hold(gitops: str) -> None:
    """What else that somebody did nobody knows; the sentence says who."""
    told = derive(recovered(gitops, **FLUX))
    assert told.outcome == "INCONCLUSIVE"
    assert f"kustomize-controller put {POLICY} back, not this run" in told.sentence
    assert "set gitops to observe" in told.next


@pytest.mark.parametrize("net", ["watchdog", "janitor", "person", "guard"])
def test_our_own_nets_are_no_repair_to_observe(net: str) -> None:
    """They are what is left when the run did not do its work."""
    told = derive(recovered("observe", by=net, who=f"acns-chaos-{net}"))
    assert told.outcome == "INCONCLUSIVE"
    assert f"put back by the {net} alone" in told.sentence


def _told(journal: dict[str, Any]) -> Story:
    """Tell a journal that the guard has signed."""
    return story(signed(journal))


def test_the_report_says_who_and_when() -> None:
    """Beside the run's own moments."""
    told = markdown([_told(recovered("observe", **FLUX))])
    assert f"| {POLICY} | others (kustomize-controller at 2026-11-22T23:05:05Z) |" in told


def test_the_report_says_that_somebody_had_deleted_it() -> None:
    """It was created again."""
    told = markdown([_told(recovered(created_again=True))])
    assert f"| {POLICY} | method; somebody had deleted it |" in told


def test_the_report_shows_what_was_not_overwritten() -> None:
    """Against the original, as the run saw it."""
    difference = "--- original\n+++ live\n@@ -1 +1 @@\n-  a: 1\n+  a: 2"
    told = markdown([_told(recovered(problem="somebody", verified=None, difference=difference))])
    assert f"**{POLICY}** was not overwritten; against the original:" in told
    assert "+++ live" in told
    assert "+  a: 2" in told


@pytest.mark.parametrize(
    ("change", "gone", "word", "line"),
    [
        ("delete", "fault", ", which deletes it", "\n- spec:"),
        ("create", "before", ", which creates it", "\n+ spec:"),
    ],
)
def test_the_report_shows_an_object_that_comes_or_goes(
    change: str, gone: str, word: str, line: str
) -> None:
    """All of it is the difference."""
    journal = held()
    fault = journal["acns_chaos"]["faults"][0]
    fault.update({"change": change, gone: None})
    if change == "create":
        fault["before_sha256"] = None
        fault["restored"]["sha256"] = ""
    assert derive(journal).outcome == "HELD"
    told = markdown([_told(journal)])
    assert f"fault ingress-from-nobody{word}.\n" in told
    assert line in told


def test_the_report_tells_several_objects_apart() -> None:
    """One row each."""
    journal = held()
    first = journal["acns_chaos"]["faults"][0]
    second = {**first, "id": "f1.2", "policy": {**first["policy"], "name": "other"}}
    first["id"] = "f1.1"
    journal["acns_chaos"]["faults"].append(second)
    assert derive(journal).outcome == "HELD"
    told = markdown([_told(journal)])
    assert f"| {POLICY} | method |" in told
    assert "| pets/other | method |" in told
