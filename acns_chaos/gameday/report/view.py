"""What the page shows of a game day: its parts as the template wants them, bounded, no markup.

What is left out for size is counted and said; survivors are left out last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from acns_chaos.evidence.values import text
from acns_chaos.gameday.history import HOLDS
from acns_chaos.gameday.plan_values import ALERT
from acns_chaos.gameday.report.matrix import Matrix, matrix_of
from acns_chaos.gameday.report.mutants import MutantView, mutant_view
from acns_chaos.gameday.report.past import Point
from acns_chaos.gameday.report.reading import Told
from acns_chaos.gameday.report.telling import (
    Head,
    brief,
    check_told,
    counted,
    fared,
    flows,
    head_of,
    heard,
    late,
    place_label,
    short_id,
    status_told,
    trend_told,
)
from acns_chaos.gameday.results import UNKNOWN, Key, Result
from acns_chaos.gameday.score import (
    UNDECIDED,
    directions_of,
    missed_in,
    status_of,
    undecided_in,
    why_undecided,
)
from acns_chaos.gameday.score_text import share
from acns_chaos.gameday.suggest import Suggestion

__all__ = ["DayView", "view_of"]

# What one page shows: mutants in full, survivors, unknown ones, sentences about files.
MOST_FULL, MOST_SURVIVORS, MOST_UNKNOWN, MOST_NOTES = 400, 250, 250, 20
LONGEST = 8_000
# Of so many survivors the suggestions are printed, too, though they are folded.
FEW = 12
# Of a detector so many reasons why it could not tell.
FEW_WHYS = 3
# The drawing of a trend, in pixels.
WIDE, HIGH, EDGE = 168, 44, 5
NOTHING = (
    "Nothing can be suggested: no counter rose that a rule could name, and its experiment is not "
    "there or asks no such flow."
)


@dataclass(frozen=True, slots=True)
class Trend:
    """A score over the days, drawn: points in pixels, and the same in words.

    Attributes:
        line: of the days that have a score, as an SVG polyline takes it; "" for one day.
        dots: the middle of each point.
        wanted: where the minimum is; None without one.
    """

    line: str
    dots: tuple[tuple[str, str], ...]
    wanted: str | None
    said: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A score: its name, value, interval, what it is made of, how it went."""

    name: str
    value: str
    bound: str
    hint: str
    change: tuple[str, str]
    trend: Trend | None


@dataclass(frozen=True, slots=True)
class Advice:
    """A suggested detector, and whether it was tried."""

    title: str
    why: str
    text: str
    label: str
    tone: str
    checked: str


@dataclass(frozen=True, slots=True)
class Survivor:
    """A mutant that nobody noticed, in one direction or at all."""

    id: str
    policy: str
    name: str
    mistake: str
    missed: str
    closed: str
    opened: str
    heard: str
    late: str
    advice: tuple[Advice, ...]


@dataclass(frozen=True, slots=True)
class DayView:
    """The page."""

    head: Head
    problems: tuple[str, ...]
    figures: tuple[Figure, ...]
    history: tuple[tuple[str, ...], ...]
    history_head: tuple[str, ...]
    history_note: str
    survivors: tuple[Survivor, ...]
    more_survivors: str
    nothing: str
    matrix: Matrix
    standings: tuple[tuple[str, ...], ...]
    own: tuple[tuple[str, ...], ...]
    mutants: tuple[MutantView, ...]
    mutants_note: str
    undecided: tuple[tuple[str, str, str, str], ...]
    more_undecided: str
    unknown: tuple[tuple[str, str, str, str, str], ...]
    more_unknown: str


