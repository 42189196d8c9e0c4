"""The experiments that a plan names, besides its mutants: lines of `experiments.jsonl`.

Belongs here: what became of each, read back and united as results are. Does not belong here: which
ones a day has (`day`), running them (`running`), and mutants (`results`).

They are in no score. One that was not run leaves a day incomplete, and one that did not hold makes
it fall short. Whatever ended first counts; that something was not restored counts wherever it
stands.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from acns_chaos.errors import GameDayError
from acns_chaos.evidence.values import mapping, moment, word

__all__ = ["OWN", "Experiments", "Own", "read_own", "unite_own"]

OWN = "experiments.jsonl"
# Of such a file, in bytes.
MAX_OWN = 20_000_000


@dataclass(frozen=True, slots=True)
class Own:
    """What became of an experiment that the plan names: a line of `experiments.jsonl`.

    Attributes:
        name: the file that the plan names.
        outcome: of the run, "" where there is no journal.
        sentence: that goes with it.
        journal: file of it in the day's folder, "" where there is none.
        ended: when, ISO 8601.
        shard: "cluster uid/namespace"; "" where neither its line nor a plan says.
        day: its id; "" where its line does not say.
    """

    name: str
    outcome: str
    sentence: str
    journal: str
    ended: str
    shard: str = ""
    day: str = ""

    @property
    def held(self) -> bool:
        """Whether somebody noticed and all came back."""
        return self.outcome == "HELD"

    @property
    def left(self) -> bool:
        """Whether something was left changed."""
        return self.outcome == "NOT_RESTORED"

    @property
    def key(self) -> tuple[str, str]:
        """What it is counted once by."""
        return self.shard, self.name

    def line(self, day: str = "") -> str:
        """The line as it is written, its end included.

        Args:
            day: where it does not know its own.
        """
        told = {"schema": 1, "day": self.day or day, **self.as_json()}
        told["experiment"] = told.pop("name")
        return json.dumps(told, sort_keys=True) + "\n"

    def as_json(self) -> dict[str, str]:
        """Plain JSON: an entry of `score.json`."""
        told = {"name": self.name, "outcome": self.outcome, "sentence": self.sentence}
        return told | {"journal": self.journal, "ended": self.ended, "shard": self.shard}


@dataclass(frozen=True, slots=True)
class Experiments:
    """What became of all that plans name.

    Attributes:
        counted: each once, in the order of shards and of their ends.
        differing: other runs of those.
        not_run: those that a plan names and of which there is nothing.
    """

    counted: tuple[Own, ...] = ()
    differing: tuple[Own, ...] = ()
    not_run: tuple[Own, ...] = ()

    @property
    def left(self) -> tuple[Own, ...]:
        """The runs after which something was left changed."""
        return tuple(one for one in (*self.counted, *self.differing) if one.left)


def unite_own(found: Iterable[Own], expected: Iterable[Own]) -> Experiments:
    """Unite what became of experiments, each counted exactly once.

    Args:
        found: in any order, some perhaps several times.
        expected: that were to be run; only name and shard are looked at.
    """
    runs: dict[tuple[str, str], set[Own]] = {}
    for one in found:
        runs.setdefault(one.key, set()).add(one)
    counted = {key: min(group, key=_order) for key, group in runs.items()}
    differing = {one for key, group in runs.items() for one in group if one != counted[key]}
    missing = {one.key: one for one in expected if one.key not in runs}
    return Experiments(
        tuple(sorted(counted.values(), key=lambda one: (one.shard, *_order(one)))),
        tuple(sorted(differing, key=_order)),
        tuple(missing[key] for key in sorted(missing)),
    )


def _order(one: Own) -> tuple[bool, float, str, str]:
    """What ended first comes first; what does not say when it ended comes last."""
    ended = moment(one.ended)
    return ended is None, ended.timestamp() if ended else 0.0, one.name, one.line()


def read_own(file: Path, expected: Iterable[Own] = ()) -> tuple[list[Own], list[str]]:
    """Read what became of the experiments of a day.

    Args:
        file: of the day's folder; none is as an empty one.
        expected: as the day's plan names them, with their shards.

    Returns:
        Each, in the file's order; and a sentence for each line that is none. A last line without
        its end was cut short: it is passed over, as its experiment is run again.

    Raises:
        GameDayError: the file cannot be read.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_OWN + 1)
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise GameDayError(f"{file} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_OWN:
        raise GameDayError(f"{file} has more than {MAX_OWN // 1_000_000} MB: it is no such file.")
    shards = {one.name: one.shard for one in expected}
    found, notes = [], []
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        if not line.endswith(b"\n") or not line.strip():
            continue
        one = _parsed(line)
        if one is None:
            notes.append(f"{file}, line {number} is no experiment of a plan, and was left out.")
        else:
            found.append(replace(one, shard=one.shard or shards.get(one.name, "")))
    return found, notes


def _parsed(line: bytes) -> Own | None:
    try:
        told = mapping(json.loads(line))
    except (ValueError, RecursionError):
        return None
    keys = ("experiment", "outcome", "sentence", "journal", "ended", "shard", "day")
    found = Own(*(word(told.get(key)) for key in keys))
    return found if found.name else None
