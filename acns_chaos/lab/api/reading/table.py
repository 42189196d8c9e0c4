"""Tables for people: what ``kubectl get`` prints, as far as a server decides it.

Only the envelope is here; the columns of each kind are in ``columns``.
"""

from typing import Any

from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.resources import Resource
from acns_chaos.lab.api.reading.columns import columns_of
from acns_chaos.lab.api.reading.printing import UNKNOWN, Column


def as_table(
    resource: Resource,
    items: list[Json],
    metadata: Json,
    *,
    include: str = "Metadata",
    headings: bool = True,
) -> Json:
    """A meta.k8s.io/v1 Table.

    Args:
        resource: the kind of the items.
        items: the objects, one row each.
        metadata: of the list; for a single object, its own version.
        include: what of its object each row carries: "Metadata", "Object" or "None".
        headings: whether the columns are described; a watch does so only once.
    """
    columns = columns_of(resource)
    rows = [
        {
            "cells": [_cell(column, item) for column in columns],
            "object": _carried(resource, item, include),
        }
        for item in items
    ]
    if include == "None":
        for row in rows:
            del row["object"]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [column.definition for column in columns] if headings else None,
        "rows": rows,
    }


def _cell(column: Column, item: Json) -> Any:
    """The value of a cell; a status that some client wrote may hold anything."""
    try:
        return column.cell(item)
    except (AttributeError, LookupError, TypeError, ValueError):
        return UNKNOWN


def _carried(resource: Resource, item: Json, include: str) -> Json:
    if include == "Object":
        # In a list the items of built-in kinds do not say what they are; here they do.
        return {"kind": resource.kind, "apiVersion": resource.api_version, **item}
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": item["metadata"],
    }
