"""Cancelled, interrupted and abandoned calls leave nothing behind, wherever they are ended."""

from __future__ import annotations

import asyncio
import gc
import linecache
import random
import sys
from collections.abc import Coroutine, Generator
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of

MESSAGES = [HumanMessage("hello")]
_SLOTS = 2


def limited(server: LoopbackServer, **fields: Any) -> Any:
    """Return a model whose only deployment has two slots."""
    return model_of(deployment(server, "openai", max_concurrency=_SLOTS), **fields)


def left_behind(model: Any, pools: list[Any]) -> dict[str, Any]:
    """Return what is not at rest: nothing of a call that is over."""
    found = _counted(model, pools)
    if found:
        gc.collect()
        found = _counted(model, pools)
    return found


def _counted(model: Any, pools: list[Any]) -> dict[str, Any]:
    target = model._engine.registry.all[0]
    queue = model._engine.limiter._queues_of(target)[0]
    health = model._engine.health._deployments.get(target.key)
    found = {
        "slots": len(queue._holders),
        "queued": len(queue._queued),
        "in flight": model.get_stats().in_flight,
        "health": len(health.in_flight) if health is not None else 0,
        "connections": sum(len(pool.busy) for pool in pools),
    }
    return {name: count for name, count in found.items() if count}


def async_pools(model: Any) -> list[Any]:
    """Return the pools of all loops."""
    held = model._engine.transport._async.values()
    return [pool for each in held for pool in each.senders]


def sync_pools(model: Any) -> list[Any]:
    """Return the pools of all threads."""
    return list(model._engine.transport._sync.values())


class CancelledAt:
    """A coroutine that is cancelled at one of its suspensions.

    Attributes:
        over: Whether it ended before.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], number: int) -> None:
        self._coroutine, self._number, self.over = coroutine, number, False

    def __await__(self) -> Generator[Any, Any, Any]:
        """Run it as a task would."""
        steps, count, step = self._coroutine, 0, None
        try:
            while True:
                step = steps.send(None)
                count += 1
                if count == self._number:
                    if step is not None:
                        step._asyncio_future_blocking = False
                        step.cancel()
                    step = steps.throw(asyncio.CancelledError())
                yield step
        except StopIteration as end:
            self.over = count < self._number
            return end.value


async def consumed(model: Any) -> None:
    """Read a stream."""
    async for _ in model._astream(MESSAGES):
        pass


@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_may_be_cancelled_at_each_suspension(server: LoopbackServer, streamed: bool) -> None:
    """Slots, gauges and connections are given back, and the next call is answered."""
    model = limited(server)

    async def main() -> int:
        await model.ainvoke("hello")
        for number in range(1, 200):
            call = CancelledAt(consumed(model) if streamed else model._agenerate(MESSAGES), number)
            with suppress(asyncio.CancelledError):
                await call
            del call._coroutine
            assert left_behind(model, async_pools(model)) == {}, number
            if call.over:
                break
        assert "hello" in (await model.ainvoke("hello")).text
        await model.aclose()
        return number

    assert 2 < asyncio.run(main()) < 199


class Interrupt:
    """Raises a KeyboardInterrupt at one of the lines of this package, httpx and httpcore that are run.

    Attributes:
        lines: How many lines were run.
    """

    _FOLDERS = ("/langchain_llmdispatch/", "/httpx/", "/httpcore/")

    def __init__(self, number: int) -> None:
        self._number, self.lines = number, 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        """Trace a function, if it is one of those."""
        # An interrupt within a destructor is printed and lost, as one within a callback of the collector.
        ours = any(folder in frame.f_code.co_filename for folder in self._FOLDERS)
        return self._line if ours and not _destroys(frame) else None

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        # Between the body of a `with` and its exit no signal is handled, but its line is traced once more.
        if event == "line" and "with " not in linecache.getline(frame.f_code.co_filename, frame.f_lineno):
            self.lines += 1
            if self.lines == self._number:
                raise KeyboardInterrupt
        return self._line


def _destroys(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def interrupted(model: Any, method: str, number: int) -> int:
    """Call the model, interrupted at a line; return how many were run."""
    trace, before = Interrupt(number), sys.gettrace()
    sys.settrace(trace)
    try:
        with suppress(KeyboardInterrupt):
            model.invoke("hello") if method == "invoke" else list(model.stream("hello"))
    finally:
        sys.settrace(before)
    return trace.lines


# A socket that is interrupted before anything holds it is closed by the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
# So is a coroutine that is interrupted between its making and its first step.
@pytest.mark.filterwarnings("ignore:coroutine.* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("method", ["invoke", "stream"])
def test_a_call_may_be_interrupted_at_any_line(server: LoopbackServer, method: str) -> None:
    """Ctrl-C at lines chosen by chance leaves nothing behind, and the next call is answered."""
    model = limited(server)
    lines = interrupted(model, method, 0)
    for number in sorted(random.Random(method).sample(range(1, lines), 60)):
        interrupted(model, method, number)
        assert left_behind(model, sync_pools(model)) == {}, number
    assert "hello" in model.invoke("hello").text
    model.close()


@pytest.mark.parametrize("close", [True, False])
def test_a_stream_may_be_left(server: LoopbackServer, close: bool) -> None:
    """A loop that is left, and a stream that is dropped, give back what they held."""
    model = limited(server)

    async def main() -> None:
        for _ in range(3):
            chunks = model.astream("hello")
            await anext(chunks)
            if close:
                await chunks.aclose()
            del chunks
            gc.collect()
            for _ in range(10):
                await asyncio.sleep(0)  # the loop closes what was dropped
        assert left_behind(model, async_pools(model)) == {}
        await model.aclose()

    for _ in range(3):
        stream = model.stream("hello")
        next(stream)
        if close:
            stream.close()
        del stream
        assert left_behind(model, sync_pools(model)) == {}
    asyncio.run(main())
    model.close()
