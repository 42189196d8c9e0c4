"""create, update, patch and delete: the order of checks that a real API server keeps.

Decode, admission (the namespace exists), fill in, prune, validate, compare versions, store. What
a kind needs beyond that is data in ``resources``, ``builtin`` and ``cilium``.
"""

from dataclasses import dataclass

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.admission import prepared, require_valid
from acns_chaos.lab.api.decode import decode, parse_json
from acns_chaos.lab.api.failures import Failure, Json, Problem
from acns_chaos.lab.api.managed import managed_fields
from acns_chaos.lab.api.objects import clone, generated_name, new_uid, now
from acns_chaos.lab.api.options import DeleteOptions, WriteOptions
from acns_chaos.lab.api.patches import apply_patch
from acns_chaos.lab.api.resources import RESOURCES, Resource
from acns_chaos.lab.api.store import Store

_SERVER_SET = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "managedFields")
_IMMORTAL = frozenset({"default", "kube-system", "kube-public"})


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names.

    Attributes:
        resource: the kind.
        namespace: None for a kind of the cluster, and for a list over all namespaces.
        name: "" for a collection.
        subresource: "" for the object itself, "status", "exec".
    """

    resource: Resource
    namespace: str | None
    name: str = ""
    subresource: str = ""

    def not_found(self) -> Failure:
        """The 404 for this object."""
        return failures.not_found(self.resource.plural, self.resource.group, self.name)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: the HTTP code, the body, and what to warn about."""

    code: int
    body: Json
    warnings: tuple[str, ...] = ()


