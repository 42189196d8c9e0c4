"""PersistentVolumeClaims as a kind: schema, what the server fills in, what it refuses.

They are stored and described; nobody in the lab makes a volume, so a claim stays Pending. Field
names and rules are those of Kubernetes 1.33's documentation. Not here: volumes and classes.
"""

import json
from collections.abc import Iterator

from acns_chaos.lab.api.failures import Json, Problem
from acns_chaos.lab.api.kinds.pod_checks import QUANTITY, one_of, required
from acns_chaos.lab.api.kinds.pod_template import SELECTOR, listed, struct
from acns_chaos.lab.api.kinds.schema import quoted
from acns_chaos.policy.schema import ANY, STRINGS, Field
from acns_chaos.policy.schema_native import kind_schema

_QUANTITIES = Field(values=Field("any", format="quantity"))
_REFERENCE = struct(texts="apiGroup kind name namespace")

CLAIM = kind_schema(
    spec=struct(
        texts="storageClassName volumeAttributesClassName volumeMode volumeName",
        accessModes=STRINGS,
        dataSource=_REFERENCE,
        dataSourceRef=_REFERENCE,
        resources=struct(limits=_QUANTITIES, requests=_QUANTITIES),
        selector=SELECTOR,
    ),
    status=struct(texts="phase", accessModes=STRINGS, capacity=_QUANTITIES, conditions=listed(ANY)),
)

_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")


def fill(obj: Json) -> None:
    """Put in what a server puts in; it never gets further than Pending."""
    obj.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
    obj.setdefault("status", {}).setdefault("phase", "Pending")


def check(obj: Json) -> list[Problem]:
    """What is wrong with a claim beyond its schema."""
    return list(_check(obj["spec"]))


def _check(spec: Json) -> Iterator[Problem]:
    modes = spec.get("accessModes") or []
    if not modes:
        yield required("spec.accessModes", "at least 1 access mode is required")
    for mode in modes:
        yield from one_of("spec.accessModes", mode, _MODES)
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if storage is None:
        yield required("spec.resources[storage]")
    elif not QUANTITY.fullmatch(str(storage)) or not str(storage).strip("+-0.")[:1].isdecimal():
        detail = f"{quoted(str(storage))}: must be greater than zero"
        yield Problem("spec.resources[storage]", "Invalid value", detail)
    yield from one_of("spec.volumeMode", spec["volumeMode"], ("Block", "Filesystem"))


def check_change(old: Json, new: Json) -> list[Problem]:
    """What an update may not change: everything but how much is asked for."""
    before, after = ({**one["spec"], "resources": None} for one in (old, new))
    if before == after:
        return []
    shown = json.dumps(new["spec"], separators=(",", ":"))
    why = (
        "spec is immutable after creation except resources.requests and "
        "volumeAttributesClassName for bound claims"
    )
    return [Problem("spec", "Forbidden", f"{why}\n{shown}")]
