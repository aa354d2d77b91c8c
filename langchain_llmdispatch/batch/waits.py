"""Waits that grow, with jitter."""

from __future__ import annotations

from random import Random

from langchain_llmdispatch.clock import Clock

_GROWTH, _JITTER = 1.5, 0.2


class Waits:
    """Waits between tries of one thing.

    Args:
        clock: The source of time.
        rng: Draws the jitter, up to a fifth more.
        first: Seconds of the first wait.
        longest: Seconds of the longest wait.
    """

    def __init__(self, clock: Clock, rng: Random, first: float, longest: float) -> None:
        self._clock, self._rng, self._seconds, self._longest = clock, rng, first, longest
        self._advised: float | None = None

    def advise(self, seconds: float | None) -> None:
        """Set the seconds of the next wait, as a vendor states them; None changes nothing."""
        self._advised = seconds

    async def next(self) -> None:
        """Wait."""
        seconds, self._advised = self._advised or self._seconds, None
        self._seconds = min(self._seconds * _GROWTH, self._longest)
        await self._clock.asleep(seconds * (1 + _JITTER * self._rng.random()))
