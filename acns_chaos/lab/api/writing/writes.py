"""create, update, patch and delete: the order of checks that a real API server keeps.

Decode, admission (the namespace exists), fill in, prune, validate, compare versions, store. What
a kind needs beyond that is data in ``resources``, ``builtin`` and ``cilium``.
"""

from dataclasses import replace

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.applying.apply import Applying, applied, check_config
from acns_chaos.lab.api.applying.apply_types import require_typed
from acns_chaos.lab.api.applying.fields import same
from acns_chaos.lab.api.applying.managed import Writing, same_owners, updated
from acns_chaos.lab.api.failures import Failure, Json
from acns_chaos.lab.api.kinds import batch_kinds, events_view
from acns_chaos.lab.api.kinds.objects import generated_name, new_uid, now
from acns_chaos.lab.api.kinds.resources import RESOURCES, Resource
from acns_chaos.lab.api.options import DeleteOptions, WriteOptions
from acns_chaos.lab.api.pods import bare, owned
from acns_chaos.lab.api.store import Store
from acns_chaos.lab.api.writing.admission import prepared, require_valid
from acns_chaos.lab.api.writing.bodies import JSON, YAML, parse
from acns_chaos.lab.api.writing.decode import decode
from acns_chaos.lab.api.writing.patches import APPLY_PATCH, apply_patch
from acns_chaos.lab.api.writing.target import (
    SERVER_SET,
    Answer,
    Target,
    as_stored,
    differs_outside_status,
    fit_to_path,
    require_new_event,
    require_same_version,
    visible,
    with_kept,
)

__all__ = ["Answer", "Target", "Writes"]

_IMMORTAL = frozenset({"default", "kube-system", "kube-public"})


