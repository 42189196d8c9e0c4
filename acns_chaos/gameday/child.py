"""The process in which the experiments of one namespace are run, one after another.

`python -m acns_chaos.gameday.child` reads one JSON object per line from standard input and answers
each on standard output. What a run keeps for the length of a process (signal handlers, what
controls know) is one namespace's so. Each experiment is run by the host's own command in this
process, with what that reads and writes: whoever repeats one with `chaos run` gets the same.

| from the day | answer |
| --- | --- |
| `day`: where it takes place and in which folder | `ready` |
| `run`: an experiment's file, a journal's, a mutant or none | `done`, see `_run` |

The end of standard input means that the day is over, or its process gone: a run that has begun is
interrupted as by Ctrl-C, so it restores first. A signal from the day does the same.
"""

import contextlib
import json
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acns_chaos.evidence.facts import Facts
from acns_chaos.evidence.journal import judge, load_journal
from acns_chaos.evidence.values import mapping, word
from acns_chaos.faults.watch import keep_ready
from acns_chaos.gameday.judging import result_of
from acns_chaos.gameday.results import Place

__all__ = ["main"]

logger = logging.getLogger("chaostoolkit")

_PLACE = ("kind", "label", "context", "uid")
# What the guard needs anyway; imported before the first experiment is waited for.
_WARM = ("acns_chaos.controls.guard", "acns_chaos.controls.lab", "acns_chaos.actions")


class Child:
    """What one such process knows.

    Args:
        out: file descriptor on which the day listens.
    """

    def __init__(self, out: int) -> None:
        self._out = out
        self._day: Mapping[str, Any] = {}
        self._folder = Path()
        # Whether something is run, and whether nothing more is to be: each side sets its own and
        # then looks at the other's, so that no run begins unnoticed.
        self._busy = self._over = False

    def hear(self, said: Mapping[str, Any]) -> None:
        """Do what the day asks, and answer."""
        if said["do"] == "day":
            self._day, self._folder = said, Path(said["folder"])
            self.say({"event": "ready", "pid": os.getpid()})
            return
        self._busy = True
        try:
            if self._over:
                return
            told = self._run(said)
        except Exception as error:
            logger.exception("What came of the run cannot be told.")
            told = {"failed": f"{type(error).__name__}: {error}", "interrupted": self._over}
        finally:
            self._busy = False
        self.say({"event": "done", "position": said["position"], **told})

    def end(self) -> None:
        """Begin nothing more, and interrupt what is run; called in another thread."""
        self._over = True
        if self._busy and self._day.get("lab_ends"):
            # The lab is gone with the day, and all that stood in it: nothing can be restored, and
            # the guard would ask for a minute and a half. The watchdog tidies up after this.
            os._exit(1)
        if self._busy:
            os.kill(os.getpid(), signal.SIGINT)

    def say(self, told: Mapping[str, Any]) -> None:
        """Tell the day; one that is gone hears nothing, which ends this process next."""
        line = json.dumps(told).encode() + b"\n"
        with contextlib.suppress(OSError):
            while line:
                line = line[os.write(self._out, line) :]

    def _run(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Run an experiment.

        Returns:
            "interrupted": whether the host ended the run before its end; "outcome", "sentence" and
            "restored": whether nothing is left, None where the journal does not tell. Of a mutant
            also "result", as in a line of results. "failed" says in one sentence why there is no
            journal.
        """
        journal = self._folder / said["journal"]
        draft = journal.with_name(f".{journal.name}")
        draft.unlink(missing_ok=True)
        _host("--journal-path", str(draft), str(self._folder / said["experiment"]))
        if not draft.exists():
            return {"failed": "the host wrote no journal", "interrupted": False}
        # Whole or not at all: a report may look into the folder at any moment.
        draft.replace(journal)
        found = load_journal(journal)
        told: dict[str, Any] = {"interrupted": found.get("status") in ("interrupted", "aborted")}
        judgement, facts = judge(found), Facts(found)
        told |= {"outcome": str(judgement.outcome), "sentence": judgement.sentence}
        told["restored"] = not facts.debts if facts.section else None
        if said["mutant"]:
            told["result"] = self._judged(said, found)
        return told

    def _judged(self, said: Mapping[str, Any], journal: Mapping[str, Any]) -> dict[str, Any]:
        told = mapping(self._day["place"])
        kind, label, context, uid = (word(told.get(key)) for key in _PLACE)
        found = result_of(
            journal,
            mapping(json.loads((self._folder / said["experiment"]).read_bytes())),
            day=self._day["day"],
            shard=said["shard"],
            position=said["position"],
            place=Place(kind, label, context, uid, said["namespace"]),
            files=(said["experiment"], said["journal"]),
        )
        return found.as_json()


def _host(*arguments: str) -> None:
    """Do what `chaos run` does; its exit code says less than the journal."""
    import click
    from chaoslib.settings import CHAOSTOOLKIT_CONFIG_PATH
    from chaostoolkit.commands import cli  # type: ignore[import-untyped]

    settings = {"settings_path": click.format_filename(CHAOSTOOLKIT_CONFIG_PATH)}
    try:
        cli.commands["run"].main(
            list(arguments), prog_name="chaos run", standalone_mode=False, obj=settings
        )
    except click.Abort:
        # What click makes of Ctrl-C, before or after the host looks for it.
        raise KeyboardInterrupt from None


def _log() -> None:
    """The host's log, as lines without colours."""
    logger.propagate = False
    logger.setLevel(logging.INFO)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("[%(asctime)s %(levelname)s] %(message)s"))
    logger.addHandler(handler)


def _own_pipes() -> tuple[int, int]:
    """Keep the two ends of the conversation from everybody else in this process.

    What a probe prints goes to the log, and what it starts inherits no standard input.
    """
    pipes = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return pipes


def _listen(
    listening: int, heard: "queue.SimpleQueue[dict[str, Any] | None]", child: Child
) -> None:
    """Put what is said into a queue; at its end interrupt what is run."""
    with os.fdopen(listening, "rb") as stream:
        for line in stream:
            heard.put(json.loads(line))
    heard.put(None)
    child.end()


def main() -> int:
    """Run what the day asks for until it has nothing more to ask."""
    import importlib

    listening, talking = _own_pipes()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    child = Child(talking)
    heard: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    try:
        threading.Thread(target=_listen, args=(listening, heard, child), daemon=True).start()
        _log()
        for name in _WARM:
            importlib.import_module(name)
        with keep_ready():
            while said := heard.get():
                child.hear(said)
    except KeyboardInterrupt:
        # The day is over, and whatever had begun was restored on the way here.
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
