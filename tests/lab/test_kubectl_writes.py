"""What kubectl's writing commands do to the lab, held against what they did to a real cluster.

`captured_applies.json` holds the facts: case, what kubectl said at each step, which sections the
spec had at the end, and metadata.generation.
"""

import base64
import json
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import policy
from kubectls import KUBECTLS, run_kubectl
from kubectls import kubectl_path as kubectl_path  # noqa: PLC0414 - a fixture

POLICY = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies/t"
SETTINGS = "/api/v1/namespaces/pets/configmaps/t"
CASES = {
    case["case"]: case
    for case in json.loads((Path(__file__).parent / "captured_applies.json").read_text())
}
SECTIONS = {
    "ingress": [{"fromEntities": ["world"]}],
    "egress": [{"toEntities": ["all"]}],
}
ORIGINAL = policy("t", **SECTIONS)
CHAOS = policy("t", ingressDeny=[{"fromEntities": ["world"]}])
EMPTY = policy("t", ingress=[])
ONLY_INGRESS = policy("t", ingress=[{"fromEntities": ["world"]}])

# The commands of each captured case, in order: arguments and manifest.
COMMANDS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "kubectl apply, then kubectl apply": [("apply", ORIGINAL), ("apply", CHAOS)],
    "kubectl create, then kubectl apply": [("create", ORIGINAL), ("apply", CHAOS)],
    "kubectl create --save-config, then kubectl apply": [
        ("create --save-config", ORIGINAL),
        ("apply", CHAOS),
    ],
    "kubectl apply, then kubectl replace": [("apply", ORIGINAL), ("replace", CHAOS)],
    "kubectl apply, kubectl replace chaos, then kubectl apply orig": [
        ("apply", ORIGINAL),
        ("replace", CHAOS),
        ("apply", ORIGINAL),
    ],
    "kubectl apply, then replace --force": [("apply", ORIGINAL), ("replace --force", CHAOS)],
    "SSA manager a, then SSA manager b --force-conflicts": [
        ("apply --server-side --field-manager=a", ORIGINAL),
        ("apply --server-side --field-manager=b --force-conflicts", CHAOS),
    ],
    "SSA manager a, then SSA manager b": [
        ("apply --server-side --field-manager=a", ORIGINAL),
        ("apply --server-side --field-manager=b", CHAOS),
    ],
    "SSA manager a twice": [
        ("apply --server-side --field-manager=a", ORIGINAL),
        ("apply --server-side --field-manager=a", CHAOS),
    ],
    "kubectl apply (client side), then SSA default manager": [
        ("apply", ORIGINAL),
        ("apply --server-side", CHAOS),
    ],
    "kubectl apply (client side), then SSA manager chaos force": [
        ("apply", ORIGINAL),
        ("apply --server-side --field-manager=chaos --force-conflicts", CHAOS),
    ],
    "kubectl apply ingress:[{..}] then kubectl apply ingress:[]": [
        ("apply", ONLY_INGRESS),
        ("apply", EMPTY),
    ],
}


class Kubectl:
    """One kubectl against one lab, in the namespace pets."""

    def __init__(self, path: str, kubeconfig: str) -> None:
        self._path = path
        self._kubeconfig = kubeconfig

    def run(self, *args: str, given: Any = None) -> subprocess.CompletedProcess[str]:
        """Run a command; a manifest goes to standard input."""
        text = given if given is None or isinstance(given, str) else json.dumps(given)
        done: subprocess.CompletedProcess[str] = run_kubectl(
            self._path, self._kubeconfig, "-n", "pets", *args, input=text
        )
        return done

    def ok(self, *args: str, given: Any = None) -> str:
        """Run a command that must succeed; its standard output."""
        done = self.run(*args, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def request(self, method: str, path: str) -> Any:
        """Ask the API itself, which is quicker than another kubectl; None for a 404."""
        config = yaml.safe_load(Path(self._kubeconfig).read_text())
        token = config["users"][0]["user"]["token"]
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        request = urllib.request.Request(
            cluster["server"] + path, method=method, headers={"Authorization": f"Bearer {token}"}
        )
        context = ssl.create_default_context(cadata=authority)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(request) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def stored(self, path: str = POLICY) -> Any:
        """An object as the API has it; None when there is none."""
        return self.request("GET", path)


def _kubectl(path: str, kubeconfig: str) -> Iterator[Kubectl]:
    made = Kubectl(path, kubeconfig)
    yield made
    for left in (POLICY, SETTINGS):
        made.request("DELETE", left)


@pytest.fixture
def kubectl(kubectl_path: str, lab_process: dict[str, Any]) -> Iterator[Kubectl]:
    """Each kubectl, with nothing of ours in the lab before and after."""
    yield from _kubectl(kubectl_path, lab_process["kubeconfig"])


@pytest.fixture
def current(lab_process: dict[str, Any]) -> Iterator[Kubectl]:
    """The kubectl on PATH, with nothing of ours in the lab before and after."""
    if not KUBECTLS:
        pytest.skip("kubectl is not on PATH")
    yield from _kubectl(KUBECTLS[0][1], lab_process["kubeconfig"])


def _old(kubectl_path: str) -> bool:
    version = run_kubectl(kubectl_path, "/dev/null", "version", "--client", "-o", "json").stdout
    return int(json.loads(version)["clientVersion"]["minor"].rstrip("+")) < 26


TAKEOVERS = [case for case in COMMANDS if "client side" in case]


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in COMMANDS if case not in TAKEOVERS])
def test_replacing_a_policy(kubectl: Kubectl, kubectl_path: str, case: str) -> None:
    """What one command leaves of another's policy is what it left on a real cluster."""
    _replace(kubectl, case, old=_old(kubectl_path))


