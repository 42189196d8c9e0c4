"""Every error of ours, one tree. A message is one sentence: what was found, where, what to do.

::

    AcnsChaosError
    ├── TargetError        which cluster is meant cannot be told, or it cannot be reached
    │   └── TargetRefused  it can, but this run may not touch it
    ├── NotArmed           an activity was called without the guard control
    ├── ArgumentError      an argument of an activity cannot be meant
    ├── PolicyError        a policy document or an operator cannot be used
    │   └── DocumentError  a file, a folder or a git revision of one cannot be read as objects
    ├── FaultRefused       a fault was not injected: nothing was written
    ├── FaultUncertain     whether a fault was stored is not known, or not as it was meant
    ├── LeaseHeld          somebody else may change this namespace now
    ├── WatchdogGone       nobody would restore if this process died
    ├── RecordBroken       the record of an original cannot be read, or was changed
    │   └── RecordGone     it is named and no longer there
    ├── RestoreFailed      an original could not be put back, or not be verified
    │   └── Drifted        because somebody else changed the object meanwhile
    ├── ApiError           an API (Kubernetes, Prometheus) answered with an error
    │   ├── NotFound       404
    │   ├── Conflict       409
    │   └── Forbidden      401 or 403
    ├── GameDayError       results or a history of game days cannot be used
    └── JournalError       a journal cannot be read
        └── JournalCutOff  to its end: the host stopped while it wrote

Class names appear in journals ("acns_chaos.errors.FaultRefused: ..."), so they are findings.
"""

__all__ = [
    "AcnsChaosError",
    "ApiError",
    "ArgumentError",
    "Conflict",
    "DocumentError",
    "Drifted",
    "FaultRefused",
    "FaultUncertain",
    "Forbidden",
    "GameDayError",
    "JournalCutOff",
    "JournalError",
    "LeaseHeld",
    "NotArmed",
    "NotFound",
    "PolicyError",
    "RecordBroken",
    "RecordGone",
    "RestoreFailed",
    "TargetError",
    "TargetRefused",
    "WatchdogGone",
]


class AcnsChaosError(Exception):
    """Anything this package says went wrong."""


class TargetError(AcnsChaosError):
    """Which cluster is meant cannot be told, or it cannot be reached."""


class TargetRefused(TargetError):
    """The cluster is known, but this run may not touch it."""


class NotArmed(AcnsChaosError):
    """An activity was called without the guard control."""


class ArgumentError(AcnsChaosError):
    """An argument of an activity cannot be meant."""


class PolicyError(AcnsChaosError):
    """A policy document or an operator cannot be used."""


class DocumentError(PolicyError):
    """A file, a folder or a git revision of one cannot be read as objects."""


class FaultRefused(AcnsChaosError):
    """A fault was not injected; nothing was written."""


class FaultUncertain(AcnsChaosError):
    """Whether a fault was stored is not known, or it was not stored as it was meant."""


class LeaseHeld(AcnsChaosError):
    """Somebody else may change this namespace now; nothing was written."""


class WatchdogGone(AcnsChaosError):
    """The watchdog does not answer: nobody would restore if this process died."""


class RecordBroken(AcnsChaosError):
    """The record of an original cannot be read, or is not what was written."""


class RecordGone(RecordBroken):
    """The Lease names a record that is no longer there: nobody can restore from it."""


class RestoreFailed(AcnsChaosError):
    """An original could not be put back, or not be verified.

    Attributes:
        retryable: whether trying again may help: the API server was silent or overloaded.
    """

    def __init__(self, message: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class Drifted(RestoreFailed):
    """The object is neither the original nor the fault any more; it was not overwritten.

    Attributes:
        difference: what the fault changed, and what somebody changed since.
    """

    def __init__(self, message: str, difference: str = "") -> None:
        super().__init__(message)
        self.difference = difference


class ApiError(AcnsChaosError):
    """An API (Kubernetes, Prometheus) answered with an error.

    Attributes:
        status: the HTTP status code, 0 when there was no answer.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class NotFound(ApiError):
    """The object does not exist (404)."""


class Conflict(ApiError):
    """The object changed meanwhile, or exists already (409)."""


class Forbidden(ApiError):
    """The credentials do not allow it (401 or 403)."""


class JournalError(AcnsChaosError):
    """A journal cannot be read."""


class GameDayError(AcnsChaosError):
    """Results or a history of game days cannot be used as they are; nothing was overwritten."""


class JournalCutOff(JournalError):
    """A journal ends in the middle: the host stopped while it wrote.

    Attributes:
        written: the file's text up to there.
    """

    def __init__(self, message: str, written: str = "") -> None:
        super().__init__(message)
        self.written = written
