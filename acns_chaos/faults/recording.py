"""What the policies were when a run began."""

from typing import Any

from acns_chaos.cluster.policies import content_hash, policy_ref

__all__ = ["recorded_hashes"]


def recorded_hashes(policies: list[dict[str, Any]]) -> dict[str, str]:
    """Map `kind namespace/name` to the content hash of each policy."""
    hashes: dict[str, str] = {}
    for one in policies:
        metadata = one["metadata"]
        ref = policy_ref(str(one["kind"]), metadata.get("namespace", ""), str(metadata["name"]))
        hashes[f"{ref.kind} {ref}"] = content_hash(one)
    return hashes
