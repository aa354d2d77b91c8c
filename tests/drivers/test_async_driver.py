"""`AsyncDriver`: cancellation, streams that are left, requests of a race in tasks."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from langchain_llmdispatch.callbacks.events import Run
from langchain_llmdispatch.dispatch.call_state import CallState
from langchain_llmdispatch.drivers.async_driver import AsyncDriver
from langchain_llmdispatch.limits.limiter import Limiter
from tests.drivers.script import Body, Script, answered, call, events


class Stalled(Body):
    """A body that stalls after its pieces."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece
        await asyncio.sleep(60)


def streaming(body: Body) -> tuple[Any, CallState]:
    """Return a stream of one answer, and the state of its call."""
    dispatch = call("a", stream=True)
    return AsyncDriver(Script(answered(body)).transport, Limiter()).stream(dispatch, Run(None)), dispatch.call


async def test_a_cancelled_stream_closes_its_response() -> None:
    """The attempt is recorded as cancelled, the call as abandoned."""
    body = Stalled(*events("one", end=False))
    stream, state = streaming(body)
    await anext(stream)
    task = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert body.closed
    assert (state.outcome, [record.error for record in state.records]) == ("abandoned", ["CancelledError"])


async def test_a_stream_that_is_closed_closes_its_response() -> None:
    """As soon as `aclose` returns."""
    body = Body(*events("one", " two"))
    stream, state = streaming(body)
    await anext(stream)
    await stream.aclose()
    assert body.closed
    assert state.outcome == "abandoned"


async def test_a_stream_that_is_dropped_closes_its_response() -> None:
    """The loop closes it in a task of its own."""
    body = Body(*events("one", " two"))
    stream, state = streaming(body)
    await anext(stream)
    del stream
    gc.collect()
    for _ in range(10):
        await asyncio.sleep(0)
    assert body.closed
    assert state.outcome == "abandoned"


def test_a_stream_that_outlives_its_loop_is_closed_with_it() -> None:
    """`asyncio.run` closes the async generators that are left."""
    body = Body(*events("one", " two"))
    kept = []

    async def begin() -> None:
        stream, _ = streaming(body)
        kept.append(stream)
        await anext(stream)

    asyncio.run(begin())
    assert body.closed
