"""What is stored, and what it means."""

import functools
from typing import Any

from acns_chaos.errors import ApiError
from acns_chaos.evidence.arguments import numbers
from acns_chaos.evidence.readings import (
    DIFFERENT,
    EQUAL,
    NOT_READY,
    READY,
    UNKNOWN,
    reading,
)
from acns_chaos.faults.recording import recorded_hashes
from acns_chaos.faults.session import armed_run
from acns_chaos.probes.asking import answers

__all__ = ["explain_denial", "policies_are_as_recorded", "policies_are_valid"]


def policies_are_as_recorded() -> dict:
    """Compare the namespace's and the clusterwide policies with what they were at the start.

    Spec, labels and annotations, as raw JSON: `[]` and absent differ.
    """
    run = armed_run()
    what = "policies as recorded at the start"
    blank = functools.partial(reading, what=what, expected=EQUAL)
    try:
        live = recorded_hashes(run.policies.all(), run.target.namespace)
    except ApiError as error:
        return blank(UNKNOWN, sentence=f"cannot list policies: {error}", met=None, evidence={})
    differing = sorted(
        key for key in {*live, *run.recorded} if live.get(key) != run.recorded.get(key)
    )
    evidence: dict[str, Any] = {"compared": len(live), "differing": differing}
    if differing:
        sentence = f"changed since the run began: {', '.join(differing)}"
        return blank(DIFFERENT, sentence=sentence, met=False, evidence=evidence)
    return blank(EQUAL, sentence=f"{len(live)} policies as recorded", met=True, evidence=evidence)


def policies_are_valid() -> dict:
    """Ask whether the agents take every Cilium policy of the namespace, and the clusterwide ones.

    One that they refuse (`Valid=False`) is stored and shown, and an older version of it stays in
    force, or none. That they take it does not tell that they enforce it already.
    """
    from acns_chaos.cluster.policies import policy_ref

    run = armed_run()
    blank = functools.partial(reading, what="validity of the policies", expected=READY)
    try:
        live = [one for one in run.policies.all() if one["apiVersion"].startswith("cilium.io/")]
    except ApiError as error:
        return blank(UNKNOWN, sentence=f"cannot list policies: {error}", met=None, evidence={})
    said: dict[str, list[str]] = {"True": [], "False": [], "": []}
    for one in live:
        metadata = one["metadata"]
        if metadata.get("namespace", run.target.namespace) == run.target.namespace:
            ref = policy_ref(one["kind"], metadata.get("namespace", ""), metadata["name"])
            said.setdefault(_validity(one), []).append(str(ref))
    evidence: dict[str, Any] = {"valid": said["True"], "refused": said["False"]}
    if said["False"]:
        text = f"the agents refuse {', '.join(sorted(said['False']))}: see its status"
        return blank(NOT_READY, sentence=text, met=False, evidence=evidence)
    if silent := sorted({name for word, names in said.items() if word != "True" for name in names}):
        text = f"{', '.join(silent)} has no Valid condition: is the Cilium operator running?"
        return blank(UNKNOWN, sentence=text, met=None, evidence=evidence)
    text = f"{len(said['True'])} Cilium policies are valid"
    return blank(READY, sentence=text, met=True, evidence=evidence)


def _validity(policy: dict[str, Any]) -> str:
    """The status of a policy's Valid condition, "" when it has none."""
    conditions = (policy.get("status") or {}).get("conditions") or []
    return next((str(one.get("status")) for one in conditions if one.get("type") == "Valid"), "")


@answers
def explain_denial(
    workload: str,
    port: int,
    source: str = "world",
    protocol: str = "TCP",
    namespace: str = "",
) -> dict:
    """Name the policies that deny a flow, by Cilium's semantics over the live objects.

    Args:
        workload: the destination.
        port: the container's port, not the Service's.
        source: "world", or "namespace/workload".
        protocol: TCP, UDP or SCTP.
        namespace: of the destination; "" takes the experiment's.
    """
    # The policy engine takes longer to import than the rest: only a run pays for it.
    from acns_chaos.evidence.explanation import explain

    run = armed_run()
    home = namespace or run.target.namespace
    asked = int(numbers({"port": port})["port"])
    return explain(run.api, source, home, workload, asked, protocol)
