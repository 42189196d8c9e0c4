"""Holding on to Leases: silence loses one when it lapses, a deletion or a new holder at once."""

import pytest

from acns_chaos.cluster.leases import Leases
from acns_chaos.errors import ApiError, NotFound
from acns_chaos.faults.tenure import Tenure
from tests.unit.fakes import FakeApi

HOLDER = "run-1 me@host process 1"
PATH = "/apis/coordination.k8s.io/v1/namespaces/acns-chaos/leases/acns-chaos.pets"


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        """The moment."""
        return self.seconds


@pytest.fixture
def api() -> FakeApi:
    """A server on which the run holds the Lease of namespace pets."""
    found = FakeApi()
    Leases(found, "pets").acquire(HOLDER, 15)  # type: ignore[arg-type]
    return found


@pytest.fixture
def clock() -> Clock:
    """The machine's monotonic clock."""
    return Clock()


@pytest.fixture
def tenure(api: FakeApi, clock: Clock) -> Tenure:
    """Whoever keeps that Lease."""
    found = Tenure(HOLDER, 15, clock)
    found.add(Leases(api, "pets"))  # type: ignore[arg-type]
    return found


def test_it_is_renewed_every_third_of_its_duration(
    api: FakeApi, clock: Clock, tenure: Tenure
) -> None:
    """Not with every look; what is looked at closely is read in between, not written."""
    api.writes.clear()
    for closely in (False, True):
        assert tenure.keep(closely) == ""
    assert api.writes == []
    clock.seconds += 5.1
    assert tenure.keep(False) == ""
    assert tenure.keep(False) == ""
    assert [(method, path) for method, path, _ in api.writes] == [("PUT", PATH)]


def test_a_deleted_lease_is_lost_once(api: FakeApi, tenure: Tenure) -> None:
    """Seen at once while something stands behind it; later looks say nothing more."""
    del api.objects[PATH]
    assert tenure.keep(False) == "", "nothing stands, and it is not due"
    said = tenure.keep(True)
    assert said.startswith("The run lost its Lease, so it restores and ends. Lease acns-chaos.pets")
    assert "is gone: somebody deleted it" in said
    assert tenure.keep(True) == ""
    tenure.release()
    assert PATH not in api.objects


def test_a_lease_somebody_else_took_is_lost_and_left_to_them(api: FakeApi, tenure: Tenure) -> None:
    """The sentence names them, and their Lease is not released."""
    api.objects[PATH]["spec"]["holderIdentity"] = "run-2 you@host process 2"
    assert "is held by run-2 you@host process 2" in tenure.keep(True)
    tenure.release()
    assert api.objects[PATH]["spec"]["holderIdentity"] == "run-2 you@host process 2"


def test_one_wrong_answer_loses_nothing(api: FakeApi, tenure: Tenure) -> None:
    """A Lease that is read as gone is read again before that is believed."""
    api.refuse[("GET", PATH)] = NotFound("not found", 404)
    assert tenure.keep(True) == ""
    assert tenure.keep(True) == ""


def test_silence_loses_it_when_it_would_have_lapsed(
    api: FakeApi, clock: Clock, tenure: Tenure
) -> None:
    """Fifteen seconds after the last renewal, not before."""
    for seconds in (5.1, 5.1, 4.0):
        clock.seconds += seconds
        api.refuse[("GET", PATH)] = ApiError("no answer to GET", 0)
        with pytest.raises(ApiError, match="no answer"):
            tenure.keep(True)
    clock.seconds += 1.0
    api.refuse[("GET", PATH)] = ApiError("no answer to GET", 0)
    assert "Lease acns-chaos.pets could not be renewed for 15 s" in tenure.keep(True)


def test_silence_that_ends_in_time_loses_nothing(
    api: FakeApi, clock: Clock, tenure: Tenure
) -> None:
    """Fifteen seconds count from the last renewal that was answered."""
    for _ in range(4):
        clock.seconds += 6
        api.refuse[("GET", PATH)] = ApiError("no answer to GET", 0)
        with pytest.raises(ApiError):
            tenure.keep(False)
        clock.seconds += 1
        assert tenure.keep(False) == ""


def test_trouble_with_one_does_not_keep_the_others_from_being_renewed(
    api: FakeApi, clock: Clock, tenure: Tenure
) -> None:
    """The Lease of a second namespace is renewed although the first cannot be read."""
    other = Leases(api, "default")  # type: ignore[arg-type]
    other.acquire(HOLDER, 15)
    tenure.add(other)
    clock.seconds += 6
    api.writes.clear()
    api.refuse[("GET", PATH)] = ApiError("no answer to GET", 0)
    with pytest.raises(ApiError):
        tenure.keep(False)
    assert [path.rpartition("/")[2] for _, path, _ in api.writes] == ["acns-chaos.default"]