@pytest.mark.slow
@pytest.mark.parametrize("case", TAKEOVERS)
def test_taking_over_from_client_side_apply(current: Kubectl, case: str) -> None:
    """As above, for what only a kubectl since 1.26 does: the one on PATH."""
    _replace(current, case, old=False)


def _replace(kubectl: Kubectl, case: str, *, old: bool) -> None:
    for (command, manifest), (code, said) in zip(COMMANDS[case], CASES[case]["steps"], strict=True):
        done = kubectl.run(*command.split(), "-f", "-", given=manifest)
        assert done.returncode == code, done.stderr
        # Newer clients say where they deleted something.
        assert sorted(done.stdout.replace(" from pets namespace", "").splitlines()) == sorted(
            line for line in said.splitlines() if not line.startswith("Warning")
        )
        if not old:
            warned = [line for line in said.splitlines() if line.startswith("Warning")]
            assert done.stderr.splitlines() == warned
    stored = kubectl.stored()
    sections = sorted(set(stored["spec"]) - {"endpointSelector"})
    assert sections == CASES[case]["spec_sections"]
    assert stored["metadata"]["generation"] == CASES[case]["generation"]


@pytest.mark.slow
def test_server_side_apply_takes_turns(current: Kubectl) -> None:
    """A field of another manager is a conflict that kubectl explains; force takes it."""
    apply = ("apply", "--server-side", "-f", "-")
    current.ok(*apply, "--field-manager=a", given=ONLY_INGRESS)
    done = current.run(*apply, "--field-manager=b", given=EMPTY)
    assert done.returncode == 1
    assert 'Apply failed with 1 conflict: conflict with "a": .spec.ingress' in done.stderr
    assert current.stored()["spec"]["ingress"] == [{"fromEntities": ["world"]}]
    dry = current.ok(
        *apply, "--field-manager=b", "--force-conflicts", "--dry-run=server", given=EMPTY
    )
    assert dry == "ciliumnetworkpolicy.cilium.io/t serverside-applied (server dry run)"
    assert current.stored()["spec"]["ingress"] == [{"fromEntities": ["world"]}]
    current.ok(*apply, "--field-manager=b", "--force-conflicts", given=EMPTY)
    assert current.stored()["spec"]["ingress"] == []


@pytest.mark.slow
def test_patching(current: Kubectl) -> None:
    """The command patch writes in its three formats; one that does not fit says why."""
    current.ok("create", "-f", "-", given=ORIGINAL)
    merged = '{"spec": {"egress": null}}'
    said = current.ok("patch", "cnp", "t", "--type=merge", "-p", merged)
    assert said == "ciliumnetworkpolicy.cilium.io/t patched"
    assert "egress" not in current.stored()["spec"]
    operations = '[{"op": "replace", "path": "/spec/ingress", "value": [{}]}]'
    current.ok("patch", "cnp", "t", "--type=json", "-p", operations)
    assert current.stored()["spec"]["ingress"] == [{}]
    said = current.ok("patch", "cnp", "t", "--type=json", "-p", operations)
    assert said == "ciliumnetworkpolicy.cilium.io/t patched (no change)"
    failing = '[{"op": "test", "path": "/spec/ingress", "value": []}]'
    done = current.run("patch", "cnp", "t", "--type=json", "-p", failing)
    assert done.returncode == 1
    assert "the server rejected our request due to an error in our request" in done.stderr
    done = current.run("patch", "cnp", "t", "-p", merged)
    assert done.returncode == 1
    assert "application/strategic-merge-patch+json" in done.stderr or "media type" in done.stderr
    current.ok("create", "configmap", "t", "--from-literal=a=1", "--from-literal=b=2")
    current.ok("patch", "cm", "t", "-p", '{"data": {"a": null, "c": "3"}}')
    assert current.stored(SETTINGS)["data"] == {"b": "2", "c": "3"}


@pytest.mark.slow
def test_labels_and_annotations(current: Kubectl) -> None:
    """The commands label and annotate set, refuse to overwrite, and remove."""
    current.ok("create", "-f", "-", given=ORIGINAL)
    assert current.ok("label", "cnp", "t", "team=a").endswith("labeled")
    done = current.run("label", "cnp", "t", "team=b")
    assert (done.returncode, "--overwrite is false" in done.stderr) == (1, True)
    current.ok("label", "cnp", "t", "team=b", "--overwrite")
    current.ok("annotate", "cnp", "t", "why=chaos")
    metadata = current.stored()["metadata"]
    assert (metadata["labels"], metadata["annotations"]) == ({"team": "b"}, {"why": "chaos"})
    current.ok("label", "cnp", "t", "team-")
    assert "labels" not in current.stored()["metadata"]
    done = current.run("label", "cnp", "t", "bad/label/key=x")
    assert done.returncode == 1


