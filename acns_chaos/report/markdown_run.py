"""One run in Markdown: what stands at once, and what is folded below it."""

from collections.abc import Iterator, Sequence

from acns_chaos.report.difference import ADDED, REMOVED, SKIPPED, Line, difference
from acns_chaos.report.model import Change, Pass, Restore, Story
from acns_chaos.report.text import fenced, folded, items, plain, table

__all__ = ["details", "head"]

# Beside each line of the rule that makes the predicted flows turn.
GUILTY = "◀"
MOST_LINES = 80
MOST_EVENTS = 60
MOST_FLOWS = 8
WORDS = {"modify": "", "delete": ", which deletes it", "create": ", which creates it"}


def head(story: Story, mark: str) -> list[str]:
    """Return a run's title, its outcome and what to do next.

    Args:
        story: the run.
        mark: of the heading, "#".
    """
    return [
        f"{mark} {plain(story.title, 200)}",
        "",
        f"**{story.verdict.outcome}** {plain(story.verdict.sentence)}",
        "",
        f"Next: {plain(story.verdict.next, 600)}",
        "",
    ]


def details(story: Story) -> list[str]:
    """Return what a reviewer may ask for, each part folded."""
    return [
        *folded("Answers for a reviewer", _answers(story)),
        *folded(f"What was changed ({len(story.changes)})", _changes(story)),
        *folded("What was asked, seen and restored", _seen(story)),
        *folded("Who noticed when", _noticed(story)),
        *folded(f"What was not observed ({len(story.not_observed)})", _gaps(story)),
        *folded("Target, versions, permissions, evidence", _target(story)),
    ]


def _answers(story: Story) -> list[str]:
    told = story.answers
    lines = []
    for question, answers in (
        ("What was broken?", told.broken),
        ("For how long?", told.lasted),
        ("Who noticed, and when?", told.noticed),
        ("What would not have been noticed?", told.unnoticed),
        ("Is everything back?", told.back),
    ):
        lines += [f"**{question}**", "", *items(plain(one, 800) for one in answers)]
    # A single reason is the outcome's sentence again.
    if len(story.verdict.reasons) > 1:
        lines += ["**Why that outcome?**", "", *items(plain(one) for one in story.verdict.reasons)]
    return lines


def _changes(story: Story) -> list[str]:
    lines: list[str] = []
    shown: set[str] = set()
    for change in story.changes:
        of = f" ({plain(change.kind)})" if change.kind else ""
        what = WORDS.get(change.change, "")
        lines += [f"**{plain(change.policy)}**{of}, fault {plain(change.operator)}{what}.", ""]
        lines += items(f"{word}: {_flows(flows)}" for word, flows in _predicted(change))
        diff = _difference(change)
        same = "\n".join(diff)
        lines += ["The same difference as above.", ""] if same in shown else diff
        shown.add(same)
    return lines


def _predicted(change: Change) -> Iterator[tuple[str, Sequence[str]]]:
    yield "predicted to close", change.closed
    yield "predicted to open", change.opened


def _flows(flows: Sequence[str]) -> str:
    told = ", ".join(plain(flow, 120) for flow in flows[:MOST_FLOWS])
    more = f" and {len(flows) - MOST_FLOWS} more" if len(flows) > MOST_FLOWS else ""
    return f"{told}{more}" if told else "nothing"


def _difference(change: Change) -> list[str]:
    found = difference(change.fault)
    if not found.lines:
        return [plain(found.missing), ""]
    told = [f"Guilty ({GUILTY}): {plain(found.guilty, 800)}", ""] if found.guilty else []
    return [*told, *_diff([_line(line) for line in found.lines])]


def _line(line: Line) -> str:
    if line.kind == SKIPPED:
        return f"@@ {line.text} @@"
    sign = {REMOVED: "-", ADDED: "+"}.get(line.kind, " ")
    return f"{sign} {line.text}{f'  {GUILTY}' if line.guilty else ''}"


def _diff(lines: Sequence[str]) -> list[str]:
    cut = [] if len(lines) <= MOST_LINES else [f"{len(lines) - MOST_LINES} more lines.", ""]
    return [*fenced("diff", lines[:MOST_LINES]), *cut]


