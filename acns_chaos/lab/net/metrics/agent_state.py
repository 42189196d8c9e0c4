"""What each agent says about itself: its policies, endpoints, identities and what it was told.

Read from `enforcement` when a scrape asks. Traffic is counted in `counters`. An agent that stops
takes its endpoints' metrics with it, and what it had counted begins anew when it is back.

`cilium_identity{type="node_local"}` is always 0 and the two other fixed types are as captured.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

from acns_chaos.lab.net.agents.enforcement import POLICY_KINDS, Enforcement
from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.metrics.counters import Metrics
from acns_chaos.lab.net.metrics.families import FAMILIES
from acns_chaos.lab.net.metrics.registry import Sample, labelled
from acns_chaos.lab.net.objects import Change, Objects
from acns_chaos.policy import Endpoint, Engine

# Seconds, as an agent cuts `cilium_policy_implementation_delay`.
BUCKETS = (1e-05, 1e-04, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
_SOURCES = ("api", "custom-resource", "k8s")
_RESERVED, _WELL_KNOWN = 20, 10
_VERSION = {"arch": "linux/amd64", "revision": "cf4b9c48", "version": "1.19.4"}
_ACTIONS = {"ADDED": "create", "MODIFIED": "update", "DELETED": "delete"}
_SCOPES = frozenset(
    {*POLICY_KINDS, "CiliumCIDRGroup", "CiliumEndpoint", "Namespace", "Pod", "Service"}
)
_Key = tuple[str, str, str]


class _Delays:
    """One agent's histogram of the time from a write to its enforcement."""

    def __init__(self) -> None:
        self.counts = {source: [0] * (len(BUCKETS) + 1) for source in _SOURCES}
        self.sums = dict.fromkeys(_SOURCES, 0.0)

    def observe(self, source: str, seconds: float) -> None:
        self.counts[source][bisect_left(BUCKETS, seconds)] += 1
        self.sums[source] += seconds

    def samples(self) -> Iterator[Sample]:
        name = "cilium_policy_implementation_delay"
        for source in _SOURCES:
            total = 0
            for bound, count in zip((*BUCKETS, None), self.counts[source], strict=True):
                total += count
                le = "+Inf" if bound is None else f"{bound:g}"
                yield f"{name}_bucket", (("source", source), ("le", le)), float(total)
            yield f"{name}_sum", (("source", source),), self.sums[source]
            yield f"{name}_count", (("source", source),), float(total)


