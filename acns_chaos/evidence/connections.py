"""Readings from inside pods: a URL's headers, and a connection that should be denied."""

from collections.abc import Mapping
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.pods import Ran, connected_by, pods_of, run_in, service_address
from acns_chaos.cluster.prometheus import Prometheus, drops_of_workload
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError
from acns_chaos.evidence.readings import DENIED, OPEN, UNKNOWN, Reading, reading

__all__ = ["read_connection", "read_url"]

# Beyond the tool's own time-out: the exec session's start and end.
SLACK = 5.0


def read_url(
    api: Api,
    namespace: str,
    workload: str,
    container: str,
    url: str,
    expect: str,
    timeout: float,
) -> Reading:
    """Fetch a URL's headers in a pod.

    Args:
        api: the cluster.
        namespace: of the workload.
        workload: whose pod.
        container: "" is the pod's first.
        url: absolute.
        expect: OPEN or DENIED.
        timeout: seconds for wget, its name lookup included.

    Returns:
        OPEN when wget got an answer, even an HTTP error: something answered. DENIED when the
        connection met silence. UNKNOWN otherwise: "bad address" does not tell whether a policy
        refused the lookup or the name does not exist (reference captures, "What a client sees").
    """
    what = f"{url} from {namespace}/{workload}"
    command = ["wget", "--spider", "-T", f"{max(1, round(timeout))}", url]
    try:
        ran = _run(api, namespace, workload, container, command, timeout + SLACK)
    except ApiError as error:
        return reading(UNKNOWN, what, str(error), None, expect, {"command": command})
    state = _url_state(ran)
    last = (ran.output.strip().splitlines() or ["no output"])[-1]
    evidence = {"command": command, "code": ran.code, "output": ran.output[-1000:]}
    sentence = f"{' '.join(command)}: {last} ({ran.seconds * 1000:.0f} ms)"
    return reading(state, what, sentence, state == expect, expect, evidence, seconds=ran.seconds)


def _url_state(ran: Ran) -> str:
    if ran.code == 0 or "server returned error" in ran.output:
        return OPEN
    return DENIED if "timed out" in ran.output else UNKNOWN


def read_connection(
    api: Api,
    environ: Mapping[str, str],
    namespace: str,
    workload: str,
    container: str,
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
        namespace: of both.
        workload: whose pod connects.
        container: "" is the pod's first.
        service: to whom.
        port: of the Service.
        expect: OPEN or DENIED.
        timeout: whole seconds until the connection counts as silent.
        evidence_timeout: seconds until the drop must show in Prometheus.

    Returns:
        OPEN when the connection was made or refused; DENIED when it met silence *and* a policy
        drop was counted at either end; UNKNOWN when only one of the two was seen.
    """
    what = f"{namespace}/{workload} to {service}:{port}"
    wait = max(1, round(timeout))
    try:
        address = service_address(api, namespace, service)
        command = ["nc", "-zv", f"-w{wait}", address, str(port)]
        # First the counter, then the packet: a drop already counted must not count for this one.
        counted, trouble = _drops(environ, namespace, workload, service)
        ran = _run(api, namespace, workload, container, command, wait + SLACK)
    except ApiError as error:
        return reading(UNKNOWN, what, str(error), None, expect, {})
    connected = connected_by(ran)
    last = (ran.output.strip().splitlines() or ["no output"])[-1]
    evidence: dict[str, Any] = {
        "command": command,
        "code": ran.code,
        "output": ran.output[-1000:],
    }
    if connected is None:
        return reading(UNKNOWN, what, f"cannot tell: {last}", None, expect, evidence)
    if connected:
        return reading(OPEN, what, last, expect == OPEN, expect, evidence, seconds=ran.seconds)
    drops = (
        0.0
        if trouble
        else _new_drops(environ, namespace, workload, service, counted, evidence_timeout)
    )
    evidence["drops"] = drops
    if drops <= 0:
        text = f"{last}, but {trouble or 'no policy drop was counted'}: one witness is not enough"
        return reading(UNKNOWN, what, text, None, expect, evidence, seconds=ran.seconds)
    text = f"{last}; {drops:g} policy drops counted"
    return reading(DENIED, what, text, expect == DENIED, expect, evidence, seconds=ran.seconds)


def _run(
    api: Api, namespace: str, workload: str, container: str, command: list[str], timeout: float
) -> Ran:
    pod = pods_of(api, namespace, workload)[0]
    where = container or str(pod["spec"]["containers"][0]["name"])
    return run_in(api, namespace, str(pod["metadata"]["name"]), where, command, timeout)


def _drops(
    environ: Mapping[str, str], namespace: str, workload: str, service: str
) -> tuple[float, str]:
    """Sum the policy drops at both ends; the trouble, if Prometheus cannot be asked."""
    try:
        prometheus = Prometheus.from_environ(environ)
        leaving = prometheus.policy_drops(drops_of_workload(namespace, workload, "egress"))
        arriving = prometheus.policy_drops(drops_of_workload(namespace, service, "ingress"))
    except ApiError as error:
        return 0.0, str(error)
    return leaving + arriving, ""


def _new_drops(
    environ: Mapping[str, str],
    namespace: str,
    workload: str,
    service: str,
    before: float,
    timeout: float,
) -> float:
    """Wait until the drop shows in the counters; scraping takes its time."""

    def more() -> float:
        after, trouble = _drops(environ, namespace, workload, service)
        return 0.0 if trouble else max(0.0, after - before)

    return wait_until(more, timeout, interval=0.1) or 0.0
