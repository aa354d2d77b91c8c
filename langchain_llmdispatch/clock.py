"""Time as a parameter: the one module that reads the time or sleeps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

T = TypeVar("T")
LONGEST = 1e6
"""Seconds of the longest timer: sockets and event loops have a bound. A longer wait has no end."""


class Clock:
    """The real clock. Tests pass one of their own, so that no test waits in real time.

    Attributes:
        monotonic: Returns seconds that only ever grow; for durations and deadlines.
        now: Returns the time of day, in UTC; for prices and timestamps.
    """

    # Built-in functions, not methods: reading the time, a dozen times a call, costs no Python frame.
    monotonic: Callable[[], float] = staticmethod(time.monotonic)
    now: Callable[[], datetime] = staticmethod(partial(datetime.now, UTC))

    def sleep(self, seconds: float) -> None:
        """Wait in this thread."""
        time.sleep(seconds)  # noqa: TID251 - the one place that sleeps

    async def asleep(self, seconds: float) -> None:
        """Wait in this task."""
        await asyncio.sleep(seconds)

    def select(
        self,
        select: Callable[[float | None], list[T]],
        timeout: float | None,
        *,
        idle: bool,  # noqa: ARG002 - for clocks of tests
    ) -> list[T]:
        """Wait for events at most `timeout` seconds: what the selector of an event loop on this clock does.

        Args:
            select: Waits for events so many real seconds at most (None: without bound), and returns them.
            timeout: Seconds of this clock; None for no bound.
            idle: Whether some task of the loop waits for nothing but time; only then virtual time may move.
        """
        return select(timeout)
