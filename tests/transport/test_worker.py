"""Functions in worker threads: results and errors come back, and a late one is not waited for."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

from langchain_llmdispatch.transport.worker import awithin, within

COLOURS = pytest.mark.parametrize("colour", ["sync", "async"])
NAME = ContextVar("NAME", default="")


def wait(colour: str, seconds: float | None, function: Callable[[], Any]) -> Any:
    """Wait in one colour."""
    return within(seconds, function) if colour == "sync" else asyncio.run(awithin(seconds, function))


@COLOURS
def test_results_errors_and_context_pass_through(colour: str) -> None:
    """What it returns and raises comes back, and it sees the caller's context."""
    NAME.set("ours")
    assert wait(colour, None, NAME.get) == "ours"
    with pytest.raises(ZeroDivisionError):
        wait(colour, 60, lambda: 1 / 0)


@COLOURS
def test_a_late_function_is_not_waited_for(colour: str) -> None:
    """The wait ends though the function does not, and so does the event loop."""
    over = threading.Event()
    with pytest.raises(TimeoutError):
        wait(colour, 0.01, over.wait)
    over.set()


def test_the_event_loop_goes_on_meanwhile() -> None:
    """Another task runs while a function blocks: it is what lets the function return."""
    over = threading.Event()

    async def main() -> None:
        async def release() -> None:
            over.set()

        waiting = asyncio.create_task(awithin(60, over.wait))
        await asyncio.sleep(0)
        await release()
        assert await waiting is True

    asyncio.run(main())


def test_a_cancelled_wait_leaves_no_error_behind() -> None:
    """The result of a function whose waiter was cancelled is dropped."""
    over = threading.Event()

    async def main() -> None:
        waiting = asyncio.create_task(awithin(60, over.wait))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        over.set()
        until = time.monotonic() + 60
        while any(each.name == "llmdispatch-worker" for each in threading.enumerate()):
            assert time.monotonic() < until
            await asyncio.sleep(0.001)

    asyncio.run(main())
