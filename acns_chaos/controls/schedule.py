"""The `schedule` control: run claims on a schedule beside a run in the lab, as CronJobs would.

List it after the guard and before the lab: controls are cleaned up in their order, and claims need
a lab that is there. A game day has a player of its own, which writes into `folder`; while that one
plays nothing is started here. On a cluster nothing ever is: there a CronJob runs them, or nobody.

```json
{"name": "schedule", "provider": {"type": "python", "module": "acns_chaos.controls.schedule",
  "arguments": {"claims": [{"name": "rabbitmq-closed", "every": 0.5, "document": {…}}]}}}
```

The probe `read_detectors` reads what came of them.
"""

import logging
import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from chaoslib.types import Configuration, Experiment, Secrets

from acns_chaos.controls import lab
from acns_chaos.errors import AcnsChaosError, NotArmed
from acns_chaos.faults.runcontext import current
from acns_chaos.gameday import schedule

__all__ = ["before_experiment_control", "cleanup_control", "configure_control"]

logger = logging.getLogger("chaostoolkit")

_claims: list[dict[str, Any]] = []
_folder: list[str] = []
_playing: list[ExitStack] = []


def configure_control(
    experiment: Experiment, claims: list[dict[str, Any]], folder: str = ""
) -> None:
    """Take note of what is to be run.

    Args:
        experiment: the experiment about to run.
        claims: objects with "name", "every" (seconds) and "document", the claim itself.
        folder: into which a game day's player writes; "" when there is none.
    """
    cleanup_control()
    _claims[:] = claims
    _folder[:] = [folder] if folder else []


def before_experiment_control(
    context: Experiment,
    configuration: Configuration = None,
    secrets: Secrets = None,
    **unknown: Any,
) -> None:
    """Begin to run them, unless somebody does; the guard has armed the run by now.

    Args:
        context: the experiment.
        configuration: unused.
        secrets: unused.
        unknown: arguments of the control.
    """
    try:
        run = current()
    except NotArmed:
        # The guard says why; nothing runs.
        return
    if _folder and schedule.played_in(Path(_folder[0])):
        schedule.using(_folder[0])
        run.note("schedule", f"the game day's player runs {_names()}")
        return
    if run.target.kind != "lab":
        run.note("schedule", f"nobody here runs {_names()}: on a cluster that is a CronJob's")
        return
    stack = ExitStack()
    try:
        folder = stack.enter_context(TemporaryDirectory(prefix="acns-chaos-schedule-"))
        environ = {**run.environ, "KUBECONFIG": lab.kubeconfig() or os.environ["KUBECONFIG"]}
        stack.enter_context(schedule.play_documents(_claims, Path(folder), environ))
    except (AcnsChaosError, OSError) as error:
        stack.close()
        run.note("schedule", f"nobody runs {_names()}: {error}")
        logger.warning(f"Schedule: {error}")
        return
    _playing.append(stack)
    schedule.using(folder)
    run.note("schedule", f"this run itself plays {_names()}")


def _names() -> str:
    return "the claims " + ", ".join(str(one.get("name")) for one in _claims)


def cleanup_control() -> None:
    """End what was begun."""
    schedule.using("")
    while _playing:
        _playing.pop().close()
