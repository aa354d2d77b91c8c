"""The two drivers: the only code that waits and sends. Line for line alike, but for `await`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, aclosing, closing, nullcontext
from typing import TYPE_CHECKING

from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_llmdispatch.drivers import in_process as runners
from langchain_llmdispatch.drivers.exchange import Exchange, Relay
from langchain_llmdispatch.drivers.hedge_race import AsyncLane, Lane, arace, race
from langchain_llmdispatch.local import server as local
from langchain_llmdispatch.transport.transport import Transport, afinish, aread, finish, read

if TYPE_CHECKING:
    from langchain_llmdispatch.callbacks.events import Run
    from langchain_llmdispatch.dispatch.attempt import Attempt
    from langchain_llmdispatch.dispatch.dispatch import Dispatch
    from langchain_llmdispatch.limits.limiter import Limiter
    from langchain_llmdispatch.types import ChatRequest


_NOTICEABLE = 0.002  # seconds; a shorter wait for the limiter is its own work, not a limit's


def _noticeable(seconds: float) -> float:
    return seconds if seconds > _NOTICEABLE else 0.0


class SyncDriver:
    """Walks a call's attempts in the caller's thread."""

    def __init__(self, transport: Transport, limiter: Limiter) -> None:
        self._transport, self._limiter = transport, limiter

    def generate(self, dispatch: Dispatch, request: ChatRequest, run: Run) -> ChatResult:
        """Return the first whole answer.

        Raises:
            DispatchError: No deployment gave one.
        """
        with run:
            for attempt in dispatch.attempts():
                with attempt:
                    exchange = Exchange(attempt, request, self._limiter)
                    with self._admit(exchange, run):
                        answers = list(self._first_of(dispatch, exchange, self._answers))
                if dispatch.call.outcome == "answered":
                    return Exchange.result(*answers)
        return Exchange.result(*dispatch.call.declined[-1].outputs())

    def stream(self, dispatch: Dispatch, request: ChatRequest, run: Run) -> Iterator[ChatGenerationChunk]:
        """Yield the chunks of the first answer that begins.

        Raises:
            StreamInterruptedError: It broke after content was delivered.
            DispatchError: No deployment gave one.
        """
        with run:
            for attempt in dispatch.attempts():
                with attempt:
                    exchange = Exchange(attempt, request, self._limiter)
                    with self._admit(exchange, run):
                        yield from self._first_of(dispatch, exchange, self._chunks)
                if dispatch.call.outcome == "answered":
                    return
            yield from dispatch.call.declined[-1].outputs()

    def _admit(self, exchange: Exchange, run: Run | None) -> AbstractContextManager[object]:
        attempt = exchange.attempt
        if run is not None and attempt.number > 1:
            run.admit(attempt)
        if attempt.delay > 0:
            attempt.call.clock.sleep(attempt.delay)
        permit = exchange.permit = self._limiter.acquire(attempt, exchange.chat_request)
        if permit is None:
            return nullcontext()
        attempt.throttled = _noticeable(permit.waited)
        return permit

    def _first_of(self, dispatch: Dispatch, exchange: Exchange, source: Callable[[Exchange], Lane]) -> Lane:
        """Return what comes of a request, or of another one beside it if it is late."""
        if exchange.attempt.call.policy.hedge_after is None:
            return source(exchange)

        def another(attempt: Attempt) -> Lane:
            with attempt:
                hedge = Exchange(attempt, exchange.chat_request, self._limiter).beside(exchange)
                with self._admit(hedge, None):
                    yield from source(hedge)

        return race(dispatch, exchange, source(exchange), another)

    def _answers(self, exchange: Exchange) -> Lane:
        yield self._answer(exchange)

    def _answer(self, exchange: Exchange) -> ChatGeneration:
        if exchange.vendor.runs:
            return runners.answer(exchange)
        if exchange.starts_server and not self._transport.replays:
            exchange.locate(local.base_url(exchange.call.model))
        response = self._transport.send(exchange.request(), exchange.read_deadline)
        try:
            exchange.answered(response)
            body = b"".join(read(response, exchange.read_deadline))
        finally:
            response.close()
        return exchange.decode(response, body)

    def _chunks(self, exchange: Exchange) -> Lane:
        if exchange.vendor.runs:
            with closing(runners.chunks(exchange)) as chunks:
                for chunk in chunks:
                    yield chunk
            return
        if exchange.starts_server and not self._transport.replays:
            exchange.locate(local.base_url(exchange.call.model))
        response = self._transport.send(exchange.request(), exchange.read_deadline)
        try:
            exchange.answered(response)
            if response.status_code != exchange.OK:
                exchange.refuse(response, b"".join(read(response, exchange.read_deadline)))
            relay, pieces = Relay(exchange, response.headers), read(response, exchange.read_deadline)
            try:
                for piece in pieces:
                    for chunk in relay.feed(piece):
                        yield chunk
                    if relay.done:
                        break
            except relay.HARMLESS as error:
                relay.broken(error)
            for chunk in relay.close():
                yield chunk
            relay.linger()
            finish(pieces)
        finally:
            exchange.settle()
            response.close()


class AsyncDriver:
    """Walks a call's attempts in the caller's task."""

    def __init__(self, transport: Transport, limiter: Limiter) -> None:
        self._transport, self._limiter = transport, limiter
        self._kept: set[asyncio.Task[None]] = set()

    async def generate(self, dispatch: Dispatch, request: ChatRequest, run: Run) -> ChatResult:
        """Return the first whole answer; see `SyncDriver.generate`."""
        async with run:
            for attempt in dispatch.attempts():
                with attempt:
                    exchange = Exchange(attempt, request, self._limiter)
                    with await self._admit(exchange, run):
                        answers = [
                            answer async for answer in self._first_of(dispatch, exchange, self._answers)
                        ]
                if dispatch.call.outcome == "answered":
                    return Exchange.result(*answers)
        return Exchange.result(*dispatch.call.declined[-1].outputs())

    async def stream(
        self, dispatch: Dispatch, request: ChatRequest, run: Run
    ) -> AsyncIterator[ChatGenerationChunk]:
        """Yield the chunks of the first answer that begins; see `SyncDriver.stream`."""
        async with run:
            for attempt in dispatch.attempts():
                with attempt:
                    exchange = Exchange(attempt, request, self._limiter)
                    with await self._admit(exchange, run):
                        async with aclosing(self._first_of(dispatch, exchange, self._chunks)) as chunks:
                            async for chunk in chunks:
                                yield chunk
                if dispatch.call.outcome == "answered":
                    return
            for chunk in dispatch.call.declined[-1].outputs():
                yield chunk

    async def _admit(self, exchange: Exchange, run: Run | None) -> AbstractContextManager[object]:
        attempt = exchange.attempt
        if run is not None and attempt.number > 1:
            await run.aadmit(attempt)
        if attempt.delay > 0:
            await attempt.call.clock.asleep(attempt.delay)
        permit = exchange.permit = await self._limiter.aacquire(attempt, exchange.chat_request)
        if permit is None:
            return nullcontext()
        attempt.throttled = _noticeable(permit.waited)
        return permit

    def _first_of(
        self, dispatch: Dispatch, exchange: Exchange, source: Callable[[Exchange], AsyncLane]
    ) -> AsyncLane:
        """Return what comes of a request, or of another one beside it if it is late."""
        if exchange.attempt.call.policy.hedge_after is None:
            return source(exchange)

        async def another(attempt: Attempt) -> AsyncLane:
            with attempt:
                hedge = Exchange(attempt, exchange.chat_request, self._limiter).beside(exchange)
                with await self._admit(hedge, None):
                    async with aclosing(source(hedge)) as pieces:
                        async for piece in pieces:
                            yield piece

        return arace(dispatch, exchange, source(exchange), another, self._kept)

    async def _answers(self, exchange: Exchange) -> AsyncLane:
        yield await self._answer(exchange)

    async def _answer(self, exchange: Exchange) -> ChatGeneration:
        if exchange.vendor.runs:
            return await runners.aanswer(exchange)
        if exchange.starts_server and not self._transport.replays:
            exchange.locate(await asyncio.to_thread(local.base_url, exchange.call.model))
        response = await self._transport.asend(exchange.request(), exchange.read_deadline)
        try:
            exchange.answered(response)
            body = b"".join([piece async for piece in aread(response, exchange.read_deadline)])
        finally:
            await response.aclose()
        return exchange.decode(response, body)

    async def _chunks(self, exchange: Exchange) -> AsyncLane:
        if exchange.vendor.runs:
            async with aclosing(runners.achunks(exchange)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        if exchange.starts_server and not self._transport.replays:
            exchange.locate(await asyncio.to_thread(local.base_url, exchange.call.model))
        response = await self._transport.asend(exchange.request(), exchange.read_deadline)
        try:
            exchange.answered(response)
            if response.status_code != exchange.OK:
                exchange.refuse(
                    response, b"".join([p async for p in aread(response, exchange.read_deadline)])
                )
            relay, pieces = Relay(exchange, response.headers), aread(response, exchange.read_deadline)
            try:
                async for piece in pieces:
                    for chunk in relay.feed(piece):
                        yield chunk
                    if relay.done:
                        break
            except relay.HARMLESS as error:
                relay.broken(error)
            for chunk in relay.close():
                yield chunk
            relay.linger()
            await afinish(pieces)
        finally:
            exchange.settle()
            await response.aclose()
