"""Policies in the cluster: read, compare, replace. Raw JSON both ways, PUT only.

Nothing but PUT gives exact contents: `kubectl apply`, merge patch and server-side apply *merge*
(reference captures, "Replacing a policy").
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.errors import ApiError, Conflict, NotFound, PolicyError

__all__ = [
    "MANAGER",
    "POD",
    "Policies",
    "PolicyRef",
    "content",
    "content_hash",
    "policy_ref",
    "recorded_ref",
]

# What a run's writes are signed with in managedFields; its nets add who they are: "-watchdog".
MANAGER = "acns-chaos"
KINDS = {
    "CiliumNetworkPolicy": ("cilium.io/v2", "ciliumnetworkpolicies", True),
    "CiliumClusterwideNetworkPolicy": ("cilium.io/v2", "ciliumclusterwidenetworkpolicies", False),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies", True),
}
# A run may make pods as well (`cluster.prober`): recorded and removed as policies are, never listed
# among them and never a fault.
POD = "Pod"
_RECORDED = {**KINDS, POD: ("v1", "pods", True)}

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """Names one policy object; namespace is "" for a clusterwide one."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    def as_json(self) -> dict[str, str]:
        """Return the journal's form."""
        return {"kind": self.kind, "namespace": self.namespace, "name": self.name}

    @property
    def collection(self) -> str:
        """Path of the collection the object lives in."""
        version, plural, namespaced = _RECORDED[self.kind]
        scope = f"/namespaces/{self.namespace}" if namespaced else ""
        return f"/api{'s' if '/' in version else ''}/{version}{scope}/{plural}"

    @property
    def path(self) -> str:
        """Path of the object."""
        return f"{self.collection}/{self.name}"


def policy_ref(kind: str, namespace: str, name: str) -> PolicyRef:
    """Name a policy.

    Raises:
        PolicyError: the kind is none we know, or a name is none.
    """
    if kind not in KINDS:
        raise PolicyError(f"{kind!r} is not a policy kind: use one of {', '.join(KINDS)}.")
    return recorded_ref(kind, namespace, name)


def recorded_ref(kind: str, namespace: str, name: str) -> PolicyRef:
    """Name an object that a record may be about: a policy, or a pod of ours.

    Raises:
        PolicyError: the kind is none of them, or a name is none.
    """
    if kind not in _RECORDED:
        raise PolicyError(f"{kind!r} is no kind that a run records.")
    for what, given in (("policy", name), ("namespace", namespace)):
        missing = given == "" and what == "namespace"
        if not missing and not (isinstance(given, str) and NAME.fullmatch(given)):
            raise PolicyError(f"{given!r} is no Kubernetes name, so no {what} can be called that.")
    return PolicyRef(kind, namespace if _RECORDED[kind][2] else "", name)


