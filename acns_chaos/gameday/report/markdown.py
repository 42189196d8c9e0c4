"""A game day as Markdown, short enough for a comment on a pull request: survivors first.

What is left out to keep it short is counted and said; the page has it.
"""

from collections.abc import Sequence

from acns_chaos.evidence.values import text
from acns_chaos.gameday.plan_values import ALERT
from acns_chaos.gameday.report.reading import Told
from acns_chaos.gameday.report.telling import (
    brief,
    check_told,
    fared,
    flows,
    head_of,
    heard,
    late,
    place_label,
    trend_told,
)
from acns_chaos.gameday.results import Result
from acns_chaos.gameday.score import missed_in, why_undecided
from acns_chaos.gameday.score_text import share
from acns_chaos.report.text import fenced, folded, items, plain, table

__all__ = ["markdown"]

# GitHub takes 65,536 characters in a comment; whoever posts it may add a line or two.
LONGEST = 60_000
MOST_SURVIVORS, MOST_REASONS, MOST_DETECTORS = 15, 20, 40
# Characters of one suggested detector.
LONGEST_TEXT = 4_000


def markdown(told: Told) -> str:
    """Write a day.

    Args:
        told: the day.

    Returns:
        A Markdown document that ends with a line break; its first line says where it was.
    """
    head = head_of(told)
    lines = [f"**{plain(head.where)}**. {plain(head.about)}.", "", f"# {plain(head.title)}", ""]
    lines += [f"{plain(head.day)}.", ""]
    lines += [f"**{head.word}** {plain(head.sentence)}", ""]
    lines += items(
        [*(plain(one) for one in head.why), f"Exit code {head.code}. {_next(head.next)}"]
    )
    lines += _notes(told)
    lines += _scores(told)
    lines += _survivors(told)
    room = LONGEST - len(_document(lines))
    for part in (_suggestions(told, room // 2), _detectors(told), _unknown(told)):
        # Folds end with a line break of their own.
        size = len(_document(part)) + 1
        if size <= room:
            lines += part
            room -= size
    return _document(lines)


def _next(sentence: str) -> str:
    # Ours alone; its commands stay code.
    return f"Next: {sentence}"


def _notes(told: Told) -> list[str]:
    merged = told.day.merged
    found = [
        f"**NOT RESTORED** after {plain(one.mutant, 200)} in {plain(place_label(one))}."
        for one in told.day.not_restored[:MOST_SURVIVORS]
    ]
    if merged.missing:
        found.append(f"Without any result: {plain(flows(merged.missing), 700)}.")
    found += [plain(one) for one in merged.notes[:3]]
    return items(found) if found else []


def _scores(told: Told) -> list[str]:
    minimum = told.day.merged.expected.minimum
    rows = [
        (
            way,
            f"**{share(tally)}**",
            fared(way, tally, minimum.get(way)),
            str(tally.signalled),
            plain(trend_told(way, told.past.points)),
        )
        for way, tally in told.day.scored.directions.items()
    ]
    return table(("direction", "score (95 %)", "of what", "UNHEARD", "trend"), rows)


def _survivors(told: Told) -> list[str]:
    found = told.day.scored.survivors
    if not found:
        return []
    lines = items([_survivor(told, one) for one in found[:MOST_SURVIVORS]])
    if len(found) > MOST_SURVIVORS:
        lines += [f"and {len(found) - MOST_SURVIVORS} more survivors: the page has all.", ""]
    return [f"## Noticed by nobody ({len(found)})", "", *lines]


def _survivor(told: Told, one: Result) -> str:
    judges = told.day.merged.expected.judges
    effect = told.effect(one)
    parts = [f"**{plain(one.mutant, 160)}** ({' and '.join(missed_in(one, judges))})"]
    parts.append(plain(one.mistake, 240))
    if effect.closed:
        parts.append(f"Predicted to close {plain(flows(effect.closed, 2), 240)}.")
    if effect.opened:
        parts.append(f"Predicted to open {plain(flows(effect.opened, 2), 240)}.")
    if signal := heard(one):
        parts.append(f"**UNHEARD:** {plain(signal, 240)}")
    if before := late(one, told):
        parts.append(f"**{plain(before, 240)}**")
    made = told.day.suggestions.get(one.key, ())
    if not made:
        parts.append("Nothing can be suggested.")
    for each in made:
        tone = check_told(told.check(one, each))[0]
        tried = {"good": ", verified", "bad": ", which would not notice either"}.get(tone, "")
        what = "alert rule" if each.kind == ALERT else "claim"
        parts.append(f"Suggested: {what} {plain(each.name, 120)}{tried}.")
    return " ".join(parts)


def _suggestions(told: Told, room: int) -> list[str]:
    """The text of each suggestion, as far as there is room, in characters."""
    lines: list[str] = []
    seen: set[str] = set()
    left = 0
    for one in told.day.scored.survivors:
        for each in told.day.suggestions.get(one.key, ()):
            whole = each.text
            if whole in seen:
                continue
            seen.add(whole)
            part = fenced("yaml" if each.kind == ALERT else "json", whole.rstrip("\n").split("\n"))
            size = len(whole) + 20
            if len(whole) > LONGEST_TEXT or size > room or len(seen) > MOST_SURVIVORS:
                left += 1
                continue
            room -= size
            lines += part
    if left:
        lines += [f"{left} more are in the page.", ""]
    return folded("What would have noticed them", lines)


def _detectors(told: Told) -> list[str]:
    rows = [
        (
            plain(one.name, 80),
            plain(one.kind, 20),
            " and ".join(one.judges) or "–",
            *(str(count) for count in (one.asked, one.kills, one.alone, one.first)),
            brief(one.median_ms),
        )
        for one in told.day.scored.detectors[:MOST_DETECTORS]
    ]
    head = ("detector", "kind", "for", "judged", "noticed", "ALONE", "first", "median")
    return folded("What each detector is worth", table(head, rows) if rows else [])


def _unknown(told: Told) -> list[str]:
    scored, judges = told.day.scored, told.day.merged.expected.judges
    known = [(one, f"undecided, {why_undecided(one, judges)}") for one in scored.undecided]
    known += [(one, one.why) for one in scored.unknown]
    reasons: dict[str, list[Result]] = {}
    for one, why in known:
        reasons.setdefault(text(why, 300) or "no reason is given", []).append(one)
    ordered = sorted(reasons.items(), key=lambda pair: -len(pair[1]))
    lines = items([_reason(why, group) for why, group in ordered[:MOST_REASONS]]) if ordered else []
    if len(ordered) > MOST_REASONS:
        lines += [f"and {len(ordered) - MOST_REASONS} more reasons, in the page.", ""]
    return folded("What is not known", lines)


def _reason(why: str, group: Sequence[Result]) -> str:
    named = ", ".join(plain(one.mutant, 120) for one in group[:3])
    more = f" and {len(group) - 3} more" if len(group) > 3 else ""
    return f"{len(group)}: {plain(why)}: {named}{more}"


def _document(lines: Sequence[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"
