"""Readings from inside pods: what busybox says, and what it proves."""

import json
from typing import Any

import pytest

from acns_chaos.cluster.pods import Ran, _code, connected_by
from acns_chaos.cluster.remembered import Remembered
from acns_chaos.errors import ApiError
from acns_chaos.evidence import connections, egress, places
from acns_chaos.evidence.places import Asker

POD = {
    "metadata": {
        "name": "store-front-1-a",
        "ownerReferences": [{"kind": "ReplicaSet", "name": "store-front-1"}],
    },
    "spec": {"containers": [{"name": "store-front"}]},
    "status": {"phase": "Running"},
}


class Cluster:
    """An API with one pod and one Service."""

    def get(self, path: str, query: Any = None) -> dict[str, Any]:
        """Answer a list of pods or a Service."""
        return {"items": [POD]} if path.endswith("/pods") else {"spec": {"clusterIP": "10.0.0.7"}}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the test say what the command printed and what the drop counters show in turn."""

    def script(ran: Ran | ApiError, *drops: float) -> None:
        def run_in(*arguments: Any) -> Ran:
            if isinstance(ran, ApiError):
                raise ran
            return ran

        monkeypatch.setattr(places, "run_in", run_in)
        left = list(drops)
        monkeypatch.setattr(
            connections,
            "_drops",
            lambda *arguments: (
                (left.pop(0) if len(left) > 1 else left[0], "")
                if left
                else (0.0, "No Prometheus is named")
            ),
        )

    return script


def asker(**more: Any) -> Asker:
    """What asks in the storefront's pod."""
    return Asker(Cluster(), "pets", "store-front", "", more.get("prober"))  # type: ignore[arg-type]


def connection(expect: str = "DENIED") -> dict[str, Any]:
    """Connect from the storefront to rabbitmq."""
    return connections.read_connection(
        Cluster(),
        {},
        asker(),
        "pets",
        "store-front",
        "rabbitmq",
        5672,
        expect,
        1,
        0.0,  # type: ignore[arg-type]
    )


SILENCE = Ran(1, "nc: 10.0.0.7 (10.0.0.7:5672): Operation timed out\n", 1.0)


def test_silence_and_a_counted_drop_are_a_denial(answers: Any) -> None:
    """Two witnesses: the client and a counter."""
    answers(SILENCE, 4.0, 6.0)
    told = connection()
    assert (told["reading"], told["met"]) == ("DENIED", True)
    assert told["evidence"]["drops"] == 2.0


def test_silence_alone_is_unknown(answers: Any) -> None:
    """A broken backend is silent too: without a drop nobody knows."""
    answers(SILENCE, 4.0, 4.0)
    told = connection()
    assert (told["reading"], told["met"]) == ("UNKNOWN", None)
    assert "one witness is not enough" in told["sentence"]


def test_silence_without_prometheus_is_unknown(answers: Any) -> None:
    """The sentence says that there was nobody to ask."""
    answers(SILENCE)
    told = connection()
    assert told["reading"] == "UNKNOWN"
    assert "No Prometheus is named" in told["sentence"]


@pytest.mark.parametrize(
    "output",
    ["10.0.0.7 (10.0.0.7:5672) open\n", "nc: 10.0.0.7 (10.0.0.7:5672): Connection refused\n"],
)
def test_a_connection_or_a_refusal_is_open(answers: Any, output: str) -> None:
    """A refusal proves that the packet arrived: policy let it through."""
    answers(Ran(0 if "open" in output else 1, output, 0.1), 4.0)
    told = connection()
    assert (told["reading"], told["met"]) == ("OPEN", False)


def test_a_missing_tool_is_unknown(answers: Any) -> None:
    """An image without nc tells nothing about policy."""
    answers(Ran(127, "sh: nc: not found\n", 0.1), 4.0)
    assert connection()["reading"] == "UNKNOWN"


def test_a_pod_that_cannot_be_reached_is_unknown(answers: Any) -> None:
    """No exec permission is a sentence."""
    answers(ApiError("pods/exec is forbidden", 403), 4.0)
    told = connection()
    assert (told["reading"], told["sentence"]) == ("UNKNOWN", "pods/exec is forbidden")


@pytest.mark.parametrize(
    ("code", "output", "state"),
    [
        (0, "remote file exists", "OPEN"),
        (1, "wget: server returned error: HTTP/1.1 403 Forbidden", "OPEN"),
        (1, "wget: download timed out", "DENIED"),
        (1, "wget: bad address 'graph.microsoft.com'", "UNKNOWN"),
        (None, "", "UNKNOWN"),
        (127, "sh: wget: not found", "UNKNOWN"),
    ],
)
def test_what_wget_says(answers: Any, code: int | None, output: str, state: str) -> None:
    """A "bad address" does not tell why, so it is UNKNOWN and never DENIED."""
    answers(Ran(code, output, 0.1), 0.0)
    told = egress.read_url(
        asker(), Remembered(), "pets", "store-front", "https://graph.microsoft.com", "OPEN", 8
    )
    assert told["reading"] == state


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ('{"status": "Success"}', 0),
        (
            json.dumps({"details": {"causes": [{"reason": "ExitCode", "message": "3"}]}}),
            3,
        ),
        ('{"status": "Failure", "message": "no such file"}', 126),
        ("", None),
        ("not json", None),
    ],
)
def test_the_exit_code_comes_from_the_status(status: str, code: int | None) -> None:
    """Without a readable Status the end of the command is unknown."""
    assert _code(status) == code


def test_silence_is_told_from_other_failures() -> None:
    """None where nc's answer says nothing about the connection."""
    assert connected_by(SILENCE) is False
    assert connected_by(Ran(1, "nc: bad address 'x'", 5.0)) is None
