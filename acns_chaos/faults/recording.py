"""What the policies were when a run began."""

from typing import Any

from acns_chaos.cluster.policies import content_hash, policy_ref

__all__ = ["recorded_hashes"]


def recorded_hashes(policies: list[dict[str, Any]], namespace: str) -> dict[str, str]:
    """Map `kind namespace/name` to the content hash of each policy that concerns a namespace.

    Args:
        policies: raw objects of any kind and namespace.
        namespace: its own policies and the clusterwide ones are kept; what other teams change in
            theirs during a run is no news about this one.
    """
    hashes: dict[str, str] = {}
    for one in policies:
        metadata = one["metadata"]
        ref = policy_ref(str(one["kind"]), metadata.get("namespace", ""), str(metadata["name"]))
        if ref.namespace in ("", namespace):
            hashes[f"{ref.kind} {ref}"] = content_hash(one)
    return hashes
