"""What filters match, and what they say when they cannot be used."""

from typing import Any

import pytest
from google.protobuf import json_format

from acns_chaos.lab.hubble.fields import FilterError
from acns_chaos.lab.hubble.filters import matcher
from acns_chaos.wire import flow_pb2

DROPPED: dict[str, Any] = {
    "uuid": "u-1",
    "verdict": "DROPPED",
    "IP": {"source": "198.51.100.10", "destination": "10.244.0.90", "ipVersion": "IPv4"},
    "l4": {"TCP": {"source_port": 40000, "destination_port": 8080, "flags": {"SYN": True}}},
    "source": {"identity": 2, "labels": ["reserved:world"]},
    "destination": {
        "identity": 10519,
        "cluster_name": "default",
        "namespace": "pets",
        "labels": ["k8s:app=store-front", "k8s:io.kubernetes.pod.namespace=pets"],
        "pod_name": "store-front-1",
        "workloads": [{"name": "store-front", "kind": "Deployment"}],
    },
    "node_name": "node0",
    "node_labels": ["kubernetes.io/os=linux"],
    "event_type": {"type": 1, "sub_type": 133},
    "traffic_direction": "INGRESS",
    "drop_reason_desc": "POLICY_DENIED",
}
ANSWER: dict[str, Any] = {
    "verdict": "FORWARDED",
    "IP": {"source": "10.244.0.247", "destination": "10.244.0.175", "ipVersion": "IPv4"},
    "l4": {"UDP": {"source_port": 53, "destination_port": 41000}},
    "source": {"namespace": "kube-system", "pod_name": "coredns-1"},
    "destination": {"namespace": "pets", "pod_name": "order-service-1"},
    "source_names": ["graph.microsoft.com"],
    "source_service": {"namespace": "kube-system", "name": "kube-dns"},
    "l7": {"type": "RESPONSE", "dns": {"query": "graph.microsoft.com."}},
    "event_type": {"type": 129},
    "interface": {"index": 6, "name": "eth0"},
    "is_reply": True,
}
PAGE: dict[str, Any] = {
    "verdict": "FORWARDED",
    "l7": {
        "type": "RESPONSE",
        "http": {
            "code": 404,
            "method": "GET",
            "url": "http://shop/cart?x=1",
            "headers": [{"key": "Host", "value": "shop"}],
        },
    },
    "event_type": {"type": 129},
    "is_reply": True,
}


def matches(flow: dict[str, Any], *filters: dict[str, Any], black: bool = False) -> bool:
    parsed = [json_format.ParseDict(one, flow_pb2.FlowFilter()) for one in filters]
    test = matcher([], parsed) if black else matcher(parsed, [])
    return test(json_format.ParseDict(flow, flow_pb2.Flow()))


