"""The lab as a child process: started, joined and ended; never imported.

It tells where it is in one JSON line and dies with its parent: it watches a pipe that only we
hold open, so `kill -9` of this process ends it too.
"""

import fcntl
import json
import os
import selectors
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acns_chaos.errors import TargetError

__all__ = ["LabProcess", "join_or_start", "lab_command", "lab_home"]

# Its budget is one second; a machine under load gets more before we give up on it.
START_TIMEOUT = 20.0
STOP_TIMEOUT = 5.0


class LabProcess:
    """A lab that answers.

    Attributes:
        world: name of its world.
        server: its API server's address.
        environ: what it hands over: KUBECONFIG and the addresses of shop and Prometheus.
        joined: whether somebody else started it (and will end it).
    """

    def __init__(self, ready: Mapping[str, Any], process: subprocess.Popen[str] | None) -> None:
        self.world = str(ready["world"])
        self.server = str(ready["server"])
        self.environ = {str(key): str(value) for key, value in ready["env"].items()}
        self.joined = process is None
        self._process = process

    def close(self) -> None:
        """End the lab unless it was joined; returns when it is gone."""
        process = self._process
        if process is None:
            return
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()
        if process.stderr:
            process.stderr.close()
        self._process = None


def lab_home(environ: Mapping[str, str]) -> Path:
    """Return the folder where a lab started by hand is registered."""
    if named := environ.get("ACNS_CHAOS_LAB_HOME"):
        return Path(named)
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "acns-chaos"
    return Path(environ.get("HOME", "/")) / ".cache" / "acns-chaos"


def lab_command(*arguments: str) -> list[str]:
    """Return the command that starts the lab's own process."""
    return [sys.executable, "-m", "acns_chaos.lab", "serve", *arguments]


def join_or_start(world: str, environ: Mapping[str, str]) -> LabProcess:
    """Join the registered lab, or start one that lives as long as this process.

    Args:
        world: name or path, for a lab to start.
        environ: looked up for the folder of registered labs.

    Raises:
        TargetError: it did not start; the sentence says why.
    """
    ready = _registered(lab_home(environ))
    return LabProcess(ready, None) if ready else _start(world)


def _registered(home: Path) -> dict[str, Any] | None:
    """Read the registered lab, if its process still holds the lock."""
    try:
        with (home / "lab.lock").open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                ready = json.loads((home / "lab.json").read_text("utf-8"))
                return ready if isinstance(ready, dict) else None
    except (OSError, ValueError):
        return None
    return None


def _start(world: str) -> LabProcess:
    process = subprocess.Popen(  # noqa: S603 - our own module, no shell
        lab_command("--world", world, "--until-stdin-closes"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Ctrl-C at the terminal is for the runner: the lab must outlive it until all is restored.
        start_new_session=True,
        env={key: value for key, value in os.environ.items() if key != "ACNS_CHAOS_CLUSTER"},
    )
    line = _first_line(process)
    try:
        return LabProcess(json.loads(line), process)
    except (ValueError, KeyError, TypeError) as error:
        process.kill()
        _, errors = process.communicate()
        why = (errors.strip().splitlines() or ["it said nothing"])[-1]
        raise TargetError(f"The lab did not start: {why}") from error


def _first_line(process: subprocess.Popen[str]) -> str:
    stdout = process.stdout
    if stdout is None:
        return ""
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        return stdout.readline() if selector.select(START_TIMEOUT) else ""
