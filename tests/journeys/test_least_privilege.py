"""The roles that deploy/cronjob.yaml grants: enough for a whole run, and nothing to spare.

They are applied with the real kubectl, and the run carries a token of the service account.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.journeys.conftest import Chaos, Lab
from tests.journeys.hosts import ROOT, own

pytestmark = [pytest.mark.journey, pytest.mark.slow]

POLICY = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies/allow-store-front-traffic"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


class Account:
    """The service account of the manifest, in one lab."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        program = shutil.which("kubectl")
        if not program:
            pytest.skip("kubectl is not on PATH")
        self._program = program

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl as the administrator of the lab."""
        done = subprocess.run(
            [self._program, "--kubeconfig", self.lab.ready["kubeconfig"], *arguments],
            capture_output=True,
            text=True,
            env={"HOME": str(self.folder)},
            check=False,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply_roles(self) -> None:
        """Apply what the manifest holds besides the CronJob, which no lab runs."""
        documents = yaml.safe_load_all((ROOT / "deploy/cronjob.yaml").read_text())
        wanted = [one for one in documents if one["kind"] != "CronJob"]
        assert len(wanted) == 5
        file = self.folder / "roles.yaml"
        file.write_text(yaml.safe_dump_all(wanted))
        self.kubectl("apply", "--filename", str(file))

    def kubeconfig(self) -> Path:
        """A kubeconfig of the account alone."""
        token = self.kubectl("create", "token", "acns-chaos", "--namespace", "pets").strip()
        config = yaml.safe_load(Path(self.lab.ready["kubeconfig"]).read_text())
        config["users"][0]["user"] = {"token": token}
        file = self.folder / "kubeconfig"
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(config))
        return file

    def run(self) -> Any:
        """Run the flagship as it is shipped, as the account, as on a cluster of one's own."""
        addresses = self.lab.ready["env"]
        return Chaos(own(), self.folder, None).run(
            "experiments/storefront-ingress.json",
            ACNS_CHAOS_CLUSTER=self.lab.ready["context"],
            KUBECONFIG=str(self.kubeconfig()),
            ACNS_CHAOS_STOREFRONT_URL=addresses["ACNS_CHAOS_STOREFRONT_URL"],
            ACNS_CHAOS_PROMETHEUS_URL=addresses["ACNS_CHAOS_PROMETHEUS_URL"],
        )


@pytest.fixture
def account(lab: Lab, tmp_path: Path) -> Account:
    """The account, with the roles of the manifest."""
    found = Account(lab, tmp_path)
    found.apply_roles()
    return found


def test_the_manifest_is_enough_for_a_whole_run(account: Account) -> None:
    """With the token of the manifest's account the flagship breaks, notices and restores."""
    before = account.lab.policies()

    done = account.run()

    assert (done.code, done.outcome) == (0, "HELD"), done.output
    assert account.lab.policies() == before
    assert done.section["faults"][0]["restored"]["by"] == "method"


@pytest.mark.parametrize(
    ("kind", "name", "group", "resource", "verb"),
    [
        ("roles", "acns-chaos", "cilium.io", "ciliumnetworkpolicies", "update"),
        ("roles", "acns-chaos", "", "pods/exec", "get"),
        ("clusterroles", "acns-chaos-read", "", "namespaces", "list"),
    ],
)
def test_a_missing_verb_is_seen_before_anything_is_written(
    account: Account, kind: str, name: str, group: str, resource: str, verb: str
) -> None:
    """Without one verb of the manifest the run refuses, and no policy was written."""
    where = "/namespaces/pets" if kind == "roles" else ""
    path = f"{RBAC}{where}/{kind}/{name}"
    role = account.lab.api.get(path)
    for rule in role["rules"]:
        if group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]:
            rule["verbs"].remove(verb)
    role["rules"] = [rule for rule in role["rules"] if rule["verbs"]]
    account.lab.api.put(path, role)
    version = account.lab.api.get(POLICY)["metadata"]["resourceVersion"]

    done = account.run()

    assert done.code != 0, done.output
    assert done.outcome not in {"HELD", "NOT_RESTORED"}, done.output
    assert account.lab.api.get(POLICY)["metadata"]["resourceVersion"] == version
    assert not done.section["faults"], json.dumps(done.section["faults"])
