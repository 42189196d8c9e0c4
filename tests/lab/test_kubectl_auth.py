"""kubectl's own words about rights: create token, auth can-i, auth whoami, --as, create role."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubectls import kubectl_path, run_kubectl

__all__ = ["kubectl_path"]

pytestmark = pytest.mark.slow

PROBE = "system:serviceaccount:rights:probe"
NAMESPACE = ("--namespace", "rights")


class Kubectl:
    """One kubectl and one lab."""

    def __init__(self, path: str, kubeconfig: str) -> None:
        self.path = path
        self.kubeconfig = kubeconfig

    def __call__(self, *arguments: str, kubeconfig: str = "", code: int | None = 0) -> str:
        """Run it, and return what it said on both of its outputs."""
        done = run_kubectl(self.path, kubeconfig or self.kubeconfig, *arguments)
        said = done.stdout + done.stderr
        if code is not None:
            assert done.returncode == code, said
        return said

    @property
    def is_old(self) -> bool:
        """Whether it is older than the commands about tokens and users."""
        version = json.loads(self("version", "--client", "--output", "json"))
        return int(version["clientVersion"]["minor"].rstrip("+")) < 28


RIGHTS = """
apiVersion: v1
kind: Namespace
metadata:
  name: rights
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: probe
  namespace: rights
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: read
  namespace: rights
rules:
  - apiGroups: [cilium.io]
    resources: [ciliumnetworkpolicies]
    verbs: [get, list]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: read
  namespace: rights
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: read
subjects:
  - kind: ServiceAccount
    name: probe
"""


@pytest.fixture
def kubectl(kubectl_path: str, lab_process: dict[str, Any], tmp_path: Path) -> Kubectl:
    """A kubectl with a namespace of its own, where `probe` may read policies."""
    found = Kubectl(kubectl_path, lab_process["kubeconfig"])
    file = tmp_path / "rights.yaml"
    file.write_text(RIGHTS)
    found("delete", "namespace", "rights", "--ignore-not-found")
    found("create", "--validate=false", "--filename", str(file))
    return found


def test_rights_are_asked_for_and_shown(kubectl: Kubectl) -> None:
    """Auth can-i answers yes and no, --list shows the rules, describe shows the role."""
    ask = (*NAMESPACE, "--as", PROBE, "auth", "can-i")
    assert kubectl(*ask, "list", "cnp") == "yes\n"
    assert kubectl(*ask, "delete", "cnp", code=1).startswith("no")
    assert kubectl("auth", "can-i", "delete", "nodes").startswith("yes\n")
    listed = kubectl(*ask, "--list")
    assert "ciliumnetworkpolicies.cilium.io" in listed
    assert "[get list]" in listed
    assert "selfsubjectaccessreviews.authorization.k8s.io" in listed
    assert "[/healthz]" in listed
    described = kubectl(*NAMESPACE, "describe", "role", "read")
    assert "ciliumnetworkpolicies.cilium.io  []                 []              [get list]" in (
        described
    )


def test_a_refusal_is_the_servers(kubectl: Kubectl) -> None:
    """What another user may not do is Forbidden, in the words of a real server."""
    said = kubectl(*NAMESPACE, "--as", PROBE, "delete", "cnp", "x", code=1)
    assert said == (
        'Error from server (Forbidden): ciliumnetworkpolicies.cilium.io "x" is forbidden: User '
        f'"{PROBE}" cannot delete resource "ciliumnetworkpolicies" in API group "cilium.io" in '
        'the namespace "rights"\n'
    )
    said = kubectl("--as", PROBE, "get", "nodes", code=1)
    assert 'nodes is forbidden: User "system:serviceaccount:rights:probe" cannot list' in said
    assert "at the cluster scope" in said


def test_a_token_of_its_own(kubectl: Kubectl, tmp_path: Path) -> None:
    """A kubeconfig with a token from `create token` acts as the account, until that is gone."""
    if kubectl.is_old:
        assert "unknown command" in kubectl(*NAMESPACE, "create", "token", "probe", code=None)
        return
    token = kubectl(*NAMESPACE, "create", "token", "probe", "--duration", "20m").strip()
    file = tmp_path / "kubeconfig"
    file.write_text(Path(kubectl.kubeconfig).read_text())
    kubectl("config", "set-credentials", "probe", f"--token={token}", kubeconfig=str(file))
    kubectl("config", "set-context", "--current", "--user=probe", kubeconfig=str(file))
    context = yaml.safe_load(file.read_text())["contexts"][0]["context"]
    assert context["user"] == "probe"
    said = kubectl("auth", "whoami", kubeconfig=str(file))
    assert PROBE in said
    assert "[system:serviceaccounts system:serviceaccounts:rights system:authenticated]" in said
    said = kubectl(*NAMESPACE, "get", "cnp", kubeconfig=str(file))
    assert said == "No resources found in rights namespace.\n"
    assert "Forbidden" in kubectl(*NAMESPACE, "get", "pods", kubeconfig=str(file), code=1)
    kubectl(*NAMESPACE, "delete", "serviceaccount", "probe")
    said = kubectl(*NAMESPACE, "get", "cnp", kubeconfig=str(file), code=1)
    assert "You must be logged in to the server" in said
    short = (*NAMESPACE, "create", "token", "default", "--duration", "5m")
    assert "may not specify a duration less than 10 minutes" in kubectl(*short, code=1)


def test_a_token_in_a_secret(kubectl: Kubectl, tmp_path: Path) -> None:
    """A Secret of the type for tokens gets one, which describe shows."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "probe",
            "namespace": "rights",
            "annotations": {"kubernetes.io/service-account.name": "probe"},
        },
        "type": "kubernetes.io/service-account-token",
    }
    file = tmp_path / "secret.json"
    file.write_text(json.dumps(secret))
    kubectl("apply", "--filename", str(file))
    deadline = time.monotonic() + 5
    while "token:" not in (said := kubectl(*NAMESPACE, "describe", "secret", "probe")):
        assert time.monotonic() < deadline, said
    assert "ca.crt:" in said
    assert "Type:  kubernetes.io/service-account-token" in said


def test_kubectl_cannot_escalate(kubectl: Kubectl) -> None:
    """Somebody with `edit` may write pods and no roles, with `admin` roles of its own rights."""
    kubectl(*NAMESPACE, "create", "rolebinding", "bob", "--clusterrole=edit", "--user=bob")
    kubectl(*NAMESPACE, "create", "rolebinding", "eve", "--clusterrole=admin", "--user=eve")
    make = (*NAMESPACE, "create", "role", "mine", "--verb=get")
    said = kubectl("--as", "bob", *make, "--resource=pods", code=1)
    assert 'User "bob" cannot create resource "roles"' in said
    assert "created" in kubectl("--as", "eve", *make, "--resource=pods")
    kubectl(*NAMESPACE, "delete", "role", "mine")
    said = kubectl("--as", "eve", *make, "--resource=cnp", code=1)
    assert "is attempting to grant RBAC permissions not currently held" in said
    assert '{APIGroups:["cilium.io"], Resources:["ciliumnetworkpolicies"], Verbs:["get"]}' in said
