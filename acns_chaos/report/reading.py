"""Journals for a report: as many as can be read, and a sentence for each that cannot, or in part.

A report of ten journals, of which one is broken, tells of nine and says so: nothing is left out in
silence, and nothing is counted twice.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from acns_chaos.errors import JournalCutOff, JournalError
from acns_chaos.evidence.facts import SECTION, Facts
from acns_chaos.evidence.journal import load_journal
from acns_chaos.evidence.signature import SCHEMA, verify
from acns_chaos.evidence.values import mapping, text, word
from acns_chaos.report.build import place_of, story
from acns_chaos.report.model import Story
from acns_chaos.report.partial import partial, standing
from acns_chaos.report.salvage import salvaged

__all__ = ["ELSEWHERE", "IN_PART", "Problem", "Read", "read", "require_cluster"]

IN_PART = 1
"""The exit code of a report that lacks something it was asked for."""
ELSEWHERE = 10
"""The exit code when a journal is not of the cluster that was required."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to be said of one file.

    Attributes:
        path: of the file as one printable line, or its number where paths are not to be told.
        sentence: what was found, where, and what to do.
        effect: "left out", "in part", or "none": it is in the report, or counted already.
    """

    path: str
    sentence: str
    effect: str

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True)
class Read:
    """What was read.

    Attributes:
        journals: each run once, in the order of the paths.
        sources: the file of each, as in `Problem.path`.
        cut_off: for each, whether it is only what was salvaged of a file that was cut off.
        problems: what could not be read or only in part, then what was named more than once.
    """

    journals: tuple[dict[str, Any], ...]
    sources: tuple[str, ...]
    cut_off: tuple[bool, ...]
    problems: tuple[Problem, ...]

    @property
    def code(self) -> int:
        """The exit code of a report of these journals: 0, or `IN_PART`."""
        return IN_PART if any(one.effect != "none" for one in self.problems) else 0

    def stories(self) -> tuple[Story, ...]:
        """Tell each journal; of one that was cut off, only what it shows."""
        return tuple(
            partial(story(journal, source)) if cut else story(journal, source)
            for journal, source, cut in zip(self.journals, self.sources, self.cut_off, strict=True)
        )


def read(paths: Iterable[str], redact: bool = False) -> Read:
    """Read journals; never raises for what the files hold.

    Args:
        paths: of the files. A run that is named twice is read once; runs of the same id that
            differ are refused, all of them: which of them is what the run wrote cannot be told.
        redact: replace names and addresses by pseudonyms, and the paths, which may name people,
            by numbers; in the sentences, too.
    """
    found: list[_One] = []
    problems: list[Problem] = []
    for number, path in enumerate(paths, 1):
        name = f"journal {number}" if redact else text(path, 200) or "A file without a name"
        try:
            found.append(_read(path, name))
        except JournalError as error:
            told = _renamed(str(error), path, name)
            problems.append(Problem(name, text(told, 600), "left out"))
    kept, repeated = _each_once(found)
    if redact:
        from acns_chaos.evidence.redaction import redacted

        kept = [replace(one, journal=redacted(one.journal)) for one in kept]
    problems += [Problem(one.name, why, "in part") for one in kept if (why := _lacking(one))]
    return Read(
        tuple(one.journal for one in kept),
        tuple(one.name for one in kept),
        tuple(one.cut_off for one in kept),
        (*problems, *repeated),
    )


def require_cluster(journals: Iterable[Mapping[str, Any]], uid: str) -> str:
    """Say why journals are not all of one cluster, "" when they are.

    Args:
        journals: as read. One whose signature does not hold could say anything: it does not count.
        uid: of the namespace kube-system of the cluster that is required.

    Returns:
        One sentence about the first journal that is of the lab, of another cluster, or of none
        that can be told.
    """
    wanted = uid.strip()
    if not wanted:
        return (
            "--require-cluster wants the UID of the cluster's namespace kube-system, not nothing."
        )
    for journal in journals:
        if why := _elsewhere(journal, wanted):
            return why
    return ""


@dataclass(frozen=True, slots=True)
class _One:
    """A journal with what its file is called in a sentence."""

    name: str
    journal: dict[str, Any]
    cut_off: bool = False

    @property
    def run(self) -> str:
        """Its id, "" when it has none."""
        return word(mapping(self.journal.get(SECTION)).get("run"))

    @property
    def begun(self) -> str:
        """When and where the host began it, which tells runs apart where an id is cut off."""
        return text([self.journal.get("start"), self.journal.get("node")])

    @property
    def content(self) -> str:
        """All it holds, as text that can be compared."""
        return json.dumps(self.journal, sort_keys=True)


def _renamed(sentence: str, path: str, name: str) -> str:
    """Replace a file's path, which each sentence names once, by what it is to be called."""
    return re.sub(rf"(?<!\w){re.escape(path)}(?!\w)", lambda _: name, sentence, count=1)


