"""The stop object: a ConfigMap that any operator can create to end every run.

`kubectl create configmap acns-chaos-stop -n NAMESPACE`. In the namespace of an experiment it ends
that one; in namespace `acns-chaos` it ends all of them.
"""

from collections.abc import Iterable

from acns_chaos.cluster.kube import Api
from acns_chaos.errors import NotFound

__all__ = ["CENTRAL", "STOP", "stopped"]

STOP = "acns-chaos-stop"
# Where what concerns the whole cluster lies.
CENTRAL = "acns-chaos"


def stopped(api: Api, namespaces: Iterable[str]) -> str:
    """Say who asked everything to stop.

    Args:
        api: the connection.
        namespaces: where to look.

    Returns:
        One sentence, "" when nobody did.

    Raises:
        ApiError: it cannot be told; a namespace that does not exist holds no such object.
    """
    for namespace in namespaces:
        try:
            there = api.get(f"/api/v1/namespaces/{namespace}/configmaps/{STOP}")
        except NotFound:
            continue
        since = there["metadata"].get("creationTimestamp", "")
        return (
            f"ConfigMap {STOP} stands in namespace {namespace} since {since}: every run ends and "
            f"restores; delete it with `kubectl delete configmap {STOP} -n {namespace}` to go on."
        )
    return ""
