"""The doctor: each level of each check, and that none of them stops the others."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from acns_chaos.cluster.hubble import HubbleError
from acns_chaos.cluster.hubble.errors import CAUSES
from acns_chaos.cluster.hubble.relay import RelayStatus
from acns_chaos.cluster.permissions import NEEDS
from acns_chaos.cluster.prometheus import Freshness
from acns_chaos.cluster.target import Target
from acns_chaos.errors import ApiError, Forbidden, TargetError
from acns_chaos.evidence.doctor import (
    CHECKS,
    LEVELS,
    MISSING,
    OK,
    UNKNOWN,
    WARN,
    Context,
    Finding,
    cilium,
    cluster,
    examine,
    hubble,
    permissions,
    policies,
    prometheus,
)
from tests.unit.fakes import STOREFRONT, FakeApi, pod

SYSTEM = "/api/v1/namespaces/kube-system"
CONFIG = f"{SYSTEM}/configmaps/cilium-config"
SCRAPING = f"{SYSTEM}/configmaps/ama-metrics-settings-configmap"
FILTERS = "/apis/acn.azure.com/v1alpha1/containernetworkmetrics"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/acns-chaos/leases"
ALLOWED = "/api/v1/namespaces/pets/configmaps/acns-chaos-allowed"


def agent(node: str, ready: str = "True") -> dict[str, Any]:
    """A pod of the Cilium agents."""
    return {
        "metadata": {"name": f"cilium-{node}", "labels": {"k8s-app": "cilium"}},
        "spec": {"nodeName": node},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def a_cluster() -> FakeApi:
    """A cluster of AKS with ACNS where all is well."""
    api = FakeApi()
    api.objects |= {
        ALLOWED: {"data": {}},
        CONFIG: {
            "data": {
                "enable-policy": "default",
                "enable-hubble": "true",
                "hubble-metrics": "drop:sourceEgressContext=pod;destinationIngressContext=pod flow",
            }
        },
        "/apis/cilium.io/v2": {
            "resources": [
                {"name": "ciliumnetworkpolicies"},
                {"name": "ciliumclusterwidenetworkpolicies"},
                {"name": "ciliumendpoints"},
            ]
        },
        f"{LEASES}/acns-chaos-janitor.pets": lease("janitor", 1),
    }
    api.lists |= {
        f"{SYSTEM}/pods": [agent("n1"), agent("n2")],
        "/api/v1/nodes": [
            {"metadata": {"name": name, "labels": {"kubernetes.azure.com/mode": "system"}}}
            for name in ("n1", "n2")
        ],
        "/apis/discovery.k8s.io/v1/endpointslices": [],
    }
    return api


def lease(holder: str, age: float, records: dict[str, str] | None = None) -> dict[str, Any]:
    """A Lease of ours, renewed so many seconds ago."""
    renewed = datetime.now(UTC) - timedelta(seconds=age)
    return {
        "metadata": {
            "name": "l",
            "resourceVersion": "1",
            "annotations": {"acns-chaos/records": json.dumps(records or {})},
        },
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": 180,
            "renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        },
    }


def context(api: FakeApi, kind: str = "cluster", **given: Any) -> Context:
    """What the checks look at; a real cluster unless told otherwise."""
    target = Target(kind, "aks-shop", api.server, "uid", "pets", "1.19.4", "v1.33.5")
    usual: dict[str, Any] = {
        "name": "aks-shop", "environ": {}, "namespace": "pets", "connection": api,
        "target": target,
    }  # fmt: skip
    return Context(**{**usual, **given})


def only(check: Any, *arguments: Any) -> Finding:
    """The single finding of a check."""
    (found,) = check(*arguments)
    assert found.level in LEVELS
    assert found.sentence
    assert found.mend or found.level in (OK, UNKNOWN), "a finding says what mends it"
    return found


def with_config(**options: str) -> FakeApi:
    """The cluster with other settings of the agents; dashes are written as underscores."""
    api = a_cluster()
    config = api.objects[CONFIG]["data"]
    config |= {key.replace("_", "-"): value for key, value in options.items()}
    return api


def without(api: FakeApi, path: str) -> FakeApi:
    """Take an object or a list away."""
    api.objects.pop(path, None)
    api.lists.pop(path, None)
    return api


def having(path: str, obj: dict[str, Any]) -> FakeApi:
    """The cluster with one more object."""
    api = a_cluster()
    api.objects[path] = obj
    return api


def listing(path: str, *items: dict[str, Any]) -> FakeApi:
    """The cluster with another list."""
    api = a_cluster()
    api.lists[path] = list(items)
    return api


def marked(**annotations: str) -> FakeApi:
    """The cluster with annotations on the shop's policy; two underscores are a slash."""
    api = a_cluster()
    found = {key.replace("__", "/").replace("_", "-"): v for key, v in annotations.items()}
    api.objects[STOREFRONT]["metadata"]["annotations"] = found
    return api


