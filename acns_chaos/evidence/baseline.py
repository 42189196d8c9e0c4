"""Whether a namespace behaves as its known-good set says: a handful of flows, tried for real.

Belongs here: which flows are tried, and the readings that come of it. Content is compared in
`faults.baseline`. Flows to DNS names are not tried: a pattern tells no name that exists.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from acns_chaos.cluster.clusters import world_of
from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.pods import lacks_tool, place_in, pods_of, run_in
from acns_chaos.cluster.policies import KINDS
from acns_chaos.cluster.prober import is_prober
from acns_chaos.cluster.sources import Collection
from acns_chaos.errors import ApiError
from acns_chaos.evidence.connections import read_connection
from acns_chaos.evidence.places import SLACK, Asker
from acns_chaos.evidence.readings import DENIED, OPEN, UNKNOWN, Reading, reading
from acns_chaos.evidence.shop import read_shop
from acns_chaos.policy import Endpoint, World

__all__ = ["Expected", "behaviour", "expected_flows", "world_with"]

# How many flows of each kind are tried from inside.
MOST = 3
# Seconds of one attempt: a denied connection costs exactly this.
ATTEMPT = 1.0
OUTSIDE = "world"


@dataclass(frozen=True, slots=True)
class Expected:
    """A flow, and what the known-good set makes of it.

    Attributes:
        source: a workload of the namespace, or OUTSIDE.
        service: a Service of the namespace.
        port: of the Service, TCP.
        expect: OPEN or DENIED.
        why: the engine's sentence.
    """

    source: str
    service: str
    port: int
    expect: str
    why: str


def world_with(there: Collection, namespace: str, policies: Iterable[dict[str, Any]]) -> World:
    """The world as it would be with a set of policies in place of a namespace's own.

    Args:
        there: a live cluster.
        namespace: whose policies are replaced.
        policies: raw, the set.
    """
    kept = [
        obj
        for obj in there.objects
        if not (obj.get("kind") in KINDS and obj["metadata"].get("namespace") == namespace)
        # Ours stand beside a workload with its identity, and are none.
        and not (obj.get("kind") == "Pod" and is_prober(obj))
    ]
    return world_of(replace(there, objects=(*kept, *policies), origins=()))


def expected_flows(world: World, namespace: str) -> list[Expected]:
    """Foresee the flows of a namespace that its policies are about.

    Args:
        world: with the known-good set in place.
        namespace: whose.

    Returns:
        Flows between its workloads and from outside to its LoadBalancers, each through a Service;
        those that no policy restricts are left out, and those on which its pods disagree.
    """
    members: dict[str, Endpoint] = {}
    for endpoint in world.endpoints:
        home, _, workload = world.workload(endpoint).partition("/")
        if home == namespace and endpoint.kind == "pod":
            members.setdefault(workload, endpoint)
    found: list[Expected] = []
    for service in world.services:
        # EndpointSlices are among them.
        if service.get("kind") != "Service" or service["metadata"].get("namespace") != namespace:
            continue
        name = str(service["metadata"]["name"])
        outside = service["spec"].get("type") == "LoadBalancer"
        for port, backends in _ports(world, service, namespace):
            sources = {who: one for who, one in members.items() if one not in backends}
            if outside:
                sources[OUTSIDE] = world.find(OUTSIDE)
            for who, source in sources.items():
                if told := _told(world, source, backends):
                    found.append(Expected(who, name, port, *told))
    return found


def _ports(
    world: World, service: Mapping[str, Any], namespace: str
) -> Iterator[tuple[int, dict[Endpoint, int]]]:
    """Yield each TCP port of a Service that has an address, with the pods' ports behind it."""
    spec = service["spec"]
    wanted = {f"k8s:{key}={value}" for key, value in (spec.get("selector") or {}).items()}
    if not wanted or spec.get("clusterIP") in (None, "", "None"):
        return
    pods = [one for one in world.endpoints if one.namespace == namespace and wanted <= one.labels]
    for port in spec.get("ports") or []:
        if port.get("protocol", "TCP") != "TCP":
            continue
        target = port.get("targetPort", port["port"])
        found: dict[Endpoint, int] = {}
        for pod in pods:
            named = [number for name, number, _ in pod.named_ports if name == target]
            if isinstance(target, int) or named:
                found[pod] = target if isinstance(target, int) else named[0]
        if found:
            yield int(port["port"]), found


