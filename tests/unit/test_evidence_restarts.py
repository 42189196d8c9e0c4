"""What the outcome makes of restarted pods, of failing pages, and of a prober pod that is left."""

from typing import Any

import pytest

from acns_chaos.evidence.rules import derive
from tests.unit.evidence_journals import CLIENT, action, at, held, played, reading, run_of


def _restarted(**more: Any) -> dict[str, Any]:
    """A journal of a run that restarted order-service, and how that ended."""
    journal = held()
    entry = {"workload": "order-service", "namespace": "pets", "pods": ["a"], "ready": at(7)}
    journal["acns_chaos"]["restarts"] = [{**entry, "problem": "", **more}]
    return journal


@pytest.mark.parametrize(
    ("more", "outcome", "sentence"),
    [
        ({}, "HELD", "was put back"),
        (
            {"ready": None, "problem": "0 of 1 pods are Ready; a waits for its init container w"},
            "NOT_RESTORED",
            "pets/order-service is not Ready again after its restart: 0 of 1 pods are Ready",
        ),
        ({"problem": "1 of 2 pods are Ready"}, "NOT_RESTORED", "1 of 2 pods are Ready"),
        (
            {"ready": None, "problem": "its pods cannot be read: 403"},
            "INCONCLUSIVE",
            "is not known: its pods cannot be read: 403",
        ),
        ({"ready": None}, "INCONCLUSIVE", "nothing says that it was looked at"),
        ({"ready": "soon"}, "INCONCLUSIVE", "nothing says that it was looked at"),
    ],
)
def test_what_was_restarted_must_be_ready_again(
    more: dict[str, Any], outcome: str, sentence: str
) -> None:
    """A run that restarted pods is not HELD without them; what is not known is no success."""
    judgement = derive(_restarted(**more))
    assert judgement.outcome == outcome
    assert sentence in judgement.sentence


def test_a_restart_that_the_record_lacks_is_inconclusive() -> None:
    """An action that restarted pods leaves an entry, or the record is not the guard's."""
    journal = held()
    restart = action("restart", "restart_pods")
    journal["experiment"]["method"].insert(1, restart)
    journal["run"].insert(1, played(restart, {}, 1.6, 1.7))
    judgement = derive(journal)
    assert judgement.outcome == "INCONCLUSIVE"
    assert "acns_chaos.restarts lacks it" in judgement.sentence


def test_a_failing_page_is_no_witness() -> None:
    """It has causes besides policies; as a detector it will do."""
    journal = held()
    failing = reading("FAILED", True, "FAILED", "GET / answered 502")
    run_of(journal, CLIENT)["output"] = failing
    judgement = derive(journal)
    assert judgement.outcome == "INCONCLUSIVE"
    assert "saw a failure, which has causes besides policies" in judgement.sentence


def test_a_prober_that_is_left_is_told_as_a_pod() -> None:
    """Not as a policy that may be broken: what to do is another thing."""
    journal = held()
    policy = {"kind": "Pod", "namespace": "pets", "name": "acns-chaos-prober-1"}
    left = {"id": "client1", "policy": policy, "change": "create", "restored": None}
    journal["acns_chaos"]["probers"] = [left]
    judgement = derive(journal)
    assert judgement.outcome == "NOT_RESTORED"
    assert "the prober pod pets/acns-chaos-prober-1 may still be there" in judgement.sentence
    assert "kubectl delete pod -n pets acns-chaos-prober-1" in judgement.next
    assert "broken" not in judgement.sentence
