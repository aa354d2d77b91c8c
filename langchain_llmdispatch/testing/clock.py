"""Time in tests: a clock that only the test moves, and one that runs but never waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar

from langchain_llmdispatch.clock import Clock

T = TypeVar("T")
_METHODS = ("monotonic", "now", "sleep", "asleep", "select")
# A virtual sleep ends this much after its timer, so that rounding cannot leave the timer a hair ahead.
_NUDGE = 1e-6
# Real seconds between two polls while virtual time stands still, because only another thread can go on.
_POLL = 0.001
_EPOCH = datetime(2026, 11, 24, tzinfo=UTC)


class FakeClock(Clock):
    """Time that stands still until something sleeps or advances it; no sleep takes real time.

    Hand it to a model (`clock=FakeClock()`), or substitute it for the real clock of every model with
    `use_clock`. Threads may share it; sleeps that overlap move it one after another, not together.

    Args:
        start: The monotonic seconds to begin with.
        date: The time of day at monotonic zero.

    Attributes:
        slept: Every sleep, in seconds and in order.
    """

    def __init__(self, start: float = 0.0, *, date: datetime = _EPOCH) -> None:
        self._now, self._date = start, date
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Return the virtual seconds."""
        return self._now

    def now(self) -> datetime:
        """Return the virtual time of day."""
        return self._date + timedelta(seconds=self._now)

    def advance(self, seconds: float) -> None:
        """Move time forward."""
        with self._lock:
            self._now += seconds

    def sleep(self, seconds: float) -> None:
        """Move time instead of waiting."""
        self.slept.append(seconds)
        self.advance(seconds)

    async def asleep(self, seconds: float) -> None:
        """Move time instead of waiting; other tasks get their turn."""
        self.sleep(seconds)
        await asyncio.sleep(0)

    def select(
        self, select: Callable[[float | None], list[T]], timeout: float | None, *, idle: bool
    ) -> list[T]:
        """Return the events there are; move time where an event loop waits for nothing else."""
        if timeout is None or timeout <= 0:
            return select(timeout)
        ready = select(0)
        if ready:
            return ready
        if not idle:
            return select(min(timeout, _POLL))
        self.sleep(timeout + _NUDGE)
        return []


class UnhurriedClock(FakeClock):
    """The real time plus every sleep, none of which takes real time: the clock of a replay.

    Deadlines and backoff see the time that would have passed; the test does not spend it.
    """

    def monotonic(self) -> float:
        """Return the real seconds plus those that were slept."""
        return time.monotonic() + self._now

    def now(self) -> datetime:
        """Return the real time of day plus what was slept."""
        return datetime.now(UTC) + timedelta(seconds=self._now)


class _Substitutes:
    """The clocks that are substituted for the real one, the last one in effect; process-wide."""

    lock: ClassVar[threading.RLock] = threading.RLock()
    clocks: ClassVar[list[Clock]] = []


def substitute_clock() -> Clock | None:
    """Return the clock that is substituted for the real one at this moment."""
    return _Substitutes.clocks[-1] if _Substitutes.clocks else None


@contextmanager
def use_clock(clock: Clock) -> Iterator[Clock]:
    """Substitute `clock` for the real clock in every model of the process, older ones too.

    Models that were given a clock of their own keep it.
    """
    if type(clock) is Clock:
        yield clock
        return
    with _Substitutes.lock:
        _Substitutes.clocks.append(clock)
        saved = {name: Clock.__dict__[name] for name in _METHODS}
        for name in _METHODS:
            setattr(Clock, name, _delegate(clock, name))
    try:
        yield clock
    finally:
        with _Substitutes.lock:
            _Substitutes.clocks.remove(clock)
            for name, method in saved.items():
                setattr(Clock, name, method)


def _delegate(clock: Clock, name: str) -> object:
    method = getattr(clock, name)

    def call(_: Clock, *args: Any, **kwargs: Any) -> object:
        return method(*args, **kwargs)

    return call


def advance(clock: Clock, seconds: float) -> None:
    """Move a fake clock, or the one that is substituted for the real one; real time cannot be moved."""
    moved = substitute_clock() if type(clock) is Clock else clock
    if isinstance(moved, FakeClock) and seconds > 0:
        moved.advance(seconds)
