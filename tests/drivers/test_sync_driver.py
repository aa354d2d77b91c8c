"""`SyncDriver`: coroutines that never suspend, streams that are left, calls inside of a running loop."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from langchain_llmdispatch.callbacks.events import Run
from langchain_llmdispatch.drivers.sync_driver import SyncDriver, _blocking, _finished
from langchain_llmdispatch.limits.limiter import Limiter
from tests.drivers.script import Body, Script, answered, call, events, whole


def streaming(body: Body) -> tuple[Iterator[Any], Any]:
    """Return a stream of one answer, and the state of its call."""
    dispatch = call("a", stream=True)
    return SyncDriver(Script(answered(body)).transport, Limiter()).stream(dispatch, Run(None)), dispatch.call


def test_a_coroutine_runs_to_its_end_at_once() -> None:
    """Its result is returned, its exception raised."""

    async def add(number: int) -> int:
        return await _blocking(lambda: number)() + await _blocking(lambda: 1)()

    assert _finished(add, 1) == 2
    with pytest.raises(ZeroDivisionError):
        _finished(_blocking(lambda: 1 / 0))


def test_a_verb_that_suspends_is_a_bug() -> None:
    """It raises, and the coroutine is closed."""
    closed = []

    async def wait() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError, match="suspended"):
        _finished(wait)
    assert closed == [True]


def test_a_stream_that_is_closed_closes_its_response() -> None:
    """The call is recorded as abandoned."""
    body = Body(*events("one", " two"))
    stream, state = streaming(body)
    next(stream)
    stream.close()
    assert body.closed
    assert body.read < 4
    assert (state.outcome, [record.error for record in state.records]) == ("abandoned", ["GeneratorExit"])


def test_a_stream_that_is_dropped_closes_its_response() -> None:
    """The garbage collector closes it."""
    body = Body(*events("one", " two"))
    stream, state = streaming(body)
    next(stream)
    del stream
    gc.collect()
    assert body.closed
    assert state.outcome == "abandoned"


def test_a_stream_that_was_never_begun_sends_nothing() -> None:
    """Nothing happens before the first chunk is requested."""
    body = Body(*events("one"))
    stream, state = streaming(body)
    stream.close()
    assert (body.read, state.sent, state.outcome) == (0, 0, None)


def test_an_interrupt_closes_the_response() -> None:
    """Ctrl-C passes through at once."""
    body = Body(*events("one", end=False), KeyboardInterrupt())
    stream, state = streaming(body)
    with pytest.raises(KeyboardInterrupt):
        list(stream)
    assert body.closed
    assert [record.error for record in state.records] == ["KeyboardInterrupt"]


def test_a_loop_that_the_caller_blocks_does_not_own_the_stream() -> None:
    """A sync stream begun inside of a running loop goes on after that loop has ended."""
    body = Body(*events("one", " two"))
    stream, state = streaming(body)

    async def begin() -> Any:
        return next(stream)

    hooks = sys.get_asyncgen_hooks()
    chunks = [asyncio.run(begin()), *stream]
    assert "".join(chunk.message.text for chunk in chunks) == "one two"
    assert state.outcome == "answered"
    assert sys.get_asyncgen_hooks() == hooks


async def test_a_call_inside_of_a_running_loop_leaves_its_hooks() -> None:
    """The loop goes on to adopt the async generators of its own tasks."""
    hooks = sys.get_asyncgen_hooks()
    SyncDriver(Script(answered(whole())).transport, Limiter()).generate(call("a"), Run(None))
    assert sys.get_asyncgen_hooks() == hooks
