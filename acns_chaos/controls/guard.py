"""The `guard` control: resolve the target once, keep the run honest, restore whatever is left.

Without it no activity of this package runs. It resolves and records the target before anything
else, stops the run when an action failed, plays the last safety net after the rollbacks, and
writes the run's outcome, signed, into the journal. The exit code of `chaos run` follows it.

```json
"controls": [
  {"name": "guard", "provider": {"type": "python", "module": "acns_chaos.controls.guard"}},
  {"name": "lab", "provider": {"type": "python", "module": "acns_chaos.controls.lab"}}
]
```
"""

import atexit
import logging
import os
import signal
from collections.abc import Callable
from typing import Any, ClassVar

from chaoslib import __version__ as lib_version
from chaoslib.exceptions import InterruptExecution
from chaoslib.types import Activity, Configuration, Experiment, Journal, Run, Secrets

import acns_chaos
from acns_chaos.cluster.isolation import Isolation
from acns_chaos.cluster.permissions import used
from acns_chaos.cluster.target import Choice, choose, connect, describe, require_namespace
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.controls import lab
from acns_chaos.controls.reading import activities, require_lab, require_own_place, roles
from acns_chaos.controls.signals import Shield, ignored_signals
from acns_chaos.errors import AcnsChaosError, ArgumentError, RestoreFailed, TargetError
from acns_chaos.evidence.arguments import numbers
from acns_chaos.evidence.chain import Chain, begin
from acns_chaos.evidence.facts import is_inject, is_restart, wants_prober
from acns_chaos.evidence.outcome import Judgement, Outcome
from acns_chaos.evidence.rules import derive
from acns_chaos.evidence.signature import sign
from acns_chaos.faults.interlock import DEADLINE, Interlock, whoami
from acns_chaos.faults.ledger import outstanding
from acns_chaos.faults.probers import remove_probers
from acns_chaos.faults.recording import recorded_hashes
from acns_chaos.faults.restarts import see_ready_again
from acns_chaos.faults.restore import restore_all
from acns_chaos.faults.runcontext import Recording, RunContext, arm, disarm, new_run_id, refuse

__all__ = [
    "after_activity_control",
    "after_experiment_control",
    "after_rollback_control",
    "before_experiment_control",
    "before_rollback_control",
    "cleanup_control",
    "configure_control",
]

logger = logging.getLogger("chaostoolkit")
# How long the last net goes on asking an API server that does not answer.
SETTLE_TIMEOUT = 90.0
# How long it waits for pods that were restarted: an interrupted run, and any other.
READY_SOON, READY_TIMEOUT = 10.0, 60.0
# The word on the timeline for the first confirmed reading of each role.
EVENTS = {
    "witnesses": "first-failed-request",
    "detectors": "noticed",
    "explanations": "explained",
}


class _State:
    """What the guard knows about the one run of this process."""

    run: RunContext | None = None
    refused: str = ""
    isolation: Isolation | None = None
    interlock: Interlock | None = None
    chain: Chain | None = None
    shield: ClassVar[Shield] = Shield()
    roles: ClassVar[dict[str, str]] = {}
    rolling_back: bool = False


def configure_control(experiment: Experiment, **unknown: Any) -> None:
    """Forget an earlier run of this process; the host may run several experiments in one."""
    _end()
    _State.refused = ""
    _State.rolling_back = False


def before_experiment_control(
    context: Experiment,
    configuration: Configuration = None,
    secrets: Secrets = None,
    **unknown: Any,
) -> None:
    """Resolve the target, record what is there, and arm the activities; or let nothing run.

    Args:
        context: the experiment.
        configuration: `namespace` and `storefront_service` are read from it.
        secrets: unused.
        unknown: arguments of the control; it takes none.
    """
    if _State.run is not None:
        return
    try:
        require_own_place(context, unknown)
        _arm(context, configuration or {})
    except InterruptExecution:
        raise
    except Exception as error:
        # Anything else would be hidden by the host, which then plays the experiment unguarded.
        told = error if isinstance(error, AcnsChaosError) else f"The guard failed: {error!r}."
        _State.refused = str(told)
        refuse(str(told))
        _ends()
        # Raised here nothing runs and the exit code is 1, on both host versions.
        raise InterruptExecution(str(told)) from error


