"""The `annotations` control: show a run in Grafana, on the dashboards where people would look.

It writes the start, each fault (a region from its submission to the moment it was put back), each
restore and the end, with the outcome. Whatever Grafana does, the run is neither disturbed nor
delayed, but for a second at its end; what could not be written is said once, and in the journal.
It is silent where `ACNS_CHAOS_GRAFANA_URL` is not set.

```json
"controls": [
  {"name": "guard", "provider": {"type": "python", "module": "acns_chaos.controls.guard"}},
  {"name": "lab", "provider": {"type": "python", "module": "acns_chaos.controls.lab"}},
  {
    "name": "annotations",
    "provider": {"type": "python", "module": "acns_chaos.controls.annotations"}
  }
]
```

For every experiment at once: `chaos run --control-file`. Variables, permissions and what is not
written: docs/grafana.md.
"""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chaoslib.types import Activity, Configuration, Experiment, Secrets

from acns_chaos.cluster.grafana import Annotation, Grafana, grafana_settings
from acns_chaos.controls.annotated import Ending, Telling, wanted
from acns_chaos.controls.annotator import Annotator
from acns_chaos.errors import ApiError, NotArmed
from acns_chaos.faults.ledger import now
from acns_chaos.faults.runcontext import RunContext, current

__all__ = [
    "before_activity_control",
    "before_experiment_control",
    "cleanup_control",
    "configure_control",
]

logger = logging.getLogger("chaostoolkit")
# The group of the experiment's secrets.
GROUP = "grafana"


@dataclass(slots=True)
class _Announcing:
    """The annotations of this process's run, as the guard knows them (`RunContext.annotations`)."""

    run: RunContext
    telling: Telling
    ending: Ending | None = None
    annotator: Annotator | None = None
    refused: str = ""
    written: dict[str, Any] = field(default_factory=dict)

    def wanted(self) -> dict[str, Annotation]:
        """Return what should stand in Grafana now; asked from another thread."""
        return wanted(self.telling, self.run.ledger.all(), list(self.run.events), self.ending)

    def finish(self, outcome: str, sentence: str) -> dict[str, Any]:
        """Annotate the end, and return the journal's section."""
        if not self.written:
            self.ending, began = Ending(now(), outcome, sentence), time.monotonic()
            if self.annotator is None:
                told = {"written": 0, "failed": [{"what": "all", "why": self.refused}]}
            else:
                told = self.annotator.finish()
            moments = {"start": self.telling.began, "end": self.ending.at}
            waited = round((time.monotonic() - began) * 1000)
            self.written = {**moments, "waited_ms": waited, **told}
            if not told["failed"]:
                logger.info(f"Grafana: {told['written']} annotations stand there.")
        return self.written

    def stop(self) -> None:
        """Write nothing more."""
        if self.annotator:
            self.annotator.stop()


_announcing: list[_Announcing] = []
# The host hands secrets to this hook and not to every one that may come first.
_secrets: dict[str, str] = {}


def configure_control(experiment: Experiment, secrets: Secrets = None, **unknown: Any) -> None:
    """Forget an earlier run of this process.

    Args:
        experiment: the experiment about to run.
        secrets: of its group `grafana`, `token` or `username` and `password` are taken.
        unknown: arguments of the control; it takes none.
    """
    cleanup_control()
    group = (secrets or {}).get(GROUP)
    if isinstance(group, Mapping):
        _secrets.update({str(name): str(value or "") for name, value in group.items()})


def before_experiment_control(
    context: Experiment,
    configuration: Configuration = None,
    secrets: Secrets = None,
    **unknown: Any,
) -> None:
    """Begin, if the guard has armed the run by now.

    Args:
        context: the experiment.
        configuration: unused.
        secrets: unused; see `configure_control`.
        unknown: arguments of the control; it takes none.
    """
    _begin(str(context.get("title", "")))


def before_activity_control(context: Activity, experiment: Experiment) -> None:
    """Begin where this control comes before the guard, as one of a control file does.

    Args:
        context: the activity.
        experiment: the experiment it is of.
    """
    _begin(str(experiment.get("title", "")))


def cleanup_control() -> None:
    """End, if nobody has."""
    _secrets.clear()
    while _announcing:
        _announcing.pop().stop()


def _begin(title: str) -> None:
    if _announcing:
        return
    try:
        run = current()
    except NotArmed:
        # Not armed yet, or never: the guard says why.
        return
    announcing = _Announcing(run, Telling(run.run, run.target, title, now()))
    _announcing.append(announcing)
    try:
        # As they are now: the lab's own variables are none of Grafana's.
        settings = grafana_settings(os.environ, _secrets)
    except ApiError as error:
        announcing.refused = str(error)
        run.annotations = announcing
        logger.warning(f"Grafana: nothing is annotated: {error}")
        return
    if not settings.url:
        return
    run.annotations = announcing
    announcing.annotator = Annotator(lambda: Grafana(settings), announcing.wanted)
    announcing.annotator.start()
