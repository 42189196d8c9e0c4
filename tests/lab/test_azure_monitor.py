"""Azure Monitor managed Prometheus: what `azure-identity` really sends, against a stand-in."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from azure_stand_in import (
    ASSERTION,
    AUDIENCE,
    CLIENT,
    IDENTITY_HEADER,
    TENANT,
    Azure,
    azure_stand_in,
)

from acns_chaos.cluster.prometheus import Node, Nodes, Prometheus, prometheus_from
from acns_chaos.errors import ApiError, Forbidden
from acns_chaos.evidence import counters
from acns_chaos.evidence.counters import Bounds, counter_named, read_counter

pytestmark = pytest.mark.slow


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    """A workspace, and who hands out tokens for it."""
    with azure_stand_in(tmp_path) as found:
        yield found


@pytest.fixture
def pod(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a pod with a workload identity, as its webhook makes one."""
    for name, value in {
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_TENANT_ID": TENANT,
        "AZURE_FEDERATED_TOKEN_FILE": str(azure.folder / "assertion"),
        "AZURE_AUTHORITY_HOST": azure.entra,
        "REQUESTS_CA_BUNDLE": str(azure.folder / "ca.pem"),
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def machine(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a machine with a managed identity."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{azure.workspace}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", IDENTITY_HEADER)


@pytest.fixture
def logged_in(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a person who did `az login`."""
    monkeypatch.setenv("PATH", f"{azure.folder / 'bin'}{os.pathsep}{os.environ['PATH']}")


def environ(azure: Azure, auth: str = "azure") -> dict[str, str]:
    """Name the workspace."""
    return {
        "ACNS_CHAOS_PROMETHEUS_URL": azure.workspace,
        "ACNS_CHAOS_PROMETHEUS_AUTH": auth,
        "ACNS_CHAOS_PROMETHEUS_CLUSTER": "pets-aks",
    }


def opened(azure: Azure, auth: str = "azure") -> Prometheus:
    """Open the workspace."""
    return prometheus_from(None, environ(azure, auth))


@pytest.mark.usefixtures("pod")
def test_a_pod_signs_in_with_its_workload_identity(azure: Azure) -> None:
    """Its own token and Azure Monitor's scope go to the authority, the answer to the workspace."""
    azure.scrape(1)
    assert opened(azure, "azure:workload").instant("hubble_tcp_flags_total")
    (asked,) = azure.asked("/oauth2/v2.0/token")
    assert asked["scope"] == f"{AUDIENCE}/.default"
    assert asked["client_assertion"] == ASSERTION
    assert azure.refused == []


@pytest.mark.usefixtures("machine")
def test_a_machine_signs_in_with_its_managed_identity(azure: Azure) -> None:
    """The resource is Azure Monitor's."""
    azure.scrape(1)
    assert opened(azure, "azure:managed").instant("hubble_tcp_flags_total")
    assert azure.asked("/msi/token")[-1]["resource"] == AUDIENCE
    assert azure.refused == []


@pytest.mark.usefixtures("logged_in")
def test_a_person_signs_in_with_az(azure: Azure) -> None:
    """`az account get-access-token` for the resource; once, however much is asked."""
    azure.scrape(1)
    prometheus = opened(azure, "azure:cli")
    assert prometheus.instant("hubble_tcp_flags_total")
    assert prometheus.instant("cilium_forward_count_total")
    assert len(azure.asked("/cli")) == 1


@pytest.mark.usefixtures("logged_in", "machine")
def test_without_a_word_the_sources_are_tried_in_turn(azure: Azure) -> None:
    """No pod's identity here: the person's comes before the machine's."""
    azure.scrape(1)
    assert opened(azure).instant("hubble_tcp_flags_total")
    assert azure.asked("/cli")
    assert not azure.asked("/msi/token")


@pytest.mark.usefixtures("pod")
def test_a_token_is_renewed_before_it_expires(
    azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four minutes before its end there is a new one, though the old one would still do."""
    real, ahead = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: real() + ahead)
    prometheus = opened(azure)
    for ahead, tokens in ((0.0, 1), (1800.0, 1), (3360.0, 2), (3900.0, 2)):
        azure.scrape(1)
        assert prometheus.instant("hubble_tcp_flags_total"), ahead
        assert len(azure.issued) == tokens, ahead
    assert azure.refused == []
    assert prometheus.notes == []


@pytest.mark.usefixtures("pod")
def test_a_token_that_is_refused_is_renewed_once(azure: Azure) -> None:
    """The evidence says so; a second refusal is an error without the token in it."""
    azure.scrape(1)
    prometheus = opened(azure)
    assert prometheus.instant("hubble_tcp_flags_total")
    azure.revoke()
    assert prometheus.instant("hubble_tcp_flags_total")
    assert "asked again with a new one" in prometheus.notes[0]
    azure.issued = {}
    azure.token = lambda: {"token_type": "Bearer", "access_token": "forged", "expires_in": 3600}  # type: ignore[method-assign]
    with pytest.raises(Forbidden, match="azure credentials") as refused:
        prometheus.instant("hubble_tcp_flags_total")
    assert "forged" not in str(refused.value)


@pytest.mark.usefixtures("pod")
def test_a_role_that_lacks_is_named(azure: Azure) -> None:
    """The token is good, and the identity may not read."""
    azure.forbidden = True
    with pytest.raises(Forbidden, match="Monitoring Data Reader"):
        opened(azure).instant("hubble_tcp_flags_total")


@pytest.mark.usefixtures("pod")
def test_a_busy_workspace_is_asked_again_when_it_says(azure: Azure) -> None:
    """Twice at most, as `Retry-After` says, and noted."""
    azure.scrape(1)
    prometheus = opened(azure)
    azure.busy = ["0", "1"]
    began = time.monotonic()
    assert prometheus.instant("hubble_tcp_flags_total")
    assert time.monotonic() - began >= 1.0
    assert [note.rpartition("asked ")[2] for note in prometheus.notes] == [
        "again after 1 s",
        "again after 0 s",
    ]
    azure.busy = ["0"] * 3
    with pytest.raises(ApiError, match="too busy"):
        prometheus.instant("hubble_tcp_flags_total")


def test_no_identity_is_one_sentence(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a pod's nor a person's: it says what was tried."""
    monkeypatch.setenv("PATH", str(azure.folder))
    with pytest.raises(ApiError, match="No Microsoft Entra token") as refused:
        opened(azure, "azure:cli").instant("hubble_tcp_flags_total")
    assert "Azure CLI not found" in str(refused.value)
    with pytest.raises(ApiError, match="workload"):
        opened(azure, "azure:workload").instant("hubble_tcp_flags_total")
    assert azure.heard == []


@pytest.mark.usefixtures("pod")
def test_an_authority_that_refuses_is_one_sentence(
    azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reason is told, and the pod's token is not."""
    (azure.folder / "assertion").write_text("an-expired-assertion")
    with pytest.raises(ApiError, match="AADSTS70011") as refused:
        opened(azure, "azure:workload").instant("hubble_tcp_flags_total")
    assert "an-expired-assertion" not in str(refused.value)
    assert "\n" not in str(refused.value)


# ---------------------------------------------------------------------- what is asked


def count(azure: Azure, monkeypatch: pytest.MonkeyPatch, bounds: Bounds, name: str) -> Any:
    """Read the storefront's drops from the workspace."""
    prometheus = opened(azure)
    monkeypatch.setattr(prometheus, "_nodes", Nodes([Node("node-0")]))
    monkeypatch.setattr(counters, "prometheus_from", lambda api, given: prometheus)
    counter = counter_named(name, "pets", "store-front", "ingress")
    api: Any = None
    return read_counter(api, environ(azure), counter, "drops", "", 4.5, bounds, 0.0)


def scrapes(azure: Azure, before: float, after: float) -> None:
    """Scrape every second, and let drops come in the last two."""
    labels = {"destination": "pets/store-front-1", "reason": "POLICY_DENIED"}
    kernel = {"reason": "Policy denied", "direction": "INGRESS"}
    for ago in range(9, 0, -1):
        value = after if ago < 3 else before
        azure.scrape(
            ago,
            ("hubble_drop_total", labels, value),
            ("cilium_drop_count_total", kernel, value),
        )


@pytest.mark.usefixtures("pod")
@pytest.mark.parametrize("name", ["hubble", "node"])
def test_drops_are_counted_in_any_casing_one_metric_at_a_time(
    azure: Azure, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Every query is within the limits, and what comes back in odd casing counts."""
    scrapes(azure, 4.0, 6.0)
    told = count(azure, monkeypatch, Bounds(at_least=1), name)
    assert (told["reading"], told["count"], told["met"]) == ("COUNTED", 2.0, True)
    # Its clock has no metric, so it cannot be compared, and the evidence says so.
    assert azure.refused == ["one metric"]
    assert told["evidence"]["clock_ahead"] is None
    queries = [given["query"] for given in azure.asked("/api/v1/query")]
    assert all('cluster="pets-aks"' in query for query in queries if query != "time()")


@pytest.mark.usefixtures("pod")
def test_a_quiet_workspace_is_a_zero(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a zero has to prove can be asked within the limits, too."""
    scrapes(azure, 4.0, 4.0)
    told = count(azure, monkeypatch, Bounds(at_most=0), "hubble")
    assert (told["reading"], told["met"]) == ("COUNTED", True), told


@pytest.mark.usefixtures("pod")
def test_a_workspace_that_is_busy_for_long_is_unknown(
    azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for an hour, and no zero is made of it."""
    azure.busy = ["3600"] * 3
    told = count(azure, monkeypatch, Bounds(at_most=0), "hubble")
    assert (told["reading"], told["met"]) == ("UNKNOWN", None)
    assert "3600 s" in told["sentence"]


# ---------------------------------------------------------------------- the stand-in, and imports


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("up", 200),
        ("max by (a) (timestamp(up))", 200),
        ('{__name__=~"hubble_.*"}', 422),
        ("up / on (a) down", 422),
        ("time()", 422),
    ],
)
def test_the_stand_in_wants_one_metric(azure: Azure, query: str, status: int) -> None:
    """Of each query; so a test against it says something."""
    sent = {"Authorization": f"Bearer {azure.token()['access_token']}"}
    path = f"{azure.workspace}/api/v1/query"
    assert requests.get(path, {"query": query}, headers=sent, timeout=5).status_code == status


def test_the_stand_in_knows_its_tokens(azure: Azure) -> None:
    """None, a foreign one and an expired one are 401; a wrong scope gets none."""
    path = f"{azure.workspace}/api/v1/query"
    token = azure.token()["access_token"]
    azure.issued[token] = time.time() - 1
    for sent in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {token}"}):
        assert requests.get(path, {"query": "up"}, headers=sent, timeout=5).status_code == 401
    assert (
        azure.for_machine({"resource": "https://management.azure.com"}, IDENTITY_HEADER)[0] == 400
    )
    assert azure.for_pod(TENANT, {"scope": "https://management.azure.com/.default"})[0] == 400


def test_nothing_imports_azure_unless_asked() -> None:
    """Every module is imported, a plain Prometheus is asked: no part of Azure's library comes."""
    code = """
import importlib, pkgutil, sys
import acns_chaos
for one in pkgutil.walk_packages(acns_chaos.__path__, "acns_chaos."):
    if ".lab." not in one.name and not one.name.endswith("__main__"):
        importlib.import_module(one.name)
from acns_chaos.cluster.prometheus import Prometheus
from acns_chaos.errors import ApiError
for url, auth in (("http://127.0.0.1:9", "none"), ("https://127.0.0.1:9", "basic")):
    given = {"ACNS_CHAOS_PROMETHEUS_URL": url, "ACNS_CHAOS_PROMETHEUS_AUTH": auth}
    if auth == "basic":
        given |= {"ACNS_CHAOS_PROMETHEUS_USERNAME": "a", "ACNS_CHAOS_PROMETHEUS_PASSWORD": "b"}
    try:
        Prometheus.from_environ(given).instant("up")
    except ApiError as error:
        assert "connection refused" in str(error), error
assert "requests" in sys.modules
print(sorted(name for name in sys.modules if name.partition(".")[0] in ("azure", "msal")))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_without_the_extra_the_sentence_says_what_to_install(
    azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """azure-identity is optional."""
    monkeypatch.setitem(sys.modules, "azure.core.exceptions", None)
    with pytest.raises(ApiError, match=r"acns-chaos\[azure\]"):
        opened(azure).instant("up")
