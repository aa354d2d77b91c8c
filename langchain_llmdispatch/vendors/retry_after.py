"""The wait that a response states in its headers."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_LONGEST = 366 * 86_400.0
"""Seconds. A longer wait is a mistake of the header: it would close a deployment for good."""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait by `retry-after-ms` or `retry-after` (seconds, decimals, date).

    A date is read against the response's own `date` header. None if absent, unreadable or over a year.
    """
    wait = _stated(headers)
    return wait if wait is not None and wait <= _LONGEST else None


def _stated(headers: Mapping[str, str]) -> float | None:
    if (ms := _seconds(headers.get("retry-after-ms"))) is not None:
        return ms / 1000
    text = headers.get("retry-after")
    if text is None:
        return None
    if (seconds := _seconds(text)) is not None:
        return seconds
    try:
        until, now = parsedate_to_datetime(text), parsedate_to_datetime(headers["date"])
        return max(0.0, (until - now).total_seconds())
    except (KeyError, TypeError, ValueError):
        return None


def _seconds(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
