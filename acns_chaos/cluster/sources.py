"""Where policies and pods come from when a person names them: a file, a folder, a git revision.

Belongs here: finding the files, and telling Kubernetes objects from other documents. Does not
belong here: reading text (`documents`), a live cluster (`clusters`), and what objects mean
(`policy`).

A folder may hold anything: documents that are no Kubernetes objects are passed over and counted. A
file that is named must hold objects. What looks like a policy but is none (a misspelt kind, an
apiVersion that does not exist) is refused everywhere: passed over, it would be a policy lost.
"""

import difflib
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from acns_chaos.cluster.documents import Document, parse
from acns_chaos.cluster.documents_bounds import MAX_BYTES, short
from acns_chaos.cluster.revisions import GIT, git_files
from acns_chaos.errors import DocumentError
from acns_chaos.policy import ObjectRef, Settings
from acns_chaos.policy.validity import SCHEMA, findings, schema_of
from acns_chaos.policy.validity_schema import review

__all__ = ["Collection", "collect", "read_bounded"]

MAX_FILES = 10_000
MAX_TOTAL = 100_000_000
SUFFIXES = (".yaml", ".yml", ".json")

POLICY_VERSIONS = {
    "CiliumNetworkPolicy": "cilium.io/v2",
    "CiliumClusterwideNetworkPolicy": "cilium.io/v2",
    "NetworkPolicy": "networking.k8s.io/v1",
}
# Kinds of ours without a namespace; all others that matter here have one.
_CLUSTER_SCOPED = frozenset(
    ["CiliumClusterwideNetworkPolicy", "CiliumCIDRGroup", "Namespace", "Node", "PersistentVolume"]
)


@dataclass(frozen=True, slots=True)
class Collection:
    """The Kubernetes objects of one place.

    Attributes:
        name: the place, as the person named it.
        objects: raw; a List is taken apart, and objects without a namespace got the one asked for.
            Of an object that is there twice the later one, as applying them in order leaves it.
        origins: of each object, where it was found: "shop/policies.yaml, document 2".
        notes: what a person should know about it, one sentence each.
        settings: of the agents, None where nobody says.
        complete: it holds all pods there are, as a live cluster does.
    """

    name: str
    objects: tuple[dict[str, Any], ...]
    origins: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    settings: Settings | None = None
    complete: bool = False


def collect(place: str, *, namespace: str = "default", strict: bool = True) -> Collection:
    """Read the objects of a place.

    Args:
        place: a file, a folder (read with its sub-folders, *.yaml, *.yml and *.json, in the order
            of their names), "git:REVISION:PATH" for either as it was, or "-" for stdin.
        namespace: of objects that name none, as with `kubectl apply -n`.
        strict: refuse policies that an API server would refuse, unknown fields included; else they
            become notes, and what is refused is left out.

    Raises:
        DocumentError: it does not exist, cannot be read, or holds what is no object.
    """
    if place.startswith(GIT):
        files = _revision_files(place)
    elif place == "-":
        files = [File("stdin", sys.stdin.buffer.read(MAX_BYTES + 1), named=True)]
    else:
        files = _plain_files(Path(place))
    return gather(place, files, namespace, strict=strict)


class File(NamedTuple):
    """One file that was read.

    Attributes:
        name: for sentences.
        content: its bytes.
        named: the person named this very file, so it must hold objects.
        as_json: it must be JSON.
    """

    name: str
    content: bytes
    named: bool = False
    as_json: bool = False


def gather(place: str, files: Iterable[File], namespace: str, *, strict: bool = True) -> Collection:
    """Make a collection of files that were read; arguments and errors as `collect`."""
    found: dict[tuple[str, str, str], tuple[dict[str, Any], str]] = {}
    notes: list[str] = []
    others: list[str] = []
    unnamed = 0
    for file in files:
        for document in parse(file.content, file.name, as_json=file.as_json):
            for obj, origin in _flattened(document):
                if not _is_object(obj, origin, named=file.named):
                    others.append(origin)
                    continue
                kind, metadata = obj["kind"], obj.get("metadata") or {}
                one: dict[str, Any] = obj
                if kind not in _CLUSTER_SCOPED and not metadata.get("namespace"):
                    unnamed += 1
                    one = {**obj, "metadata": {**metadata, "namespace": namespace}}
                if kind in POLICY_VERSIONS and not _accepted(one, origin, notes, strict=strict):
                    continue
                key = (kind, one["metadata"].get("namespace", ""), metadata["name"])
                if key in found and kind in POLICY_VERSIONS:
                    full = f"{key[1]}/{key[2]}" if key[1] else key[2]
                    notes.append(
                        f"{kind} {full} is there twice, in {found[key][1]} and in {origin}: the "
                        "later one counts, as when they are applied in this order."
                    )
                    del found[key]
                found[key] = (one, origin)
    if unnamed:
        notes.append(
            f"{_counted(unnamed, 'object')} in {place} without a namespace: taken to be in "
            f"{namespace}."
        )
    if others:
        shown = ", ".join(others[:3]) + (" …" if len(others) > 3 else "")
        notes.append(
            f"{_counted(len(others), 'document')} in {place} passed over, no Kubernetes object: "
            f"{shown}."
        )
    return Collection(
        place,
        tuple(obj for obj, _ in found.values()),
        tuple(origin for _, origin in found.values()),
        tuple(notes),
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _flattened(document: Document) -> Iterator[tuple[Any, str]]:
    """The document itself, or the items of a List, each with its place."""
    value = document.value
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or not kind.endswith("List") or "items" not in value:
        yield value, document.origin
        return
    items = value["items"]
    if not isinstance(items, list):
        raise DocumentError(f"{document.origin}, at items: is no list, as a {kind} has it.")
    # Items of a typed list may carry neither kind nor apiVersion.
    of_items = {"apiVersion": value.get("apiVersion"), "kind": kind.removesuffix("List")}
    for number, item in enumerate(items):
        origin = f"{document.origin}, at items[{number}]"
        if kind != "List" and isinstance(item, dict):
            yield {**of_items, **item}, origin
        else:
            yield item, origin


def _is_object(value: Any, origin: str, *, named: bool) -> bool:
    """Whether it is a Kubernetes object; False only for what surely was not meant as one."""
    if not isinstance(value, dict):
        if named:
            raise DocumentError(f"{origin}: is a {_kind_of(value)}, not a Kubernetes object.")
        return False
    version, kind = value.get("apiVersion"), value.get("kind")
    if version is None and kind is None:
        if named:
            raise DocumentError(
                f"{origin}: is not a Kubernetes object, it has neither apiVersion nor kind."
            )
        return False
    for key, one in (("apiVersion", version), ("kind", kind)):
        if not isinstance(one, str) or not one:
            raise DocumentError(f"{origin}, at {key}: is {_said(one)}; it must be a text.")
    _check_kind(str(version), str(kind), origin)
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str) or not name:
        if kind in POLICY_VERSIONS or named:
            raise DocumentError(f"{origin}, at metadata.name: the {short(str(kind))} has no name.")
        return False  # A Kustomization, for one.
    space = metadata.get("namespace")
    if space is not None and not isinstance(space, str):
        raise DocumentError(f"{origin}, at metadata.namespace: is {_said(space)}, not a text.")
    return True


