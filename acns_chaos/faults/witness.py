"""Behaviour as the witness of enforcement: does a predicted flow really open or close?

`Valid=True` only means that the text parses, also with every agent down, and CiliumEndpoint does
not tell (reference captures, "Validation and status"). So one predicted flow is tried for real:
the outside through the shop's address, a pod's by exec.
"""

from dataclasses import dataclass

from acns_chaos.cluster.inventory import flow_text, workload_of
from acns_chaos.cluster.pods import connected_by, pods_of, run_in, service_of
from acns_chaos.cluster.storefront import ask, storefront_url
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError
from acns_chaos.faults.ledger import now
from acns_chaos.faults.prediction import Prediction
from acns_chaos.faults.runcontext import RunContext
from acns_chaos.policy import Flow

__all__ = ["Flip", "wait_for_flow"]

# One connection attempt; denied ones cost exactly this.
ATTEMPT = 1.0
# A SYN lost just before the policy opens is sent again only after a second, so attempts that hope
# for an answer start short and grow.
HOPEFUL = 0.25


@dataclass(frozen=True, slots=True)
class Flip:
    """A flow that was seen to be open or closed.

    Attributes:
        at: when the first attempt with that answer began; "" if it was never seen.
        sentence: what was tried and what came of it.
    """

    at: str
    sentence: str


def wait_for_flow(run: RunContext, prediction: Prediction, faulty: bool, timeout: float) -> Flip:
    """Wait until a predicted flow behaves as the fault (or its absence) says.

    Args:
        run: the armed run.
        prediction: flows the fault turns.
        faulty: True waits for the fault's behaviour, False for the original's.
        timeout: seconds.

    Returns:
        The moment it was seen; `at` is "" when it was not, or when no flow can be tried from here.
    """
    closed = [(flow, not faulty) for flow in prediction.closed]
    opened = [(flow, faulty) for flow in prediction.opened]
    for flow, should_connect in (*closed, *opened):
        if _can_try(run, flow) and (flip := _watch(run, flow, should_connect, timeout)):
            return flip
    return Flip("", "none of the predicted flows can be tried from here")


def _watch(run: RunContext, flow: Flow, should_connect: bool, timeout: float) -> Flip | None:
    """Try one flow until it behaves as wanted; None when trying it tells nothing."""
    tried: list[tuple[bool | None, str]] = []

    def seen() -> str:
        began = now()
        patience = min(ATTEMPT, HOPEFUL * 2 ** len(tried)) if should_connect else ATTEMPT
        tried.append(_try(run, flow, patience))
        connected = tried[-1][0]
        return began if connected is should_connect or connected is None else ""

    at = wait_until(seen, timeout, interval=0.02)
    connected, detail = tried[-1]
    if connected is None:
        return None
    word = "open" if should_connect else "denied"
    verb = f"was {word}" if at else f"was not {word} within {timeout:g} s"
    return Flip(at or "", f"{flow_text(flow)} {verb}: {detail}")


def _can_try(run: RunContext, flow: Flow) -> bool:
    home = f"{run.target.namespace}/"
    if flow.protocol != "TCP" or not workload_of(flow.destination).startswith(home):
        return False
    if flow.source.name == "world":
        return _is_storefront(run, flow)
    return workload_of(flow.source).startswith(home)


def _is_storefront(run: RunContext, flow: Flow) -> bool:
    """Tell whether the shop's LoadBalancer leads to this very pod and port."""
    try:
        service = service_of(run.api, run.target.namespace, run.storefront)
    except ApiError:
        return False
    selector = service["spec"].get("selector") or {}
    selected = bool(selector) and all(
        f"k8s:{key}={value}" in flow.destination.labels for key, value in selector.items()
    )
    target = service["spec"]["ports"][0].get("targetPort")
    named = [number for name, number, _ in flow.destination.named_ports if name == target]
    return selected and flow.port in (target, *named)


def _try(run: RunContext, flow: Flow, patience: float) -> tuple[bool | None, str]:
    """Try the flow once: connected, not connected, or (None) could not tell."""
    if flow.source.name == "world":
        url = storefront_url(run.api, run.target.namespace, run.storefront, run.environ)
        answer = ask("GET", f"{url}/", patience)
        connected = True if answer.status else False if answer.silence else None
        return connected, f"GET {url}/ {answer.detail}"
    namespace, _, workload = workload_of(flow.source).partition("/")
    pod = pods_of(run.api, namespace, workload)[0]
    container = str(pod["spec"]["containers"][0]["name"])
    command = ["nc", "-zv", f"-w{ATTEMPT:.0f}", flow.destination.ip, str(flow.port)]
    ran = run_in(run.api, namespace, pod["metadata"]["name"], container, command, ATTEMPT + 5)
    detail = f"{' '.join(command)} in {namespace}/{workload}: {ran.output.strip() or ran.code}"
    return connected_by(ran), detail