def _arm(experiment: Experiment, configuration: dict[str, Any]) -> None:
    choice = choose(os.environ)
    if choice.kind == "lab":
        require_lab(experiment, lab.trouble)
    api, name = connect(choice, lab.kubeconfig())
    target = describe(api, name, str(configuration.get("namespace", "pets")))
    if choice.kind == "lab" and target.kind != "lab":
        raise TargetError(
            f"The lab is meant, but the server at {target.server} says it is not one: nothing runs."
        )
    run_id = new_run_id()
    chain = Chain(begin(run_id, acns_chaos.__version__, target.uid, experiment))
    run = RunContext(
        run=run_id,
        target=target,
        api=api,
        environ=dict(os.environ),
        recorded={},
        storefront=str(configuration.get("storefront_service", "store-front")),
        owner=whoami(),
        chain=chain,
    )
    _State.run, _State.chain = run, chain
    _State.roles = roles(experiment, EVENTS)
    require_namespace(api, target)
    played = activities(experiment)
    if any(is_inject(one) or is_restart(one) or wants_prober(one) for one in played):
        called = {str((one.get("provider") or {}).get("func")) for one in played}
        _State.interlock = _interlock(run, choice, configuration, called)
        _State.interlock.engage()
    run.recorded = recorded_hashes(run.policies.all(), target.namespace)
    _State.isolation = Isolation(api, name)
    _State.shield.raised(_signalled)
    # The host may end without its last hook; an interpreter that ends still runs this.
    atexit.register(_last_net)
    arm(run)
    logger.info(
        f"Target: {target.kind} {target.context} at {target.server}, namespace {target.namespace}, "
        f"Cilium {target.cilium_version or 'unknown'}"
    )


def _signalled(number: int) -> None:
    """Have the watchdog restore while the host still waits for its activity to end.

    Called in a thread of its own, at once. The host's own reaction comes as well, and then finds
    the original in place.
    """
    run, interlock = _State.run, _State.interlock
    if run is not None and interlock is not None:
        run.note("signal", f"{signal.Signals(number).name} came: everything is restored")
        interlock.restore_now()


def _interlock(
    run: RunContext, choice: Choice, configuration: dict[str, Any], probes: set[str]
) -> Interlock:
    """Read how long a fault may stand, and whether a janitor must be there."""
    try:
        given = numbers({"fault_deadline": configuration.get("fault_deadline", DEADLINE)})
    except ArgumentError as error:
        raise TargetError(f"{error}.".replace("..", ".")) from error
    # In a pod the watchdog dies with the container.
    required = configuration.get("require_janitor", choice.kind == "in-cluster")
    return Interlock(
        run,
        choice,
        lab.kubeconfig() if choice.kind == "lab" else run.environ.get("KUBECONFIG", ""),
        deadline=given["fault_deadline"],
        require_janitor=str(required).lower() not in ("false", "0", "no", ""),
        probes=probes,
    )


def after_activity_control(context: Activity, state: Run = None) -> None:
    """Stop the run when an action failed, or when the host swallowed its own interruption.

    Args:
        context: the activity.
        state: its run.
    """
    if not isinstance(state, dict):
        return
    _show(context, state.get("output"))
    if _State.rolling_back:
        return
    trace = "".join(state.get("exception") or [])
    # Lib 1.44 takes a SIGTERM during a Python activity for a failure of that activity.
    if "InterruptExecution" in trace:
        _ends()
        raise InterruptExecution("SIGTERM signal received")
    if context.get("type") == "action" and state.get("status") == "failed":
        _ends()
        raise InterruptExecution(f"Action '{context.get('name')}' failed: the run stops here.")


def _ends() -> None:
    if _State.interlock:
        _State.interlock.ends()


def _show(activity: Activity, output: Any) -> None:
    """Put a reading on the timeline, and before the person at the terminal.

    The host logs what a probe answers at debug level only.
    """
    if not (isinstance(output, dict) and "reading" in output and "sentence" in output):
        return
    log = logger.info if output.get("met") else logger.warning
    log(f"  {output['reading']}: {output['sentence']}")
    role = _State.roles.get(str(activity.get("name")), "")
    if _State.run is None or output.get("met") is not True or not role:
        return
    what = "drop-counted" if role == "witnesses" and "count" in output else EVENTS[role]
    began = (output.get("evidence") or {}).get("began", "")
    # A request is known to fail from its start; a counter or an explanation only when it was read.
    bound = "" if began else " (seen then; true at the latest then)"
    _State.run.note_first(what, output["sentence"] + bound, began)


def before_rollback_control(context: Experiment) -> None:
    """Note that whatever is restored from now on, rollbacks restore."""
    _State.rolling_back = True
    _ends()
    if _State.run:
        _State.run.phase = "rollback"


def after_rollback_control(context: Experiment) -> None:
    """Note that the rollbacks are over; from here a signal could only lose the judgement."""
    if _State.run:
        _State.run.phase = "guard"
        _State.shield.closed()


