"""A game day as a folder: what is to be run, what has been, and what is left to do.

Belongs here: the folder's files, written and read back. Does not belong here: running (`running`)
and what the results come to (`scoring`).

Experiments are written first and `plan.json` last and whole: a folder with a plan holds all that a
day needs, and whoever resumes one selects nothing anew. Results are only ever appended.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from acns_chaos import __version__
from acns_chaos.cluster.documents import parse
from acns_chaos.cluster.sources import read_bounded
from acns_chaos.errors import GameDayError
from acns_chaos.evidence.values import mapping, mappings, number, word
from acns_chaos.gameday.document import experiment_of, file_name
from acns_chaos.gameday.merge import MAX_PLAN, PLAN, RESULTS, expected_of
from acns_chaos.gameday.own import OWN, Own
from acns_chaos.gameday.plan import plan_of
from acns_chaos.gameday.plan_values import Plan
from acns_chaos.gameday.preparing import Prepared
from acns_chaos.gameday.results import UNKNOWN, Place, Result, read_results
from acns_chaos.gameday.scoring import write_whole
from acns_chaos.gameday.writing import append_line, drop_cut_line

__all__ = ["Day", "Job", "Own", "begin", "new_id", "reopen", "require_begun", "require_free"]

EXPERIMENTS, JOURNALS, SCHEDULE, LOGS = "experiments", "journals", "schedule", "logs"
_TOLD = ("outcome", "sentence", "journal", "ended")
# What may lie in a folder in which a day was begun and never came to its plan.
_BEGUN = frozenset({EXPERIMENTS, JOURNALS, SCHEDULE, LOGS, ".lock"})


@dataclass(frozen=True, slots=True)
class Job:
    """One experiment that is to be run.

    Attributes:
        position: in the day's order, from 1; 0 for an experiment that the plan names.
        name: the mutant's id, or the file that the plan names.
        namespace: whose Lease it takes.
        experiment: its file in the day's folder.
        journal: likewise.
        blank: its result as long as there is none; None for an experiment that the plan names.
    """

    position: int
    name: str
    namespace: str
    experiment: str
    journal: str
    blank: Result | None = None


class Day:
    """A day's folder that has a plan.

    Args:
        folder: of the day.
        document: what its `plan.json` holds.

    Attributes:
        id: of the day.
        plan: as it was when the day began.
        place: where the day takes place; its namespace is "".
        jobs: all mutants, in order.
        own: all experiments that the plan names, in order.
        results: of mutants that were run, by position.
        own_results: of experiments that the plan names, by name.
    """

    def __init__(self, folder: Path, document: Mapping[str, Any]) -> None:
        self.folder = folder
        self.document = document
        self.id = word(document.get("day"))
        self.plan: Plan = plan_of(
            mapping(document.get("plan")), Path(str(document.get("folder"))), str(folder / PLAN)
        )
        place = mapping(document.get("place"))
        self.place = Place(*(word(place.get(key)) for key in ("kind", "label", "context", "uid")))
        self.scrape = number(document.get("scrape")) or 30.0
        self.jobs = [_job(one) for one in expected_of(document, folder.name).mutants]
        self.own = [_own_job(one) for one in mappings(document.get("experiments"))]
        self.results: dict[int, Result] = {}
        self.own_results: dict[str, Own] = {}
        self._read()

    @property
    def in_lab(self) -> bool:
        """Whether it takes place in the lab."""
        return self.place.kind == "lab"

    @property
    def seconds(self) -> float:
        """How long one mutant was estimated to take; 0 where that is not known."""
        here = mapping(mapping(mapping(self.document.get("estimate")).get("here")).get("mean"))
        return number(here.get("about")) or 0.0

    @property
    def patience(self) -> float:
        """How long the slowest detector has, in seconds."""
        told = (number(one.get("deadline_ms")) for one in mappings(self.document.get("detectors")))
        return max((one or 0.0 for one in told), default=0.0) / 1000

    def pending(self) -> list[Job]:
        """The mutants that are still to be run, in order."""
        return [job for job in self.jobs if job.position not in self.results]

    def own_pending(self) -> list[Job]:
        """The experiments that the plan names and that are still to be run."""
        return [job for job in self.own if job.name not in self.own_results]

    def add(self, job: Job, result: Result) -> None:
        """Keep what became of a mutant; it counts from the moment this returns.

        Raises:
            GameDayError: it cannot be written, or there is one already.
        """
        if job.position in self.results or (job.blank and result.key != job.blank.key):
            raise GameDayError(f"The result of {job.name} is there already, or another's.")
        append_line(self.folder / RESULTS, result.line())
        self.results[job.position] = result

    def add_own(self, one: Own) -> None:
        """Keep what became of an experiment that the plan names; errors as `add`."""
        append_line(self.folder / OWN, one.line(self.id))
        self.own_results[one.name] = one

    def _read(self) -> None:
        """Take in what was appended; a line that was cut short is dropped, and its mutant rerun."""
        drop_cut_line(self.folder / RESULTS)
        drop_cut_line(self.folder / OWN)
        if (self.folder / RESULTS).exists():
            known = {job.blank.key: job.position for job in self.jobs if job.blank}
            for one in read_results(self.folder / RESULTS)[0]:
                if one.key in known:
                    self.results[known[one.key]] = one
        for found in _lines(self.folder / OWN):
            told = {
                key: word(found.get(key)) for key in ("outcome", "sentence", "journal", "ended")
            }
            own = Own(name=word(found.get("experiment")), **told)
            self.own_results.setdefault(own.name, own)


def _job(blank: Result) -> Job:
    name = PurePosixPath(blank.experiment).name
    where = blank.place.namespace or blank.shard.rpartition("/")[2]
    return Job(
        *(blank.position, blank.mutant, where, f"{EXPERIMENTS}/{name}", f"{JOURNALS}/{name}"),
        blank=replace(blank, status=UNKNOWN, journal=f"{JOURNALS}/{name}"),
    )


def _own_job(told: Mapping[str, Any]) -> Job:
    name = PurePosixPath(str(told.get("experiment"))).name
    files = f"{EXPERIMENTS}/{name}", f"{JOURNALS}/{name}"
    return Job(0, word(told.get("name")), word(told.get("namespace")), *files)


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_bytes().splitlines()
        found = [json.loads(line) for line in lines if line.strip()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise GameDayError(f"{path} cannot be read: {error}.") from error
    return [one for one in found if isinstance(one, dict)]


# ---------------------------------------------------------------------- beginning


def new_id() -> str:
    """A day's id: when it began, and what tells it from another one of that second."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def require_free(folder: Path) -> None:
    """Refuse a folder in which something else lies.

    Raises:
        GameDayError: a day's plan is there, or what is none of ours.
    """
    try:
        found = {one.name for one in folder.iterdir()} if folder.exists() else set()
    except OSError as error:
        raise GameDayError(f"{folder} cannot be read: {error.strerror}.") from error
    if PLAN in found:
        raise GameDayError(
            f"{folder} holds a day: go on with it by --resume {folder}, or name another folder."
        )
    if found - _BEGUN:
        raise GameDayError(f"{folder} is not empty: name a folder that is, or a new one.")


