"""A bound on retries over all calls, so that they cannot overload a vendor that struggles."""

from __future__ import annotations

import threading

from pydantic import Field

from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.settings import Settings


class RetryQuota(Settings):
    """Keeps retries a bounded share of a model's traffic.

    Each call allows `ratio` of a retry, for `window` seconds; `floor` retries a second are allowed besides,
    for thin traffic. A retry beyond that is not made: the call falls back, or fails with a message that names
    the quota. Fallbacks, hedges and retries at the moment that a `Retry-After` names are not counted.

    Attributes:
        ratio: Retries per call.
        floor: Retries per second that are allowed in any case.
        window: Seconds after which calls and retries are forgotten.
    """

    ratio: float = Field(default=0.2, ge=0)
    floor: float = Field(default=1.0, ge=0)
    window: float = Field(default=60.0, gt=0)


class RetryBalance:
    """What a quota leaves of retries. Safe to share between threads.

    Args:
        quota: The quota.
    """

    SLOTS = 10

    def __init__(self, quota: RetryQuota) -> None:
        self._quota = quota
        self._balances = [0.0] * self.SLOTS
        self._slot = 0
        self._renew()
        forks.in_child(self._renew)

    def _renew(self) -> None:
        self._lock = threading.RLock()

    def deposit(self, now: float) -> None:
        """Record a call. `now` in monotonic seconds."""
        with self._lock:
            self._turn(now)
            self._balances[self._slot % self.SLOTS] += self._quota.ratio

    def withdraw(self, now: float) -> bool:
        """Take one retry out; return whether one was available."""
        with self._lock:
            if self.left(now) < 1:
                return False
            self._balances[self._slot % self.SLOTS] -= 1.0
            return True

    def left(self, now: float) -> int:
        """Return how many retries are available."""
        with self._lock:
            self._turn(now)
            quota = self._quota
            return max(0, int(quota.floor * quota.window + sum(self._balances) + 1e-9))

    def _turn(self, now: float) -> None:
        slot = int(now / self._quota.window * self.SLOTS)
        if slot == self._slot:
            return
        for passed in range(self._slot + 1, min(slot, self._slot + self.SLOTS) + 1):
            self._balances[passed % self.SLOTS] = 0.0
        self._slot = max(self._slot, slot)
