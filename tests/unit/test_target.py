"""Which cluster is meant is told by one variable, and by nothing else."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.cluster.target import Choice, choose, connect, describe
from acns_chaos.errors import ApiError, NotFound, TargetError


def test_a_person_at_a_terminal_gets_the_lab() -> None:
    """With nothing named, the lab is meant."""
    assert choose({}) == Choice("lab")


def test_a_named_context_is_taken_as_named() -> None:
    """Any other value names a kube context."""
    assert choose({"ACNS_CHAOS_CLUSTER": "aks-prod"}) == Choice("context", "aks-prod")
    assert choose({"ACNS_CHAOS_CLUSTER": "lab"}) == Choice("lab")
    assert choose({"ACNS_CHAOS_CLUSTER": "in-cluster"}) == Choice("in-cluster")


@pytest.mark.parametrize(
    ("environ", "place"),
    [({"CI": "true"}, "CI"), ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "a pod")],
)
def test_nothing_named_in_ci_or_in_a_pod_is_an_error(environ: dict[str, str], place: str) -> None:
    """A scheduled run that lost its variable must not report on the lab for ever."""
    with pytest.raises(TargetError, match=f"ACNS_CHAOS_CLUSTER is not set in {place}"):
        choose(environ)


def test_the_lab_must_be_written_in_ci() -> None:
    """In CI the lab is reached by its name."""
    assert choose({"CI": "true", "ACNS_CHAOS_CLUSTER": "lab"}) == Choice("lab")


def test_ci_set_to_false_is_not_ci() -> None:
    """CI=false is how people switch it off."""
    assert choose({"CI": "false"}) == Choice("lab")


def test_without_a_lab_the_sentence_says_how_to_get_one() -> None:
    """The lab is meant but none is running: nothing is guessed."""
    with pytest.raises(TargetError, match=r"No lab is running: list the control"):
        connect(Choice("lab"), "")


def kubeconfig(folder: Path, *names: str) -> Path:
    """Write a kubeconfig with contexts of these names."""
    file = folder / "config"
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": names[0],
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
                "contexts": [
                    {"name": name, "context": {"cluster": "c", "user": "u"}} for name in names
                ],
            }
        )
    )
    return file


def test_an_unknown_context_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    """A misspelt name never falls back to the current context."""
    file = kubeconfig(tmp_path, "aks-prod", "aks-test")
    with pytest.raises(
        TargetError, match=r"no kube context 'aks-pord' .* it has aks-prod, aks-test"
    ):
        kubeconfig_api("aks-pord", str(file))


def test_a_missing_kubeconfig_is_one_sentence(tmp_path: Path) -> None:
    """No file, no traceback."""
    with pytest.raises(TargetError, match="No kubeconfig can be read at"):
        kubeconfig_api("aks-prod", str(tmp_path / "none"))


def test_a_kubeconfig_that_is_not_yaml_is_one_sentence(tmp_path: Path) -> None:
    """A broken file is named."""
    file = tmp_path / "config"
    file.write_text("{")
    with pytest.raises(TargetError, match="No kubeconfig can be read at"):
        kubeconfig_api("aks-prod", str(file))


def test_the_named_context_is_opened_with_its_own_credentials(tmp_path: Path) -> None:
    """The token of the named context is what requests carry."""
    api, name = kubeconfig_api("aks-test", str(kubeconfig(tmp_path, "aks-prod", "aks-test")))
    assert name == "aks-test"
    assert api.server == "https://127.0.0.1:1"
    assert api.headers()["authorization"] == "Bearer t"


@pytest.mark.parametrize(
    "name", ["../../secrets/x", "..", "a/../b", "a?watch=1", "a b", "a#b", "", "a%2fb"]
)
def test_a_name_never_leads_to_another_resource(tmp_path: Path, name: str) -> None:
    """A policy called `../../secrets/x` is refused before anything is asked."""
    api, _ = kubeconfig_api("aks-prod", str(kubeconfig(tmp_path, "aks-prod")))
    with pytest.raises(ApiError, match="is not a path of the API"):
        api.get(f"/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies/{name}")


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    """No network is one sentence with the server in it."""
    api, name = kubeconfig_api("aks-prod", str(kubeconfig(tmp_path, "aks-prod")))
    with pytest.raises(TargetError, match=r"aks-prod at https://127\.0\.0\.1:1 cannot be used"):
        describe(api, name, "pets")


class FakeApi:
    """An API server that knows a few paths."""

    server = "https://10.0.0.1"

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    def get(self, path: str, query: dict[str, str] | None = None) -> Any:
        """Answer, or say 404."""
        if path not in self.answers:
            raise NotFound(f"{path} not found", 404)
        return self.answers[path]


PODS = "/api/v1/namespaces/kube-system/pods"


@pytest.mark.parametrize(
    ("version", "kind"),
    [("v1.33.5+acns-chaos-lab", "lab"), ("v1.33.5", "cluster"), ("v1.33.5+k3s1", "cluster")],
)
def test_the_server_says_whether_it_is_the_lab(version: str, kind: str) -> None:
    """The kind is taken from the server's version, not from the variable."""
    target = describe(FakeApi({"/version": {"gitVersion": version}}), "whatever", "pets")  # type: ignore[arg-type]
    assert target.kind == kind


def test_the_target_knows_its_uid_and_cilium_version() -> None:
    """The journal identifies the cluster by kube-system's UID and the agents' image tag."""
    image = "registry.example:5000/oss/cilium/cilium:v1.18.6@sha256:abc"
    api = FakeApi(
        {
            "/version": {"gitVersion": "v1.34.1"},
            "/api/v1/namespaces/kube-system": {"metadata": {"uid": "u-1"}},
            PODS: {"items": [{"spec": {"containers": [{"image": image}]}}]},
        }
    )
    target = describe(api, "aks-prod", "pets")  # type: ignore[arg-type]
    assert target.as_json() == {
        "kind": "cluster",
        "context": "aks-prod",
        "server": "https://10.0.0.1",
        "uid": "u-1",
        "namespace": "pets",
        "cilium_version": "1.18.6",
        "kubernetes_version": "v1.34.1",
    }


def test_what_cannot_be_read_is_unknown_and_not_guessed() -> None:
    """No permission to read pods leaves the version empty."""

    class Refusing(FakeApi):
        def get(self, path: str, query: dict[str, str] | None = None) -> Any:
            if path == PODS:
                raise ApiError("forbidden", 403)
            return super().get(path, query)

    target = describe(Refusing({"/version": {"gitVersion": "v1.34.1"}}), "a", "pets")  # type: ignore[arg-type]
    assert (target.uid, target.cilium_version) == ("", "")
