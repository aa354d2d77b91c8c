"""The real clock: monotonic seconds, the time of day in UTC, waits in threads and tasks."""

from __future__ import annotations

import asyncio
import pickle
import time
from datetime import UTC, datetime, timedelta

from langchain_llmdispatch.clock import Clock


def test_it_reads_the_real_time() -> None:
    """Monotonic seconds are the system's, and the time of day is in UTC."""
    clock = Clock()
    assert time.monotonic() <= clock.monotonic() <= time.monotonic()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert clock.now().tzinfo is UTC


def test_it_waits() -> None:
    """A wait of no time ends, in a thread, in a task and in a selector."""
    clock = Clock()
    clock.sleep(0)
    asyncio.run(clock.asleep(0))
    assert clock.select(lambda seconds: [seconds], 0.5, idle=True) == [0.5]


def test_it_travels() -> None:
    """Models that hold one can be pickled."""
    assert type(pickle.loads(pickle.dumps(Clock()))) is Clock
