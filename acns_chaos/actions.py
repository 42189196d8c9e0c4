"""What an experiment may do: inject a fault into a live policy, put it back, restart a workload.

All refuse without an armed guard, and end the run then: the host would go on after a failed
action and exit 0 (reference chaos-toolkit.md §0.3).
"""

import logging
from typing import TYPE_CHECKING, Any

from acns_chaos.cluster.policies import policy_ref
from acns_chaos.errors import ArgumentError, FaultRefused, PolicyError
from acns_chaos.evidence.arguments import names, numbers, whole
from acns_chaos.faults.runcontext import refusal
from acns_chaos.faults.session import armed_run

if TYPE_CHECKING:
    from acns_chaos.cluster.policies import PolicyRef
    from acns_chaos.faults.change import Change

__all__ = ["inject_fault", "restart_pods", "restore_policies"]

logger = logging.getLogger("chaostoolkit")


def inject_fault(
    policy: str = "",
    operator: str = "",
    policy_file: str = "",
    document: dict = {},
    namespace: str = "",
    kind: str = "CiliumNetworkPolicy",
    limit: list = [],
    timeout: float = 10.0,
    max_flows: int = 0,
    create: bool = False,
    ignored: bool = False,
    gitops: str = "refuse",
    witness: str = "",
) -> dict:
    """Make live policies wrong, and wait until behaviour shows it.

    Give exactly one of `operator` (a mutation operator, see `acns-chaos operators`), `policy_file`
    (YAML or JSON, one policy or several) or `document` (the faulty policy itself).

    Args:
        policy: name of the live policy; may be left out where the documents name theirs.
        operator: a mutation operator, such as "ingress-from-nobody"; where it applies at several
            places of the policy, with one of them ("rule-removed@spec.egress[0]"), or the id of a
            mutant as `acns-chaos mutants` prints it.
        policy_file: path of the faulty policies.
        document: the faulty policy.
        namespace: of the policy; "" takes the experiment's namespace.
        kind: CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy or NetworkPolicy.
        limit: workloads ("namespace/name") the effect may reach; empty means no limit.
        timeout: seconds to wait for the effect.
        max_flows: how many flows the fault may turn, counted by workload; 0 means any number.
        create: the documents may be of policies that do not exist: the fault creates them, and the
            restore deletes them.
        ignored: take a fault that the agents would ignore, to see that somebody notices.
        gitops: "refuse" a policy that Flux or Argo CD reconciles, or "observe": then it may be
            what recovers.
        witness: a flow to see the effect by, such as "order-service -> graph.microsoft.com:443":
            it is tried before the fault and must turn; "" takes one of those that are predicted.

    Returns:
        The fault: policy, operator, predicted flows, when it was submitted, accepted, realised; of
        several objects the first one's, and all of them under `objects`.
    """
    # The policy engine takes longer to import than the rest: only a run pays for it.
    from acns_chaos.faults.inject import inject
    from acns_chaos.faults.plan import Limits

    run = armed_run()
    try:
        given = numbers({"timeout": timeout, "max_flows": max_flows})
        limits = Limits(
            names("limit", limit), int(given["max_flows"]), bool(ignored), _word(gitops)
        )
        where = namespace or run.target.namespace
        change = _change(
            operator, policy_file, document, (kind, where, policy), bool(create), bool(ignored)
        )
    except (ArgumentError, PolicyError) as error:
        raise FaultRefused(f"{error} Nothing was changed.".replace("..", ".")) from error
    debts = inject(run, change, limits, given["timeout"], witness)
    first = debts[0]
    objects = ", ".join(str(debt.ref) for debt in debts)
    logger.info(f"Fault {first.operator} on {objects}: {first.realised_by}")
    told = [
        {
            key: value
            for key, value in debt.as_json().items()
            if key not in ("before", "fault", "turned")
        }
        for debt in debts
    ]
    return told[0] if len(told) == 1 else {**told[0], "objects": told}


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


def restart_pods(
    workload: str,
    namespace: str = "",
    pods: int = 0,
    max_pods: int = 5,
    timeout: float = 40.0,
) -> dict:
    """Delete a workload's pods so that its controller makes others, and wait until it has.

    Much of what a policy breaks shows only in a pod that starts: known names and standing
    connections are gone with the old one. This is no fault and leaves nothing to put back. The run
    sees the workload Ready again when its policies are back; one that is not is NOT_RESTORED. It
    needs deploy/rbac/restart.yaml.

    Args:
        workload: the Deployment's, StatefulSet's or DaemonSet's name. A pod that no controller
            would make anew is refused.
        namespace: of the workload; "" takes the experiment's, and there is no other.
        pods: how many of its pods, in the order of their names; 0 takes all, at once.
        max_pods: refuse when more pods would be restarted.
        timeout: seconds until as many pods must be there again, Ready or not; the old ones may take
            their grace.

    Returns:
        `{"workload": ..., "namespace": ..., "pods": [...], "ready_before": ..., "submitted": iso,
        "replaced": iso, "sentence": "..."}`.
    """
    from acns_chaos.faults.restarts import restart

    run = armed_run()
    try:
        # A slip must never mean all of them.
        number, most = whole("pods", pods, 0), whole("max_pods", max_pods, 1)
        patience = numbers({"timeout": timeout})["timeout"]
    except ArgumentError as error:
        raise FaultRefused(f"{error}. Nothing was changed.") from error
    where = namespace or run.target.namespace
    done = restart(run, where, workload, number, most, patience)
    sentence = f"{where}/{workload}: {', '.join(done['pods'])} deleted, others made"
    return {**done, "sentence": sentence}


def _word(gitops: str) -> str:
    if gitops not in ("refuse", "observe"):
        raise ArgumentError(f"gitops is {gitops!r}: write refuse or observe.")
    return gitops


def _change(
    operator: str,
    policy_file: str,
    document: dict[str, Any],
    named: tuple[str, str, str],
    create: bool,
    ignored: bool,
) -> "Change":
    """Say what is to be made of which policy; `named` is its kind, namespace and name."""
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
    from acns_chaos.faults.change import by_documents, by_operator, load_documents

    kind, namespace, policy = named
    if operator:
        return by_operator(operator, policy_ref(kind, namespace, policy), ignored)
    documents = load_documents(policy_file) if policy_file else [document]
    if policy:
        documents = [_about(one, policy_ref(kind, namespace, policy)) for one in documents]
    return by_documents(documents, namespace, create)


def _about(document: dict[str, Any], ref: "PolicyRef") -> dict[str, Any]:
    """Hold a document against the policy that the experiment names."""
    metadata = document.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise PolicyError("The document's metadata is no object.")
    said = {
        "kind": document.get("kind"),
        "name": metadata.get("name"),
        "namespace": metadata.get("namespace"),
    }
    for key, value in ref.as_json().items():
        if said[key] and said[key] != value:
            raise PolicyError(
                f"The document is for {key} {said[key]!r}, the fault for {value!r}: correct one of "
                "them."
            )
    return {**document, "kind": ref.kind, "metadata": {**metadata, "name": ref.name}}
