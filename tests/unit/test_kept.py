"""A kept connection: it stalls without an end, and carries on late."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from acns_chaos.cluster.kept import Kept
from acns_chaos.cluster.remembered import Remembered
from acns_chaos.evidence.shop import read_kept


class Shop(BaseHTTPRequestHandler):
    """Answers once its gate is open; /last closes the connection, /gone does without an answer."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer one request."""
        server: Any = self.server
        server.asked.append((self.client_address[1], self.path))
        server.gate.wait(5)
        if self.path == "/gone":
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", "2")
        if self.path == "/last":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def shop() -> Iterator[Any]:
    """A shop on loopback whose gate is open."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    server.gate = threading.Event()
    server.gate.set()
    server.asked = []
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def remembered() -> Iterator[Remembered]:
    """A run's memory."""
    found = Remembered()
    yield found
    found.close()


def read(
    shop: Any, remembered: Remembered, expect: str = "OPEN", path: str = "/", timeout: float = 1.0
) -> dict[str, Any]:
    """Ask on the kept connection."""
    environ = {"ACNS_CHAOS_STOREFRONT_URL": f"http://127.0.0.1:{shop.server_port}"}
    return read_kept(
        None,
        environ,
        remembered,
        "pets",
        "front",
        path,
        expect,
        timeout,
        0.0,  # type: ignore[arg-type]
    )


def test_one_connection_serves_every_question(shop: Any, remembered: Remembered) -> None:
    """The first question opens it and says so; the next ones do not."""
    first, second = read(shop, remembered), read(shop, remembered)
    assert (first["reading"], first["evidence"]["opened_now"]) == ("OPEN", True)
    assert (second["reading"], second["evidence"]["opened_now"]) == ("OPEN", False)
    assert len({port for port, _ in shop.asked}) == 1


def test_silence_keeps_the_request_outstanding_until_it_is_answered(
    shop: Any, remembered: Remembered
) -> None:
    """Nothing is sent again: the answer to the stalled request is what shows the recovery."""
    read(shop, remembered)
    shop.gate.clear()
    stalled = read(shop, remembered, "DENIED", timeout=0.05)
    again = read(shop, remembered, "DENIED", timeout=0.05)
    shop.gate.set()
    late = read(shop, remembered)

    assert [one["reading"] for one in (stalled, again, late)] == ["DENIED", "DENIED", "OPEN"]
    assert late["evidence"]["waited"] >= 0.1
    assert len(shop.asked) == 2
    assert len({port for port, _ in shop.asked}) == 1


def test_another_page_waits_for_the_outstanding_one(shop: Any, remembered: Remembered) -> None:
    """Answers come in the order of the questions, so none is taken for another's."""
    read(shop, remembered)
    shop.gate.clear()
    read(shop, remembered, "DENIED", timeout=0.05)
    shop.gate.set()
    told = read(shop, remembered, path="/api/products")
    assert told["reading"] == "OPEN"
    assert [path for _, path in shop.asked] == ["/", "/", "/api/products"]


def test_a_connection_that_the_server_closed_is_unknown(shop: Any, remembered: Remembered) -> None:
    """A policy never closes one, so it is no denial; the next question opens another."""
    read(shop, remembered)
    lost = read(shop, remembered, "DENIED", path="/gone")
    assert (lost["reading"], lost["met"]) == ("UNKNOWN", None)
    assert "is lost (the other side closed it)" in lost["sentence"]
    assert read(shop, remembered)["evidence"]["opened_now"] is True


def test_a_server_that_closes_after_its_answer_is_answered_and_said(
    shop: Any, remembered: Remembered
) -> None:
    """The answer counts; that nothing is kept any more stands in the evidence."""
    told = read(shop, remembered, path="/last")
    assert told["reading"] == "OPEN"
    assert told["evidence"]["lost"] == "the server closes it after an answer"


def test_without_a_connection_from_before_nothing_is_said_about_kept_ones(
    remembered: Remembered,
) -> None:
    """A refused or silent first attempt is a new connection's answer."""
    environ = {"ACNS_CHAOS_STOREFRONT_URL": "http://127.0.0.1:9"}
    told = read_kept(
        None,
        environ,
        remembered,
        "pets",
        "front",
        "/",
        "DENIED",
        0.3,
        0.0,  # type: ignore[arg-type]
    )
    assert (told["reading"], told["met"]) == ("UNKNOWN", None)
    assert "no connection was kept before" in told["sentence"]


def test_closing_lets_go(shop: Any) -> None:
    """What the run kept ends with it."""
    kept = Kept(f"http://127.0.0.1:{shop.server_port}")
    kept.get("/", 1.0)
    assert kept.is_open
    kept.close()
    assert not kept.is_open
