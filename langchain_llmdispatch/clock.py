"""Time as a parameter: the one place that reads a clock or sleeps."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import ClassVar


class Clock:
    """The real clock. Tests pass one of their own, so that nothing waits for real.

    Attributes:
        virtual: Whether another clock stands in for the real one, as in tests.
    """

    virtual: ClassVar[bool] = False

    def monotonic(self) -> float:
        """Return seconds that only ever grow; for durations and deadlines."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the time of day, in UTC; for prices and timestamps."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait in this thread."""
        time.sleep(seconds)  # noqa: TID251 - the one place that sleeps

    async def asleep(self, seconds: float) -> None:
        """Wait in this task."""
        await asyncio.sleep(seconds)
