"""Behaviour as the witness of enforcement: does a predicted flow really open or close?

`Valid=True` only means that the text parses, also with every agent down, and CiliumEndpoint does
not tell (reference captures, "Validation and status"). So flows are tried for real: the outside
through the shop's address, a pod's by exec.

Which flow is tried: one that the experiment names, else those of the predicted ones that can be
tried from here, first those that somebody listens for. A flow to a name is tried only when it is
named, because a pattern (`*.microsoft.com`) tells no name that exists.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from acns_chaos.cluster.inventory import flow_text, workload_of
from acns_chaos.cluster.pods import connected_by, lacks_tool, pods_of, run_in, service_of
from acns_chaos.cluster.prober import CONTAINER
from acns_chaos.cluster.storefront import ask, storefront_url
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError, FaultRefused
from acns_chaos.faults.ledger import Debt, now
from acns_chaos.faults.prediction import Prediction
from acns_chaos.faults.runcontext import RunContext
from acns_chaos.policy import Flow

__all__ = ["Flip", "Trial", "named_trial", "predicted_trials", "trial_of", "wait_for_flip"]

# One connection attempt; denied ones cost exactly this.
ATTEMPT = 1.0
# A SYN lost just before the policy opens is sent again only after a second, so attempts that hope
# for an answer start short and grow.
HOPEFUL = 0.25
# Beyond an attempt: the exec session, and a lookup that is refused or lost (5 s on musl).
SLACK = 10.0
# How many of the predicted flows are tried in turn.
TRIED = 4
STRANGER = "a stranger"
NAMED = re.compile(r"(?P<source>a stranger|[^\s:]+) -> (?P<host>[^\s:]+):(?P<port>\d{1,5})(/TCP)?")


@dataclass(frozen=True, slots=True)
class Flip:
    """A flow that was seen to be open or closed.

    Attributes:
        at: when the first attempt with that answer began; "" if it was never seen.
        sentence: what was tried and what came of it.
        denied: whether what was seen is silence.
    """

    at: str
    sentence: str
    denied: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """A flow that can be tried from here.

    Attributes:
        text: the flow, for people.
        pod: whose command tries it, "namespace/name"; "" for the outside, through the shop.
        host: address or name to connect to.
        port: TCP.
        workload: the pod's, as pods' owners name it.
        opens: whether the fault opens it; else it closes it.
        by_name: it is looked up first, so that a name nobody answers for is a flow that is closed.
    """

    text: str
    pod: str
    host: str
    port: int
    workload: str
    opens: bool
    by_name: bool = False


def named_trial(run: RunContext, named: str) -> Trial:
    """Make ready the flow an experiment names, and see how it behaves before the fault.

    Args:
        run: the armed run.
        named: "order-service -> graph.microsoft.com:443"; the source is a workload of the
            experiment's namespace or "namespace/workload", or "a stranger" where a claim has one
            made; the destination a name or an address.

    Raises:
        FaultRefused: it cannot be meant, or cannot be tried.
    """
    if not NAMED.fullmatch(named.strip()):
        raise FaultRefused(
            f"The witness {named!r} is no flow: write it as workload -> host:port. "
            "Nothing was changed."
        )
    try:
        trial = trial_of(run, named, opens=False)
        connected, detail = _try(run, trial, ATTEMPT)
    except ApiError as error:
        raise FaultRefused(f"The witness cannot be tried: {error} Nothing was changed.") from error
    if connected is None:
        raise FaultRefused(
            f"The witness tells nothing before the fault ({detail}). Nothing was changed."
        )
    return replace(trial, opens=not connected)


def trial_of(run: RunContext, named: str, opens: bool) -> Trial:
    """Find the pod that tries a named flow now; it may be another than before the fault.

    Args:
        run: the armed run.
        named: as for `named_trial`, which has held it against the pattern.
        opens: whether the fault opens it.

    Raises:
        ApiError: the workload has no running pod, or pods cannot be listed.
    """
    found = NAMED.fullmatch(named.strip())
    assert found
    home = run.target.namespace
    workload = found["source"].removeprefix(f"{home}/")
    if workload == STRANGER:
        # A claim of this run has had it made: only then does the guard see to it that it goes.
        stranger = run.probers.get(f"{home}/")
        if not isinstance(stranger, Debt):
            raise ApiError("no claim of this run asks as a stranger, so there is none.")
        name = f"{home}/{stranger.ref.name}"
    else:
        elsewhere, _, workload = workload.rpartition("/")
        home = elsewhere or home
        name = f"{home}/{pods_of(run.api, home, workload)[0]['metadata']['name']}"
    return Trial(named, name, found["host"], int(found["port"]), workload, opens, by_name=True)


def predicted_trials(run: RunContext, prediction: Prediction) -> list[Trial]:
    """Choose predicted flows that can be tried from here.

    Args:
        run: the armed run.
        prediction: flows the fault turns.
    """
    turned = [(flow, False) for flow in prediction.closed]
    turned += [(flow, True) for flow in prediction.opened]
    # A port on which nobody listens refuses, which tells as much; some datapaths stay silent.
    turned.sort(key=lambda one: (one[0].port, one[0].protocol) not in one[0].destination.ports)
    trials = (_trial(run, flow, opens) for flow, opens in turned)
    chosen: dict[tuple[str, bool], Trial] = {}
    for trial in trials:
        # From each pod one that closes and one that opens: some images lack the tool.
        if trial and len(chosen) < TRIED:
            chosen.setdefault((trial.pod, trial.opens), trial)
    return list(chosen.values())


def wait_for_flip(run: RunContext, trials: list[Trial], faulty: bool, timeout: float) -> Flip:
    """Wait until one of some flows behaves as the fault (or its absence) says.

    Args:
        run: the armed run.
        trials: flows that can be tried.
        faulty: True waits for the fault's behaviour, False for the original's.
        timeout: seconds.

    Returns:
        The moment it was seen; `at` is "" when it was not, or when no flow can be tried from here.
    """
    telling = list(trials)
    last = "none of the predicted flows can be tried from here"
    rounds = _rounds()

    def seen() -> Flip | None:
        nonlocal last
        patience = next(rounds)
        for trial in tuple(telling):
            wanted, began = trial.opens is faulty, now()
            connected, detail = _try(run, trial, patience if wanted else ATTEMPT)
            word = "open" if wanted else "denied"
            if connected is wanted:
                return Flip(began, f"{trial.text} was {word}: {detail}", denied=not connected)
            if connected is None:
                telling.remove(trial)
            last = f"{trial.text} was not {word} within {timeout:g} s: {detail}"
        return None if telling else Flip("", last)

    return wait_until(seen, timeout, interval=0.02) or Flip("", last)


def _rounds() -> Iterator[float]:
    patience = HOPEFUL
    while True:
        yield min(ATTEMPT, patience)
        patience *= 2


def _trial(run: RunContext, flow: Flow, opens: bool) -> Trial | None:
    """How a predicted flow can be tried; None when it cannot from here."""
    if flow.protocol != "TCP":
        return None
    if flow.source.name == "world":
        shop = _is_storefront(run, flow)
        return Trial(flow_text(flow), "", "", flow.port, "", opens) if shop else None
    if flow.source.namespace != run.target.namespace or not flow.destination.ip:
        return None
    workload = workload_of(flow.source).partition("/")[2]
    ends = (flow.source.name, flow.destination.ip, flow.port)
    return Trial(flow_text(flow), *ends, workload, opens)


def _is_storefront(run: RunContext, flow: Flow) -> bool:
    """Tell whether the shop's LoadBalancer leads to this very pod and port."""
    if not workload_of(flow.destination).startswith(f"{run.target.namespace}/"):
        return False
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


