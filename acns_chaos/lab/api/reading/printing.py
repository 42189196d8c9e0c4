"""How a server shows one value in a printed table: ages, label lists, paths into custom objects.

No kind is known here; which columns a kind has is in ``columns``.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from acns_chaos.lab.api.failures import Json

NONE = "<none>"
UNKNOWN = "<unknown>"
_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400
_MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: the heading; kubectl prints it in capitals.
        cell: the value of an object.
        type: "string", "integer", "date", "boolean", "number".
        wide: shown only with `-o wide`.
        path: where a custom kind's definition says that the value is; "" for other kinds.
        description: what the definition says about the column.
    """

    name: str
    cell: Callable[[Json], Any]
    type: str = "string"
    wide: bool = False
    path: str = ""
    description: str = ""

    @property
    def definition(self) -> Json:
        """The entry in ``columnDefinitions``."""
        return {
            "name": self.name,
            "type": self.type,
            "format": "name" if self.name == "Name" else "",
            "description": self.description,
            "priority": int(self.wide),
        }


def at(obj: Any, *keys: str) -> Any:
    """A member deep inside an object, None where there is none."""
    for key in keys:
        obj = obj.get(key) if isinstance(obj, Mapping) else None
    return obj


def members(obj: Any, *keys: str) -> list[Any]:
    """The objects in a list deep inside an object; [] where there is no list."""
    found = at(obj, *keys)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def name(obj: Json) -> str:
    """metadata.name."""
    return str(obj["metadata"]["name"])


def age(obj: Json) -> str:
    """The time since the object was created."""
    return since(obj["metadata"].get("creationTimestamp"))


def since(moment: str | None) -> str:
    """The time since a moment of the API, "<unknown>" without one."""
    if not moment:
        return UNKNOWN
    try:
        then = datetime.fromisoformat(moment)
    except (TypeError, ValueError):
        return "<invalid>"
    if then.tzinfo is None:
        return "<invalid>"
    return human_duration((datetime.now(UTC) - then).total_seconds())


def human_duration(seconds: float) -> str:
    """A duration as the server abbreviates it: "119s", "5m30s", "3h10m", "5d3h", "2y40d".

    The thresholds are those of apimachinery's duration.HumanDuration.
    """
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 2 * _MINUTE:
        return f"{max(whole, 0)}s"
    for limit, big, big_unit, small, small_unit in (
        (10 * _MINUTE, _MINUTE, "m", 1, "s"),
        (3 * _HOUR, _MINUTE, "m", 0, ""),
        (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
        (2 * _DAY, _HOUR, "h", 0, ""),
        (8 * _DAY, _DAY, "d", _HOUR, "h"),
        (2 * _YEAR, _DAY, "d", 0, ""),
        (8 * _YEAR, _YEAR, "y", _DAY, "d"),
    ):
        if whole < limit:
            rest = whole % big // small if small else 0
            return f"{whole // big}{big_unit}" + (f"{rest}{small_unit}" if rest else "")
    return f"{whole // _YEAR}y"


def labels(found: Mapping[str, str] | None) -> str:
    """A label map as "a=b,c=d", sorted; "<none>" when empty."""
    return ",".join(f"{key}={value}" for key, value in sorted((found or {}).items())) or NONE


def label_selector(found: Json | None) -> str:
    """A LabelSelector as kubectl writes it on its command line; "<none>" when it is empty."""
    terms = [f"{key}={value}" for key, value in (at(found, "matchLabels") or {}).items()]
    for expression in members(found, "matchExpressions"):
        key, values = expression.get("key", ""), ",".join(sorted(expression.get("values") or ()))
        terms.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }.get(expression.get("operator", ""), key)
        )
    return ",".join(sorted(terms)) or NONE


def shortened(found: Iterable[str]) -> str:
    """The first three of some values and how many more there are; "<none>" without any."""
    listed = list(found)
    shown = ",".join(listed[:_MOST_SHOWN]) or NONE
    more = len(listed) - _MOST_SHOWN
    return f"{shown} + {more} more..." if more > 0 else shown


_STEP = re.compile(
    r"""\.(?P<key>[-\w]+)
    | \[(?P<index>\d+)\]
    | \[\?\(@\.(?P<member>\w+)\s*==\s*['"](?P<value>[^'"]*)['"]\)\]""",
    re.VERBOSE,
)


def custom(
    heading: str, path: str, kind: str = "string", description: str = "", *, wide: bool = False
) -> Column:
    """A column of a custom kind.

    Args:
        heading: the name.
        path: JSONPath with members, indexes and one equality filter, as definitions have it.
        kind: the type; a "date" is shown as an age.
        description: for the definition.
        wide: only with `-o wide`.
    """
    steps = list(_STEP.finditer(path))

    def cell(obj: Json) -> Any:
        found: Any = obj
        for step in steps:
            found = _step(found, step)
        return since(found) if kind == "date" else found

    return Column(heading, cell, kind, wide, path, description)


def _step(found: Any, step: re.Match[str]) -> Any:
    if step["key"]:
        return at(found, step["key"])
    items = found if isinstance(found, list) else []
    if step["index"]:
        index = int(step["index"])
        return items[index] if index < len(items) else None
    return next((item for item in items if at(item, step["member"]) == step["value"]), None)
