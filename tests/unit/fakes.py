"""An API server in memory, to change policies under optimistic concurrency; and a Prometheus."""

import time
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import promql_parser

from acns_chaos.cluster.prometheus import Clock, Node, Nodes, Prometheus, Series
from acns_chaos.cluster.target import Target
from acns_chaos.errors import ApiError, Conflict, NotFound
from acns_chaos.faults.ledger import Debt, NoLedger
from acns_chaos.faults.runcontext import RunContext
from acns_chaos.lab.net.promql.evaluation import Query
from acns_chaos.lab.net.promql.expressions import parse
from acns_chaos.lab.net.promql.history import History

POLICIES = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies"
STOREFRONT = f"{POLICIES}/allow-store-front-traffic"


def storefront_policy() -> dict[str, Any]:
    """Return the workshop's policy as a server would."""
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {
            "name": "allow-store-front-traffic",
            "namespace": "pets",
            "resourceVersion": "10",
            "uid": "u",
            "generation": 1,
            "annotations": {"team": "shop"},
        },
        "spec": {
            "endpointSelector": {"matchLabels": {"app": "store-front"}},
            "ingress": [
                {
                    "fromEntities": ["world"],
                    "toPorts": [{"ports": [{"port": "8080", "protocol": "TCP"}]}],
                }
            ],
        },
    }


def pod(name: str, app: str, port: int) -> dict[str, Any]:
    """Return a running pod of namespace pets."""
    return {
        "metadata": {"name": name, "namespace": "pets", "labels": {"app": app}},
        "spec": {"containers": [{"name": app, "ports": [{"containerPort": port}]}]},
        "status": {"phase": "Running", "podIP": "10.244.0.9"},
    }


class FakeApi:
    """A tiny API server.

    Attributes:
        objects: path to object.
        writes: (method, path, body) of every write that was stored.
        refuse: (method, path) to the error the next such request raises; dry runs are
            ("DRY", path).
        events: Event objects that were written.
        on_write: called before a write is judged, to let somebody else write first.
    """

    server = "https://10.0.0.1"

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {
            STOREFRONT: storefront_policy(),
            "/api/v1/namespaces/pets": {"metadata": {"name": "pets"}},
        }
        self.lists: dict[str, list[dict[str, Any]]] = {
            "/api/v1/namespaces": [{"metadata": {"name": "pets"}}],
            "/api/v1/pods": [pod("store-front-1", "store-front", 8080)],
            "/api/v1/services": [],
        }
        self.writes: list[tuple[str, str, dict[str, Any]]] = []
        self.refuse: dict[tuple[str, str], ApiError] = {}
        self.on_write: list[Any] = []
        self.events: list[dict[str, Any]] = []
        self.version = 10

    def get(self, path: str, query: Any = None) -> dict[str, Any]:
        """Read an object or a list."""
        self._maybe_refuse("GET", path)
        if path in self.objects:
            return deepcopy(self.objects[path])
        if path in self.lists:
            return {"items": deepcopy(self.lists[path])}
        if path == "/api/v1/namespaces/pets/pods":
            every = self.lists["/api/v1/pods"]
            return {
                "items": [deepcopy(one) for one in every if one["metadata"]["namespace"] == "pets"]
            }
        if path.endswith("/configmaps"):
            label, _, value = (query or {}).get("labelSelector", "").partition("=")
            there = [one for key, one in self.objects.items() if key.startswith(f"{path}/")]
            items = [
                one
                for one in there
                if not label or (one["metadata"].get("labels") or {}).get(label) == value
            ]
            return {"items": deepcopy(items)}
        if path.endswith("policies"):
            items = [one for key, one in self.objects.items() if key.startswith(path)]
            if path == "/apis/cilium.io/v2/ciliumnetworkpolicies":
                items = [one for key, one in self.objects.items() if key.startswith(POLICIES)]
            return {"items": deepcopy(items)}
        raise NotFound(f"{path} not found", 404)

    def put(self, path: str, body: Any, query: Any = None) -> dict[str, Any]:
        """Replace an object that carries the current resourceVersion."""
        dry = bool(query and query.get("dryRun"))
        if not dry:
            for callback in self.on_write[:1]:
                self.on_write.remove(callback)
                callback()
        self._maybe_refuse("DRY" if dry else "PUT", path)
        live = self.objects.get(path)
        if live is None:
            raise NotFound(f"{path} not found", 404)
        if body["metadata"].get("resourceVersion") != live["metadata"]["resourceVersion"]:
            raise Conflict("the object has been modified", 409)
        return deepcopy(body) if dry else self._store("PUT", path, body)

    def now(self) -> datetime:
        """Return the server's clock."""
        return datetime.now(UTC)

    def hurried(self) -> "FakeApi":
        """Return itself: it never asks anybody to wait."""
        return self

    def delete(self, path: str, body: Any = None) -> dict[str, Any]:
        """Delete an object that is as the precondition says."""
        body = body or {}
        dry = bool(body.get("dryRun"))
        self._maybe_refuse("DRY" if dry else "DELETE", path)
        live = self.objects.get(path)
        if live is None:
            raise NotFound(f"{path} not found", 404)
        for key, value in (body.get("preconditions") or {}).items():
            if live["metadata"].get(key) != value:
                raise Conflict("the object has been modified", 409)
        if not dry:
            del self.objects[path]
            self.writes.append(("DELETE", path, deepcopy(live)))
        return {"kind": "Status", "status": "Success"}

    def post(self, path: str, body: Any, query: Any = None) -> dict[str, Any]:
        """Create an object."""
        full = f"{path}/{body['metadata']['name']}"
        if path.endswith("/events"):
            self.events.append(deepcopy(body))
            return deepcopy(body)
        if query and query.get("dryRun"):
            self._maybe_refuse("DRY", full)
            return deepcopy(body)
        self._maybe_refuse("POST", full)
        if full in self.objects:
            raise Conflict("already exists", 409)
        return self._store("POST", full, body)

    def _store(self, method: str, path: str, body: Any) -> dict[str, Any]:
        self.version += 1
        stored = deepcopy(dict(body))
        stored["metadata"]["resourceVersion"] = str(self.version)
        stored["metadata"].setdefault("uid", f"u{self.version}")
        self.objects[path] = stored
        self.writes.append((method, path, deepcopy(stored)))
        return deepcopy(stored)

    def _maybe_refuse(self, method: str, path: str) -> None:
        error = self.refuse.pop((method, path), None)
        if error:
            raise error

    def edit(self, **spec: Any) -> None:
        """Change the storefront's policy as somebody else would."""
        live = deepcopy(self.objects[STOREFRONT])
        live["spec"].update(spec)
        live["metadata"]["managedFields"] = [{"manager": "flux", "time": "2026-01-01T00:00:00Z"}]
        self._store("EDIT", STOREFRONT, live)
        self.writes.pop()