def content(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a person wrote of *policy*: spec, specs, labels and annotations.

    Never status, managedFields, uid, resourceVersion or generation: the server owns those.
    """
    metadata = policy.get("metadata") or {}
    kept: dict[str, Any] = {key: policy[key] for key in ("spec", "specs") if key in policy}
    for key in ("labels", "annotations"):
        if metadata.get(key):
            kept[key] = metadata[key]
    return kept


def content_hash(policy: Mapping[str, Any]) -> str:
    """Return the sha256 of `content` as canonical JSON; `[]` and absent differ."""
    text = json.dumps(content(policy), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Policies:
    """The policies of one cluster.

    Args:
        api: the connection.
        manager: field manager under which changes are made, so that managedFields tell who did it.
    """

    def __init__(self, api: Api, manager: str = MANAGER) -> None:
        self.api = api
        self._manager = manager

    def get(self, ref: PolicyRef) -> dict[str, Any]:
        """Read one policy.

        Raises:
            NotFound: it does not exist; the sentence names what does.
            Conflict: the server says so, and lists it all the same.
            ApiError: anything else.
        """
        try:
            return self.api.get(ref.path)
        except NotFound as error:
            if missing := self._missing(ref):
                raise NotFound(missing, 404) from error
        try:
            # Created just now, or the answer was wrong; and "absent" may mean "restored".
            return self.api.get(ref.path)
        except NotFound as error:
            raise Conflict(
                f"{ref.kind} {ref} is listed by the API server and cannot be read", 409
            ) from error

    def _missing(self, ref: PolicyRef) -> str:
        """Say what there is instead, "" when the object is there after all."""
        where = f"namespace {ref.namespace!r}" if ref.namespace else "the cluster"
        sentence = f"There is no {ref.kind} {ref.name!r} in {where}"
        try:
            if ref.namespace:
                self.api.get(f"/api/v1/namespaces/{ref.namespace}")
            names = self.names(ref)
            return "" if ref.name in names else f"{sentence}: it has {', '.join(names) or 'none'}."
        except NotFound:
            if not ref.namespace:
                return f"{sentence}: it does not know this kind."
            return f"Namespace {ref.namespace!r} does not exist at {self.api.server}."
        except ApiError:
            # Whoever may read one policy need not be allowed to look around.
            return f"{sentence}."

    def names(self, ref: PolicyRef) -> list[str]:
        """List the names of the policies beside *ref*."""
        items = self.api.get(ref.collection).get("items", [])
        return sorted(str(one["metadata"]["name"]) for one in items)

    def all(self) -> list[dict[str, Any]]:
        """List every policy of every kind, each with its kind and apiVersion filled in.

        Raises:
            ApiError: a kind cannot be listed; a missing CRD counts as an empty list.
        """
        found: list[dict[str, Any]] = []
        for kind, (version, plural, _) in KINDS.items():
            try:
                items = self.api.get(f"/apis/{version}/{plural}").get("items", [])
            except NotFound:
                continue
            # Items of a list carry neither kind nor apiVersion.
            found += [{"apiVersion": version, "kind": kind, **one} for one in items]
        return found

    def replace(self, policy: Mapping[str, Any], dry_run: bool = False) -> dict[str, Any]:
        """PUT *policy*, which carries the resourceVersion it was read with.

        Args:
            policy: the whole object.
            dry_run: only ask the server whether it would accept it.

        Returns:
            The object as stored (or as it would be).

        Raises:
            Conflict: somebody changed it meanwhile; nothing was written.
            ApiError: the server refuses it; nothing was written.
        """
        return self.api.put(self._ref(policy).path, policy, self._query(dry_run))

    def create(self, policy: Mapping[str, Any], dry_run: bool = False) -> dict[str, Any]:
        """POST *policy*; arguments and errors as `replace`."""
        return self.api.post(self._ref(policy).collection, policy, self._query(dry_run))

    def _query(self, dry_run: bool) -> dict[str, str]:
        query = {"fieldManager": self._manager}
        return {**query, "dryRun": "All"} if dry_run else query

    def delete(self, ref: PolicyRef, live: Mapping[str, Any], dry_run: bool = False) -> None:
        """DELETE a policy as it was read, and no other version of it.

        Args:
            ref: the policy.
            live: as read; its uid and resourceVersion are the precondition.
            dry_run: only ask the server whether it would.

        Raises:
            Conflict: somebody changed it meanwhile; nothing was deleted.
            ApiError: the server refuses it.
        """
        metadata = live["metadata"]
        conditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        if ref.kind == POD:
            # Its kubelet writes its status all the time, which makes it no other pod.
            del conditions["resourceVersion"]
        options: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": conditions,
            **({"dryRun": ["All"]} if dry_run else {}),
        }
        with contextlib.suppress(NotFound):
            self.api.delete(ref.path, options)

    @staticmethod
    def _ref(policy: Mapping[str, Any]) -> PolicyRef:
        metadata = policy["metadata"]
        return recorded_ref(str(policy["kind"]), metadata.get("namespace", ""), metadata["name"])
