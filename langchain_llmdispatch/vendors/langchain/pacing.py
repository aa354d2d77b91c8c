"""LangChain's rate limiters, waited for within a call's time, and without stopping an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from langchain_core.rate_limiters import BaseRateLimiter

from langchain_llmdispatch.clock import LONGEST, Clock
from langchain_llmdispatch.errors import AttemptTimeoutError

_CLOCK, _POLL = Clock(), 0.05  # seconds between two looks at a rate limiter


class DeferredRateLimiter(BaseRateLimiter):
    """A model's rate limiter that admits at once where LangChain waits for it, outside the deadline.

    Attributes:
        inner: The limiter; a driver waits for it, within the deadline.
    """

    def __init__(self, inner: BaseRateLimiter) -> None:
        self.inner = inner

    def acquire(self, *, blocking: bool = True) -> bool:
        """Admit."""
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        """Admit."""
        return True


def deferred(limiter: BaseRateLimiter | None) -> BaseRateLimiter | None:
    """Return a limiter that is waited for within the deadline; None for none."""
    if limiter is None or isinstance(limiter, DeferredRateLimiter):
        return limiter
    return DeferredRateLimiter(limiter)


def pace(limiter: BaseRateLimiter, seconds: float) -> float:
    """Wait until a limiter admits a request, and return the seconds that this took.

    Args:
        limiter: It is looked at again and again: its own wait has no bound.
        seconds: How long that may take.

    Raises:
        AttemptTimeoutError: It admits none in time.
    """
    for waited in _looks(seconds):
        if limiter.acquire(blocking=False):
            return waited
        _CLOCK.sleep(min(_POLL, seconds - waited))
    raise _late()


async def apace(limiter: BaseRateLimiter, seconds: float) -> float:
    """Wait as `pace` does, without stopping the event loop."""
    try:
        async with asyncio.timeout(seconds if seconds < LONGEST else None):
            for waited in _looks(seconds):
                if await limiter.aacquire(blocking=False):
                    return waited
                await _CLOCK.asleep(min(_POLL, seconds - waited))
    except TimeoutError:
        pass
    raise _late()


def _looks(seconds: float) -> Iterator[float]:
    """Yield the seconds waited so far, once per look, while there is time."""
    waited = 0.0
    while waited <= seconds:
        yield waited
        waited += _POLL


def _late() -> AttemptTimeoutError:
    return AttemptTimeoutError("timed out waiting for the model's rate_limiter", code="rate_limiter")
