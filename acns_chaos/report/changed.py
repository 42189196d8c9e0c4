"""What a run changed and put back: the faults as differences, the restores as a table."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from acns_chaos.evidence.facts import Facts, Fault, reference, rules_of
from acns_chaos.evidence.values import mapping, mappings, sequence, text
from acns_chaos.report.text import fenced, items, plain, table

__all__ = ["faults", "restores"]

# What the fault does to the object, after the operator's name.
CHANGES = {"delete": ", which deletes it", "create": ", which creates it"}


def faults(facts: Facts) -> list[str]:
    """Return each fault: policy, operator, predicted flows, difference of its rules."""
    lines: list[str] = []
    for fault in mappings(facts.section.get("faults")):
        name = reference(fault.get("policy")) or "a policy without a name"
        kind = plain(mapping(fault.get("policy")).get("kind"))
        operator = plain(fault.get("operator"))
        what = CHANGES.get(text(fault.get("change")), "")
        lines += [f"**{plain(name)}** ({kind}), fault {operator}{what}. Predicted:", ""]
        lines += items(_predicted(fault))
        lines += _difference(fault)
    return lines or [_nothing(facts, "Nothing: the journal records no fault."), ""]


def _nothing(facts: Facts, sentence: str) -> str:
    """Say *sentence*, unless the journal lacks the section that could tell."""
    return sentence if facts.section else "Unknown: the journal has no acns_chaos section."


def restores(facts: Facts) -> list[str]:
    """Return what became of each fault."""
    recorded = mappings(facts.section.get("faults"))
    if not recorded:
        return [_nothing(facts, "There was nothing to restore."), ""]
    rows = []
    for raw, fault in zip(recorded, facts.faults, strict=True):
        restored = mapping(raw.get("restored"))
        rows.append(
            (
                plain(fault.policy),
                _restorer(restored),
                plain(restored.get("submitted")),
                plain(restored.get("verified")),
                _verdict(fault),
                plain(mapping(restored.get("behaviour")).get("sentence")),
            )
        )
    head = ("policy", "by", "submitted", "verified", "equal to the original", "behaviour")
    return [*table(head, rows), *_drifts(recorded)]


def _drifts(recorded: Sequence[Mapping[str, Any]]) -> list[str]:
    """Show what somebody else wrote over a fault, so that it was not put back."""
    lines: list[str] = []
    for fault in recorded:
        difference = mapping(fault.get("restored")).get("difference")
        if isinstance(difference, str) and difference:
            name = plain(reference(fault.get("policy")))
            lines += [f"**{name}** was not overwritten; against the original:", ""]
            shown = [line[:1] + _clean(line[1:]) for line in difference.splitlines()]
            lines += fenced("diff", shown)
    return lines


def _restorer(restored: Mapping[str, Any]) -> str:
    """Name who put it back; of somebody who was none of the run's own, also who and when."""
    by, who, when = plain(restored.get("by")), text(restored.get("who")), text(restored.get("when"))
    at = f" at {plain(when)}" if when else ""
    named = f"{by} ({plain(who)}{at})" if who else by
    return f"{named}; somebody had deleted it" if restored.get("created_again") is True else named


def _verdict(fault: Fault) -> str:
    return f"**not shown**: {plain(fault.debt)}" if fault.debt else "yes"


def _predicted(fault: Mapping[str, Any]) -> list[str]:
    predicted = mapping(fault.get("predicted"))
    return [
        f"{word}: {', '.join(plain(flow, 120) for flow in flows)}" if flows else f"{word}: nothing"
        for word, flows in (
            ("closed", sequence(predicted.get("closed"))),
            ("opened", sequence(predicted.get("opened"))),
        )
    ]


def _difference(fault: Mapping[str, Any]) -> list[str]:
    before, after = _yaml(fault.get("before")), _yaml(fault.get("fault"))
    change = text(fault.get("change")) or "modify"
    if bool(before) is (change == "create") or bool(after) is (change == "delete"):
        return ["The journal does not hold both the original and the fault.", ""]
    lines = list(difflib.unified_diff(before, after, "before", "fault", n=3, lineterm=""))
    return fenced("diff", lines) if lines else ["The rules do not differ.", ""]


def _yaml(policy: object) -> list[str]:
    """Return a policy's rules as lines of YAML, keys sorted: the order of keys means nothing."""
    rules = rules_of(policy)
    if not rules:
        return []
    try:
        dumped = yaml.safe_dump(rules, sort_keys=True, default_flow_style=False, width=90)
    except (yaml.YAMLError, TypeError, ValueError, RecursionError):
        return []
    return [_clean(line) for line in dumped.splitlines()]


def _clean(line: str) -> str:
    """Keep a line's indentation and what of the rest is printable."""
    content = line.lstrip(" ")
    return line[: len(line) - len(content)] + text(content, 200)