MATCHING = [
    (DROPPED, {"verdict": ["FORWARDED", "DROPPED"]}),
    (DROPPED, {"uuid": ["u-1"]}),
    (DROPPED, {"source_ip": ["198.51.100.0/24"]}),
    (DROPPED, {"destination_ip": ["10.244.0.90"]}),
    (DROPPED, {"destination_pod": ["pets/store"]}),
    (DROPPED, {"destination_pod": ["pets/"]}),
    (DROPPED, {"destination_pod": ["/store-front"]}),
    (
        DROPPED,
        {"destination_label": ["app=store-front,k8s:io.kubernetes.pod.namespace in (a, pets)"]},
    ),
    (DROPPED, {"destination_label": ["!missing, app!=other"]}),
    (DROPPED, {"source_label": ["reserved:world"]}),
    (DROPPED, {"source_label": ["world"]}),
    (DROPPED, {"source_identity": [1, 2]}),
    (DROPPED, {"destination_identity": [10519]}),
    (DROPPED, {"protocol": ["TCP"]}),
    (DROPPED, {"destination_port": ["80", "8080"]}),
    (DROPPED, {"source_port": ["40000"]}),
    (DROPPED, {"tcp_flags": [{"SYN": True}]}),
    (DROPPED, {"event_type": [{"type": 1}]}),
    (DROPPED, {"event_type": [{"type": 1, "match_sub_type": True, "sub_type": 133}]}),
    (DROPPED, {"reply": [False]}),
    (DROPPED, {"traffic_direction": ["INGRESS"]}),
    (DROPPED, {"drop_reason_desc": ["POLICY_DENIED"]}),
    (DROPPED, {"node_name": ["node*"]}),
    (DROPPED, {"node_name": ["default/node0"]}),
    (DROPPED, {"node_labels": ["kubernetes.io/os=linux"]}),
    (DROPPED, {"destination_workload": [{"kind": "Deployment"}]}),
    (DROPPED, {"destination_cluster_name": ["default"]}),
    (DROPPED, {"ip_version": ["IPv4"]}),
    (DROPPED, {"encrypted": [False]}),
    (DROPPED, {"verdict": ["DROPPED"], "destination_pod": ["pets/"]}),
    (ANSWER, {"source_fqdn": ["*.microsoft.com"]}),
    (ANSWER, {"source_service": ["kube-system/kube"]}),
    (ANSWER, {"dns_query": ["^graph[.]"]}),
    (ANSWER, {"protocol": ["dns"]}),
    (ANSWER, {"protocol": ["udp"]}),
    (ANSWER, {"reply": [True]}),
    (ANSWER, {"interface": [{"name": "eth0"}]}),
    (PAGE, {"http_status_code": ["4+"]}),
    (PAGE, {"http_status_code": ["404"]}),
    (PAGE, {"http_method": ["get"]}),
    (PAGE, {"http_path": ["^/cart$"]}),
    (PAGE, {"http_url": ["shop"]}),
    (PAGE, {"http_header": [{"key": "Host", "value": "shop"}]}),
]
NOT_MATCHING = [
    (DROPPED, {"verdict": ["FORWARDED"]}),
    (DROPPED, {"source_ip": ["198.51.100.1"]}),
    (DROPPED, {"destination_pod": ["store-front"]}),  # in `default`
    (DROPPED, {"source_pod": ["pets/"]}),
    (DROPPED, {"destination_label": ["k8s:app=order-service"]}),
    (DROPPED, {"source_label": ["k8s:world"]}),
    (DROPPED, {"tcp_flags": [{"SYN": True, "ACK": True}]}),
    (DROPPED, {"event_type": [{"type": 5}]}),
    (DROPPED, {"reply": [True]}),
    (DROPPED, {"node_name": ["other/*"]}),
    (DROPPED, {"verdict": ["DROPPED"], "destination_pod": ["kube-system/"]}),
    (DROPPED, {"trace_id": ["abc"]}),
    (DROPPED, {"ip_trace_id": [7]}),
    (ANSWER, {"source_fqdn": ["graph"]}),
    (ANSWER, {"tcp_flags": [{"SYN": True}]}),
    (ANSWER, {"http_path": ["."]}),
    (PAGE, {"reply": [False]}),
    (PAGE, {"http_status_code": ["5+"]}),
]
REFUSED = [
    ({"source_label": ["app in (("]},
     ("invalid source label filter: unable to parse requirement: found '(', "
     "expected: ',', ')' or identifier")),
    ({"destination_ip": ["not-an-ip"]},
     'invalid IP address "not-an-ip" in filter: ParseAddr("not-an-ip"): unable to parse IP'),
    ({"source_ip": ["10.0.0.0/99"]}, 'invalid CIDR in filter: "10.0.0.0/99"'),
    ({"source_pod": [""]}, 'invalid filter, must be [namespace/][<name>], got ""'),
    ({"protocol": ["ftp"]}, 'invalid protocol filter: unknown protocol: "ftp"'),
    ({"destination_port": ["http"]},
     ('invalid destination port filter: invalid port "http": strconv.ParseUint: parsing "http": '
     "invalid syntax")),
    ({"http_status_code": ["600"]},
     'invalid http status code filter: invalid status code prefix: "600"'),
    ({"http_status_code": ["404"], "event_type": [{"type": 1}]},
     "filtering by http status code requires the event type filter to only match 'l7' events"),
    ({"dns_query": ["("]},
     "invalid DNS query filter: failed to compile regexp: error parsing regexp: `(`"),
    ({"node_name": ["a/b/c"]}, "too many slashes in pattern"),
    ({"source_fqdn": ["a b"]}, "' ': invalid rune in pattern"),
    ({"experimental": {"cel_expression": ["true"]}},
     "error compiling CEL expression: CEL is not modelled by this lab"),
]  # fmt: skip


@pytest.mark.parametrize(("flow", "one"), MATCHING, ids=[str(one) for _, one in MATCHING])
def test_a_filter_matches(flow: dict[str, Any], one: dict[str, Any]) -> None:
    """Alone on the white list it lets the flow through, on the black list it keeps it out."""
    assert matches(flow, one)
    assert not matches(flow, one, black=True)


@pytest.mark.parametrize(("flow", "one"), NOT_MATCHING, ids=[str(one) for _, one in NOT_MATCHING])
def test_a_filter_does_not_match(flow: dict[str, Any], one: dict[str, Any]) -> None:
    """Alone on the white list it keeps the flow out, on the black list it lets it through."""
    assert not matches(flow, one)
    assert matches(flow, one, black=True)


@pytest.mark.parametrize(("one", "message"), REFUSED, ids=[str(one) for one, _ in REFUSED])
def test_an_unusable_filter_is_refused_in_hubbles_words(one: dict[str, Any], message: str) -> None:
    """The message names the field and the value."""
    with pytest.raises(FilterError) as refused:
        matches(DROPPED, one)
    assert str(refused.value) == message


def test_one_filter_of_a_list_is_enough() -> None:
    """Fields of one filter are joined by and, filters of a list by or."""
    no, yes = {"verdict": ["FORWARDED"]}, {"destination_port": ["8080"]}
    assert matches(DROPPED, no, yes)
    assert not matches(DROPPED, {**no, **yes})


def test_every_field_of_a_filter_is_known() -> None:
    """No field of the message is silently ignored."""
    from acns_chaos.lab.hubble.filters import _BUILDERS

    fields = {field.name for field in flow_pb2.FlowFilter.DESCRIPTOR.fields}
    assert fields == set(_BUILDERS)
