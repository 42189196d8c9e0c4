"""A small game day that is killed and resumed, until it is done."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.cluster.leases import Leases
from acns_chaos.cluster.policies import Policies, content
from acns_chaos.cluster.records import Records
from acns_chaos.cluster.waiting import wait_until
from tests.failures.processes import alive, children_of, command_of, send
from tests.journeys.hosts import ROOT
from tests.journeys.labs import end_lab, start_lab

__all__ = ["BOTH", "CHILD", "PARENT", "GameDay"]

PARENT, CHILD, BOTH = "parent", "child", "both"
GAMEDAYS = ROOT / "gamedays"
CHILD_MODULE, PLAYER = "acns_chaos.gameday.child", "acns_chaos.gameday.schedule"
# A day is killed at most so often before it is let go to its end.
KILLS = 3
# Seconds into the day's process in which it is killed: it starts, injects, waits and restores.
EARLIEST, LATEST = 0.5, 9.0
# Until a watchdog has restored and tidied up, at most.
TIDY = 20.0
DONE = {0, 1}


@dataclass
class GameDay:
    """A day in a lab that outlives it.

    Args:
        folder: for everything.
        mutants: how many.

    Attributes:
        day: the day's folder.
        log: what was done to it, for people.
    """

    folder: Path
    mutants: int = 2
    log: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Start the lab, and begin a day of which nothing is run yet."""
        self.day = self.folder / "day"
        home = self.folder / "lab"
        given = ("--world", str(GAMEDAYS / "lab" / "pets-1s.yaml"))
        given += ("--rules", str(GAMEDAYS / "pets-rules.yaml"))
        self._lab, ready = start_lab(home, *given)
        self.environ = {
            **os.environ,
            "ACNS_CHAOS_LAB_HOME": str(home),
            "TMPDIR": str(self._made("tmp")),
        }
        self.api: Api = kubeconfig_api("", str(ready["kubeconfig"]))[0]
        self.original = self.policies()
        self.spare = self.folder / "begun"
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        """End the lab."""
        self.api.close()
        end_lab(self._lab)

    def _made(self, name: str) -> Path:
        made = self.folder / name
        made.mkdir()
        return made

    def _begin(self) -> None:
        """Begin a day and kill it when its plan is there; what lies there then is begun with."""
        text = (GAMEDAYS / "pets.yaml").read_text("utf-8")
        for before, after in (
            ("most: 48", f"most: {self.mutants}"),
            ("rules: ", f"rules: {GAMEDAYS}/"),
            ("world: ", f"world: {GAMEDAYS}/"),
            ("claim: ", f"claim: {GAMEDAYS}/"),
        ):
            assert before in text
            text = text.replace(before, after)
        plan = self.folder / "plan.yaml"
        plan.write_text(text, "utf-8")
        process = self.start(str(plan), "--out", str(self.day))
        assert wait_until((self.day / "plan.json").exists, 60, 0.01), process.poll()
        self.kill(process, BOTH)
        self.settle()
        shutil.rmtree(self.day / "journals")
        (self.day / "journals").mkdir()
        (self.day / "results.jsonl").unlink(missing_ok=True)
        shutil.copytree(self.day, self.spare)

    def anew(self) -> None:
        """Have the day begun and nothing of it run."""
        shutil.rmtree(self.day)
        shutil.copytree(self.spare, self.day)
        self.log.clear()

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start `gameday run` without a history."""
        command = [sys.executable, "-m", "acns_chaos.cli", "gameday", "run", "--no-history"]
        output = (self.folder / "output.txt").open("ab")
        with output:
            return subprocess.Popen(
                [*command, *arguments],
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env=self.environ,
                start_new_session=True,
            )

    def resume(self) -> "subprocess.Popen[bytes]":
        """Go on with the day."""
        return self.start("--resume", str(self.day))

    def children(self, process: "subprocess.Popen[bytes]") -> list[int]:
        """The processes that run its mutants."""
        return [pid for pid in children_of(process.pid) if CHILD_MODULE in command_of(pid)]

    def kill(self, process: "subprocess.Popen[bytes]", who: str) -> list[int]:
        """Kill the day's process, the one that runs mutants, or both; returns all of the day's."""
        every = children_of(process.pid)
        hit = self.children(process) if who != PARENT else []
        hit = [*hit, process.pid] if who != CHILD else hit
        for pid in hit:
            send(pid, signal.SIGKILL)
        if who != CHILD:
            process.wait(10)
        return every

    def play(self, seed: str) -> int:
        """Resume the day until it is done, killing at random moments; returns the exit code.

        Args:
            seed: of the moments and of who is killed.
        """
        chance = random.Random(seed)
        for round_ in range(KILLS + 1):
            process = self.resume()
            moments = [chance.uniform(EARLIEST, LATEST)] if round_ < KILLS else []
            for moment in moments:
                who = chance.choice((PARENT, CHILD, BOTH))
                try:
                    process.wait(moment)
                except subprocess.TimeoutExpired:
                    self.log.append(f"{who} killed after {moment:.2f} s")
                    self.kill(process, who)
            try:
                code = process.wait(240)
            except subprocess.TimeoutExpired:
                send(process.pid, signal.SIGKILL)
                raise AssertionError(f"the day does not end: {self.log}, {self.tail()}") from None
            self.log.append(f"ended with {code}")
            if code in DONE:
                return code
            assert code == -signal.SIGKILL, f"{self.log}: {self.tail()}"
        raise AssertionError(f"the day was not done: {self.log}")

    def tail(self) -> str:
        """The last of what was printed."""
        return (self.folder / "output.txt").read_text("utf-8")[-3000:]

    def settle(self) -> None:
        """Wait until nothing of any run is left; says what is."""
        left = [""]

        def clear() -> bool:
            left[0] = self.left()
            return not left[0]

        wait_until(clear, TIDY, 0.1)
        assert not left[0], f"{left[0]}; {self.log}"

    def left(self) -> str:
        """What is left of runs, "" when nothing is."""
        held = Leases(self.api, "pets").read()
        if held is not None and (held.records or not held.lapsed(self.api.now())):
            return f"the Lease: {held}"
        if records := Records(self.api, "pets").names():
            return f"records {records}"
        now = self.policies()
        if now != self.original:
            return f"policies {[name for name in now if now[name] != self.original.get(name)]}"
        mine = str(self.folder / "tmp")
        processes = [pid for pid in _processes() if alive(pid) and _environ(pid) == mine]
        return f"processes {[command_of(pid) for pid in processes]}" if processes else ""

    def policies(self) -> dict[str, Any]:
        """The content of every policy."""
        return {
            f"{one['metadata'].get('namespace', '')}/{one['metadata']['name']}": content(one)
            for one in Policies(self.api).all()
        }

    def counted(self) -> list[str]:
        """The mutant of every line of results, as they lie there."""
        lines = (self.day / "results.jsonl").read_bytes().splitlines()
        return [str(json.loads(line)["mutant"]) for line in lines]

    def selected(self) -> list[str]:
        """The mutants that the day began with, in order."""
        found = json.loads((self.spare / "plan.json").read_text("utf-8"))
        return [str(one["id"]) for one in found["selection"]]


def _processes() -> list[int]:
    return [int(one.name) for one in Path("/proc").glob("[0-9]*")]


def _environ(pid: int) -> str:
    """The folder for temporary files of a process."""
    try:
        found = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    named = [one.partition(b"=")[2].decode() for one in found if one.startswith(b"TMPDIR=")]
    return named[0] if named else ""
