"""The end of a day: results out of folders, united, scored, with suggestions; and the files of it.

Belongs here: putting `merge`, `score` and `suggest` together, and exit codes. Does not belong here:
words for people (`score_text`) and the report.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acns_chaos.errors import GameDayError
from acns_chaos.gameday.merge import Merged, Part, unite
from acns_chaos.gameday.results import Key, Result
from acns_chaos.gameday.score import Score, score, shortfalls
from acns_chaos.gameday.suggest import SCRAPE, Suggestion, suggest

__all__ = [
    "BELOW",
    "INCOMPLETE",
    "NOT_RESTORED",
    "REGRESSED",
    "Day",
    "beside",
    "day_of",
    "write_whole",
]

# Exit codes; 0 is good enough, 2 is usage. The last as `acns-chaos outcome` has it.
BELOW, INCOMPLETE, REGRESSED, NOT_RESTORED = 1, 3, 4, 7
# Of an experiment, in bytes.
_MAX_EXPERIMENT = 2_000_000


@dataclass(frozen=True, slots=True)
class Day:
    """A day that is over.

    Attributes:
        merged: its results.
        scored: what they come to.
        suggestions: for each survivor, what would have noticed it.
        shortfalls: why it is not good enough; () when it is.
    """

    merged: Merged
    scored: Score
    suggestions: Mapping[Key, tuple[Suggestion, ...]]
    shortfalls: tuple[str, ...]

    @property
    def not_restored(self) -> tuple[Result, ...]:
        """The runs of mutants after which something was left changed, also those not counted."""
        every = (*self.merged.results, *self.merged.differing)
        return tuple(o for o in every if o.restored is False or o.outcome == "NOT_RESTORED")

    @property
    def code(self) -> int:
        """The exit code; regressions are for whoever knows the history (`code_after`)."""
        own = self.merged.own
        if self.not_restored or own.left:
            return NOT_RESTORED
        if not self.merged.complete:
            return INCOMPLETE
        return BELOW if self.shortfalls or not all(one.held for one in own.counted) else 0

    def code_after(self, *, regressed: bool) -> int:
        """The exit code.

        Args:
            regressed: whether something is noticed no more that used to be.
        """
        return REGRESSED if regressed and self.code < INCOMPLETE else self.code

    def as_json(self) -> dict[str, Any]:
        """Plain JSON: `score.json`."""
        whole = self.scored.as_json(self.merged.expected.judges)
        for told in whole["survivors"]:
            made = self.suggestions.get((told["day"], told["shard"], told["mutant"]), ())
            told["suggestions"] = [one.as_json() for one in made]
        minimum, own = dict(self.merged.expected.minimum), self.merged.own
        return {
            **whole,
            "plan": self.merged.expected.plan,
            "minimum": minimum,
            "shortfalls": list(self.shortfalls),
            "missing": list(self.merged.missing),
            "experiments": [one.as_json() for one in (*own.counted, *own.not_run)],
            "not_restored": [
                *(
                    {"shard": one.shard, "name": one.mutant, "journal": one.journal}
                    for one in self.not_restored
                ),
                *(
                    {"shard": one.shard, "name": one.name, "journal": one.journal}
                    for one in own.left
                ),
            ],
        }


def day_of(
    parts: Iterable[Part], shards: Iterable[str] = (), day: str = "", scrape: float = SCRAPE
) -> Day:
    """Unite, score and suggest.

    Args:
        parts: as `merge.read_parts` returns them.
        shards: that must have results, besides those that the plans name.
        day: only results of this day.
        scrape: seconds between two scrapes of the Prometheus that suggested rules are for.

    Raises:
        GameDayError: the parts do not belong together.
    """
    listed = list(parts)
    merged = unite(listed, shards, day)
    judges = merged.expected.judges
    scored = score(merged.results, judges)
    # United before, a shard's results are in several folders, and its experiments in one of them.
    homes: dict[Key, list[Path]] = {one.key: [] for one in scored.survivors}
    for part in listed:
        folder = part.folder
        for one in part.results:
            if folder and one.key in homes and folder not in homes[one.key]:
                homes[one.key].append(folder)
    made = {
        one.key: suggest(one, _experiment(homes[one.key], one.experiment), judges, scrape)
        for one in scored.survivors
    }
    expected = merged.expected
    lacking = shortfalls(scored, expected.minimum, selects=expected.selects)
    return Day(merged, scored, made, tuple(lacking))


def _experiment(folders: Iterable[Path], name: str) -> Mapping[str, Any] | None:
    """An experiment of a day; None where there is none: a suggestion can do without."""
    return next((found for one in folders if (found := beside(one, name)) is not None), None)


def beside(folder: Path, name: str, most: int = _MAX_EXPERIMENT) -> Mapping[str, Any] | None:
    """The object in a file of a day's folder.

    Args:
        folder: of the day.
        name: of the file in it, as a line of results has it: nobody vouches for it.
        most: bytes.

    Returns:
        None where there is none, it is elsewhere, or it is too large.
    """
    try:
        file = (folder / name).resolve(strict=True)
        # A name and a link may lead anywhere, and artefacts come from elsewhere.
        if not file.is_relative_to(folder.resolve()) or file.stat().st_size > most:
            return None
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all; its folder is made.

    Raises:
        GameDayError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            # A share over SMB has modes of its own, and refuses this to whoever did not mount it.
            with contextlib.suppress(PermissionError):
                Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise GameDayError(f"{path} cannot be written: {error.strerror}.") from error
