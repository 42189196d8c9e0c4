"""The product's Hubble client against the lab: the way to the relay, its failures, following."""

import base64
import gc
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from misbehaving import MisbehavingLab, eventually, misbehaving_lab

from acns_chaos.cli import main
from acns_chaos.cluster.hubble import (
    Event,
    HubbleError,
    Query,
    Relay,
    SeenFlow,
    count_dropped,
    evidence_of,
    open_relay,
)
from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.evidence.counters import Bounds
from acns_chaos.evidence.flows import read_flow_count, read_relay

POLICY = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies/allow-store-front-traffic"
CERTIFICATES = "/api/v1/namespaces/kube-system/secrets/hubble-relay-client-certs"
RELAY = "ACNS_CHAOS_HUBBLE_RELAY"
DROPS = Query(verdict="DROPPED", destination="pets/store-front")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MisbehavingLab]:
    with misbehaving_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture
def api(lab: MisbehavingLab) -> Iterator[Api]:
    """The lab's API; whatever a test has ordered ends with it."""
    found, _ = kubeconfig_api("", lab.ready["kubeconfig"])
    yield found
    lab.clear()
    eventually(lambda: _answers(found), 10)
    found.close()


def _answers(api: Api) -> bool:
    try:
        with open_relay(api, {}) as relay:
            return not relay.status().nodes_unavailable
    except HubbleError:
        return False


def visit(lab: MisbehavingLab) -> None:
    """One SYN to the storefront, answered or not."""
    address = urlsplit(lab.ready["env"]["ACNS_CHAOS_STOREFRONT_URL"])
    with socket.socket() as attempt:
        attempt.settimeout(0.05)
        attempt.connect_ex((address.hostname, address.port))


@pytest.fixture
def denied(lab: MisbehavingLab, api: Api) -> Iterator[datetime]:
    """The storefront lets nobody in, since the moment that it gives; one packet was dropped."""
    original = api.get(POLICY)
    since = datetime.now(UTC)
    api.put(POLICY, {**original, "spec": {**original["spec"], "ingress": [{}]}})
    try:
        with open_relay(api, {}) as relay:
            eventually(lambda: visit(lab) or _drops(relay, since), 10)
        yield since
    finally:
        fresh = api.get(POLICY)
        api.put(POLICY, {**fresh, "spec": original["spec"]})


def _drops(relay: Relay, since: datetime) -> list[SeenFlow]:
    query = Query(verdict="DROPPED", destination="pets/store-front", since=since.timestamp())
    return [one for one in relay.flows(query, 5) if isinstance(one, SeenFlow)]


def count(api: Api, since: datetime, bounds: Bounds, **environ: str) -> dict[str, Any]:
    """The reading of a run."""
    return read_flow_count(api, environ, DROPS, True, "drops", since.isoformat(), 0.0, bounds, 2.0)


# ------------------------------------------------------------------ the way


