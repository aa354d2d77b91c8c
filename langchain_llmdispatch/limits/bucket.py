"""A token bucket of requests or tokens per minute: aiolimiter's, with corrections.

aiolimiter paces. It takes nothing back, admits no amount above its capacity, and admits its whole capacity at
once on top of its rate. A ledger in front of it holds what was *really* used:

- An amount above the capacity waits for a full bucket (nothing in use); the rest is owed afterwards.
- A request that used less than it reserved makes the next admission cheaper; one that used more is owed.
- What is owed is drawn from aiolimiter's bucket before the next amount that has to wait. An amount that fits
  is admitted at once, from any thread, and owed too: that takes microseconds, a round trip to the loop takes
  a hundred times as long.

`used` leaks at the same rate as aiolimiter's own level (`drawn`), so their difference is what is owed, or
spared, at any moment. A window of the last minute bounds what large amounts could add.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar

from aiolimiter import AsyncLimiter

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.limits.loop_thread import pacing

MINUTE = 60.0
_DUST = 1e-6  # amounts below are rounding


class Bucket:
    """A limit per minute. Awaited on one loop only; read and corrected from any thread.

    Args:
        per_minute: Requests or tokens per minute, above 0.
        share: The part of a minute's amount that may be admitted at once.
        clock: The source of time, the loop's own.
    """

    def __init__(self, per_minute: float, share: float, clock: Clock) -> None:
        self.per_minute = per_minute
        self.rate = per_minute / MINUTE
        self.burst = max(per_minute * share, 1.0)
        self.allowed = per_minute * (1 + share)
        self._clock, self._share = clock, share
        self._window = Window(self.allowed)
        self._at, self._used = clock.monotonic(), 0.0
        self.renew()

    def renew(self) -> None:
        """Keep the level in a forked child; nothing of it is drawn yet from the child's own bucket."""
        self._lock = threading.RLock()
        self._bucket, self._drawn = AsyncLimiter(self.burst, self.burst / self.rate), 0.0
        self._waiting: asyncio.Future[Any] | None = None
        self._window.add_up()

    async def take(self, amount: float) -> float:
        """Wait until `amount` is admitted, and return the moment; one caller at a time.

        Args:
            amount: Requests or tokens; above the capacity it waits for a full bucket.
        """
        while (seconds := self._minute_full(amount)) > 0:
            await self._wait(asyncio.sleep(seconds))
        while (due := self._due(amount)) > _DUST:
            piece = min(due, self.burst)
            if await self._draw(piece) and piece == due:
                break  # what was corrected or leaked meanwhile counts for the next amount
        return self.add(amount)

    async def pause(self, seconds: float) -> bool:
        """Wait for `seconds`; return False if `wake` ended the wait."""
        return await self._wait(asyncio.sleep(seconds))

    def wake(self) -> None:
        """Recompute the current wait: an amount was returned. Called on the loop."""
        if self._waiting is not None:
            self._waiting.cancel()

    def try_take(self, amount: float) -> float | None:
        """Take `amount` if it fits now and return the moment, else None; from any thread.

        Nothing is drawn from aiolimiter's bucket: the amount is owed, and drawn before the next wait.
        """
        with self._lock:
            now = self._leak()
            fits = self._used + min(amount, self.burst) <= self.burst + _DUST
            if not fits or self._window.ready_in(amount, now) > 0:
                return None
            self._used += amount
            self._window.add(amount, now)
            return now

    def add(self, amount: float) -> float:
        """Count `amount` as used, and return the moment; from any thread."""
        with self._lock:
            now = self._leak()
            self._used += amount
            self._window.add(amount, now)
            return now

    def correct(self, at: float, difference: float) -> None:
        """Add `difference` to what was taken at the moment `at`; from any thread."""
        with self._lock:
            self._leak()
            self._used = max(0.0, self._used + difference)
            self._window.correct(difference, at)

    def mirror(self, used: float) -> None:
        """Set the amount in use to what the shared limit reports."""
        with self._lock:
            self._leak()
            self._used = used

    def part(self, processes: int) -> Bucket:
        """Return the bucket of one of several processes, each of which takes its share of the limit.

        It continues at this one's level. Where a share is less than one request at once, each process begins
        somewhere else before it is at the first: together they keep the pace, instead of all sending at once.
        """
        part = Bucket(self.per_minute / processes, self._share, self._clock)
        with self._lock:
            self._leak()
            used = self._used / processes
        few = part.per_minute * self._share < 1
        part.mirror(used + random.random() if few else used)
        return part

    def ready_in(self, amount: float, ahead: float = 0.0) -> float:
        """Return the seconds until `amount` fits, after `ahead` has been taken; from any thread."""
        with self._lock:
            now = self._clock.monotonic()
            used = max(0.0, self._used - (now - self._at) * self.rate)
            paced = (used + ahead + min(amount, self.burst) - self.burst) / self.rate
            return max(0.0, paced, self._window.ready_in(min(amount + ahead, self.allowed), now))

    def available(self) -> float:
        """Return the amount that may be taken at once, now."""
        with self._lock:
            self._leak()
            return max(0.0, self.burst - self._used)

    def _minute_full(self, amount: float) -> float:
        with self._lock:
            return self._window.ready_in(amount, self._clock.monotonic())

    def _due(self, amount: float) -> float:
        """Return what must be drawn before `amount` is admitted: itself, and what is owed or spared."""
        with self._lock:
            self._leak()
            return min(amount, self.burst) + self._used - self._drawn

    def _leak(self) -> float:
        now = self._clock.monotonic()
        leaked = (now - self._at) * self.rate
        self._at, self._used, self._drawn = now, max(0.0, self._used - leaked), max(0.0, self._drawn - leaked)
        return now

    async def _draw(self, amount: float) -> bool:
        """Draw from aiolimiter's bucket, and return whether it was drawn to the end."""
        if not self._bucket.has_capacity(amount):
            return await self._wait(self._bucket.acquire(amount), amount)
        await self._bucket.acquire(amount)
        self._drew(amount)
        return True

    async def _wait(self, what: Coroutine[Any, Any, None], drawn: float = 0.0) -> bool:
        """Await `what`, which `wake` may cancel; count `drawn` and return True if it ran to its end."""
        task = self._waiting = asyncio.ensure_future(what)
        try:
            with pacing():
                await asyncio.wait({task})
        finally:
            self._waiting = None
            if task.done() and not task.cancelled():
                self._drew(drawn)
            task.cancel()
        return not task.cancelled()

    def _drew(self, amount: float) -> None:
        with self._lock:
            self._leak()
            self._drawn += amount


