"""The words that the page, the Markdown and the XML of a game day share."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from acns_chaos.evidence.timeline.telling import time_phrase
from acns_chaos.evidence.values import moment, text
from acns_chaos.gameday.plan_values import AVAILABILITY
from acns_chaos.gameday.report.past import Point
from acns_chaos.gameday.report.reading import Check, Told
from acns_chaos.gameday.results import BOTH, CLOSES, KILLED, LAB, OPENS, SURVIVED, Result
from acns_chaos.gameday.score import (
    UNDECIDED,
    Tally,
    directions_of,
    missed_in,
    status_of,
    undecided_in,
)
from acns_chaos.gameday.scoring import BELOW, INCOMPLETE, NOT_RESTORED, REGRESSED
from acns_chaos.gameday.times import told as length

__all__ = [
    "DOES",
    "FAULTS",
    "Head",
    "brief",
    "check_told",
    "counted",
    "fared",
    "flows",
    "head_of",
    "heard",
    "labels_of",
    "late",
    "place_label",
    "repeat",
    "short_id",
    "status_told",
    "took",
    "trend_told",
    "ways_told",
]

LABEL = "LAB (simulated)"
FAULTS = {"availability": "faults that close flows", "security": "faults that open flows"}
DOES = {CLOSES: "closes flows", OPENS: "opens flows", BOTH: "closes and opens flows"}
WORDS = {
    0: ("good", "MINIMUM REACHED"),
    BELOW: ("bad", "BELOW THE MINIMUM"),
    INCOMPLETE: ("warn", "NOT ALL OF IT WAS RUN"),
    REGRESSED: ("bad", "NOTICED NO MORE"),
    NOT_RESTORED: ("bad", "NOT RESTORED"),
}
NEXT = {
    0: "Look at the survivors: a minimum that is reached does not make them noticed.",
    BELOW: "Add the detectors that are suggested below, and run the day again.",
    INCOMPLETE: "Run what is missing: `acns-chaos gameday run --resume FOLDER`.",
    REGRESSED: "See what became of the detector that used to notice.",
    NOT_RESTORED: "Put back what is left: `acns-chaos restore --list`.",
}
FEW = 6


@dataclass(frozen=True, slots=True)
class Head:
    """A day in a few words.

    Attributes:
        where: the place, said first and loudly.
        kind: "lab", "cluster" or "several".
        about: what kind of place that is, in words.
        title: of the report, without the day.
        day: its id, and from when to when it was.
        tone: "good", "bad" or "warn".
        word: what the exit code says, in capitals.
        sentence: the fact that people ask for first.
        why: why the day is not good enough, one sentence each.
        code: the exit code.
        next: what to do.
    """

    where: str
    kind: str
    about: str
    title: str
    day: str
    tone: str
    word: str
    sentence: str
    why: tuple[str, ...]
    code: int
    next: str


def head_of(told: Told) -> Head:
    """Say what a day comes to."""
    day, code = told.day, told.code
    results, expected = day.merged.results, day.merged.expected
    labels = labels_of(results or expected.mutants)
    kind = "several" if len(labels) > 1 else _kind(results)
    about = {
        LAB: "Simulated: no cluster was touched",
        "cluster": "A real cluster",
        "several": "Results of different clusters",
    }.get(kind, "No result says where it was")
    days = ", ".join(sorted({text(one.day, 100) for one in results}))
    plan = f" of {text(expected.plan, 100)}" if expected.plan else ""
    tone, word = WORDS[code]
    if code == 0 and not expected.minimum:
        word = "NO MINIMUM WAS SET"
        tone = "warn" if day.scored.overall.killed < day.scored.overall.judged else tone
    return Head(
        where=labels[0] if len(labels) == 1 else _several(labels),
        kind=kind,
        about=about,
        title=f"Game day{plan}",
        day=f"{counted(len(results), 'mutant')} on day {days or '-'}, {_when(results)}",
        tone=tone,
        word=word,
        sentence=_sentence(told),
        why=tuple(_why(told)),
        code=code,
        next=NEXT[code],
    )


def labels_of(results: Iterable[Result]) -> list[str]:
    """The places of results as every report names them; clusters of one name with their UIDs."""
    found: dict[tuple[str, str], str] = {}
    for one in results:
        place = one.place
        uid = "" if place.kind == LAB else place.uid
        found.setdefault((place.kind, uid), place_label(one))
    names = list(found.values())
    return sorted(
        f"{label} (UID {text(uid, 60)})" if uid and names.count(label) > 1 else label
        for (_, uid), label in found.items()
    )


def place_label(one: Result) -> str:
    """Where a mutant was tried. What is of the lab is called so, whatever a line calls it."""
    if one.place.kind == LAB:
        return LABEL
    return f"cluster {text(one.place.context or one.place.uid, 80) or 'without a name'}"


def _several(labels: Sequence[str]) -> str:
    if not labels:
        return "no place"
    named = ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")
    return f"{len(labels)} clusters: {named}"


def _kind(results: Sequence[Result]) -> str:
    return results[0].place.kind if results else "unknown"


def _when(results: Sequence[Result]) -> str:
    starts = [at for one in results if (at := moment(one.started))]
    ends = [at for one in results if (at := one.ended_at)]
    if not starts or not ends:
        return "at an unknown time"
    begun, end = min(starts), max(ends)
    same = begun.date() == end.date()
    return f"{begun:%Y-%m-%d %H:%M} to {end:{'%H:%M' if same else '%Y-%m-%d %H:%M'}} UTC"


def _sentence(told: Told) -> str:
    tally = told.day.scored.overall
    rest = (
        f" {_were(tally.unknown)} not run, or in a run that proves nothing."
        if tally.unknown
        else ""
    )
    if tally.undecided:
        rest = f" Whether {_were(tally.undecided)} noticed cannot be told.{rest}"
    if not tally.decided:
        if not (tally.undecided or tally.unknown) and told.own:
            own = counted(len(told.own), "experiment")
            return f"No mistake was to be made: the plan has {own} only."
        return f"Nothing was judged.{rest}"
    if not tally.survived:
        return f"{_each(tally)} noticed by somebody.{rest}"
    return f"{_were(tally.survived, counted(tally.judged, 'mistake'))} noticed by nobody.{rest}"


def _were(count: int, of: str = "") -> str:
    """How many, and a verb: "1 of 3 mistakes was"."""
    return f"{count:,} {f'of {of} ' if of else ''}{'was' if count == 1 else 'were'}"


def _each(tally: Tally) -> str:
    if tally.undecided:
        return _were(tally.killed, counted(tally.judged, "mistake"))
    return f"Each of the {counted(tally.judged, 'mistake')} was"


def _why(told: Told) -> Iterable[str]:
    day = told.day
    if day.not_restored:
        names = flows([text(one.mutant, 200) for one in day.not_restored], 3)
        yield f"After {names} not everything was put back."
    if lost := told.past.regressions:
        yield f"{counted(len(lost), 'mistake')} used to be noticed, and survived on this day."
    if day.merged.missing:
        yield f"{counted(len(day.merged.missing), 'shard has', 'shards have')} no result."
    if not_run := day.merged.not_run:
        yield f"{counted(len(not_run), 'mutant was', 'mutants were')} selected and not run."
    yield from day.shortfalls
    for one in told.own:
        if not one.held:
            ended = f"ended {one.outcome}" if one.outcome else "has no outcome"
            yield f"The plan's experiment {one.name} {ended}."


def counted(number: int, one: str, more: str = "") -> str:
    """A number with its noun: "1 mutant", "3 mutants"."""
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"


def brief(ms: float | None) -> str:
    """A time for a cell: "840 ms", "1.8 s", "1 min 52 s"; "–" for none."""
    if ms is None:
        return "–"
    return f"{ms:.0f} ms" if abs(ms) < 1000 else length(ms / 1000)


def took(ms: float | None, bound_ms: float | None = None) -> str:
    """A time with its bound, "–" for none."""
    return "–" if ms is None else time_phrase({"ms": ms, "bound_ms": bound_ms})


def flows(found: Sequence[str], most: int = FEW) -> str:
    """A few of them, and how many more; "nothing" for none."""
    if not found:
        return "nothing"
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def short_id(one: Result) -> str:
    """A mutant's id without its policy, which stands above it."""
    name = text(one.mutant, 200)
    prefix = f"{text(one.policy)}:"
    return name.removeprefix(prefix) if len(name) > len(prefix) else name


