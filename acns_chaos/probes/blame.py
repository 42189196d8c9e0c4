"""Who is to blame for what Hubble saw dropped."""

from typing import TYPE_CHECKING

from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import AcnsChaosError
from acns_chaos.evidence.arguments import numbers
from acns_chaos.evidence.readings import NAMED, UNKNOWN, reading
from acns_chaos.evidence.values import moment
from acns_chaos.faults.ledger import outstanding, restore_command
from acns_chaos.faults.session import armed_run
from acns_chaos.probes.asking import NOT_SUBMITTED, answers, from_fault, whole

if TYPE_CHECKING:
    from acns_chaos.evidence.blame.changes import Change
    from acns_chaos.faults.runcontext import RunContext

__all__ = ["explain_drops"]


@answers
def explain_drops(
    destination: str = "",
    source: str = "",
    since: str = "fault",
    window: float = 60.0,
    namespace: str = "",
    deadline: float = 10.0,
) -> dict:
    """Let Hubble's dropped flows, the live policies and what was changed name the policy to blame.

    Args:
        destination: who was asked: a workload, "namespace/workload", "world", an address, a DNS
            name; "" anybody.
        source: who asked; likewise.
        since: "fault" looks from the moment the fault was submitted on; "window" at the last
            `window` seconds.
        window: seconds.
        namespace: of a workload that names none; "" takes the experiment's.
        deadline: seconds to keep asking until Hubble shows a drop by policy.
    """
    # The policy engine and Hubble take longer to import than the rest: only a run pays for it.
    from acns_chaos.cluster.hubble import Query
    from acns_chaos.evidence.blame import blame
    from acns_chaos.evidence.blame.gathering import case_of, read_drops

    run = armed_run()
    home = namespace or run.target.namespace
    given = numbers({"window": window, "deadline": deadline})
    named = [whole(one, home) for one in (source, destination)]
    what = f"who is to blame for drops {named[0] or 'from anybody'} to {named[1] or 'anybody'}"
    began: float = run.api.now().timestamp() - given["window"]
    start = from_fault(run, since, ("fault", "window"))
    if start is None:
        return reading(UNKNOWN, what, NOT_SUBMITTED, None, NAMED, {}, culprits=[])
    if submitted := moment(start):
        began = submitted.timestamp()
    query = Query("DROPPED", named[0], named[1], since=began)
    seen = read_drops(run.api, run.environ, query, given["deadline"])

    def shown() -> bool:
        nonlocal seen
        seen = read_drops(run.api, run.environ, query, max(1.0, given["deadline"]))
        return any(flow.denied for flow in seen[0])

    try:
        if not any(flow.denied for flow in seen[0]):
            wait_until(shown, given["deadline"], interval=0.2)
        about = f"{named[1] or named[0] or home} since the {since}"
        case = case_of(run.api, run.target.label, home, *seen, about, _changes(run))
    except AcnsChaosError as error:
        return reading(UNKNOWN, what, str(error), None, NAMED, {}, culprits=[])
    found = blame(case)
    evidence = {
        "drops": [one.as_json() for one in found.drops],
        "changes": [one.as_json() for one in found.changes],
        "unexplained": found.unexplained,
        "hubble": found.evidence.as_json(),
        "command": found.command,
        "notes": list(found.notes),
    }
    return reading(
        found.state,
        what,
        found.paragraph,
        found.state == NAMED,
        NAMED,
        evidence,
        culprits=list(found.culprits),
    )


def _changes(run: "RunContext") -> "list[Change]":
    """What this run has changed and not yet put back."""
    from acns_chaos.cluster.policies import content
    from acns_chaos.evidence.blame.changes import Change
    from acns_chaos.evidence.blame.differing import differences
    from acns_chaos.policy import ObjectRef

    found = []
    for debt in outstanding(run.ledger):
        submitted = moment(debt.submitted)
        before, after = (one and content(one) for one in (debt.before, debt.fault))
        found.append(
            Change(
                ObjectRef(debt.ref.kind, debt.ref.namespace, debt.ref.name),
                f"run {run.run} of {run.owner} ({debt.operator})",
                submitted.timestamp() if submitted else 0.0,
                differences(before, after),
                debt.before,
                known=True,
                run=run.run,
                command=f"{restore_command(run.run)} -n {run.target.namespace}",
            )
        )
    return found
