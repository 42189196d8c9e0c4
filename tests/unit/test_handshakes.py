"""WebSockets to a server that accepts them and says nothing more."""

import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from acns_chaos.cluster.asked import Asked
from acns_chaos.cluster.handshakes import opened_within
from acns_chaos.cluster.hubble.errors import HubbleError
from acns_chaos.cluster.hubble.tunnel import Tunnel
from acns_chaos.cluster.pods import run_in
from acns_chaos.errors import ApiError


@pytest.fixture
def silent() -> Iterator[Any]:
    """A cluster whose API server accepts and never answers."""
    from kubernetes.client import Configuration

    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield SimpleNamespace(
            server=f"http://127.0.0.1:{server.getsockname()[1]}",
            asked=Asked(),
            headers=dict,
            client=SimpleNamespace(configuration=Configuration()),
        )


def raised_by(call: Callable[[], object]) -> list[BaseException]:
    """What a call raised within some seconds; nothing when it hangs."""
    raised: list[BaseException] = []

    def called() -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - handed to the test
            raised.append(error)

    thread = threading.Thread(target=called, daemon=True)
    thread.start()
    thread.join(5)
    return raised


def test_a_command_does_not_wait_for_ever_to_be_started(silent: Any) -> None:
    """It could not be started, which is neither a connection nor a silence of the pod's network."""
    (error,) = raised_by(lambda: run_in(silent, "pets", "web-1", "web", ["nc"], 0.1))

    assert isinstance(error, ApiError)
    assert "cannot run 'nc' in pets/web-1 (web)" in str(error)


def test_a_port_forward_does_not_wait_for_ever_to_be_opened(silent: Any) -> None:
    """Hubble cannot be asked, and the sentence says where that ends."""
    (error,) = raised_by(lambda: Tunnel(silent, "kube-system", "relay-1", 4245, timeout=0.1))

    assert isinstance(error, HubbleError)
    assert "does not open the port-forward" in str(error)


def test_each_thread_has_a_patience_of_its_own(silent: Any) -> None:
    """Several flows are tried at once, and one that may take long does not hold the others."""
    with opened_within(60):
        raised = raised_by(lambda: run_in(silent, "pets", "web-1", "web", ["nc"], 0.1))

    assert len(raised) == 1


def test_a_session_that_the_server_ended_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own close does nothing then."""
    closed: list[str] = []

    class Session:
        def __init__(self, *_: object) -> None:
            self.sock = SimpleNamespace(shutdown=lambda: closed.append("socket"))

        def run_forever(self, timeout: float) -> None:
            """The command has ended."""

        def is_open(self) -> bool:
            return False

        def read_channel(self, _: int) -> str:
            return '{"status": "Success"}'

        def read_all(self) -> str:
            return "done"

        def close(self) -> None:
            closed.append("session")

    monkeypatch.setattr("kubernetes.stream.ws_client.WSClient", Session)
    api: Any = SimpleNamespace(
        asked=SimpleNamespace(note=lambda *_: None),
        server="https://127.0.0.1:1",
        client=SimpleNamespace(configuration=None),
        headers=dict,
    )

    ran = run_in(api, "pets", "web-1", "web", ["nc"], 1)

    assert (ran.code, ran.output) == (0, "done")
    assert closed == ["session", "socket"]
