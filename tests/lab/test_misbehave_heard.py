"""Requests that a lab lists, and how a test picks one of them and keeps it waiting."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from misbehaving import MisbehavingLab, eventually, misbehaving_lab

MAPS = "/api/v1/namespaces/pets/configmaps"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MisbehavingLab]:
    """One lab for all tests of this module."""
    with misbehaving_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def lab(process: MisbehavingLab) -> Iterator[MisbehavingLab]:
    """The lab, well again after each test."""
    yield process
    process.clear()


@pytest.fixture(scope="module")
def pool() -> Iterator[urllib3.PoolManager]:
    """Connections to the lab."""
    with urllib3.PoolManager(cert_reqs="CERT_NONE", assert_hostname=False, retries=False) as found:
        yield found


def ask(
    pool: urllib3.PoolManager, lab: MisbehavingLab, method: str, path: str, **more: Any
) -> urllib3.BaseHTTPResponse:
    """Send a request to the API."""
    config = yaml.safe_load(Path(lab.ready["kubeconfig"]).read_text())
    headers = {
        "Authorization": f"Bearer {config['users'][0]['user']['token']}",
        "Content-Type": "application/json",
        "User-Agent": "test/1",
    }
    return pool.request(method, lab.ready["server"] + path, headers=headers, timeout=5.0, **more)


def a_map(name: str) -> str:
    """A ConfigMap."""
    metadata = {"name": name, "namespace": "pets"}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
class TestRequests:
    """What the control endpoint tells of requests."""

    def test_requests_are_listed_once_somebody_wants_them(
        self, lab: MisbehavingLab, pool: urllib3.PoolManager
    ) -> None:
        """Each with what an order chooses by; none from before, and none when it is over."""
        ask(pool, lab, "GET", f"{MAPS}/before")
        assert lab.control._ask("GET", "/requests") == {"requests": []}
        lab.control._ask("POST", "/requests")
        ask(pool, lab, "GET", f"{MAPS}/one")
        ask(pool, lab, "POST", f"{MAPS}?dryRun=All", body=a_map("two"))
        listed = lab.control._ask("GET", "/requests")["requests"]
        mine = [one for one in listed if one["user_agent"] == "test/1"]
        assert [(one["verb"], one["name"], one["dry_run"]) for one in mine] == [
            ("get", "one", False),
            ("create", "", True),
        ]
        assert mine[0]["path"] == f"{MAPS}/one"
        assert mine[0]["resource"] == "configmaps"
        assert mine[0]["namespace"] == "pets"
        lab.control._ask("DELETE", "/requests")
        ask(pool, lab, "GET", f"{MAPS}/after")
        assert lab.control._ask("GET", "/requests") == {"requests": []}

    def test_a_star_in_a_name_stands_for_anything(
        self, lab: MisbehavingLab, pool: urllib3.PoolManager
    ) -> None:
        """One order meets names that nobody knows beforehand."""
        number = lab.inject("503", resource="configmaps", name="run-*-f1")
        assert ask(pool, lab, "GET", f"{MAPS}/run-4711-f1").status == 503
        assert ask(pool, lab, "GET", f"{MAPS}/run-4711-f12").status == 404
        assert lab.struck(number) == 1

    def test_not_found_is_said_of_what_is_there(
        self, lab: MisbehavingLab, pool: urllib3.PoolManager
    ) -> None:
        """The words are those of a real server."""
        ask(pool, lab, "POST", MAPS, body=a_map("there"))
        lab.inject("404", resource="configmaps", count=1)
        answer = ask(pool, lab, "GET", f"{MAPS}/there")
        assert answer.status == 404
        assert json.loads(answer.data)["message"] == 'configmaps "there" not found'
        assert ask(pool, lab, "GET", f"{MAPS}/there").status == 200

    def test_a_request_is_done_and_never_answered(
        self, lab: MisbehavingLab, pool: urllib3.PoolManager
    ) -> None:
        """The object is there while its creator still waits."""
        number = lab.inject("hang-after", verbs=["create"], resource="configmaps", count=1)
        with pytest.raises(urllib3.exceptions.HTTPError):
            pool.request(
                "POST",
                lab.ready["server"] + MAPS,
                headers=_headers(lab),
                body=a_map("silent"),
                timeout=0.5,
            )
        assert f"POST {MAPS} was answered 201, unheard" in lab.about(number)["notes"]
        assert ask(pool, lab, "GET", f"{MAPS}/silent").status == 200
        lab.clear()
        assert eventually(lambda: lab.about(number)["ended"])


def _headers(lab: MisbehavingLab) -> dict[str, str]:
    config = yaml.safe_load(Path(lab.ready["kubeconfig"]).read_text())
    token = config["users"][0]["user"]["token"]
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
