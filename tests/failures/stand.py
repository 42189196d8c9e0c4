"""A test stand: a lab process, a way to start and kill runs against it, and to look at it.

Everything is real: the lab is a process, a run is the real `chaos` and its watchdog, the janitor is
the real command. What belongs here: processes and looking. What does not: when somebody is killed.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.errors import ApiError
from tests.failures.control import AGENT, Control
from tests.failures.processes import children_of, command_of, send
from tests.failures.sight import Sight

__all__ = ["Run", "Stand"]

# Each run has a temporary folder of its own, so that what is left there has an owner.
TEMPORARY = "tmp"


@dataclass
class Run:
    """A run of `chaos`, or of a command of ours, that was started.

    Attributes:
        pid: of its process.
        folder: where it writes what it prints and its journal.
        code: its exit code once it is over, minus the signal's number when one ended it.
        over: set when it is over.
    """

    pid: int
    folder: Path
    code: int | None = None
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def output(self) -> str:
        """What it printed so far."""
        return (self.folder / "output.txt").read_text("utf-8")

    @property
    def journal(self) -> dict[str, Any]:
        """Its journal, empty when it wrote none."""
        try:
            return dict(json.loads((self.folder / "journal.json").read_text("utf-8")))
        except (OSError, ValueError):
            return {}

    def watchdogs(self) -> list[int]:
        """Its watchdogs: children that run the watchdog's module."""
        return [pid for pid in children_of(self.pid) if "faults.watchdog" in command_of(pid)]

    def left_behind(self) -> list[str]:
        """What lies in the temporary folder that it and its watchdog had for themselves."""
        return sorted(one.name for one in (self.folder / TEMPORARY).iterdir())


