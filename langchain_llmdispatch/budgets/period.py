"""Periods: by the calendar of a time zone, or so many seconds long."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

Period: TypeAlias = Literal["hour", "day", "week", "month"] | float
"""A calendar period, or so many seconds."""
CALENDAR = ("hour", "day", "week", "month")


def zone_of(name: str | tzinfo) -> tzinfo:
    """Return a time zone by its name (`Europe/Berlin`).

    Raises:
        KeyError: There is no such zone; `ZoneInfoNotFoundError` is one.
        ValueError: The text cannot be the name of a zone.
    """
    if isinstance(name, tzinfo):
        return name
    return UTC if name.upper() == "UTC" else ZoneInfo(name)


def index_of(at: datetime, period: Period, zone: tzinfo) -> int:
    """Return the number of the period that a moment is in; later periods have higher ones."""
    if not isinstance(period, str):
        return int(at.timestamp() // period)
    local = at.astimezone(zone)
    if period == "month":
        return local.year * 12 + local.month
    if period == "hour":
        return int((at.timestamp() + _offset(local)) // 3600)
    day = local.toordinal()
    return day if period == "day" else (day - 1) // 7  # 0001-01-01 was a Monday


def end_of(at: datetime, period: Period, zone: tzinfo) -> datetime:
    """Return when the period that a moment is in ends, in UTC."""
    if not isinstance(period, str):
        return datetime.fromtimestamp((index_of(at, period, zone) + 1) * period, UTC)
    local = at.astimezone(zone)
    if period == "hour":
        begun = local.replace(minute=0, second=0, microsecond=0)
        return (begun.astimezone(UTC) + timedelta(hours=1)).astimezone(UTC)
    day = local.date()
    if period == "month":
        following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    else:
        following = day + timedelta(days=1 if period == "day" else 7 - day.weekday())
    return datetime(following.year, following.month, following.day, tzinfo=zone).astimezone(UTC)


def _offset(local: datetime) -> float:
    offset = local.utcoffset()
    return 0.0 if offset is None else offset.total_seconds()
