"""Vendors that answer by themselves (`Vendor.runs`), asked like servers: judged alike, bounded alike.

An async answer is bounded here. A sync one cannot be interrupted: its vendor is told the seconds, and a
stream is given up when a piece comes too late.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Generator
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.drivers.exchange import Exchange, Relay
from langchain_llmdispatch.errors import AttemptTimeoutError

if TYPE_CHECKING:
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk

# A longer wait is none that anybody bounded.
_FOREVER = 1e6


def answer(exchange: Exchange) -> ChatGeneration:
    """Return the whole answer.

    Raises:
        DispatchError: There is none.
    """
    call = exchange.begin()
    return exchange.said(exchange.vendor.generate(call, _left(exchange)))


async def aanswer(exchange: Exchange) -> ChatGeneration:
    """Return the whole answer; see `answer`."""
    call = exchange.begin()
    return exchange.said(await _within(exchange, exchange.vendor.agenerate(call, _left(exchange))))


def chunks(exchange: Exchange) -> Generator[ChatGenerationChunk, None, None]:
    """Yield the chunks of the answer.

    Raises:
        DispatchError: It does not come, or breaks.
    """
    relay, call = Relay(exchange, {}), exchange.begin()
    with closing(exchange.vendor.stream(call, _left(exchange))) as pieces:
        try:
            for piece in pieces:
                _in_time(exchange)
                yield from relay.feed(piece)
        except relay.HARMLESS as error:
            relay.broken(error)
    yield from relay.close()


async def achunks(exchange: Exchange) -> AsyncGenerator[ChatGenerationChunk, None]:
    """Yield the chunks of the answer; see `chunks`."""
    relay, call = Relay(exchange, {}), exchange.begin()
    async with aclosing(exchange.vendor.astream(call, _left(exchange))) as pieces:
        try:
            while (piece := await _within(exchange, anext(pieces, None))) is not None:
                for chunk in relay.feed(piece):
                    yield chunk
        except relay.HARMLESS as error:
            relay.broken(error)
    for chunk in relay.close():
        yield chunk


def _left(exchange: Exchange) -> float | None:
    left = exchange.read_deadline.left()
    return left if left < _FOREVER else None


def _in_time(exchange: Exchange) -> None:
    if exchange.read_deadline.left() <= 0:
        raise _late(exchange)


async def _within(exchange: Exchange, coming: Awaitable[Any]) -> Any:
    """Return what comes, unless time is up before."""
    try:
        async with asyncio.timeout(_left(exchange)):
            return await coming
    except TimeoutError:
        late = _late(exchange)
    raise late


def _late(exchange: Exchange) -> AttemptTimeoutError:
    return AttemptTimeoutError(f"{exchange.read_deadline.what} did not come in time")