def _try(run: RunContext, trial: Trial, patience: float) -> tuple[bool | None, str]:
    """Try the flow once: connected, not connected, or (None) could not tell."""
    if not trial.pod:
        url = storefront_url(run.api, run.target.namespace, run.storefront, run.environ)
        answer = ask("GET", f"{url}/", patience)
        connected = True if answer.status else False if answer.silence else None
        return connected, f"GET {url}/ {answer.detail}"
    namespace, _, name = trial.pod.partition("/")
    command = ["nc", "-zv", f"-w{ATTEMPT:.0f}", trial.host, str(trial.port)]
    container = _first_container(run, namespace, name)
    ran = run_in(run.api, namespace, name, container, command, ATTEMPT + SLACK)
    prober = run.probers.get(f"{namespace}/{trial.workload}")
    if lacks_tool(ran) and isinstance(prober, Debt):
        # A claim of this run has had one made, with the same labels and on the same node.
        ran = run_in(run.api, namespace, prober.ref.name, CONTAINER, command, ATTEMPT + SLACK)
    connected = connected_by(ran)
    if connected is None and trial.by_name and "bad address" in ran.output:
        connected = False
    return connected, f"{' '.join(command)} in {trial.pod}: {ran.output.strip() or ran.code}"


def _first_container(run: RunContext, namespace: str, name: str) -> str:
    pods: list[dict[str, Any]] = run.api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    found = next((pod for pod in pods if pod["metadata"]["name"] == name), None)
    if found is None:
        raise ApiError(f"Pod {namespace}/{name} is gone.", 404)
    return str(found["spec"]["containers"][0]["name"])
