"""Points in time and numbers that nobody vouches for: what is none is None, nothing raises."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.evidence.values import moment, number
from tests.unit.hostile import MOMENTS, NUMBERS, short

ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MONTH = timedelta(days=31)


@given(st.datetimes(timezones=st.none() | ZONES) | st.text(max_size=40) | st.integers())
def test_a_moment_can_be_reckoned_with(value: object) -> None:
    """Whatever it is read from: it is in UTC, and neither seconds nor months around it overflow."""
    for told in (value, str(value)):
        found = moment(told)
        if found is not None:
            assert found.tzinfo is UTC
            assert (
                found - MONTH < datetime.fromtimestamp(found.timestamp() + 1, UTC) < found + MONTH
            )


@pytest.mark.parametrize("told", MOMENTS)
def test_what_nobody_can_mean_is_no_moment(told: str) -> None:
    """Go writes the year 1 for never, others 1970; an offset may lead out of the calendar."""
    assert moment(told) is None


def test_a_moment_is_told_in_utc() -> None:
    """Whatever its offset; without one it is in UTC."""
    there = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
    assert moment("2026-11-23T10:00:00+01:30") == moment("2026-11-23T08:30:00") == there
    assert str(moment("2026-11-23T10:00:00+01:30")) == "2026-11-23 08:30:00+00:00"


@pytest.mark.parametrize("told", [*NUMBERS, math.nan, math.inf, True, "1"], ids=short)
def test_what_nobody_can_have_counted_is_no_number(told: object) -> None:
    """Sums and products of numbers do not overflow."""
    assert number(told) is None
    assert number(2**53) == 2.0**53
