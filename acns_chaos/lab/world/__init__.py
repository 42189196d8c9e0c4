"""Worlds: what exists in the lab before anybody does anything, as data (docs/worlds.md).

A world is a YAML file: raw Kubernetes objects, and the few facts about the outside that no object
holds; or it is made to measure, `generated:N`. `reading` reads files, `checks` refuses bad ones,
`generated` makes worlds. What the objects *mean* (policy, connections, names) belongs in
`acns_chaos.lab.net`; storing them belongs in `acns_chaos.lab.api`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acns_chaos.lab.world.checks import check
from acns_chaos.lab.world.generated import PREFIX, generated
from acns_chaos.lab.world.model import Outside, Shop, Visit, World, WorldError
from acns_chaos.lab.world.reading import HERE, read

__all__ = ["Outside", "Shop", "Visit", "World", "WorldError", "load_world", "world_names"]

# Files that worlds include; not worlds of their own.
_PARTS = frozenset({"cluster", "shop"})


def world_names() -> list[str]:
    """The names of the worlds that come with the lab as files, sorted."""
    return sorted(path.stem for path in HERE.glob("*.yaml") if path.stem not in _PARTS)


def load_world(name_or_path: str) -> World:
    """Read a world.

    Args:
        name_or_path: the name of one that comes with the lab, `generated:N` for one of N services,
            or the path of a YAML file. Files named under `include` are looked for beside it, then
            among the lab's own.

    Raises:
        WorldError: unknown name, unreadable file, or contents that are not a world.
    """
    if name_or_path.startswith(PREFIX):
        data, path = generated(name_or_path), Path(name_or_path)
    else:
        path = _path(name_or_path)
        data = read(path)
        check(data, path)
    return _world(data, path.stem)


def _path(name_or_path: str) -> Path:
    if name_or_path in world_names():
        return HERE / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if "\0" in name_or_path or not path.is_file():
        raise WorldError(
            f'There is no world "{name_or_path}": name one of {", ".join(world_names())}, '
            f"{PREFIX}N, or a YAML file."
        )
    return path


def _world(data: Mapping[str, Any], name: str) -> World:
    shop, hubble = data.get("shop"), data.get("hubble") or {}
    return World(
        name=str(data.get("name") or name),
        objects=data["objects"],
        outside={_host(n): _outside(n, raw) for n, raw in (data.get("outside") or {}).items()},
        shop=Shop(**shop) if shop else None,
        images=dict(data.get("images") or {}),
        later=dict(data.get("later") or {}),
        established=frozenset(data.get("established") or ()),
        node_search=tuple(data.get("node_search") or ()),
        visits=tuple(Visit(**visit) for visit in data.get("visits") or ()),
        routing=data.get("routing", "tunnel"),
        min_ttl=float(data.get("min_ttl", 3600.0)),
        scrape_seconds=float(data.get("scrape_seconds", 0.5)),
        hubble_ring=hubble.get("ring", 4095),
        hubble_policy_verdicts_metric=hubble.get("policy_verdicts_metric", True),
    )


def _host(name: str) -> str:
    return name.rstrip(".").lower()


def _outside(name: str, raw: Mapping[str, Any]) -> Outside:
    return Outside(
        name=_host(name),
        addresses=tuple(raw["addresses"]),
        ports=frozenset(raw.get("ports") or ()),
        redirects=dict(raw.get("redirects") or {}),
    )
