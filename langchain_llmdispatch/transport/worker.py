"""A function in a worker thread, waited for no longer than so many seconds.

For what cannot be interrupted: a name lookup, a user's function, the start of a model on this machine. The
threads are daemons of their own: one that is late delays neither the end of a loop nor that of the process.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float | None, function: Callable[[], T]) -> T:
    """Return what `function` returns.

    Args:
        seconds: How long it is waited for; None for no bound.
        function: Runs on in its thread if it is late, and its result is dropped.

    Raises:
        TimeoutError: It has not returned in time.
    """
    return started(function).result(seconds)


async def awithin(seconds: float | None, function: Callable[[], T]) -> T:
    """Return what `function` returns, without stopping the event loop; see `within`."""
    async with asyncio.timeout(seconds):
        return await asyncio.wrap_future(started(function))


def started(function: Callable[[], T]) -> Future[T]:
    """Return what will hold the result of `function`, which runs in a daemon thread."""
    done: Future[T] = Future()

    def run() -> None:
        if not done.set_running_or_notify_cancel():
            return
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            done.set_exception(error)
        else:
            done.set_result(result)

    context = copy_context()
    try:
        threading.Thread(target=context.run, args=(run,), name="llmdispatch-worker", daemon=True).start()
    except RuntimeError:  # no threads are started while the interpreter ends
        run()
    return done
