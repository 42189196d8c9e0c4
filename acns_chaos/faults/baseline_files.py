"""A captured set on disk: one file, or a folder with one policy a file.

Nothing that somebody wrote is overwritten unasked, and no file that is of no captured policy stays
in the folder: whoever applies it reads all of them.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from acns_chaos.errors import DocumentError

__all__ = ["write_set"]

SUFFIXES = (".yaml", ".yml")


def write_set(place: Path, texts: Mapping[str, str], replace: bool) -> list[Path]:
    """Write a captured set.

    Args:
        place: a file (*.yaml, *.yml), else a folder.
        texts: name of a file to its text, as `baseline.captured` returns them.
        replace: overwrite what an earlier capture wrote.

    Returns:
        What was written.

    Raises:
        DocumentError: there is something already, or it cannot be written.
    """
    try:
        if place.suffix in SUFFIXES and not place.is_dir():
            if place.exists() and not replace:
                raise DocumentError(f"{place} exists: give --replace, or another name.")
            place.parent.mkdir(parents=True, exist_ok=True)
            return [_file(place, "---\n".join(texts.values()))]
        place.mkdir(parents=True, exist_ok=True)
        # Sub-folders as well: whoever applies the folder reads them.
        there = sorted(
            str(one.relative_to(place))
            for one in place.rglob("*")
            if one.suffix in (*SUFFIXES, ".json")
        )
        if there and not replace:
            raise DocumentError(
                f"{place} holds {there[0]} already: give --replace, or another name."
            )
        if strangers := [name for name in there if name not in texts]:
            raise DocumentError(
                f"{place / strangers[0]} is of no policy that is live, and would be a part of the "
                "known-good set: remove it, or name another folder."
            )
        return [_file(place / name, text) for name, text in texts.items()]
    except OSError as error:
        raise DocumentError(f"{place} cannot be written: {error.strerror}.") from error


def _file(path: Path, text: str) -> Path:
    """Write a file whole or not at all."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        # What mkstemp makes is for its owner only; these are for a repository.
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path
