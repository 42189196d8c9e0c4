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
from functools import cached_property
from typing import Any

from acns_chaos.cluster.inventory import flow_text, workload_of
from acns_chaos.cluster.pods import (
    Place,
    connected_by,
    lacks_tool,
    place_in,
    pods_of,
    run_in,
    service_of,
    stays,
)
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
# Why a customer whom a fault keeps out may get in all the same, on a real cluster.
BESIDE = (
    "; customers may arrive as host or remote-node (kubectl port-forward, a NodePort through "
    "kube-proxy), for whom this policy may not be asked"
)
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
        namespace: of the pod.
        place: where the command runs that tries it; None for the outside, through the shop.
        host: address or name to connect to.
        port: TCP.
        workload: the pod's, as pods' owners name it.
        opens: whether the fault opens it; else it closes it.
        by_name: it is looked up first, so that a name nobody answers for is a flow that is closed.
    """

    text: str
    namespace: str
    place: Place | None
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
        place = Place(stranger.ref.name, CONTAINER)
    else:
        elsewhere, _, workload = workload.rpartition("/")
        home = elsewhere or home
        place = place_in(pods_of(run.api, home, workload)[0])
    to = (found["host"], int(found["port"]))
    return Trial(named, home, place, *to, workload, opens, by_name=True)


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
    here = _Here(run)
    chosen: dict[tuple[Place | None, bool], Trial] = {}
    for flow, opens in turned:
        # From each pod one that closes and one that opens: some images lack the tool.
        if trial := here.trial(flow, opens):
            chosen.setdefault((trial.place, trial.opens), trial)
        if len(chosen) == TRIED:
            break
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
            entered = connected and trial.place is None and run.target.kind != "lab"
            beside = BESIDE if entered else ""
            last = f"{trial.text} was not {word} within {timeout:g} s: {detail}{beside}"
        return None if telling else Flip("", last)

    return wait_until(seen, timeout, interval=0.02) or Flip("", last)


def _rounds() -> Iterator[float]:
    patience = HOPEFUL
    while True:
        yield min(ATTEMPT, patience)
        patience *= 2


class _Here:
    """What can be tried from here; the shop and the pods are read once, when a flow needs them."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._home = run.target.namespace

    def trial(self, flow: Flow, opens: bool) -> Trial | None:
        """How a predicted flow can be tried; None when it cannot."""
        if flow.protocol != "TCP":
            return None
        text = flow_text(flow)
        if flow.source.name == "world":
            shop = self._is_storefront(flow)
            return Trial(text, self._home, None, "", flow.port, "", opens) if shop else None
        place = self._places.get(flow.source.name.removeprefix(f"{self._home}/"))
        if flow.source.namespace != self._home or place is None or not flow.destination.ip:
            return None
        workload = workload_of(flow.source).partition("/")[2]
        to = (flow.destination.ip, flow.port)
        return Trial(text, self._home, place, *to, workload, opens)

    @cached_property
    def _places(self) -> dict[str, Place]:
        listed = self._run.api.get(f"/api/v1/namespaces/{self._home}/pods")["items"]
        return {place.pod: place for place in map(place_in, filter(stays, listed))}

    @cached_property
    def _shop(self) -> dict[str, Any]:
        try:
            return service_of(self._run.api, self._home, self._run.storefront)
        except ApiError:
            return {}

    def _is_storefront(self, flow: Flow) -> bool:
        """Tell whether the shop's LoadBalancer leads to this very pod and port."""
        if not workload_of(flow.destination).startswith(f"{self._home}/") or not self._shop:
            return False
        spec = self._shop["spec"]
        selector = spec.get("selector") or {}
        selected = bool(selector) and all(
            f"k8s:{key}={value}" in flow.destination.labels for key, value in selector.items()
        )
        target = spec["ports"][0].get("targetPort")
        named = [number for name, number, _ in flow.destination.named_ports if name == target]
        return selected and flow.port in (target, *named)


def _try(run: RunContext, trial: Trial, patience: float) -> tuple[bool | None, str]:
    """Try the flow once: connected, not connected, or (None) could not tell."""
    place, namespace = trial.place, trial.namespace
    if place is None:
        url = storefront_url(run.api, namespace, run.storefront, run.environ)
        answer = ask("GET", f"{url}/", patience)
        connected = True if answer.status else False if answer.silence else None
        return connected, f"GET {url}/ {answer.detail}"
    command = ["nc", "-zv", f"-w{ATTEMPT:.0f}", trial.host, str(trial.port)]
    ran = run_in(run.api, namespace, place.pod, place.container, command, ATTEMPT + SLACK)
    prober = run.probers.get(f"{namespace}/{trial.workload}")
    if lacks_tool(ran) and isinstance(prober, Debt):
        # A claim of this run has had one made, with the same labels and on the same node.
        ran = run_in(run.api, namespace, prober.ref.name, CONTAINER, command, ATTEMPT + SLACK)
    connected = connected_by(ran)
    if connected is None and trial.by_name and "bad address" in ran.output:
        connected = False
    told = ran.output.strip() or ran.code
    return connected, f"{' '.join(command)} in {namespace}/{place.pod}: {told}"
