"""The async driver: it waits by suspending the caller's task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.rate_limiters import BaseRateLimiter

from langchain_llmdispatch.callbacks.events import Run
from langchain_llmdispatch.dispatch.dispatch import Dispatch
from langchain_llmdispatch.drivers.bounded import STARTING, ain_time, atoken
from langchain_llmdispatch.drivers.budget_room import await_room
from langchain_llmdispatch.drivers.driver import Driver
from langchain_llmdispatch.drivers.exchange import Exchange
from langchain_llmdispatch.drivers.runner import Runner
from langchain_llmdispatch.drivers.verbs import Verbs
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.transport.body import aclose, afinish, aread, awhole
from langchain_llmdispatch.transport.transport import Transport, timed_out
from langchain_llmdispatch.vendors.langchain.pacing import apace

if TYPE_CHECKING:
    from langchain_llmdispatch.local import server as local
else:
    local = LateModule("langchain_llmdispatch.local.server")


T = TypeVar("T")


class AsyncDriver(Driver):
    """Drives calls in the caller's task; see `SyncDriver`."""

    def __init__(self, transport: Transport, limiter: Limiter, pacer: BaseRateLimiter | None = None) -> None:
        self._tasks: dict[Runner, asyncio.Task[None]] = {}
        verbs = Verbs(
            announce=Run.aadmit,
            pending=Run.apending,
            sleep=lambda clock, seconds: clock.asleep(seconds),
            acquire=limiter.aacquire,
            pace=apace,
            room=await_room,
            base_url=lambda it: ain_time(partial(local.base_url, it.call.model), it.attempt.left(), STARTING),
            token=atoken,
            send=transport.asend,
            body=lambda it, response: awhole(response, it.read_deadline, it.call.max_response_bytes),
            pieces=_pieces,
            next_piece=_next_piece,
            finish=afinish,
            close=aclose,
            generate=lambda it: _in_time(it, it.vendor.agenerate(it.begin(), it.seconds_left())),
            start=self._start,
            detached=lambda coroutine: asyncio.shield(asyncio.ensure_future(coroutine)),
            first_done=self._first_done,
            stop=self._stop,
        )
        super().__init__(verbs, transport, limiter, pacer)

    def generate(self, dispatch: Dispatch, run: Run) -> Coroutine[Any, Any, ChatResult]:
        """Return the first whole answer; see `SyncDriver.generate`."""
        answer = self._whole(dispatch, run)
        return answer if run.observer is None else _delivered(answer, run)

    async def stream(self, dispatch: Dispatch, run: Run) -> AsyncIterator[ChatGenerationChunk]:
        """Yield the chunks of the first answer that begins; see `SyncDriver.stream`."""
        async with run, aclosing(self._streamed(dispatch, run)) as lane:
            async for chunks in lane:
                for chunk in chunks:
                    yield chunk

    def _start(self, runner: Runner) -> None:
        task = self._tasks[runner] = asyncio.create_task(runner.run())
        task.add_done_callback(lambda _: self._tasks.pop(runner))

    async def _first_done(self, runners: list[Runner], seconds: float | None) -> Runner | None:
        if not any(runner.done for runner in runners):
            tasks = [self._tasks[runner] for runner in runners]
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return next((runner for runner in runners if runner.done), None)

    def _stop(self, runner: Runner) -> None:
        task = self._tasks.get(runner)
        if task is not None and runner.attempt.target.vendor.runs:
            task.cancel()  # it has no connection that could be shut down


async def _delivered(answer: Awaitable[T], run: Run) -> T:
    """Return an answer once what is queued for the handlers of its run is delivered."""
    async with run:
        return await answer


def _pieces(exchange: Exchange, response: httpx.Response | None) -> AsyncIterator[Any]:
    if response is None:
        return exchange.vendor.astream(exchange.begin(), exchange.seconds_left())
    return aread(response, exchange.read_deadline, exchange.stream_limit)


async def _next_piece(exchange: Exchange, pieces: AsyncIterator[Any]) -> Any:
    piece = anext(pieces, None)
    return await (_in_time(exchange, piece) if exchange.vendor.runs else piece)


async def _in_time(exchange: Exchange, coming: Awaitable[T]) -> T:
    """Return what comes of a vendor that runs in process.

    Raises:
        AttemptTimeoutError: It has not come in time.
    """
    try:
        async with asyncio.timeout(exchange.seconds_left()):
            return await coming
    except TimeoutError:
        late = timed_out(exchange.read_deadline)
    raise late