def after_experiment_control(context: Experiment, state: Journal = None) -> None:
    """Restore what is left, derive the outcome, sign it; `chaos run` then exits 0 only for HELD.

    Args:
        context: the experiment.
        state: the live journal, which the host writes after this.
    """
    if not isinstance(state, dict) or "acns_chaos" in state:
        return
    host = {"status": state.get("status"), "deviated": state.get("deviated"), "lib": lib_version}
    # Pessimism first: whatever goes wrong below, this run does not pass.
    state["status"] = "failed"
    with ignored_signals():
        _settle()
        _see_ready_again(host)
        state["acns_chaos"] = _section(host)
        judgement = derive(state)
        state["acns_chaos"]["outcome"] = judgement.as_json()
        state["acns_chaos"].update(_announced(judgement))
        own = judgement.outcome is Outcome.HELD or host["status"] in ("interrupted", "aborted")
        status = host["status"] if own else "failed"
        head = sign({**state, "status": status})
        state["status"] = status
    log = logger.info if judgement.outcome is Outcome.HELD else logger.error
    log(f"Outcome: {judgement.outcome}: {judgement.sentence}")
    # Kept elsewhere than the journal, it tells whether that was sealed anew.
    logger.info(f"Evidence: {head}")


def cleanup_control() -> None:
    """Restore what is left, even after the host crashed before the rollbacks; then let go."""
    with ignored_signals():
        _last_net()


def _last_net() -> None:
    try:
        _settle()
    finally:
        _end()


def _settle() -> None:
    """Pay every debt that is still open; a failure is said loudly and stands in the journal.

    An API server that is silent or overloaded is asked again for a while: this is the last net.
    """
    run = _State.run
    if run is None:
        return
    if outstanding(run.ledger):
        run.phase = "guard"
        logger.warning("The run ends with a policy still changed: the guard restores it now.")
        _until_done(lambda: restore_all(run))
    # After every policy: a pod takes a second to end, and no outage waits for that.
    if any(debt.open for debt in run.ledger.probers()):
        _until_done(lambda: remove_probers(run))


def _see_ready_again(host: dict[str, Any]) -> None:
    """See that what this run restarted is Ready, now that every policy is back."""
    run = _State.run
    if run is None or not run.restarts:
        return
    # Whoever interrupts a run wants it to end: everything is back already.
    ended = host["status"] in ("interrupted", "aborted")
    try:
        see_ready_again(run, READY_SOON if ended else READY_TIMEOUT)
    except Exception as error:  # noqa: BLE001
        # The journal with the originals must be written whatever happens here.
        logger.critical(f"Whether what was restarted is Ready again is not known: {error!r}")


def _until_done(work: Callable[[], object]) -> None:
    """Try until it is done, or will not be; a failure is said loudly."""
    last: list[str] = []

    def settled() -> bool:
        try:
            work()
        except RestoreFailed as error:
            last[:] = [str(error)]
            return not error.retryable
        last.clear()
        return True

    try:
        wait_until(settled, SETTLE_TIMEOUT, interval=0.5)
    except Exception as error:  # noqa: BLE001
        # The journal with the originals must be written whatever happens here.
        last[:] = [repr(error)]
    if last:
        logger.critical(f"NOT RESTORED: {last[0]}")


def _end() -> None:
    disarm()
    if _State.run and _State.run.timeline:
        _State.run.timeline.stop()
    if _State.run:
        _State.run.remembered.close()
    if _State.interlock:
        _State.interlock.release()
    _State.interlock = None
    if _State.isolation:
        _State.isolation.undo()
    _State.isolation = None
    _State.shield.undo()
    atexit.unregister(_last_net)
    _State.run = _State.chain = None


def _section(host: dict[str, Any]) -> dict[str, Any]:
    run, chain = _State.run, _State.chain
    return {
        "schema": 2,
        "version": acns_chaos.__version__,
        "run": run.run if run else "",
        "target": run.target.as_json() if run else None,
        "refused": _State.refused or None,
        "faults": [debt.as_json() for debt in run.ledger.all()] if run else [],
        "probers": [debt.as_json() for debt in run.ledger.probers()] if run else [],
        **({"restarts": run.restarts} if run and run.restarts else {}),
        "events": sorted(run.events, key=lambda event: event["at"]) if run else [],
        **({"chain": chain.begun} if run and chain else {}),
        "permissions": used(run.api.asked.seen(), run.target.namespace) if run else [],
        **({"timeline": _timeline(run.timeline)} if run and run.timeline else {}),
        "host": host,
    }


def _announced(judgement: Judgement) -> dict[str, Any]:
    """Have the end told where people look; the judgement stands already, and never fails for it."""
    run = _State.run
    if run is None or run.annotations is None:
        return {}
    try:
        found = run.annotations.finish(str(judgement.outcome), judgement.sentence)
    except Exception as error:  # noqa: BLE001
        why = f"it failed: {type(error).__name__}"
        logger.warning(f"Annotations: {why}.")
        found = {"written": 0, "failed": [{"what": "all", "why": why}]}
    return {"annotations": found}


def _timeline(recording: Recording) -> dict[str, Any]:
    """End the sampling and take what came of it; the judgement never waits or fails for it."""
    try:
        return recording.finish()
    except Exception as error:  # noqa: BLE001
        why = f"it failed: {type(error).__name__}"
        logger.warning(f"Timeline: {why}.")
        return {"schema": 1, "faults": [], "not_observed": [{"source": "all", "why": why}]}
