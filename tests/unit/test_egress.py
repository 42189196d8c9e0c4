"""Egress from a pod: where a denial struck, and what a client meets that needs no lookup."""

from collections.abc import Sequence
from typing import Any

import pytest

from acns_chaos.cluster.pods import Place, Ran
from acns_chaos.cluster.remembered import Remembered
from acns_chaos.errors import FaultRefused
from acns_chaos.evidence import places
from acns_chaos.evidence.egress import read_address, read_url
from acns_chaos.evidence.places import Asker

URL = "https://graph.microsoft.com"
REACHED = Ran(
    0,
    "Connecting to graph.microsoft.com (20.190.152.88:443)\nConnecting to developer.microsoft.com "
    "(23.45.149.11:443)\nremote file exists\n",
    0.1,
)
BAD_ADDRESS = Ran(1, "wget: bad address 'graph.microsoft.com'\n", 5.1)
HEADER = "Server:\t\t10.0.0.10\nAddress:\t10.0.0.10:53\n\n"
FOUND = Ran(0, f"{HEADER}Name:\tgraph.microsoft.com\nAddress: 20.190.152.88\n", 0.1)
REFUSED = Ran(1, f"{HEADER}** server can't find graph.microsoft.com: REFUSED\n", 0.1)
NO_NAME = Ran(1, f"{HEADER}** server can't find graph.microsoft.com: NXDOMAIN\n", 0.1)
SILENT = Ran(1, ";; connection timed out; no servers could be reached\n", 5.0)
NO_TOOL = Ran(127, "sh: wget: not found\n", 0.1)


class Cluster:
    """An API with one pod of order-service."""

    name = "order-service-1-a"

    def get(self, path: str, query: Any = None) -> dict[str, Any]:
        """Answer the list of pods."""
        owner = {"kind": "ReplicaSet", "name": "order-service-1"}
        metadata = {"name": self.name, "ownerReferences": [owner]}
        spec = {"containers": [{"name": "order-service"}]}
        pod = {"metadata": metadata, "spec": spec, "status": {"phase": "Running"}}
        return {"items": [pod]}


class Exec:
    """Plays answers in the order of the commands, and keeps what was asked and where."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[Ran] = []
        self.asked: list[tuple[str, str]] = []
        monkeypatch.setattr(places, "run_in", self.run_in)

    def run_in(
        self, api: Any, namespace: str, pod: str, container: str, command: Sequence[str], _: float
    ) -> Ran:
        """Run nothing."""
        self.asked.append((pod, " ".join(command)))
        return self.answers.pop(0)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Exec:
    """The pods' answers."""
    return Exec(monkeypatch)


def asker(cluster: Cluster | None = None, prober: Any = None) -> Asker:
    """What asks as order-service."""
    return Asker(cluster or Cluster(), "pets", "order-service", "", prober)  # type: ignore[arg-type]


def by_name(
    play: Exec, *answers: Ran, expect: str = "DENIED", **more: Any
) -> tuple[dict[str, Any], Remembered]:
    """Ask with a lookup."""
    play.answers = list(answers)
    remembered = Remembered()
    told = read_url(asker(**more), remembered, "pets", "order-service", URL, expect, 8)
    return told, remembered


def by_address(remembered: Remembered, expect: str = "OPEN", **more: Any) -> dict[str, Any]:
    """Ask by the address that is known."""
    return read_address(asker(**more), remembered, "pets", "order-service", URL, expect, 2)


@pytest.mark.parametrize(
    ("answers", "state", "lookup", "words"),
    [
        ([BAD_ADDRESS, REFUSED], "DENIED", "refused", "as the DNS proxy refuses"),
        ([BAD_ADDRESS, FOUND, REFUSED], "DENIED", "search list refused", "where musl gives up"),
        ([BAD_ADDRESS, FOUND, NO_NAME], "UNKNOWN", "answered", "found when it was asked"),
        ([BAD_ADDRESS, SILENT], "UNKNOWN", "silence", "or the DNS server is down"),
        ([BAD_ADDRESS, NO_NAME], "UNKNOWN", "no such name", "knows no such name"),
        ([BAD_ADDRESS, NO_TOOL], "UNKNOWN", "unknown", "no usable answer"),
        ([Ran(1, BAD_ADDRESS.output, 0.1), NO_TOOL], "UNKNOWN", "unknown", "answered at once"),
        # glibc's 20 s are longer than the tool may take.
        ([Ran(None, "", 13.0), SILENT], "UNKNOWN", "silence", "did not end within 13 s"),
    ],
)
def test_why_a_lookup_failed_is_found_out(
    play: Exec, answers: list[Ran], state: str, lookup: str, words: str
) -> None:
    """A bad address does not tell; what the DNS server answers to nslookup does."""
    told, _ = by_name(play, *answers)
    assert told["reading"] == state
    assert told["met"] is (True if state == "DENIED" else None)
    assert (told["evidence"]["failed_at"], told["evidence"]["lookup"]) == ("lookup", lookup)
    assert words in told["sentence"]
    assert play.answers == []


