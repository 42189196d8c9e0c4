"""Azure Managed Grafana: what `azure-identity` really sends, against two stand-ins."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from azure_stand_in import ASSERTION, CLIENT, TENANT, Azure, azure_stand_in

from acns_chaos.cluster.grafana import Annotation, Grafana, grafana_settings
from acns_chaos.errors import ApiError
from tests.lab.grafana_stand_in import StandIn, grafana_stand_in

pytestmark = pytest.mark.slow
SCOPE = "ce34e7e5-485f-4d76-964f-b3d2b16d1e4f/.default"
START = Annotation(1795424400000, None, ("start",), "begins")


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """Who hands out tokens for Grafana, and a pod with a workload identity."""
    with azure_stand_in(tmp_path) as found:
        found.scope = SCOPE
        for name, value in {
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_TENANT_ID": TENANT,
            "AZURE_FEDERATED_TOKEN_FILE": str(found.folder / "assertion"),
            "AZURE_AUTHORITY_HOST": found.entra,
            "REQUESTS_CA_BUNDLE": str(found.folder / "ca.pem"),
        }.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def grafana(azure: Azure) -> Iterator[StandIn]:
    """A Grafana that accepts the tokens of that authority, and no other."""
    with grafana_stand_in() as found:
        # Another view of the same keys: what is handed out later is accepted, too.
        found.tokens = azure.issued.keys()  # type: ignore[assignment]
        yield found


def opened(grafana: StandIn, **more: str) -> Grafana:
    """Open it as a pod."""
    given = {"URL": grafana.url, "AUTH": "azure:workload", **more}
    environ = {f"ACNS_CHAOS_GRAFANA_{name}": text for name, text in given.items()}
    return Grafana(grafana_settings(environ, {}))


def test_a_pod_signs_in_at_grafana_with_its_workload_identity(
    azure: Azure, grafana: StandIn
) -> None:
    """Grafana's scope goes to the authority, the token to Grafana; one token serves a run."""
    client = opened(grafana)
    number = client.add(START)
    client.change(number, START)
    client.close()

    (asked,) = azure.asked("/oauth2/v2.0/token")
    assert (asked["scope"], asked["client_assertion"]) == (SCOPE, ASSERTION)
    (token,) = azure.issued
    assert [sent for _, _, _, sent in grafana.heard] == [f"Bearer {token}"] * 2


def test_a_scope_that_the_authority_does_not_know_is_one_sentence(
    azure: Azure, grafana: StandIn
) -> None:
    """It says whose token could not be had and what was said; Grafana is not asked."""
    client = opened(grafana, SCOPE="https://elsewhere.example/.default")
    with pytest.raises(ApiError, match="token for Azure Managed Grafana could be had") as met:
        client.add(START)
    client.close()

    assert "scope is not valid" in str(met.value)
    assert grafana.heard == []
