"""Readings from inside pods: a connection that should be denied."""

from collections.abc import Mapping
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.pods import connected_by, service_address
from acns_chaos.cluster.prometheus import Counter, Prometheus, drops_of_workload
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError
from acns_chaos.evidence.doubts import blindness_of
from acns_chaos.evidence.places import Asker
from acns_chaos.evidence.readings import DENIED, OPEN, UNKNOWN, Reading, reading

__all__ = ["read_connection"]


def read_connection(
    api: Api,
    environ: Mapping[str, str],
    asker: Asker,
    namespace: str,
    workload: str,
    service: str,
    port: int,
    expect: str,
    timeout: float,
    evidence_timeout: float,
) -> Reading:
    """Open a TCP connection from a pod to a Service's address.

    Args:
        api: the cluster.
        environ: looked up for Prometheus' address.
        asker: runs the command as the workload.
        namespace: of the workload, and of a Service that names none.
        workload: whose pod connects; "" is a stranger, whom only a prober can be.
        service: to whom: "rabbitmq", or "kube-system/kube-dns".
        port: of the Service.
        expect: OPEN or DENIED.
        timeout: whole seconds until the connection counts as silent.
        evidence_timeout: seconds until the drop must show in Prometheus.

    Returns:
        OPEN when the connection was made or refused; DENIED when it met silence *and* a policy
        drop was counted at either end; UNKNOWN when only one of the two was seen.
    """
    what = f"{namespace}/{workload or 'a stranger'} to {service}:{port}"
    wait = max(1, round(timeout))
    try:
        address = service_address(api, *_whole(namespace, service), elsewhere="/" in service)
        command = ["nc", "-zv", f"-w{wait}", address, str(port)]
        # First the counter, then the packet: a drop already counted must not count for this one.
        counted, trouble = _drops(environ, namespace, workload, service)
        ran = asker.run(command, wait)
        if asker.place and asker.by == "prober":
            # Its drops are counted under its own name: count those, then ask once more.
            counted, trouble = _drops(environ, namespace, workload, service, asker.place.pod)
            ran = asker.run(command, wait)
    except ApiError as error:
        return reading(UNKNOWN, what, str(error), None, expect, {})
    connected = connected_by(ran)
    last = (ran.output.strip().splitlines() or ["no output"])[-1]
    evidence: dict[str, Any] = asker.evidence(command, ran)
    if connected is None:
        return reading(UNKNOWN, what, f"cannot tell: {last}", None, expect, evidence)
    if connected:
        return reading(OPEN, what, last, expect == OPEN, expect, evidence, seconds=ran.seconds)
    ends = (namespace, workload, service, _prober(asker))
    drops = 0.0 if trouble else _new_drops(environ, ends, counted, evidence_timeout)
    evidence["drops"] = drops
    if drops <= 0:
        why = trouble or f"no policy drop was counted{_blind(environ, ends)}"
        text = f"{last}, but {why}: one witness is not enough"
        return reading(UNKNOWN, what, text, None, expect, evidence, seconds=ran.seconds)
    text = f"{last}; {drops:g} policy drops counted"
    return reading(DENIED, what, text, expect == DENIED, expect, evidence, seconds=ran.seconds)


def _whole(namespace: str, service: str) -> tuple[str, str]:
    """The namespace and name of a Service."""
    where, _, name = service.rpartition("/")
    return where or namespace, name


def _prober(asker: Asker) -> str:
    return asker.place.pod if asker.place and asker.by == "prober" else ""


def _drops(
    environ: Mapping[str, str], namespace: str, workload: str, service: str, prober: str = ""
) -> tuple[float, str]:
    """Sum the policy drops at both ends; the trouble, if Prometheus cannot be asked."""
    try:
        prometheus = Prometheus.from_environ(environ)
        ends = _counters(namespace, workload, service, prober)
        return sum(prometheus.policy_drops(one) for one in ends), ""
    except ApiError as error:
        return 0.0, str(error)


def _counters(namespace: str, workload: str, service: str, prober: str) -> list[Counter]:
    """What counts at either end, the receiver's last."""
    leaving = [workload, prober] if prober else [workload]
    return [
        *(drops_of_workload(namespace, one, "egress") for one in leaving),
        drops_of_workload(*_whole(namespace, service), "ingress"),
    ]


def _blind(environ: Mapping[str, str], ends: tuple[str, str, str, str]) -> str:
    """Why no drop could be counted at an end, in brackets; "" where it could be, or who knows."""
    try:
        prometheus = Prometheus.from_environ(environ)
        found = [blindness_of(prometheus, one) for one in _counters(*ends)]
    except ApiError:
        return ""
    why = "; ".join(dict.fromkeys(one for one in found if one))
    return f" ({why})" if why else ""


def _new_drops(
    environ: Mapping[str, str],
    ends: tuple[str, str, str, str],
    before: float,
    timeout: float,
) -> float:
    """Wait until the drop shows in the counters; scraping takes its time."""

    def more() -> float:
        after, trouble = _drops(environ, *ends)
        return 0.0 if trouble else max(0.0, after - before)

    return wait_until(more, timeout, interval=0.1) or 0.0
