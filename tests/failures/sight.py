"""What lies in a lab's cluster, looked at and put right by the harness itself.

Its requests carry the harness's own agent, so they are neither struck nor counted. What belongs
here: objects. What does not: processes (`stand`).
"""

import contextlib
import json
import re
from collections import Counter
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.leases import Leases, lease_name
from acns_chaos.cluster.permissions import JANITOR_LEASE
from acns_chaos.cluster.pods import is_ready, workload_of
from acns_chaos.cluster.policies import Policies, PolicyRef, content, policy_ref
from acns_chaos.cluster.prober import is_prober
from acns_chaos.cluster.stop import CENTRAL
from acns_chaos.errors import Conflict, NotFound
from acns_chaos.faults.undo import fresh

__all__ = ["LEASES", "RECORDS", "Sight"]

RECORDS = "/api/v1/namespaces/pets/configmaps"
PODS = "/api/v1/namespaces/pets/pods"
LEASES = "/apis/coordination.k8s.io/v1/leases"
_RECORD = re.compile(r"acns-chaos-\d{8}t\d{6}-")


class Sight:
    """Looks at one cluster; `start_lab` of the stand gives it the connection.

    Attributes:
        api: the harness's own connection.
        original: content of every policy when the lab was started.
    """

    api: Api
    original: dict[str, Any]
    _raw: dict[str, dict[str, Any]]
    _ready: dict[str, int]

    def look_first(self, api: Api) -> None:
        """Take what is there now for what must always come back."""
        self.api = api
        self._raw = self.raw_policies()
        self.original = _contents(self._raw)
        self._ready = self._ready_pods()

    def raw_policies(self) -> dict[str, dict[str, Any]]:
        """Every policy as it is stored, by kind, namespace and name."""
        return {_title(one): one for one in Policies(self.api).all()}

    def policies(self) -> dict[str, Any]:
        """Content of every policy."""
        return _contents(self.raw_policies())

    def is_original(self) -> bool:
        """Whether every policy is as the world has it."""
        return self.policies() == self.original

    def is_whole(self) -> bool:
        """Whether every workload has its Ready pods, and no pod is one of ours."""
        return self._ready_pods() == self._ready and not self.probers()

    def probers(self) -> list[str]:
        """Names of prober pods, also of those that end."""
        return [str(one["metadata"]["name"]) for one in self._pods() if is_prober(one)]

    def _pods(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.get(PODS)["items"]
        return found

    def _ready_pods(self) -> dict[str, int]:
        """How many Ready pods each workload has."""
        there = [
            one
            for one in self._pods()
            if not is_prober(one) and is_ready(one) and not one["metadata"].get("deletionTimestamp")
        ]
        return dict(Counter(map(workload_of, there)))

    def put_right(self, wanted: dict[str, dict[str, Any]] | None = None) -> None:
        """Write policies as they were at the start, or as somebody else's fault made them.

        Args:
            wanted: raw policies by title; None takes those of the start.
        """
        # The cluster writes a policy's status, which moves its version on as well.
        for _ in range(5):
            with contextlib.suppress(Conflict):
                self._write(self._raw if wanted is None else wanted)
                return
        raise AssertionError("somebody else goes on writing policies")

    def _write(self, wanted: dict[str, dict[str, Any]]) -> None:
        policies = Policies(self.api)
        there = self.raw_policies()
        for title in there.keys() - wanted.keys():
            policies.delete(_ref(there[title]), there[title])
        for title, policy in wanted.items():
            if title not in there:
                policies.create(fresh(policy))
            elif content(there[title]) != content(policy):
                onto = fresh(policy)
                onto["metadata"]["resourceVersion"] = there[title]["metadata"]["resourceVersion"]
                policies.replace(onto)

    # ------------------------------------------------------------------ what a run left

    def raw_records(self) -> list[dict[str, Any]]:
        """ConfigMaps of ours that lie in the namespace, parts included."""
        found = self.api.get(RECORDS).get("items", [])
        return [one for one in found if _RECORD.match(one["metadata"]["name"])]

    def records(self) -> list[str]:
        """Their names."""
        return [str(one["metadata"]["name"]) for one in self.raw_records()]

    def raw_leases(self) -> list[dict[str, Any]]:
        """Our Leases, wherever they lie; a janitor's, which only says that it is there, apart."""
        found = self.api.get(LEASES).get("items", [])
        ours = [one for one in found if one["metadata"]["name"].startswith("acns-chaos")]
        return [one for one in ours if "janitor" not in one["metadata"]["name"]]

    def named(self) -> list[str]:
        """Records that a Lease names."""
        found: list[str] = []
        for lease in self.raw_leases():
            annotations = lease["metadata"].get("annotations") or {}
            found += json.loads(annotations.get("acns-chaos/records") or "{}")
        return found

    def holders(self) -> list[str]:
        """Who holds a Lease."""
        held = [one["spec"].get("holderIdentity") or "" for one in self.raw_leases()]
        return [one for one in held if one]

    def janitor_was_there(self, there: bool) -> None:
        """Have the Lease lie there with which a janitor says so, or not."""
        where = LEASES.replace("/leases", f"/namespaces/{CENTRAL}/leases")
        with contextlib.suppress(NotFound):
            self.api.delete(f"{where}/{lease_name('pets', JANITOR_LEASE)}")
        if there:
            Leases(self.api, "pets", JANITOR_LEASE).acquire("janitor", 60)

    def sweep(self) -> None:
        """Take away what a dead run may rightly leave: a Lease that lapses, an unnamed record."""
        for lease in self.raw_leases():
            metadata = lease["metadata"]
            where = LEASES.replace("/leases", f"/namespaces/{metadata['namespace']}/leases")
            with contextlib.suppress(NotFound):
                self.api.delete(f"{where}/{metadata['name']}")
        for name in self.records():
            path = f"{RECORDS}/{name}"
            with contextlib.suppress(NotFound):
                there = self.api.get(path)
                there["metadata"]["finalizers"] = []
                self.api.put(path, there)
                self.api.delete(path)


def _contents(policies: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {title: content(one) for title, one in policies.items()}


def _title(policy: dict[str, Any]) -> str:
    metadata = policy["metadata"]
    return f"{policy['kind']} {metadata.get('namespace', '')}/{metadata['name']}"


def _ref(policy: dict[str, Any]) -> PolicyRef:
    metadata = policy["metadata"]
    return policy_ref(policy["kind"], metadata.get("namespace", ""), metadata["name"])
