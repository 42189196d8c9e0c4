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
from acns_chaos.cluster.prometheus.settings import (
    ALERTMANAGER_VARIABLE,
    ELSEWHERE,
    URL_VARIABLE,
    is_on_this_machine,
)
from acns_chaos.errors import ApiError, TargetError

__all__ = [
    "RULES_VARIABLE",
    "WATCHED",
    "LabProcess",
    "join_or_start",
    "lab_command",
    "lab_program",
    "start_detached",
]

RULES_VARIABLE = "ACNS_CHAOS_LAB_RULES"
# Who watches the lab instead of its own Prometheus. Variables of their own, because those that name
# a cluster's must not lead a run in the lab there.
WATCHED = {
    "ACNS_CHAOS_LAB_PROMETHEUS_URL": URL_VARIABLE,
    "ACNS_CHAOS_LAB_ALERTMANAGER_URL": ALERTMANAGER_VARIABLE,
}
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
        watched: whether a Prometheus of somebody's own evaluates the alert rules.
    """

    def __init__(
        self,
        ready: Mapping[str, Any],
        process: subprocess.Popen[str] | None,
        watchers: Mapping[str, str] | None = None,
    ) -> None:
        self.ready = dict(ready)
        self.world = str(ready["world"])
        self.server = str(ready["server"])
        handed = {str(key): str(value) for key, value in ready["env"].items()}
        self.environ = {**dict.fromkeys(ELSEWHERE, ""), **handed, **(watchers or {})}
        self.watched = bool(watchers)
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


def join_or_start(
    world: str, environ: Mapping[str, str], rules: str = "", home: Path | None = None
) -> LabProcess:
    """Join the registered lab, or start one that lives as long as this process.

    Args:
        world: name or path, for a lab to start.
        environ: looked up for the folder of registered labs, for RULES_VARIABLE and WATCHED.
        rules: path of alert rules for a lab to start; "" takes the environment's, if any. One that
            is joined keeps its own.
        home: where a lab that is started is registered, for other processes that are to join it;
            None for nowhere.

    Raises:
        TargetError: it did not start; the sentence says why. Or somebody's own Prometheus is to
            watch it, which can only scrape one that is up.
    """
    watchers = _watchers(environ)
    found = find_lab(lab_home(environ))
    if found and found.alive and found.ready:
        return LabProcess(found.ready, None, watchers)
    if watchers:
        raise TargetError(
            f"{next(name for name in WATCHED if environ.get(name))} is set, and no lab is up: "
            "start one with `acns-chaos lab up` and have your Prometheus scrape it, or unset it."
        )
    return _start(world, rules or environ.get(RULES_VARIABLE, ""), home)


def _watchers(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that name who watches the lab instead of its own Prometheus."""
    found = {}
    for name, meant in WATCHED.items():
        given = environ.get(name, "").strip()
        if not given:
            continue
        try:
            near = is_on_this_machine(name, given)
        except ApiError as error:
            raise TargetError(str(error)) from error
        if not near:
            raise TargetError(
                f"{name} must be an address of this machine, as only what runs here can watch the "
                "lab, and hold no credentials: write one such as http://127.0.0.1:9090."
            )
        found[meant] = given
    return found


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


def _start(world: str, rules: str, home: Path | None) -> LabProcess:
    given = (*(("--rules", rules) if rules else ()), *(("--register",) if home else ()))
    environ = {key: value for key, value in os.environ.items() if key != "ACNS_CHAOS_CLUSTER"}
    if home:
        environ["ACNS_CHAOS_LAB_HOME"] = str(home.absolute())
    process = subprocess.Popen(  # noqa: S603 - our own module, no shell
        lab_command("--world", world, *given, "--until-stdin-closes"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Ctrl-C at the terminal is for the runner: the lab must outlive it until all is restored.
        start_new_session=True,
        env=environ,
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
