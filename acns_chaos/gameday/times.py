"""Lengths of time as a plan writes them, and the hours in which nothing is injected."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

__all__ = ["DAYS", "Blackout", "seconds_of", "told"]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LENGTH = re.compile(r"([0-9]+(?:[.][0-9]+)?)(ms|s|m|h)")


def seconds_of(text: str) -> float:
    """The seconds of "500ms", "60s", "10m" or "1h".

    Raises:
        ValueError: it is none of these.
    """
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no length of time")
    return float(found[1]) * _UNITS[found[2]]


def told(seconds: float) -> str:
    """A length of time for people: "8 s", "4 min 30 s", "2 h 5 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = round(whole / 60)
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


@dataclass(frozen=True, slots=True)
class Blackout:
    """Hours in which no fault is injected.

    Attributes:
        days: on which they begin, as in DAYS.
        begin, end: "16:00"; an end that is not after the beginning is on the next day.
        zone: the time zone's name, one that exists.
    """

    days: tuple[str, ...]
    begin: str
    end: str
    zone: str

    def until(self, moment: datetime) -> datetime | None:
        """When these hours end, if a moment is within them.

        Args:
            moment: with a time zone.

        Returns:
            The end, in the plan's zone; None when the moment is outside.
        """
        zone = ZoneInfo(self.zone)
        here = moment.astimezone(zone)
        for ago in (0, 1):
            day = here.date() - timedelta(days=ago)
            if DAYS[day.weekday()] not in self.days:
                continue
            begin = datetime.combine(day, time.fromisoformat(self.begin), zone)
            # 24:00 is midnight, which begins the next day.
            midnight = self.end == "24:00"
            last = time.min if midnight else time.fromisoformat(self.end)
            over = midnight or self.end <= self.begin
            end = datetime.combine(day + timedelta(days=over), last, zone)
            # Compared as moments: within one zone Python compares clocks, wrong when they change.
            if begin.timestamp() <= here.timestamp() < end.timestamp():
                return end
        return None

    def __str__(self) -> str:
        days = "every day" if len(self.days) == len(DAYS) else " ".join(self.days)
        return f"{days} {self.begin} to {self.end} ({self.zone})"
