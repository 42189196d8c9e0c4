"""The thin surface: tolerances that never raise, arguments that cannot be meant, strict writes."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.prometheus import POLICY_REASON
from acns_chaos.evidence.answers import Answer
from acns_chaos.evidence.readings import STATES, UNKNOWN, reading
from acns_chaos.faults.runcontext import arm, disarm
from acns_chaos.probes import (
    count_drops,
    explain_denial,
    read_connection,
    read_egress,
    read_order,
    read_readiness,
    read_storefront,
)
from acns_chaos.tolerances import is_denied, is_met, is_open
from tests.unit.fakes import FakeApi, run_on

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(value=JSON)
def test_no_tolerance_ever_raises(value: Any) -> None:
    """One that did would crash the run: no rollbacks, no journal."""
    for judge in (is_met, is_open, is_denied):
        assert judge(value) in (True, False)


def test_tolerances_judge_readings() -> None:
    """Met is met, open is open, and "could not tell" is none of them."""
    opened = reading("OPEN", "x", "x", True, "OPEN", {})
    denied = reading("DENIED", "x", "x", False, "OPEN", {})
    unknown = reading(UNKNOWN, "x", "x", True, "OPEN", {})
    assert [is_met(one) for one in (opened, denied, unknown)] == [True, False, False]
    assert [is_open(one) for one in (opened, denied, unknown)] == [True, False, False]
    assert [is_denied(one) for one in (opened, denied, unknown)] == [False, True, False]


@pytest.mark.parametrize("state", sorted(STATES - {UNKNOWN, "COUNTED", "NAMED"}))
def test_every_word_a_probe_may_read_is_understood(state: str) -> None:
    """Evidence reads back each word that a probe can write."""
    assert Answer.of(reading(state, "x", "x", True, state, {})).state == state


def test_a_word_that_is_no_reading_is_not_believed() -> None:
    """An expectation nobody can meet is no contrary answer."""
    assert Answer.of(reading("DENIED", "x", "x", False, "CLOSED", {})).state == UNKNOWN


@pytest.fixture
def armed() -> Iterator[None]:
    """An armed run."""
    arm(run_on(FakeApi()))
    yield
    disarm()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda: read_storefront(expect="CLOSED"), "expect must be OPEN or DENIED or FAILED, not"),
        (lambda: read_storefront(timeout="soon"), "timeout must be a number, not 'soon'"),
        (lambda: read_order(expect="open"), "expect must be OPEN or DENIED"),
        (lambda: read_egress("a", "http://b", expect=""), "expect must be OPEN or DENIED"),
        (lambda: read_connection("a", "b", "amqp"), "port must be a number"),  # type: ignore[arg-type]
        (lambda: read_readiness("a", expect="OPEN"), "expect must be READY or NOT_READY"),
        (lambda: count_drops(at_least=None), "at_least must be a number"),  # type: ignore[arg-type]
        (lambda: count_drops(since="ever"), "since must be window or fault"),
        (lambda: count_drops(counter="hubbel"), "counter must be hubble or node"),
        (lambda: explain_denial("a", "http"), "port must be a number"),  # type: ignore[arg-type]
    ],
)
@pytest.mark.usefixtures("armed")
def test_an_argument_that_cannot_be_meant_is_unknown(answer: Any, sentence: str) -> None:
    """A misspelt word never turns a good answer into "not as expected"."""
    told = answer()
    assert (told["reading"], told["met"]) == (UNKNOWN, None)
    assert sentence in told["sentence"]


@pytest.mark.usefixtures("armed")
def test_counting_from_a_fault_needs_a_fault() -> None:
    """Before any fault was submitted there is nothing to count from."""
    told = count_drops(since="fault")
    assert (told["reading"], told["met"]) == (UNKNOWN, None)


class Pool:
    """Remembers what was asked of the API server."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    def request(self, method: str, url: str, **more: Any) -> Any:
        """Answer 200 with an empty object."""
        self.urls.append(url)
        return type("Response", (), {"status": 200, "data": b"{}", "headers": {}})


def test_every_write_is_strict() -> None:
    """A misspelt field would otherwise be stored without it, which may mean deny-all."""
    pool = Pool()
    configuration = type("C", (), {"host": "https://x", "auth_settings": lambda self: {}})()
    rest = type("R", (), {"pool_manager": pool})
    api = Api(type("A", (), {"configuration": configuration, "rest_client": rest}))
    api.put("/api/v1/namespaces/a", {})
    api.post("/api/v1/namespaces", {})
    assert all("fieldValidation=Strict" in url for url in pool.urls)
    assert len(pool.urls) == 2


@pytest.mark.parametrize(
    ("reason", "counts"),
    [
        ("POLICY_DENIED", True),
        ("policy_deny", True),
        ("Policy denied by denylist", True),
        ("Policy map full", False),
        ("NO_POLICY_DENIED", False),
        ("Stale or unroutable IP", False),
    ],
)
def test_which_reasons_are_a_policys(reason: str, counts: bool) -> None:
    """Both spellings of both reasons, in any case, and nothing else."""
    assert bool(POLICY_REASON.fullmatch(reason)) is counts
