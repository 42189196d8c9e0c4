"""The folder for credentials: one process's own, locked while it is used, swept when it is not."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from acns_chaos.cluster import private
from acns_chaos.cluster.private import adopt_folder, private_folder, remove_folder, sweep


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Temporary files lie in the test's own folder, and no folder is in use yet."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(private, "_mine", [])
    yield
    private._remove_own()


def left(folder: Path, mode: int = 0o700) -> Path:
    """A folder that a killed run left, with a key in it."""
    folder.mkdir()
    (folder / "key").write_text("secret")
    folder.chmod(mode)
    return folder


def test_it_is_one_folder_that_only_its_owner_may_read() -> None:
    """Asked for again it is the same, until it is removed at the end."""
    folder = private_folder()
    assert private_folder() == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "key").write_text("secret")
    private._remove_own()
    assert not folder.exists()


def test_what_killed_runs_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """Nobody holds its lock; what looks different is not ours."""
    old = left(tmp_path / "acns-chaos-run-old-held")
    open_to_all = left(tmp_path / "acns-chaos-run-open-held", 0o755)
    others = left(tmp_path / "acns-chaos-lab-x-held")
    private_folder()
    assert not old.exists()
    assert open_to_all.exists()
    assert others.exists()


def test_one_in_use_is_not_swept(tmp_path: Path) -> None:
    """Also when only the watchdog, which adopted it, is left to use it."""
    mine = private_folder()
    theirs = left(tmp_path / "acns-chaos-run-theirs-held")
    adopt_folder(theirs)
    sweep(tmp_path)
    assert mine.exists()
    assert theirs.exists()
    assert private_folder() == theirs
    remove_folder(mine)
    remove_folder(mine)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Somebody else's name for another folder removes nothing."""
    target = left(tmp_path / "target")
    (tmp_path / "acns-chaos-run-link-held").symlink_to(target)
    sweep(tmp_path)
    assert (target / "key").exists()


def test_a_fork_does_not_remove_its_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a folder of its own."""
    folder = private_folder()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    private._remove_own()
    assert folder.exists()
    assert private_folder() != folder
