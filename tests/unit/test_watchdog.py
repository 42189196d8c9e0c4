"""The watchdog and the runner's side of it: what is restored when, and what is said of silence."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import Any

import pytest

from acns_chaos.cluster.leases import Leases
from acns_chaos.cluster.policies import content
from acns_chaos.cluster.target import Choice
from acns_chaos.errors import ApiError, WatchdogGone
from acns_chaos.faults import watch
from acns_chaos.faults.ledger import Debt
from acns_chaos.faults.recovery import Keeper, age, record_of
from acns_chaos.faults.tenure import Tenure
from acns_chaos.faults.watch import Watch
from acns_chaos.faults.watchdog import Watchdog
from tests.unit.fakes import STOREFRONT, FakeApi, storefront_policy
from tests.unit.test_inject import REF

KEEPER = Keeper("run-1", "me@host process 1", "uid", "pets", 60.0)


class Said:
    """A watchdog in this process, on a server in memory, and what it says."""

    def __init__(self, api: FakeApi) -> None:
        self._here, self._there = os.pipe()
        os.set_blocking(self._here, False)
        self.dog = Watchdog(self._there)
        self.dog._api = api  # type: ignore[assignment]

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._here)
        os.close(self._there)

    def heard(self) -> list[dict[str, Any]]:
        """What it has said since, but that it is alive."""
        try:
            lines = os.read(self._here, 1_000_000).splitlines()
        except BlockingIOError:
            return []
        told = [json.loads(line) for line in lines]
        return [one for one in told if one.get("event") != "alive"]

    def hold(self, debt: Debt, seconds: float = 60.0) -> dict[str, Any]:
        """Let it hold the record of a debt; returns the answer."""
        deadline = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        record = record_of(debt, KEEPER, deadline)
        self.dog.hear({"do": "hold", "seq": 1, "data": record.data()})
        return self.heard()[-1]


@pytest.fixture
def api() -> FakeApi:
    """A server with a fault on it."""
    found = FakeApi()
    found.objects[STOREFRONT] = layer(1)
    return found


@pytest.fixture
def said(api: FakeApi) -> Iterator[Said]:
    """A watchdog and its words."""
    found = Said(api)
    yield found
    found.close()


def layer(number: int) -> dict[str, Any]:
    """The policy after so many faults on top of each other; 0 is the original."""
    found = storefront_policy()
    if number:
        found["spec"]["ingress"] = [{"fromEndpoints": [{"matchLabels": {"n": str(number)}}]}]
    return found


def debt(number: int) -> Debt:
    """The fault of this number, on top of the one before."""
    return Debt(f"f{number}", REF, "test", layer(number - 1), fault=layer(number))


def is_original(api: FakeApi) -> bool:
    """Whether the policy is as it was."""
    return content(api.objects[STOREFRONT]) == content(storefront_policy())


def test_it_restores_when_it_is_told_to_and_takes_nothing_more(api: FakeApi, said: Said) -> None:
    """A signal came: what is held is restored, and no fault is let in afterwards."""
    assert said.hold(debt(1))["ok"]
    said.dog.hear({"do": "restore", "seq": 0})
    assert is_original(api)
    assert [one.get("event") for one in said.heard()] == ["paid", None]
    refused = said.hold(debt(1))
    assert not refused["ok"]
    assert "the run ends (a signal, or its own end), so nothing more is changed" in refused["error"]


def test_it_restores_what_is_due_and_nothing_else(api: FakeApi, said: Said) -> None:
    """At the deadline, by the server's clock, and once."""
    said.hold(debt(1), seconds=60)
    said.dog.tick()
    assert not is_original(api)
    said.hold(debt(1), seconds=-1)
    said.dog.tick()
    assert is_original(api)
    assert [one["event"] for one in said.heard()] == ["paid", "deadline"]
    said.dog.tick()
    assert said.heard() == []


def test_the_newest_of_many_is_undone_first(api: FakeApi, said: Said) -> None:
    """Also beyond nine: f10 stands on f9, whatever their names say."""
    api.objects[STOREFRONT] = layer(11)
    for number in range(1, 12):
        said.hold(debt(number))
    said.dog.hear({"do": "restore", "seq": 0})
    assert is_original(api)


def test_what_could_not_be_restored_is_tried_again(api: FakeApi, said: Said) -> None:
    """The server was silent when it was told to."""
    said.hold(debt(1))
    api.refuse[("GET", STOREFRONT)] = ApiError("no answer", 0)
    said.dog.hear({"do": "restore", "seq": 0})
    assert not is_original(api)
    said.dog.tick()
    assert is_original(api)


def test_somebody_elses_edit_is_left_to_a_person(api: FakeApi, said: Said) -> None:
    """Its record stands, and the watchdog holds it no longer."""
    said.hold(debt(1))
    api.edit(ingress=[{"fromEntities": ["all"]}])
    said.dog.hear({"do": "bye", "seq": 2})
    assert said.heard()[-1] == {
        "re": 2,
        "ok": True,
        "left": [f"acns-chaos-{KEEPER.run}-f1"],
        "unrestored": [],
    }
    assert api.objects[STOREFRONT]["spec"]["ingress"] == [{"fromEntities": ["all"]}]


