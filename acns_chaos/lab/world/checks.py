"""Whether what a file holds is a world, in one sentence that names the file and the place."""

import ipaddress
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from acns_chaos.lab.world.model import WorldError
from acns_chaos.lab.world.shape import READ, WORLD
from acns_chaos.policy.quoting import a, place, shown
from acns_chaos.policy.schema import Breach, breaches, json_type

_Key = tuple[str, str, str]
# Smallest and largest of the settings that may have a fraction.
_NUMBERS = {"min_ttl": (0.0, 1e6), "scrape_seconds": (0.1, 3600.0)}
_DEEP = 60


def check(data: Mapping[str, Any], path: Path) -> None:
    """Refuse what is no world.

    Args:
        data: as `reading.read` returns it.
        path: of the file, for the sentence.

    Raises:
        WorldError: the first thing that is wrong.
    """
    unknown = sorted(str(key) for key in data if key not in WORLD.fields)
    if unknown:
        known = ", ".join(sorted(WORLD.fields))
        raise WorldError(f"{path} has the unknown key `{unknown[0]}`: use {known}.")
    for problem in _problems(data):
        raise WorldError(f"{path} is not a world: {problem}.")


def _problems(data: Mapping[str, Any]) -> Iterator[str]:
    yield from _no_json(data, "")
    if not data.get("objects") and data.get("objects") in (None, []):
        yield "`objects` is empty"
    if isinstance(data.get("objects"), list):
        yield from _identities(data["objects"])
    for breach in breaches(dict(data), WORLD):
        yield _said(breach)
    yield from _unknown_settings(data)
    for name, (low, high) in _NUMBERS.items():
        if name in data:
            yield from _number(f"`{name}`", data[name], low, high)
    for index, visit in enumerate(data.get("visits") or ()):
        yield from _number(f"`visits[{index}].every`", visit["every"], 0.1, 86_400.0)
    for name, host in (data.get("outside") or {}).items():
        yield from _outside(name, host)
    yield from _objects(data["objects"])
    yield from _fitting(data)


def _said(breach: Breach, at: str = "") -> str:
    where = f"`{at}{'.' if at and breach.path else ''}{place(breach.path)}`"
    limit = breach.limit
    match breach.rule:
        case "type":
            return f"{where} is {a(json_type(breach.value))}, not {a(str(limit))}"
        case "required":
            return f"{where} is missing"
        case "enum":
            return f"{where} is {shown(breach.value)}: use {', '.join(limit)}"
        case "minimum" | "maximum":
            return f"{where} is {shown(breach.value)}, which is beyond the {breach.rule} {limit}"
        case "min_items" | "min_length":
            return f"{where} is empty"
        case _:
            return f"{where} is {shown(breach.value)}, which cannot be used ({breach.rule})"