class Stand(Sight):
    """One lab and everybody around it; a context manager.

    Args:
        folder: of its own.
        environ: added to the environment of runs and janitor.
    """

    def __init__(self, folder: Path, environ: dict[str, str] | None = None) -> None:
        (folder / TEMPORARY).mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._environ = environ or {}
        self._numbers = iter(range(1, 1_000_000))
        self._runs: dict[int, Run] = {}
        self._started: queue.SimpleQueue[Run] = queue.SimpleQueue()
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.failures.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        self._janitor: subprocess.Popen[bytes] | None = None
        self._lab: subprocess.Popen[bytes] | None = None
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self.start_lab()
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for run in list(self._runs.values()):
            self.kill(run)
        self.stop_janitor()
        self.stop_lab()
        assert self._zygote.stdin
        assert self._zygote.stdout
        self._zygote.stdin.close()
        self._zygote.wait(20)
        self._listener.join(20)
        self._zygote.stdout.close()

    # ------------------------------------------------------------------ the lab

    def start_lab(self) -> None:
        """Start a lab; the policies it begins with are what must always come back."""
        home = self._folder / f"lab-{next(self._numbers)}"
        home.mkdir()
        self._lab = subprocess.Popen(
            [
                *(sys.executable, "-m", "acns_chaos.lab", "serve", "--register"),
                *("--world", "pets", "--until-stdin-closes"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "ACNS_CHAOS_LAB_HOME": str(home),
                "TMPDIR": str(self._folder / TEMPORARY),
            },
        )
        assert self._lab.stdout
        self.ready: dict[str, Any] = json.loads(self._lab.stdout.readline())
        self.home = home
        self.api = kubeconfig_api("", self.ready["kubeconfig"], AGENT)[0]
        self._control = Control(json.loads((home / "lab.json").read_text("utf-8")))
        self._ensure_central()
        self.look_first(self.api)

    def stop_lab(self) -> None:
        """End the lab."""
        if self._lab is None:
            return
        assert self._lab.stdin
        assert self._lab.stdout
        self.api.close()
        self._control.close()
        self._lab.stdin.close()
        self._lab.wait(20)
        self._lab.stdout.close()
        self._lab = None

    def renew(self) -> None:
        """Make the lab as it was at its start: put its policies right, or start another."""
        self.tidy()
        if not self.is_original():
            with contextlib.suppress(ApiError):
                self.put_right()
        if not (self.is_original() and self.is_whole()):
            self.restart_lab()

    def restart_lab(self) -> None:
        """End the lab and start another, with whoever looks after it."""
        janitor = self._janitor is not None
        self.stop_janitor()
        self.stop_lab()
        self.start_lab()
        if janitor:
            self.start_janitor()

    def _ensure_central(self) -> None:
        """A cluster-wide fault needs a namespace for its Lease."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "acns-chaos"}}
        with contextlib.suppress(ApiError):
            self.api.post("/api/v1/namespaces", body)

    def order(self, kind: str, selection: dict[str, Any], **order: Any) -> str:
        """Let the lab misbehave; returns the order's id."""
        options = order.pop("options", {})
        document = {"kind": kind, "selection": selection, "options": options, **order}
        return str(self._control.ask("POST", "/misbehaviours", document)["id"])

    def about(self, number: str) -> dict[str, Any]:
        """What became of an order."""
        found = self._control.ask("GET", "")
        (one,) = [x for x in found["misbehaviours"] + found["ended"] if x["id"] == number]
        return dict(one)

    def clear(self, number: str = "") -> None:
        """End one order, or all; an order is over by itself when the client it holds is gone."""
        path = f"/misbehaviours/{number}" if number else "/misbehaviours"
        self._control.ask("DELETE", path, may_fail=bool(number))

    def listen(self) -> None:
        """Keep the requests of everybody from now on."""
        self._control.ask("POST", "/requests")

    def requests(self) -> list[dict[str, Any]]:
        """The requests since `listen`, the harness's own apart."""
        found = self._control.ask("GET", "/requests")["requests"]
        return [one for one in found if one["user_agent"] != AGENT]

    # ------------------------------------------------------------------ runs

    def environ(self) -> dict[str, str]:
        """The environment of whoever works on this lab."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ACNS_CHAOS_", "KUBE"))}
        kept.pop("CI", None)
        named = {
            "ACNS_CHAOS_CLUSTER": "lab",
            "ACNS_CHAOS_LAB_HOME": str(self.home),
            "TMPDIR": str(self._folder / TEMPORARY),
        }
        return {**kept, **named, **self._environ}

    def run(self, experiment: dict[str, Any]) -> Run:
        """Start `chaos run`."""
        folder = self._next_folder()
        (folder / "experiment.json").write_text(json.dumps(experiment))
        arguments = [
            *("--no-version-check", "--no-log-file", "run"),
            *("--journal-path", "journal.json", "experiment.json"),
        ]
        return self._start(folder, "chaos", arguments)

    def command(self, *arguments: str) -> Run:
        """Start `acns-chaos`."""
        return self._start(self._next_folder(), "acns-chaos", list(arguments))

    def restore(self, *arguments: str) -> Run:
        """Run `acns-chaos restore` to its end, as patient as it is with people."""
        patient = {"ACNS_CHAOS_API_TIMEOUT": "10"}
        run = self._start(self._next_folder(), "acns-chaos", ["restore", *arguments], patient)
        assert run.over.wait(120), f"restore does not end: {run.output}"
        return run

    def _next_folder(self) -> Path:
        folder = self._folder / f"run-{next(self._numbers)}"
        (folder / TEMPORARY).mkdir(parents=True)
        return folder

    def _start(
        self,
        folder: Path,
        program: str,
        arguments: list[str],
        environ: dict[str, str] | None = None,
    ) -> Run:
        own = {"TMPDIR": str(folder / TEMPORARY), **(environ or {})}
        order = {
            "program": program,
            "arguments": arguments,
            "environ": {**self.environ(), **own},
            "cwd": str(folder),
            "output": str(folder / "output.txt"),
        }
        assert self._zygote.stdin
        self._zygote.stdin.write(json.dumps(order).encode() + b"\n")
        self._zygote.stdin.flush()
        return self._started.get(timeout=60)

    def folder(self) -> Path:
        """A folder for files of an experiment."""
        return self._folder

    def _listen(self) -> None:
        for line in self._zygote.stdout or ():
            said = json.loads(line)
            if "pid" in said:
                # Known before anybody can hear that it ended.
                run = Run(said["pid"], Path(said["cwd"]))
                self._runs[run.pid] = run
                self._started.put(run)
            elif "ended" in said and (ended := self._runs.pop(said["ended"], None)):
                ended.code = said["code"]
                ended.over.set()

    def kill(self, run: Run, watchdogs: bool = False) -> list[int]:
        """Kill a run's process with SIGKILL, and its watchdog if asked; returns its watchdogs.

        Both stop first, so that neither sees the other die.
        """
        dogs = run.watchdogs()
        if watchdogs:
            for pid in dogs:
                send(pid, signal.SIGSTOP)
        send(run.pid, signal.SIGKILL)
        if watchdogs:
            for pid in dogs:
                send(pid, signal.SIGKILL)
        return dogs

    def start_janitor(self) -> None:
        """Start `acns-chaos restore --expired --watch`."""
        if self._janitor is None:
            self._janitor = subprocess.Popen(
                [
                    *(sys.executable, "-m", "acns_chaos.cli", "restore"),
                    *("--expired", "--watch", "--namespace", "pets"),
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self.environ(),
            )

    def stop_janitor(self) -> None:
        """End it."""
        if self._janitor is not None:
            self._janitor.send_signal(signal.SIGINT)
            try:
                self._janitor.wait(15)
            except subprocess.TimeoutExpired:
                self._janitor.kill()
                self._janitor.wait()
            self._janitor = None

    def tidy(self) -> None:
        """End all misbehaviour, and take away what a dead run may rightly leave."""
        self.clear()
        self.sweep()
