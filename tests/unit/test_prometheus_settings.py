"""How one signs in at Prometheus: what the environment says, and that no secret is ever shown."""

import base64
import pickle
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.cluster.labprocess import LabProcess
from acns_chaos.cluster.prometheus import settings
from acns_chaos.cluster.prometheus.credentials import Basic, Bearer, Secret
from acns_chaos.cluster.prometheus.settings import settings_from
from acns_chaos.errors import ApiError

CANARY = "canary-7f3a91"
HTTPS = "https://prometheus.example"


def environ(**more: str) -> dict[str, str]:
    """Name a Prometheus, and variables without their common beginning."""
    found = {"URL": HTTPS, **more}
    return {f"ACNS_CHAOS_PROMETHEUS_{name}": text for name, text in found.items()}


def header(**more: str) -> str:
    """Return what is sent."""
    return settings_from(environ(**more)).credentials.header()


def test_each_way_to_sign_in_makes_its_header(tmp_path: Path) -> None:
    """None, basic, bearer, a token in a file, and a user in the address."""
    (tmp_path / "token").write_text("from-a-file\n")
    pair = base64.b64encode(b"alice:p s").decode()
    assert header() == ""
    assert header(AUTH="none") == ""
    assert header(AUTH="basic", USERNAME="alice", PASSWORD="p s") == f"Basic {pair}"
    assert header(AUTH="bearer", TOKEN="abc") == "Bearer abc"
    assert header(AUTH="bearer", TOKEN_FILE=str(tmp_path / "token")) == "Bearer from-a-file"
    assert header(URL="https://alice:p%20s@prometheus.example/") == f"Basic {pair}"
    assert settings_from(environ(AUTH="azure:cli")).credentials.kind == "azure"


def test_a_token_file_is_read_for_every_request(tmp_path: Path) -> None:
    """The kubelet writes a new one there before the old one expires."""
    file = tmp_path / "token"
    file.write_text("first")
    credentials = settings_from(environ(AUTH="bearer", TOKEN_FILE=str(file))).credentials
    assert credentials.header() == "Bearer first"
    file.write_text("second")
    assert credentials.header() == "Bearer second"
    assert credentials.hide("it said second") == "it said ***"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"TOKEN": CANARY}, "set ACNS_CHAOS_PROMETHEUS_AUTH to bearer"),
        ({"PASSWORD": CANARY}, "set ACNS_CHAOS_PROMETHEUS_AUTH to basic"),
        ({"AUTH": "basic", "PASSWORD": CANARY}, "ACNS_CHAOS_PROMETHEUS_USERNAME"),
        ({"AUTH": "basic", "USERNAME": "a:b", "PASSWORD": CANARY}, "without a colon"),
        ({"AUTH": "basic", "USERNAME": "a", "PASSWORD": "b", "TOKEN": CANARY}, "take one of them"),
        ({"AUTH": "bearer"}, "either"),
        ({"AUTH": "bearer", "TOKEN": CANARY, "TOKEN_FILE": "/x"}, "either"),
        ({"AUTH": "digest"}, "must be none, basic, bearer, azure"),
        ({"AUTH": "basic:cli", "USERNAME": "a", "PASSWORD": CANARY}, "must be none, basic"),
        ({"AUTH": "azure:browser"}, "workload, cli, managed"),
        ({"AUTH": "none", "URL": f"https://a:{CANARY}@host"}, "holds credentials"),
        ({"URL": f"https://a:{CANARY}@host:nine"}, "is no address"),
        ({"URL": f"https://host/?token={CANARY}"}, "is no address"),
        ({"URL": f"ftp://a:{CANARY}@host"}, "is no address"),
        ({"URL": f"http://a:{CANARY}@prometheus.example"}, "use https"),
        ({"AUTH": "bearer", "TOKEN": CANARY, "URL": "http://prometheus.example"}, "use https"),
        ({"AUTH": "azure", "URL": "http://prometheus.monitoring.svc"}, "use https"),
    ],
)
def test_what_does_not_fit_together_is_one_sentence_without_the_secret(
    given: dict[str, str], sentence: str
) -> None:
    """Nothing is guessed, and nothing is told."""
    with pytest.raises(ApiError, match=sentence) as refused:
        settings_from(environ(**given))
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9090", "http://localhost:9090", "http://prometheus.monitoring.svc:9090"],
)
def test_a_secret_may_go_to_this_machine_and_within_a_cluster(url: str) -> None:
    """A port-forward and a Service have no TLS as a rule."""
    assert header(URL=url, AUTH="bearer", TOKEN="abc") == "Bearer abc"


