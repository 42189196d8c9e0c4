"""Files of a git revision, read through the git program.

Belongs here: finding them and reading their bytes. Does not belong here: what is in them
(`sources`, `documents`). Nothing is checked out and no shell takes part.
"""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from acns_chaos.cluster.documents_bounds import MAX_BYTES, short
from acns_chaos.errors import DocumentError

__all__ = ["GIT", "Blob", "git_files"]

GIT = "git:"
GIT_TIMEOUT = 60.0


class Blob(NamedTuple):
    """One file of a revision.

    Attributes:
        name: for sentences: "policies/web.yaml at main".
        content: its bytes.
        named: the person named this very file.
        path: from the folder that git was asked in.
    """

    name: str
    content: bytes
    named: bool
    path: str


def git_files(place: str, wanted: Callable[[str], bool]) -> Iterator[Blob]:
    """The files of a git revision.

    Args:
        place: "git:REVISION:PATH"; the path of a file or a folder, from the current folder on
            unless it is absolute.
        wanted: whether a file of a folder is looked for, by its path.

    Raises:
        DocumentError: git, the repository, the revision or the path is not there.
    """
    revision, colon, path = place.removeprefix(GIT).partition(":")
    if not colon or not revision or revision.startswith("-"):
        raise DocumentError(f"{short(place)!r} is no git:REVISION:PATH; write git:main:policies.")
    base, inside = _in_repository(path)
    found = _git(base, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", may_fail=True)
    commit = found.decode("ascii", "replace").strip()
    if not commit:
        _git(base, "rev-parse", "--git-dir")
        raise DocumentError(f"There is no git revision {short(revision)!r} here ({place}).")
    arguments = ["ls-tree", "-r", "-z", "-l", commit]
    listing = _git(base, *arguments, *(["--", inside] if inside else []))
    found_any = False
    for mode, size, blob, name in _entries(listing):
        named = name == inside
        if not mode.startswith("100") or not (named or wanted(name)):
            continue
        if size > MAX_BYTES:
            raise DocumentError(f"{name} at {revision} has more than {MAX_BYTES // 1_000_000} MB.")
        found_any = True
        yield Blob(
            f"{name} at {short(revision)}", _git(base, "cat-file", "blob", blob), named, name
        )
    if not found_any:
        raise DocumentError(f"There is no file to read under {path or '.'} at {revision}.")


def _entries(listing: bytes) -> Iterator[tuple[str, int, str, str]]:
    """The lines of a listing as (mode, size, blob, name)."""
    for line in listing.split(b"\0"):
        facts, _, name = line.partition(b"\t")
        fields = facts.decode("ascii", "replace").split()
        if len(fields) == 4 and fields[3].isdecimal():
            yield fields[0], int(fields[3]), fields[2], os.fsdecode(name)


def _in_repository(path: str) -> tuple[Path, str]:
    """The folder to ask git in, and the path from there."""
    if not path.startswith("/"):
        return Path.cwd(), os.path.normpath(path) if path else ""
    base = Path(path).parent
    while not base.is_dir():
        base = base.parent
    return base, os.path.relpath(path, base)


def _git(folder: Path, *arguments: str, may_fail: bool = False) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, arguments without a shell
            ["git", "--no-optional-locks", *arguments],  # noqa: S607 - git is found as the user finds it
            cwd=folder,
            capture_output=True,
            check=False,
            timeout=GIT_TIMEOUT,
            env=_git_environment(os.environ),
        )
    except FileNotFoundError as error:
        raise DocumentError("git is not installed, so no revision can be read.") from error
    except subprocess.TimeoutExpired as error:
        raise DocumentError(
            f"git {arguments[0]} did not end within {GIT_TIMEOUT:.0f} s."
        ) from error
    if done.returncode and not may_fail:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
        raise DocumentError(f"git {arguments[0]} failed: {short(lines[0])}.")
    return done.stdout


def _git_environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {**environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
