"""Seconds as places on a line: a scale in percent of a width, ticks at round numbers, words.

No input is refused: a line without length, or a moment off the line, is put where it can be seen.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Scale", "seconds_text", "ticks"]

# Percent of the width that stay free on either side, so that nothing at an end is cut off.
INSET = 1.5
# Round steps in seconds: below a minute by tens, above by what clocks show.
_CLOCK = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Scale:
    """A stretch of time on a line.

    Attributes:
        begin, end: seconds; what lies outside is put at the nearer end.
    """

    begin: float
    end: float

    def x(self, at: float) -> float:
        """Return where a moment stands, in percent of the width."""
        length = self.end - self.begin
        part = (at - self.begin) / length if length > 0 else 0.5
        return round(INSET + (100 - 2 * INSET) * min(1.0, max(0.0, part)), 2)

    def width(self, since: float, until: float) -> float:
        """Return how long a stretch is, in percent of the width."""
        return round(max(0.0, self.x(until) - self.x(since)), 2)


def ticks(begin: float, end: float, most: int = 7) -> Iterator[tuple[float, str]]:
    """Yield round moments within a stretch, each with its words.

    Args:
        begin: seconds.
        end: seconds.
        most: so many steps at most.
    """
    step = _step((end - begin) / max(1, most))
    if step <= 0:
        return
    first = math.ceil(begin / step - 1e-9)
    for number in range(first, first + most + 1):
        if number * step > end + step * 1e-9:
            return
        yield number * step, seconds_text(number * step, step)


def _step(least: float) -> float:
    """Return the smallest round step that is not below one."""
    if not 0 < least < 1e12:
        return 0.0
    if least > 20:
        return next(
            (float(one) for one in _CLOCK if one >= least), math.ceil(least / 86400) * 86400
        )
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * one for one in (1, 2, 5, 10) if power * one >= least * (1 - 1e-9))


def seconds_text(at: float, step: float = 0.001) -> str:
    """Write a moment: "0.5", "12", "-3", "2:30" (minutes), "1:02:30" (hours).

    Args:
        at: seconds.
        step: between two of them; as many digits are written as tell them apart.
    """
    sign = "−" if at < -step / 2 else ""
    value = abs(at)
    if step >= 30:
        minutes, seconds = divmod(round(value), 60)
        hours, minutes = divmod(minutes, 60)
        shown = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
        return f"{sign}{shown}"
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 3
    return f"{sign}{value:.{digits}f}"