def _accepted(policy: dict[str, Any], origin: str, notes: list[str], *, strict: bool) -> bool:
    """Whether an API server would store a policy; what it says is an error or a note."""
    refused = False
    for finding in findings(policy):
        if finding.layer != SCHEMA:
            continue
        at = f", at {finding.path}" if finding.path else ""
        sentence = f"{origin}{at}: {finding.sentence}"
        if strict:
            raise DocumentError(sentence)
        notes.append(sentence)
        refused = True
    return not refused or not _refused_outright(policy)


def _refused_outright(policy: dict[str, Any]) -> bool:
    """Whether it is not stored at all; an unknown field alone may be dropped silently."""
    ref = ObjectRef.of(policy)
    return bool(review(policy, ref, schema_of(ref)).refusals)


def _check_kind(version: str, kind: str, origin: str) -> None:
    """Refuse a policy under a wrong apiVersion, and a kind that nearly is one."""
    wanted = POLICY_VERSIONS.get(kind)
    if wanted is not None:
        if version != wanted:
            raise DocumentError(
                f"{origin}, at apiVersion: a {kind} is {wanted}, not {short(version)}."
            )
        return
    group = version.partition("/")[0]
    if group in ("cilium.io", "networking.k8s.io"):
        near = difflib.get_close_matches(kind, POLICY_VERSIONS, n=1, cutoff=0.85)
        if near and kind not in ("AdminNetworkPolicy", "CiliumLocalRedirectPolicy"):
            raise DocumentError(
                f"{origin}, at kind: there is no kind {short(kind)}; is it a {near[0]}?"
            )


def _kind_of(value: Any) -> str:
    names = {list: "list", str: "text", bool: "truth value", int: "number", float: "number"}
    return names.get(type(value), "null")


def _said(value: Any) -> str:
    return "missing" if value is None else f"a {_kind_of(value)}" if value != "" else "empty"


# --- files ------------------------------------------------------------------------------------


def read_bounded(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The content of a file, at most one byte more than the limit.

    Raises:
        DocumentError: there is none, or it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(limit + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DocumentError(f"{path} cannot be read: {why}.") from error


def _plain_files(path: Path) -> list[File]:
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:
        raise DocumentError(f"{str(path)!r} cannot be read: {error}.") from error
    if not exists:
        raise DocumentError(
            f"There is no file or folder {short(str(path), 200)}; name one that exists."
        )
    if not is_folder:
        return [_file(path, named=True)]
    found: list[File] = []
    total = 0
    for file in _walk(path):
        found.append(_file(file))
        total = _within(total + len(found[-1].content), len(found), str(path))
    if not found:
        raise DocumentError(f"There is no file with {', '.join(SUFFIXES)} under {path}.")
    return found


def _file(path: Path, *, named: bool = False) -> File:
    return File(str(path), read_bounded(path), named, path.suffix == ".json")


def _revision_files(place: str) -> list[File]:
    found: list[File] = []
    total = 0
    for blob in git_files(place, _looked_for):
        found.append(File(blob.name, blob.content, blob.named, blob.path.endswith(".json")))
        total = _within(total + len(blob.content), len(found), place)
    return found


def _looked_for(path: str) -> bool:
    folders = path.split("/")[:-1]
    hidden = any(part.startswith(".") and part not in (".", "..") for part in folders)
    return path.endswith(SUFFIXES) and not hidden


def _within(total: int, files: int, place: str) -> int:
    if total > MAX_TOTAL or files > MAX_FILES:
        raise DocumentError(
            f"{place} holds more than {MAX_FILES:,} files or {MAX_TOTAL // 1_000_000} MB; name a "
            "smaller folder."
        )
    return total


def _walk(folder: Path) -> Iterator[Path]:
    """The regular files that may hold objects, by name; hidden folders are left out."""

    def refuse(error: OSError) -> None:
        raise DocumentError(f"{error.filename} cannot be read: {error.strerror}.") from error

    for base, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(base) / name
            if name.endswith(SUFFIXES) and path.is_file():
                yield path
