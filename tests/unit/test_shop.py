"""The customer's view: open, silent, or something else that is no policy drop."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from acns_chaos.cluster.remembered import Remembered
from acns_chaos.cluster.storefront import ask, storefront_url
from acns_chaos.errors import NotFound
from acns_chaos.evidence.shop import read_order, read_shop


class Shop(BaseHTTPRequestHandler):
    """Answers with the status that the path names; /silence holds the line."""

    def do_GET(self) -> None:
        """Answer one request."""
        if self.path == "/silence":
            self.server.gate.wait(5)  # type: ignore[attr-defined]
            return
        self.send_response(int(self.path.strip("/").partition("?")[0] or 200))
        self.end_headers()
        self.wfile.write(b'[{"id": 1}, {"id": 2}]')

    def do_POST(self) -> None:
        """Answer likewise."""
        self.do_GET()

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def shop() -> Iterator[str]:
    """A shop on loopback."""
    server = HTTPServer(("127.0.0.1", 0), Shop)
    server.gate = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.gate.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def read(url: str, path: str, expect: str = "OPEN", deadline: float = 0.0) -> dict[str, Any]:
    """Ask the shop at *url*."""
    environ = {"ACNS_CHAOS_STOREFRONT_URL": url}
    return read_shop(
        None,
        environ,
        "pets",
        "store-front",
        path,
        expect,
        0.3,
        deadline,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("path", "state"),
    [
        ("/200", "OPEN"),
        ("/302", "OPEN"),
        ("/504", "DENIED"),
        ("/500", "UNKNOWN"),
        ("/404", "UNKNOWN"),
    ],
)
def test_what_each_answer_means(shop: str, path: str, state: str) -> None:
    """Only silence is a drop; a 504 is silence further in; other errors are nobody's denial."""
    assert read(shop, path)["reading"] == state


@pytest.mark.parametrize(
    ("path", "state"),
    [("/502", "FAILED"), ("/504", "FAILED"), ("/silence", "FAILED"), ("/200", "OPEN")],
)
def test_a_failure_is_read_where_it_is_asked_for(shop: str, path: str, state: str) -> None:
    """Then whatever keeps a customer from being served is one: a 5xx, and silence."""
    told = read(shop, path, expect="FAILED")
    assert (told["reading"], told["met"]) == (state, state == "FAILED")


def test_silence_is_denied(shop: str) -> None:
    """No answer within the time-out."""
    told = read(shop, "/silence", expect="DENIED")
    assert (told["reading"], told["met"]) == ("DENIED", True)
    assert "no answer within 0.3 s" in told["sentence"]


def test_a_refused_connection_is_unknown_and_not_denied() -> None:
    """A policy never refuses: nobody listens, which says nothing about policy."""
    told = read("http://127.0.0.1:9", "/", expect="DENIED")
    assert (told["reading"], told["met"]) == ("UNKNOWN", None)
    assert "refused" in told["sentence"]


def test_products_are_counted(shop: str) -> None:
    """An empty catalogue is worth seeing in the journal."""
    assert read(shop, "/200")["evidence"]["items"] == 2


def test_asking_goes_on_until_the_expected_answer(shop: str) -> None:
    """With a deadline, an answer that is not the expected one is asked for again."""
    told = read(shop, "/200", expect="DENIED", deadline=0.2)
    assert told["met"] is False
    assert told["evidence"]["asked"] > 1


def test_a_url_nobody_can_ask_is_said() -> None:
    """A malformed address is a sentence, not a traceback."""
    assert ask("GET", "http://[", 0.3).detail.startswith(("cannot be asked", "connection failed"))


class Services:
    """An API that knows one Service."""

    def __init__(self, service: dict[str, Any]) -> None:
        self.service = service

    def get(self, path: str, query: Any = None) -> dict[str, Any]:
        """Return the Service."""
        return self.service


@pytest.mark.parametrize(
    ("port", "host", "url"),
    [
        (80, {"ip": "203.0.113.9"}, "http://203.0.113.9"),
        (8080, {"hostname": "shop.example.com"}, "http://shop.example.com:8080"),
    ],
)
def test_the_address_is_the_load_balancers(port: int, host: dict[str, str], url: str) -> None:
    """Without a variable the Service's own status says where customers go."""
    service = {"spec": {"ports": [{"port": port}]}, "status": {"loadBalancer": {"ingress": [host]}}}
    assert storefront_url(Services(service), "pets", "store-front", {}) == url  # type: ignore[arg-type]


