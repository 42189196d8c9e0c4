"""Survivors run once more, with what was suggested for them as further detectors; in the lab.

Belongs here: how a survivor's experiment becomes one with more detectors, and having it run. Does
not belong here: what that proves (`verify`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from acns_chaos.cluster.labcontrol import LabControl
from acns_chaos.cluster.labprocess import RULES_VARIABLE
from acns_chaos.errors import GameDayError
from acns_chaos.evidence.values import mapping, mappings, number
from acns_chaos.gameday.alert_rules import EVALUATION
from acns_chaos.gameday.day import Day, Job
from acns_chaos.gameday.document import CONTROL, NOTICED, QUIET
from acns_chaos.gameday.plan_values import ALERT, PATIENCE
from acns_chaos.gameday.preparing import AFTER, BEFORE
from acns_chaos.gameday.process import Child
from acns_chaos.gameday.results import UNKNOWN, Result, parse
from acns_chaos.gameday.scoring import write_whole
from acns_chaos.gameday.stage import Stage
from acns_chaos.gameday.suggest import Suggestion

__all__ = ["Again", "again"]

# Folder of the experiments and journals of second runs, in the day's.
VERIFIED = "verified"
# How often a suggested claim is run in the lab, in seconds between two.
EVERY = 0.5
# Seconds that one such run may take at most.
LONGEST = 300.0
# Seconds that a claim's probes take together at most, by their own timeouts.
LASTS = 5.0


class Again:
    """Runs survivors again; a `verify.Lab`.

    Args:
        day: they are of.
        stage: a lab of the day's own.
        control: of that lab.

    Attributes:
        left: whether something was not put back.
    """

    def __init__(self, day: Day, stage: Stage, control: LabControl) -> None:
        self._day = day
        self._control = control
        # Its rules are others than the plan's now, and an experiment must not insist on those.
        self._stage = replace(stage, environ={**stage.environ, RULES_VARIABLE: ""})
        self._children: dict[str, Child] = {}
        self.left = False

    def install_rules(self, text: str) -> None:
        """See `verify.Lab`."""
        self._control.replace_rules(text)

    def run_again(self, result: Result, suggestions: Sequence[Suggestion]) -> Result:
        """See `verify.Lab`."""
        name = PurePosixPath(result.experiment).name
        experiment, journal = f"{VERIFIED}/{name}", f"{VERIFIED}/journal-{name}"
        try:
            original = json.loads((self._day.folder / result.experiment).read_bytes())
        except (OSError, ValueError) as error:
            raise GameDayError(f"{result.experiment} cannot be read: {error}.") from error
        document = with_detectors(original, suggestions, self._day.scrape)
        write_whole(self._day.folder / experiment, json.dumps(document, indent=1))
        place = result.place.namespace
        job = Job(result.position, result.mutant, place, experiment, journal, blank=result)
        answer = self._child(place).run(job, LONGEST)
        if answer is None or "result" not in answer:
            self._children.pop(place).close()
            left = self._stage.busy(place, LONGEST)
            self.left = bool(left)
            outcome = "NOT_RESTORED" if left else ""
            why = left or "its process died"
            return replace(result, status=UNKNOWN, outcome=outcome, restored=not left, why=why)
        found = parse(json.dumps(answer["result"]))
        if found.restored is None and (left := self._stage.busy(place, LONGEST)):
            found = replace(found, restored=False, why=left)
        self.left = self.left or found.restored is False
        return found

    def _child(self, namespace: str) -> Child:
        if namespace not in self._children:
            self._children[namespace] = Child(self._day, self._stage, namespace)
        return self._children[namespace]

    def close(self) -> None:
        """End its processes."""
        while self._children:
            self._children.popitem()[1].close()


@contextmanager
def again(day: Day, stage: Stage) -> Iterator[Again]:
    """Run survivors of a day again while this lasts.

    Raises:
        GameDayError: it is no lab of the day's own.
    """
    if stage.control is None or not stage.ends:
        raise GameDayError(
            "Suggestions are verified in a lab of the day's own, whose rules may be replaced: end "
            "the one that is up by `acns-chaos lab down`."
        )
    running = Again(day, stage, stage.control)
    try:
        yield running
    finally:
        running.close()


def with_detectors(
    experiment: Mapping[str, Any], suggestions: Sequence[Suggestion], scrape: float
) -> dict[str, Any]:
    """An experiment that asks suggested detectors as well.

    Args:
        experiment: of a mutant, as `document.experiment_of` makes them.
        suggestions: what was suggested for it.
        scrape: seconds between two scrapes.
    """
    found = deepcopy(dict(experiment))
    # One detector may be suggested for both directions.
    made: dict[str, list[Suggestion]] = {}
    for suggestion in suggestions:
        made.setdefault(suggestion.name, []).append(suggestion)
    there: set[str] = set()
    longest = 0.0
    for activity in mappings(found.get("method")):
        if activity.get("name") in (QUIET, NOTICED):
            arguments = activity["provider"]["arguments"]
            detectors = arguments.get("detectors") or []
            there |= {one["name"] for one in detectors}
            arguments["detectors"] = _with(detectors, made, scrape)
            longest = max(longest, *(one.get("deadline", 0.0) for one in arguments["detectors"]))
    settings = mapping(found.get("configuration"))
    if (stands := number(settings.get("fault_deadline"))) is not None:
        # A plan need not have left as much time as these have.
        found["configuration"]["fault_deadline"] = max(stands, BEFORE + longest + AFTER)
    claims = [
        {"name": one.name, "every": EVERY, "document": dict(one.document)}
        for one, *_ in made.values()
        # What the plan has already is played already.
        if one.kind != ALERT and one.name not in there
    ]
    controls = list(found.get("controls") or [])
    for control in controls:
        arguments = control["provider"].setdefault("arguments", {})
        if control.get("name") == "lab":
            arguments.pop("rules", None)
        if control["provider"].get("module") == CONTROL and claims:
            # The day plays its own claims; with one more the experiment plays all of them itself.
            arguments.pop("folder", None)
            arguments["claims"] = [*arguments["claims"], *claims]
            claims = []
    if claims:
        provider = {"type": "python", "module": CONTROL, "arguments": {"claims": claims}}
        controls.append({"name": "schedule", "provider": provider})
    found["controls"] = controls
    return found


def _with(
    detectors: Sequence[Mapping[str, Any]], made: Mapping[str, Sequence[Suggestion]], scrape: float
) -> list[dict[str, Any]]:
    """Detectors with what is suggested: one that is there already judges more, others are added.

    Args:
        detectors: as the experiment asks them.
        made: suggestions by their detector's name, as `_asked` takes them.
        scrape: seconds between two scrapes.
    """
    found = [dict(one) for one in detectors]
    for one in found:
        more = [each.direction for each in made.get(one["name"], ())]
        if more:
            one["for"] = list(dict.fromkeys((*one.get("for", ()), *more)))
    there = {one["name"] for one in found}
    return [*found, *(_asked(every, scrape) for name, every in made.items() if name not in there)]


def _asked(every: Sequence[Suggestion], scrape: float) -> dict[str, Any]:
    """One detector as `read_detectors` takes it, with as long as it needs.

    Args:
        every: the same detector, once for each direction.
        scrape: seconds between two scrapes.
    """
    one = every[0]
    found: dict[str, Any] = {"name": one.name, "kind": one.kind}
    found["for"] = [each.direction for each in every]
    if one.kind == ALERT:
        return found | {"deadline": PATIENCE * (scrape + EVALUATION)}
    slowest = scrape + EVERY
    return found | {"deadline": max(PATIENCE * slowest, slowest + 2 * LASTS)}