def begin(prepared: Prepared, folder: Path, day: str, place: Place) -> Day:
    """Write a day down; nothing of it is run.

    Args:
        prepared: what is to be run.
        folder: see `require_free`.
        day: its id.
        place: where; its namespace is not looked at.

    Raises:
        GameDayError: it cannot be written.
    """
    selection, names = [], prepared.as_json()
    shown = names.pop("selection")
    schedule = str((folder / SCHEDULE).absolute())
    for position, (mutant, row) in enumerate(
        zip(prepared.selection.chosen, shown, strict=True), start=1
    ):
        name = file_name(position, mutant)
        _write_json(
            folder / EXPERIMENTS / name,
            experiment_of(prepared, mutant, position, schedule=schedule),
        )
        where = mutant.policy.namespace or prepared.plan.namespaces[0]
        more = {"position": position, "shard": f"{place.uid}/{where}", "namespace": where}
        selection.append({**row, **more, "experiment": f"{EXPERIMENTS}/{name}"})
    own = [_own(prepared.plan, folder, number_, path) for number_, path in _numbered(prepared)]
    document = {
        "schema": 1,
        "day": day,
        "created": datetime.now(UTC).isoformat(),
        "version": __version__,
        "plan": prepared.plan.document,
        "folder": str(prepared.plan.folder.absolute()),
        "place": {
            "kind": place.kind,
            "label": place.label,
            "context": place.context,
            "uid": place.uid,
        },
        "shards": sorted({one["shard"] for one in selection}),
        "scrape": prepared.here.pace.scrape,
        **names,
        "experiments": own,
        "selection": selection,
    }
    for name in (JOURNALS, LOGS):
        (folder / name).mkdir(exist_ok=True)
    _write_json(folder / PLAN, document)
    return Day(folder, document)


def _numbered(prepared: Prepared) -> Sequence[tuple[int, Path]]:
    return list(enumerate(prepared.plan.experiments, start=1))


def _own(plan: Plan, folder: Path, number_: int, path: Path) -> dict[str, str]:
    """Copy an experiment that the plan names, as it is."""
    found = parse(read_bounded(path), str(path))[0].value
    told = word(mapping(found.get("configuration")).get("namespace"))
    name = f"own-{number_:03d}-{path.stem[:80]}.json"
    _write_json(folder / EXPERIMENTS / name, found)
    return {
        "name": f"{number_}. {path.name}",
        "namespace": told or plan.namespaces[0],
        "experiment": f"{EXPERIMENTS}/{name}",
    }


def _write_json(path: Path, value: Any) -> None:
    write_whole(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def require_begun(folder: Path) -> None:
    """Refuse a folder in which no day was begun; nothing is written.

    Raises:
        GameDayError: there is no plan.
    """
    if not (folder / PLAN).is_file():
        raise GameDayError(
            f"{folder} holds no {PLAN}: nothing of a day was run there, so begin one with a plan."
        )


def reopen(folder: Path) -> Day:
    """A day that was begun.

    Raises:
        GameDayError: there is none in the folder, or it cannot be used.
        DocumentError: its plan, or a file that this names, cannot be used any more.
    """
    require_begun(folder)
    path = folder / PLAN
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_PLAN + 1)
        document = json.loads(data) if len(data) <= MAX_PLAN else None
    except (OSError, ValueError, RecursionError) as error:
        raise GameDayError(f"{path} cannot be read as a plan: {error}.") from error
    if not isinstance(document, dict) or not mapping(document.get("plan")):
        raise GameDayError(f"{path} is not the plan of a day that `gameday run` began.")
    if document.get("schema") != 1:
        raise GameDayError(
            f"{path} is of another schema than this version writes: resume the day with "
            f"acns-chaos {word(document.get('version')) or 'of the version that began it'}."
        )
    return Day(folder, document)
