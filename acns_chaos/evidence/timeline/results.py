"""What a client's result means for a customer; whoever tells of results needs no client for it."""

from acns_chaos.cluster.connecting import CONNECTED, FAILED
from acns_chaos.evidence.timeline.runs import MIXED

__all__ = ["is_bad", "is_good"]


def is_good(result: str) -> bool:
    """Whether a customer would have been served.

    Args:
        result: a word of a client's series: "connected", "silent", "200", ...
    """
    status = result.isascii() and result.isdigit() and len(result) == 3
    return result == CONNECTED or (status and 200 <= int(result) < 400)


def is_bad(result: str) -> bool:
    """Whether a customer would not; what this machine could not even try is neither."""
    return not is_good(result) and result not in (FAILED, MIXED)
