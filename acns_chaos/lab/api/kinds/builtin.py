"""Schemas of the built-in kinds that a client may write, and what the server fills in or checks.

Kinds whose objects only the world makes (pods, services, nodes, workloads) have no schema here:
their spec cannot be written through the API. Not here: metadata (``objects``), storage.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping

from acns_chaos.lab.api.failures import Json, Problem
from acns_chaos.lab.api.kinds import batch_kinds, rbac_kinds, volume_kinds
from acns_chaos.lab.api.kinds.schema import quoted
from acns_chaos.policy.schema import ANY, BOOLEAN, INTEGER, STRING, STRING_MAP, STRINGS, Field
from acns_chaos.policy.schema_native import kind_schema

_NAMES = Field("array", items=Field(fields={"name": STRING}))
_REFERENCE = Field(
    fields={
        "apiVersion": STRING,
        "fieldPath": STRING,
        "kind": STRING,
        "name": STRING,
        "namespace": STRING,
        "resourceVersion": STRING,
        "uid": STRING,
    }
)
_TIME = Field("string", format="date-time")

CONFIG_MAP = kind_schema(data=STRING_MAP, binaryData=STRING_MAP, immutable=BOOLEAN)
SECRET = kind_schema(data=STRING_MAP, stringData=STRING_MAP, immutable=BOOLEAN, type=STRING)
NAMESPACE = kind_schema(
    spec=Field(fields={"finalizers": STRINGS}),
    status=Field(fields={"conditions": Field("array", items=ANY), "phase": STRING}),
)
SERVICE_ACCOUNT = kind_schema(
    automountServiceAccountToken=BOOLEAN,
    imagePullSecrets=_NAMES,
    secrets=Field("array", items=_REFERENCE),
)
EVENT = kind_schema(
    action=STRING,
    count=INTEGER,
    eventTime=_TIME,
    firstTimestamp=_TIME,
    involvedObject=_REFERENCE,
    lastTimestamp=_TIME,
    message=STRING,
    reason=STRING,
    related=_REFERENCE,
    reportingComponent=STRING,
    reportingInstance=STRING,
    series=Field(fields={"count": INTEGER, "lastObservedTime": _TIME}),
    source=Field(fields={"component": STRING, "host": STRING}),
    type=STRING,
)
VIEWED_EVENT = kind_schema(
    action=STRING,
    deprecatedCount=INTEGER,
    deprecatedFirstTimestamp=_TIME,
    deprecatedLastTimestamp=_TIME,
    deprecatedSource=Field(fields={"component": STRING, "host": STRING}),
    eventTime=_TIME,
    note=STRING,
    reason=STRING,
    regarding=_REFERENCE,
    related=_REFERENCE,
    reportingController=STRING,
    reportingInstance=STRING,
    series=Field(fields={"count": INTEGER, "lastObservedTime": _TIME}),
    type=STRING,
)
LEASE = kind_schema(
    spec=Field(
        fields={
            "acquireTime": _TIME,
            "holderIdentity": STRING,
            "leaseDurationSeconds": INTEGER,
            "leaseTransitions": INTEGER,
            "preferredHolder": STRING,
            "renewTime": _TIME,
            "strategy": STRING,
        }
    )
)


def _fill_secret(obj: Json) -> None:
    plain = obj.pop("stringData", {})
    if plain:
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in plain.items()}
        obj["data"] = {**obj.get("data", {}), **encoded}
    obj.setdefault("type", "Opaque")


def _fill_namespace(obj: Json) -> None:
    if name := obj["metadata"].get("name"):
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name
    obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    obj.setdefault("status", {}).setdefault("phase", "Active")


def _fill_network_policy(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    spec.setdefault("policyTypes", ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])


FILL: Mapping[str, Callable[[Json], None]] = {
    "Secret": _fill_secret,
    "Namespace": _fill_namespace,
    "NetworkPolicy": _fill_network_policy,
    "PersistentVolumeClaim": volume_kinds.fill,
    **batch_kinds.FILL,
    **rbac_kinds.FILL,
}
"""What a server puts into an object of a kind before it validates it."""

_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_LARGEST = 1024 * 1024


def _check_data(obj: Json) -> list[Problem]:
    problems = []
    size = 0
    for section in ("data", "binaryData"):
        for key, text in obj.get(section, {}).items():
            size += len(text.encode())
            if not _KEY.fullmatch(key) or key in {".", ".."} or len(key) > 253:
                detail = f"{quoted(key)}: {_KEY_RULE}"
                problems.append(Problem(f"{section}[{key}]", "Invalid value", detail))
    if size > _LARGEST:
        problems.append(Problem("[]", "Too long", f"may not be more than {_LARGEST} bytes"))
    return problems


def _check_secret(obj: Json) -> list[Problem]:
    problems = _check_data(obj)
    key = "kubernetes.io/service-account.name"
    wants_token = obj["type"] == "kubernetes.io/service-account-token"
    if wants_token and not obj["metadata"].get("annotations", {}).get(key):
        problems.append(Problem(f"metadata.annotations[{key}]", "Required value"))
    return problems


def _check_lease(obj: Json) -> list[Problem]:
    spec = obj.get("spec", {})
    problems = []
    if spec.get("leaseDurationSeconds", 1) <= 0:
        detail = f"{spec['leaseDurationSeconds']}: must be greater than 0"
        problems.append(Problem("spec.leaseDurationSeconds", "Invalid value", detail))
    if spec.get("leaseTransitions", 0) < 0:
        detail = f"{spec['leaseTransitions']}: must be greater than or equal to 0"
        problems.append(Problem("spec.leaseTransitions", "Invalid value", detail))
    return problems


CHECK: Mapping[str, Callable[[Json], list[Problem]]] = {
    "ConfigMap": _check_data,
    "Secret": _check_secret,
    "Lease": _check_lease,
    "PersistentVolumeClaim": volume_kinds.check,
    **batch_kinds.CHECK,
    **rbac_kinds.CHECK,
}
"""Rules of a kind beyond its schema."""


def not_base64(obj: Json) -> str:
    """Why a Secret or a ConfigMap cannot be decoded: a sentence part, "" when it can."""
    section = {"Secret": "data", "ConfigMap": "binaryData"}.get(obj.get("kind", ""), "")
    for text in (obj.get(section) or {}).values() if section else ():
        try:
            base64.b64decode(text or "", validate=True)
        except (binascii.Error, ValueError):
            return "illegal base64 data at input byte 0"
    return ""
