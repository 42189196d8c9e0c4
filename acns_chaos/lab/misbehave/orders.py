"""An order for misbehaviour, read from JSON; what cannot be meant is refused in one sentence."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from acns_chaos.errors import AcnsChaosError
from acns_chaos.lab.api.kinds.resources import RESOURCES
from acns_chaos.lab.misbehave.catalogue import KINDS, SERVERS, Kind, Option
from acns_chaos.lab.misbehave.selection import VERBS, WRITING, Selection, spelled_out

__all__ = ["Misused", "Order", "read_order"]

_LONGEST = 86_400.0
_MOST = 1_000_000
_KEYS = ("kind", "options", "selection", "for", "count")
_TEXTS = ("namespace", "name", "path", "user_agent")
_WATCHING = frozenset({"watch"})


class Misused(AcnsChaosError):
    """An order that cannot be carried out."""


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody asks for.

    Attributes:
        kind: what.
        options: every option of the kind, defaults filled in.
        selection: which requests; None when the kind is not about requests.
        seconds: after which it ends by itself, None for never.
        count: strikes after which it ends, None for no end.
    """

    kind: Kind
    options: Mapping[str, Any]
    selection: Selection | None
    seconds: float | None
    count: int | None


def read_order(document: object) -> Order:
    """Read an order.

    Args:
        document: {"kind": str, "options": {...}, "selection": {...}, "for": seconds,
            "count": number}, all but the kind optional.

    Raises:
        Misused: it cannot be meant; the sentence says why.
    """
    if not isinstance(document, dict):
        raise Misused("An order is a JSON object with a kind.")
    _known("An order", document, _KEYS)
    kind = KINDS.get(str(document.get("kind", "")))
    if kind is None:
        raise Misused(_suggest("misbehaviour", str(document.get("kind", "")), KINDS))
    options, selection = _object(document, "options"), _object(document, "selection")
    if not kind.servers:
        # An option may be called as something that requests are chosen by.
        taken = {one.name for one in kind.options} & selection.keys()
        options |= {name: selection.pop(name) for name in taken}
    if selection and not kind.servers:
        raise Misused(f"{kind.name} is not about requests, so there is none to choose.")
    seconds, count = document.get("for"), document.get("count")
    return Order(
        kind,
        _options(kind, options),
        _selection(kind, selection) if kind.servers else None,
        None if seconds is None else _seconds("for", seconds),
        None if count is None else _number("count", count, 1),
    )


def _object(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key) or {}
    if not isinstance(found, dict):
        raise Misused(f"{key} must be an object.")
    return dict(found)


def _known(whose: str, given: Iterable[str], known: Iterable[str]) -> None:
    names = tuple(known)
    for name in given:
        if name not in names:
            takes = ", ".join(names) or "none"
            raise Misused(f"{whose} takes no {_flag(name)}: it takes {takes}.")


def _suggest(what: str, given: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = get_close_matches(given, names, 1)
    if near:
        return f"There is no {what} {given!r}: did you mean {near[0]!r}?"
    return f"There is no {what} {given!r}: there are {', '.join(names)}."


def _flag(name: str) -> str:
    return name.replace("_", "-")


# ------------------------------------------------------------------ options


def _options(kind: Kind, given: Mapping[str, Any]) -> dict[str, Any]:
    _known(kind.name, given, (one.name for one in kind.options))
    found = {}
    for option in kind.options:
        value = given.get(option.name)
        if value is None and option.required:
            raise Misused(f"{kind.name} needs a {_flag(option.name)}: {option.help}.")
        found[option.name] = option.default if value is None else _value(option, value)
    return found


def _value(option: Option, value: Any) -> Any:
    name = _flag(option.name)
    match option.type:
        case "seconds":
            return _seconds(name, value, least=option.least)
        case "number":
            return _number(name, value, option.least)
        case "choice":
            if value not in option.choices:
                raise Misused(f"{name} is one of {', '.join(option.choices)}, not {value!r}.")
            return value
        case "policy":
            return _policy(name, value)
        case "patch":
            if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
                raise Misused(f'{name} is a JSON patch: [{{"op": "add", "path": …, "value": …}}].')
            return value
    return _text(name, value)


def _seconds(name: str, value: Any, least: float = 0.0) -> float:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not math.isfinite(value) or not least <= value <= _LONGEST:
        raise Misused(f"{name} is a number of seconds from {least:g} to 86400, not {value!r}.")
    return float(value)


def _number(name: str, value: Any, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST:
        raise Misused(f"{name} is a whole number from {least} to {_MOST}, not {value!r}.")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > 253 or not value.isprintable():
        raise Misused(f"{name} is a text of 1 to 253 characters, not {value!r}.")
    return value


def _policy(name: str, value: Any) -> str:
    text = _text(name, value)
    if text.count("/") > 1 or not all(text.split("/")):
        raise Misused(f"{name} is NAMESPACE/NAME, or NAME of a clusterwide policy, not {text!r}.")
    return text


# ------------------------------------------------------------------ selection


def _selection(kind: Kind, given: Mapping[str, Any]) -> Selection:
    known = ("server", "verbs", "resource", *_TEXTS, "dry_run", "nth")
    _known("A selection", given, known)
    server = given.get("server", "kubernetes")
    if server not in SERVERS:
        raise Misused(_suggest("server", str(server), SERVERS))
    if server not in kind.servers:
        raise Misused(f"{kind.name} is for the server {', '.join(kind.servers)}, not {server}.")
    dry_run = given.get("dry_run")
    if dry_run is not None and not isinstance(dry_run, bool):
        raise Misused(f"dry-run is true or false, not {dry_run!r}.")
    if kind.family == "write" and dry_run is None:
        dry_run = False  # a rehearsal writes nothing that could be left unanswered
    if server != "kubernetes" and (given.keys() & {"resource", "namespace", "name", "dry_run"}):
        raise Misused(f"{server} has no resources: choose by verb, path or user-agent.")
    texts = {name: _text(_flag(name), given[name]) for name in _TEXTS if given.get(name)}
    return Selection(
        server=server,
        verbs=_verbs(kind, server, given.get("verbs") or []),
        resource=_resource(given["resource"]) if given.get("resource") else "",
        dry_run=dry_run,
        nth=_number("nth", given.get("nth", 1), 1),
        **texts,
    )


def _verbs(kind: Kind, server: str, given: Any) -> frozenset[str]:
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise Misused("verbs is a list of verbs.")
    known = VERBS if server == "kubernetes" else {"get", "head", "post", "put", "delete"}
    for verb in given:
        if verb not in known:
            raise Misused(_suggest("verb", verb, known))
    chosen = spelled_out(frozenset(given))
    possible = {"write": WRITING, "watch": _WATCHING}.get(kind.family)
    if kind.name == "409":
        possible = WRITING
    elif kind.name == "410":
        possible = frozenset({"list", "watch"})
    if possible is None:
        return chosen
    if chosen and not chosen & possible:
        raise Misused(f"{kind.name} is for {', '.join(sorted(possible))}, not for {given[0]}.")
    return chosen & possible if chosen else possible


def _resource(given: Any) -> str:
    """The plural of a resource that is named as kubectl would; "pods/exec" stays one."""
    text = _text("resource", given)
    head, slash, rest = text.lower().partition("/")
    name = head.partition(".")[0]
    for resource in RESOURCES:
        if name in (resource.plural, resource.singular, *resource.short):
            return resource.plural + slash + rest
    raise Misused(_suggest("resource", text, (one.plural for one in RESOURCES)))