class AgentState:
    """Adds the agents' own families to the metrics.

    Args:
        store: whose changes agents are told.
        directory: pods by node; must watch the store before this does.
        enforcement: likewise.
        metrics: where the families go.
        clock: for the delay.
    """

    def __init__(
        self,
        store: Objects,
        directory: Directory,
        enforcement: Enforcement,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._enforcement = enforcement
        self._metrics = metrics
        self._clock = clock
        self._specs: dict[_Key, object] = {}
        self._delays = {node: _Delays() for node in metrics.nodes}
        # Per node: writes that are not in force yet, as (source, when).
        self._pending: dict[str, list[tuple[str, float]]] = {node: [] for node in metrics.nodes}
        self._revisions = dict(enforcement.revisions())
        self._were_down: set[str] = set()
        self._statuses: dict[str, tuple[tuple[Engine, int], list[Sample]]] = {}
        self._pods_changed = 0
        for scope in _SCOPES:
            for obj in store.list(scope):
                self._specs[_key(scope, obj)] = _rules(obj)
        for node in metrics.nodes:
            self._listed(node)
        store.on_change(self._changed)
        enforcement.on_applied(self._applied)
        metrics.collect_with(self.samples)

    # ------------------------------------------------------------------ what agents are told

    def _listed(self, node: str) -> None:
        """Everything that an agent finds when it starts."""
        for scope, count in Counter(kind for kind, _, _ in self._specs).items():
            self._told(node, scope, "create", count)

    def _told(self, node: str, scope: str, action: str, count: int = 1) -> None:
        registry = self._metrics.registry(node)
        labels = {"scope": scope, "action": action, "status": "success"}
        registry.add("cilium_kubernetes_events_total", count, **labels)

    def _changed(self, change: Change) -> None:
        if change.kind not in _SCOPES:
            return
        self._pods_changed += 1
        key = _key(change.kind, change.object)
        old, new = self._specs.get(key), _rules(change.object)
        self._specs[key] = new
        real = change.type != "MODIFIED" or old != new
        if change.type == "DELETED":
            del self._specs[key]
            if change.kind == "Pod":
                for node in self._metrics.nodes:
                    self._metrics.registry(node).forget(f"{key[1]}/{key[2]}")
        for node in self._metrics.nodes:
            if self._enforcement.is_down(node):
                continue
            self._told(node, change.kind, _ACTIONS[change.type])
            if change.kind in POLICY_KINDS and real:
                source = "k8s" if change.kind == "NetworkPolicy" else "custom-resource"
                self._pending[node].append((source, self._clock.now()))

    def _applied(self) -> None:
        for node, revision in self._enforcement.revisions().items():
            if self._enforcement.is_down(node):
                self._were_down.add(node)
                self._metrics.down(node)
                continue
            if node in self._were_down:
                self._restarted(node)
            if revision == self._revisions[node]:
                continue
            self._revisions[node] = revision
            pending, self._pending[node] = self._pending[node], []
            for source, at in pending:
                self._delays[node].observe(source, self._clock.now() - at)
                self._metrics.registry(node).add("cilium_policy_change_total", 1, outcome="success")

    def _restarted(self, node: str) -> None:
        self._were_down.discard(node)
        self._pending[node] = []
        self._delays[node] = _Delays()
        self._metrics.restart_agent(node)
        self._metrics.down(node, on=False)
        self._listed(node)

    # ------------------------------------------------------------------ what agents show

    def samples(self, node: str) -> Iterator[Sample]:
        """The agent's own families of a node."""
        engine = self._enforcement.engine_of(node)
        known = self._statuses.get(node)
        state = (engine, self._pods_changed)
        if known is None or known[0] != state:
            known = self._statuses[node] = (state, list(self._status(node, engine)))
        yield from known[1]
        revision = self._enforcement.revisions()[node]
        yield _gauge("cilium_policy_max_revision", revision)
        yield from self._delays[node].samples()

    def _status(self, node: str, engine: Engine) -> Iterator[Sample]:
        pods = [
            pod.endpoint
            for pod in self._directory.pods()
            if pod.node == node and not pod.raw["spec"].get("hostNetwork")
        ]
        statuses = dict.fromkeys(("both", "egress", "ingress", "none"), 0)
        # The host is an endpoint too.
        statuses["none"] = 1
        for pod in pods:
            statuses[_enforcement(engine, pod)] += 1
        for name, count in statuses.items():
            yield _gauge("cilium_policy_endpoint_enforcement_status", count, enforcement=name)
        for name in ("audit-both", "audit-egress", "audit-ingress"):
            yield _gauge("cilium_policy_endpoint_enforcement_status", 0, enforcement=name)
        yield _gauge("cilium_endpoint", len(pods) + 1)
        yield _gauge("cilium_endpoint_state", len(pods) + 1, endpoint_state="ready")
        for name in ("regenerating", "restoring", "waiting-to-regenerate"):
            yield _gauge("cilium_endpoint_state", 0, endpoint_state=name)
        identities = {pod.endpoint.labels for pod in self._directory.pods()}
        for kind, count in (
            ("cluster_local", len(identities)),
            ("node_local", 0),
            ("reserved", _RESERVED),
            ("well_known", _WELL_KNOWN),
        ):
            yield _gauge("cilium_identity", count, type=kind)
        yield _gauge("cilium_policy", sum(len(rules) for rules in engine.rules.values()))
        yield _gauge("cilium_version", 0, **_VERSION)


def _enforcement(engine: Engine, pod: Endpoint) -> str:
    ingress, egress = (engine.view(side, pod).enforced for side in ("ingress", "egress"))
    if ingress and egress:
        return "both"
    if ingress:
        return "ingress"
    return "egress" if egress else "none"


def _gauge(family: str, value: float, **labels: str) -> Sample:
    return family, labelled(FAMILIES[family], labels), float(value)


def _key(kind: str, obj: dict[str, object]) -> _Key:
    metadata = obj["metadata"]
    assert isinstance(metadata, dict)
    return kind, str(metadata.get("namespace", "")), str(metadata["name"])


def _rules(obj: dict[str, object]) -> object:
    """What agents act on in a policy; of everything else any write counts."""
    return (obj.get("spec"), obj.get("specs")) if obj["kind"] in POLICY_KINDS else None
