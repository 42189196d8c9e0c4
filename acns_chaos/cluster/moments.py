"""Points in time that others wrote: servers, journals, results.

Belongs here: which of them can be meant. Does not belong here: what happened then.
"""

from datetime import UTC, datetime

__all__ = ["END", "moment"]

# What a run may be of. Whoever has no time writes the first moment of 1970, or of the year 1; a
# year beyond is a slip, and what says it would be the newest for ever.
_BEGIN, _END = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
END = _END.timestamp()
"""The same end in seconds since 1970."""


def moment(value: object) -> datetime | None:
    """Return a point in time in UTC from ISO 8601 text; it is in UTC when no offset is given.

    None for what is none, and for what is not between 1970 and 2200: so it can be compared, counted
    in seconds and shown in any time zone. Never raises.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    try:
        found = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except (OverflowError, ValueError):  # an offset that leads out of the years 1 to 9999
        return None
    return found if _BEGIN < found < _END else None
