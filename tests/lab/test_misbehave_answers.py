"""Answers spoilt on request, seen through raw HTTP and the real Kubernetes client."""

import json
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from misbehaving import MisbehavingLab, eventually, misbehaving_lab

POLICIES = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies"
POLICY = f"{POLICIES}/allow-store-front-traffic"
MAPS = "/api/v1/namespaces/pets/configmaps"
# Over TLS a client may take a reset for an end without goodbye.
CUT = (urllib3.exceptions.ProtocolError, urllib3.exceptions.SSLError)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MisbehavingLab]:
    """One lab for all tests of this module."""
    with misbehaving_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def lab(process: MisbehavingLab) -> Iterator[MisbehavingLab]:
    """The lab, well again after each test."""
    yield process
    process.clear()


@pytest.fixture(scope="module")
def http(process: MisbehavingLab) -> Iterator["Http"]:
    """Raw requests to the lab's API server."""
    found = Http(process)
    yield found
    found.pool.clear()


class Http:
    """Raw HTTP with the token of the kubeconfig."""

    def __init__(self, lab: MisbehavingLab) -> None:
        config = yaml.safe_load(Path(lab.ready["kubeconfig"]).read_text())
        self.server = lab.ready["server"]
        self.token = config["users"][0]["user"]["token"]
        self.authority = lab.control._authority
        context = ssl.create_default_context(cadata=self.authority)
        self.pool = urllib3.PoolManager(ssl_context=context, retries=False)

    def __call__(
        self, method: str, path: str, body: Any = None, timeout: float = 5.0, **headers: str
    ) -> urllib3.BaseHTTPResponse:
        """Send a request."""
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        return self.pool.request(
            method,
            path if path.startswith("http") else self.server + path,
            headers={**sent, **headers},
            body=None if body is None else json.dumps(body),
            timeout=timeout,
        )


def a_map(name: str, colour: str = "blue") -> dict[str, Any]:
    """A ConfigMap."""
    metadata = {"name": name, "namespace": "pets"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"c": colour}}


@pytest.mark.parametrize(
    ("kind", "method", "reason", "message"),
    [
        ("401", "GET", "Unauthorized", "Unauthorized"),
        (
            "403",
            "GET",
            "Forbidden",
            (
                'ciliumnetworkpolicies.cilium.io "allow-store-front-traffic" is forbidden: User '
                '"lab" cannot get resource "ciliumnetworkpolicies" in API group "cilium.io" in '
                'the namespace "pets"'
            ),
        ),
        (
            "409",
            "PUT",
            "Conflict",
            (
                "Operation cannot be fulfilled on ciliumnetworkpolicies.cilium.io "
                '"allow-store-front-traffic": the object has been modified; please apply your '
                "changes to the latest version and try again"
            ),
        ),
        ("500", "GET", "InternalError", "Internal error occurred: the lab was asked to fail"),
        (
            "503",
            "GET",
            "ServiceUnavailable",
            "the server is currently unable to handle the request",
        ),
        (
            "504",
            "GET",
            "Timeout",
            (
                "Timeout: request did not complete within requested timeout - context deadline "
                "exceeded"
            ),
        ),
    ],
)
def test_a_status_of_the_api(
    lab: MisbehavingLab, http: Http, kind: str, method: str, reason: str, message: str
) -> None:
    """An ordered error is the Status that a real server sends, once, and then all is well."""
    number = lab.inject(kind, count=1)
    body = http("GET", POLICY, User_Agent="x").json() if method == "PUT" and kind != "409" else {}

    spoilt = http(method, POLICY, body)

    assert spoilt.status == int(kind)
    status = spoilt.json()
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", int(kind))
    assert (status["reason"], status["message"]) == (reason, message)
    assert http("GET", POLICY).status == 200
    about = lab.about(number)
    assert (about["struck"], about["ended"]) == (1, "it struck as often as it should")
    assert about["notes"] == [f"{method} {POLICY}"]


def test_too_many_requests(lab: MisbehavingLab, http: Http) -> None:
    """A 429 comes as the queue before a real API server words it, with Retry-After."""
    lab.inject("429", verbs=["read"], retry_after=7)
    spoilt = http("GET", POLICIES)
    assert spoilt.status == 429
    assert spoilt.headers["Retry-After"] == "7"
    assert spoilt.data == b"Too many requests, please try again later.\n"
    assert http("POST", f"{MAPS}?dryRun=All", a_map("x")).status == 201


