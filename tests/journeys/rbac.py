"""Accounts with the roles that are shipped, and with less: applied by the real kubectl."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from acns_chaos.cluster.labcontrol import LabControl
from acns_chaos.cluster.waiting import wait_until
from tests.journeys.conftest import Chaos, Lab
from tests.journeys.hosts import ROOT, own

__all__ = ["Accounts", "Granted", "documents", "granted", "one_by_one"]

# As docs/restoring.md and the head of cronjob.yaml tell.
APPLIED = ("deploy/rbac", "deploy/janitor", "deploy/cronjob.yaml")
CRON_JOB = "/apis/batch/v1/namespaces/acns-chaos/cronjobs/acns-chaos-janitor-pets"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
EXPERIMENTER, JANITOR, LOOKER = "acns-chaos", "acns-chaos-janitor", "looker"


def documents(*files: str) -> list[dict[str, Any]]:
    """The objects of shipped manifests."""
    return [
        one for file in files for one in yaml.safe_load_all((ROOT / "deploy" / file).read_text())
    ]


@dataclass(frozen=True)
class Granted:
    """One verb of a shipped role on one resource, and on one name where the role names some.

    Attributes:
        file: in which it is granted.
        role: kind, namespace ("" of a ClusterRole) and name of the role.
        rule: number of the rule in the role.
        group, resource, verb: what it grants.
        name: the object that it is granted for, "" for all of them.
    """

    file: str
    role: tuple[str, str, str]
    rule: int
    group: str
    resource: str
    verb: str
    name: str

    def __str__(self) -> str:
        kind, namespace, name = self.role
        return f"{kind} {namespace}/{name} {self.verb} {self.resource} {self.name}".strip()


def granted(file: str) -> list[Granted]:
    """Everything that a manifest of deploy/rbac grants, in pieces that cannot be parted."""
    found = []
    for one in documents(f"rbac/{file}.yaml"):
        for number, rule in enumerate(one.get("rules") or []):
            metadata = one["metadata"]
            role = (one["kind"], metadata.get("namespace", ""), metadata["name"])
            found += [
                Granted(file, role, number, group, resource, verb, name)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
                for name in rule.get("resourceNames") or [""]
            ]
    return found


class Accounts:
    """A lab that stands for a real cluster, with everything of deploy/ applied.

    Args:
        lab: started with a Kubernetes version that does not say that it is a lab.
        folder: for kubeconfigs.
    """

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self._tokens: dict[str, Path] = {}
        program = shutil.which("kubectl")
        if not program:
            pytest.skip("kubectl is not on PATH")
        self._program = program

    def kubectl(
        self,
        *arguments: str,
        kubeconfig: Path | str = "",
        stdin: str = "",
        ok: tuple[int, ...] = (0,),
    ) -> str:
        """Run kubectl, as the administrator unless another kubeconfig is given."""
        done = subprocess.run(
            [
                *(self._program, "--kubeconfig", str(kubeconfig or self.lab.ready["kubeconfig"])),
                *arguments,
            ],
            capture_output=True,
            text=True,
            input=stdin,
            env={"HOME": str(self.folder)},
            check=False,
            timeout=30,
        )
        assert done.returncode in ok, done.stderr
        return done.stdout

    def apply_all(self) -> None:
        """Apply all of deploy/, in the order that its pages tell, and opt in."""
        for place in APPLIED:
            self.kubectl("apply", "-f", str(ROOT / place))
        self.kubectl("create", "configmap", "acns-chaos-allowed", "-n", "pets")

    def bind(self, account: str, kind: str, role: str, namespace: str = "") -> None:
        """Bind a role to a service account of namespace `acns-chaos`."""
        command = [
            "create",
            f"{kind.lower()}binding",
            f"{account}-{role}",
            f"--{kind.lower()}={role}",
        ]
        command += [f"--serviceaccount=acns-chaos:{account}"]
        self.kubectl(*command, *(["-n", namespace] if namespace else []))

    @contextmanager
    def bound(self, account: str, *roles: str) -> Iterator[None]:
        """Bind Roles of namespace `pets` to an account for a while."""
        for role in roles:
            self.bind(account, "Role", role, "pets")
        try:
            yield
        finally:
            for role in roles:
                self.kubectl("delete", "rolebinding", f"{account}-{role}", "-n", "pets")

    def kubeconfig(self, account: str) -> Path:
        """A kubeconfig with nothing but a token of a service account."""
        if account not in self._tokens:
            token = self.kubectl("create", "token", account, "-n", "acns-chaos").strip()
            config = yaml.safe_load(Path(self.lab.ready["kubeconfig"]).read_text())
            config["users"][0]["user"] = {"token": token}
            file = self.folder / f"{account}.kubeconfig"
            file.touch(mode=0o600)
            file.write_text(yaml.safe_dump(config))
            self._tokens[account] = file
        return self._tokens[account]

    def environ(self, account: str) -> dict[str, str]:
        """What lets a command work on this cluster as that account."""
        addresses = self.lab.ready["env"]
        return {
            "ACNS_CHAOS_CLUSTER": self.lab.ready["context"],
            "KUBECONFIG": str(self.kubeconfig(account)),
            "ACNS_CHAOS_STOREFRONT_URL": addresses["ACNS_CHAOS_STOREFRONT_URL"],
            "ACNS_CHAOS_PROMETHEUS_URL": addresses["ACNS_CHAOS_PROMETHEUS_URL"],
        }

    def chaos(self, experiment: dict[str, Any] | str, account: str = EXPERIMENTER) -> Any:
        """Run an experiment as an account."""
        return Chaos(own(), self.folder, None).run(experiment, **self.environ(account))

    def restore(
        self, *arguments: str, account: str = JANITOR
    ) -> "subprocess.CompletedProcess[str]":
        """Run `acns-chaos restore` as an account; by default what the CronJob would run."""
        command = ["restore", *arguments]
        if not arguments:
            pod = self.lab.api.get(CRON_JOB)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            program, *command = [*container["command"], *container.get("args", [])]
            assert program == "acns-chaos"
            account = pod["serviceAccountName"]
            # The only thing that a process outside the cluster has to be told otherwise.
            assert container["env"] == [{"name": "ACNS_CHAOS_CLUSTER", "value": "in-cluster"}]
        return subprocess.run(
            [str(own().acns_chaos), *command],
            capture_output=True,
            text=True,
            env={**os.environ, **self.environ(account)},
            check=False,
            timeout=60,
        )

    @contextmanager
    def without(self, one: Granted) -> Iterator[None]:
        """Take one verb on one resource, or on one name of it, out of a role for a while."""
        kind, namespace, name = one.role
        path = f"{RBAC}{_below(namespace)}/{kind.lower()}s/{name}"
        before = self.lab.api.get(path)
        role = deepcopy(before)
        rule = role["rules"].pop(one.rule)
        others = [each for each in rule["resources"] if each != one.resource]
        verbs = [each for each in rule["verbs"] if each != one.verb]
        names = [each for each in rule.get("resourceNames") or [] if each != one.name]
        role["rules"] += [{**rule, "resources": others}] if others else []
        mine = {**rule, "resources": [one.resource]}
        role["rules"] += [{**mine, "verbs": verbs}] if verbs else []
        role["rules"] += [{**mine, "verbs": [one.verb], "resourceNames": names}] if names else []
        stored = self.lab.api.put(path, role)
        try:
            yield
        finally:
            stored["rules"] = before["rules"]
            self.lab.api.put(path, stored)

    @contextmanager
    def without_object(self, document: dict[str, Any]) -> Iterator[None]:
        """Delete an object of deploy/ for a while; it comes back as it was."""
        about = document["metadata"]
        where = _below(about.get("namespace", ""))
        collection = f"/apis/{document['apiVersion']}{where}/{document['kind'].lower()}s"
        before = self.lab.api.get(f"{collection}/{about['name']}")
        self.lab.api.delete(f"{collection}/{about['name']}")
        try:
            yield
        finally:
            back = {key: value for key, value in before.items() if key != "metadata"}
            kept = ("name", "namespace", "labels", "annotations")
            there = before["metadata"]
            back["metadata"] = {key: there[key] for key in kept if key in there}
            self.lab.api.post(collection, back)

    @contextmanager
    def heard(self) -> Iterator[list[dict[str, Any]]]:
        """What the API server was asked for meanwhile, known when the block has ended."""
        control = LabControl(json.loads((self.lab.home / "lab.json").read_text()))
        control._ask("POST", "/requests")
        found: list[dict[str, Any]] = []
        yield found
        asked = control._ask("GET", "/requests")["requests"]
        control._ask("DELETE", "/requests")
        found += [
            one
            for one in asked
            if one["server"] == "kubernetes" and not one["user_agent"].startswith("kubectl")
        ]

    def versions(self) -> dict[str, str]:
        """The version of every policy: it moves with every write."""
        from acns_chaos.cluster.policies import Policies

        return {
            f"{one['kind']} {one['metadata'].get('namespace')}/{one['metadata']['name']}": str(
                one["metadata"]["resourceVersion"]
            )
            for one in Policies(self.lab.api).all()
        }

    def pods(self) -> list[str]:
        """Names of the namespace's pods."""
        found = self.lab.api.get("/api/v1/namespaces/pets/pods")["items"]
        return sorted(str(one["metadata"]["name"]) for one in found)

    def records(self) -> list[str]:
        """Records that stand in the namespace."""
        found = self.lab.api.get("/api/v1/namespaces/pets/configmaps")["items"]
        names = [str(one["metadata"]["name"]) for one in found]
        return [name for name in names if name.startswith("acns-chaos-2")]

    def settled(self) -> bool:
        """Whether no record stands; the watchdog of a run may still be at it."""
        return bool(wait_until(lambda: not self.records(), 10))


def _below(namespace: str) -> str:
    return f"/namespaces/{namespace}" if namespace else ""


def one_by_one(file: str) -> list[Granted]:
    """The grants of a manifest, sorted for a stable order of tests."""
    return sorted(granted(file), key=str)
