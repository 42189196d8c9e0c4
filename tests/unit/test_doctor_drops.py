"""The doctor on what a run's evidence hangs on: named drops, the way to the shop, the janitor."""

import shlex
from typing import Any

import pytest

from acns_chaos.cluster.target import Target
from acns_chaos.evidence.doctor import MISSING, OK, WARN, Context, Finding, cilium, cluster, shop
from tests.unit.fakes import FakeApi

CONFIG = "/api/v1/namespaces/kube-system/configmaps/cilium-config"
BOTH = "sourceEgressContext=pod;destinationIngressContext=pod"
URL = "ACNS_CHAOS_STOREFRONT_URL"


def context(metrics: str = "", kind: str = "cluster", version: str = "1.19.4") -> Context:
    """A cluster that is not AKS, with this list of Hubble's metrics."""
    api: Any = FakeApi()
    api.lists["/api/v1/nodes"] = [{"metadata": {"name": "n1"}}]
    api.objects[CONFIG] = {"data": {"enable-hubble": "true", "hubble-metrics": metrics}}
    target = Target(kind, "kind-shop", api.server, "uid", "pets", version, "v1.33.5")
    return Context("kind-shop", {}, "pets", connection=api, target=target)


def told(metrics: str) -> Finding:
    """What is said of a list of metrics."""
    (found,) = cilium.hubble_on(context(metrics))
    return found


@pytest.mark.parametrize(
    "options",
    [
        BOTH,
        "sourceContext=pod;destinationContext=pod",
        "sourceContext=workload|reserved-identity;destinationContext=workload|reserved-identity",
        "sourceContext=reserved-identity|pod;destinationContext=Pod",
        "sourceContext=app;sourceEgressContext=workload;destinationContext=pod",
        f"{BOTH};labelsContext=source_namespace,destination_namespace",
    ],
)
def test_contexts_that_write_namespace_and_name_are_ok(options: str) -> None:
    """Pod and workload, at the side that is asked about, and before anything else that speaks."""
    assert told(f"drop:{options} tcp").level == OK


@pytest.mark.parametrize(
    ("options", "sides"),
    [
        ("", "source and destination"),
        ("labelsContext=source_pod,destination_pod", "source and destination"),
        ("sourceContext=app;destinationContext=app", "source and destination"),
        ("sourceContext=pod-name;destinationContext=workload-name", "source and destination"),
        ("sourceContext=workload-name|pod;destinationContext=pod", "source"),
        ("sourceContext=ip;destinationContext=identity", "source and destination"),
        ("sourceContext=namespace;destinationContext=dns|pod", "source and destination"),
        ("sourceEgressContext=pod", "destination"),
        ("sourceIngressContext=pod;destinationIngressContext=pod", "source"),
        ("sourceContext=pod;sourceEgressContext=app;destinationContext=pod", "source"),
        ("sourceContext=reserved-identity;destinationContext=pod", "source"),
        ("sourceegresscontext=app;destinationContext=pod", "source"),
        ("sourceContext=it's;destinationContext=pod", "source"),
    ],
)
def test_contexts_that_the_counters_query_never_matches_are_warned_of(
    options: str, sides: str
) -> None:
    """A label of any other kind answers every question about a pod with nothing."""
    found = told(f"drop:{options} tcp" if options else "drop tcp")
    assert found.level == WARN
    assert f"no namespace/name as {sides}):" in found.sentence
    metrics = inside(found)
    assert told(" ".join(metrics)).level == OK, metrics


def inside(found: Finding) -> list[str]:
    """The list of metrics that Helm makes of a mend."""
    command = shlex.split(found.mend)
    assert command[:5] == ["cilium", "upgrade", "--version", "1.19.4", "--set"], command
    assert len(command) == 6
    value = command[5].removeprefix("hubble.metrics.enabled={").removesuffix("}")
    return [one.replace("\0", ",") for one in value.replace("\\,", "\0").split(",")]


def test_the_command_keeps_everybody_elses_metrics() -> None:
    """`--set` replaces the whole list, so the whole list is printed, commas and options with it."""
    http = "httpV2:exemplars=true;labelsContext=source_ip,source_namespace"
    found = told(f"dns:query;ignoreAAAA drop:sourceContext=app;labelsContext=source_ip tcp {http}")
    assert inside(found) == [
        "dns:query;ignoreAAAA",
        f"drop:sourceContext=app;labelsContext=source_ip;{BOTH}",
        "tcp",
        http,
    ]


@pytest.mark.parametrize(
    ("metrics", "mended"),
    [
        ("", ["dns", f"drop:{BOTH}", "tcp", "flow", "icmp"]),
        ("flow icmp", ["flow", "icmp", f"drop:{BOTH}"]),
        ("icmp", ["icmp", f"drop:{BOTH}", "tcp"]),
    ],
)
def test_drops_that_are_not_counted_are_added_to_what_is(metrics: str, mended: list[str]) -> None:
    """With a metric beside them that shows a scrape without any drop."""
    found = told(metrics)
    assert found.level == MISSING
    assert inside(found) == mended


@pytest.mark.parametrize("version", ["", "latest", "1.19.4-250101", "1.19.4; reboot"])
def test_a_command_names_no_version_that_the_chart_may_not_have(version: str) -> None:
    """A release it names, because `cilium upgrade` alone would take the next one."""
    (found,) = cilium.hubble_on(context("drop", version=version))
    assert found.mend.startswith("cilium upgrade --set ")


def test_what_the_list_holds_moves_no_cursor() -> None:
    """It is printed, and pasted into a shell."""
    found = told("drop:sourceContext=\x1b[2J';reboot;' tcp")
    assert f"{found}".isprintable()
    assert len(inside(found)) == 3


# ---------------------------------------------------------------------- the shop


def way(url: str | None, kind: str = "cluster") -> Finding:
    """What is said of an address of the shop."""
    asked = context(kind=kind)
    environ = {} if url is None else {URL: url}
    (found,) = shop.asked_where_policy_is(
        Context("x", environ, "pets", connection=asked.connection, target=asked.target)
    )
    return found


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080", "http://localhost:8080/", "http://[::1]:80", "http://0.0.0.0:8080",
        "https://shop.localhost",
    ],
)  # fmt: skip
def test_a_shop_behind_a_port_forward_is_warned_of(url: str) -> None:
    """It ends inside the pod's own network, so every fault would end as NOT_INJECTED."""
    found = way(url)
    assert found.level == WARN
    assert "no policy is asked" in found.sentence
    assert f"unset {URL}" in found.mend
    assert way(url, "lab").level == OK


@pytest.mark.parametrize("url", [None, "", "http://20.1.2.3", "https://me:canary@shop.example.org"])
def test_other_ways_to_the_shop_are_ok(url: str | None) -> None:
    """And no password of an address is printed."""
    found = way(url)
    assert found.level == OK
    assert "canary" not in f"{found}"


@pytest.mark.parametrize("url", ["http://[::1", "shop"])
def test_an_address_that_is_none_is_missing(url: str) -> None:
    """A run would ask it in vain."""
    assert way(url).level == MISSING


# ---------------------------------------------------------------------- the janitor


def test_a_janitor_whose_image_nobody_has_is_thought_of() -> None:
    """Applied again it would not run either: the mend says where to look and what to give it."""
    (found,) = cluster.janitor(context())
    assert found.level == WARN
    assert "kubectl -n acns-chaos get pods" in found.mend
    image = "set image cronjob/acns-chaos-janitor-pets janitor=IMAGE"
    assert f"kubectl -n acns-chaos {image}" in found.mend
