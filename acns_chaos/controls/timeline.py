"""The `timeline` control: sample the run from outside, event by event, without disturbing it.

List it after the guard and the lab. Sources that cannot be had are named in the journal and change
nothing else; the guard has the sampling ended, and signs what came of it. No order is ever placed.

```json
"controls": [
  {"name": "guard", "provider": {"type": "python", "module": "acns_chaos.controls.guard"}},
  {"name": "lab", "provider": {"type": "python", "module": "acns_chaos.controls.lab"}},
  {"name": "timeline", "provider": {"type": "python", "module": "acns_chaos.controls.timeline"}}
]
```

How often it asks: configuration `timeline_*`, see docs/timeline.md.
"""

import logging
from dataclasses import dataclass, field
from typing import Any

from chaoslib.types import Activity, Configuration, Experiment, Run, Secrets

from acns_chaos.errors import ArgumentError, NotArmed
from acns_chaos.evidence.telling import ROLES
from acns_chaos.evidence.timeline.moments import seconds
from acns_chaos.evidence.timeline.recorder import Timeline
from acns_chaos.evidence.timeline.seen import Notice
from acns_chaos.evidence.timeline.settings import rates_from, sources_of
from acns_chaos.evidence.timeline.telling import lines_of
from acns_chaos.faults.runcontext import RunContext, current

__all__ = [
    "after_activity_control",
    "before_experiment_control",
    "before_method_control",
    "cleanup_control",
    "configure_control",
]

logger = logging.getLogger("chaostoolkit")
# How long the method waits for the first sample of every source.
READY = 3.0
# What it calls itself in the API server's logs.
TIMELINE = "acns-chaos-timeline"


@dataclass(slots=True)
class _Recording:
    """The timeline of this process's run, as the guard knows it (`RunContext.timeline`)."""

    run: RunContext
    timeline: Timeline
    roles: dict[str, str] = field(default_factory=dict)
    written: dict[str, Any] | None = None

    def finish(self) -> dict[str, Any]:
        """End the sampling, say what came of it, and return the journal's section."""
        if self.written is None:
            faults = [debt.as_json() for debt in self.run.ledger.all()]
            self.written = self.timeline.as_json(faults)
            for line in lines_of(self.written):
                logger.info(f"Timeline: {line}")
        return self.written

    def stop(self) -> None:
        """End the sampling, whatever becomes of the run."""
        self.timeline.end()


_recordings: list[_Recording] = []


def configure_control(experiment: Experiment, **unknown: Any) -> None:
    """Forget an earlier run of this process."""
    cleanup_control()


def before_experiment_control(
    context: Experiment,
    configuration: Configuration = None,
    secrets: Secrets = None,
    **unknown: Any,
) -> None:
    """Begin to sample; the guard has armed the run by now.

    Args:
        context: the experiment.
        configuration: `timeline_*` are read from it.
        secrets: unused.
        unknown: arguments of the control; it takes none.
    """
    if _recordings:
        return
    try:
        run = current()
    except NotArmed:
        # The guard says why; nothing runs.
        return
    try:
        rates = rates_from(configuration or {}, run.target.kind)
    except ArgumentError as error:
        run.timeline = _Refused(str(error))
        logger.warning(f"Timeline: nothing is observed: {error}.")
        return
    sources, off = sources_of(
        rates, run.api.beside(TIMELINE), run.environ, run.target.namespace, run.storefront
    )
    recording = _Recording(run, Timeline(sources, off, run.events), _roles(context))
    _recordings.append(recording)
    run.timeline = recording
    recording.timeline.start()


def before_method_control(context: Experiment, state: Any = None) -> None:
    """Wait, but not long, until every source sees: the method may break something at once."""
    for recording in _recordings:
        late = recording.timeline.wait_ready(READY)
        if late:
            logger.warning(f"Timeline: no answer yet from {', '.join(late)}; the run goes on.")


def after_activity_control(context: Activity, state: Run = None) -> None:
    """Take the first confirmed reading of each declared detector, witness and explanation.

    Args:
        context: the activity.
        state: its run.
    """
    output = state.get("output") if isinstance(state, dict) else None
    if not isinstance(output, dict) or output.get("met") is not True:
        return
    for recording in _recordings:
        name = str(context.get("name"))
        role = recording.roles.get(name, "")
        began = seconds((output.get("evidence") or {}).get("began"))
        at = began if began is not None else seconds(output.get("at"))
        if role and at is not None:
            since = seconds(state.get("start")) if state else None
            bound = 1.0 if began is not None or since is None else max(1.0, (at - since) * 1000)
            sentence = str(output.get("sentence", ""))
            recording.timeline.notices.append(Notice(role, name, at, bound, sentence))


def cleanup_control() -> None:
    """End the sampling if nobody has."""
    while _recordings:
        _recordings.pop().stop()


@dataclass(frozen=True, slots=True)
class _Refused:
    """Stands where the timeline would, when its configuration cannot be meant."""

    why: str

    def finish(self) -> dict[str, Any]:
        """Return the journal's section."""
        return {"schema": 1, "faults": [], "not_observed": [{"source": "all", "why": self.why}]}

    def stop(self) -> None:
        """There is nothing to end."""


def _roles(experiment: Experiment) -> dict[str, str]:
    """Map the names of activities to the role that the experiment's extension block gives them."""
    return {
        str(name): role
        for extension in experiment.get("extensions") or []
        if extension.get("name") == "acns-chaos"
        for role, key in ROLES.items()
        for name in extension.get(key) or []
    }