def test_credentials_go_to_no_other_host() -> None:
    """An Alertmanager gets Prometheus' own only when it is the same server."""
    given = environ(AUTH="bearer", TOKEN="abc")
    same = {**given, "ACNS_CHAOS_ALERTMANAGER_URL": f"{HTTPS}:443/alertmanager/"}
    other = {**given, "ACNS_CHAOS_ALERTMANAGER_URL": "https://alertmanager.example"}
    own = {**given, "ACNS_CHAOS_ALERTMANAGER_URL": "https://bob:pw@alertmanager.example"}
    assert settings_from(same).alertmanager == f"{HTTPS}:443/alertmanager"
    assert settings_from(same).alertmanager_credentials.header() == "Bearer abc"
    assert settings_from(other).alertmanager_credentials.header() == ""
    assert settings_from(own).alertmanager_credentials.header().startswith("Basic ")


def test_the_address_that_is_shown_holds_no_credentials() -> None:
    """It stands in readings and errors."""
    found = settings_from({"ACNS_CHAOS_PROMETHEUS_URL": f"https://a:{CANARY}@host:1/prom/"})
    assert found.url == "https://host:1/prom"
    assert CANARY not in repr(found)


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "umläut", "nul\0"])
def test_a_token_that_no_header_carries_is_refused_unseen(token: str) -> None:
    """The HTTP library's own error would quote it."""
    with pytest.raises(ApiError, match="no header may carry") as refused:
        Bearer(Secret(token)).header()
    assert token not in str(refused.value)


def test_a_token_file_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    """Not there, empty, no text: the path is told and nothing of the contents."""
    empty, strange = tmp_path / "empty", tmp_path / "strange"
    empty.write_text("\n")
    strange.write_bytes(b"\xff\xfe" + CANARY.encode())
    for file, sentence in ((tmp_path / "gone", "cannot"), (empty, "empty"), (strange, "no text")):
        with pytest.raises(ApiError, match=sentence) as refused:
            header(AUTH="bearer", TOKEN_FILE=str(file))
        assert CANARY not in str(refused.value)


def test_a_secret_shows_itself_to_nobody() -> None:
    """Not printed, not formatted, not pickled; hidden in any text, as base64 too."""
    secret = Secret(CANARY)
    basic = Basic("alice", secret)
    for text in (repr(secret), str(secret), f"{secret}", repr(basic), str(vars(basic))):
        assert CANARY not in text
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    told = basic.hide(f"you sent {CANARY} as {basic.header()}")
    assert told == "you sent *** as Basic ***"


def test_what_looks_like_a_token_is_hidden_whoever_has_it() -> None:
    """A proxy may quote a token that is not ours to know."""
    jwt = "eyJhbGciOi.eyJzdWIiOiIx.c2lnbmF0dXJl"
    credentials: Any = Bearer(Secret("other"))
    assert credentials.hide(f"bad token {jwt}!") == "bad token ***!"


def test_every_variable_stands_in_the_table() -> None:
    """The page is the only list."""
    page = (Path(__file__).parents[2] / "docs" / "prometheus.md").read_text("utf-8")
    assert len(settings.ELSEWHERE) == 7
    for name in (settings.URL_VARIABLE, *settings.ELSEWHERE):
        assert f"| `{name}` |" in page


def test_a_lab_has_no_credentials_of_somebody_elses_prometheus() -> None:
    """A person who exported them for a cluster and tries the lab signs in there as nobody."""
    ready = {"world": "pets", "server": "https://127.0.0.1:1", "env": {settings.URL_VARIABLE: "x"}}
    handed = LabProcess(ready, None).environ
    mine = environ(AUTH="bearer", TOKEN=CANARY, CLUSTER="pets-aks")
    found = settings_from({**mine, **handed, settings.URL_VARIABLE: "http://127.0.0.1:9090"})
    assert (found.credentials.kind, found.cluster) == ("none", "")
