"""Runs as JUnit XML, in the form that Jenkins, GitLab, GitHub's actions and Azure DevOps read.

One suite a place, so that no history and no score mixes the lab with a cluster; the root carries
no totals for the same reason. Only HELD passes. What a run found wrong is a failure; what it could
not find out is an error; nothing is ever skipped, because CI shows that as green, and a fault that
was not injected has shown nothing.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from acns_chaos.evidence.outcome import Outcome
from acns_chaos.evidence.values import moment, number
from acns_chaos.report.build import UNKNOWN_PLACE
from acns_chaos.report.model import Story
from acns_chaos.report.place import Group, grouped
from acns_chaos.report.reading import Problem

__all__ = ["RESULTS", "element", "junit", "properties", "written", "xml_text"]

RESULTS: Mapping[str, str] = {
    Outcome.HELD: "",
    Outcome.DEVIATED: "failure",
    Outcome.NOT_NOTICED: "failure",
    Outcome.NOT_RESTORED: "failure",
    Outcome.NOT_STARTED: "error",
    Outcome.NOT_INJECTED: "error",
    Outcome.INCONCLUSIVE: "error",
}
"""The element that a test case holds for an outcome, "" for none: it passed."""

# What XML 1.0 cannot hold, not even escaped.
_FOREIGN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SHOWN = "\N{REPLACEMENT CHARACTER}"


def junit(stories: Sequence[Story], problems: Sequence[Problem] = ()) -> str:
    """Write runs as a JUnit XML document that ends with a line break.

    Args:
        stories: as `build.story` tells them.
        problems: of the files they were read from; each that left something out is an error.
    """
    root = ET.Element("testsuites", name="acns-chaos")
    for group in grouped(stories):
        _suite(root, group)
    unread = [one for one in problems if one.effect != "none"]
    if unread:
        _unread(root, unread)
    return written(root)


def written(root: ET.Element) -> str:
    """Return a document that ends with a line break."""
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document.decode("utf-8") + "\n"


def _suite(root: ET.Element, group: Group) -> None:
    first = min((at for one in group.stories if (at := moment(one.started))), default=None)
    seconds = [_seconds(one) for one in group.stories]
    uid = f", UID {group.uid}" if group.uid else ""
    suite = _counted(root, f"acns-chaos in {group.label}{uid}", group.stories, sum(seconds))
    if first:
        # The schema knows no offset.
        suite.set("timestamp", first.strftime("%Y-%m-%dT%H:%M:%S"))
    place = group.stories[0].place
    told = [("place", group.label), ("place.kind", group.kind)]
    if group.kind == "cluster":
        told += [("place.uid", group.uid), ("place.server", place.server)]
    properties(suite, told)
    titles = Counter(one.title for one in group.stories)
    for story, took in zip(group.stories, seconds, strict=True):
        # Readers keep one test case of a name, so that a second run of an experiment needs its own.
        own = f" ({story.run or story.source})" if titles[story.title] > 1 else ""
        _case(suite, story, f"{story.title}{own}", took)


def _counted(root: ET.Element, name: str, stories: Sequence[Story], seconds: float) -> ET.Element:
    results = Counter(RESULTS[one.verdict.outcome] for one in stories)
    return element(
        root,
        "testsuite",
        name=name,
        tests=len(stories),
        failures=results["failure"],
        errors=results["error"],
        skipped=0,
        time=f"{seconds:.3f}",
    )


def _case(suite: ET.Element, story: Story, name: str, seconds: float) -> None:
    place, verdict, evidence = story.place, story.verdict, story.evidence
    # Readers split a class's name at its dots, and keep a history for each.
    label = place.label.replace(".", "_")
    cluster = f" {place.uid}" if place.kind == "cluster" and place.uid else ""
    case = element(
        suite,
        "testcase",
        classname=f"acns-chaos.{label}{cluster}",
        name=name,
        time=f"{seconds:.3f}",
    )
    properties(
        case,
        [
            ("outcome", verdict.outcome),
            ("outcome.code", str(verdict.code)),
            ("place", place.label),
            ("place.uid", place.uid),
            ("place.context", place.context),
            ("place.namespace", place.namespace),
            ("run", story.run),
            ("started", story.started),
            *((f"version.{what}", version) for what, version in story.versions),
            ("evidence.head", evidence.head),
            ("evidence.digest", evidence.digest),
            ("evidence.problem", evidence.problem),
        ],
    )
    if result := RESULTS[verdict.outcome]:
        lines = [verdict.sentence, f"Next: {verdict.next}", *verdict.reasons]
        found = element(case, result, message=verdict.sentence, type=verdict.outcome)
        found.text = xml_text("\n".join([f"In: {place.label}", *dict.fromkeys(lines)]))
    element(case, "system-out").text = xml_text("\n".join(_told(story)))


def _told(story: Story) -> Iterable[str]:
    yield f"{story.place.label}: {story.verdict.outcome}: {story.verdict.sentence}"
    for question, answers in (
        ("What was broken?", story.answers.broken),
        ("For how long?", story.answers.lasted),
        ("Who noticed, and when?", story.answers.noticed),
        ("What would not have been noticed?", story.answers.unnoticed),
        ("Is everything back?", story.answers.back),
        ("What was not observed?", story.not_observed),
    ):
        yield question
        for answer in answers:
            yield f"  {answer}"


def _unread(root: ET.Element, problems: Sequence[Problem]) -> None:
    """Add what could not be read, or not whole: of none of it is known where it was."""
    suite = element(
        root,
        "testsuite",
        name=f"acns-chaos in {UNKNOWN_PLACE}: files that were not read, or only in part",
        tests=len(problems),
        failures=0,
        errors=len(problems),
        skipped=0,
        time="0.000",
    )
    names = Counter(one.path for one in problems)
    for index, one in enumerate(problems, 1):
        own = f" ({index})" if names[one.path] > 1 else ""
        case = element(
            suite, "testcase", classname="acns-chaos.files", name=f"{one.path}{own}", time="0.000"
        )
        found = element(case, "error", message=one.sentence, type=one.effect)
        found.text = xml_text(one.sentence)


def properties(parent: ET.Element, told: Iterable[tuple[str, str]]) -> None:
    """Add properties; those without a value are left out."""
    group = element(parent, "properties")
    for name, value in told:
        if value:
            element(group, "property", name=name, value=value)


def element(parent: ET.Element, tag: str, **attributes: object) -> ET.Element:
    """Add an element whose attributes may hold anything."""
    given = {name: xml_text(value) for name, value in attributes.items()}
    return ET.SubElement(parent, tag, given)


def xml_text(value: Any) -> str:
    """Return text that XML can hold: what it cannot is shown as a replacement character."""
    return _FOREIGN.sub(_SHOWN, str(value))


def _seconds(story: Story) -> float:
    """How long a run took, 0 when its journal does not say."""
    return max(0.0, number(story.facts.journal.get("duration")) or 0.0)
