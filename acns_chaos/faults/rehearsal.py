"""Ask the server, without writing, whether it would take the fault and the original back."""

from collections.abc import Mapping, Sequence
from typing import Any

from acns_chaos.cluster.policies import Policies, policy_ref
from acns_chaos.errors import ApiError, Conflict

__all__ = ["rehearse"]


def rehearse(policies: Policies, steps: Sequence[Mapping[str, Any]]) -> None:
    """Send each write as a server-side dry run.

    Args:
        policies: of the cluster, over the connection that is to be tried.
        steps: each with `step` (a word for the error), `verb` (replace, create, delete), `policy`
            (raw), and for a create `exists` when the name is still taken.

    Raises:
        Conflict: an object changed meanwhile.
        ApiError: the server would refuse one; the sentence says which.
    """
    for step in steps:
        try:
            _send(policies, str(step["verb"]), step["policy"])
        except Conflict:
            # The server judges an object before it looks whether one of that name exists.
            if not (step["verb"] == "create" and step.get("exists")):
                raise
        except ApiError as error:
            raise ApiError(
                f"The API server would refuse the {step['step']}: {error}", error.status
            ) from error


def _send(policies: Policies, verb: str, policy: Mapping[str, Any]) -> None:
    if verb == "replace":
        policies.replace(policy, dry_run=True)
    elif verb == "create":
        policies.create(policy, dry_run=True)
    else:
        metadata = policy["metadata"]
        ref = policy_ref(str(policy["kind"]), metadata.get("namespace", ""), metadata["name"])
        policies.delete(ref, policy, dry_run=True)