def test_a_service_without_an_address_is_said() -> None:
    """A pending LoadBalancer names the variable that helps."""
    with pytest.raises(NotFound, match="has no LoadBalancer address: set ACNS_CHAOS_STOREFRONT"):
        storefront_url(Services({"spec": {}, "status": {}}), "pets", "store-front", {})  # type: ignore[arg-type]


def test_a_reading_says_what_was_waited_for_and_how_long_each_part_took(shop: str) -> None:
    """Connecting and answering are told apart, also in a good answer."""
    good, silent = read(shop, "/200")["evidence"], read(shop, "/silence")["evidence"]
    assert 0 <= good["connected"] <= good["first_byte"] <= 0.3
    assert (good["waited_for"], silent["waited_for"]) == ("", "answer")
    assert silent["connected"] is not None
    assert silent["first_byte"] is None


def test_a_connection_nobody_takes_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full queue drops SYNs, as a policy does."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        fillers = [socket.socket() for _ in range(4)]
        for one in fillers:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        told = read(f"http://127.0.0.1:{server.getsockname()[1]}", "/", expect="DENIED")
        for one in fillers:
            one.close()
    assert (told["reading"], told["met"]) == ("DENIED", True)
    assert told["evidence"]["waited_for"] == "connection"
    assert told["evidence"]["connected"] is None


def test_a_run_places_two_marked_orders_and_no_third(shop: str) -> None:
    """Whoever owns the shop finds them by the customer; the third question answers UNKNOWN."""
    remembered = Remembered()
    environ = {"ACNS_CHAOS_STOREFRONT_URL": f"{shop}/201?"}
    told = [
        read_order(None, environ, remembered, "run-7", "pets", "front", "OPEN", 0.3)  # type: ignore[arg-type]
        for _ in range(3)
    ]
    assert [one["evidence"]["asked"] for one in told] == [1, 1, 0]
    customers = [one["evidence"]["order"]["customerId"] for one in told[:2]]
    assert customers == ["acns-chaos-probe-run-7-1", "acns-chaos-probe-run-7-2"]
    assert (told[2]["reading"], told[2]["met"]) == ("UNKNOWN", None)
    assert "has placed its 2 synthetic orders" in told[2]["sentence"]


def test_an_order_that_failed_counts_too() -> None:
    """Nobody knows what a shop made of it: it is not placed again for that."""
    remembered = Remembered()
    environ = {"ACNS_CHAOS_STOREFRONT_URL": "http://127.0.0.1:9"}
    told = [
        read_order(None, environ, remembered, "run-7", "pets", "front", "OPEN", 0.3)  # type: ignore[arg-type]
        for _ in range(3)
    ]
    assert [one["reading"] for one in told] == ["UNKNOWN"] * 3
    assert [one["evidence"]["asked"] for one in told] == [1, 1, 0]


class Late(Shop):
    """A shop that a load balancer leaves out for its first three pages."""

    def do_GET(self) -> None:
        """Stay silent until the client gives up, three times."""
        asked = [*getattr(self.server, "asked", []), self.command]
        self.server.asked = asked  # type: ignore[attr-defined]
        if len(asked) > 3 or self.command == "POST":
            self.path = "/201" if self.command == "POST" else "/200"
            super().do_GET()


@pytest.fixture
def late() -> Iterator[HTTPServer]:
    """On loopback."""
    server = HTTPServer(("127.0.0.1", 0), Late)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_claim_that_had_to_wait_says_so(late: HTTPServer) -> None:
    """With a deadline it is met, and what happened meanwhile is told; without it is missed."""
    url = f"http://127.0.0.1:{late.server_port}"
    once = read(url, "/")
    found = read(url, "/", deadline=5.0)

    assert once["met"] is not True
    assert found["met"] is True
    assert "asked 3 times in " in found["sentence"]
    assert found["evidence"]["late"] >= 0


@pytest.mark.parametrize(("deadline", "pages"), [(5.0, 4), (0.0, 0)])
def test_an_order_waits_for_a_shop_that_answers(
    late: HTTPServer, deadline: float, pages: int
) -> None:
    """Pages are asked for until one comes; the order is placed once."""
    environ = {"ACNS_CHAOS_STOREFRONT_URL": f"http://127.0.0.1:{late.server_port}"}
    where = ("run", "pets", "store-front", "OPEN", 0.5, deadline)
    found = read_order(None, environ, Remembered(), *where)  # type: ignore[arg-type]

    assert found["met"] is True
    assert late.asked == ["GET"] * pages + ["POST"]  # type: ignore[attr-defined]
