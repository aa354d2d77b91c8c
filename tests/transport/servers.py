"""Servers on loopback, event loops and pools for the tests of this folder."""

from __future__ import annotations

import asyncio
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import httpx
import pytest

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.transport.async_connection import AsyncPool
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.pool import Origin
from langchain_llmdispatch.transport.sync_connection import SyncPool
from langchain_llmdispatch.transport.transport import Transport

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LOOPS = ["asyncio", "uvloop"]
COLOURS = ["sync", *LOOPS]


def run(loop: str, main: Callable[[], Awaitable[None]]) -> None:
    """Run on one kind of event loop."""
    if loop == "uvloop":
        if sys.platform == "win32":
            pytest.skip("uvloop is not for this system")
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    else:
        asyncio.run(main())


@contextmanager
def listening(handle: Handle, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on loopback in a thread; yield the port."""
    ready, found = threading.Event(), list[Any]()
    tasks: set[asyncio.Task[Any]] = set()

    async def handle_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handle(reader, writer)
        except asyncio.CancelledError:
            pass  # the server is closed
        finally:
            writer.close()
            tasks.discard(task)

    async def serve() -> None:
        server = await asyncio.start_server(handle_and_close, "127.0.0.1", 0, ssl=context)
        over = asyncio.Event()
        found.extend([server.sockets[0].getsockname()[1], asyncio.get_running_loop(), over])
        ready.set()
        await over.wait()
        for _ in range(10):
            await asyncio.sleep(0)  # until what has connected is accepted
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(3):
            await asyncio.sleep(0)  # until the transports are closed

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(60)
    port, loop, over = found
    yield port
    loop.call_soon_threadsafe(over.set)
    thread.join(60)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request with its own body, and with as many bytes more as its path has it."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            await answer_one(reader, writer)


async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request; see `answer`."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    body = await reader.readexactly(length)
    more = b"x" * int(head.split(b" ")[1].rpartition(b"/")[2])
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body + more) + body + more)
    await writer.drain()


async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request, and close the connection a moment later, without a header that announces it."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    await writer.drain()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await reader.read()


def deadline(seconds: float = 60.0) -> ReadDeadline:
    """Return a deadline in real time."""
    clock = Clock()
    return ReadDeadline(clock, clock.monotonic() + seconds, "the answer")


def origin(port: int, scheme: str = "http", host: str = "127.0.0.1", proxy: str | None = None) -> Origin:
    """Return an origin on this machine."""
    return Origin(scheme, host, port, proxy)


def post(there: Origin, path: str = "/0", content: bytes = b"hi") -> httpx.Request:
    """Return a request to an origin."""
    return httpx.Request("POST", f"{there.scheme}://{there.host}:{there.port}{path}", content=content)


class Exchanged(NamedTuple):
    """What came of requests that were sent one by one over one pool.

    Attributes:
        responses: The responses, read to their ends.
        opened: How many connections were open at the end.
        busy: How many of them were in use.
    """

    responses: list[httpx.Response]
    opened: int
    busy: int


def exchanged(
    colour: str,
    there: Origin,
    *requests: httpx.Request,
    context: ssl.SSLContext | None = None,
    seconds: float = 60.0,
) -> Exchanged:
    """Send requests one by one: `sync`, or on one kind of event loop."""
    found: list[Exchanged] = []

    async def main() -> None:
        pool = AsyncPool(there, context)
        responses = []
        try:
            for request in requests:
                responses.append(await pool.handle_async_request(request, deadline(seconds)))
                await responses[-1].aread()
            found.append(Exchanged(responses, len(pool.opened), len(pool.busy)))
        finally:
            await pool.end()

    if colour != "sync":
        run(colour, main)
        return found[0]
    pool = SyncPool(there, context)
    try:
        responses = []
        for request in requests:
            responses.append(pool.handle_request(request, deadline(seconds)))
            responses[-1].read()
        return Exchanged(responses, len(pool.opened), len(pool.busy))
    finally:
        pool.close()


def sent(transport: Transport, request: httpx.Request, colour: str) -> bytes:
    """Return the body of the response to a request."""

    async def main() -> bytes:
        response = await transport.asend(request, deadline())
        body = await response.aread()
        await transport.aclose()
        return body

    if colour == "async":
        return asyncio.run(main())
    return transport.send(request, deadline()).read()
