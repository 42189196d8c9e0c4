"""Which lab a run is given, and who watches it: only what was named for the lab."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from acns_chaos.cluster import labprocess
from acns_chaos.cluster.labprocess import LabProcess, join_or_start
from acns_chaos.cluster.prometheus import settings
from acns_chaos.errors import TargetError

PROMETHEUS, ALERTMANAGER = "ACNS_CHAOS_LAB_PROMETHEUS_URL", "ACNS_CHAOS_LAB_ALERTMANAGER_URL"
OWN = {settings.URL_VARIABLE: "http://127.0.0.1:1", "KUBECONFIG": "/kubeconfig"}
READY = {"world": "pets", "server": "https://127.0.0.1:1", "env": OWN}


@pytest.fixture
def up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lab is up."""
    found = SimpleNamespace(alive=True, ready=READY)
    monkeypatch.setattr(labprocess, "find_lab", lambda home: found)


@pytest.mark.usefixtures("up")
def test_a_cluster_s_prometheus_is_nobody_in_the_lab() -> None:
    """However it is exported: the lab's own is asked, and no Alertmanager."""
    elsewhere = {
        settings.URL_VARIABLE: "http://127.0.0.1:9090",
        settings.ALERTMANAGER_VARIABLE: "http://127.0.0.1:9093",
    }
    lab = join_or_start("pets", elsewhere)
    assert (lab.joined, lab.watched) == (True, False)
    assert lab.environ[settings.URL_VARIABLE] == OWN[settings.URL_VARIABLE]
    assert lab.environ[settings.ALERTMANAGER_VARIABLE] == ""


@pytest.mark.usefixtures("up")
def test_who_is_named_for_the_lab_watches_it() -> None:
    """Instead of its own; credentials of a cluster's stay out."""
    named = {PROMETHEUS: " http://localhost:9090 ", ALERTMANAGER: "http://[::1]:9093/am"}
    lab = join_or_start("pets", {**named, settings.TOKEN_VARIABLE: "secret"})
    assert lab.watched
    assert lab.environ[settings.URL_VARIABLE] == "http://localhost:9090"
    assert lab.environ[settings.ALERTMANAGER_VARIABLE] == "http://[::1]:9093/am"
    assert lab.environ[settings.TOKEN_VARIABLE] == ""
    assert lab.environ["KUBECONFIG"] == "/kubeconfig"
    assert not LabProcess(READY, None).watched


@pytest.mark.usefixtures("up")
@pytest.mark.parametrize("name", [PROMETHEUS, ALERTMANAGER])
@pytest.mark.parametrize(
    "address",
    [
        "https://prometheus.example",
        "http://10.0.0.1:9090",
        "http://bob:password@127.0.0.1:9090",
        "127.0.0.1:9090",
    ],
)
def test_what_is_elsewhere_cannot_watch_the_lab(name: str, address: str) -> None:
    """One sentence says which variable; it quotes no password."""
    with pytest.raises(TargetError, match=name) as caught:
        join_or_start("pets", {name: address})
    assert "password" not in str(caught.value)


def test_a_lab_that_a_run_starts_cannot_be_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows its ports before; everything would be taken to have been missed."""

    def never(*given: object, **more: object) -> None:
        raise AssertionError("a lab was started")

    monkeypatch.setattr(labprocess.subprocess, "Popen", never)
    environ = {"ACNS_CHAOS_LAB_HOME": str(tmp_path), PROMETHEUS: "http://127.0.0.1:9090"}
    with pytest.raises(TargetError, match=f"{PROMETHEUS} is set, and no lab is up: start one"):
        join_or_start("pets", environ)
