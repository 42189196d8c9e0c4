"""Inject a fault into a live policy: predict, limit, rehearse, record, write, realise.

Every refusal comes before the first write, and is one sentence.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from acns_chaos.cluster.inventory import take_inventory
from acns_chaos.cluster.policies import PolicyRef, content
from acns_chaos.errors import (
    ApiError,
    Conflict,
    FaultRefused,
    FaultUncertain,
    NotFound,
    PolicyError,
)
from acns_chaos.faults.ledger import Debt, now
from acns_chaos.faults.prediction import (
    Prediction,
    predict,
    require_no_lockout,
    require_within,
)
from acns_chaos.faults.restore import MARK, restore_debt
from acns_chaos.faults.runcontext import RunContext
from acns_chaos.faults.witness import wait_for_flow
from acns_chaos.policy.operators import Surroundings, apply_operator
from acns_chaos.policy.validity import problems

__all__ = ["Change", "by_document", "by_operator", "inject", "load_document"]

# A conflict means that somebody else writes too; each round reads what they wrote first.
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Change:
    """What to make of a live policy.

    Attributes:
        name: for the record: the operator's name, or "document".
        apply: live object (raw), what else is live → faulty object (raw); raises PolicyError.
    """

    name: str
    apply: Callable[[Mapping[str, Any], Surroundings], dict[str, Any]]


def by_operator(name: str) -> Change:
    """Change a policy by a mutation operator of `policy.operators`.

    Args:
        name: an operator, when it applies at exactly one place of the policy; else `name@place`,
            or the id of a mutant as `acns-chaos mutants` prints it.
    """
    return Change(name, lambda live, around: apply_operator(name, live, around=around))


def by_document(document: Mapping[str, Any]) -> Change:
    """Change a policy into a given document: its spec replaces the live one's."""

    def become(live: Mapping[str, Any], _: Surroundings) -> dict[str, Any]:
        for key in ("kind", "apiVersion"):
            if document.get(key) != live.get(key):
                raise PolicyError(
                    f"The document's {key} is {document.get(key)!r}, the live policy's "
                    f"{live.get(key)!r}: give the whole policy as `kubectl get -o yaml` prints it."
                )
        for key in ("name", "namespace"):
            said = (document.get("metadata") or {}).get(key)
            if said and said != live["metadata"].get(key):
                raise PolicyError(
                    f"The document is for {key} {said!r}, the fault for "
                    f"{live['metadata'].get(key)!r}: correct one of them."
                )
        changed = {key: deepcopy(value) for key, value in live.items() if key not in _SPECS}
        changed.update({key: deepcopy(document[key]) for key in _SPECS if key in document})
        return changed

    return Change("document", become)


_SPECS = ("spec", "specs")


