"""Vector files: JSON with vectors, or generated worlds as JSON lines, packed or not.

Belongs here: reading them, bounded. Does not belong here: judging them (`policy.conformance`).
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from acns_chaos.cluster.documents import parse
from acns_chaos.cluster.documents_bounds import MAX_BYTES
from acns_chaos.cluster.sources import read_bounded
from acns_chaos.errors import DocumentError

__all__ = ["read_vectors"]

# Unpacked, of one file: a few megabytes can hide many gigabytes.
MAX_UNPACKED = 1_000_000_000


def read_vectors(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each vector or world of a file with its place, "vectors.json, at vectors[3]".

    Args:
        path: *.json with {"vectors": [...]}, *.jsonl or *.jsonl.gz.

    Raises:
        DocumentError: it cannot be read, or is not of that form.
    """
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        yield from _lines(path)
        return
    value = parse(read_bounded(path), str(path), as_json=True)[0].value
    vectors = value.get("vectors") if isinstance(value, dict) else None
    if not isinstance(vectors, list):
        raise DocumentError(f"{path}: is no vector file, it has no list at vectors.")
    for number, vector in enumerate(vectors):
        yield _entry(vector, f"{path}, at vectors[{number}]")


def _entry(value: Any, place: str) -> tuple[str, dict[str, Any]]:
    if not isinstance(value, dict):
        raise DocumentError(f"{place}: is not an object.")
    return place, value


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    total = 0
    try:
        with path.open("rb") as raw, _unpacked(raw, path) as stream:
            number = 0
            while line := stream.readline(MAX_BYTES + 1):
                number += 1
                total += len(line)
                if total > MAX_UNPACKED:
                    raise DocumentError(f"{path} unpacks to more than {MAX_UNPACKED:,} bytes.")
                if line.strip():
                    place = f"{path}, line {number}"
                    yield _entry(parse(line, place, as_json=True)[0].value, place)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DocumentError(f"{path} cannot be read: {why}.") from error


def _unpacked(raw: BinaryIO, path: Path) -> Any:
    return gzip.GzipFile(fileobj=raw) if path.name.endswith(".gz") else raw