def invalid(namespace: str) -> FakeApi:
    """The cluster with a policy that the operator calls invalid."""
    api = a_cluster()
    where = f"/apis/cilium.io/v2/namespaces/{namespace}/ciliumnetworkpolicies/bad"
    api.objects[where] = {
        "metadata": {"name": "bad", "namespace": namespace},
        "spec": {"endpointSelector": {}},
        "status": {"conditions": [{"type": "Valid", "status": "False", "message": "port 70000"}]},
    }
    api.lists["/apis/cilium.io/v2/ciliumnetworkpolicies"] = [api.objects[where]]
    return api


FLUX = {"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}


def owned_by_flux() -> FakeApi:
    """The cluster with a policy that Flux reconciles."""
    api = a_cluster()
    api.objects[STOREFRONT]["metadata"] |= FLUX
    return api


CASES: list[tuple[str, Any, Callable[[], FakeApi], str, str, str]] = [
    ("cluster", cluster.reached, a_cluster, OK, "UID uid", ""),
    ("versions", cluster.versions, a_cluster, OK, "Cilium 1.19.4", ""),
    ("clock", cluster.clock, a_cluster, OK, "agree", ""),
    ("namespace", cluster.namespace, a_cluster, OK, "has opted in", ""),
    (
        "not opted in", cluster.namespace, lambda: without(a_cluster(), ALLOWED), MISSING,
        "has not opted in", "kubectl create configmap acns-chaos-allowed -n pets",
    ),
    (
        "consent not understood", cluster.namespace, lambda: having(ALLOWED, {"data": {"x": "y"}}),
        MISSING, "unknown key 'x'", "kubectl edit configmap acns-chaos-allowed -n pets",
    ),
    (
        "blackout", cluster.namespace,
        lambda: having(ALLOWED, {"data": {"blackout": "00:00-23:59"}}), WARN, "blackout", "edit",
    ),
    (
        "no namespace", cluster.namespace, lambda: without(a_cluster(), "/api/v1/namespaces/pets"),
        MISSING, "does not exist: there are pets", "--namespace",
    ),
    ("nobody said stop", cluster.stop, a_cluster, OK, "nobody", ""),
    (
        "stop", cluster.stop, lambda: having(
            "/api/v1/namespaces/acns-chaos/configmaps/acns-chaos-stop", {"metadata": {}}
        ), MISSING, "every run ends", "kubectl delete configmap acns-chaos-stop -n acns-chaos",
    ),
    ("no debts", cluster.debts, a_cluster, OK, "none left anything", ""),
    (
        "a run at work", cluster.debts,
        lambda: having(f"{LEASES}/acns-chaos.pets", lease("run-1 me", 1)), WARN, "run-1 me",
        "acns-chaos restore --list -n pets",
    ),
    (
        "a dead run", cluster.debts,
        lambda: having(f"{LEASES}/acns-chaos.pets", lease("run-1 me", 999, {"r": "h"})), MISSING,
        "left 1 change(s) standing", "acns-chaos restore --all -n pets",
    ),
    ("janitor", cluster.janitor, a_cluster, OK, "seen at", ""),
    (
        "no janitor", cluster.janitor,
        lambda: without(a_cluster(), f"{LEASES}/acns-chaos-janitor.pets"), WARN, "none was seen",
        "deploy/janitor/janitor.yaml",
    ),
    ("agents", cilium.agents, a_cluster, OK, "each of 2 node(s)", ""),
    (
        "one agent down", cilium.agents,
        lambda: listing(f"{SYSTEM}/pods", agent("n1"), agent("n2", "False")), WARN, "on n2",
        "kubectl -n kube-system get pods",
    ),
    (
        "all agents down", cilium.agents,
        lambda: listing(f"{SYSTEM}/pods", agent("n1", "False")), MISSING, "on n1, n2", "get pods",
    ),
    (
        "a node without an agent", cilium.agents,
        lambda: listing(f"{SYSTEM}/pods", agent("n1")), WARN, "on n2", "get pods",
    ),
    (
        "no Cilium", cilium.agents, lambda: listing(f"{SYSTEM}/pods"), MISSING,
        "no Cilium agent", "--network-dataplane cilium",
    ),
    ("settings", cilium.settings, a_cluster, OK, "enable-policy=default", ""),
    (
        "no settings", cilium.settings, lambda: without(a_cluster(), CONFIG), WARN,
        "defaults are taken", "kubectl",
    ),
    (
        "nothing enforced", cilium.settings, lambda: with_config(enable_policy="never"), MISSING,
        "no policy is enforced", "enable-policy: default",
    ),
    (
        "audit only", cilium.settings, lambda: with_config(policy_audit_mode="true"), MISSING,
        "only logged", "policy-audit-mode: 'false'",
    ),
    ("definitions", cilium.definitions, a_cluster, OK, "cilium.io/v2 is served", ""),
    (
        "no definitions", cilium.definitions,
        lambda: without(a_cluster(), "/apis/cilium.io/v2"), MISSING,
        "ciliumclusterwidenetworkpolicies, ciliumendpoints, ciliumnetworkpolicies", "operator",
    ),
    ("ACNS", cilium.hubble_on, a_cluster, OK, "counts drop, flow", ""),
    (
        "no Hubble", cilium.hubble_on, lambda: with_config(enable_hubble="false"), MISSING,
        "Hubble is off", "az aks update -g GROUP -n CLUSTER --enable-acns",
    ),
    (
        "drops not counted", cilium.hubble_on, lambda: with_config(hubble_metrics="flow tcp"),
        MISSING, "counts no drops (hubble-metrics: flow, tcp)", "--enable-acns",
    ),
    (
        "drops of nobody", cilium.hubble_on, lambda: with_config(hubble_metrics="drop"), WARN,
        "without saying whose", "az aks update -g GROUP -n CLUSTER --enable-acns",
    ),
    ("nothing filtered", cilium.filtered, a_cluster, OK, "nothing is filtered", ""),
    (
        "drops filtered", cilium.filtered, lambda: listing(FILTERS, {
            "metadata": {"name": "cnm"}, "spec": {"filters": [{"metric": "drop"}]}
        }), WARN, "drops of namespace pets", "kubectl edit containernetworkmetric cnm",
    ),
    (
        "names filtered", cilium.filtered, lambda: listing(FILTERS, {
            "metadata": {"name": "cnm"}, "spec": {"filters": [{"metric": "dns"}]}
        }), OK, "filters drops", "",
    ),
    ("scraped", cilium.scraped, a_cluster, OK, "AKS's defaults", ""),
    (
        "scraped at leisure", cilium.scraped,
        lambda: having(SCRAPING, {"data": {"a": 'networkobservabilityHubble = "60s"'}}), OK,
        "every 60s", "",
    ),
    (
        "not scraped", cilium.scraped,
        lambda: having(SCRAPING, {"data": {"a": "x = 1\nnetworkobservabilityHubble = false"}}),
        MISSING, "switches networkobservabilityHubble off", "set to true",
    ),
    ("valid", policies.valid, a_cluster, OK, "none of", ""),
    (
        "invalid here", policies.valid, lambda: invalid("pets"), MISSING, "port 70000",
        "kubectl describe cnp bad -n pets",
    ),
    (
        "invalid elsewhere", policies.valid, lambda: invalid("other"), WARN, "Valid=False",
        "kubectl describe cnp bad -n other",
    ),
    ("of effect", policies.idle, a_cluster, OK, "selects somebody", ""),
    (
        "of no effect", policies.idle, lambda: listing("/api/v1/pods", pod("o-1", "other", 80)),
        WARN, "pets/allow-store-front-traffic", "kubectl edit cnp allow-store-front-traffic",
    ),
    ("no fault", policies.broken_on_purpose, a_cluster, OK, "no policy is marked", ""),
    (
        "a fault", policies.broken_on_purpose, lambda: marked(acns_chaos__run="run-7"), WARN,
        "by run run-7", "acns-chaos restore --run run-7 -n pets",
    ),
    ("nobody's", policies.owned, a_cluster, OK, "no GitOps controller", ""),
    ("Flux's", policies.owned, owned_by_flux, WARN, "Flux", "flux suspend kustomization"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "api", "level", "said", "mend"),
                         [case[1:] for case in CASES], ids=[case[0] for case in CASES])  # fmt: skip
def test_what_a_check_finds(
    check: Any, api: Callable[[], FakeApi], level: str, said: str, mend: str
) -> None:
    """Its level, what it says, and what mends it."""
    found = only(check, context(api()))
    assert found.level == level, found
    assert said in found.sentence
    assert mend in found.mend
    assert bool(found.mend) == (level != OK)


def test_settings_that_change_what_is_seen_are_warned_of() -> None:
    """They keep nothing from working, and are said beside the rest."""
    api = with_config(
        enable_policy="always", policy_cidr_match_mode="nodes", policy_deny_response="icmp"
    )
    found = list(cilium.settings(context(api)))
    assert [one.level for one in found] == [WARN, WARN, WARN, OK]


def test_a_cluster_that_is_not_aks_has_no_scraping_of_its() -> None:
    """And is told to use Cilium's own tool."""
    api = with_config(enable_hubble="false")
    api.lists["/api/v1/nodes"] = [{"metadata": {"name": "n1"}}]
    assert list(cilium.scraped(context(api))) == []
    assert only(cilium.hubble_on, context(api)).mend.startswith("cilium upgrade")


def test_nodes_that_may_not_be_listed_matter_little() -> None:
    """The agents' pods tell where there is one."""
    api = a_cluster()
    api.refuse["GET", "/api/v1/nodes"] = Forbidden("nodes is forbidden", 403)
    found = only(cilium.agents, context(api))
    assert found.level == OK
    assert "may not be listed" in found.sentence


@pytest.mark.parametrize(("version", "level"), [("1.17.9", OK), ("1.20.1", WARN), ("", WARN)])
def test_versions_of_cilium(version: str, level: str) -> None:
    """What policies mean is known for some of them."""
    api = a_cluster()
    target = Target("cluster", "c", "s", "uid", "pets", version, "v1")
    assert only(cluster.versions, context(api, target=target)).level == level


def test_a_cluster_without_a_uid_is_not_to_be_changed() -> None:
    """A record could be restored into another one."""
    target = Target("cluster", "c", "s", "", "pets", "1.19.4", "v1")
    assert only(cluster.reached, context(a_cluster(), target=target)).level == MISSING


def test_clocks_that_differ_are_warned_of() -> None:
    """Moments of different witnesses are compared."""
    api = a_cluster()
    api.now = lambda: datetime.now(UTC) - timedelta(seconds=30)  # type: ignore[method-assign]
    found = only(cluster.clock, context(api))
    assert (found.level, "30 s behind" in found.sentence) == (WARN, True)


def test_a_lab_needs_no_janitor_and_no_consent() -> None:
    """It dies with its policies."""
    api = without(without(a_cluster(), ALLOWED), f"{LEASES}/acns-chaos-janitor.pets")
    assert only(cluster.janitor, context(api, "lab")).level == OK
    assert only(cluster.namespace, context(api, "lab")).level == OK


# ---------------------------------------------------------------------- Hubble


class FakeRelay:
    """A relay that says what it is told to."""

    def __init__(self, connected: int = 2, unavailable: tuple[str, ...] = ()) -> None:
        self.said = RelayStatus("v1", connected, unavailable, 10, 20, 3.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def status(self) -> RelayStatus:
        """What it is told to."""
        return self.said


@pytest.mark.parametrize(
    ("connected", "unavailable", "level"),
    [(2, (), OK), (1, ("n2",), WARN), (0, ("n1",), MISSING), (0, (), MISSING)],
)
def test_the_relay_and_its_nodes(
    monkeypatch: pytest.MonkeyPatch, connected: int, unavailable: tuple[str, ...], level: str
) -> None:
    """A node that is away hides its drops."""
    monkeypatch.setattr(hubble, "open_relay", lambda *_: FakeRelay(connected, unavailable))
    assert only(hubble.relay, context(a_cluster())).level == level


@pytest.mark.parametrize("cause", [one for one in CAUSES if one != "bad-filter"])
def test_each_cause_of_a_relay_that_cannot_be_asked_has_its_mend(
    monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    """Certificates may be to blame as well."""

    def refuse(*_: object) -> None:
        raise HubbleError("no relay", cause)

    monkeypatch.setattr(hubble, "open_relay", refuse)
    monkeypatch.setattr(hubble, "read_certificates", refuse)
    for check in (hubble.relay, hubble.certificates):
        found = only(check, context(a_cluster()))
        assert found.level == MISSING
        assert found.sentence == "no relay"


@pytest.mark.parametrize(("days", "level"), [(200, OK), (5, WARN)])
def test_certificates_are_told_before_they_expire(
    monkeypatch: pytest.MonkeyPatch, days: int, level: str
) -> None:
    """Two weeks ahead."""
    ends = SimpleNamespace(not_after=datetime.now(UTC) + timedelta(days=days, hours=1))
    monkeypatch.setattr(hubble, "read_certificates", lambda *_: ends)
    found = only(hubble.certificates, context(a_cluster()))
    assert (found.level, f"({days} days)" in found.sentence) == (level, True)


# ---------------------------------------------------------------------- Prometheus


class FakePrometheus:
    """A Prometheus with the samples it is told to have."""

    url = "http://prometheus"

    def __init__(self, **given: Any) -> None:
        ages = given.get("ages", {"n1": 1.0, "n2": 2.0})
        missing, foreign = given.get("missing", ()), given.get("foreign", ())
        self._fresh = Freshness(0.0, ages, missing, foreign, len(foreign), ("m",))
        self._interval = given.get("interval", 0.5)
        self._kept = given.get("kept", True)
        self._ahead = given.get("ahead", 0.0)

    def nodes(self) -> None:
        """There are some."""

    def freshness(self, _source: str) -> Freshness:
        """As told."""
        return self._fresh

    def scrape_interval(self) -> float | None:
        """As told."""
        return self._interval

    def selector(self, query: str) -> str:
        """The query."""
        return query

    def instant(self, _query: str) -> list[str]:
        """Something, if the metric is kept."""
        return ["a series"] if self._kept else []

    def clock(self) -> Any:
        """As told."""
        return SimpleNamespace(ahead=self._ahead)


def levels(monkeypatch: pytest.MonkeyPatch, *, environ: Any = None, **given: Any) -> dict[str, str]:
    """What is said of a Prometheus, line by line."""
    monkeypatch.setattr(prometheus, "_opened", lambda _: FakePrometheus(**given))
    found = list(prometheus.answering(context(a_cluster(), environ=environ or {})))
    assert all(one.mend or one.level == OK for one in found)
    return {one.what: one.level for one in found}


@pytest.mark.parametrize(
    ("given", "line", "level"),
    [
        ({}, "Hubble's metrics", OK),
        ({"ages": {"n1": 1.0}, "missing": ("n2",)}, "Hubble's metrics", WARN),
        ({"ages": {"n1": 99.0, "n2": 1.0}}, "agents' metrics", WARN),
        ({"ages": {"n1": 99.0, "n2": 98.0}}, "agents' metrics", MISSING),
        ({"ages": {}, "missing": ("n1",)}, "Hubble's metrics", MISSING),
        ({"ages": {}, "missing": ("n1",), "foreign": ("x:1",)}, "Hubble's metrics", MISSING),
        ({}, "hubble_drop_total", OK),
        ({"kept": False}, "cilium_drop_count_total", WARN),
        ({}, "scrape interval", OK),
        ({"interval": None}, "scrape interval", WARN),
        ({"interval": 30.0}, "scrape interval", WARN),
        ({"ahead": 60.0}, "Prometheus", OK),
    ],
)
def test_what_is_said_of_prometheus(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], line: str, level: str
) -> None:
    """Freshness node by node, whose metrics they are, what is kept, and how often."""
    assert levels(monkeypatch, **given)[line] == level


def test_windows_of_the_experiments_are_held_against_the_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On AKS they are to be a minute."""
    wide = {"ACNS_CHAOS_DROP_WINDOW": "60", "ACNS_CHAOS_EVIDENCE_TIMEOUT": "90"}
    assert levels(monkeypatch, environ=wide, interval=30.0)["scrape interval"] == OK
    odd = {"ACNS_CHAOS_DROP_WINDOW": "a minute"}
    assert levels(monkeypatch, environ=odd, interval=30.0)["scrape interval"] == WARN


def test_a_prometheus_that_is_not_named_is_missing() -> None:
    """The drop counters are a witness."""
    found = only(prometheus.answering, context(a_cluster()))
    assert (found.level, "ACNS_CHAOS_PROMETHEUS_URL" in found.mend) == (MISSING, True)


def test_grafana_is_only_looked_for_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its address is not printed: it may hold a password."""
    asked = context(
        a_cluster(), environ={"ACNS_CHAOS_GRAFANA_URL": "https://me:canary@grafana.test"}
    )
    assert only(prometheus.grafana, context(a_cluster())).level == OK
    monkeypatch.setattr(prometheus, "grafana_version", lambda _: "11.2.0")
    assert only(prometheus.grafana, asked).sentence == "grafana.test answers (11.2.0)"

    def silent(_: str) -> str:
        raise ApiError("Grafana does not answer")

    monkeypatch.setattr(prometheus, "grafana_version", silent)
    found = only(prometheus.grafana, asked)
    assert found.level == WARN
    assert "canary" not in f"{found}"


# ---------------------------------------------------------------------- permissions


class Rights:
    """An API server that answers access reviews: all is allowed but what is named."""

    server = "https://10.0.0.1"

    def __init__(self, *refused: tuple[str, str]) -> None:
        self.refused = refused
        self.asked = 0

    def post(self, _path: str, body: Any) -> dict[str, Any]:
        """Answer a review."""
        self.asked += 1
        about = body["spec"]["resourceAttributes"]
        return {"status": {"allowed": (about["verb"], about["resource"]) not in self.refused}}


def files(*names: str) -> tuple[Path, ...]:
    """Shipped experiments."""
    root = Path(__file__).resolve().parents[2]
    return tuple(root / name for name in names)


FLAGSHIP, CLAIM = files("experiments/storefront-ingress.json", "probes/storefront-reachable.json")


def test_each_experiment_is_told_what_it_may_not() -> None:
    """Verb by verb; a claim that only looks needs less."""
    api: Any = Rights(("update", "ciliumnetworkpolicies"))
    found = list(permissions.permitted(context(api, experiments=(FLAGSHIP, CLAIM))))
    assert [one.level for one in found] == [MISSING, OK]
    assert "may not update ciliumnetworkpolicies.cilium.io in namespace pets" in found[0].sentence
    assert "-f deploy/rbac/experiment.yaml" in found[0].mend


def test_a_permission_is_asked_for_once_however_many_experiments_need_it() -> None:
    """A gallery of experiments must not ask the server hundreds of times."""
    once: Any = Rights()
    list(permissions.permitted(context(once, experiments=(FLAGSHIP,))))
    twice: Any = Rights()
    list(permissions.permitted(context(twice, experiments=(FLAGSHIP, FLAGSHIP, CLAIM))))
    assert twice.asked <= once.asked + 3


def test_without_experiments_the_tiers_are_asked_for() -> None:
    """What only a fault needs is a warning: looking works."""
    api: Any = Rights(("update", "ciliumnetworkpolicies"))
    found = list(permissions.permitted(context(api)))
    assert [(one.what, one.level) for one in found] == [
        ("tier look", OK),
        ("tier experiment", WARN),
    ]
    assert sum(need.tier == "look" for need in NEEDS) > 5


@pytest.mark.parametrize("text", ["", "[]", "{", '{"method": []}', '"\\ud800"', "[" * 9999])
def test_a_file_that_is_no_experiment_is_unknown(tmp_path: Path, text: str) -> None:
    """And the next one is asked about all the same."""
    file = tmp_path / "odd.json"
    file.write_text(text)
    api: Any = Rights()
    found = list(permissions.permitted(context(api, experiments=(file, CLAIM))))
    assert [one.level for one in found] == [UNKNOWN, OK]


@pytest.mark.parametrize(
    ("operator", "verbs"),
    [
        ("ingress-from-nobody", {"ciliumnetworkpolicies": {"get", "update", "create"}}),
        ("object-deleted", {"ciliumnetworkpolicies": {"get", "delete", "create", "update"}}),
        (
            "pets/x:kind-made-clusterwide@metadata",
            {
                "ciliumnetworkpolicies": {"get", "delete", "create", "update"},
                "ciliumclusterwidenetworkpolicies": {"get", "create", "delete"},
            },
        ),
    ],
)
def test_what_a_fault_needs_follows_from_what_it_does(
    operator: str, verbs: dict[str, set[str]]
) -> None:
    """And restoring needs more than breaking."""
    fault = {"func": "inject_fault", "arguments": {"operator": operator}}
    needs = permissions.needs_of_experiment({"method": [{"provider": fault}]})
    by_change = [need for need in needs if need.by_change]
    assert {need.resource: set(need.verbs) for need in by_change} == verbs


# ---------------------------------------------------------------------- all of them


def broken(_: Context) -> Iterator[Finding]:
    """A check that meets what nobody thought of."""
    yield Finding(OK, "first", "said before")
    raise KeyError("canary")


def forbidden(_: Context) -> Iterator[Finding]:
    """A check that may not look."""
    raise Forbidden("secrets is forbidden", 403)
    yield


def test_a_check_that_fails_is_a_line_and_stops_no_other() -> None:
    """And what an unforeseen error quotes is not printed."""
    checks = (("a", broken), ("b", forbidden), ("c", cluster.stop))
    found = list(examine(context(a_cluster()), checks))
    assert [one.level for one in found] == [OK, UNKNOWN, UNKNOWN, OK]
    assert "canary" not in f"{found}"
    assert "who may" in found[2].mend


def test_a_detail_that_may_not_be_read_is_a_warning() -> None:
    """The tiers that are shipped do not read it, and a doctor in CI has no more than they."""
    found = list(examine(context(a_cluster()), (("Cilium's settings", forbidden),)))
    assert [one.level for one in found] == [WARN]


def test_without_a_cluster_every_other_check_still_answers() -> None:
    """One line says why, and nothing is asked in vain."""
    found = list(examine(Context("x", {}, "pets", unreachable="There is no kube context 'x'.")))
    assert found[0].level == MISSING
    assert found[0].sentence == "There is no kube context 'x'."
    names = {one.what for one in found}
    assert {name for name, _ in CHECKS} <= names | {"permissions", "scraping"}
    assert {one.level for one in found if one.what == "Grafana"} == {OK}


def test_a_context_without_a_connection_says_so() -> None:
    """Instead of an attribute that is None."""
    with pytest.raises(TargetError, match="cannot be asked"):
        _ = Context("x", {}, "pets").api


def test_a_path_is_read_once() -> None:
    """Its error, too."""
    api = a_cluster()
    seen = context(api)
    seen.read(CONFIG)
    api.refuse["GET", CONFIG] = ApiError("gone", 500)
    assert seen.read(CONFIG)["data"]["enable-hubble"] == "true"