def test_a_list_that_is_too_old(lab: MisbehavingLab, http: Http) -> None:
    """410 strikes lists and watches, and not a read of one object."""
    lab.inject("410")
    assert http("GET", POLICY).status == 200
    gone = http("GET", POLICIES)
    assert (gone.status, gone.json()["reason"]) == (410, "Expired")


def test_the_real_client_sees_the_status(lab: MisbehavingLab) -> None:
    """The Kubernetes client raises ApiException with the code and the body."""
    from kubernetes import client, config

    lab.inject("503", resource="pods", count=1)
    with config.new_client_from_config(config_file=lab.ready["kubeconfig"]) as api:
        pods = client.CoreV1Api(api)
        with pytest.raises(client.ApiException) as caught:
            pods.list_namespaced_pod("pets")
        assert caught.value.status == 503
        assert json.loads(caught.value.body)["reason"] == "ServiceUnavailable"
        assert len(pods.list_namespaced_pod("pets").items) >= 4


def test_a_reset_before_the_answer(lab: MisbehavingLab, http: Http) -> None:
    """A reset connection is a reset to the client, and nothing was written."""
    lab.inject("reset", verbs=["create"], resource="cm", count=1)
    with pytest.raises(CUT):
        http("POST", MAPS, a_map("reset"))
    assert http("GET", f"{MAPS}/reset").status == 404