def _read(path: str, name: str) -> _One:
    try:
        return _One(name, load_journal(path))
    except JournalCutOff as error:
        rest = salvaged(error.written)
        if rest is None:
            raise
        return _One(name, rest, cut_off=True)


def _lacking(one: _One) -> str:
    """Say what of a journal cannot be told, "" for nothing."""
    if one.cut_off:
        told = story(one.journal, one.name)
        return (
            f"{one.name} is cut off: the host stopped while it wrote, and only what is "
            f"whole is told ({told.place.label}). {standing(told)}"
        )
    section = mapping(one.journal.get(SECTION))
    if not section:
        return (
            f"{one.name} is a journal of Chaos Toolkit without a section of ours: no fault "
            "and no restore is recorded in it. Run the experiment with the control "
            "acns_chaos.controls.guard."
        )
    schema = section.get("schema")
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < 1:
        return (
            f"{one.name} does not say which version of our section it holds "
            f"({text(schema, 40) or 'none'}): what is told of it may lack something. Make it again "
            "with this version."
        )
    if schema > SCHEMA:
        version = text(section.get("version"), 40) or "unknown"
        return (
            f"{one.name} was written by a newer acns-chaos ({version}, schema {schema}; "
            f"known here are schemas up to {SCHEMA}): what is new in it is not told. Upgrade "
            "acns-chaos and make the report again."
        )
    return ""


def _each_once(found: Sequence[_One]) -> tuple[list[_One], list[Problem]]:
    """Keep each run once; of the same id with different content, none."""
    begun = {one.begun: one.run for one in found if one.run}
    groups: dict[str, list[_One]] = {}
    for one in found:
        run = one.run or (begun.get(one.begun, "") if one.cut_off else "")
        # A journal without an id is the same run only as one that is equal.
        groups.setdefault(run or f"\0{one.content}", []).append(one)
    kept: list[_One] = []
    problems: list[Problem] = []
    for group in groups.values():
        whole = [one for one in group if not one.cut_off] or group
        first = whole[0]
        if len(whole) > 1 and len({one.content for one in whole}) > 1:
            problems.append(_contradiction(group))
            continue
        kept.append(first)
        problems += [_again(one, first) for one in group if one is not first]
    return [one for one in found if any(one is other for other in kept)], problems


def _contradiction(group: Sequence[_One]) -> Problem:
    names = " and ".join(dict.fromkeys(one.name for one in group))
    run = text(group[0].run, 60)
    broken = [f"{one.name} does not hold: {why}" for one in group if (why := verify(one.journal))]
    doubt = f" ({'; '.join(broken)})" if broken else ""
    sentence = (
        f"{names} both say that they are run {run}, and differ{doubt}. None of them is told: name "
        "only the file as the run wrote it."
    )
    return Problem(group[0].name, sentence, "left out")


def _again(one: _One, first: _One) -> Problem:
    if one.cut_off and not first.cut_off:
        why = f"is a part of what {first.name} holds whole"
    else:
        why = f"is the same run as {first.name}"
    sentence = f"{one.name} {why}: it is counted once. Name each run once."
    return Problem(one.name, sentence, "none")


def _elsewhere(journal: Mapping[str, Any], wanted: str) -> str:
    facts = Facts(journal)
    place, run = place_of(facts), text(facts.section.get("run"), 60) or "without an id"
    required = f"the cluster {text(wanted, 60)} was required"
    if place.kind == "lab":
        return f"Run {run} was in the {place.label}; {required}. Run it against that cluster."
    if problem := verify(journal):
        return f"Where run {run} was cannot be relied on, as {problem}; {required}. Leave it out."
    if facts.section.get("redacted"):
        return f"Run {run} is redacted, so its cluster's UID is not told; {required}. Leave it out."
    if place.kind != "cluster" or not place.uid:
        return f"Where run {run} was is not known; {required}. Leave it out."
    if place.uid != wanted:
        return (
            f"Run {run} was in {place.label}, UID {place.uid}; {required}. Leave it out, or name "
            "its UID."
        )
    return ""
