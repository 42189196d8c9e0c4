"""A policy before and during a fault, as one readable difference with the guilty rule marked.

Which rule is guilty is policy semantics, not a matter of text: the journal holds what the engine
found when the fault was predicted. A journal without that is asked here, by the two documents
alone; where even that does not reproduce the prediction, all that changed is marked, and said so.
Markup is none of this module's: every line is one printable line that somebody else escapes.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from acns_chaos.evidence.facts import rules_of
from acns_chaos.evidence.values import mapping, sequence, text
from acns_chaos.report.difference_guilt import Guilt, guilt_of
from acns_chaos.report.difference_lines import Numbered, rule_lines

__all__ = ["ADDED", "REMOVED", "SAME", "SKIPPED", "Difference", "Line", "difference"]

SAME, REMOVED, ADDED, SKIPPED = "same", "removed", "added", "skipped"
# Unchanged lines around a change; a policy of so few lines is shown whole.
CONTEXT, WHOLE = 4, 40
MOST = 400
BEYOND = "The rules differ only beyond what is written of a policy this long: see the journal."
# Sentences about guilty rules.
MOST_TOLD = 3
# What decides whom a policy is about, and what it denies by being there.
SELECTORS = ("endpointSelector", "nodeSelector", "podSelector", "enableDefaultDeny", "policyTypes")


Opcode = tuple[str, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        kind: SAME, REMOVED, ADDED, or SKIPPED for several that are left out.
        text: YAML, or what is left out.
        guilty: whether it makes the predicted flows close or open.
    """

    kind: str
    text: str
    guilty: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """What a fault did to a policy's rules.

    Attributes:
        lines: from top to bottom; none where `missing` says why.
        missing: why there is no difference to show, "" when there is.
        guilty: one sentence: which rule makes which flow turn, and how that is known.
    """

    lines: tuple[Line, ...]
    missing: str
    guilty: str


def difference(fault: Mapping[str, Any]) -> Difference:
    """Compare one entry of the journal's `faults`; never raises.

    Args:
        fault: as `Debt.as_json` writes it, or anything else.
    """
    given = mapping(fault)
    before, after = rules_of(given.get("before")), rules_of(given.get("fault"))
    change = text(given.get("change")) or "modify"
    if bool(before) is (change == "create") or bool(after) is (change == "delete"):
        return Difference((), "The journal does not hold both the original and the fault.", "")
    was, now = rule_lines(before), rule_lines(after)
    if was is None or now is None:
        return Difference((), "The rules cannot be written as text: they nest too deeply.", "")
    lines = list(_compared(was, now))
    if not any(line.kind in (REMOVED, ADDED) for line, _ in lines):
        same = before == after
        return Difference((), "The rules do not differ." if same else BEYOND, "")
    lines, told = _marked(lines, given, change)
    return Difference(tuple(_folded([line for line, _ in lines])), "", told)


def _compared(
    was: Sequence[Numbered], now: Sequence[Numbered]
) -> Iterator[tuple[Line, tuple[str, str]]]:
    """Yield each line with where it stands: its path before, and its path now."""
    matcher = difflib.SequenceMatcher(None, [one.key for one in was], [one.key for one in now])
    for tag, i, j, k, m in _slid(matcher.get_opcodes(), was, now):
        if tag == "equal":
            for left, right in zip(was[i:j], now[k:m], strict=True):
                yield Line(SAME, left.text), (left.path, right.path)
            continue
        for left in was[i:j]:
            yield Line(REMOVED, left.text), (left.path, "")
        for right in now[k:m]:
            yield Line(ADDED, right.text), ("", right.path)


def _slid(
    opcodes: Sequence[Opcode], was: Sequence[Numbered], now: Sequence[Numbered]
) -> list[Opcode]:
    """Move what is only removed or only added up to where a rule begins, if it may stand there.

    Of two rules that begin alike, a comparison by lines removes the middle: the end of one and the
    beginning of the other.
    """
    tags = [tag for tag, *_ in opcodes]
    spans = [list(span) for _, *span in opcodes]
    for here, tag in enumerate(tags):
        between = 0 < here < len(tags) - 1 and tags[here - 1] == tags[here + 1] == "equal"
        if tag not in ("delete", "insert") or not between:
            continue
        i, j, k, m = spans[here]
        lines, start, end = (was, i, j) if tag == "delete" else (now, k, m)
        step = _step(lines, start, end, spans[here - 1][1] - spans[here - 1][0])
        for position, sides in ((here - 1, (1, 3)), (here, (0, 1, 2, 3)), (here + 1, (0, 2))):
            for side in sides:
                spans[position][side] -= step
    return [(tag, i, j, k, m) for tag, (i, j, k, m) in zip(tags, spans, strict=True)]


