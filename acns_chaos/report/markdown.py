"""The Markdown report: a summary when there are several journals, then a chapter for each."""

from collections.abc import Mapping, Sequence
from typing import Any

from acns_chaos.evidence.facts import Facts
from acns_chaos.evidence.journal import judge
from acns_chaos.evidence.telling import where
from acns_chaos.report import changed, seen
from acns_chaos.report.sampled import sampled
from acns_chaos.report.text import items, plain, table

__all__ = ["markdown"]


def markdown(journals: Sequence[Mapping[str, Any]]) -> str:
    """Write the report of one or several journals; never raises for what they hold.

    Args:
        journals: as `load_journal` returns them. Unsigned, foreign and interrupted ones are
            reported as INCONCLUSIVE, with the reason.

    Returns:
        A Markdown document that ends with a line break.
    """
    lines: list[str] = []
    if len(journals) != 1:
        lines += [f"# Report of {len(journals)} runs", "", *_summary(journals)]
    for position, journal in enumerate(journals, 1):
        lines += _chapter(Facts(journal), position if len(journals) > 1 else 0)
    return "\n".join(lines).rstrip() + "\n"


def _summary(journals: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = []
    for position, journal in enumerate(journals, 1):
        facts, told = Facts(journal), judge(journal)
        title = plain(facts.experiment.get("title"), 120)
        rows.append((str(position), title, plain(where(facts)), told.outcome, plain(told.sentence)))
    return table(("#", "experiment", "target", "outcome", "why"), rows)


def _chapter(facts: Facts, position: int) -> list[str]:
    mark = "##" if position else "#"
    number = f"{position}. " if position else ""
    told = judge(facts.journal)
    lines = [
        f"{mark} {number}{plain(facts.experiment.get('title'), 200)}",
        "",
        f"**{told.outcome}** {plain(told.sentence)}",
        "",
        f"Next: {plain(told.next)}",
        "",
    ]
    # A single reason is the sentence again.
    if len(told.reasons) > 1:
        lines += items(plain(reason) for reason in told.reasons)
    sections = (
        ("Target", _target(facts)),
        ("What was asked", seen.asked(facts)),
        ("What was changed", changed.faults(facts)),
        ("What was seen", seen.readings(facts)),
        ("What was restored", changed.restores(facts)),
        ("Timeline", seen.timeline(facts)),
        *([("Who noticed when", sampled(facts))] if facts.section.get("timeline") else []),
        ("Versions", _versions(facts)),
        ("What was not observed", items(seen.gaps(facts))),
    )
    for title, body in sections:
        lines += [f"{mark}# {title}", "", *body]
    return lines


def _target(facts: Facts) -> list[str]:
    kind = facts.target.get("kind")
    words = {"lab": "the lab: no cluster was touched", "cluster": "a cluster"}
    known = words.get(kind) if isinstance(kind, str) else None
    rows = [("kind", known or "unknown: the journal does not say")]
    for name, key in (
        ("context", "context"),
        ("server", "server"),
        ("UID of kube-system", "uid"),
        ("namespace", "namespace"),
    ):
        rows.append((name, plain(facts.target.get(key))))
    return table(("", ""), rows)


def _versions(facts: Facts) -> list[str]:
    rows = (
        ("acns-chaos", plain(facts.section.get("version"))),
        ("Chaos Toolkit library", plain(facts.host.get("lib") or _host_version(facts))),
        ("Cilium", plain(facts.target.get("cilium_version"))),
        ("Kubernetes", plain(facts.target.get("kubernetes_version"))),
        ("run", plain(facts.section.get("run"))),
    )
    return table(("", ""), rows)


def _host_version(facts: Facts) -> object:
    return facts.journal.get("chaoslib-version")