@pytest.mark.slow
def test_a_dry_run_on_the_server_stores_nothing(current: Kubectl) -> None:
    """--dry-run=server is validated and answered, and leaves nothing behind."""
    said = current.ok("apply", "--dry-run=server", "-f", "-", given=ORIGINAL)
    assert said == "ciliumnetworkpolicy.cilium.io/t created (server dry run)"
    assert current.stored() is None
    bad = policy("t", ingress=[{"fromEntities": ["moon"]}])
    done = current.run("apply", "--dry-run=server", "-f", "-", given=bad)
    assert done.returncode == 1
    assert 'Unsupported value: "moon"' in done.stderr


@pytest.mark.slow
def test_unknown_fields_are_refused(current: Kubectl) -> None:
    """The client's own validation names a misspelt field, and nothing is stored."""
    misspelt = policy("t", ingress=[{"fromEntitys": ["world"]}])
    done = current.run("apply", "-f", "-", given=misspelt)
    assert done.returncode == 1
    assert "fromEntitys" in done.stderr
    assert current.stored() is None


RBAC = "/apis/rbac.authorization.k8s.io/v1"
RULE = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
SUBJECT = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "g"}
VIEW = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
MADE: list[tuple[str, str, dict[str, Any]]] = [
    (
        "configmap x --from-literal=a=b",
        "/api/v1/namespaces/pets/configmaps/x",
        {"data": {"a": "b"}},
    ),
    (
        "secret generic x --from-literal=a=b",
        "/api/v1/namespaces/pets/secrets/x",
        {"data": {"a": "Yg=="}},
    ),
    ("serviceaccount x", "/api/v1/namespaces/pets/serviceaccounts/x", {"kind": "ServiceAccount"}),
    ("namespace x", "/api/v1/namespaces/x", {"status": {"phase": "Active"}}),
    (
        "role x --verb=get --resource=pods",
        f"{RBAC}/namespaces/pets/roles/x",
        {"rules": [RULE]},
    ),
    (
        "rolebinding x --clusterrole=view --group=g",
        f"{RBAC}/namespaces/pets/rolebindings/x",
        {"roleRef": VIEW, "subjects": [SUBJECT]},
    ),
    ("clusterrole x --verb=get --resource=pods", f"{RBAC}/clusterroles/x", {"rules": [RULE]}),
    (
        "clusterrolebinding x --clusterrole=view --group=g",
        f"{RBAC}/clusterrolebindings/x",
        {"roleRef": VIEW, "subjects": [SUBJECT]},
    ),
]


@pytest.mark.slow
def test_creating_without_a_manifest(kubectl: Kubectl) -> None:
    """A kind without a manifest is created, though current versions send protobuf."""
    for arguments, path, value in MADE:
        assert kubectl.ok("create", *arguments.split()).endswith("/x created")
        stored = kubectl.stored(path)
        assert {key: stored[key] for key in value} == value
        kubectl.request("DELETE", path)


@pytest.mark.slow
def test_editing(current: Kubectl, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command edit sends what the editor left."""
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/- world/- cluster/' \"$1\"\n")
    editor.chmod(0o755)
    monkeypatch.setenv("KUBE_EDITOR", str(editor))
    current.ok("create", "-f", "-", given=ONLY_INGRESS)
    assert current.ok("edit", "cnp", "t") == "ciliumnetworkpolicy.cilium.io/t edited"
    assert current.stored()["spec"]["ingress"] == [{"fromEntities": ["cluster"]}]


@pytest.mark.slow
def test_pruning(current: Kubectl) -> None:
    """What was applied with the label and is in the manifest no more is deleted."""
    labelled = {**ORIGINAL, "metadata": {"name": "t", "labels": {"set": "ours"}}}
    other = {**labelled, "metadata": {"name": "u", "labels": {"set": "ours"}}}
    prune = ("apply", "-f", "-", "--prune", "-l", "set=ours")
    allow = (
        "--prune-whitelist"
        if "prune-whitelist" in current.ok("apply", "-h")
        else "--prune-allowlist"
    )
    kinds = f"{allow}=cilium.io/v2/CiliumNetworkPolicy"
    both = {"apiVersion": "v1", "kind": "List", "items": [labelled, other]}
    current.ok(*prune, kinds, given=both)
    said = current.ok(*prune, kinds, given=labelled)
    assert "ciliumnetworkpolicy.cilium.io/u pruned" in said
    assert current.stored(POLICY[:-1] + "u") is None


def test_captured_cases_are_all_tried() -> None:
    """Every captured case is a row here, or is tried without kubectl in `test_api_captured`."""
    without = {case for case in CASES if "PUT" in case or "JSON merge patch" in case}
    assert set(CASES) == set(COMMANDS) | without
