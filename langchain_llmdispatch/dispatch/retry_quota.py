"""A bound on retries over all calls, so that they cannot overload a vendor that struggles."""

from __future__ import annotations

import threading
from typing import Any


class RetryQuota:
    """Keeps retries a bounded share of traffic.

    Each call deposits `ratio` of a retry, each retry withdraws one; deposits and withdrawals expire. On top,
    `floor` retries a second are always available, for low traffic. A fallback is not a retry. Safe to share
    between threads.

    Args:
        ratio: Retries per call.
        floor: Retries per second that are available in any case.
        window: Seconds after which deposits and withdrawals expire.
    """

    SLOTS = 10

    def __init__(self, *, ratio: float = 0.2, floor: float = 1.0, window: float = 60.0) -> None:
        self._ratio, self._floor, self._window = ratio, floor, window
        self._lock = threading.RLock()
        self._balances = [0.0] * self.SLOTS
        self._slot = 0

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a new one."""
        return (type(self), ())

    def deposit(self, now: float) -> None:
        """Record a call. `now` in monotonic seconds."""
        with self._lock:
            self._turn(now)
            self._balances[self._slot % self.SLOTS] += self._ratio

    def withdraw(self, now: float) -> bool:
        """Take one retry out; return whether one was available."""
        with self._lock:
            self._turn(now)
            if self._floor * self._window + sum(self._balances) < 1.0 - 1e-9:
                return False
            self._balances[self._slot % self.SLOTS] -= 1.0
            return True

    def _turn(self, now: float) -> None:
        slot = int(now / self._window * self.SLOTS)
        for passed in range(self._slot + 1, min(slot, self._slot + self.SLOTS) + 1):
            self._balances[passed % self.SLOTS] = 0.0
        self._slot = max(self._slot, slot)
