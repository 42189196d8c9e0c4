"""Why Hubble relay cannot be asked."""

from acns_chaos.errors import ApiError

__all__ = ["CAUSES", "HubbleError"]

CAUSES = (
    "relay-absent",
    "relay-down",
    "no-permission",
    "no-certificates",
    "certificate-expired",
    "untrusted",
    "tls-off",
    "unreachable",
    "bad-filter",
)


class HubbleError(ApiError):
    """Hubble relay cannot be asked.

    Attributes:
        cause: one of CAUSES.
    """

    def __init__(self, message: str, cause: str, status: int = 0) -> None:
        super().__init__(message, status)
        self.cause = cause