def test_a_dropped_connection_failed_at_the_connection(play: Exec) -> None:
    """The lookup had an answer, so the name is not what is denied."""
    output = "Connecting to graph.microsoft.com (20.190.152.88:443)\nwget: download timed out\n"
    told, remembered = by_name(play, Ran(1, output, 8.0))
    assert (told["reading"], told["evidence"]["failed_at"]) == ("DENIED", "connection")
    assert "lookup" not in told["evidence"]
    assert remembered.learned("pets", "order-service", "graph.microsoft.com") is None


def test_a_name_that_is_reached_is_known_by_its_address(play: Exec) -> None:
    """The cached reading connects to the first address, in the same pod, without a lookup."""
    told, remembered = by_name(play, REACHED, expect="OPEN")
    assert (told["reading"], told["evidence"]["address"]) == ("OPEN", "20.190.152.88")
    play.answers = [Ran(0, "20.190.152.88 (20.190.152.88:443) open\n", 0.1)]
    cached = by_address(remembered)
    assert (cached["reading"], cached["met"]) == ("OPEN", True)
    assert cached["evidence"]["resolution"] == "cached"
    assert play.asked[-1] == ("order-service-1-a", "nc -zv -w2 20.190.152.88 443")


def test_an_address_that_meets_silence_is_denied(play: Exec) -> None:
    """A client that needs no lookup meets the connection's denial alone."""
    _, remembered = by_name(play, REACHED, expect="OPEN")
    play.answers = [Ran(1, "nc: 20.190.152.88 (20.190.152.88:443): Operation timed out\n", 2.0)]
    told = by_address(remembered, "DENIED")
    assert (told["reading"], told["met"]) == ("DENIED", True)
    assert told["evidence"]["failed_at"] == "connection"


def test_without_an_address_from_before_nothing_is_cached(play: Exec) -> None:
    """The sentence says how to have one."""
    told = by_address(Remembered())
    assert (told["reading"], play.asked) == ("UNKNOWN", [])
    assert 'ask once with lookup "new"' in told["sentence"]


def test_another_pod_has_not_cached_it(play: Exec) -> None:
    """A pod that was created anew has looked nothing up."""
    _, remembered = by_name(play, REACHED, expect="OPEN")
    anew = Cluster()
    anew.name = "order-service-1-b"
    play.answers = [Ran(1, "nc: 20.190.152.88 (20.190.152.88:443): Operation timed out\n", 2.0)]
    told = by_address(remembered, "DENIED", cluster=anew)
    assert (told["reading"], told["met"]) == ("UNKNOWN", None)
    assert "order-service-1-a, which does not answer any more" in told["sentence"]


def test_an_image_without_the_tool_says_how_to_get_a_prober(play: Exec) -> None:
    """Nothing is created that nobody asked for."""
    told, _ = by_name(play, NO_TOOL)
    assert told["reading"] == "UNKNOWN"
    assert "has no wget: with `prober` set to true" in told["sentence"]


def test_a_prober_asks_where_the_image_lacks_the_tool(play: Exec) -> None:
    """The reading says who asked."""
    told, _ = by_name(
        play, NO_TOOL, REACHED, expect="OPEN", prober=lambda: Place("acns-chaos-prober-1", "prober")
    )
    assert (told["reading"], told["evidence"]["asked_by"]) == ("OPEN", "prober")
    assert [pod for pod, _ in play.asked] == ["order-service-1-a", "acns-chaos-prober-1"]


def test_a_prober_that_cannot_be_had_is_unknown(play: Exec) -> None:
    """Why not is the sentence: no permission, no consent, no room."""

    def refused() -> Place:
        raise FaultRefused("ConfigMap acns-chaos-allowed allows NetworkPolicy only, not Pod.")

    told, _ = by_name(play, NO_TOOL, prober=refused)
    assert (told["reading"], told["met"]) == ("UNKNOWN", None)
    assert "allows NetworkPolicy only" in told["sentence"]


def test_an_image_of_the_prober_without_the_tool_is_said(play: Exec) -> None:
    """It is not asked for ever."""
    told, _ = by_name(play, NO_TOOL, NO_TOOL, prober=lambda: Place("p", "prober"))
    assert told["reading"] == "UNKNOWN"
    assert "ACNS_CHAOS_PROBER_IMAGE" in told["sentence"]
