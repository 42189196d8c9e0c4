"""A server that says "not found" of what is there: nothing is taken for gone, or for restored."""

from typing import Any

import pytest

from acns_chaos.cluster.leases import Leases
from acns_chaos.cluster.policies import Policies, policy_ref
from acns_chaos.errors import Conflict, NotFound
from acns_chaos.faults.janitor import restore_records
from acns_chaos.faults.ledger import CREATE, DELETE, MODIFY, Debt, outstanding
from acns_chaos.faults.recovery import record_of, strike_out
from tests.failures.cluster import Actor, Cluster, Play
from tests.failures.runner import REF, keeper
from tests.unit.fakes import MemoryLedger

OTHER = policy_ref("CiliumNetworkPolicy", "pets", "no-customers")


class Liar:
    """An API in which a listed policy is "not found" for a while."""

    server = "https://10.0.0.1"

    def __init__(self, lies: int) -> None:
        self.lies = lies

    def get(self, path: str, query: Any = None) -> dict[str, Any]:
        """Read."""
        if path == OTHER.path and self.lies:
            self.lies -= 1
            raise NotFound("not found", 404)
        return {"metadata": {"name": OTHER.name}, "items": [{"metadata": {"name": OTHER.name}}]}


def test_a_policy_that_is_listed_is_read_again() -> None:
    """One wrong answer is not believed, for "absent" may mean "restored"."""
    assert Policies(Liar(1)).get(OTHER)["metadata"]["name"] == OTHER.name  # type: ignore[arg-type]


def test_a_policy_that_is_listed_and_never_read_is_no_absent_policy() -> None:
    """It is a conflict: whoever restores looks again, and claims nothing."""
    with pytest.raises(Conflict, match="is listed by the API server and cannot be read"):
        Policies(Liar(9)).get(OTHER)  # type: ignore[arg-type]


def test_a_record_stays_when_its_lease_cannot_be_found() -> None:
    """Else the Lease, if it is there after all, would name a record that is gone, for ever."""
    cluster = Cluster()
    record = record_of(
        Debt("f1", REF, "x", {"metadata": {}, "spec": {}}), keeper("one"), "2026-01-05T12:00:00Z"
    )
    path = f"/api/v1/namespaces/pets/configmaps/{record.name}"
    cluster.load(path, {"metadata": {"name": record.name}})
    play = Play(cluster)
    actor = play.add(Actor("runner"), lambda api: strike_out(api, record))
    play.run()
    assert actor.error is None
    assert path in cluster.objects


def test_a_creation_that_was_never_answered_is_restored_last() -> None:
    """It is waited for, and the outage of another object must not wait with it."""
    ledger = MemoryLedger()
    for number, (change, accepted) in enumerate(
        [(CREATE, "then"), (MODIFY, "then"), (DELETE, "then"), (CREATE, "")], 1
    ):
        ledger.record(Debt(f"f1.{number}", OTHER, "x", None, change=change, accepted=accepted))
    assert [debt.id for debt in outstanding(ledger)] == ["f1.3", "f1.2", "f1.1", "f1.4"]


@pytest.mark.parametrize("force", [False, True])
def test_a_record_that_is_gone_is_struck_out_by_a_person_only(force: bool) -> None:
    """It blocks every later run until somebody has looked, and says with force that it is done."""
    cluster = Cluster()
    states: list[str] = []

    def work(api: Any) -> None:
        lease = Leases(api, "pets")
        lease.acquire(keeper("one").holder, 15)
        lease.enter(keeper("one").holder, "acns-chaos-run-one-f1", "0" * 64)
        states.extend(
            paid.state for paid in restore_records(api, "pets", lambda _: True, "person", force)
        )

    play = Play(cluster)
    actor = play.add(Actor("person"), work)
    play.run()
    assert actor.error is None
    assert states == ["removed" if force else "broken"]
    assert bool(cluster.left()) is not force
