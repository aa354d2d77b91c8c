"""Connections of event loops, asyncio's and uvloop's: closed wherever they are left, one timer for many reads."""

from __future__ import annotations

import asyncio
import gc
import socket
from contextlib import suppress
from typing import Any

import httpx
import pytest

from langchain_llmdispatch.transport.async_connection import AsyncConnection, AsyncPool
from tests.transport.servers import LOOPS, answer, answer_one, deadline, listening, origin, post, run


@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_that_is_cancelled_is_closed(loop: str) -> None:
    """At whatever step of connecting the caller leaves, no socket is left to the garbage collector."""

    async def main() -> None:
        pool = AsyncPool(origin(port), None)
        for steps in range(12):
            task = asyncio.ensure_future(pool.handle_async_request(post(origin(port)), deadline()))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert pool.busy == []

    with socket.create_server(("127.0.0.1", 0)) as listener:  # the system connects, and nothing accepts
        port = listener.getsockname()[1]
        run(loop, main)
    gc.collect()  # an open socket is a warning then, which is an error here


@pytest.mark.parametrize("loop", LOOPS)
def test_one_timer_serves_many_reads(loop: str) -> None:
    """A read that ends before its deadline leaves its timer to the next; a shorter deadline replaces it."""

    async def main() -> None:
        connection = AsyncConnection()
        await connection.open(origin(port), None, deadline())
        timers = set[int]()
        for _ in range(3):
            connection.send(b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
            assert await connection.read(deadline(60))
            timers.add(id(connection._timer))
        assert len(timers) == 1
        with pytest.raises(httpx.ReadTimeout):
            await connection.read(deadline(0.01))
        connection.close()

    async def path_less(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with listening(path_less) as port:
        run(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_later_deadline_moves_the_timer(loop: str) -> None:
    """A timer that rings before the deadline of the read that waits now is set again."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            await answer_one(reader, writer)
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.05)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def main() -> None:
        pool = AsyncPool(origin(port), None)
        first = await pool.handle_async_request(post(origin(port)), deadline(0.04))
        assert await first.aread()
        second = await pool.handle_async_request(post(origin(port), content=b""), deadline(60))
        assert await second.aread() == b"ok"
        await pool.end()

    with listening(slow) as port:
        run(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_response_that_is_dropped_closes_its_connection(loop: str) -> None:
    """Neither the transport nor the event loop keeps it."""

    async def main() -> None:
        pool = AsyncPool(origin(port), None)
        response: Any = await pool.handle_async_request(post(origin(port), "/900000"), deadline())
        assert len(pool.busy) == 1
        del response
        gc.collect()
        for _ in range(10):
            await asyncio.sleep(0)
        assert pool.opened == []

    with listening(answer) as port:
        run(loop, main)


def test_a_pool_that_outlives_its_loop_is_no_error() -> None:
    """What an event loop has left behind is dropped without a word."""
    held: list[Any] = []

    async def main() -> None:
        pool = AsyncPool(origin(port), None)
        held.append(await pool.handle_async_request(post(origin(port), "/900000"), deadline()))
        for connection in pool.busy:
            connection.close()

    with listening(answer) as port:
        asyncio.run(main())
    held.clear()
    gc.collect()
