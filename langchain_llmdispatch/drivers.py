"""The two drivers: the only code that waits and sends. Line for line alike, but for `await`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_llmdispatch import local
from langchain_llmdispatch.exchange import Exchange, Relay
from langchain_llmdispatch.transport import Transport, aread, read

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun

    from langchain_llmdispatch.dispatch import Attempt, Dispatch
    from langchain_llmdispatch.types import ChatRequest


class SyncDriver:
    """Walks a call's attempts in the caller's thread."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def generate(
        self, dispatch: Dispatch, request: ChatRequest, run: CallbackManagerForLLMRun | None
    ) -> ChatResult:
        """Return the first whole answer.

        Raises:
            DispatchError: No deployment gave one.
        """
        for attempt in dispatch.attempts():
            with attempt:
                exchange = Exchange(attempt, request)
                self._admit(attempt, run)
                return exchange.result(self._answer(exchange))
        raise AssertionError("attempts() raises when it is out of attempts")

    def stream(
        self, dispatch: Dispatch, request: ChatRequest, run: CallbackManagerForLLMRun | None
    ) -> Iterator[ChatGenerationChunk]:
        """Yield the chunks of the first answer that begins.

        Raises:
            StreamInterruptedError: It broke after content was delivered.
            DispatchError: No deployment gave one.
        """
        for attempt in dispatch.attempts():
            with attempt:
                exchange = Exchange(attempt, request)
                self._admit(attempt, run)
                yield from self._chunks(exchange)
                return

    def _admit(self, attempt: Attempt, run: CallbackManagerForLLMRun | None) -> None:
        if attempt.retry is not None and run is not None:
            run.on_retry(attempt.retry)
        if attempt.delay > 0:
            attempt.dispatch.clock.sleep(attempt.delay)

    def _answer(self, exchange: Exchange) -> ChatGeneration:
        if exchange.starts_server:
            exchange.locate(local.base_url(exchange.call.model))
        response = self._transport.send(exchange.request(), exchange.patience)
        try:
            exchange.answered(response)
            body = b"".join(read(response, exchange.patience))
        finally:
            response.close()
        return exchange.decode(response, body)

    def _chunks(self, exchange: Exchange) -> Iterator[ChatGenerationChunk]:
        if exchange.starts_server:
            exchange.locate(local.base_url(exchange.call.model))
        response = self._transport.send(exchange.request(), exchange.patience)
        try:
            exchange.answered(response)
            if response.status_code != exchange.OK:
                exchange.refuse(response, b"".join(read(response, exchange.patience)))
            relay = Relay(exchange, response.headers)
            try:
                for piece in read(response, exchange.patience):
                    for chunk in relay.feed(piece):
                        yield chunk
                    if relay.done:
                        break
            except relay.HARMLESS as error:
                relay.broken(error)
            for chunk in relay.close():
                yield chunk
        finally:
            response.close()


class AsyncDriver:
    """Walks a call's attempts in the caller's task."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def generate(
        self, dispatch: Dispatch, request: ChatRequest, run: AsyncCallbackManagerForLLMRun | None
    ) -> ChatResult:
        """Return the first whole answer; see `SyncDriver.generate`."""
        for attempt in dispatch.attempts():
            with attempt:
                exchange = Exchange(attempt, request)
                await self._admit(attempt, run)
                return exchange.result(await self._answer(exchange))
        raise AssertionError("attempts() raises when it is out of attempts")

    async def stream(
        self, dispatch: Dispatch, request: ChatRequest, run: AsyncCallbackManagerForLLMRun | None
    ) -> AsyncIterator[ChatGenerationChunk]:
        """Yield the chunks of the first answer that begins; see `SyncDriver.stream`."""
        for attempt in dispatch.attempts():
            with attempt:
                exchange = Exchange(attempt, request)
                await self._admit(attempt, run)
                async with aclosing(self._chunks(exchange)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return

    async def _admit(self, attempt: Attempt, run: AsyncCallbackManagerForLLMRun | None) -> None:
        if attempt.retry is not None and run is not None:
            await run.on_retry(attempt.retry)
        if attempt.delay > 0:
            await attempt.dispatch.clock.asleep(attempt.delay)

    async def _answer(self, exchange: Exchange) -> ChatGeneration:
        if exchange.starts_server:
            exchange.locate(await asyncio.to_thread(local.base_url, exchange.call.model))
        response = await self._transport.asend(exchange.request(), exchange.patience)
        try:
            exchange.answered(response)
            body = b"".join([piece async for piece in aread(response, exchange.patience)])
        finally:
            await response.aclose()
        return exchange.decode(response, body)

    async def _chunks(self, exchange: Exchange) -> AsyncGenerator[ChatGenerationChunk, None]:
        if exchange.starts_server:
            exchange.locate(await asyncio.to_thread(local.base_url, exchange.call.model))
        response = await self._transport.asend(exchange.request(), exchange.patience)
        try:
            exchange.answered(response)
            if response.status_code != exchange.OK:
                exchange.refuse(response, b"".join([p async for p in aread(response, exchange.patience)]))
            relay = Relay(exchange, response.headers)
            try:
                async for piece in aread(response, exchange.patience):
                    for chunk in relay.feed(piece):
                        yield chunk
                    if relay.done:
                        break
            except relay.HARMLESS as error:
                relay.broken(error)
            for chunk in relay.close():
                yield chunk
        finally:
            await response.aclose()
