"""What a write is about and what it answers, and the rules that need no store: path and version.

Not here: the verbs (`writes`), the rules of a kind (`admission`).
"""

from dataclasses import dataclass, replace

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.failures import Failure, Json, Problem
from acns_chaos.lab.api.kinds import events_view
from acns_chaos.lab.api.kinds.objects import clone
from acns_chaos.lab.api.kinds.resources import BY_KIND, Resource

SERVER_SET = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "managedFields")


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


def as_stored(target: Target, obj: Json) -> tuple[Target, Json]:
    """The target and the object of a view, as they are stored."""
    return replace(target, resource=BY_KIND[target.resource.kind]), events_view.to_core(obj)


def require_new_event(target: Target, obj: Json) -> None:
    """Hold what events.k8s.io wants of a new event against one.

    Raises:
        Failure: 422.
    """
    if found := events_view.problems(obj):
        name = obj["metadata"].get("name", "")
        raise failures.invalid(target.resource.kind, target.resource.group, name, found)


def fit_to_path(target: Target, obj: Json) -> None:
    """Take the namespace from the path; name and namespace of the body must not differ from it.

    Raises:
        Failure: 400.
    """
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


def require_same_version(resource: Resource, old: Json, metadata: Json) -> None:
    """Hold the resourceVersion and the uid that a client sends against the stored ones.

    Raises:
        Failure: 409, they differ; 422, the kind needs a version and has none.
    """
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


def with_kept(target: Target, old: Json, new: Json) -> Json:
    """The new object with what the writer may not change taken from the old one."""
    if target.subresource == "status":
        kept = {key: value for key, value in clone(old).items() if key != "status"}
        return {**kept, **({"status": new["status"]} if "status" in new else {})}
    if target.resource.status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = clone(old["status"])
    for key in SERVER_SET:
        new["metadata"].pop(key, None)
        if key in old["metadata"]:
            new["metadata"][key] = clone(old["metadata"][key])
    return new


def differs_outside_status(old: Json, new: Json) -> bool:
    """Whether metadata.generation counts the change."""
    keys = {*old, *new} - {"metadata", "status"}
    return any(old.get(key) != new.get(key) for key in keys)


def visible(metadata: Json) -> Json:
    """The metadata that tell one object from another; empty members and managedFields do not."""
    return {key: value for key, value in metadata.items() if key != "managedFields" and value}
