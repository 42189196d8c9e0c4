"""What an experiment may ask. Each probe answers with a reading and never raises for "unreachable".

`expect` says which answer the experiment wants; `met` in the reading tells whether it came.
A denial has two witnesses: the client met silence, and a drop counter moved. One alone is UNKNOWN.
"""

import functools
from collections.abc import Callable
from typing import Any

from acns_chaos.cluster.readiness import deployment_is_available
from acns_chaos.errors import ApiError, ArgumentError
from acns_chaos.evidence.arguments import numbers, word
from acns_chaos.evidence.connections import read_connection as connection_reading
from acns_chaos.evidence.connections import read_url
from acns_chaos.evidence.counters import Bounds, counter_named, read_counter
from acns_chaos.evidence.readings import (
    CONNECTED,
    DIFFERENT,
    EQUAL,
    NOT_READY,
    READY,
    UNKNOWN,
    Reading,
    reading,
)
from acns_chaos.evidence.shop import read_shop
from acns_chaos.faults.recording import recorded_hashes
from acns_chaos.faults.session import armed_run

__all__ = [
    "count_drops",
    "explain_denial",
    "policies_are_as_recorded",
    "read_connection",
    "read_egress",
    "read_order",
    "read_readiness",
    "read_storefront",
]


def _answers(probe: Callable[..., dict]) -> Callable[..., dict]:
    """Let a probe answer UNKNOWN, with the sentence, to an argument that cannot be meant."""

    @functools.wraps(probe)
    def asked(*arguments: Any, **named: Any) -> dict:
        try:
            return probe(*arguments, **named)
        except ArgumentError as error:
            return reading(UNKNOWN, probe.__name__, str(error), None, None, {})

    return asked


@_answers
def read_storefront(
    path: str = "/",
    expect: str = "OPEN",
    timeout: float = 2.0,
    deadline: float = 0.0,
) -> dict:
    """Ask the shop for a page, as a customer outside the cluster does.

    Args:
        path: of the page, such as "/" or "/api/products".
        expect: "OPEN" or "DENIED".
        timeout: seconds one request may take.
        deadline: seconds to keep asking until the expected answer comes; 0 asks once.
    """
    return _shop("GET", path, expect, timeout, deadline)


@_answers
def read_order(
    expect: str = "OPEN",
    timeout: float = 5.0,
) -> dict:
    """Place one synthetic order; only an accepted order proves that the message queue is reached.

    Args:
        expect: "OPEN" or "DENIED".
        timeout: seconds the request may take. It is placed once, whatever comes of it.
    """
    return _shop("POST", "/api/orders/", expect, timeout, 0.0)


@_answers
def read_egress(
    workload: str,
    url: str,
    expect: str = "OPEN",
    container: str = "",
    namespace: str = "",
    timeout: float = 8.0,
) -> dict:
    """Fetch a URL's headers from inside a workload's pod with `wget --spider`.

    Args:
        workload: the Deployment's or StatefulSet's name.
        url: absolute; its name is looked up in the pod, through the DNS proxy.
        expect: "OPEN" or "DENIED".
        container: "" takes the pod's first.
        namespace: of the workload; "" takes the experiment's.
        timeout: seconds for the command, name lookup included (a denied lookup takes 5 on musl).
    """
    run = armed_run()
    home = namespace or run.target.namespace
    wanted = word("expect", expect, CONNECTED)
    patience = numbers({"timeout": timeout})["timeout"]
    return read_url(run.api, home, workload, container, url, wanted, patience)


@_answers
def read_connection(
    workload: str,
    service: str,
    port: int,
    expect: str = "DENIED",
    container: str = "",
    namespace: str = "",
    timeout: float = 1.0,
    evidence_timeout: float = 5.0,
) -> dict:
    """Open a TCP connection from a workload's pod to a Service's address, without a name lookup.

    Args:
        workload: who connects.
        service: to whom: a Service of the same namespace.
        port: of the Service.
        expect: "OPEN" or "DENIED".
        container: "" takes the pod's first.
        namespace: of both; "" takes the experiment's.
        timeout: whole seconds until the connection counts as silent.
        evidence_timeout: seconds until the drop must show in Prometheus (its scrape interval, and
            some).
    """
    run = armed_run()
    home = namespace or run.target.namespace
    given = numbers({"port": port, "timeout": timeout, "evidence_timeout": evidence_timeout})
    return connection_reading(
        run.api,
        run.environ,
        home,
        workload,
        container,
        service,
        int(given["port"]),
        word("expect", expect, CONNECTED),
        given["timeout"],
        given["evidence_timeout"],
    )


