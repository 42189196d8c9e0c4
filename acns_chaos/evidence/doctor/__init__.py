"""The doctor: what of all this works here, line by line, and what mends the rest.

Each check is a small function from a `Context` to its findings. One that fails is a line
"unknown" and stops none of the others. Nothing is changed, and no secret is read into a finding.
"""

from collections.abc import Iterable, Iterator

from acns_chaos.errors import AcnsChaosError, Forbidden, TargetError
from acns_chaos.evidence.doctor import (
    cilium,
    cluster,
    hubble,
    permissions,
    policies,
    prometheus,
    shop,
)
from acns_chaos.evidence.doctor.finding import (
    LEVELS,
    MISSING,
    OK,
    UNKNOWN,
    WARN,
    Check,
    Context,
    Finding,
)

__all__ = ["CHECKS", "LEVELS", "MISSING", "OK", "UNKNOWN", "WARN", "Context", "Finding", "examine"]

# In the order of what depends on what.
CHECKS: tuple[tuple[str, Check], ...] = (
    *cluster.CHECKS,
    *cilium.CHECKS,
    *shop.CHECKS,
    *hubble.CHECKS,
    *prometheus.CHECKS,
    *permissions.CHECKS,
    *policies.CHECKS,
)


def examine(context: Context, checks: Iterable[tuple[str, Check]] = CHECKS) -> Iterator[Finding]:
    """Ask every check.

    Args:
        context: what to look at.
        checks: name and function of each.

    Yields:
        Findings, in the order of the checks, as they come.
    """
    for name, check in checks:
        try:
            yield from check(context)
        except Forbidden as error:
            level = WARN if name in _DETAILS else UNKNOWN
            yield Finding(level, name, f"This account may not look: {error}", _LOOK)
        except TargetError as error:
            yield Finding(UNKNOWN, name, str(error))
        except AcnsChaosError as error:
            yield Finding(UNKNOWN, name, f"It cannot be told: {error}")
        except Exception as error:  # noqa: BLE001 - an odd answer to one check hides no other line
            # Only its kind: what an unforeseen error quotes may be anything.
            yield Finding(UNKNOWN, name, f"The check broke over what it found ({_kind(error)}).")


# What no tier may read, as no run needs it; others tell whether flows and drops arrive.
_DETAILS = frozenset({"Cilium's settings", "Hubble", "metric filters", "scraping"})
_LOOK = "let somebody run the doctor who may, or grant that verb to this account"


def _kind(error: BaseException) -> str:
    return type(error).__name__