def _step(lines: Sequence[Numbered], start: int, end: int, room: int) -> int:
    """How many lines up a block may move until it begins where a rule does; 0 if it may not."""
    for step in range(room + 1):
        if _begins(lines, start - step):
            return step
        if step == room or lines[start - step - 1].key != lines[end - step - 1].key:
            break
    return 0


def _begins(lines: Sequence[Numbered], number: int) -> bool:
    """Whether a rule or a field begins with a line."""
    return number == 0 or lines[number].path != lines[number - 1].path


def _marked(
    lines: list[tuple[Line, tuple[str, str]]], fault: Mapping[str, Any], change: str
) -> tuple[list[tuple[Line, tuple[str, str]]], str]:
    """Mark the guilty lines, and say in one sentence what they did."""
    found = guilt_of(fault)
    guilty: set[int] = set()
    for guilt in found.guilts:
        guilty |= _lines_of(guilt, lines, change != "modify")
    if not guilty:
        guilty = {n for n, (line, _) in enumerate(lines) if line.kind in (REMOVED, ADDED)}
    marked = [
        (replace(line, guilty=True), where) if number in guilty else (line, where)
        for number, (line, where) in enumerate(lines)
    ]
    return marked, _told(found.guilts, found.known_by, fault, change)


def _lines_of(guilt: Guilt, lines: Sequence[tuple[Line, tuple[str, str]]], whole: bool) -> set[int]:
    """Find the changed lines of the rules that decide; else of what selects; else of its side."""
    section = re.compile(rf"\.{guilt.side}(Deny)?(\[|$)")
    attempts: list[Callable[[str], bool]] = [
        lambda path: _within(path, guilt.rules),
        lambda path: path.rpartition(".")[2] in SELECTORS,
        lambda path: section.search(path) is not None,
    ]
    if whole:
        # Of an object that comes or goes everything changes: what it says of this side decides.
        attempts[1:] = attempts[:0:-1]
    for wanted in attempts:
        found = {
            number
            for number, (line, paths) in enumerate(lines)
            if line.kind in (REMOVED, ADDED) and any(wanted(path) for path in paths if path)
        }
        if found:
            return found
    return set()


def _within(path: str, rules: Sequence[str]) -> bool:
    return any(path == rule or path.startswith((f"{rule}.", f"{rule}[")) for rule in rules)


def _told(guilts: Sequence[Guilt], known_by: str, fault: Mapping[str, Any], change: str) -> str:
    if guilts:
        groups: dict[Guilt, list[Guilt]] = {}
        for one in guilts:
            groups.setdefault(replace(one, flow=""), []).append(one)
        told = [alike[0].sentence(len(alike) - 1, change) for alike in groups.values()]
        return " ".join([*told[:MOST_TOLD], *([known_by] if known_by else [])])
    predicted = mapping(fault.get("predicted"))
    if not any(sequence(predicted.get(key)) for key in ("closed", "opened")):
        return "The fault was predicted to turn no flow: all that changed is marked."
    return "Which of the changed lines is guilty is not known: all that changed is marked."


def _folded(lines: Sequence[Line]) -> Iterator[Line]:
    """Leave out unchanged lines far from every change, and whatever is too much."""
    changed = [n for n, line in enumerate(lines) if line.kind != SAME]
    shown = {n for c in changed for n in range(c - CONTEXT, c + CONTEXT + 1)}
    if len(lines) <= WHOLE:
        shown = set(range(len(lines)))
    written = 0
    skipped = 0
    for number, line in enumerate(lines):
        if number not in shown:
            skipped += 1
            continue
        if skipped:
            yield Line(SKIPPED, _lines(skipped, "as before"))
            skipped = 0
        if written >= MOST:
            yield Line(SKIPPED, _lines(len(lines) - number, "more"))
            return
        written += 1
        yield line
    if skipped:
        yield Line(SKIPPED, _lines(skipped, "as before"))


def _lines(count: int, what: str) -> str:
    return f"… {count} line{'' if count == 1 else 's'} {what}"