@dataclass(slots=True)
class _Slice:
    """What was taken from one moment to another, at most a `Window.GRAIN` apart."""

    since: float
    until: float
    amount: float


class Window:
    """What was taken within the last minute, in a bounded number of slices.

    Args:
        allowed: How much may be taken in any minute.
    """

    GRAIN: ClassVar[float] = MINUTE / 128

    def __init__(self, allowed: float) -> None:
        self._allowed = allowed
        self._slices: deque[_Slice] = deque()
        self._total = 0.0  # of all slices, expired ones included

    def add_up(self) -> None:
        """Add the slices up anew: a fork may have come between a slice and the total."""
        self._total = sum(piece.amount for piece in self._slices)

    def ready_in(self, amount: float, now: float) -> float:
        """Return the seconds until `amount` fits; an amount that never fits waits for an empty window."""
        if self._total + amount <= self._allowed + _DUST:
            return 0.0
        slices = [piece for piece in self._slices if piece.until + MINUTE > now]
        total, leaves = sum(piece.amount for piece in slices), now
        for piece in slices:
            if total + amount <= self._allowed + _DUST:
                break
            total, leaves = total - piece.amount, piece.until + MINUTE
        return max(0.0, leaves - now)

    def add(self, amount: float, now: float) -> None:
        """Count `amount` as taken now."""
        slices = self._slices
        while slices and slices[0].until + MINUTE <= now:
            self._total -= slices.popleft().amount
        self._total = self._total + amount if slices else amount
        if slices and now - slices[-1].since < self.GRAIN:
            slices[-1].until = now
            slices[-1].amount += amount
        else:
            slices.append(_Slice(now, now, amount))

    def correct(self, difference: float, at: float) -> None:
        """Add `difference` to what was taken at the moment `at`."""
        for piece in reversed(self._slices):
            if piece.since <= at <= piece.until:
                changed = max(0.0, piece.amount + difference)
                self._total += changed - piece.amount
                piece.amount = changed
                return
