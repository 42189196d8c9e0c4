"""Asking a Prometheus over HTTP: time-outs, retries, and every bad answer as one sentence."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.cluster.prometheus import Alertmanager, Node, Nodes, Prometheus, session
from acns_chaos.cluster.prometheus.credentials import Basic, Bearer, Secret
from acns_chaos.errors import ApiError, Forbidden, NotFound

CANARY = "canary-7f3a91"
EMPTY = {"status": "success", "data": {"resultType": "vector", "result": []}}


class Served:
    """A server whose answers the test writes down.

    Attributes:
        url: its base.
        answers: (status, body, headers) in turn; the last one stays.
        heard: the header Authorization of every request; paths: what it asked for.
        slowly: seconds between two bytes of a body.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[tuple[int, Any, dict[str, str]]] = [(200, EMPTY, {})]
        self.heard: list[str] = []
        self.paths: list[str] = []
        self.slowly = 0.0

    def answer(self, status: int, body: Any = "", **headers: str) -> None:
        """Answer like this, once, before what comes next."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.insert(len(self.answers) - 1, (status, body, named))

    def only(self, status: int, body: Any = "", **headers: str) -> None:
        """Answer like this for ever."""
        self.answers = []
        self.answer(status, body, **headers)


@pytest.fixture
def server() -> Iterator[Served]:
    """A server that answers an empty vector until it is told otherwise."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            served.heard.append(self.headers.get("Authorization", ""))
            served.paths.append(self.path)
            more = len(served.answers) > 1
            status, body, headers = served.answers.pop(0) if more else served.answers[0]
            written = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(written)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if not served.slowly:
                self.wfile.write(written)
                return
            for byte in written:
                if over.wait(served.slowly):
                    return
                self.wfile.write(bytes([byte]))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that left is no news."""

    over = threading.Event()
    listening = Quiet(("127.0.0.1", 0), Handler)
    served = Served(f"http://127.0.0.1:{listening.server_port}")
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    yield served
    over.set()
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.mark.parametrize(
    ("status", "body", "kind", "sentence"),
    [
        (400, {"error": "parse error: no brace"}, ApiError, "answered 400: parse error: no brace"),
        (401, {"error": "no"}, Forbidden, "refuses to answer with basic credentials"),
        (403, "", Forbidden, "403"),
        (404, "<html>", NotFound, "is its address complete"),
        (302, "", ApiError, "redirect"),
        (500, "out of memory\nTraceback", ApiError, "answered 500: out of memory"),
        (200, "<html>Grafana</html>", ApiError, "speaks another language"),
        (200, {"status": "error", "error": "x"}, ApiError, "speaks another language"),
        (200, {"data": 5}, ApiError, "speaks another language"),
        (200, [], ApiError, "speaks another language"),
        (200, "", ApiError, "speaks another language"),
    ],
)
def test_every_bad_answer_is_one_sentence(
    server: Served, status: int, body: Any, kind: type[ApiError], sentence: str
) -> None:
    """With whom, what came, and no traceback."""
    server.only(status, body, Location="http://127.0.0.1:9/login")
    with pytest.raises(ApiError, match=sentence) as refused:
        Prometheus(server.url, credentials=Basic("a", Secret("b-b-b-b"))).instant("up")
    assert type(refused.value) is kind
    assert server.url in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_a_server_that_quotes_the_credentials_does_not_spread_them(
    server: Served, status: int
) -> None:
    """A proxy may put what it got into its error: neither the token nor its header is told on."""
    for credentials in (Bearer(Secret(CANARY)), Basic("alice", Secret(CANARY))):
        header = credentials.header()
        server.only(status, {"error": f"you sent {header} ({CANARY})"}, Retry_After="99")
        with pytest.raises(ApiError) as refused:
            Prometheus(server.url, credentials=credentials).instant("up")
        for secret in (CANARY, header):
            assert secret not in str(refused.value)
        assert server.heard[-1] == header


def test_a_busy_server_is_asked_again_as_it_says(server: Served) -> None:
    """Twice at most, and each time is noted."""
    prometheus = Prometheus(server.url)
    server.answer(429, Retry_After="0")
    server.answer(503, Retry_After="0")
    assert prometheus.instant("up") == []
    assert [note.partition("answered ")[2][:3] for note in prometheus.notes] == ["429", "503"]
    server.only(429, Retry_After="0")
    with pytest.raises(ApiError, match="too busy"):
        prometheus.instant("up")
    assert len(server.heard) == 6


@pytest.mark.parametrize("status", [500, 502, 504, 400])
def test_other_errors_are_not_asked_again(server: Served, status: int) -> None:
    """A retry that hides a defect is none of ours."""
    server.only(status)
    with pytest.raises(ApiError):
        Prometheus(server.url).instant("up")
    assert len(server.heard) == 1


def test_a_server_that_wants_a_long_rest_is_left_alone(server: Served) -> None:
    """Nobody waits longer than fifteen seconds for one answer."""
    server.only(429, Retry_After="3600")
    with pytest.raises(ApiError, match="left alone for 3600 s"):
        Prometheus(server.url).instant("up")
    assert len(server.heard) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0.0), ("7", 7.0), ("-3", 0.0), ("nan", None), ("inf", None), ("soon", None)],
)
def test_retry_after_is_read_as_it_is_written(header: str, seconds: float | None) -> None:
    """Seconds, or a date; nonsense says nothing."""
    assert session._seconds(header) == seconds
    assert session._seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert session._seconds(None) is None


def test_an_answer_that_trickles_ends_in_time(server: Served) -> None:
    """The HTTP library's time-out starts anew with every byte; ours does not."""
    server.slowly = 0.05
    began = time.monotonic()
    with pytest.raises(ApiError, match="not in time"):
        Prometheus(server.url, timeout=0.2).instant("up")
    assert time.monotonic() - began < 1.0