def _no_json(value: object, at: str, depth: int = 0) -> Iterator[str]:
    """What YAML can say and JSON cannot: dates, endless numbers, keys that are no text."""
    if depth > _DEEP:
        yield f"`{at}` is nested too deep"
    elif isinstance(value, Mapping):
        for key, member in value.items():
            if not isinstance(key, str):
                yield f"the key {shown(key)} in `{at}` is not a text; put it in quotes"
            else:
                yield from _no_json(member, f"{at}.{key}" if at else key, depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _no_json(item, f"{at}[{index}]", depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"`{at}` is no finite number"
    elif not isinstance(value, str | int | float | None):
        yield f"`{at}` is a {type(value).__name__}; put it in quotes"


def _unknown_settings(data: Mapping[str, Any]) -> Iterator[str]:
    for key in ("shop", "hubble"):
        for member in data.get(key) or {}:
            if member not in WORLD.fields[key].fields:
                yield f"`{key}.{member}` is unknown"
    for key in ("visits", "outside"):
        part = data.get(key) or {}
        schema = WORLD.fields[key].items or WORLD.fields[key].values
        entries = part.items() if isinstance(part, dict) else enumerate(part)
        for name, entry in entries:
            for member in entry:
                if schema is not None and member not in schema.fields:
                    yield f"`{key}[{name}].{member}` is unknown"


def _number(where: str, value: object, low: float, high: float) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield f"{where} is {a(json_type(value))}, not a number"
    elif not low <= value <= high:
        yield f"{where} is {shown(value)}, which is not from {low:g} to {high:g}"


def _outside(name: str, host: Mapping[str, Any]) -> Iterator[str]:
    where = f"outside.{name}"
    if not name.strip(".") or any(c.isspace() for c in name) or len(name) > 253:
        yield f"`outside` holds {shown(name)}, which is no host name"
    for index, address in enumerate(host["addresses"]):
        if not _is_address(address):
            yield f"`{where}.addresses[{index}]` is {shown(address)}, which is no IPv4 address"
    for source, target in (host.get("redirects") or {}).items():
        if not source.startswith("/"):
            yield f"`{where}.redirects` holds {shown(source)}, which is no path: begin it with /"
        if not _is_url(target):
            yield f"`{where}.redirects` leads to {shown(target)}, which is no absolute URL"


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


# ---------------------------------------------------------------------- objects


def _identities(objects: list[Any]) -> Iterator[str]:
    seen: set[_Key] = set()
    for index, obj in enumerate(objects):
        if not isinstance(obj, dict) or not obj.get("kind") or not obj.get("apiVersion"):
            yield f"objects[{index}] is no Kubernetes object (apiVersion and kind are needed)"
            continue
        metadata = obj.get("metadata")
        if not isinstance(metadata, dict) or not metadata.get("name"):
            yield f"objects[{index}] ({shown(obj['kind'])}) has no metadata.name"
            continue
        key = (str(obj["kind"]), str(metadata.get("namespace", "")), str(metadata["name"]))
        if key in seen:
            yield f"{' '.join(part for part in key if part)} is listed twice"
        seen.add(key)


def _objects(objects: list[dict[str, Any]]) -> Iterator[str]:
    """What the network needs of objects; a missing namespace the API server refuses itself."""
    nodes = {obj["metadata"]["name"] for obj in objects if obj["kind"] == "Node"}
    addresses: dict[str, str] = {}
    for obj in objects:
        kind, metadata = obj["kind"], obj["metadata"]
        what = f"{kind} {metadata['name']}"
        if kind in READ:
            for breach in breaches(obj, READ[kind]):
                yield _said(breach, what)
        if kind == "Pod":
            yield from _pod(obj, what, nodes, addresses)
        elif kind == "Service":
            ip = obj["spec"].get("clusterIP")
            if ip and ip != "None" and not _is_address(ip):
                yield f"{what} has the clusterIP {shown(ip)}, which is no IPv4 address"
        elif kind == "Node":
            for address in (obj.get("status") or {}).get("addresses") or ():
                if address["type"] == "InternalIP" and not _is_address(address["address"]):
                    yield f"{what} has the address {shown(address['address'])}, which is no IPv4"


def _pod(
    obj: Mapping[str, Any], what: str, nodes: set[str], addresses: dict[str, str]
) -> Iterator[str]:
    node = obj["spec"].get("nodeName")
    if node and node not in nodes:
        yield f"{what} is on the node {shown(node)}, which is not among the objects"
    ip = obj["status"].get("podIP")
    if obj["status"]["phase"] != "Running" or obj["spec"].get("hostNetwork"):
        return
    if not ip or not _is_address(ip):
        yield f"{what} runs without an IPv4 address in status.podIP"
    elif ip in addresses:
        yield f"{what} has the address {ip} of {addresses[ip]}"
    else:
        addresses[ip] = what


def _fitting(data: Mapping[str, Any]) -> Iterator[str]:
    """Whether what settings name is among the objects."""
    there = {
        (obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"])
        for obj in data["objects"]
    }
    shop = data.get("shop")
    if shop:
        for part in ("front", "orders", "products", "queue"):
            if ("Service", shop["namespace"], shop[part]) not in there:
                yield f"`shop.{part}` names the Service {shown(shop[part])}, which is not there"
    for index, visit in enumerate(data.get("visits") or ()):
        owners = ("Deployment", "StatefulSet", "Pod")
        if not any((kind, visit["namespace"], visit["client"]) in there for kind in owners):
            yield (
                f"`visits[{index}].client` names the workload {shown(visit['client'])}, which is "
                f"not in {shown(visit['namespace'])}"
            )
