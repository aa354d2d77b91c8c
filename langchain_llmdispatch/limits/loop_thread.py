"""A private event loop on a daemon thread, for what threads and event loops must share.

It starts at first use, ends with its owner, and is forgotten in a forked child. With a clock that is not the
real one it sleeps on that clock, so that tests wait in virtual time.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from langchain_llmdispatch.clock import Clock

# A virtual sleep ends this much after its timer, so that rounding cannot leave the timer a hair ahead.
_NUDGE = 1e-6
# Virtual time stands still while only another thread can go on; how long to look away, in real seconds.
_GLANCE = 0.001


class ClockLoop(asyncio.SelectorEventLoop):
    """An event loop that reads a `Clock`.

    Attributes:
        pacing: How many tasks wait for nothing but time; only then may virtual time be moved.
        at_end: What is awaited before the loop is closed.
    """

    def __init__(self, clock: Clock) -> None:
        self._source = clock
        self.pacing = 0
        self.at_end: list[Callable[[], Awaitable[object]]] = []
        super().__init__(_ClockSelector(clock, weakref.ref(self)))

    def time(self) -> float:
        """Return the clock's monotonic seconds."""
        return self._source.monotonic()


class _ClockSelector(selectors.DefaultSelector):
    """Sleeps on a clock instead of waiting for sockets, where nothing but time is waited for."""

    def __init__(self, clock: Clock, loop: weakref.ref[ClockLoop]) -> None:
        super().__init__()
        self._clock, self._of = clock, loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        real = type(self._clock) is Clock and not Clock.virtual
        if real or timeout is None or timeout <= 0:
            return super().select(timeout)
        loop, ready = self._of(), super().select(0)
        if ready or loop is None:
            return ready
        if not loop.pacing:
            return super().select(min(timeout, _GLANCE))
        self._clock.sleep(timeout + _NUDGE)
        return []


@contextmanager
def pacing() -> Iterator[None]:
    """Say that the current task waits for nothing but time."""
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
        clock: What the loop reads.
        renew: A method that is called in a forked child, where the thread is gone; held weakly.
    """

    def __init__(self, clock: Clock, renew: Callable[[], None] | None = None) -> None:
        self._clock = clock
        self._renew = weakref.WeakMethod(renew) if renew is not None else None
        self._lock = threading.RLock()
        self._loop: ClockLoop | None = None
        self._thread: threading.Thread | None = None
        self._end: weakref.finalize[Any, Any] | None = None
        _LIVE.add(self)

    @property
    def started(self) -> bool:
        """Whether the thread runs."""
        return self._loop is not None

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Have `function` called on the loop, soon; from any thread, without waiting."""
        with self._lock:  # what is posted to a loop before it is told to stop is still called
            (self._loop or self._start()).call_soon_threadsafe(function, *args)

    def post_if_started(self, function: Callable[..., object], *args: Any) -> None:
        """Have `function` called on the loop if there is one; never raises."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # closed meanwhile: nothing is left to be told
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

    def _forget(self) -> None:
        """Start anew in a forked child: the thread is gone, and locks may be held by nobody."""
        if self._end is not None:
            self._end.detach()
        if self._loop is not None:
            _BURIED.append(self._loop)
        self._lock, self._loop, self._thread, self._end = threading.RLock(), None, None, None
        renew = self._renew() if self._renew is not None else None
        if renew is not None:
            renew()


def _run(loop: ClockLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.set_exception_handler(_ignore_late)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(asyncio.sleep(0))  # what was posted meanwhile
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        for close in loop.at_end:
            with suppress(Exception):
                loop.run_until_complete(_await(close))
        loop.close()


async def _await(function: Callable[[], Awaitable[object]]) -> None:
    await function()


def _stop(loop: ClockLoop) -> None:
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(loop.stop)


def _ignore_late(loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Report what went wrong on the loop, unless its caller has left before it could be told."""
    if not isinstance(context.get("exception"), asyncio.InvalidStateError):
        loop.default_exception_handler(dict(context))


# Loops of a parent process: closing one would reach into the parent's selector.
_BURIED: list[ClockLoop] = []
_LIVE: weakref.WeakSet[LoopThread] = weakref.WeakSet()


def _forget_all() -> None:
    for thread in list(_LIVE):
        thread._forget()  # noqa: SLF001 - the fork hook of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
