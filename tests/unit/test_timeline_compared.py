"""What the timeline writes of a fault's flows: dropped ones, whose they are, what was before."""

from typing import Any

from acns_chaos.cluster.hubble import Peer, SeenFlow
from acns_chaos.evidence.timeline.compared import compared
from acns_chaos.evidence.timeline.faults import TimedFault
from acns_chaos.evidence.timeline.flows import predicted
from acns_chaos.evidence.timeline.hubble import Flows
from acns_chaos.evidence.timeline.runs import Series

FAULT, OVER = 100.0, 105.0
SHOP = "world -> pets/store-front:8080/TCP"
DNS = "pets/orders -> kube-system/kube-dns:53/UDP"
WORLD = Peer("", "", "", 2, ("reserved:world",), "203.0.113.5", ())
FRONT = Peer("pets", "store-front-68-x", "store-front", 7, ("k8s:app=store-front",), "10.2.0.1", ())
OTHER = Peer("pets", "orders-1", "orders", 8, ("k8s:app=orders",), "10.2.0.2", ())
SERVER = Peer("kube-system", "coredns-1", "coredns", 9, ("k8s:k8s-app=kube-dns",), "10.2.0.3", ())
BING = Peer("", "", "", 2, ("reserved:world",), "203.0.113.9", ("www.bing.com",))


def seen(
    source: Peer, destination: Peer, port: int, received: float, protocol: str = "TCP"
) -> SeenFlow:
    """A dropped flow."""
    return SeenFlow(
        *(received - 0.01, "default/n1", "DROPPED", "POLICY_DENIED", "drop", "ingress"),
        *(source, destination, protocol, port, 4000, "SYN", None, (), (), "", 0, "", received),
    )


def hubble(*flows: SeenFlow) -> Flows:
    """What Hubble told, from 90 on."""
    found = Flows(None, {}, "pets")  # type: ignore[arg-type]
    found.began = 90.0
    found.saw()
    for flow in flows:
        found._drop(flow)
    return found


def told(closed: Any, source: Flows | None, first: float = FAULT) -> dict[str, Any]:
    """The journal's form."""
    fault = TimedFault(
        *("f1", ("pets/front",), tuple(predicted(closed)), FAULT, None, None, ""),
        *(OVER, OVER, None, "method"),
    )
    return compared(fault, OVER, first, source)


def test_predicted_flow_that_was_dropped_is_counted_and_others_beside_it() -> None:
    """Each with its ends, port, protocol, direction, reason and number."""
    found = told(
        [SHOP],
        hubble(
            *(seen(WORLD, FRONT, 8080, FAULT + second) for second in (1, 2, 3)),
            seen(OTHER, FRONT, 9, FAULT + 1),
        ),
    )

    assert found["closed"] == [{"flow": SHOP, "dropped": 3}]
    assert [(one["source"], one["count"], one["predicted"]) for one in found["dropped"]] == [
        ("world", 3, True),
        ("pets/orders", 1, False),
    ]
    assert found["dropped"][0] == {
        "source": "world",
        "destination": "pets/store-front",
        "port": 8080,
        "protocol": "TCP",
        "direction": "ingress",
        "reason": "POLICY_DENIED",
        "count": 3,
        "before": 0,
        "predicted": True,
        "flow": SHOP,
    }
    assert found["unseen"] == ""


def test_what_was_dropped_before_the_fault_is_counted_apart() -> None:
    """So that noise can be told from what the fault did."""
    source = hubble(
        seen(OTHER, FRONT, 9, 95.0), seen(OTHER, FRONT, 9, 97.9), seen(OTHER, FRONT, 9, FAULT + 1)
    )
    (row,) = told([SHOP], source)["dropped"]

    assert (row["before"], row["count"], row["predicted"]) == (2, 1, False)


def test_what_was_dropped_after_the_fault_is_left_out() -> None:
    """A drop that a claim makes after the restore is nothing of the fault's."""
    assert told([SHOP], hubble(seen(OTHER, FRONT, 9, OVER + 1)))["dropped"] == []


def test_flow_by_another_name_of_its_receiver_is_the_predicted_one() -> None:
    """Cluster DNS is predicted by its label and seen by its workload."""
    found = told([DNS], hubble(seen(OTHER, SERVER, 53, FAULT + 1, "UDP")))

    assert found["closed"] == [{"flow": DNS, "dropped": 1}]
    assert found["dropped"][0]["flow"] == DNS


def test_flow_like_a_predicted_one_is_not_claimed_to_be_it() -> None:
    """Another protocol, or another name outside: of its kind, and not that flow."""
    found = told(
        [DNS, "pets/orders -> www.microsoft.com:443/TCP"],
        hubble(seen(OTHER, SERVER, 53, FAULT + 1), seen(OTHER, BING, 443, FAULT + 1)),
    )

    assert found["closed"] == []
    assert [(one["predicted"], one["flow"]) for one in found["dropped"]] == [(True, ""), (True, "")]


def test_predicted_lookup_is_not_told_apart_from_others_of_its_connection() -> None:
    """Hubble's drop of a connection does not say which name was asked for."""
    found = told([f"{DNS} asks for rabbitmq"], hubble(seen(OTHER, SERVER, 53, FAULT + 1, "UDP")))

    assert found["closed"] == []
    assert found["dropped"][0]["predicted"] is True


def test_hubble_that_was_away_or_not_asked_is_said() -> None:
    """No drops of a time that it did not see prove nothing."""
    source = hubble()
    source.missed("node n2 has restarted", 1e10)

    assert told([SHOP], source)["unseen"] == "node n2 has restarted"
    assert told([SHOP], None)["unseen"] == "it was not asked"


def test_no_run_is_lost_where_there_are_fewer_than_are_shown() -> None:
    """Of seven runs near and far from a mark all seven are written when ten may be."""
    series = Series("drops", most=200)
    for number in range(4):
        series.add(float(number), str(number))
    series.mark(4.0)
    for number in range(5, 8):
        series.add(float(number), str(number))
    told_runs = series.as_json(str, 10)

    assert [one["result"] for one in told_runs["runs"]] == ["0", "1", "2", "3", "5", "6", "7"]
    assert told_runs["runs_not_shown"] == 0
