"""Unknown fields: what a rule means once the API server has dropped one of its fields.

Belongs here: only that. kubectl refuses an unknown field; a client without strict validation gets
"201 Created" and a header nobody reads, and what is left may mean the opposite.
Source of the facts: the answers of a real API server, and the semantics of empty and absent
fields.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from acns_chaos.policy.compile import SECTIONS
from acns_chaos.policy.quoting import shown
from acns_chaos.policy.schema import Field, Path

_LONGEST_GUESSED = 60
_EVERYBODY = "the selector is then empty and selects everybody that its kind reaches"
_EMPTY: Mapping[str, str] = {
    "endpointSelector": "it is then for every pod that its kind reaches, not for those meant",
    "nodeSelector": "it is then for every node",
    "fromEndpoints": _EVERYBODY,
    "toEndpoints": _EVERYBODY,
    "fromNodes": _EVERYBODY,
    "toNodes": _EVERYBODY,
    "http": "the item is then empty and admits every request",
    "enableDefaultDeny": "the default-deny of the direction that was meant stays as it is",
}
_KEPT = "the rest is stored and enforced without it"


def suggestion(written: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, or ""."""
    if len(written) > _LONGEST_GUESSED:
        return ""
    from difflib import get_close_matches

    lower = {name.lower(): name for name in known}
    close = get_close_matches(written.lower(), lower, n=1, cutoff=0.7)
    return lower[close[0]] if close else ""


def dropped_field(path: Path, stored: Mapping[str, Any], schema: Field) -> str:
    """What happens because of an unknown field, and what to do.

    Args:
        path: where it stands.
        stored: the object without it.
        schema: of the object.
    """
    name = str(path[-1])
    parent, known = _parent(path[:-1], stored, schema)
    like = suggestion(name, known.fields)
    remedy = f"write {like}" if like else "take it out, or put it where it belongs"
    left = _left(path, like, parent)
    return (
        f"there is no field {shown(name)} here, so kubectl refuses the object, and a client "
        f"without strict validation stores it without the field: {left}; {remedy}."
    )


def _parent(path: Path, stored: Any, schema: Field) -> tuple[Any, Field]:
    for step in path:
        if isinstance(step, int):
            schema = schema.items or Field("any")
            stored = stored[step] if isinstance(stored, list) else {}
        else:
            schema = schema.values or schema.fields.get(step) or Field("any")
            stored = stored.get(step, {}) if isinstance(stored, dict) else {}
    return stored, schema


def _left(path: Path, like: str, parent: Any) -> str:
    """What the stored object means without the field."""
    names = [step for step in path[:-1] if isinstance(step, str)]
    if not isinstance(parent, dict) or not names or names[0] not in {"spec", "specs"}:
        return _KEPT
    match names[1:]:
        case []:
            left = _left_of_spec(like, parent)
        case [section] if section in SECTIONS:
            left = _left_of_rule(section, like, parent)
        case [section, *_, "toPorts"] if section in SECTIONS:
            left = _left_of_ports(str(path[-1]), section, like, parent)
        case [*_, "ports"]:
            left = _left_of_port(like, parent)
        case [*_, "fromCIDRSet" | "toCIDRSet"] if like == "except" and "except" not in parent:
            left = "the rule then covers the whole prefix, without any exception"
        case [*_, kind] if kind in _EMPTY and not parent:
            left = _EMPTY[kind]
        case _:
            left = _KEPT
    return left


def _left_of_spec(like: str, spec: Mapping[str, Any]) -> str:
    if like in spec or like not in {*SECTIONS, "enableDefaultDeny"}:
        return _KEPT
    if like == "enableDefaultDeny":
        return "every direction with rules then has its default-deny, whatever was meant"
    direction = SECTIONS[like]
    if like.endswith("Deny"):
        return f"nothing is then denied at {direction} by it"
    if spec.get(f"{direction}Deny"):
        return (
            f"only the denies of {direction} are left, which allow nobody, so all of it is closed"
        )
    return (
        f"it then does not restrict {direction} at all, which is open to everybody unless another "
        "policy restricts it"
    )


def _left_of_rule(section: str, like: str, item: Mapping[str, Any]) -> str:
    ports = bool(item.get("toPorts") or item.get("icmps"))
    peers = any(
        value is not None
        for key, value in item.items()
        if key.startswith(("from", "to")) and key != "toPorts"
    )
    deny = section.endswith("Deny")
    if not peers and not ports:
        if deny:
            return "an empty deny rule is left, which denies nothing but keeps the default-deny"
        return (
            f"an empty rule is left, which allows nobody, so that {section} is closed but for what "
            "other rules allow"
        )
    if not peers:
        verb = "denies its ports to" if deny else "opens its ports to"
        return f"a rule without peers is left, which {verb} everybody"
    if not ports and like in {"toPorts", "icmps"}:
        verb = "denies" if deny else "opens"
        return f"a rule without ports is left, which {verb} every port"
    return "the rest of the rule is stored and enforced without it"


def _left_of_ports(name: str, section: str, like: str, item: Mapping[str, Any]) -> str:
    verb = "denies" if section.endswith("Deny") else "allows"
    if not item.get("ports"):
        return f"an item without ports is left, which {verb} nothing"
    if "rules" in {name, like} and "rules" not in item:
        return f"the rule then {verb} every request on its ports"
    return _KEPT


def _left_of_port(like: str, entry: Mapping[str, Any]) -> str:
    if not entry.get("port"):
        return "an entry without a port is left, and no agent imports the object"
    if like == "protocol" and "protocol" not in entry:
        return "the entry then means TCP, UDP and SCTP"
    if like == "endPort" and "endPort" not in entry:
        return "the entry then means its first port only"
    return _KEPT