def view_of(told: Told) -> DayView:
    """Prepare a day for the page."""
    day = told.day
    judges, results = day.merged.expected.judges, day.scored.results
    # Survivors first, then in the order of the day, what is not known last.
    late = {UNDECIDED: 2, UNKNOWN: 3}
    order = (late.get(status_of(one, judges), 1) for one in results)
    ranked = sorted(
        zip(order, range(len(results)), results, strict=True),
        key=lambda each: (0 if missed_in(each[2], judges) else each[0], each[1]),
    )
    full = [one for _, _, one in ranked[:MOST_FULL]]
    ids = {one.key: f"m{number}" for number, one in enumerate(full, 1)}
    survivors = [one for one in day.scored.survivors if one.key in ids]
    return DayView(
        head=head_of(told),
        problems=_problems(told),
        figures=_figures(told),
        history=tuple(_point(one) for one in reversed(told.past.points)),
        history_head=("day", "ended (UTC)", "availability", "security"),
        history_note=_history_note(told),
        survivors=tuple(_survivor(told, one, ids) for one in survivors[:MOST_SURVIVORS]),
        more_survivors=_more(len(day.scored.survivors) - MOST_SURVIVORS, "survivors"),
        nothing=_nothing(told),
        matrix=matrix_of(told, ids),
        standings=tuple(_standings(told)),
        own=tuple(
            (one.name, one.outcome or "–", one.sentence or "–", one.journal or "–")
            for one in told.own[:MOST_UNKNOWN]
        ),
        mutants=tuple(mutant_view(told, one, ids[one.key]) for one in full),
        mutants_note=_more(len(results) - MOST_FULL, "mutants"),
        undecided=tuple(_undecided(told, one, ids) for one in day.scored.undecided[:MOST_UNKNOWN]),
        more_undecided=_more(len(day.scored.undecided) - MOST_UNKNOWN, "undecided ones"),
        unknown=tuple(_unknown(told, one, ids) for one in day.scored.unknown[:MOST_UNKNOWN]),
        more_unknown=_more(len(day.scored.unknown) - MOST_UNKNOWN, "unknown ones"),
    )


def _more(count: int, what: str) -> str:
    return f"{count:,} more {what} are in score.json and results.jsonl." if count > 0 else ""


def _problems(told: Told) -> tuple[str, ...]:
    merged = told.day.merged
    found = [
        f"NOT RESTORED after {text(one.mutant, 200)} in {place_label(one)}: see its journal "
        f"{text(one.journal, 200) or '(none)'}."
        for one in told.day.not_restored
    ]
    if merged.missing:
        named = flows([text(one, 120) for one in merged.missing], 10)
        found.append(f"Without any result are {counted(len(merged.missing), 'shard')}: {named}.")
    found += [
        f"{text(one.mutant, 200)} of {text(one.shard, 120)} ran twice: the run that ended at "
        f"{text(one.ended, 40) or 'an unknown time'} ({one.status}) is not counted."
        for one in merged.differing
    ]
    found += [text(one) for one in merged.notes]
    more = len(found) - MOST_NOTES
    return (*found[:MOST_NOTES], *((f"And {more} more of such notes.",) if more > 0 else ()))


# ---------------------------------------------------------------------- figures


def _figures(told: Told) -> tuple[Figure, ...]:
    scored, minimum = told.day.scored, told.day.merged.expected.minimum
    found = []
    for way, tally in scored.directions.items():
        value, bound = "not known", ""
        if tally.score is not None:
            value, _, bound = share(tally).partition(" (")
        found.append(
            Figure(
                f"{way.capitalize()} score",
                value,
                bound.rstrip(")"),
                fared(way, tally, minimum.get(way)),
                _change(trend_told(way, told.past.points)),
                _trend(way, told.past.points, minimum.get(way)),
            )
        )
    hint = "survivors whose signal was there, and nothing was listening"
    counts = [("Unheard", scored.overall.signalled, hint)]
    if undecided := len(scored.undecided):
        hint = "nobody can tell whether they were noticed; in the score they were not"
        counts.append(("Undecided", undecided, hint))
    hint = "not run, or in a run that proves nothing: in no score"
    counts.append(("Unknown", scored.overall.unknown, hint))
    found += [Figure(name, str(count), "", said, ("", ""), None) for name, count, said in counts]
    return tuple(found)


def _change(said: str) -> tuple[str, str]:
    """A change in two parts, between which it may be broken."""
    points, _, since = said.partition(" since ")
    return points, f"since {since}" if since else ""


def _trend(way: str, points: Sequence[Point], minimum: float | None) -> Trend | None:
    """Draw a score over the days; None where fewer than two have one."""
    scores = [one.directions[way].score for one in points]
    known = [(number, score) for number, score in enumerate(scores) if score is not None]
    if len(known) < 2:
        return None
    step = (WIDE - 2 * EDGE) / max(1, len(scores) - 1)
    dots = tuple((f"{EDGE + n * step:.1f}", _height(score)) for n, score in known)
    listed = ", ".join("none" if one is None else f"{100 * one:.0f} %" for one in scores)
    return Trend(
        line=" ".join(f"{x},{y}" for x, y in dots),
        dots=dots,
        wanted=_height(minimum) if minimum is not None else None,
        said=f"The score for {way} on {len(scores)} days, the oldest first: {listed}.",
    )


def _height(score: float) -> str:
    return f"{HIGH - EDGE - min(1.0, max(0.0, score)) * (HIGH - 2 * EDGE):.1f}"