def test_an_answer_that_breaks_off_is_no_answer(server: Served) -> None:
    """Half of a body would be read as fewer series."""
    server.only(200, EMPTY, Content_Length="999")
    with pytest.raises(ApiError, match=r"broke off|not in time"):
        Prometheus(server.url, timeout=0.3).instant("up")


def test_warnings_are_kept(server: Served) -> None:
    """The client library drops them; an answer with one is partial."""
    server.only(200, {**EMPTY, "warnings": ["store 7 is gone"]})
    prometheus = Prometheus(server.url)
    assert prometheus.instant("up") == []
    assert prometheus.instant("up") == []
    assert prometheus.warnings == ("store 7 is gone",)


def test_a_netrc_of_the_user_is_not_sent(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is for another program; requests would take it by itself."""
    (tmp_path / "netrc").write_text(f"default login alice password {CANARY}\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    Prometheus(server.url).instant("up")
    assert server.heard == [""]


def test_a_proxy_does_not_see_what_stays_on_this_machine(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The company's proxy would get the credentials of a port-forward, and could not reach it."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert Prometheus(server.url).instant("up") == []
    with pytest.raises(ApiError):
        Prometheus("http://prometheus.example").instant("up")
    assert len(server.heard) == 1


def test_what_is_no_number_is_no_sample(server: Served) -> None:
    """NaN and infinity come from a broken exporter, and would poison every sum."""
    pairs = [[1, "NaN"], [2, "+Inf"], [3, "4"], [1e300, "5"]]
    result = [{"metric": {"Instance": "A"}, "values": pairs}, {"odd": 1}, 7]
    server.only(200, {"status": "success", "data": {"resultType": "matrix", "result": result}})
    (found,) = Prometheus(server.url).instant("up[1m]")
    assert (found.labels, found.samples) == ({"instance": "A"}, ((3.0, 4.0),))


def test_clocks_are_compared(server: Served) -> None:
    """A runner whose clock is behind must not count from too late a moment."""
    ahead = time.time() + 100
    scalar = {"resultType": "scalar", "result": [ahead, str(ahead)]}
    server.only(200, {"status": "success", "data": scalar})
    prometheus = Prometheus(server.url)
    assert prometheus.clock().ahead == pytest.approx(100, abs=1)
    assert prometheus.moment(1000.0) <= 1000.0 + prometheus.clock().ahead
    assert len(server.heard) == 1


def test_a_server_that_hangs_is_not_asked_twice_for_its_clock(server: Served) -> None:
    """One time-out is enough."""
    server.slowly = 0.1
    with pytest.raises(ApiError, match="not in time"):
        Prometheus(server.url, timeout=0.1).clock()


def test_a_server_that_does_not_evaluate_its_clock_is_believed(server: Served) -> None:
    """Azure Monitor wants a metric in each query; the evidence then says that nobody looked."""
    server.only(422, {"error": "one metric"})
    found = Prometheus(server.url).clock()
    assert (found.ahead, found.bound) == (0.0, None)


def test_a_clock_that_shows_no_moment_is_not_believed(server: Served) -> None:
    """Moments by it could not be written down."""
    scalar = {"resultType": "scalar", "result": [0, "1e300"]}
    server.only(200, {"status": "success", "data": scalar})
    assert Prometheus(server.url).clock().ahead == 0.0


@pytest.mark.parametrize(
    ("labels", "node"),
    [
        ({"instance": "aks-1"}, "aks-1"),
        ({"instance": "AKS-1:9965"}, "aks-1"),
        ({"instance": "10.224.0.4:9962"}, "aks-1"),
        ({"instance": "[fd00::4]:9962"}, "aks-1"),
        ({"instance": "aks-1.internal.cloudapp.net:9962"}, "aks-1"),
        ({"instance": "prometheus-agent", "node": "aks-1"}, "aks-1"),
        ({"instance": "10.224.0.40:9962"}, ""),
        ({"instance": "aks-10"}, ""),
        ({}, ""),
    ],
)
def test_a_node_is_known_by_name_and_address(labels: dict[str, str], node: str) -> None:
    """With a port, with a domain, in any case."""
    assert Nodes([Node("aks-1", ("10.224.0.4", "fd00::4"))]).of(labels) == node


def test_an_alertmanager_is_asked_with_filters(server: Served) -> None:
    """Its answer is a list of alerts; its errors name it."""
    server.only(
        200, [{"labels": {"alertname": "A", "b": 'c"d'}, "startsAt": "0001-01-01T00:00:00Z"}]
    )
    (found,) = Alertmanager(server.url).firing("A", {"b": 'c"d'})
    assert found.began is None
    assert server.paths[-1].startswith("/api/v2/alerts?filter=alertname%3D%22A%22&filter=b%3D")
    server.only(503, Retry_After="60")
    with pytest.raises(ApiError, match="Alertmanager at http"):
        Alertmanager(server.url).firing("A", {})
