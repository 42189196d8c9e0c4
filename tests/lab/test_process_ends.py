"""What a lab leaves behind: nothing after a signal, nothing for long after `kill -9`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.lab.leftovers import sweep
from tests.tiers import loop

LAB = [sys.executable, "-m", "acns_chaos.lab", "serve"]
pytestmark = pytest.mark.slow
PARENT = """
import subprocess, sys, time
lab = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)
lab.wait()
"""


def started(folder: Path, *arguments: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """A lab, or a program that starts one, with its directory below a folder."""
    process = subprocess.Popen(
        [*arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def addresses(ready: dict[str, Any]) -> list[tuple[str, int]]:
    """Where the lab listens."""
    urls = [ready["server"], *ready["env"].values()]
    found = (url.rpartition("/")[2].rpartition(":") for url in urls if "://" in url)
    return [(host, int(port)) for host, _, port in found if port]


def is_deaf(address: tuple[str, int]) -> bool:
    """Whether nobody listens there."""
    try:
        socket.create_connection(address, 2).close()
    except OSError:
        return True
    return False


def within(seconds: float, holds: Any) -> bool:
    """Whether a condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
    return True


def lives(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_a_stopped_lab_leaves_nothing(tmp_path: Path) -> None:
    """After SIGTERM no file and no listener is left, and its port can be had at once."""
    process, ready = started(tmp_path, *LAB)
    places = addresses(ready)
    assert len(places) >= 3
    with process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    assert list(tmp_path.iterdir()) == []
    assert all(map(is_deaf, places))
    port = ready["server"].rpartition(":")[2]
    again, ready = started(tmp_path, *LAB, "--port", port)
    with again:
        assert ready["server"].endswith(f":{port}")
        again.terminate()


def test_a_lab_ends_with_its_killed_parent(tmp_path: Path) -> None:
    """After `kill -9` of the program that started it, the lab, its sockets and files are gone."""
    command = (sys.executable, "-c", PARENT, *LAB, "--until-stdin-closes")
    parent, ready = started(tmp_path, *command)
    with parent:
        assert lives(ready["pid"])
        parent.kill()
        parent.wait(5)
        assert within(3, lambda: not lives(ready["pid"]))
    assert list(tmp_path.iterdir()) == []
    assert all(map(is_deaf, addresses(ready)))


def test_the_next_lab_sweeps_up_after_a_killed_one(tmp_path: Path) -> None:
    """A killed lab's directory is removed by the next start, a living one's is not."""
    killed, first = started(tmp_path, *LAB)
    living, second = started(tmp_path, *LAB)
    with killed, living:
        killed.kill()
        killed.wait(5)
        assert Path(first["kubeconfig"]).exists()
        other, third = started(tmp_path, *LAB)
        with other:
            assert not Path(first["kubeconfig"]).parent.exists()
            assert Path(second["kubeconfig"]).exists()
            assert Path(third["kubeconfig"]).exists()
            other.terminate()
        living.terminate()
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_takes_nothing_that_no_lab_wrote(tmp_path: Path) -> None:
    """A directory of the right name keeps what else lies in it; a link is not followed."""
    full = tmp_path / "acns-chaos-lab-full-held"
    full.mkdir(mode=0o700)
    (full / "kubeconfig").touch()
    (full / "notes").touch()
    open_to_all = tmp_path / "acns-chaos-lab-open-held"
    open_to_all.mkdir()
    open_to_all.chmod(0o755)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (elsewhere / "kubeconfig").touch()
    (tmp_path / "acns-chaos-lab-link-held").symlink_to(elsewhere)
    sweep(tmp_path)
    assert [one.name for one in full.iterdir()] == ["notes"]
    assert open_to_all.is_dir()
    assert (elsewhere / "kubeconfig").exists()


@pytest.mark.parametrize("address", loop(["0.0.0.0", "192.0.2.1", "::", "example.com", ""]))
def test_only_loopback_can_be_bound(address: str) -> None:
    """Any address that others could reach is refused with one sentence."""
    done = subprocess.run(
        [*LAB, "--bind", address], check=False, capture_output=True, text=True, timeout=10
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "The lab listens on loopback only: bind it to 127.0.0.1, ::1 or localhost instead of "
        f"{address!r}.\n"
    )


def test_another_loopback_address_can_be_bound(tmp_path: Path) -> None:
    """An address of 127.0.0.0/8 is bound, and its certificate names it."""
    process, ready = started(tmp_path, *LAB, "--bind", "127.0.0.9")
    with process:
        assert ready["server"].startswith("https://127.0.0.9:")
        assert not is_deaf(addresses(ready)[0])
        process.terminate()
