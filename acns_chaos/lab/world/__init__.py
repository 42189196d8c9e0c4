"""Worlds: what exists in the lab before anybody does anything, as data.

A world file is YAML: raw Kubernetes objects, and the few facts about the outside that no object
holds. This module reads and checks such files. What the objects *mean* (policy, connections,
names) belongs in `acns_chaos.lab.net`; storing them belongs in `acns_chaos.lab.api`.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from acns_chaos.errors import AcnsChaosError

__all__ = ["Outside", "Shop", "World", "WorldError", "load_world", "world_names"]

_HERE = Path(__file__).parent
# Files that worlds include; not worlds of their own.
_PARTS = frozenset({"cluster", "shop"})
_KEYS = frozenset(
    {
        "name", "include", "objects", "outside", "shop",
        "images", "later", "established", "node_search",
    }
)  # fmt: skip
# libyaml where it is built in: ten times faster, and the lab has one second to be ready.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class WorldError(AcnsChaosError):
    """A world cannot be found or its file cannot be used."""


@dataclass(frozen=True, slots=True)
class Outside:
    """A name outside the cluster and the hosts behind it.

    Attributes:
        name: DNS name without a trailing dot.
        addresses: IPv4 addresses, in the order a lookup returns them.
        ports: TCP ports that accept a connection; the others never answer.
        redirects: URL path to the absolute URL that a request for it is sent on to (302).
    """

    name: str
    addresses: tuple[str, ...]
    ports: frozenset[int]
    redirects: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shop:
    """The services that make up the storefront, by Service name."""

    namespace: str
    front: str
    orders: str
    products: str
    queue: str


@dataclass(frozen=True, slots=True)
class World:
    """One world.

    Attributes:
        name: "pets", "pets-workshop", or what a file calls itself.
        objects: raw Kubernetes objects, in the order in which a server should learn of them.
        outside: name to `Outside`.
        shop: the storefront's services, None when the world has no shop.
        images: image name without registry and tag, to the base whose tools it holds
            ("alpine", "debian-slim", "scratch"); an image not listed is "scratch".
        later: further manifests as people apply them, by step, without a namespace.
        established: workloads that resolved their peers before the policies came.
        node_search: search domains that pods get from their node, after the cluster's own.
    """

    name: str
    objects: list[dict[str, Any]]
    outside: Mapping[str, Outside] = field(default_factory=dict)
    shop: Shop | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    later: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    established: frozenset[str] = frozenset()
    node_search: tuple[str, ...] = ()


def world_names() -> list[str]:
    """The names of the worlds that come with the lab, sorted."""
    return sorted(path.stem for path in _HERE.glob("*.yaml") if path.stem not in _PARTS)


def load_world(name_or_path: str) -> World:
    """Read a world.

    Args:
        name_or_path: the name of one that comes with the lab, or the path of a YAML file. Files
            named under `include` are looked for beside it, then among the lab's own.

    Raises:
        WorldError: unknown name, unreadable file, or contents that are not a world.
    """
    if name_or_path in world_names():
        path = _HERE / f"{name_or_path}.yaml"
    else:
        path = Path(name_or_path)
        if not path.is_file():
            raise WorldError(
                f'There is no world "{name_or_path}": name one of '
                f"{', '.join(world_names())}, or a YAML file."
            )
    merged = _read(path, ())
    try:
        return _world(merged, path)
    except (TypeError, ValueError, KeyError, AttributeError) as problem:
        raise WorldError(f"{path} is not a world: {problem}.") from problem


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """One file with its includes merged in front of it."""
    if path in seen:
        raise WorldError(f"{path} includes itself: remove it from `include`.")
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - safe loader
    except (OSError, UnicodeDecodeError) as problem:
        raise WorldError(f"{path} cannot be read: {problem}.") from problem
    except yaml.YAMLError as problem:
        where = " ".join(str(problem).split())
        raise WorldError(f"{path} is not YAML: {where}.") from problem
    if not isinstance(data, dict):
        raise WorldError(f"{path} is not a world: it must be a mapping with `objects`.")
    unknown = sorted(str(key) for key in data if key not in _KEYS)
    if unknown:
        raise WorldError(
            f"{path} has the unknown key `{unknown[0]}`: use {', '.join(sorted(_KEYS))}."
        )
    merged: dict[str, Any] = {"objects": []}
    for include in data.pop("include", None) or []:
        beside = path.parent / str(include)
        part = _read(beside if beside.is_file() else _HERE / str(include), (*seen, path))
        merged["objects"] += part.pop("objects")
        merged.update(part)
    merged["objects"] += data.pop("objects", None) or []
    merged.update(data)
    return merged


def _world(data: Mapping[str, Any], path: Path) -> World:
    objects = data["objects"]
    seen: set[tuple[str, str, str]] = set()
    for index, obj in enumerate(objects):
        key = _identity(obj, f"objects[{index}]")
        if key in seen:
            raise ValueError(f"{' '.join(part for part in key if part)} is listed twice")
        seen.add(key)
    if not objects:
        raise ValueError("`objects` is empty")
    shop = data.get("shop")
    return World(
        name=str(data.get("name") or path.stem),
        objects=objects,
        outside={name: _outside(name, raw) for name, raw in (data.get("outside") or {}).items()},
        shop=Shop(**shop) if shop else None,
        images=dict(data.get("images") or {}),
        later=dict(data.get("later") or {}),
        established=frozenset(data.get("established") or ()),
        node_search=tuple(data.get("node_search") or ()),
    )


def _identity(obj: object, where: str) -> tuple[str, str, str]:
    if not isinstance(obj, dict) or not obj.get("kind") or not obj.get("apiVersion"):
        raise ValueError(f"{where} is no Kubernetes object (apiVersion and kind are needed)")
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        raise ValueError(f"{where} ({obj['kind']}) has no metadata.name")
    return str(obj["kind"]), str(metadata.get("namespace", "")), str(metadata["name"])


def _outside(name: str, raw: Mapping[str, Any]) -> Outside:
    addresses = tuple(str(ipaddress.IPv4Address(address)) for address in raw["addresses"])
    return Outside(
        name=name.rstrip(".").lower(),
        addresses=addresses,
        ports=frozenset(int(port) for port in raw.get("ports", ())),
        redirects={str(key): str(value) for key, value in (raw.get("redirects") or {}).items()},
    )
