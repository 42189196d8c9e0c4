"""What happens to any object before it is stored: fill in, prune, validate.

Clients' objects come here from ``writes``, those of the world through ``load``; versions and
preconditions are not looked at.
"""

from typing import Any

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.describing.discovery import custom_resource_definitions
from acns_chaos.lab.api.failures import Json, Problem
from acns_chaos.lab.api.kinds import batch_kinds, rbac_kinds, volume_kinds
from acns_chaos.lab.api.kinds.builtin import CHECK, FILL
from acns_chaos.lab.api.kinds.objects import clone, validate_metadata
from acns_chaos.lab.api.kinds.resources import BY_KIND, Resource
from acns_chaos.lab.api.kinds.schema import quoted, validate
from acns_chaos.lab.api.store import Store
from acns_chaos.lab.api.writing.decode import decode
from acns_chaos.policy.schema import Field, prune
from acns_chaos.policy.schema_native import METADATA


def load_definitions(store: Store) -> None:
    """Put the definitions of the custom kinds into a store."""
    for definition in custom_resource_definitions():
        store.put(definition)


def load(store: Store, obj: Json) -> None:
    """Put an object of a world into the store, after the checks that a client's would get.

    Args:
        store: where it goes; its namespace must be there already.
        obj: a Kubernetes object, status included.

    Raises:
        Failure: the lab does not serve the kind, or a server would refuse the object.
    """
    resource = BY_KIND.get(obj["kind"])
    if resource is None:
        raise failures.not_modelled(f"the kind {obj['kind']}")
    decoded, _ = decode(resource, obj, "Strict")
    namespace = decoded["metadata"].get("namespace")
    if resource.namespaced and not namespace:
        raise failures.bad_request("it needs a metadata.namespace")
    if namespace and not resource.namespaced:
        raise failures.bad_request("it belongs to no namespace, but names one")
    if namespace and store.find("Namespace", None, namespace) is None:
        raise failures.not_found("namespaces", "", namespace)
    new = prepared(resource, decoded)
    require_valid(resource, None, new)
    store.put(new)


def prepared(resource: Resource, obj: Json) -> Json:
    """The object as it would be stored: unknown fields and nulls gone, defaults in.

    Args:
        resource: the kind.
        obj: a decoded object; it is not changed.
    """
    pruned: Json = obj
    if resource.schema is not None:
        pruned = prune({**obj, "metadata": {}}, resource.schema)
    metadata = {key: part for key, part in prune(obj["metadata"], METADATA).items() if part != {}}
    new = clone({**pruned, "metadata": metadata})
    if resource.schema is not None and not resource.custom:
        _zero_items(new, resource.schema)
    if resource.kind in FILL:
        FILL[resource.kind](new)
    return new


def _zero_items(value: Any, schema: Field) -> None:
    """Make of each null in a list what Go makes of it: the zero value of the item's type."""
    zero = {"object": dict, "array": list, "integer": int, "boolean": bool}
    if isinstance(value, dict):
        for key, member in value.items():
            if (described := schema.values or schema.fields.get(key)) is not None:
                _zero_items(member, described)
    elif isinstance(value, list) and schema.items is not None and schema.items.type != "any":
        for number, item in enumerate(value):
            if item is None:
                value[number] = zero.get(schema.items.type, str)()
            _zero_items(value[number], schema.items)


def require_valid(resource: Resource, old: Json | None, new: Json) -> None:
    """Hold the rules of a kind against an object that is about to be stored.

    Args:
        resource: the kind.
        old: the stored object; None on create.
        new: the prepared object.

    Raises:
        Failure: 422 with everything that is wrong.
    """
    if resource.schema is None:
        problems = validate_metadata(resource, new["metadata"])
    elif new["kind"] != resource.kind:
        detail = f"{quoted(new['kind'])}: must be {resource.kind}"
        problems = [Problem("kind", "Invalid value", detail)]
    else:
        problems = validate_metadata(resource, new["metadata"])
        problems += validate(new, resource.schema)
        if resource.kind in CHECK:
            problems += CHECK[resource.kind](new)
        problems += _immutable(old, new)
    if problems:
        name = new["metadata"].get("name", "")
        raise failures.invalid(resource.kind, resource.group, name, problems)


def _immutable(old: Json | None, new: Json) -> list[Problem]:
    """What may not change: a binding's role, a Job's pods, and whatever says so of itself."""
    if old and new["kind"].endswith("Binding"):
        return rbac_kinds.check_change(old, new)
    if old and new["kind"] == "Job":
        return batch_kinds.check_change(old, new)
    if old and new["kind"] == "PersistentVolumeClaim":
        return volume_kinds.check_change(old, new)
    if old and new["kind"] == "Secret" and old.get("type") != new.get("type"):
        shown = quoted(new.get("type", ""))
        return [Problem("type", "Invalid value", f"{shown}: field is immutable")]
    if not old or not old.get("immutable"):
        return []
    why = "field is immutable when `immutable` is set"
    return [
        Problem(field, "Forbidden", why)
        for field in ("immutable", "data", "binaryData")
        if old.get(field) != new.get(field)
    ]
