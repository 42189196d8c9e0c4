"""The lab as a child process: started, joined and ended; never imported.

It tells where it is in one JSON line. One that a run starts dies with its parent: it watches a
pipe that only we hold open, so `kill -9` of this process ends it too. One that `lab up` starts
lives on; `labregistry` finds and ends it.
"""

import contextlib
import json
import os
import selectors
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acns_chaos.cluster.labregistry import LOG, find_lab, lab_home
from acns_chaos.cluster.prometheus.settings import ELSEWHERE
from acns_chaos.errors import TargetError

__all__ = ["LabProcess", "join_or_start", "lab_command", "lab_program", "start_detached"]

# Its budget is one second; a machine under load gets more before we give up on it.
START_TIMEOUT = 20.0
STOP_TIMEOUT = 5.0


class LabProcess:
    """A lab that answers.

    Attributes:
        ready: what it said when it was ready.
        world: name of its world.
        server: its API server's address.
        environ: what it hands over: KUBECONFIG and the addresses of shop and Prometheus; "" for
            what goes with a Prometheus of somebody's own, credentials above all.
        joined: whether somebody else started it (and will end it).
    """

    def __init__(self, ready: Mapping[str, Any], process: subprocess.Popen[str] | None) -> None:
        self.ready = dict(ready)
        self.world = str(ready["world"])
        self.server = str(ready["server"])
        handed = {str(key): str(value) for key, value in ready["env"].items()}
        self.environ = {**dict.fromkeys(ELSEWHERE, ""), **handed}
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


def lab_command(*arguments: str) -> list[str]:
    """Return the command that starts the lab's own process."""
    return lab_program("serve", *arguments)


def lab_program(*arguments: str) -> list[str]:
    """Return a command line of the lab's own program."""
    return [sys.executable, "-m", "acns_chaos.lab", *arguments]


def join_or_start(world: str, environ: Mapping[str, str]) -> LabProcess:
    """Join the registered lab, or start one that lives as long as this process.

    Args:
        world: name or path, for a lab to start.
        environ: looked up for the folder of registered labs.

    Raises:
        TargetError: it did not start; the sentence says why.
    """
    found = find_lab(lab_home(environ))
    if found and found.alive and found.ready:
        return LabProcess(found.ready, None)
    return _start(world)


def start_detached(home: Path, *arguments: str) -> dict[str, Any]:
    """Start a registered lab that outlives this process, its terminal and any run.

    Args:
        home: where it is registered and writes its log.
        arguments: further ones of `serve`.

    Returns:
        what it said when it was ready.

    Raises:
        TargetError: it did not start; the sentence says why.
    """
    with contextlib.suppress(OSError):  # the lab says better what is wrong with the folder
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    process = subprocess.Popen(  # noqa: S603 - our own module, no shell
        lab_command("--register", "--log", str(home.absolute() / LOG), *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={
            **{key: value for key, value in os.environ.items() if key != "ACNS_CHAOS_CLUSTER"},
            "ACNS_CHAOS_LAB_HOME": str(home.absolute()),
        },
    )
    line = _first_line(process)
    try:
        ready = json.loads(line)
    except ValueError as error:
        raise _not_started(process) from error
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    # It lives on: nobody here waits for it.
    process.returncode = 0
    return dict(ready)


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
        raise _not_started(process) from error


def _not_started(process: subprocess.Popen[str]) -> TargetError:
    """What a lab said instead of being ready; it is gone afterwards."""
    process.kill()
    _, errors = process.communicate()
    why = (errors.strip().splitlines() or ["it said nothing"])[-1]
    return TargetError(f"The lab did not start: {why}")


def _first_line(process: subprocess.Popen[str]) -> str:
    stdout = process.stdout
    if stdout is None:
        return ""
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        return stdout.readline() if selector.select(START_TIMEOUT) else ""
