"""A clock that only tests move."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from langchain_llmdispatch.clock import Clock


class FakeClock(Clock):
    """Sleeping moves it; nothing waits for real."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Return the virtual seconds."""
        return self._now

    def now(self) -> datetime:
        """Return a virtual time of day."""
        return datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=self._now)

    def advance(self, seconds: float) -> None:
        """Move time."""
        with self._lock:
            self._now += seconds

    def sleep(self, seconds: float) -> None:
        """Move time instead of waiting."""
        self.slept.append(seconds)
        self.advance(seconds)

    async def asleep(self, seconds: float) -> None:
        """Move time instead of waiting."""
        self.sleep(seconds)
