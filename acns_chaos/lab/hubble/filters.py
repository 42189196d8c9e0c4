"""What a client asks for: filters as tests of flows.

All fields of one filter must match, of each field one value, and of a list of filters one. A value
that cannot be used is an error with Hubble's wording, which a relay reports inside the stream.
Source: Cilium 1.19, its filters. Not modelled: CEL expressions, refused by name.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from acns_chaos.lab.hubble import fields
from acns_chaos.lab.hubble.fields import FilterError, Flow, Test
from acns_chaos.wire import flow_pb2

_LAYER7 = 129


def matcher(
    whitelist: Iterable[flow_pb2.FlowFilter], blacklist: Iterable[flow_pb2.FlowFilter]
) -> Test:
    """A test of flows.

    Args:
        whitelist: one of these must match; empty lets everything pass.
        blacklist: none of these may match.

    Raises:
        FilterError: a filter cannot be used.
    """
    wanted = [_built(one) for one in whitelist]
    unwanted = [_built(one) for one in blacklist]

    def matches(flow: Flow) -> bool:
        if wanted and not any(test(flow) for test in wanted):
            return False
        return not any(test(flow) for test in unwanted)

    return matches


def _built(one: flow_pb2.FlowFilter) -> Test:
    tests: list[Test] = []
    for field, values in one.ListFields():
        make = _BUILDERS.get(field.name)
        if make is None:
            raise FilterError(f"the filter {field.name} is not modelled by this lab")
        if field.name == "http_status_code":
            _require_layer7(one)
        # A message is no list: its builder looks at it alone.
        tests.append(make(values))
    return lambda flow: all(test(flow) for test in tests)


def _require_layer7(one: flow_pb2.FlowFilter) -> None:
    if one.event_type and all(kind.type != _LAYER7 for kind in one.event_type):
        raise FilterError(
            "filtering by http status code requires the event type filter to only match 'l7' events"
        )


def _query(flow: Flow) -> str | None:
    return flow.l7.dns.query if flow.l7.WhichOneof("record") == "dns" else None


def _url(flow: Flow) -> str | None:
    return flow.l7.http.url if flow.l7.WhichOneof("record") == "http" else None


def _path(flow: Flow) -> str | None:
    url = _url(flow)
    return None if url is None else re.sub(r"^[a-z]+://[^/]*|[?#].*", "", url)


_BUILDERS: dict[str, Callable[[Any], Test]] = {
    "uuid": fields.equal(lambda f: f.uuid),
    "event_type": fields.event_types,
    "verdict": fields.equal(lambda f: f.verdict),
    "drop_reason_desc": fields.equal(lambda f: f.drop_reason_desc),
    "reply": fields.replies,
    "encrypted": fields.equal(lambda f: f.IP.encrypted),
    "source_identity": fields.equal(lambda f: f.source.identity),
    "destination_identity": fields.equal(lambda f: f.destination.identity),
    "protocol": fields.protocols,
    "source_ip": fields.ip(lambda f: f.IP.source),
    "source_ip_xlated": fields.ip(lambda f: f.IP.source_xlated),
    "destination_ip": fields.ip(lambda f: f.IP.destination),
    "source_pod": fields.named(lambda f: (f.source.namespace, f.source.pod_name)),
    "destination_pod": fields.named(lambda f: (f.destination.namespace, f.destination.pod_name)),
    "source_workload": fields.workloads(lambda f: f.source),
    "destination_workload": fields.workloads(lambda f: f.destination),
    "source_service": fields.named(
        lambda f: (f.source_service.namespace, f.source_service.name),
        "invalid source service filter: ",
    ),
    "destination_service": fields.named(
        lambda f: (f.destination_service.namespace, f.destination_service.name),
        "invalid destination service filter: ",
    ),
    "source_fqdn": fields.fqdn(lambda f: f.source_names),
    "destination_fqdn": fields.fqdn(lambda f: f.destination_names),
    "dns_query": fields.regex(_query, "DNS query"),
    "source_label": fields.labels(lambda f: f.source.labels, "invalid source label filter"),
    "destination_label": fields.labels(
        lambda f: f.destination.labels, "invalid destination label filter"
    ),
    "node_labels": fields.node_labels,
    "source_port": fields.port(lambda l4: l4.source_port, "source"),
    "destination_port": fields.port(lambda l4: l4.destination_port, "destination"),
    "http_status_code": fields.status_codes,
    "http_method": lambda values: fields.equal(lambda f: f.l7.http.method.upper())(
        [value.upper() for value in values]
    ),
    "http_path": fields.regex(_path, "http path"),
    "http_url": fields.regex(_url, "http url"),
    "http_header": fields.headers,
    "tcp_flags": fields.tcp_flags,
    "node_name": fields.node_names,
    "source_cluster_name": fields.equal(lambda f: f.source.cluster_name),
    "destination_cluster_name": fields.equal(lambda f: f.destination.cluster_name),
    "ip_version": fields.equal(lambda f: f.IP.ipVersion),
    "trace_id": fields.equal(lambda f: f.trace_context.parent.trace_id),
    "ip_trace_id": lambda _: lambda _flow: False,
    "interface": fields.interfaces,
    "traffic_direction": fields.equal(lambda f: f.traffic_direction),
    "experimental": fields.expression,
}