class MemoryLedger(NoLedger):
    """A ledger that lives and dies with the test."""

    def __init__(self) -> None:
        self._debts: list[Debt] = []

    def record(self, debt: Debt) -> None:
        """Keep it."""
        self._debts.append(debt)

    def forget(self, debt: Debt) -> None:
        """Remove it."""
        self._debts.remove(debt)

    def all(self) -> list[Debt]:
        """Return every debt, oldest first."""
        return list(self._debts)


def run_on(api: FakeApi, kind: str = "lab", **environ: str) -> RunContext:
    """Return an armed-looking run on *api*."""
    target = Target(kind, "test", api.server, "uid", "pets", "1.19.4", "v1.33.5")
    run = RunContext("run-1", target, api, environ, {})  # type: ignore[arg-type]
    run.ledger = MemoryLedger()
    return run


class MemoryPrometheus(Prometheus):
    """A Prometheus in memory: the lab's PromQL over samples that a test writes down.

    Its clock stands still, at this machine's now, and its nodes are named by the test.

    Args:
        nodes: of the cluster.
        cluster: value of the label `cluster` to ask for.

    Attributes:
        at: its now.
        asked: every query.
        heard: warnings that come with its answers.
        rules: what /api/v1/rules answers, or the error it raises.
    """

    def __init__(self, *nodes: str, cluster: str = "") -> None:
        super().__init__("http://prometheus", cluster=cluster)
        self._nodes = Nodes(Node(name, (f"10.0.0.{number}",)) for number, name in enumerate(nodes))
        self._clock = Clock(0.0, 0.001)
        self.history = History()
        self.at = time.time()
        self.asked: list[str] = []
        self.heard: tuple[str, ...] = ()
        self.rules: Any = {"data": {"groups": []}}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What it warns of."""
        return self.heard

    def now(self) -> float:
        """Return its now."""
        return self.at

    def instant(self, query: str, at: float | None = None) -> list[Series]:
        """Evaluate a query over the samples."""
        self.asked.append(query)
        made, when = Query(parse(query), self.history), self.at if at is None else at
        if isinstance(made.expression, promql_parser.MatrixSelector):
            window = made.range_at(made.expression, when).series
            return [
                Series(lowered(labels), tuple((at / 1000, value) for at, value in samples))
                for labels, samples in window
            ]
        vector = made.at(when)
        assert isinstance(vector, list)
        return [Series(lowered(labels), ((when, value),)) for labels, value in vector]

    def json(self, path: str, params: Any = None) -> Any:
        """Answer the list of rules."""
        assert path == "/api/v1/rules"
        if isinstance(self.rules, ApiError):
            raise self.rules
        return self.rules

    def scrape(
        self, ago: float, instance: str, *samples: tuple[str, dict[str, str], float]
    ) -> None:
        """Scrape one node once: what every node has, and (metric, labels, value) besides.

        Args:
            ago: seconds before now; a scrape without a series that the one before had ends it.
            instance: its label.
            samples: what is exposed.
        """
        every = [("hubble_tcp_flags_total", {}, 5.0), ("cilium_forward_count_total", {}, 5.0)]
        found = [
            (tuple(sorted({**labels, "__name__": name, "instance": instance}.items())), value)
            for name, labels, value in (*every, *samples)
        ]
        self.history.append(self.at - ago, found, ("job", instance))


def lowered(labels: Any) -> dict[str, str]:
    """Write label names in lower case, as the client does."""
    return {name.lower(): value for name, value in labels.items()}
