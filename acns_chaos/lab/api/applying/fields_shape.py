"""How the parts of an object are owned and merged: granular, as a whole, or item by item.

Belongs here: what `x-kubernetes-list-type`, `-list-map-keys` and `-map-type` say in the schemas of
a real server, derived from the field tables of `policy.schema`. Not here: ownership (`fields`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from acns_chaos.lab.api.kinds import pod_template
from acns_chaos.lab.api.kinds.resources import Resource
from acns_chaos.policy.schema import Field
from acns_chaos.policy.schema_native import METADATA


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """How one place of an object merges.

    Attributes:
        how: "leaf" (a scalar, or a list or map that is replaced as a whole), "struct" (named
            members), "map" (free members), "keyed" (a list of objects with key members), "set" (a
            list of distinct scalars).
        fields: the members of a struct.
        values: what each member of a map, or each item of a keyed list, is.
        keys: the key members of a keyed list.
    """

    how: str
    fields: Mapping[str, "Shape"] = field(default_factory=dict)
    values: "Shape | None" = None
    keys: tuple[str, ...] = ()

    def member(self, name: str) -> "Shape":
        """The shape of a member; of one that nobody describes, guessed from its value."""
        return self.fields.get(name) or self.values or GUESSED


LEAF = Shape("leaf")
GUESSED = Shape("guessed")
"""A map where the value is a map, else a leaf: what a server makes of undescribed parts."""

# Where lists are not replaced as a whole, and maps are; places are joined names.
_KEYED = {
    "metadata.ownerReferences": ("uid",),
    "status.conditions": ("type",),
    "secrets": ("name",),  # of a ServiceAccount
}
_SETS = frozenset({"metadata.finalizers"})
_WHOLE_MAPS = frozenset(
    {
        "spec.endpointSelector",
        "spec.nodeSelector",
        "spec.podSelector",
        "spec.selector",
        "spec.jobTemplate.spec.selector",
        "involvedObject",
        "related",
        "regarding",
        "roleRef",
    }
)


@cache
def shape_of(resource: Resource) -> Shape:
    """The shape of a kind's objects."""
    schema = resource.schema
    fields = {} if schema is None else dict(schema.fields)
    shapes = {name: _shape(described, name) for name, described in fields.items()}
    return Shape("struct", {**shapes, "metadata": _shape(METADATA, "metadata")})


def _shape(described: Field, path: str) -> Shape:
    if pod_template.inside(path):
        return _shape_in_template(described, path)
    if described.type == "array" and path in _KEYED and described.items:
        # The items of these lists are owned member by member only in conditions.
        fields = dict.fromkeys(described.items.fields, LEAF)
        return Shape("keyed", values=Shape("struct", fields), keys=_KEYED[path])
    if path in _SETS:
        return Shape("set")
    if described.type != "object" or path in _WHOLE_MAPS:
        return GUESSED if described.type == "any" else LEAF
    if described.values is not None:
        return Shape("map", values=_shape(described.values, path + ".*"))
    members = {name: _shape(one, f"{path}.{name}") for name, one in described.fields.items()}
    return Shape("struct", members)


def _shape_in_template(described: Field, path: str) -> Shape:
    """The shape of a place inside the template of a pod, where names tell how it merges."""
    name = path.rpartition(".")[2]
    keys = pod_template.LISTS_BY_KEY.get(name)
    if described.type == "array" and keys and described.items:
        fields = described.items.fields
        members = {key: _shape(one, f"{path}.{key}") for key, one in fields.items()}
        return Shape("keyed", values=Shape("struct", members), keys=keys)
    if described.type != "object" or name in pod_template.WHOLE:
        return GUESSED if described.type == "any" else LEAF
    if described.values is not None:
        return Shape("map", values=LEAF)
    members = {key: _shape(one, f"{path}.{key}") for key, one in described.fields.items()}
    return Shape("struct", members)