def test_a_lost_lease_ends_the_run_and_restores(api: FakeApi, said: Said) -> None:
    """Restored first, said once, and no fault is let in afterwards."""
    lease = Leases(api, "pets")  # type: ignore[arg-type]
    lease.acquire(KEEPER.holder, 15)
    said.dog._tenure = Tenure(KEEPER.holder, 15)
    said.dog._tenure.add(lease)
    said.hold(debt(1))
    said.dog._keep_leases()
    said.dog.tick()
    assert said.heard() == []
    (path,) = [path for path in api.objects if "/leases/" in path]
    api.objects[path]["spec"]["holderIdentity"] = "run-2 you@host process 2"

    said.dog._keep_leases()
    said.dog.tick()
    said.dog.tick()

    assert is_original(api)
    told = said.heard()
    assert [one["event"] for one in told] == ["paid", "lease-lost"]
    assert "is held by run-2 you@host process 2" in told[1]["sentence"]
    refused = said.hold(debt(1))
    assert "the run ends (The run lost its Lease" in refused["error"]


@pytest.mark.parametrize(
    ("younger", "older"), [("a-f10", "a-f9"), ("a-f1.10", "a-f1.2"), ("20260106-f1", "20260105-f9")]
)
def test_age_is_by_number(younger: str, older: str) -> None:
    """As people count, not as letters sort."""
    assert age(younger) > age(older)


# ------------------------------------------------------------------ the process


@pytest.fixture
def told() -> SimpleQueue[dict[str, Any]]:
    """What a watchdog says by itself."""
    return SimpleQueue()


def open_it(one: Watch) -> None:
    """Let it connect to a cluster that is not there."""
    one.open(Choice("context", "none"), "no-such-file", KEEPER, 15, ["pets"])


def test_a_watchdog_that_cannot_connect_says_why(told: SimpleQueue[dict[str, Any]]) -> None:
    """One sentence, and no process is left."""
    one = Watch(told.put)
    try:
        with pytest.raises(ApiError, match=r"No kubeconfig can be read at /.*no-such-file"):
            open_it(one)
    finally:
        assert one.close() == []
    with pytest.raises(ProcessLookupError):
        os.kill(one.pid, 0)
    assert told.empty()


def test_a_watchdog_that_dies_is_noticed_and_asked_no_more(
    told: SimpleQueue[dict[str, Any]],
) -> None:
    """Its death is told once; later questions fail at once instead of waiting."""
    one = Watch(told.put)
    os.kill(one.pid, signal.SIGKILL)
    assert told.get(timeout=5) == {"event": "gone"}
    with pytest.raises(WatchdogGone, match="died"):
        open_it(one)
    one.restore_now()
    assert one.close() == []


@pytest.mark.slow
def test_a_watchdog_that_is_stopped_is_not_waited_for(
    told: SimpleQueue[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not answer in time: said once, and what follows does not wait again."""
    monkeypatch.setattr(watch, "PATIENCE", 0.5)
    one = Watch(told.put)
    os.kill(one.pid, signal.SIGSTOP)
    for _ in range(2):
        with pytest.raises(WatchdogGone, match="does not answer"):
            open_it(one)
    one.close()
    with pytest.raises(ProcessLookupError):
        os.kill(one.pid, 0)


@pytest.mark.slow
def test_silence_is_told(
    told: SimpleQueue[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was ready and says nothing any more."""
    monkeypatch.setattr(watch, "SILENCE", 1)
    one = Watch(told.put)
    one._opened = True
    os.kill(one.pid, signal.SIGSTOP)
    assert told.get(timeout=10) == {"event": "silent"}
    one.close()


def test_no_word_is_cut_in_two_by_a_signal(told: SimpleQueue[dict[str, Any]]) -> None:
    """Whoever is interrupted while it talks leaves a whole line behind."""
    one = Watch(told.put)
    large = {"step": "fault", "verb": "replace", "policy": {"x": "y" * 2_000_000}}

    def alarm(*_: Any) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        with pytest.raises((InterruptedError, ApiError)):
            one.rehearse([large])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(ApiError, match="the watchdog was not opened"):
        one.renew("pets", "x")
    one.close()
    assert told.empty()


def test_the_next_runs_watchdog_is_ready_and_taken_in_the_same_environment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process of another cluster's environment would not do; none outlives the day."""

    class Process:
        stdin = stdout = None

        def __init__(self) -> None:
            self.killed = False

        def poll(self) -> None:
            return None

        def kill(self) -> None:
            self.killed = True

        def wait(self) -> None:
            pass

    made: list[Process] = []

    def started(environment: Any) -> Process:
        made.append(Process())
        return made[-1]

    monkeypatch.setattr(watch, "_started", started)
    with watch.keep_ready():
        watch._make_ready()
        watch._make_ready()
        assert len(made) == 1
        assert watch._taken() is made[0]
        watch._make_ready()
        monkeypatch.setenv("KUBECONFIG", "/another")
        assert watch._taken() is made[2]
        assert made[1].killed
        watch._make_ready()
    assert made[3].killed
    watch._make_ready()
    assert len(made) == 4