def _seen(story: Story) -> list[str]:
    lines: list[str] = []
    if story.asked.claims:
        lines += [f"Asked: {plain(story.asked.title)}", ""]
        lines += items(plain(claim) for claim in story.asked.claims)
    if story.asked.passes:
        lines += table(("pass", "result", "decided by"), map(_pass, story.asked.passes))
    if story.readings:
        lines += table(
            ("role", "activity", "reading", "as expected", "what was seen"),
            [
                (
                    one.role or "–",
                    plain(one.name),
                    plain(one.state),
                    {True: "yes", False: "**no**", None: "–"}[one.met],
                    plain(one.sentence, 240),
                )
                for one in story.readings
            ],
        )
    if story.restores:
        columns = ("policy", "restored by", "verified", "equal to the original", "behaviour")
        lines += table(columns, map(_restore, story.restores))
        for one in story.restores:
            if one.difference:
                lines += [f"**{plain(one.policy)}** was not overwritten; against the original:", ""]
                lines += _diff(one.difference)
    nothing = f"Unknown: {story.partial}." if story.partial else "Nothing was asked or changed."
    return lines or [nothing, ""]


def _pass(one: Pass) -> tuple[str, ...]:
    result = one.result if one.result in ("met", "not played") else f"**{one.result}**"
    return (one.name, result, f"{plain(one.probe)}: {plain(one.why)}" if one.why else "–")


def _restore(one: Restore) -> tuple[str, ...]:
    at = f" at {plain(one.when)}" if one.when else ""
    by = f"{plain(one.by)} ({plain(one.who)}{at})" if one.who else plain(one.by)
    again = "; somebody had deleted it" if one.created_again else ""
    equal = f"**not shown**: {plain(one.debt)}" if one.debt else "yes"
    return (plain(one.policy), by + again, plain(one.verified), equal, plain(one.behaviour))


def _noticed(story: Story) -> list[str]:
    lines: list[str] = []
    for stood in story.stood:
        policies = ", ".join(plain(policy) for policy in stood.policies)
        times = (
            f"**{plain(stood.fault)}** {policies}: stood for {plain(stood.lasted.phrase)}; "
            f"outage: {plain(stood.outage.phrase)}; recovery: {plain(stood.recovery.phrase)}"
        )
        lines += [times, ""]
        rows = [
            (one.role, plain(one.name), plain(one.after.phrase), "silent" if one.silent else "–")
            for one in stood.notices
        ]
        lines += table(("role", "who", "after", ""), rows) if rows else []
    if story.events:
        events = [
            (f"{one.ms:.0f}", plain(one.what), plain(one.detail, 160))
            for one in story.events[:MOST_EVENTS]
        ]
        lines += table(("ms", "event", "detail"), events)
        if len(story.events) > MOST_EVENTS:
            lines += [f"{len(story.events) - MOST_EVENTS} more events are left out.", ""]
    if story.lost_events:
        lines += [f"{story.lost_events} event(s) without a usable time are left out.", ""]
    return lines or ["The journal holds no events.", ""]


def _gaps(story: Story) -> list[str]:
    return items(plain(one) for one in story.not_observed)


def _target(story: Story) -> list[str]:
    place, evidence = story.place, story.evidence
    rows = [
        ("where", plain(place.label)),
        ("kind", plain(place.words)),
        ("context", plain(place.context)),
        ("server", plain(place.server)),
        ("UID of kube-system", plain(place.uid)),
        ("namespace", plain(place.namespace)),
        ("run", plain(story.run)),
        ("started", plain(story.started)),
        *((plain(name), plain(version)) for name, version in story.versions),
        ("permissions", _permissions(story)),
        ("evidence", plain(evidence.problem) if evidence.problem else "signed and unchanged"),
        ("head of the chain", plain(evidence.head)),
        ("signature", plain(evidence.digest)),
    ]
    if evidence.redacted:
        rows.append(("names", "replaced by pseudonyms"))
    return table(("", ""), rows)


def _permissions(story: Story) -> str:
    if story.permissions is None:
        return "not known" if story.partial else "not recorded"
    told = dict.fromkeys(f"{one.verb} {one.resource}" for one in story.permissions)
    return ", ".join(plain(one) for one in told) or "none"
