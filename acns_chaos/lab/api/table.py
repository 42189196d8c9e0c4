"""Tables for people: what ``kubectl get`` prints, as far as a server decides it.

Columns are Name, Age and, for a policy, Valid. Other kinds have more on a real server; those
columns are not modelled.
"""

from datetime import UTC, datetime

from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.resources import Resource


def as_table(resource: Resource, items: list[Json], metadata: Json) -> Json:
    """A meta.k8s.io/v1 Table.

    Args:
        resource: the kind of the items.
        items: the objects, one row each; a row carries the object's metadata.
        metadata: of the list.
    """
    judged = resource.custom and resource.status
    columns = [_column("Name", "string", "name"), _column("Age", "date")]
    if judged:
        columns.append(_column("Valid", "string"))
    rows = []
    for item in items:
        created = item["metadata"].get("creationTimestamp", "")
        cells = [item["metadata"]["name"], _age(created)]
        if judged:
            cells.append(_valid(item))
        partial = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": item["metadata"],
        }
        rows.append({"cells": cells, "object": partial})
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    }


def _column(name: str, kind: str, form: str = "") -> Json:
    return {"name": name, "type": kind, "format": form, "description": "", "priority": 0}


def _valid(policy: Json) -> str:
    conditions = policy.get("status", {}).get("conditions", [])
    return next((str(item["status"]) for item in conditions if item["type"] == "Valid"), "")


def _age(created: str) -> str:
    """The time since then, in the largest fitting unit, as the server abbreviates it."""
    try:
        then = datetime.fromisoformat(created)
    except ValueError:
        return "<unknown>"
    seconds = int((datetime.now(UTC) - then).total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{max(seconds, 0)}s"