def test_a_reset_is_one_on_the_wire(lab: MisbehavingLab, http: Http) -> None:
    """The kernel of the client reports a reset, not an end."""
    lab.inject("reset", path="/version", count=1)
    context = ssl.create_default_context(cadata=http.authority)
    address = ("127.0.0.1", int(http.server.rpartition(":")[2]))
    with (
        socket.create_connection(address, 5) as plain,
        plain.dup() as raw,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        tls.send(b"GET /version HTTP/1.1\r\nHost: lab\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            until_the_end(raw)


def until_the_end(sock: socket.socket) -> None:
    """Read all there is."""
    while sock.recv(4096):
        pass


def test_a_reset_in_the_middle_of_the_answer(lab: MisbehavingLab, http: Http) -> None:
    """The client gets the head and half of the body; a write has been done all the same."""
    lab.inject("reset-mid-body", verbs=["create"], resource="configmaps", count=1)
    with pytest.raises(CUT):
        http("POST", MAPS, a_map("half"))
    assert http("GET", f"{MAPS}/half").status == 200


def test_no_answer_at_all(lab: MisbehavingLab, http: Http) -> None:
    """A hanging request is silent until the client gives up; nothing was done."""
    number = lab.inject("hang", verbs=["create"], count=1)
    began = time.monotonic()
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        http("POST", MAPS, a_map("hung"), timeout=0.3)
    assert time.monotonic() - began >= 0.3
    assert http("GET", f"{MAPS}/hung").status == 404
    # Its one client has left, so it is over.
    assert eventually(lambda: lab.about(number)["ended"])


def test_clearing_lets_a_hanging_client_go(lab: MisbehavingLab, http: Http) -> None:
    """A request that hangs is reset when the order is cleared."""
    number = lab.inject("hang", path="/version")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(http, "GET", "/version")
        eventually(lambda: lab.struck(number))
        lab.clear(number)
        with pytest.raises(CUT):
            waiting.result(5)
    assert http("GET", "/version").status == 200


def test_a_slow_answer(lab: MisbehavingLab, http: Http) -> None:
    """A slow answer is right, and late by what was ordered."""
    lab.inject("slow", seconds=0.3, count=1)
    began = time.monotonic()
    assert http("GET", POLICY).status == 200
    assert 0.3 <= time.monotonic() - began < 2


def test_a_write_that_is_done_and_not_answered(lab: MisbehavingLab, http: Http) -> None:
    """The client sees a reset, the object is there, and the report says both."""
    number = lab.inject("unanswered-write", resource="configmaps", count=1)
    assert http("POST", f"{MAPS}?dryRun=All", a_map("done")).status == 201, "a rehearsal is left"
    with pytest.raises(CUT):
        http("POST", MAPS, a_map("done"))
    assert http("GET", f"{MAPS}/done").json()["data"] == {"c": "blue"}
    assert lab.about(number)["notes"] == [f"POST {MAPS}", f"POST {MAPS} was answered 201, unheard"]


def test_a_write_that_is_done_later(lab: MisbehavingLab, http: Http) -> None:
    """The client sees a reset, a reader nothing yet, and later the object is there."""
    number = lab.inject("late-write", verbs=["create"], seconds=0.3, count=1)
    with pytest.raises(CUT):
        http("POST", MAPS, a_map("late"))
    assert http("GET", f"{MAPS}/late").status == 404
    eventually(lambda: http("GET", f"{MAPS}/late").status == 200)
    done = f"POST {MAPS} was done 0.3 s late and answered 201, unheard"
    assert eventually(lambda: done in lab.about(number)["notes"])


def test_a_late_write_meets_who_was_faster(lab: MisbehavingLab, http: Http) -> None:
    """A late PUT with an old version is refused as any other: 409, and the report says so."""
    http("POST", MAPS, a_map("raced"))
    live = http("GET", f"{MAPS}/raced").json()
    number = lab.inject("late-write", name="raced", seconds=0.3, answer="hang", count=1)
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        http("PUT", f"{MAPS}/raced", live | {"data": {"c": "red"}}, timeout=0.1)
    assert http("PUT", f"{MAPS}/raced", live | {"data": {"c": "green"}}).status == 200
    late = f"PUT {MAPS}/raced was done 0.3 s late and answered 409, unheard"
    eventually(lambda: late in lab.about(number)["notes"])
    assert http("GET", f"{MAPS}/raced").json()["data"] == {"c": "green"}


def test_prometheus_and_the_shop(lab: MisbehavingLab, http: Http) -> None:
    """Each server answers in its own words, and the other servers stay well."""
    prometheus = lab.ready["env"]["ACNS_CHAOS_PROMETHEUS_URL"] + "/api/v1/query?query=1"
    shop = lab.ready["env"]["ACNS_CHAOS_STOREFRONT_URL"]
    for kind in ("401", "429", "500", "503"):
        lab.inject(kind, server="prometheus", count=1)
        assert http("GET", prometheus).status == int(kind)
        lab.inject(kind, server="shop", count=1)
        assert http("GET", shop).status == int(kind)
    lab.inject("503", server="prometheus", count=1)
    assert http("GET", POLICY).status == 200
    assert http("GET", prometheus).json() == {
        "status": "error",
        "errorType": "unavailable",
        "error": "asked of the lab",
    }
    for server, url in (("prometheus", prometheus), ("shop", shop)):
        lab.inject("reset", server=server, count=1)
        with pytest.raises(CUT):
            http("GET", url)
        lab.inject("hang", server=server, count=1)
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            http("GET", url, timeout=0.2)
        lab.inject("slow", server=server, seconds=0.2, count=1)
        began = time.monotonic()
        assert http("GET", url).status == 200
        assert time.monotonic() - began >= 0.2


def test_the_choice_among_requests(lab: MisbehavingLab, http: Http) -> None:
    """Verb, resource, namespace, name, path, user agent and number are all heeded."""
    number = lab.inject(
        "500",
        verbs=["get"],
        resource="cnp",
        namespace="pets",
        name="allow-store-front-traffic",
        path="/apis/cilium.io",
        user_agent="curl",
        nth=2,
    )
    others = (
        ("GET", POLICIES, "curl/8"),
        ("GET", POLICY, "other"),
        ("GET", f"{POLICIES}/allow-rabbitmq-traffic", "curl/8"),
        ("GET", "/version", "curl/8"),
    )
    for method, path, agent in others:
        assert http(method, path, **{"User-Agent": agent}).status != 500
    agent = {"User-Agent": "Curl/8"}
    assert [http("GET", POLICY, **agent).status for _ in range(3)] == [200, 500, 500]
    assert lab.struck(number) == 2


def test_it_ends_with_its_time(lab: MisbehavingLab, http: Http) -> None:
    """What was ordered for a time is over after it, and says so."""
    number = lab.inject("503", path="/version", seconds_of_order=0.2)
    assert http("GET", "/version").status == 503
    eventually(lambda: http("GET", "/version").status == 200)
    assert lab.about(number)["ended"] == "its time was up"


def test_the_token_of_the_kubeconfig_orders_nothing(lab: MisbehavingLab, http: Http) -> None:
    """Orders take the token of the registration; who has a kubeconfig cannot give any."""
    for method, path in (("GET", "/lab/v1"), ("POST", "/lab/v1/misbehaviours")):
        refused = http(method, path, {"kind": "503"})
        assert refused.status == 401
        assert "control token" in refused.json()["error"]
    registration = lab.home / "lab.json"
    assert registration.stat().st_mode & 0o777 == 0o600
    assert http.token not in registration.read_text()


def test_the_way_in_is_never_spoilt(lab: MisbehavingLab) -> None:
    """With everything hanging, orders still come through."""
    lab.inject("hang")
    lab.inject("503", path="/lab")
    assert len(lab.control.status()["misbehaviours"]) == 2