def test_the_relay_is_found_and_asked_through_the_api_server(
    lab: MisbehavingLab, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No program, no port-forward by hand, no certificate on disk; and nothing is left."""
    threads, files = set(threading.enumerate()), _open_files()
    # Of this test alone: others may run beside it.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with open_relay(api, {}) as relay:
        status = relay.status()
        assert status.version.startswith("hubble-relay v1.19")
        assert (status.nodes_connected, status.nodes_unavailable) == (1, ())
        eventually(lambda: visit(lab) or list(relay.flows(Query(number=3), 5))[1:])
        kept = [one for one in tmp_path.rglob("*") if one.is_file()]
        assert not [one for one in kept if b"PRIVATE KEY" in one.read_bytes()]
    assert set(threading.enumerate()) <= threads
    gc.collect()
    eventually(lambda: _open_files() <= files + 2)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_an_address_is_dialled_directly(lab: MisbehavingLab, api: Api) -> None:
    """With the same certificates, and without a port-forward."""
    number = lab.inject("403", resource="pods/portforward")
    with open_relay(api, {RELAY: lab.ready["env"]["ACNS_CHAOS_HUBBLE_ADDRESS"]}) as relay:
        assert relay.status().nodes_connected == 1
    assert lab.struck(number) == 0


def test_flows_are_filtered_by_the_relay(denied: datetime, api: Api) -> None:
    """What comes is what was asked for, and one packet counts once."""
    with open_relay(api, {}) as relay:
        found = _drops(relay, denied)
        assert found
        for one in found:
            assert (one.source.name, one.destination.name) == ("world", "pets/store-front")
            assert (one.reason, one.direction, one.port) == ("POLICY_DENIED", "ingress", 8080)
            assert one.at == pytest.approx(time.time(), abs=20)
            assert one.received >= one.at
        kinds = [one.kind for one in found]
        assert count_dropped(found) == {
            "POLICY_DENIED": max(kinds.count("drop"), kinds.count("policy-verdict"))
        }
        none = Query(verdict="DROPPED", destination="pets/rabbitmq", since=denied.timestamp())
        assert not [one for one in relay.flows(none, 5) if isinstance(one, SeenFlow)]


# ------------------------------------------------------------------ failures


@pytest.mark.parametrize(
    ("kind", "given", "cause"),
    [
        ("relay-down", {}, "relay-down"),
        ("relay-without-tls", {}, "tls-off"),
        ("relay-certificate-expired", {}, "certificate-expired"),
        ("relay-certificate-expired", {"whose": "client"}, "certificate-expired"),
        ("403", {"resource": "secrets"}, "no-permission"),
        ("403", {"resource": "pods/portforward"}, "no-permission"),
        ("403", {"resource": "pods", "verbs": ["list"]}, "no-permission"),
        ("404", {"resource": "secrets"}, "no-certificates"),
        ("503", {"resource": "services"}, "unreachable"),
        ("503", {"resource": "pods/portforward"}, "unreachable"),
        ("reset", {"resource": "pods/portforward"}, "unreachable"),
    ],
)
def test_a_failure_has_a_cause_and_is_never_no_drops(
    lab: MisbehavingLab, api: Api, kind: str, given: dict[str, Any], cause: str
) -> None:
    """Expecting none, and expecting some, are both UNKNOWN; the sentence shows no secret."""
    since = datetime.now(UTC)
    number = lab.inject(kind, **given)
    eventually(lambda: not _answers(api))
    threads = set(threading.enumerate())
    for bounds in (Bounds(0.0, 0.0), Bounds(1.0)):
        found = count(api, since, bounds)
        assert (found["reading"], found["met"]) == ("UNKNOWN", None)
        assert found["evidence"]["cause"] == cause, found["sentence"]
        assert "\n" not in found["sentence"]
        assert "BEGIN" not in found["sentence"]
    assert read_relay(api, {})["reading"] in ("UNKNOWN", "NOT_READY")
    assert lab.struck(number) > 0
    assert set(threading.enumerate()) <= threads


def test_certificates_of_another_authority_are_not_trusted(lab: MisbehavingLab, api: Api) -> None:
    """The relay is somebody else, or its certificate was renewed and the Secret was not."""
    secret = api.get(CERTIFICATES)
    other = base64.b64encode(_cluster_authority(lab)).decode()
    stored = api.put(CERTIFICATES, {**secret, "data": {**secret["data"], "ca.crt": other}})
    try:
        with pytest.raises(HubbleError) as refused:
            open_relay(api, {})
        assert refused.value.cause == "untrusted"
    finally:
        api.put(CERTIFICATES, {**stored, "data": secret["data"]})


def _cluster_authority(lab: MisbehavingLab) -> bytes:
    import yaml

    config = yaml.safe_load(Path(lab.ready["kubeconfig"]).read_text())
    return base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])


def test_a_question_that_hubble_cannot_use(api: Api) -> None:
    """A relay answers it with OK and no flows; here it is an error."""
    with open_relay(api, {}) as relay, pytest.raises(HubbleError) as refused:
        list(relay.flows(Query(verdict="DROPPED", reason="NO_SUCH_REASON"), 5))
    assert refused.value.cause == "bad-filter"


def test_lost_flows_spoil_no_drops_only(denied: datetime, lab: MisbehavingLab, api: Api) -> None:
    """A drop that was seen is one, whatever was lost beside it."""
    lab.inject("lost-flows", number=2)

    def told() -> bool:
        for _ in range(3):
            visit(lab)
        found = count(api, denied, Bounds(0.0, 10_000.0))
        return bool(found["evidence"]["hubble"]["lost"] >= 2 and found["reading"] == "UNKNOWN")

    eventually(told, 10)
    assert count(api, denied, Bounds(1.0))["met"] is True


def test_a_node_that_does_not_answer(lab: MisbehavingLab, api: Api) -> None:
    """Its drops cannot be seen: UNKNOWN, naming it; the relay is not ready."""
    node = api.get("/api/v1/nodes")["items"][0]["metadata"]["name"]
    lab.inject("hubble-node-down", node=node)
    found = count(api, datetime.now(UTC), Bounds(0.0, 0.0))
    assert found["reading"] == "UNKNOWN"
    assert found["evidence"]["hubble"]["unavailable"] == [node]
    assert read_relay(api, {})["reading"] == "NOT_READY"


def test_an_agent_that_began_anew(denied: datetime, lab: MisbehavingLab, api: Api) -> None:
    """What it saw is gone: "no drops" since then is UNKNOWN, though the relay answers well."""
    assert count(api, denied, Bounds(1.0))["met"] is True
    node = api.get("/api/v1/nodes")["items"][0]["metadata"]["name"]
    lab.inject("agent-restart", node=node)
    found = count(api, denied, Bounds(0.0, 10_000.0))
    assert (found["reading"], found["met"]) == ("UNKNOWN", None)
    assert "began anew" in found["sentence"]


# ------------------------------------------------------------------ following


class Follower:
    """Follows in a thread.

    Attributes:
        events: what came.
    """

    def __init__(self, api: Api, query: Query) -> None:
        self.events: list[Event] = []
        self.stop = threading.Event()
        self._relay = open_relay(api, {}, 2.0)
        self._thread = threading.Thread(target=self._run, args=(query,))
        self._thread.start()

    def _run(self, query: Query) -> None:
        for event in self._relay.follow(query, self.stop):
            self.events.append(event)

    def states(self) -> list[str]:
        """States that were told."""
        return [one.state for one in self.events if hasattr(one, "state")]

    def flows(self) -> list[SeenFlow]:
        """Flows that came."""
        return [one for one in self.events if isinstance(one, SeenFlow)]

    def close(self) -> None:
        """End it; it must end within one question."""
        self.stop.set()
        self._thread.join(3)
        assert not self._thread.is_alive()
        self._relay.close()


@pytest.fixture
def follower(api: Api) -> Iterator[Follower]:
    found = Follower(api, Query(destination="pets/store-front"))
    yield found
    found.close()


def test_flows_come_soon_and_once(follower: Follower, lab: MisbehavingLab) -> None:
    """Within a second of the packet here; a real figure is in the bench."""
    eventually(lambda: visit(lab) or len(follower.flows()) > 20, 10)
    found = follower.flows()
    assert len({one.uuid for one in found}) == len(found)
    delays = sorted(one.received - one.at for one in found)
    assert delays[len(delays) // 2] < 1.0
    assert evidence_of(follower.events).complete


def test_following_goes_on_when_the_relay_is_back(follower: Follower, lab: MisbehavingLab) -> None:
    """What happened meanwhile comes, too, and the evidence is whole."""
    eventually(lambda: visit(lab) or follower.flows(), 10)
    number = lab.inject("relay-down")
    eventually(lambda: "ERROR" in follower.states())
    assert not evidence_of(follower.events).complete
    meanwhile = time.time()
    visit(lab)
    lab.clear(number)
    eventually(lambda: visit(lab) or "RECONNECTED" in follower.states(), 10)
    eventually(lambda: visit(lab) or any(one.at > meanwhile for one in follower.flows()), 10)
    assert evidence_of(follower.events).complete
    uuids = [one.uuid for one in follower.flows()]
    assert len(set(uuids)) == len(uuids)


def test_following_tells_of_a_restart_and_of_losses(
    follower: Follower, lab: MisbehavingLab, api: Api
) -> None:
    """Neither ends the stream, and neither is passed over."""
    eventually(lambda: visit(lab) or follower.flows(), 10)
    lab.inject("lost-flows", number=2)
    eventually(lambda: visit(lab) or evidence_of(follower.events).lost >= 2, 10)
    node = api.get("/api/v1/nodes")["items"][0]["metadata"]["name"]
    lab.inject("agent-restart", node=node)
    eventually(lambda: visit(lab) or "RESTARTED" in follower.states(), 10)
    came = len(follower.flows())
    eventually(lambda: visit(lab) or len(follower.flows()) > came, 10)


# ------------------------------------------------------------------ the command


def test_the_command_shows_drops(
    denied: datetime, lab: MisbehavingLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For people and as JSON lines that it reads itself; a relay that is down is exit code 2."""
    monkeypatch.setenv("ACNS_CHAOS_LAB_HOME", str(lab.home))
    asked = ("flows", "--verdict", "DROPPED", "--to", "pets/store-front")
    shown = CliRunner().invoke(main, [*asked, "--since", denied.isoformat()])
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert lines
    assert all("POLICY_DENIED INGRESS DROPPED (TCP Flags: SYN)" in line for line in lines)
    lines = CliRunner().invoke(main, [*asked, "--json"]).stdout
    again = CliRunner().invoke(main, [*asked, "--input", "-"], input=lines)
    assert (again.exit_code, again.stderr) == (0, "")
    assert len(again.stdout.splitlines()) == len(lines.splitlines())
    number = lab.inject("relay-down")
    eventually(lambda: CliRunner().invoke(main, [*asked]).exit_code == 2)
    told = CliRunner().invoke(main, [*asked])
    assert "Hubble relay does not listen" in told.stderr
    assert "Traceback" not in told.output
    lab.clear(number)


def test_the_command_says_what_is_missing(
    lab: MisbehavingLab, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look further back than the nodes remember is exit code 3."""
    monkeypatch.setenv("ACNS_CHAOS_LAB_HOME", str(lab.home))
    shown = CliRunner().invoke(main, ["flows", "--since", "2h", "--last", "1"])
    assert shown.exit_code == 3, shown.output
    assert "Flows may be missing" in shown.stderr