def load_document(path: str) -> dict[str, Any]:
    """Read one policy from a YAML or JSON file.

    Raises:
        PolicyError: the file cannot be read, or does not hold exactly one policy.
    """
    try:
        documents = [one for one in yaml.safe_load_all(Path(path).read_text("utf-8")) if one]
    except OSError as error:
        raise PolicyError(f"Policy file {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PolicyError(f"Policy file {path} is not YAML{_where(error)}.") from error
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise PolicyError(f"Policy file {path} must hold exactly one policy, not {len(documents)}.")
    found = documents[0]
    if not isinstance(found.get("metadata"), dict) or not any(key in found for key in _SPECS):
        raise PolicyError(f"Policy file {path} holds no policy: it needs metadata and a spec.")
    return found


def _where(error: Exception) -> str:
    """Say what is wrong and where, without the parser's drawing of it."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return f": {problem}{place}" if problem else place


def inject(
    run: RunContext,
    ref: PolicyRef,
    change: Change,
    limit: Sequence[str],
    timeout: float,
    max_flows: int = 0,
) -> Debt:
    """Make a live policy wrong, and wait until behaviour shows it.

    Args:
        run: the armed run.
        ref: the policy.
        change: how.
        limit: workloads (`namespace/name`) the effect may reach; empty means no limit.
        timeout: seconds to wait for the effect.
        max_flows: how many flows the fault may turn; 0 means any number.

    Returns:
        The debt; `realised` is "" when the effect was not seen in time.

    Raises:
        TargetRefused: this cluster may not be changed.
        FaultRefused: refused, nothing was changed.
        FaultUncertain: something may have been stored; the debt stands until it is restored.
    """
    run.require_changes_allowed()
    live, faulty, prediction = _plan(run, ref, change, limit, max_flows)
    debt = Debt(
        id=f"f{len(run.ledger.all()) + 1}",
        ref=ref,
        operator=change.name,
        before=live,
        predicted=prediction.as_json(),
        fault=faulty,
    )
    _commit(run, debt, faulty)
    flip = wait_for_flow(run, prediction, faulty=True, timeout=timeout)
    debt.realised, debt.realised_by = flip.at, flip.sentence
    if flip.at:
        run.note("realised", flip.sentence, flip.at)
        if prediction.closed:
            run.note_first("first-failed-request", flip.sentence, flip.at)
    return debt


def _plan(
    run: RunContext, ref: PolicyRef, change: Change, limit: Sequence[str], max_flows: int
) -> tuple[dict[str, Any], dict[str, Any], Prediction]:
    """Read, change, check and predict; write nothing."""
    try:
        live = run.policies.get(ref)
        inventory = take_inventory(run.api)
        around = Surroundings(inventory.policies, inventory.pods, inventory.services)
        changed = change.apply(live, around)
    except (NotFound, PolicyError) as error:
        raise FaultRefused(f"{error} Nothing was changed.") from error
    if content(changed) == content(live):
        raise FaultRefused(
            f"{change.name!r} leaves {ref} as it is: there is no fault to inject. "
            "Nothing was changed."
        )
    wrong = problems(changed)
    if wrong:
        raise FaultRefused(
            f"The agents would ignore the faulty {ref} and keep enforcing the old one "
            f"({'; '.join(wrong)}). Nothing was changed."
        )
    prediction = predict(inventory, changed)
    require_no_lockout(prediction)
    if prediction.radius.empty:
        raise FaultRefused(
            f"{change.name!r} on {ref} turns no verdict among the live pods: the run would prove "
            "nothing. Nothing was changed."
        )
    require_within(prediction, limit, max_flows)
    return live, _marked(run, changed), prediction


def _marked(run: RunContext, changed: dict[str, Any]) -> dict[str, Any]:
    """Let the faulty object say on itself who broke it, for whoever is on call."""
    marked = deepcopy(changed)
    annotations = dict(marked["metadata"].get("annotations") or {})
    annotations[f"{MARK}run"] = run.run
    annotations[f"{MARK}fault"] = "injected on purpose; the run that did it restores the original"
    marked["metadata"]["annotations"] = annotations
    return marked


def _commit(run: RunContext, debt: Debt, faulty: dict[str, Any]) -> None:
    """Rehearse, record, write; a conflict that changed no content is only read again.

    The operator writes a policy's status some milliseconds after every write to it (captures,
    "Validation and status"), so the version read a moment ago is often an older one.
    """
    for _ in range(ROUNDS):
        live = run.policies.get(debt.ref)
        if content(live) != content(debt.before):
            raise FaultRefused(
                f"{debt.ref} was changed by somebody else while the fault was prepared. "
                "Nothing was changed by this run."
            )
        faulty["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
        try:
            _rehearse(run, faulty, live)
            run.ledger.record(debt)
            _write(run, debt, faulty)
            return
        except Conflict:
            continue
    raise FaultRefused(
        f"{debt.ref} was written by somebody else {ROUNDS} times while the fault was prepared. "
        "Nothing was changed by this run."
    )


def _rehearse(run: RunContext, faulty: Mapping[str, Any], live: Mapping[str, Any]) -> None:
    """Ask the server whether it would take the fault, and the original back."""
    for step, policy in (("fault", faulty), ("restore", live)):
        try:
            run.policies.replace(policy, dry_run=True)
        except Conflict:
            raise
        except ApiError as error:
            raise FaultRefused(
                f"The API server would refuse the {step}: {error}. Nothing was changed."
            ) from error


def _write(run: RunContext, debt: Debt, faulty: Mapping[str, Any]) -> None:
    """PUT the fault, and compare what was stored with what was meant."""
    submitted = now()
    debt.submitted = submitted
    try:
        stored = run.policies.replace(faulty)
    except ApiError as error:
        _refused(run, debt, error)
        raise
    run.note("submitted", f"PUT {debt.ref} with fault {debt.operator}", submitted)
    debt.accepted, debt.fault = now(), stored
    run.note("accepted", f"{debt.ref} stored as generation {_generation(stored)}", debt.accepted)
    if content(stored) != content(faulty):
        restore_debt(run, debt)
        raise FaultUncertain(
            f"The API server stored something else than the fault on {debt.ref}; "
            "the original was put back."
        )


def _refused(run: RunContext, debt: Debt, error: ApiError) -> None:
    """Drop the debt when nothing was stored for certain; keep it when nobody knows."""
    if not 400 <= error.status < 500:
        raise FaultUncertain(
            f"Whether the fault on {debt.ref} was stored is not known ({error}); "
            "it is restored in any case."
        ) from error
    run.ledger.forget(debt)
    if not isinstance(error, Conflict):
        raise FaultRefused(
            f"The API server refused the fault on {debt.ref}: {error}. Nothing was changed."
        ) from error


def _generation(policy: Mapping[str, Any]) -> str:
    return str((policy.get("metadata") or {}).get("generation", "?"))
