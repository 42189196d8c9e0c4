"""What customers and workloads meet: pages, orders, names, connections."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from acns_chaos.evidence.arguments import numbers, word
from acns_chaos.evidence.readings import CONNECTED, NOT_READY, READY, SERVED
from acns_chaos.faults.session import armed_run
from acns_chaos.probes.asking import answers

if TYPE_CHECKING:
    from acns_chaos.cluster.pods import Place
    from acns_chaos.faults.runcontext import RunContext

__all__ = ["read_connection", "read_egress", "read_order", "read_readiness", "read_storefront"]


@answers
def read_storefront(
    path: str = "/",
    expect: str = "OPEN",
    timeout: float = 2.0,
    deadline: float = 0.0,
    connection: str = "new",
) -> dict:
    """Ask the shop for a page, as a customer outside the cluster does.

    Args:
        path: of the page, such as "/" or "/api/products".
        expect: "OPEN" or "DENIED"; or "FAILED": the shop answers with an error (5xx) or not at
            all, whatever the cause. That notices, and is no witness of a policy.
        timeout: seconds one request may take.
        deadline: seconds to keep asking until the expected answer comes; 0 asks once.
        connection: "new" opens one for each request; "kept" keeps one through the run, which stalls
            without a reset and recovers late. The first "kept" question opens it, so ask one before
            the fault.
    """
    # Here and below: how something is asked is loaded by who asks it.
    from acns_chaos.evidence.shop import KEPT, NEW, read_kept, read_shop

    run = armed_run()
    given = numbers({"timeout": timeout, "deadline": deadline})
    kept = word("connection", connection, (NEW, KEPT)) == KEPT
    wanted = word("expect", expect, CONNECTED if kept else SERVED)
    place = (run.target.namespace, run.storefront, path, wanted)
    patience = (given["timeout"], given["deadline"])
    if kept:
        return read_kept(run.api, run.environ, run.remembered, *place, *patience)
    return read_shop(run.api, run.environ, *place, *patience)


@answers
def read_order(
    expect: str = "OPEN",
    timeout: float = 5.0,
    deadline: float = 0.0,
) -> dict:
    """Place one synthetic order; only an accepted order proves that the message queue is reached.

    A run places two at most, each marked by its customer `acns-chaos-probe-RUN-NUMBER`.

    Args:
        expect: "OPEN" or "DENIED".
        timeout: seconds the request may take. It is placed once, whatever comes of it.
        deadline: seconds to wait before that until the shop answers a page at all, where the order
            is expected to be accepted: a load balancer may leave a backend out for a while.
    """
    from acns_chaos.evidence.shop import read_order as order_reading

    run = armed_run()
    given = numbers({"timeout": timeout, "deadline": deadline})
    return order_reading(
        run.api,
        run.environ,
        run.remembered,
        run.run,
        run.target.namespace,
        run.storefront,
        word("expect", expect, CONNECTED),
        given["timeout"],
        given["deadline"],
    )


@answers
def read_egress(
    workload: str,
    url: str,
    expect: str = "OPEN",
    container: str = "",
    namespace: str = "",
    timeout: float = 8.0,
    lookup: str = "new",
    prober: bool = False,
) -> dict:
    """Fetch a URL's headers from inside a workload's pod with `wget --spider`.

    Args:
        workload: the Deployment's or StatefulSet's name.
        url: absolute; its name is looked up in the pod, through the DNS proxy.
        expect: "OPEN" or "DENIED".
        container: "" takes the pod's first.
        namespace: of the workload; "" takes the experiment's.
        timeout: seconds for the command, name lookup included (a denied lookup takes 5 on musl, 20
            on glibc).
        lookup: "new" looks the name up; "cached" connects with `nc` to the address that an earlier
            "new" of this run learned, as a client does that has it already.
        prober: where the image lacks the tool, ask from a pod of our own with the workload's
            labels, which the run removes (deploy/rbac/prober.yaml).
    """
    from acns_chaos.evidence.egress import CACHED, NEW, read_address, read_url
    from acns_chaos.evidence.places import Asker

    run = armed_run()
    home = namespace or run.target.namespace
    wanted = word("expect", expect, CONNECTED)
    patience = numbers({"timeout": timeout})["timeout"]
    asker = Asker(run.api, home, workload, container, _prober(run, home, workload, prober))
    cached = word("lookup", lookup, (NEW, CACHED)) == CACHED
    read = read_address if cached else read_url
    return read(asker, run.remembered, home, workload, url, wanted, patience)


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
    prober: bool = False,
) -> dict:
    """Open a TCP connection from a workload's pod to a Service's address, without a name lookup.

    Args:
        workload: who connects; "" is a stranger, a pod without labels: with `prober` only.
        service: to whom: a Service of the same namespace, or "namespace/name".
        port: of the Service.
        expect: "OPEN" or "DENIED".
        container: "" takes the pod's first.
        namespace: of both; "" takes the experiment's.
        timeout: whole seconds until the connection counts as silent.
        evidence_timeout: seconds until the drop must show in Prometheus (its scrape interval, and
            some).
        prober: as for `read_egress`.
    """
    from acns_chaos.evidence.connections import read_connection as connection_reading
    from acns_chaos.evidence.places import Asker

    run = armed_run()
    home = namespace or run.target.namespace
    given = numbers({"port": port, "timeout": timeout, "evidence_timeout": evidence_timeout})
    return connection_reading(
        run.api,
        run.environ,
        Asker(run.api, home, workload, container, _prober(run, home, workload, prober)),
        home,
        workload,
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
    deadline: float = 0.0,
    hold: float = 0.0,
) -> dict:
    """Ask Kubernetes whether a Deployment's pods are all Ready.

    Kubelet probes come from the node, which policies let in by default: pods stay Ready while
    customers are cut off. This is no steady-state signal for ingress faults, and worth showing.

    Args:
        workload: the Deployment's name.
        expect: "READY" or "NOT_READY".
        namespace: of the workload; "" takes the experiment's.
        deadline: seconds to keep asking until the expected answer comes; 0 asks once.
        hold: seconds for which the expected answer must stay; a pod that starts is not Ready for a
            moment either. The first other answer is the reading.
    """
    from acns_chaos.evidence.readiness import read_ready

    run = armed_run()
    given = numbers({"deadline": deadline, "hold": hold})
    return read_ready(
        run.target.context,
        namespace or run.target.namespace,
        workload,
        word("expect", expect, (READY, NOT_READY)),
        given["deadline"],
        given["hold"],
    )


def _prober(
    run: "RunContext", namespace: str, workload: str, wanted: bool
) -> "Callable[[], Place] | None":
    """Return what makes a prober when an image lacks the tool; None when none is wanted."""
    if str(wanted).lower() in ("false", "0", "no", ""):
        return None
    from acns_chaos.faults.probers import prober_of

    return functools.partial(prober_of, run, namespace, workload)
