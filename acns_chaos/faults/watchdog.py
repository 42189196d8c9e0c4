"""The watchdog's process: restores when the runner dies, at the deadline, or when told to.

It also does when somebody says stop, and when the run's Lease is lost.

`python -m acns_chaos.faults.watchdog` reads one JSON object per line from standard input and
answers each with one; the end of standard input without a "bye" means that the runner is gone. It
has its own session and its own, warmed-up connection, prints nothing else, and ends when nothing is
left to restore. The runner's side of the conversation is in `watch`.

| from the runner | meaning |
| --- | --- |
| `own` | this folder holds credentials: remove it when the runner is gone |
| `open` | connect to this cluster, read the Lease, be ready |
| `rehearse` | would the server take these writes (dry run)? |
| `renew` | keep this Lease, too |
| `hold` | this record stands from now on |
| `drop` | it is restored |
| `restore` | restore what is held, now; hold nothing more |
| `bye` | the run is over; whatever is still held is restored first |

A request that hangs must not keep it from restoring, so questions to the server (rehearsals, the
Lease, the stop object) are asked in threads of their own; the main one listens and restores.
"""

import contextlib
import json
import os
import selectors
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.kubeconfig import preload
from acns_chaos.cluster.leases import Leases
from acns_chaos.cluster.policies import Policies
from acns_chaos.cluster.private import adopt_folder, remove_folder
from acns_chaos.cluster.records import Record
from acns_chaos.cluster.stop import stopped
from acns_chaos.cluster.target import LAB_MARK, Choice, connect
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import AcnsChaosError, ApiError, Conflict, Drifted
from acns_chaos.faults.ledger import CREATE, now
from acns_chaos.faults.recovery import age, recover, sweep
from acns_chaos.faults.rehearsal import rehearse
from acns_chaos.faults.tenure import Tenure

__all__ = ["AGENT", "main"]

AGENT = "acns-chaos-watchdog"
# Seconds between two looks at the stop object and at the deadlines.
LOOK_EVERY = 0.4
# How long a silent API server is asked after the runner is gone; the janitor goes on.
SETTLE = 90.0