@_answers
def read_readiness(
    workload: str,
    expect: str = "READY",
    namespace: str = "",
) -> dict:
    """Ask Kubernetes whether a Deployment's pods are all Ready.

    Kubelet probes come from the node, which policies let in by default: pods stay Ready while
    customers are cut off. This is no steady-state signal for ingress faults, and worth showing.

    Args:
        workload: the Deployment's name.
        expect: "READY" or "NOT_READY".
        namespace: of the workload; "" takes the experiment's.
    """
    run = armed_run()
    home = namespace or run.target.namespace
    word("expect", expect, (READY, NOT_READY))
    blank = functools.partial(reading, what=f"readiness of {home}/{workload}", expected=expect)
    try:
        state = READY if deployment_is_available(run.target.context, home, workload) else NOT_READY
    except ApiError as error:
        return blank(UNKNOWN, sentence=str(error), met=None, evidence={})
    text = "all pods are Ready" if state == READY else "not all pods are Ready"
    return blank(state, sentence=f"{home}/{workload}: {text}", met=state == expect, evidence={})


@_answers
def count_drops(
    workload: str = "",
    direction: str = "ingress",
    counter: str = "hubble",
    since: str = "window",
    window: float = 1.0,
    at_least: float = 0.0,
    at_most: float = -1.0,
    namespace: str = "",
    deadline: float = 5.0,
) -> dict:
    """Count what policy dropped, in Prometheus, as a difference of raw sums (absent counts as 0).

    Args:
        workload: whose pods; "" takes every pod of the namespace.
        direction: "ingress" or "egress".
        counter: "hubble" (hubble_drop_total, per pod, each drop counted twice) or "node"
            (cilium_drop_count_total, all nodes, each packet once).
        since: "fault" counts from the moment the fault was submitted; "window" over the last
            `window` seconds.
        window: seconds; at least two scrape intervals.
        at_least: expected lower bound.
        at_most: expected upper bound; negative means none.
        namespace: of the workload; "" takes the experiment's.
        deadline: seconds to keep asking until the count is as expected.
    """
    run = armed_run()
    home = namespace or run.target.namespace
    given = numbers(
        {"window": window, "at_least": at_least, "at_most": at_most, "deadline": deadline}
    )
    bounds = Bounds(given["at_least"], given["at_most"] if given["at_most"] >= 0 else None)
    found = counter_named(counter, home, workload, direction)
    whose = f"{home}/{workload}" if counter == "hubble" else "all nodes"
    what = f"{direction} policy drops at {whose}"
    start = ""
    if word("since", since, ("window", "fault")) == "fault":
        start = run.first("submitted")
        if not start:
            text = "no fault was submitted in this run, so there is nothing to count from"
            return reading(UNKNOWN, what, text, None, bounds.as_json(), {}, count=None)
    return read_counter(run.environ, found, what, start, given["window"], bounds, given["deadline"])


def policies_are_as_recorded() -> dict:
    """Compare the namespace's and the clusterwide policies with what they were at the start.

    Spec, labels and annotations, as raw JSON: `[]` and absent differ.
    """
    run = armed_run()
    what = "policies as recorded at the start"
    blank = functools.partial(reading, what=what, expected=EQUAL)
    try:
        live = recorded_hashes(run.policies.all(), run.target.namespace)
    except ApiError as error:
        return blank(UNKNOWN, sentence=f"cannot list policies: {error}", met=None, evidence={})
    differing = sorted(
        key for key in {*live, *run.recorded} if live.get(key) != run.recorded.get(key)
    )
    evidence: dict[str, Any] = {"compared": len(live), "differing": differing}
    if differing:
        sentence = f"changed since the run began: {', '.join(differing)}"
        return blank(DIFFERENT, sentence=sentence, met=False, evidence=evidence)
    return blank(EQUAL, sentence=f"{len(live)} policies as recorded", met=True, evidence=evidence)


@_answers
def explain_denial(
    workload: str,
    port: int,
    source: str = "world",
    protocol: str = "TCP",
    namespace: str = "",
) -> dict:
    """Name the policies that deny a flow, by Cilium's semantics over the live objects.

    Args:
        workload: the destination.
        port: the container's port, not the Service's.
        source: "world", or "namespace/workload".
        protocol: TCP, UDP or SCTP.
        namespace: of the destination; "" takes the experiment's.
    """
    # The policy engine takes longer to import than the rest: only a run pays for it.
    from acns_chaos.evidence.explanation import explain

    run = armed_run()
    home = namespace or run.target.namespace
    asked = int(numbers({"port": port})["port"])
    return explain(run.api, source, home, workload, asked, protocol)


def _shop(method: str, path: str, expect: str, timeout: float, deadline: float) -> Reading:
    run = armed_run()
    given = numbers({"timeout": timeout, "deadline": deadline})
    return read_shop(
        run.api,
        run.environ,
        run.target.namespace,
        run.storefront,
        method,
        path,
        word("expect", expect, CONNECTED),
        given["timeout"],
        given["deadline"],
    )
