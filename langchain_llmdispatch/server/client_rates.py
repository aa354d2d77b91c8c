"""How many requests a client may send in a minute, and the headers by which OpenAI's clients see it.

Source: platform.openai.com/docs/guides/rate-limits, "Rate limits in headers".
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.server.failures import Failure, RefusedRequestError

_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class RateState:
    """What a client may still send.

    Attributes:
        limit: Requests in any minute.
        remaining: Those that are left now.
        reset: Seconds until all of them are.
        wait: Seconds until one is; 0 if one was taken.
    """

    limit: int
    remaining: int
    reset: float
    wait: float

    def headers(self) -> dict[str, str]:
        """Return the headers of a response."""
        return {
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(self.remaining),
            "x-ratelimit-reset-requests": f"{self.reset:.3f}s",
        }

    def check(self) -> None:
        """Check that a request was taken.

        Raises:
            RefusedRequestError: None is left (429).
        """
        if self.wait > 0:
            text = f"Rate limit reached: {self.limit} requests per minute. Try again in {self.wait:.3f}s."
            failure = Failure(429, "requests", text, "rate_limit_exceeded", retry_after=self.wait)
            raise RefusedRequestError(failure)


class ClientRate:
    """The requests of one client within the last minute.

    Args:
        per_minute: The most requests in any minute.
        clock: The source of time.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._limit, self._clock = per_minute, clock
        self._taken: deque[float] = deque()

    def take(self) -> RateState:
        """Take a request, if one is left, and return what is left then."""
        now = self._clock.monotonic()
        while self._taken and self._taken[0] + _MINUTE <= now:
            self._taken.popleft()
        wait = 0.0 if len(self._taken) < self._limit else self._taken[0] + _MINUTE - now
        if not wait:
            self._taken.append(now)
        return RateState(self._limit, self._limit - len(self._taken), self._taken[-1] + _MINUTE - now, wait)
