"""An event loop on a daemon thread of its own, for what threads and event loops share.

The thread starts at first use and ends with its owner; a forked child starts a new one. Timers go by a
`Clock`, so that tests wait in virtual time.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.internal import forks


class ClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers go by a `Clock`.

    Attributes:
        pacing: How many tasks wait for nothing but time; only then may a virtual clock move.
        at_end: What is awaited before the loop is closed.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.pacing = 0
        self.at_end: list[Callable[[], Awaitable[object]]] = []
        super().__init__(_ClockSelector(clock, weakref.ref(self)))

    def time(self) -> float:
        """Return the clock's monotonic seconds."""
        return self._clock.monotonic()


class _ClockSelector(selectors.DefaultSelector):
    """Leaves the wait for sockets and timers to the clock."""

    def __init__(self, clock: Clock, loop: weakref.ref[ClockLoop]) -> None:
        super().__init__()
        self._clock, self._loop = clock, loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        loop = self._loop()
        return self._clock.select(super().select, timeout, idle=loop is not None and loop.pacing > 0)


@contextmanager
def pacing() -> Iterator[None]:
    """Mark the current task as waiting for nothing but time."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, ClockLoop):
        yield
        return
    loop.pacing += 1
    try:
        yield
    finally:
        loop.pacing -= 1


class LoopThread:
    """A daemon thread that runs one event loop, from the first `post` on.

    Args:
        clock: What the loop's timers go by.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._loop: ClockLoop | None = None
        self._thread: threading.Thread | None = None
        self._end: weakref.finalize[Any, Any] | None = None
        forks.in_child(self._renew)

    @property
    def started(self) -> bool:
        """Whether the thread runs."""
        return self._loop is not None

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call `function` on the loop soon; from any thread, without waiting."""
        with self._lock:  # what is posted before the loop is stopped is still called
            (self._loop or self._start()).call_soon_threadsafe(function, *args)

    def post_if_started(self, function: Callable[..., object], *args: Any) -> None:
        """Call `function` on the loop if there is one; never raises."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # closed meanwhile
                loop.call_soon_threadsafe(function, *args)

    def close(self) -> None:
        """Stop the thread; the next `post` starts another one."""
        with self._lock:
            thread, self._thread, self._loop = self._thread, None, None
            if self._end is not None:
                self._end()
                self._end = None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _renew(self) -> None:
        """Reset in a forked child: the thread does not exist there."""
        if self._end is not None:
            self._end.detach()
        if self._loop is not None:
            forks.keep_for_ever(self._loop)
        self._lock, self._loop, self._thread, self._end = threading.RLock(), None, None, None

    def _start(self) -> ClockLoop:
        with self._lock:
            if self._loop is None:
                loop = ClockLoop(self._clock)
                self._thread = threading.Thread(
                    target=_run, args=(loop,), name="llmdispatch-limits", daemon=True
                )
                self._thread.start()
                self._end = weakref.finalize(self, _stop, loop)
                self._loop = loop
            return self._loop


def _run(loop: ClockLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.set_exception_handler(_report)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(_cancel_all())
        for close in loop.at_end:
            with suppress(Exception):
                loop.run_until_complete(_await(close))
        loop.close()


async def _cancel_all() -> None:
    await asyncio.sleep(0)  # what was posted meanwhile may make tasks
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _await(function: Callable[[], Awaitable[object]]) -> None:
    await function()


def _stop(loop: ClockLoop) -> None:
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(loop.stop)


def _report(loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Report an error on the loop, unless it is a result for a caller that has left."""
    if not isinstance(context.get("exception"), asyncio.InvalidStateError):
        loop.default_exception_handler(dict(context))
