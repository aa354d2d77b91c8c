"""Periods of the calendar in time zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.budgets.period import CALENDAR, end_of, index_of

ZONES = [UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")]


def test_a_day_ends_at_midnight_of_its_zone() -> None:
    """Not at that of UTC, and a day with a change of the clock has 25 hours."""
    berlin = ZoneInfo("Europe/Berlin")
    assert end_of(datetime(2026, 11, 28, 22, 59, tzinfo=UTC), "day", berlin).hour == 23
    begun = datetime(2026, 10, 24, 22, tzinfo=UTC)  # midnight of the 25th, in summer
    assert end_of(begun, "day", berlin) - begun == timedelta(hours=25)


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    """The ends are the next beginnings."""
    saturday = datetime(2026, 11, 28, 12, tzinfo=UTC)
    assert end_of(saturday, "week", UTC) == datetime(2026, 11, 30, tzinfo=UTC)
    assert end_of(saturday, "month", UTC) == datetime(2026, 12, 1, tzinfo=UTC)
    assert end_of(datetime(2026, 12, 31, tzinfo=UTC), "month", UTC) == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("period", [*CALENDAR, 90.0])
@given(
    at=st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),
    zone=st.sampled_from(ZONES),
)
def test_a_period_ends_where_the_next_begins(period: object, at: datetime, zone: ZoneInfo) -> None:
    """A moment before its end it is the same one, at the end the next."""
    end, number = end_of(at, period, zone), index_of(at, period, zone)
    assert index_of(end - timedelta(microseconds=1), period, zone) == number
    assert index_of(end, period, zone) == number + 1
    assert end > at
