"""Process 1 of a container, from which the kernel keeps signals that it does not handle."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from acns_chaos.cluster.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.journey]

UNSHARE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
PLAN = {
    "schema": 1,
    "name": "one",
    "target": {"cluster": "silent", "namespaces": ["pets"]},
    "mutants": {"most": 1},
    "detectors": [{"alert": "Drops", "for": "availability"}],
}


class Silent:
    """A server that takes a connection and says nothing, as one that is asked for long."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.asked = threading.Event()
        self._kept: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self._kept.append(self._socket.accept()[0])
            except OSError:
                return
            self.asked.set()

    def close(self) -> None:
        """Say goodbye to all."""
        self._socket.shutdown(socket.SHUT_RDWR)
        for one in (self._socket, *self._kept):
            one.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    """The API server of a cluster, for the length of a test."""
    one = Silent()
    yield one
    one.close()


@pytest.fixture
def home(tmp_path: Path, silent: Silent) -> Path:
    """A folder with a plan for the cluster of that server."""
    if not shutil.which("unshare") or subprocess.run([*UNSHARE, "true"], check=False).returncode:
        pytest.skip("no process namespace can be made here")
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    told = {"schema": 1, "name": "silent", "context": "silent", "per_pod": 1, "env": {}}
    (tmp_path / "cluster.json").write_text(json.dumps(told | {"namespaces": ["pets"]}))
    cluster = {"server": f"http://127.0.0.1:{silent.port}"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "silent", "cluster": cluster}],
        "users": [{"name": "silent", "user": {"token": "none"}}],
        "contexts": [{"name": "silent", "context": {"cluster": "silent", "user": "silent"}}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    return tmp_path


def first_child(process: "subprocess.Popen[str]") -> int:
    """The process that is number 1 in its namespace."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    found = wait_until(lambda: children.read_text().split(), 10)
    assert found
    return int(found[0])


@pytest.mark.parametrize(
    "arguments",
    [
        ("gameday", "run", "plan.json", "--out", "day", "--no-history", "--yes"),
        (
            *("gameday", "shard", "plan.json", "--cluster", "cluster.json", "--index", "0"),
            *("--day", "d", "--out", "days", "--access", "config"),
        ),
    ],
    ids=["run", "shard"],
)
def test_sigterm_before_the_first_mutant_ends_the_day(
    home: Path, silent: Silent, arguments: tuple[str, ...]
) -> None:
    """Kubernetes sends it once: a day that did not hear it would begin to break things."""
    command = [*UNSHARE, sys.executable, "-m", "acns_chaos.cli", *arguments]
    environ = {**os.environ, "KUBECONFIG": str(home / "config"), "ACNS_CHAOS_CLUSTER": "silent"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=home, env=environ
    )
    try:
        assert silent.asked.wait(30)
        os.kill(first_child(process), signal.SIGTERM)
        said, wrong = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + signal.SIGTERM, said + wrong
    assert "SIGTERM came: the day ends here." in wrong
    assert not list(home.rglob("experiments"))
