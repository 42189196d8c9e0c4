"""The Lease: who may change a namespace, until when, and which records stand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.leases import Leases
from acns_chaos.errors import ApiError, LeaseHeld, NotFound
from tests.unit.fakes import FakeApi
from tests.unit.hostile import MOMENTS

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


class Server(FakeApi):
    """A server whose clock the test moves."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = NOON

    def now(self) -> datetime:
        """The moment the test says."""
        return self.moment


def lease(server: Server) -> Leases:
    """The Lease of namespace pets."""
    return Leases(server, "pets")  # type: ignore[arg-type]


def test_one_holds_it_until_its_time_is_up() -> None:
    """Held it is refused, with the holder's name; lapsed it is taken over."""
    server = Server()
    one = lease(server)
    one.acquire("run-1 me@host", 15)
    with pytest.raises(LeaseHeld, match="is held by run-1 me@host, renewed 12:00:00 UTC"):
        one.acquire("run-2 you@host", 15)
    server.moment += timedelta(seconds=14)
    one.renew("run-1 me@host")
    server.moment += timedelta(seconds=14)
    with pytest.raises(LeaseHeld):
        one.acquire("run-2 you@host", 15)
    server.moment += timedelta(seconds=2)
    one.acquire("run-2 you@host", 15)
    with pytest.raises(LeaseHeld):
        one.renew("run-1 me@host")


def test_a_released_lease_is_free_at_once_and_the_object_stays() -> None:
    """Its write protection is why it stays; somebody else's cannot be released."""
    server = Server()
    one = lease(server)
    one.acquire("run-1", 15)
    one.release("run-2")
    with pytest.raises(LeaseHeld):
        one.acquire("run-2", 15)
    one.release("run-1")
    held = one.read()
    assert held is not None
    assert held.holder == ""
    assert one.acquire("run-2", 15).holder == ""


def test_records_are_named_by_the_holder_and_struck_out_by_anybody() -> None:
    """A taker-over learns what the dead run left."""
    server = Server()
    one = lease(server)
    one.acquire("run-1", 15)
    one.enter("run-1", "record-a", "aa")
    one.enter("run-1", "record-b", "bb")
    with pytest.raises(LeaseHeld):
        one.enter("run-2", "record-c", "cc")
    server.moment += timedelta(minutes=1)
    assert one.acquire("run-2", 15).records == {"record-a": "aa", "record-b": "bb"}
    one.leave("record-a")
    one.leave("record-a")
    held = one.read()
    assert held is not None
    assert held.records == {"record-b": "bb"}


def test_a_lease_that_somebody_deleted_is_said() -> None:
    """It would have to be made up again, and what it named with it."""
    server = Server()
    one = lease(server)
    one.acquire("run-1", 15)
    server.objects = {path: obj for path, obj in server.objects.items() if "leases" not in path}
    with pytest.raises(NotFound, match="is gone: somebody deleted it"):
        one.enter("run-1", "record-a", "aa")
    one.leave("record-a")
    one.release("run-1")


@pytest.mark.parametrize(
    "spec",
    [
        {"renewTime": "yesterday"},
        {"leaseDurationSeconds": "long"},
        {"renewTime": 7},
        *({"renewTime": one} for one in MOMENTS),
    ],
)
def test_nonsense_in_a_lease_is_one_sentence(spec: dict[str, Any]) -> None:
    """Whatever somebody wrote there, nothing is taken from it."""
    server = Server()
    one = lease(server)
    one.acquire("run-1", 15)
    (path,) = [path for path in server.objects if "/leases/" in path]
    server.objects[path]["spec"].update(spec)
    with pytest.raises(ApiError, match="cannot be read as ours"):
        one.acquire("run-2", 15)


class Client:
    """As much of the official client as `Api` looks at before a request."""

    class configuration:  # noqa: N801
        """Its settings."""

        host = "https://10.0.0.1"


@pytest.mark.parametrize("skew", [-300.0, 0.0, 300.0, 86_400.0])
def test_the_servers_clock_is_what_counts(skew: float) -> None:
    """A machine five minutes off learns it from the first answer's Date header."""
    api = Api(Client())
    true = datetime.now(UTC) + timedelta(seconds=skew)
    api._heard(true.strftime("%a, %d %b %Y %H:%M:%S GMT"))
    assert abs((api.now() - true).total_seconds()) < 1.5


@pytest.mark.parametrize("date", [None, "", "soon", "Mon, 05 Jan 2026 12:00:00"])
def test_an_answer_without_a_date_teaches_nothing(date: str | None) -> None:
    """A proxy may leave it out, or spoil it: what was known stays known."""
    api = Api(Client())
    true = datetime.now(UTC) + timedelta(seconds=300)
    api._heard(true.strftime("%a, %d %b %Y %H:%M:%S GMT"))
    api._heard(date)
    assert abs((api.now() - true).total_seconds()) < 1.5