def status_told(one: Result, told: Told) -> tuple[str, str]:
    """How a mutant fared: its tone, and words that name who noticed first."""
    judges = told.day.merged.expected.judges
    status, missed = status_of(one, judges), missed_in(one, judges)
    unclear = " and ".join(undecided_in(one, judges))
    if status == KILLED:
        told_by = f"noticed by {text(one.by, 80) or 'a detector'}"
        after = f" after {brief(one.first_ms)}" if one.first_ms is not None else ""
        if missed:
            return "bad", f"{told_by}{after}, and for {' and '.join(missed)} by nobody"
        if unclear:
            return "warn", f"{told_by}{after}, and for {unclear} nobody can tell"
        if one.others is False:
            return "good", f"{told_by}{after}, when only the run itself used the flow"
        return "good", f"{told_by}{after}"
    if status == SURVIVED:
        return "bad", "noticed by nobody"
    if status == UNDECIDED:
        return "warn", "undecided: it counts as not noticed"
    return "warn", "unknown"


def heard(one: Result) -> str:
    """Which signals rose while nobody noticed: UNHEARD; "" where none did."""
    rose = [signal for signal in one.signals if signal.rose]
    if not rose:
        return ""
    named = flows([_signal(signal.name, signal.by) for signal in rose], 3)
    return f"{named}, and nothing was listening."


