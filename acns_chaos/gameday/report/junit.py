"""A game day as JUnit XML: a suite a shard, a case a mutant, and one case for the day itself.

What nobody noticed is a failure, what is unknown or undecided is skipped, what was not put back is
an error.
Because CI shows what is skipped as green, the day has a case of its own that is green only when its
exit code is 0.
"""

from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from acns_chaos.evidence.values import moment, text
from acns_chaos.gameday.report.reading import Told
from acns_chaos.gameday.report.telling import Head, head_of, heard, place_label, repeat, took
from acns_chaos.gameday.results import UNKNOWN, Result
from acns_chaos.gameday.score import missed_in, undecided_in, why_undecided
from acns_chaos.report.junit import element, properties, written, xml_text

__all__ = ["junit"]

FAILURE, SKIPPED, ERROR, PASSED = "failure", "skipped", "error", ""


def junit(told: Told) -> str:
    """Write a day as a JUnit XML document that ends with a line break.

    Args:
        told: the day.
    """
    head = head_of(told)
    root = ET.Element("testsuites", name="acns-chaos game day")
    _whole(root, head)
    shards: dict[str, list[Result]] = {}
    for one in told.day.scored.results:
        shards.setdefault(one.shard, []).append(one)
    for found in shards.values():
        _suite(root, told, found)
    return written(root)


def _whole(root: ET.Element, head: Head) -> None:
    suite = element(
        root,
        "testsuite",
        name=f"{head.title} in {head.where}",
        tests=1,
        failures=int(head.code in (1, 4)),
        errors=int(head.code not in (0, 1, 4)),
        skipped=0,
        time="0.000",
    )
    case = element(
        suite,
        "testcase",
        classname=f"acns-chaos.gameday.{_class(head.where)}",
        name="the day as a whole",
        time="0.000",
    )
    properties(case, [("place", head.where), ("exit.code", str(head.code))])
    lines = [head.sentence, *head.why, f"Next: {head.next}"]
    if head.code:
        kind = FAILURE if head.code in (1, 4) else ERROR
        found = element(case, kind, message=(head.why or (head.sentence,))[0], type=head.word)
        found.text = xml_text("\n".join([f"In: {head.where}", *lines]))
    element(case, "system-out").text = xml_text("\n".join([head.where, *lines]))


def _suite(root: ET.Element, told: Told, found: Sequence[Result]) -> None:
    kinds = Counter(_kind(told, one) for one in found)
    first, place = found[0], place_label(found[0])
    suite = element(
        root,
        "testsuite",
        name=f"acns-chaos game day in {place}, namespace {first.place.namespace or 'unknown'}",
        tests=len(found),
        failures=kinds[FAILURE],
        errors=kinds[ERROR],
        skipped=kinds[SKIPPED],
        time=f"{sum(_seconds(one) for one in found):.3f}",
    )
    begun = min((at for one in found if (at := moment(one.started))), default=None)
    if begun:
        # The schema knows no offset.
        suite.set("timestamp", begun.strftime("%Y-%m-%dT%H:%M:%S"))
    properties(
        suite, [("place", place), ("place.kind", first.place.kind), ("shard", text(first.shard))]
    )
    for one in found:
        _case(suite, told, one, place)


def _case(suite: ET.Element, told: Told, one: Result, place: str) -> None:
    case = element(
        suite,
        "testcase",
        classname=f"acns-chaos.gameday.{_class(place)}.{_class(one.policy) or 'policy'}",
        name=text(one.mutant, 400),
        time=f"{_seconds(one):.3f}",
    )
    kind = _kind(told, one)
    judges = told.day.merged.expected.judges
    missed, unclear = (" and ".join(ways(one, judges)) for ways in (missed_in, undecided_in))
    why = why_undecided(one, judges) if unclear else one.why
    known = f"Undecided for {unclear}, and counted as not noticed" if unclear else "Unknown"
    messages = {
        FAILURE: f"Nobody noticed it for {missed}.",
        SKIPPED: f"{known}: {why or 'no reason is given'}.",
        ERROR: "Not everything was put back.",
    }
    if kind == SKIPPED:
        element(case, SKIPPED, message=messages[kind])
    elif kind != PASSED:
        found = element(case, kind, message=messages[kind], type=one.outcome or "SURVIVED")
        found.text = xml_text("\n".join([f"In: {place}", messages[kind], *_lines(told, one)]))
    element(case, "system-out").text = xml_text("\n".join([place, *_lines(told, one)]))


def _lines(told: Told, one: Result) -> list[str]:
    """What people ask of a case."""
    noticed = f"{one.by} noticed after {took(one.first_ms)}" if one.by else ""
    signal = heard(one) if missed_in(one, told.day.merged.expected.judges) else ""
    made = [
        f"{each.kind} {each.name}: {each.why}" for each in told.day.suggestions.get(one.key, ())
    ]
    again = repeat(one)
    lines = [one.mistake, noticed, f"UNHEARD: {signal}" if signal else "", *made]
    return [line for line in [*lines, f"Repeat: {again}" if again else ""] if line]


def _kind(told: Told, one: Result) -> str:
    if one in told.day.not_restored:
        return ERROR
    judges = told.day.merged.expected.judges
    if missed_in(one, judges):
        return FAILURE
    return SKIPPED if one.status == UNKNOWN or undecided_in(one, judges) else PASSED


def _class(name: str) -> str:
    """Readers split a class's name at its dots."""
    return text(name, 200).replace(".", "_")


def _seconds(one: Result) -> float:
    return max(0.0, one.seconds or 0.0)
