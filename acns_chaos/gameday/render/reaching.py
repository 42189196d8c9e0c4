"""Whether what lets a pod in leads to the cluster that it was made for.

Belongs here: one question before a shard begins. Does not belong here: running it.
"""

from collections.abc import Mapping
from typing import Any

from acns_chaos.cluster.target import Choice, connect, describe
from acns_chaos.errors import GameDayError

__all__ = ["require_cluster"]


def require_cluster(told: Mapping[str, Any], kubeconfig: str) -> None:
    """Refuse another cluster than the one that is meant, before anything is broken there.

    Args:
        told: as `Cluster.as_json`; without a uid nothing is asked.
        kubeconfig: path of the one with the cluster's context.

    Raises:
        TargetError: the cluster cannot be reached.
        GameDayError: it is another one.
    """
    wanted = told.get("uid")
    if not wanted:
        return
    api, context = connect(Choice("context", told["context"]), kubeconfig)
    try:
        found = describe(api, context, "").uid
    finally:
        api.close()
    # Whoever may not read it is not told apart by it.
    if found and found != wanted:
        raise GameDayError(
            f"The kubeconfig of cluster {told['name']} leads to the cluster with the uid {found}, "
            f"and {wanted} is meant: correct its Secret, or the uid in the file of clusters."
        )