class Writes:
    """The writing verbs over one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, target: Target, body: bytes, options: WriteOptions) -> Answer:
        """POST to a collection.

        Raises:
            Failure: as a server refuses.
        """
        obj, warnings = decode(target.resource, parse_json(body), options.validation)
        if target.resource.kind == "SelfSubjectAccessReview":
            status = {"allowed": True, "reason": "the lab allows everything to its one user"}
            return Answer(201, {**obj, "status": status}, tuple(warnings))
        return self._create(target, obj, options, warnings)

    def _create(
        self, target: Target, obj: Json, options: WriteOptions, warnings: list[str]
    ) -> Answer:
        _fit_to_path(target, obj)
        resource, metadata = target.resource, obj["metadata"]
        if metadata.get("resourceVersion"):
            raise Failure(500, "", "resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = generated_name(metadata["generateName"])
        self._require_namespace(resource, target.namespace)
        if resource.status:
            obj.pop("status", None)
        for key in (*_SERVER_SET, "deletionGracePeriodSeconds", "selfLink"):
            metadata.pop(key, None)
        new = prepared(resource, obj)
        require_valid(resource, None, new)
        if self._store.find(resource.kind, target.namespace, new["metadata"]["name"]):
            raise failures.already_exists(resource.plural, resource.group, new["metadata"]["name"])
        time = now()
        new["metadata"].update(uid=new_uid(), creationTimestamp=time)
        if resource.generation:
            new["metadata"]["generation"] = 1
        new["metadata"]["managedFields"] = managed_fields(
            None, new, manager=options.manager, subresource="", time=time
        )
        return Answer(201, new if options.dry_run else self._store.commit(new), tuple(warnings))

    def _require_namespace(self, resource: Resource, namespace: str | None) -> None:
        if resource.namespaced and self._store.find("Namespace", None, namespace or "") is None:
            raise failures.not_found("namespaces", "", namespace or "")

    def update(self, target: Target, body: bytes, options: WriteOptions) -> Answer:
        """PUT of an object or of its status.

        Raises:
            Failure: as a server refuses.
        """
        resource = target.resource
        obj, warnings = decode(resource, parse_json(body), options.validation)
        _fit_to_path(target, obj)
        old = self._store.find(resource.kind, target.namespace, target.name)
        if old is None:
            if resource.create_on_update and not target.subresource:
                return self._create(target, obj, options, warnings)
            raise target.not_found()
        return self._replace(target, old, obj, options, warnings)

    def patch(
        self, target: Target, body: bytes, content_type: str, options: WriteOptions
    ) -> Answer:
        """PATCH of an object or of its status.

        Raises:
            Failure: as a server refuses.
        """
        resource = target.resource
        old = self._store.find(resource.kind, target.namespace, target.name)
        if old is None:
            raise target.not_found()
        patched = apply_patch(old, parse_json(body), content_type)
        obj, warnings = decode(resource, patched, options.validation)
        _fit_to_path(target, obj)
        return self._replace(target, old, obj, options, warnings)

    def _replace(
        self, target: Target, old: Json, obj: Json, options: WriteOptions, warnings: list[str]
    ) -> Answer:
        resource = target.resource
        _require_same_version(resource, old, obj["metadata"])
        new = _merged(target, old, prepared(resource, obj))
        require_valid(resource, old, new)
        changed = any(new.get(key) != old.get(key) for key in {*old, *new} - {"metadata"})
        if resource.schema is None and not target.subresource and changed:
            raise failures.not_modelled(
                f"changes of {resource.qualified} beyond their metadata: nothing would act on them"
            )
        if resource.generation and not target.subresource and _outside_status(old, new):
            new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        if not changed and _visible(new["metadata"]) == _visible(old["metadata"]):
            return Answer(200, old, tuple(warnings))
        new["metadata"]["managedFields"] = managed_fields(
            old, new, manager=options.manager, subresource=target.subresource, time=now()
        )
        if options.dry_run:
            return Answer(200, new, tuple(warnings))
        if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            self._store.delete(resource.kind, target.namespace, target.name)
            return Answer(200, new, tuple(warnings))
        return Answer(200, self._store.commit(new), tuple(warnings))

    def delete(self, target: Target, options: DeleteOptions) -> Answer:
        """DELETE of an object.

        Raises:
            Failure: as a server refuses.
        """
        resource = target.resource
        obj = self._store.find(resource.kind, target.namespace, target.name)
        if obj is None:
            raise target.not_found()
        options.check(resource, obj)
        if resource.kind == "Namespace" and target.name in _IMMORTAL:
            message = f'namespaces "{target.name}" is forbidden: this namespace may not be deleted'
            raise Failure(
                403, "Forbidden", message, failures.details("", "namespaces", target.name)
            )
        if not options.dry_run:
            obj = self._remove(resource, obj)
        if resource.returns_object or obj["metadata"].get("deletionTimestamp"):
            return Answer(200, obj)
        about = failures.details(resource.group, resource.plural, target.name)
        return Answer(
            200,
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "details": {**about, "uid": obj["metadata"]["uid"]},
            },
        )

    def _remove(self, resource: Resource, obj: Json) -> Json:
        """Delete an object, or mark it when a finalizer holds it; a namespace takes all with it."""
        metadata = obj["metadata"]
        namespace, name = metadata.get("namespace"), metadata["name"]
        if metadata.get("finalizers"):
            if not metadata.get("deletionTimestamp"):
                metadata.update(deletionTimestamp=now(), deletionGracePeriodSeconds=0)
                return self._store.commit(obj)
            return obj
        if resource.kind == "Namespace":
            for inner in RESOURCES:
                if inner.namespaced:
                    for content in self._store.list(inner.kind, name):
                        self._store.delete(inner.kind, name, content["metadata"]["name"])
            metadata["deletionTimestamp"] = now()
            obj["status"] = {"phase": "Terminating"}
        self._store.delete(resource.kind, namespace, name)
        return obj

    def delete_all(self, target: Target, objects: list[Json], options: DeleteOptions) -> list[Json]:
        """DELETE of a collection: the objects that the selectors chose.

        Raises:
            Failure: 409 for a precondition that one of them does not meet.
        """
        for obj in objects:
            options.check(target.resource, obj)
        if options.dry_run:
            return objects
        return [self._remove(target.resource, obj) for obj in objects]


def _fit_to_path(target: Target, obj: Json) -> None:
    """Take the namespace from the path; name and namespace of the body must not differ from it."""
    metadata = obj["metadata"] = dict(obj["metadata"])
    if target.name and metadata.get("name") != target.name:
        given = metadata.get("name") or ""
        if given:
            raise failures.bad_request(
                f"the name of the object ({given}) does not match the name on the URL "
                f"({target.name})"
            )
        raise failures.bad_request(
            f"the name of the object ({given} based on URL) was undeterminable: name must be "
            "provided"
        )
    if not target.resource.namespaced:
        metadata.pop("namespace", None)
    elif metadata.get("namespace") not in (None, "", target.namespace):
        raise failures.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    else:
        metadata["namespace"] = target.namespace


def _require_same_version(resource: Resource, old: Json, metadata: Json) -> None:
    name, version, uid = (
        old["metadata"]["name"],
        metadata.get("resourceVersion"),
        metadata.get("uid"),
    )
    if not version and not resource.unconditional:
        problem = Problem(
            "metadata.resourceVersion", "Invalid value", "0: must be specified for an update"
        )
        raise failures.invalid(resource.plural, resource.group, name, [problem])
    if version and version != old["metadata"]["resourceVersion"]:
        raise failures.conflict(resource.plural, resource.group, name)
    if uid and uid != old["metadata"]["uid"]:
        why = (
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: "
            f"{old['metadata']['uid']}"
        )
        raise failures.conflict(resource.plural, resource.group, name, why)


def _merged(target: Target, old: Json, new: Json) -> Json:
    """The new object with what the writer may not change taken from the old one."""
    if target.subresource == "status":
        kept = {key: value for key, value in clone(old).items() if key != "status"}
        return {**kept, **({"status": new["status"]} if "status" in new else {})}
    if target.resource.status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = clone(old["status"])
    for key in _SERVER_SET:
        new["metadata"].pop(key, None)
        if key in old["metadata"]:
            new["metadata"][key] = clone(old["metadata"][key])
    return new


def _outside_status(old: Json, new: Json) -> bool:
    keys = {*old, *new} - {"metadata", "status"}
    return any(old.get(key) != new.get(key) for key in keys)


def _visible(metadata: Json) -> Json:
    return {key: value for key, value in metadata.items() if key != "managedFields" and value}
