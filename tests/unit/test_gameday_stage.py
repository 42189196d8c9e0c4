"""Where a day takes place: whether somebody is at work there, or something is left of a run."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.leases import Held
from acns_chaos.errors import ApiError
from acns_chaos.gameday import stage as module
from acns_chaos.gameday.results import Place
from acns_chaos.gameday.stage import Stage

NOW = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)


class Lease:
    """A Lease that says something else each time it is read."""

    said: list[Any] = []

    def __init__(self, *_: Any) -> None:
        pass

    def read(self) -> Held | None:
        """The next, and at last always the last."""
        found = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        if isinstance(found, Exception):
            raise found
        return cast("Held | None", found)


def held(holder: str = "ada", seconds_ago: int = 1) -> Held:
    """A Lease of 15 s."""
    return Held(holder, NOW - timedelta(seconds=seconds_ago), 15, {})


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A lab in which nobody is at work and nothing stands."""
    monkeypatch.setattr(module, "Leases", Lease)
    monkeypatch.setattr(module, "restore_records", lambda *_: [])
    monkeypatch.setattr(Lease, "said", [None])
    api = cast("Api", SimpleNamespace(now=lambda: NOW))
    return Stage(api, "the lab", Place("lab"), {})


def test_nobody_is_at_work_where_the_lease_is_free_or_lapsed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was killed lets go of it after its length."""
    for found in (None, held(""), held(seconds_ago=16)):
        monkeypatch.setattr(Lease, "said", [found])
        assert stage.free("pets", 0) == stage.busy("pets", 0) == ""


def test_whoever_is_at_work_is_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the time is over; a server that does not answer is asked again."""
    monkeypatch.setattr(Lease, "said", [ApiError("no answer"), held(), None])
    assert stage.free("pets", 5) == ""
    monkeypatch.setattr(Lease, "said", [held()])
    assert stage.free("pets", 0) == "ada is at work in namespace pets"
    monkeypatch.setattr(Lease, "said", [ApiError("no answer")])
    assert "cannot be told: no answer" in stage.free("pets", 0)


def test_what_a_dead_run_left_keeps_a_namespace_busy(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the next run's to restore, so the namespace is free for that."""
    left = SimpleNamespace(sentence="pets/allow-x is broken on purpose.", state="waiting")
    gone = SimpleNamespace(sentence="Record r was removed.", state="removed")
    monkeypatch.setattr(module, "restore_records", lambda *_: [left, gone])
    assert stage.busy("pets", 0) == "pets/allow-x is broken on purpose."
    assert stage.free("pets", 0) == ""

    def silent(*_: Any) -> None:
        raise ApiError("no answer")

    monkeypatch.setattr(module, "restore_records", silent)
    assert "whether something stands in namespace pets cannot be told" in stage.busy("pets", 0)