def _point(one: Point) -> tuple[str, ...]:
    ended = f"{one.ended:%Y-%m-%d %H:%M}" if one.ended else "–"
    return text(one.day, 100) or "–", ended, *(share(each) for each in one.directions.values())


def _history_note(told: Told) -> str:
    past = told.past
    if len(past.points) < 2:
        return "There is no trend: no other day of this plan in the same places is known."
    said = [] if past.recorded else ["This day is not in the history, so what is new is not known."]
    if past.left_out:
        days = counted(past.left_out, "day is", "days are")
        said.append(f"{days} left out, on which not all of these places had results.")
    return " ".join(said)


# ---------------------------------------------------------------------- survivors


def _survivor(told: Told, one: Result, ids: dict[Key, str]) -> Survivor:
    judges = told.day.merged.expected.judges
    effect = told.effect(one)
    if one.key not in told.effects and one.journal:
        effect = told.effect(one, told.journal(one))
    missed = " and ".join(missed_in(one, judges))
    other = [way for way in directions_of(one) if way not in missed_in(one, judges)]
    partly = (
        f"; for {other[0]} it was {status_told(one, told)[1].partition(',')[0]}" if other else ""
    )
    made = told.day.suggestions.get(one.key, ())
    return Survivor(
        id=ids[one.key],
        policy=text(one.policy, 200),
        name=short_id(one),
        mistake=one.mistake or "No sentence says what the mistake is.",
        missed=f"Nobody noticed it for {missed}{partly}.",
        closed=flows(effect.closed) if effect.closed else "",
        opened=flows(effect.opened) if effect.opened else "",
        heard=heard(one),
        late=late(one, told),
        advice=tuple(_advice(told, one, each) for each in made),
    )


def _advice(told: Told, one: Result, each: Suggestion) -> Advice:
    what = "alert rule" if each.kind == ALERT else "scheduled claim"
    tone, checked = check_told(told.check(one, each))
    whole = each.text
    if len(whole) > LONGEST:
        whole = f"{whole[:LONGEST]}\n… the rest is in score.json\n"
    return Advice(
        title=f"Suggested {what} for {each.direction}: {text(each.name, 120)}",
        why=text(each.why),
        text=whole.rstrip("\n"),
        label=f"The {what} {text(each.name, 120)}",
        tone=tone,
        checked=checked,
    )


def _nothing(told: Told) -> str:
    if not told.day.scored.overall.decided:
        return "Nobody knows: no mutant was judged."
    return "None: of what was judged, somebody noticed everything."


# ---------------------------------------------------------------------- tables


def _standings(told: Told) -> list[tuple[str, ...]]:
    return [
        (
            text(one.name, 100) or "–",
            text(one.kind, 20) or "–",
            " and ".join(one.judges) or "–",
            *(str(count) for count in (one.asked, one.kills, one.alone, one.first)),
            _unable(one.unable),
            brief(one.median_ms),
        )
        for one in told.day.scored.detectors[:MOST_UNKNOWN]
    ]


def _unable(found: Mapping[str, int]) -> str:
    """Of how many a detector could not tell, and why."""
    whys = [f"{text(why, 120)} ({count})" for why, count in found.items()]
    more = f" and {len(whys) - FEW_WHYS} more reasons" if len(whys) > FEW_WHYS else ""
    told = f": {'; '.join(whys[:FEW_WHYS])}{more}" if whys else ""
    return f"{sum(found.values())}{told}"


def _undecided(told: Told, one: Result, ids: dict[Key, str]) -> tuple[str, str, str, str]:
    judges = told.day.merged.expected.judges
    name = f"{text(one.policy, 200)}: {short_id(one)}"
    why = why_undecided(one, judges) or "no reason is given"
    return ids.get(one.key, ""), name, " and ".join(undecided_in(one, judges)), why


def _unknown(told: Told, one: Result, ids: dict[Key, str]) -> tuple[str, str, str, str, str]:
    known = told.past.of(one)
    since, last = "this day", "not known"
    if known is not None:
        since = f"{known.since:%Y-%m-%d}" if known.since else since
        last = f"{known.last} on {known.judged:%Y-%m-%d}" if known.judged else "never judged"
        if known.judged and known.status != UNKNOWN:
            since, last = "–", f"{last}, holds until {known.judged + HOLDS:%Y-%m-%d}"
    why = one.why or "no reason is given"
    return ids.get(one.key, ""), f"{text(one.policy, 200)}: {short_id(one)}", why, since, last