def _told(
    world: World, source: Endpoint, backends: Mapping[Endpoint, int]
) -> tuple[str, str] | None:
    """What is foreseen, and why; None when nothing is, or nothing restricts it."""
    verdicts = [world.engine.verdict(source, pod, port, "TCP") for pod, port in backends.items()]
    if len({one.verdict for one in verdicts}) != 1:
        return None
    first = verdicts[0]
    if not (first.egress.selecting or first.ingress.selecting):
        return None
    return (OPEN if first.verdict == "ALLOWED" else DENIED), first.sentence()


def behaviour(
    api: Api,
    environ: Mapping[str, str],
    namespace: str,
    flows: Sequence[Expected],
    evidence_timeout: float,
) -> tuple[list[Reading], list[str]]:
    """Try a handful of flows.

    Args:
        api: the cluster.
        environ: looked up for the shop's address and Prometheus'.
        namespace: of the flows.
        flows: what is foreseen.
        evidence_timeout: seconds until a drop must show in Prometheus.

    Returns:
        A reading for each flow that was tried (one that is UNKNOWN when none can be), and a
        sentence for each workload from which nothing could be.
    """
    notes: dict[str, str] = {}
    ready: set[str] = set()
    found = [
        _said(read_shop(api, environ, namespace, one.service, "/", one.expect, 2.0, 0.0), one)
        for one in flows
        if one.source == OUTSIDE
    ]
    for wanted in (OPEN, DENIED):
        tried = 0
        for flow in _spread(flows, wanted):
            if tried == MOST:
                break
            if flow.source not in ready and flow.source not in notes:
                if why := _unable(api, namespace, flow.source):
                    notes[flow.source] = why
                else:
                    ready.add(flow.source)
            if flow.source in ready:
                found.append(_tried(api, environ, namespace, flow, evidence_timeout))
                tried += 1
        if not tried and any(one.expect == wanted and one.source != OUTSIDE for one in flows):
            word = "open" if wanted == OPEN else "closed"
            sentence = f"no flow inside {namespace} that should be {word} can be tried from here"
            found.append(reading(UNKNOWN, f"{word} flows", sentence, None, wanted, {}))
    if not found:
        sentence = f"the known-good set restricts no flow of {namespace} that can be tried"
        found.append(reading(UNKNOWN, "flows", sentence, None, OPEN, {}))
    return found, list(notes.values())


def _spread(flows: Sequence[Expected], wanted: str) -> list[Expected]:
    """The flows inside with one answer, from as many workloads to as many as can be, first."""
    left = [one for one in flows if one.expect == wanted and one.source != OUTSIDE]
    used: dict[tuple[str, str], int] = {}
    chosen: list[Expected] = []
    while left:
        best = min(
            left,
            key=lambda one: used.get(("to", one.service), 0) + used.get(("from", one.source), 0),
        )
        left.remove(best)
        chosen.append(best)
        for end in (("to", best.service), ("from", best.source)):
            used[end] = used.get(end, 0) + 1
    return chosen


def _tried(
    api: Api, environ: Mapping[str, str], namespace: str, flow: Expected, evidence_timeout: float
) -> Reading:
    asker = Asker(api, namespace, flow.source, "", None)
    ends = (namespace, flow.source, flow.service, flow.port)
    return _said(
        read_connection(api, environ, asker, *ends, flow.expect, ATTEMPT, evidence_timeout), flow
    )


def _said(found: Reading, flow: Expected) -> Reading:
    return {**found, "what": f"{flow.source} -> {flow.service}:{flow.port}", "foreseen": flow.why}


def _unable(api: Api, namespace: str, workload: str) -> str:
    """Say why nothing can be tried from a workload, "" when it can."""
    try:
        place = place_in(pods_of(api, namespace, workload)[0])
        # Without arguments it says how it is used, and connects nowhere.
        ran = run_in(api, namespace, place.pod, place.container, ["nc"], SLACK)
    except ApiError as error:
        return f"Nothing was tried from {namespace}/{workload}: {error}"
    if lacks_tool(ran):
        return f"Nothing was tried from {namespace}/{workload}: its image has no nc."
    return ""
