"""One budget of requests or tokens per minute: aiolimiter's bucket, and what it lacks.

aiolimiter paces. It takes nothing back, lets nothing larger than itself in, and admits its whole size at once
on top of its rate. So a ledger stands before it, which holds what was *really* used:

- an amount larger than the bucket waits until the bucket is full (nothing in use) and is then owed;
- what a request used less than was reserved for it is spared at the next admission, what it used more is
  owed;
- what is owed is drawn from aiolimiter's bucket before the next one that has to wait goes. What need not wait
  goes at once, from any thread, and is owed too: that costs microseconds, the way to the loop and back a
  hundred times as many.

`used` leaks at the same rate as aiolimiter's own level (`drawn`), so their difference is what is owed, or to
be spared, at any moment. A window of the last minute bounds what large amounts could add to it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.limits.loop_thread import pacing

MINUTE = 60.0
_DUST = 1e-6  # amounts below are rounding


class Bucket:
    """A budget per minute. Awaited on one loop only; asked and corrected from anywhere.

    Args:
        per_minute: Requests or tokens per minute, above 0.
        share: How much of it may go at once, as a share of the minute's budget.
        clock: The source of time, the loop's own.
    """

    def __init__(self, per_minute: float, share: float, clock: Clock) -> None:
        self.per_minute = per_minute
        self.rate = per_minute / MINUTE
        self.burst = max(per_minute * share, 1.0)
        self.allowed = per_minute * (1 + share)
        self._clock = clock
        from aiolimiter import AsyncLimiter  # noqa: PLC0415 - only where there are limits

        self._bucket = AsyncLimiter(self.burst, self.burst / self.rate)
        self._window = Window(self.allowed)
        self._lock = threading.RLock()
        self._at, self._used, self._drawn = clock.monotonic(), 0.0, 0.0
        self._waiting: asyncio.Future[Any] | None = None

    async def take(self, amount: float) -> float:
        """Wait until `amount` may go, and return the moment it went; one caller at a time.

        Args:
            amount: How much; more than the bucket holds waits for a full bucket.
        """
        while (seconds := self._minute_full(amount)) > 0:
            await self._wait(asyncio.sleep(seconds))
        while (due := self._due(amount)) > _DUST:
            piece = min(due, self.burst)
            if await self._draw(piece) and piece == due:
                break  # what was corrected or leaked meanwhile is the next one's business
        return self.note(amount)

    async def pause(self, seconds: float) -> bool:
        """Wait for so long, and return True, or False if there may be room earlier."""
        return await self._wait(asyncio.sleep(seconds))

    def look_again(self) -> None:
        """Have whoever waits look again: there may be room earlier than was thought; on the loop."""
        if self._waiting is not None:
            self._waiting.cancel()

    def try_take(self, amount: float) -> float | None:
        """Take `amount` if it may go now, and return the moment, else None; from any thread.

        Nothing is drawn from aiolimiter's bucket: it is owed, and drawn before the next one that waits.
        """
        with self._lock:
            now = self._leak()
            fits = self._used + min(amount, self.burst) <= self.burst + _DUST
            if not fits or self._window.ready_in(amount, now) > 0:
                return None
            self._used += amount
            self._window.add(amount, now)
            return now

    def note(self, amount: float) -> float:
        """Note that `amount` went, and return the moment; from any thread."""
        with self._lock:
            now = self._leak()
            self._used += amount
            self._window.add(amount, now)
            return now

    def correct(self, at: float, difference: float) -> None:
        """Note that what went at the moment `at` was more, or less, than was noted; from any thread."""
        with self._lock:
            self._leak()
            self._used = max(0.0, self._used + difference)
            self._window.correct(difference, at)

    def mirror(self, used: float) -> None:
        """Take over what somebody who sees more (a shared budget) says is in use."""
        with self._lock:
            self._leak()
            self._used = used

    def ready_in(self, amount: float, ahead: float = 0.0) -> float:
        """Return the seconds until `amount` may go, if `ahead` goes first; from any thread."""
        with self._lock:
            now = self._clock.monotonic()
            used = max(0.0, self._used - (now - self._at) * self.rate)
            paced = (used + ahead + min(amount, self.burst) - self.burst) / self.rate
            return max(0.0, paced, self._window.ready_in(min(amount + ahead, self.allowed), now))

    def room(self) -> float:
        """Return how much may go at once, now."""
        with self._lock:
            self._leak()
            return max(0.0, self.burst - self._used)

    def _minute_full(self, amount: float) -> float:
        with self._lock:
            return self._window.ready_in(amount, self._clock.monotonic())

    def _due(self, amount: float) -> float:
        """Return what must be drawn before `amount` may go: itself and what is owed, less what is spared."""
        with self._lock:
            self._leak()
            return min(amount, self.burst) + self._used - self._drawn

    def _leak(self) -> float:
        now = self._clock.monotonic()
        leaked = (now - self._at) * self.rate
        self._at, self._used, self._drawn = now, max(0.0, self._used - leaked), max(0.0, self._drawn - leaked)
        return now

    async def _draw(self, amount: float) -> bool:
        """Draw from aiolimiter's bucket, and return whether that came to its end."""
        if not self._bucket.has_capacity(amount):
            return await self._wait(self._bucket.acquire(amount), amount)
        await self._bucket.acquire(amount)
        self._drew(amount)
        return True

    async def _wait(self, what: Coroutine[Any, Any, None], drawn: float = 0.0) -> bool:
        """Wait for something that `correct` may cut short; note what it drew if it came to its end."""
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
class _Entry:
    """What went from one moment to another, at most a `Window.GRAIN` apart."""

    since: float
    until: float
    amount: float


class Window:
    """What went within the last minute, in a bounded number of entries.

    Args:
        allowed: How much may go in any minute.
    """

    GRAIN: ClassVar[float] = MINUTE / 128

    def __init__(self, allowed: float) -> None:
        self._allowed = allowed
        self._entries: deque[_Entry] = deque()
        self._total = 0.0  # of all entries, those that are over included

    def ready_in(self, amount: float, now: float) -> float:
        """Return the seconds until `amount` fits; what never fits waits until nothing is left."""
        if self._total + amount <= self._allowed + _DUST:
            return 0.0
        entries = [entry for entry in self._entries if entry.until + MINUTE > now]
        total, leaves = sum(entry.amount for entry in entries), now
        for entry in entries:
            if total + amount <= self._allowed + _DUST:
                break
            total, leaves = total - entry.amount, entry.until + MINUTE
        return max(0.0, leaves - now)

    def add(self, amount: float, now: float) -> None:
        """Note that `amount` went."""
        entries = self._entries
        while entries and entries[0].until + MINUTE <= now:
            self._total -= entries.popleft().amount
        self._total = self._total + amount if entries else amount
        if entries and now - entries[-1].since < self.GRAIN:
            entries[-1].until = now
            entries[-1].amount += amount
        else:
            entries.append(_Entry(now, now, amount))

    def correct(self, difference: float, at: float) -> None:
        """Change what went at the moment `at`."""
        for entry in reversed(self._entries):
            if entry.since <= at <= entry.until:
                changed = max(0.0, entry.amount + difference)
                self._total += changed - entry.amount
                entry.amount = changed
                return
