"""What an experiment may do: inject a fault into a live policy, and put the original back.

Both refuse without an armed guard, and end the run then: the host would go on after a failed
action and exit 0 (reference chaos-toolkit.md §0.3).
"""

import logging
from typing import TYPE_CHECKING, Any

from acns_chaos.cluster.policies import policy_ref
from acns_chaos.errors import ArgumentError, FaultRefused, PolicyError
from acns_chaos.evidence.arguments import names, numbers
from acns_chaos.faults.runcontext import refusal
from acns_chaos.faults.session import armed_run

if TYPE_CHECKING:
    from acns_chaos.faults.inject import Change

__all__ = ["inject_fault", "restore_policies"]

logger = logging.getLogger("chaostoolkit")


def inject_fault(
    policy: str,
    operator: str = "",
    policy_file: str = "",
    document: dict = {},
    namespace: str = "",
    kind: str = "CiliumNetworkPolicy",
    limit: list = [],
    timeout: float = 10.0,
    max_flows: int = 0,
) -> dict:
    """Make a live policy wrong, and wait until behaviour shows it.

    Give exactly one of `operator` (a mutation operator, see `acns-chaos operators`), `policy_file`
    (YAML or JSON) or `document` (the faulty policy itself).

    Args:
        policy: name of the live policy.
        operator: a mutation operator, such as "ingress-from-nobody"; where it applies at several
            places of the policy, with one of them ("rule-removed@spec.egress[0]"), or the id of a
            mutant as `acns-chaos mutants` prints it.
        policy_file: path of the faulty policy.
        document: the faulty policy.
        namespace: of the policy; "" takes the experiment's namespace.
        kind: CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy or NetworkPolicy.
        limit: workloads ("namespace/name") the effect may reach; empty means no limit.
        timeout: seconds to wait for the effect.
        max_flows: how many flows the fault may turn, counted by workload; 0 means any number.

    Returns:
        The fault: policy, operator, predicted flows, when it was submitted, accepted, realised.
    """
    # The policy engine takes longer to import than the rest: only a run pays for it.
    from acns_chaos.faults.inject import inject

    run = armed_run()
    try:
        given = numbers({"timeout": timeout, "max_flows": max_flows})
        allowed = names("limit", limit)
        ref = policy_ref(kind, namespace or run.target.namespace, policy)
    except (ArgumentError, PolicyError) as error:
        raise FaultRefused(f"{error}. Nothing was changed.".replace("..", ".")) from error
    change = _change(operator, policy_file, document)
    debt = inject(run, ref, change, allowed, given["timeout"], int(given["max_flows"]))
    logger.info(f"Fault {debt.operator} on {ref}: {debt.realised_by}")
    return {key: value for key, value in debt.as_json().items() if key not in ("before", "fault")}


def restore_policies(
    force: bool = False,
    timeout: float = 10.0,
) -> dict:
    """Put back every policy this run changed, and verify it; say so when there is none.

    Args:
        force: overwrite what somebody else wrote meanwhile.
        timeout: seconds to wait for the original's behaviour, for each policy.

    Returns:
        `{"restored": [...], "sentence": "..."}`.
    """
    from acns_chaos.faults.restore import restore_all

    if why := refusal():
        return {"restored": [], "sentence": f"Nothing to restore, as nothing ran: {why}"}
    run = armed_run()
    paid = restore_all(run, force=force, timeout=numbers({"timeout": timeout})["timeout"])
    restored = [str(debt.ref) for debt in paid]
    sentence = (
        f"Restored {', '.join(restored)}, read back as before"
        if restored
        else "Nothing to restore: this run leaves no policy changed"
    )
    logger.info(sentence)
    return {"restored": restored, "sentence": sentence}


def _change(operator: str, policy_file: str, document: dict[str, Any]) -> "Change":
    given = [
        name
        for name, value in (
            ("operator", operator),
            ("policy_file", policy_file),
            ("document", document),
        )
        if value
    ]
    if len(given) != 1:
        raise FaultRefused(
            f"inject_fault needs exactly one of operator, policy_file or document; it got "
            f"{' and '.join(given) or 'none'}. Nothing was changed."
        )
    from acns_chaos.faults.inject import by_document, by_operator, load_document

    if operator:
        return by_operator(operator)
    try:
        return by_document(load_document(policy_file) if policy_file else document)
    except PolicyError as error:
        raise FaultRefused(f"{error} Nothing was changed.") from error