class Watchdog:
    """What one watchdog knows.

    Args:
        out: file descriptor on which the runner listens.
    """

    def __init__(self, out: int) -> None:
        self._out = out
        self._saying = threading.Lock()
        self._api: Api | None = None
        self._lab = False
        self._run = ""
        self._stop_places: tuple[str, ...] = ()
        self._home = ""
        self._folder: Path | None = None
        self._tenure = Tenure("", 0)
        self._held: dict[str, Record] = {}
        # Event ("stop", "lease-lost") → sentence: what was seen that ends the run.
        self._seen: dict[str, str] = {}
        self._told: set[str] = set()
        # Why everything held is to be restored, and nothing more is taken; "" while it is not.
        self._ending = ""
        self._looking = threading.Event()
        self.over = False

    def say(self, told: Mapping[str, Any]) -> None:
        """Tell the runner; one that is gone hears nothing, which the next read notices."""
        line = json.dumps(told).encode() + b"\n"
        with self._saying, contextlib.suppress(OSError):
            while line:
                line = line[os.write(self._out, line) :]

    # ------------------------------------------------------------------ the conversation

    def hear(self, said: Mapping[str, Any]) -> None:
        """Do what the runner asks, and answer; a rehearsal is answered when it was heard of."""
        if said["do"] == "rehearse":
            # It may hang, and what is held already must be restored meanwhile.
            threading.Thread(target=self._answer, args=(said,), daemon=True).start()
        else:
            self._answer(said)

    def _answer(self, said: Mapping[str, Any]) -> None:
        try:
            answer = {"ok": True, **(getattr(self, f"_on_{said['do']}")(said) or {})}
        except AcnsChaosError as error:
            answer = {
                "ok": False,
                "error": str(error),
                "status": error.status if isinstance(error, ApiError) else 0,
                "conflict": isinstance(error, Conflict),
            }
        self.say({"re": said["seq"], **answer})

    def _on_own(self, said: Mapping[str, Any]) -> None:
        self._folder = Path(said["folder"])
        adopt_folder(self._folder)

    def _on_open(self, said: Mapping[str, Any]) -> dict[str, Any]:
        api, _ = connect(Choice(**said["choice"]), said["kubeconfig"], AGENT)
        version = str(api.get("/version").get("gitVersion", ""))
        uid = str(api.get("/api/v1/namespaces/kube-system")["metadata"]["uid"])
        if uid != said["cluster"]:
            raise ApiError(f"the watchdog reaches another cluster (kube-system UID {uid})")
        self._lab = LAB_MARK in version
        self._home, self._run = said["home"], said["run"]
        self._stop_places = tuple(said["stop_places"])
        lease = Leases(api, self._home)
        lease.renew(said["holder"])
        self._tenure = Tenure(said["holder"], float(said["duration"]))
        self._tenure.add(lease)
        self._api = api
        self._look()
        threading.Thread(target=self._look_around, daemon=True).start()
        return {"pid": os.getpid()}

    def _on_rehearse(self, said: Mapping[str, Any]) -> None:
        rehearse(Policies(self._connected()), said["steps"])

    def _on_renew(self, said: Mapping[str, Any]) -> None:
        self._tenure.add(Leases(self._connected(), said["namespace"], said["name"]))

    def _on_hold(self, said: Mapping[str, Any]) -> None:
        if why := self._ending or " ".join(self._seen.values()):
            raise ApiError(f"the run ends ({why.rstrip('.')}), so nothing more is changed")
        record = Record.read(said["data"], "of the runner")
        self._held[record.name] = record

    def _on_drop(self, said: Mapping[str, Any]) -> None:
        self._held.pop(said["name"], None)

    def _on_restore(self, _: Mapping[str, Any]) -> None:
        self._ending = "a signal, or its own end"
        self._restore_all()

    def _on_bye(self, _: Mapping[str, Any]) -> dict[str, Any]:
        self.over = True
        left = sorted(self._held)
        self._restore_all()
        self._release()
        return {"left": left, "unrestored": sorted(self._held)}

    def _connected(self) -> Api:
        if self._api is None:
            raise ApiError("the watchdog was not opened")
        return self._api

    # ------------------------------------------------------------------ on its own

    def tick(self) -> None:
        """Restore what is due, and tell the runner that somebody is here."""
        self.say({"event": "alive"})
        seen = dict(self._seen)
        if seen or self._ending:
            # What could not be restored when it was asked for is tried again.
            self._restore_all()
        for event in seen.keys() - self._told:
            self._told.add(event)
            self.say({"event": event, "sentence": seen[event]})
        for record in list(self._held.values()):
            if record.due(self._connected().now()) and self._restore(record):
                self.say({"event": "deadline", "name": record.name, "id": record.id})

    def _look_around(self) -> None:
        while not self._looking.wait(LOOK_EVERY):
            for look in (self._keep_leases, self._look):
                try:
                    look()
                except AcnsChaosError as error:
                    # Nothing is known: an API server that is silent now is asked again.
                    self.say({"event": "trouble", "sentence": str(error)})

    def _keep_leases(self) -> None:
        """Hold on to the Leases; one that is lost ends the run."""
        if lost := self._tenure.keep(closely=bool(self._held)):
            self._seen["lease-lost"] = lost

    def _look(self) -> None:
        """Look for the stop object; whoever said stop is believed, also when they take it back."""
        if "stop" not in self._seen and (why := stopped(self._connected(), self._stop_places)):
            self._seen["stop"] = why

    def _restore_all(self) -> None:
        """Pay everything that is held, newest first.

        The newest write alone may not have been answered yet. A creation that was not is waited
        for, and no outage must wait with it: so it goes last.
        """
        held = sorted(self._held.values(), key=lambda one: age(one.name), reverse=True)
        for record in sorted(held, key=lambda one: one.change == CREATE and one is held[0]):
            self._restore(record)

    def _restore(self, record: Record) -> bool:
        """Pay one record; True when nothing of it is left to do here."""
        submitted = now()
        try:
            # Not waiting when the server is too busy: it is tried again with the next tick, and the
            # runner hears meanwhile that somebody is here.
            recover(self._connected().hurried(), record, "watchdog")
            self.say({"event": "paid", "id": record.id, "at": submitted})
        except Drifted:
            # Somebody else's rules: a person decides, and the record stands for them.
            pass
        except ApiError as error:
            if not (self._lab and error.status == 0 and self._gone()):
                return False
        except AcnsChaosError:
            return False
        self._held.pop(record.name, None)
        return True

    def _gone(self) -> bool:
        """Whether the lab is gone, and the fault with it."""
        try:
            self._connected().get("/version")
        except ApiError as error:
            return error.status == 0 and "refused" in str(error)
        return False

    def settle(self) -> None:
        """The runner is gone: restore, ask a silent API server for a while, let go of all."""
        if self._api is not None:
            wait_until(self._settled, SETTLE, interval=0.2)
            self._release()
        if self._folder is not None:
            remove_folder(self._folder)

    def _settled(self) -> bool:
        self._restore_all()
        return not self._held and self._swept()

    def _swept(self) -> bool:
        """Remove what the runner had begun to record when it died; True when nothing is left."""
        try:
            sweep(self._connected().hurried(), self._home, self._run, "watchdog")
        except ApiError as error:
            return self._lab and error.status == 0 and self._gone()
        except AcnsChaosError:
            # A record that cannot be believed is for a person.
            return True
        return True

    def _release(self) -> None:
        self._looking.set()
        if self._api is not None and not self._held:
            self._tenure.release()


def main() -> int:
    """Serve one runner until it says bye, or is gone."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminated)
    listening, talking = _own_pipes()
    dog = Watchdog(talking)
    try:
        # While the runner asks what it must know first.
        preload()
        _converse(dog, listening)
    except (SystemExit, Exception):  # noqa: BLE001
        # Whatever ends it, what it holds is restored.
        dog.over = False
    if not dog.over:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        dog.settle()
    return 0


def _own_pipes() -> tuple[int, int]:
    """Keep the two ends of the conversation from everybody else in this process.

    A credential plugin inherits standard input, and would read what the runner says.
    """
    pipes = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return pipes


def _terminated(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _converse(dog: Watchdog, listening: int) -> None:
    """Hear lines until their end; look at the deadlines between them."""
    pending = b""
    ticked = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(listening, selectors.EVENT_READ)
        while not dog.over:
            talking = selector.select(LOOK_EVERY)
            if talking:
                chunk = os.read(listening, 65536)
                if not chunk:
                    return
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    dog.hear(json.loads(line))
            if time.monotonic() - ticked >= LOOK_EVERY and not dog.over:
                dog.tick()
                ticked = time.monotonic()


if __name__ == "__main__":
    sys.exit(main())