def _signal(name: str, by: float | None) -> str:
    return f"{text(name, 200)} rose" + ("" if by is None else f" by {by:g}")


def check_told(check: Check | None) -> tuple[str, str]:
    """Whether a suggestion was tried: tone and words."""
    if check is None:
        return "", "Not verified: nobody ran the mutant again with it."
    if check.caught is None:
        return "warn", f"Tried, and not told: {check.why or 'the run says nothing'}."
    if not check.caught:
        return "bad", f"Verified: it would not have noticed{f': {check.why}' if check.why else ''}."
    after = "" if check.after_ms is None else f" after {took(check.after_ms, check.bound_ms)}"
    return "good", f"Verified: the mutant was run again with it, and it noticed{after}."


def late(one: Result, told: Told) -> str:
    """That a survivor used to be noticed, when and by whom; "" where it did not."""
    lost = told.past.lost(one)
    if not lost:
        return ""
    by = f" by {text(lost[0].by, 80)}" if lost[0].by else ""
    return f"It used to be noticed: on day {text(lost[0].killed, 80)}{by}."


def repeat(one: Result) -> str:
    """The command that plays a mutant again, from the day's folder; "" where there is no file."""
    if not one.experiment:
        return ""
    where = "ACNS_CHAOS_CLUSTER=lab " if one.place.kind == LAB else ""
    return f"{where}chaos run {shlex.quote(one.experiment)}"


def trend_told(way: str, points: Sequence[Point]) -> str:
    """How a score went since the day before that has one; "" where there is none."""
    scored = [one for one in points if one.directions[way].score is not None]
    if len(scored) < 2 or scored[-1] is not points[-1]:
        return ""
    last, now = scored[-2], scored[-1]
    since = f"{last.ended:%Y-%m-%d %H:%M}" if last.ended else text(last.day, 60)
    change = _percent(now.directions[way]) - _percent(last.directions[way])
    if change == 0:
        return f"as on {since}"
    return f"{'▲' if change > 0 else '▼'} {abs(change)} points since {since}"


def _percent(tally: Tally) -> int:
    return round(100 * (tally.score or 0.0))


def fared(way: str, tally: Tally, minimum: float | None) -> str:
    """What a score is made of."""
    if not tally.judged:
        unknown = f"; {tally.unknown} unknown" if tally.unknown else ""
        return f"none of the {FAULTS[way]} was judged{unknown}"
    wanted = f"; {100 * minimum:.0f} % wanted" if minimum is not None else ""
    unclear = f", {tally.undecided} undecided" if tally.undecided else ""
    unknown = f"; {tally.unknown} unknown" if tally.unknown else ""
    return f"{tally.killed} of {tally.judged} {FAULTS[way]} noticed{unclear}{unknown}{wanted}"


def ways_told(one: Result) -> str:
    """What a mutant does, and what judges it."""
    judged = " and ".join(directions_of(one)) or AVAILABILITY
    return f"{DOES[one.effect]}, so detectors for {judged} judge it"
