"""What a vendor counts together (one model on one account), and until when it accepts nothing."""

from __future__ import annotations

import threading

from langchain_llmdispatch.clock import Clock

LONGEST_CLOSED = 300.0
"""Seconds for which a vendor's headers or a Retry-After close a quota at most."""


class Quota:
    """Whether requests to one model on one account may be sent, by what the vendor reports.

    Args:
        clock: The source of time.
    """

    __slots__ = ("_clock", "_lock", "_until")

    def __init__(self, clock: Clock) -> None:
        self._clock, self._until = clock, 0.0
        self.renew()

    def renew(self) -> None:
        """Replace the lock, which another thread of a forked process may have held."""
        self._lock = threading.RLock()

    def closed_in(self) -> float:
        """Return the seconds until requests may be sent; 0.0 if they may now."""
        return max(0.0, self._until - self._clock.monotonic()) if self._until else 0.0

    def close_for(self, seconds: float) -> None:
        """Send nothing for `seconds`, at most `LONGEST_CLOSED`; a longer wait is not shortened."""
        until = self._clock.monotonic() + min(seconds, LONGEST_CLOSED)
        with self._lock:
            self._until = max(until, self._until)
