"""What customers and workloads meet: pages, orders, names, connections."""

import functools

from acns_chaos.cluster.readiness import deployment_is_available
from acns_chaos.errors import ApiError
from acns_chaos.evidence.arguments import numbers, word
from acns_chaos.evidence.connections import read_connection as connection_reading
from acns_chaos.evidence.connections import read_url
from acns_chaos.evidence.readings import (
    CONNECTED,
    NOT_READY,
    READY,
    UNKNOWN,
    Reading,
    reading,
)
from acns_chaos.evidence.shop import read_shop
from acns_chaos.faults.session import armed_run
from acns_chaos.probes.asking import answers

__all__ = ["read_connection", "read_egress", "read_order", "read_readiness", "read_storefront"]


@answers
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


@answers
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


@answers
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


@answers
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


@answers
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
