"""Checks of Cilium and of what AKS adds to it (ACNS): agents, settings, definitions, metrics.

Source of the facts: reference workshop-facts §3 (AKS) and cilium-semantics §11, captures "Metrics".
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from acns_chaos.cluster.pods import is_ready
from acns_chaos.errors import Forbidden, NotFound
from acns_chaos.evidence.doctor.drop_metric import listed, mended, unnamed_sides
from acns_chaos.evidence.doctor.finding import MISSING, OK, WARN, Check, Context, Finding
from acns_chaos.evidence.values import mapping, mappings

__all__ = ["CHECKS", "is_aks"]

_SYSTEM = "/api/v1/namespaces/kube-system"
_CONFIG = f"{_SYSTEM}/configmaps/cilium-config"
_SCRAPING = f"{_SYSTEM}/configmaps/ama-metrics-settings-configmap"
_FILTERS = "/apis/acn.azure.com/v1alpha1/containernetworkmetrics"
_WANTED = {"ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies", "ciliumendpoints"}
_ENABLE = "az aks update -g GROUP -n CLUSTER --enable-acns"
_HUBBLE_ON = "--set hubble.enabled=true --set hubble.relay.enabled=true"

# A tag that the chart has, too; images of others may be called anything.
_RELEASE = re.compile(r"\d+\.\d+\.\d+(-(rc|pre)\.\d+)?")
# As in `networkobservabilityHubble = "30s"`.
_JOB = re.compile(r"^\s*networkobservability(Cilium|Hubble)\s*=\s*\"?([^\"\s]*)", re.MULTILINE)


def is_aks(context: Context) -> bool:
    """Whether the nodes are AKS's; errors as `Api.get`."""
    return any(
        key.startswith("kubernetes.azure.com/")
        for node in _nodes(context)
        for key in mapping(mapping(node.get("metadata")).get("labels"))
    )


def agents(context: Context) -> Iterator[Finding]:
    """Does an agent run on every node?"""
    pods = [
        one for one in context.items(f"{_SYSTEM}/pods") if _labels(one).get("k8s-app") == "cilium"
    ]
    if not pods:
        text = "no Cilium agent runs in kube-system: nothing here enforces a CiliumNetworkPolicy"
        mend = "az aks update -g GROUP -n CLUSTER --network-dataplane cilium (or `cilium install`)"
        yield Finding(MISSING, "Cilium", text, mend)
        return
    ready = {_node(one) for one in pods if is_ready(one)}
    nodes = {str(one["metadata"]["name"]) for one in _nodes(context)}
    without = sorted((nodes or {_node(one) for one in pods}) - ready)
    if not without:
        among = "" if nodes else " that has one (nodes may not be listed)"
        yield Finding(OK, "Cilium", f"a Ready agent on each of {len(ready)} node(s){among}")
        return
    text = (
        f"no Ready agent on {_some(without)}: policy written now is not enforced there, and its "
        "flows are not seen"
    )
    mend = "kubectl -n kube-system get pods -l k8s-app=cilium -o wide"
    yield Finding(WARN if ready else MISSING, "Cilium", text, mend)


def settings(context: Context) -> Iterator[Finding]:
    """Are the agents' settings such that policy means what it says?"""
    try:
        config = mapping(context.read(_CONFIG).get("data"))
    except NotFound:
        text = "there is no ConfigMap kube-system/cilium-config: Cilium's defaults are taken"
        yield Finding(WARN, "Cilium's settings", text, "kubectl -n kube-system get configmaps")
        return
    wrong = list(_unfit(config))
    yield from wrong
    if not any(one.level == MISSING for one in wrong):
        shown = ", ".join(
            f"{key}={config[key] or 'none'}"
            for key in (
                "enable-policy",
                "policy-cidr-match-mode",
                "enable-l7-proxy",
                "tofqdns-dns-reject-response-code",
                "tofqdns-min-ttl",
            )
            if key in config
        )
        yield Finding(OK, "Cilium's settings", f"policy is enforced: {shown or 'all defaults'}")


def _unfit(config: Mapping[str, str]) -> Iterator[Finding]:
    """The settings under which an experiment would prove nothing, or something else."""
    what, edit = "Cilium's settings", "kubectl -n kube-system edit configmap cilium-config"
    mode = str(config.get("enable-policy") or "default").lower()
    if mode == "never":
        text = "enable-policy is never: no policy is enforced, so no fault can bite"
        yield Finding(MISSING, what, text, f"{edit} (enable-policy: default)")
    elif mode == "always":
        text = "enable-policy is always: what no policy selects is denied as well"
        yield Finding(WARN, what, text)
    if _on(config, "policy-audit-mode"):
        text = "policy-audit-mode is on: what policy denies passes all the same, and is only logged"
        yield Finding(MISSING, what, text, f"{edit} (policy-audit-mode: 'false')")
    if "nodes" in str(config.get("policy-cidr-match-mode") or ""):
        text = (
            "policy-cidr-match-mode has nodes: rules by prefix also match nodes, which the engine "
            "here does not model"
        )
        yield Finding(WARN, what, text)
    if str(config.get("policy-deny-response") or "none") != "none":
        text = (
            f"policy-deny-response is {config['policy-deny-response']}: a denied client is told at "
            "once, so probes that expect silence may read it otherwise"
        )
        yield Finding(WARN, what, text)


