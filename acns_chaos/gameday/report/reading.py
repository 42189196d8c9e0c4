"""Everything that the report of a game day is made of, out of the folders of the day.

A file that is not there, as journals that stayed with their shard, is no error: the report says
that it is missing. Nothing in any of them is trusted.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acns_chaos.evidence.facts import Facts
from acns_chaos.evidence.values import mapping, mappings, number, sequence, text, word
from acns_chaos.gameday.merge import MAX_PLAN, PLAN, of_day, read_parts
from acns_chaos.gameday.own import Own
from acns_chaos.gameday.report.past import Past, past_of
from acns_chaos.gameday.results import Key, Result
from acns_chaos.gameday.scoring import Day, beside, day_of
from acns_chaos.gameday.suggest import SCRAPE, Suggestion

__all__ = ["VERIFIED", "Check", "Effect", "Told", "read"]

VERIFIED = "verified.json"
"""What became of suggestions that were tried: a list of `verify.Verified.as_json()`."""
# Of a journal, and of each of those, in bytes.
MAX_JOURNAL, MAX_BESIDE = 20_000_000, 20_000_000


@dataclass(frozen=True, slots=True)
class Effect:
    """What a mutant was predicted to do: flows in words."""

    closed: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a suggested detector was tried, and would have caught the mutant.

    Attributes:
        caught: None when it could not be told.
        after_ms: after how long.
        bound_ms: how far that may be off.
        why: why not.
    """

    caught: bool | None
    after_ms: float | None
    bound_ms: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Told:
    """A day and all that is known about it.

    Attributes:
        day: its results, scores and suggestions.
        past: the days before.
        folders: where the files of each result may be.
        effects: of each mutant, by the plan.
        checks: mutant and name of a suggestion, to what came of trying it.
    """

    day: Day
    past: Past = field(default_factory=Past)
    folders: Mapping[Key, tuple[Path, ...]] = field(default_factory=dict)
    effects: Mapping[Key, Effect] = field(default_factory=dict)
    checks: Mapping[tuple[str, str], Check] = field(default_factory=dict)

    @property
    def own(self) -> tuple[Own, ...]:
        """The experiments that the plan names: in the order of their ends, then those not run."""
        return (*self.day.merged.own.counted, *self.day.merged.own.not_run)

    @property
    def code(self) -> int:
        """The exit code that the day ended with, as far as its files say."""
        return self.day.code_after(regressed=bool(self.past.regressions))

    def journal(self, result: Result) -> Facts | None:
        """A mutant's journal; None where it is not beside the results."""
        if not result.journal:
            return None
        for folder in self.folders.get(result.key, ()):
            found = beside(folder, result.journal, MAX_JOURNAL)
            if found is not None:
                return Facts(found)
        return None

    def effect(self, result: Result, journal: Facts | None = None) -> Effect:
        """What a mutant was predicted to do; by its journal where the plan does not say."""
        known = self.effects.get(result.key)
        if known is not None or journal is None:
            return known or Effect()
        faults = mappings(journal.section.get("faults"))
        predicted = [mapping(one.get("predicted")) for one in faults]
        return Effect(
            *(_flows(flow for one in predicted for flow in sequence(one.get(key))) for key in WAYS)
        )

    def check(self, result: Result, suggestion: Suggestion) -> Check | None:
        """What came of trying a suggestion; None where nobody did."""
        return self.checks.get((result.mutant, suggestion.name))


WAYS = ("closed", "opened")


def read(
    places: Iterable[Path],
    day: str = "",
    scrape: float | None = None,
    history: Path | None = None,
) -> Told:
    """Read a day.

    Args:
        places: as for `merge.read_parts`.
        day: only results of this day.
        scrape: seconds between two scrapes of the Prometheus that suggested rules are for; None for
            what the plan says.
        history: the file of it; None for none.

    Raises:
        GameDayError: the results cannot be used, or the history cannot.
    """
    parts = of_day(read_parts(places), day)
    homes = list(dict.fromkeys(part.folder for part in parts if part.folder))
    plans = {home: mapping(beside(home, PLAN, MAX_PLAN)) for home in homes}
    if scrape is None:
        said = (number(plan.get("scrape")) for plan in plans.values())
        scrape = next((one for one in said if one and 0 < one <= 3600), SCRAPE)
    done = day_of(parts, day=day, scrape=scrape)
    folders: dict[Key, list[Path]] = {}
    effects: dict[Key, Effect] = {}
    planned = {home: _planned(plan) for home, plan in plans.items()}
    for part in parts:
        if part.folder is None:
            continue
        for one in (*part.results, *(part.expected.mutants if part.expected else ())):
            known = folders.setdefault(one.key, [])
            if part.folder not in known:
                known.append(part.folder)
            if one.mutant in planned[part.folder]:
                effects[one.key] = planned[part.folder][one.mutant]
    return Told(
        done,
        past_of(done, history),
        {key: tuple(found) for key, found in folders.items()},
        effects,
        {key: one for home in homes for key, one in _checks(home)},
    )


def _planned(plan: Mapping[str, Any]) -> dict[str, Effect]:
    """What a plan says of its mutants; one that was united from shards says nothing of flows."""
    found = {}
    for one in mappings(plan.get("selection")):
        name = one.get("id") or one.get("mutant")
        if isinstance(name, str) and any(key in one for key in WAYS):
            found[name] = Effect(*(_flows(sequence(one.get(key))) for key in WAYS))
    return found


def _flows(found: Iterable[object]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text(one, 200) for one in found))


def _checks(folder: Path) -> Iterator[tuple[tuple[str, str], Check]]:
    """What was verified; a file that is no list of it says nothing."""
    for one in mappings(_loaded(_beside(folder, VERIFIED))):
        caught = one.get("caught")
        yield (
            (str(one.get("mutant")), word(one.get("name"))),
            Check(
                caught if isinstance(caught, bool) else None,
                number(one.get("after_ms")),
                number(one.get("bound_ms")),
                word(one.get("why")),
            ),
        )


def _beside(folder: Path, name: str) -> bytes:
    """A file of the day; nothing where there is none, or it is too large to be one."""
    try:
        file = (folder / name).resolve(strict=True)
        # Artefacts come from elsewhere, and a link may lead anywhere.
        if not file.is_relative_to(folder.resolve()) or file.stat().st_size > MAX_BESIDE:
            return b""
        return file.read_bytes()
    except OSError:
        return b""


def _loaded(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