class Writes:
    """The writing verbs over one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self, target: Target, body: bytes, options: WriteOptions, media: str = JSON
    ) -> Answer:
        """POST to a collection.

        Args:
            target: the collection.
            body: the object, in the form that ``media`` names.
            options: of the request.
            media: the Content-Type of the body.

        Raises:
            Failure: as a server refuses.
        """
        sent = parse(body, media)
        if target.resource.bare:
            bare.require_modelled(sent.value)
            target = replace(target, resource=replace(target.resource, schema=bare.POD))
        obj, warnings = decode(target.resource, sent.value, options.validation, sent.complaints)
        if target.resource.view:
            require_new_event(target, obj)
            target, obj = as_stored(target, obj)
        return self._create(target, obj, options, warnings)

    def _create(
        self,
        target: Target,
        obj: Json,
        options: WriteOptions,
        warnings: list[str],
        *,
        owned: bool = False,
    ) -> Answer:
        """Store a new object; ``owned`` says that its managedFields are right already."""
        fit_to_path(target, obj)
        resource, metadata = target.resource, obj["metadata"]
        if metadata.get("resourceVersion"):
            raise Failure(500, "", "resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = generated_name(metadata["generateName"])
        self._require_namespace(resource, target.namespace)
        if resource.status:
            obj.pop("status", None)
        given = metadata.get("managedFields")
        for key in (*SERVER_SET, "deletionGracePeriodSeconds", "selfLink"):
            metadata.pop(key, None)
        new = prepared(resource, obj)
        options.admit(None, new)
        require_valid(resource, None, new)
        if resource.bare:
            bare.complete(new)
            bare.require_account(self._store, new)
        if self._store.find(resource.kind, target.namespace, new["metadata"]["name"]):
            raise failures.already_exists(resource.plural, resource.group, new["metadata"]["name"])
        time = now()
        new["metadata"].update(uid=new_uid(), creationTimestamp=time)
        if resource.generation:
            new["metadata"]["generation"] = 1
        writing = Writing(options.manager, "", time, given)
        new["metadata"]["managedFields"] = given if owned else updated(resource, None, new, writing)
        if resource.kind == "Job":
            # After the owners of fields are told: nobody owns what the server makes of the UID.
            batch_kinds.claim_pods(new)
        return Answer(201, new if options.dry_run else self._store.commit(new), tuple(warnings))

    def _require_namespace(self, resource: Resource, namespace: str | None) -> None:
        if resource.namespaced and self._store.find("Namespace", None, namespace or "") is None:
            raise failures.not_found("namespaces", "", namespace or "")

    def update(
        self, target: Target, body: bytes, options: WriteOptions, media: str = JSON
    ) -> Answer:
        """PUT of an object or of its status; the arguments are those of ``create``.

        Raises:
            Failure: as a server refuses.
        """
        resource = target.resource
        sent = parse(body, media)
        obj, warnings = decode(resource, sent.value, options.validation, sent.complaints)
        if resource.view:
            target, obj = as_stored(target, obj)
            resource = target.resource
        fit_to_path(target, obj)
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
        if content_type == APPLY_PATCH:
            return self._apply(target, body, options)
        resource = target.resource
        old = self._store.find(resource.kind, target.namespace, target.name)
        if old is None:
            raise target.not_found()
        patch = parse(body)
        seen = events_view.to_view(old) if resource.view else old
        patched = apply_patch(seen, patch.value, content_type)
        obj, warnings = decode(resource, patched, options.validation, patch.complaints)
        if resource.view:
            target, obj = as_stored(target, obj)
        fit_to_path(target, obj)
        return self._replace(target, old, obj, options, warnings)

    def _apply(self, target: Target, body: bytes, options: WriteOptions) -> Answer:
        """PATCH with a configuration: server-side apply."""
        resource = target.resource
        if resource.view:
            raise failures.not_modelled(f"server-side apply of {resource.qualified}")
        sent = parse(body, YAML)
        config = sent.value
        if not isinstance(config, dict):
            raise failures.bad_request(
                "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot "
                "unmarshal into Go value of type map[string]interface {}"
            )
        check_config(resource, config)
        require_typed(resource, config)
        config = {**config, "metadata": config.get("metadata") or {}}
        config["metadata"] = {"name": target.name, **config["metadata"]}
        fit_to_path(target, config)
        warnings = [] if options.validation == "Ignore" else sent.complaints
        if warnings and options.validation == "Strict":
            raise failures.bad_request(
                f"error strict decoding YAML: error converting YAML to JSON: {warnings[0]}"
            )
        old = self._store.find(resource.kind, target.namespace, target.name)
        if old is None and target.subresource:
            raise target.not_found()
        if old is None and ("create" not in resource.verbs or resource.bare):
            raise failures.not_modelled(f"create of {resource.qualified}")
        applying = Applying(options.manager, options.force, target.subresource, now())
        new = applied(resource, old, config, applying)
        # What has no value is not there: a configuration may say null.
        obj, _ = decode(resource, new, "Ignore")
        if old is None:
            self._require_namespace(resource, target.namespace)
            return self._create(target, obj, options, warnings, owned=True)
        return self._replace(target, old, obj, options, warnings, owned=True)

    def _replace(
        self,
        target: Target,
        old: Json,
        obj: Json,
        options: WriteOptions,
        warnings: list[str],
        *,
        owned: bool = False,
    ) -> Answer:
        """Store a changed object; ``owned`` says that its managedFields are right already."""
        resource = target.resource
        given = obj["metadata"].get("managedFields")
        require_same_version(resource, old, obj["metadata"])
        new = with_kept(target, old, prepared(resource, obj))
        options.admit(old, new)
        require_valid(resource, old, new)
        changed = any(not same(new.get(key), old.get(key)) for key in {*old, *new} - {"metadata"})
        if resource.schema is None and not target.subresource and changed:
            raise failures.not_modelled(
                f"changes of {resource.qualified} beyond their metadata: nothing would act on them"
            )
        if resource.generation and not target.subresource and differs_outside_status(old, new):
            new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        writing = Writing(options.manager, target.subresource, now(), given)
        entries = given if owned else updated(resource, old, new, writing)
        like_before = visible(new["metadata"]) == visible(old["metadata"])
        if (
            like_before
            and not changed
            and same_owners(entries, old["metadata"].get("managedFields"))
        ):
            return Answer(200, old, tuple(warnings))
        new["metadata"]["managedFields"] = entries
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
        if resource.kind == "Namespace" and self._store.list("Pod", target.name):
            raise failures.not_modelled("delete of a namespace with pods in it")
        if resource.bare:
            owned.require_replaceable(self._store, obj)
        if not options.dry_run:
            obj = self._remove(resource, obj, options.grace)
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

    def _remove(self, resource: Resource, obj: Json, grace: int | None = None) -> Json:
        """Delete an object, or mark it when a finalizer holds it; a namespace takes all with it."""
        metadata = obj["metadata"]
        namespace, name = metadata.get("namespace"), metadata["name"]
        if resource.bare and (seconds := bare.grace_of(obj, grace)):
            if not metadata.get("deletionTimestamp"):
                # Its kubelet removes it when the time is over.
                metadata.update(deletionTimestamp=now(seconds), deletionGracePeriodSeconds=seconds)
                return self._store.commit(obj)
            return obj
        if resource.bare and not metadata.get("deletionTimestamp"):
            # Its controller goes by the mark, also where nothing is waited for.
            metadata.update(deletionTimestamp=now(), deletionGracePeriodSeconds=0)
            obj = self._store.commit(obj)
            metadata = obj["metadata"]
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
            if target.resource.bare:
                owned.require_replaceable(self._store, obj)
        if options.dry_run:
            return objects
        return [self._remove(target.resource, obj, options.grace) for obj in objects]