def definitions(context: Context) -> Iterator[Finding]:
    """Does the API server know the kinds of policy?"""
    try:
        served = mappings(context.read("/apis/cilium.io/v2").get("resources"))
    except NotFound:
        served = ()
    lacking = sorted(_WANTED - {str(one.get("name")) for one in served})
    if not lacking:
        yield Finding(OK, "definitions", "cilium.io/v2 is served with every kind of policy")
        return
    text = f"the API server does not know {', '.join(lacking)} of cilium.io/v2"
    mend = "kubectl -n kube-system rollout restart deployment cilium-operator (it writes them)"
    yield Finding(MISSING, "definitions", text, mend)


def hubble_on(context: Context) -> Iterator[Finding]:
    """Do the agents see flows, and count drops by pod?"""
    what = "ACNS" if is_aks(context) else "Hubble"
    try:
        config = mapping(context.read(_CONFIG).get("data"))
    except NotFound:
        return

    def mend(values: str) -> str:
        return _ENABLE if what == "ACNS" else _upgrade(context, values)

    if not _on(config, "enable-hubble"):
        text = "Hubble is off (enable-hubble): nobody sees flows, and no drop is counted by pod"
        yield Finding(MISSING, what, text, mend(_HUBBLE_ON))
        return
    metrics = listed(config)
    names = ", ".join(metrics) or "none"
    if "drop" not in metrics:
        text = f"Hubble counts no drops (hubble-metrics: {names})"
        yield Finding(MISSING, what, text, mend(mended(metrics)))
    elif sides := unnamed_sides(metrics["drop"]):
        text = (
            f"Hubble counts drops without saying whose ({metrics['drop']} in hubble-metrics writes "
            f"no namespace/name as {' and '.join(sides)}): that a pod had none cannot be told"
        )
        yield Finding(WARN, what, text, mend(mended(metrics)))
    else:
        yield Finding(OK, what, f"Hubble is on and counts {names}")


def filtered(context: Context) -> Iterator[Finding]:
    """Does a ContainerNetworkMetric keep drops from being counted at their source?"""
    try:
        there = context.items(_FILTERS)
    except NotFound:
        yield Finding(OK, "metric filters", "no ContainerNetworkMetric: nothing is filtered")
        return
    for one in there:
        name = str(mapping(one.get("metadata")).get("name"))
        filters = mappings(mapping(one.get("spec")).get("filters"))
        metrics = sorted({str(f.get("metric")) for f in filters if f.get("metric")})
        if metrics and "drop" not in metrics:
            continue
        text = (
            f"ContainerNetworkMetric {name} filters {', '.join(metrics) or 'metrics'} at the "
            f"source: drops of namespace {context.namespace} may never be counted"
        )
        mend = f"kubectl edit containernetworkmetric {name} (let drop of {context.namespace} pass)"
        yield Finding(WARN, "metric filters", text, mend)
        return
    yield Finding(OK, "metric filters", "no ContainerNetworkMetric filters drops")


def scraped(context: Context) -> Iterator[Finding]:
    """Is AKS told to scrape the nodes' network metrics, and how often?"""
    if not is_aks(context):
        return
    what = "scraping"
    try:
        data = " \n".join(str(v) for v in mapping(context.read(_SCRAPING).get("data")).values())
    except NotFound:
        text = "AKS's defaults (no ama-metrics-settings-configmap): drops are kept, every 30 s"
        yield Finding(OK, what, text)
        return
    told = re.findall(
        r"^\s*networkobservability(Cilium|Hubble)\s*=\s*\"?([^\"\s]*)", data, re.MULTILINE
    )
    off = sorted({job for job, said in told if said.lower() == "false"})
    if off:
        jobs = ", ".join(f"networkobservability{job}" for job in off)
        text = f"ama-metrics-settings-configmap switches {jobs} off: no drop reaches Prometheus"
        mend = "kubectl -n kube-system edit configmap ama-metrics-settings-configmap (set to true)"
        yield Finding(MISSING, what, text, mend)
        return
    every = [said for _, said in told if re.fullmatch(r"\d+[smh]", said)]
    text = f"network metrics are scraped{' every ' + ' or '.join(every) if every else ''}"
    yield Finding(OK, what, text)


def _upgrade(context: Context, values: str) -> str:
    """Change values of Cilium's chart, and not its version with them."""
    version = context.target.cilium_version if context.target else ""
    stay = f" --version {version}" if _RELEASE.fullmatch(version) else ""
    return f"cilium upgrade{stay} {values}"


def _nodes(context: Context) -> list[dict[str, Any]]:
    """The nodes; none when this account may not list them, which no experiment needs."""
    try:
        return context.items("/api/v1/nodes")
    except Forbidden:
        return []


def _on(config: Mapping[str, str], option: str) -> bool:
    return str(config.get(option) or "").lower() == "true"


def _labels(one: Mapping[str, object]) -> Mapping[str, object]:
    return mapping(mapping(one.get("metadata")).get("labels"))


def _node(pod: Mapping[str, object]) -> str:
    return str(mapping(pod.get("spec")).get("nodeName") or "?")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


CHECKS: tuple[tuple[str, Check], ...] = (
    ("Cilium", agents),
    ("Cilium's settings", settings),
    ("definitions", definitions),
    ("Hubble", hubble_on),
    ("metric filters", filtered),
    ("scraping", scraped),
)
