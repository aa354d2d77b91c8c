"""Connections of one event loop, asyncio's or uvloop's: what arrives is kept until the next read."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx

from langchain_llmdispatch.internal.forks import keep_for_ever
from langchain_llmdispatch.transport.http1 import ResponseReader, request_bytes, tunnel_bytes
from langchain_llmdispatch.transport.pool import MOST_CONNECTIONS, Origin, Pool
from langchain_llmdispatch.transport.tcp import KEEP_ALIVE, is_address

if TYPE_CHECKING:
    import ssl

    from langchain_llmdispatch.transport.deadline import ReadDeadline

_READ = 64 * 1024  # bytes that are read at once: a limit on a response ends it near there
_BACKLOG = 256 * 1024  # unread bytes at which the transport stops reading
_EYEBALLS = 0.25  # seconds after which the next address is tried as well
_LATE = 0.02  # seconds that a timer may ring late rather than be set anew: uvloop's time steps
_LOOK_SECONDS = 1.0  # between two looks at a full pool: a connection may also end without notice


class AsyncConnection(asyncio.Protocol):
    """A connection of the running event loop, with TLS or without."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._pieces: list[bytes] = []
        self._size, self._over = 0, False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = self._timer_due = 0.0
        self.idle_since, self.is_closed = 0.0, False

    # -- asyncio's protocol ------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep what arrived."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _BACKLOG:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Note that nothing more will arrive."""
        self._over = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it is closed, or broke."""
        self._over, self._error = True, exc
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # -- the other side ----------------------------------------------------------------------------

    async def open(self, origin: Origin, context: ssl.SSLContext | None, read_deadline: ReadDeadline) -> None:
        """Connect, through the origin's proxy if it has one; see `SyncConnection.open`."""
        until = read_deadline.connecting()
        try:
            async with asyncio.timeout(until.seconds(httpx.ConnectTimeout)):
                await self._connect(origin, None if origin.tunnels else context)
                if origin.tunnels and context is not None:
                    await self._tunnel(origin, context, until)
        except (httpx.TimeoutException, TimeoutError):
            raise httpx.ConnectTimeout("timed out") from None
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error

    async def _connect(self, origin: Origin, context: ssl.SSLContext | None) -> None:
        host, port = origin.first_hop
        # uvloop has no such option; one address needs no race, which may drop an open socket if cancelled.
        races = isinstance(self._loop, asyncio.BaseEventLoop) and not is_address(host)
        options: dict[str, Any] = {"happy_eyeballs_delay": _EYEBALLS} if races else {}
        if context is not None:
            options |= {"ssl": context, "server_hostname": origin.host}
        await self._loop.create_connection(lambda: self, host, port, **options)
        sock = self._transport.get_extra_info("socket")
        for option in KEEP_ALIVE:
            sock.setsockopt(*option)

    async def _tunnel(self, origin: Origin, context: ssl.SSLContext, until: ReadDeadline) -> None:
        self.send(tunnel_bytes(origin))
        reader = ResponseReader("CONNECT")
        while not reader.status:
            reader.feed(await self.read(until))
        reader.check_tunnel()
        transport = self._transport
        secure = await self._loop.start_tls(transport, self, context, server_hostname=origin.host)
        if secure is None:  # asyncio's word for a transport that was closed meanwhile
            raise httpx.ConnectError("the connection was closed during the TLS handshake")
        self._transport = secure

    def send(self, data: bytes) -> None:
        """Send all of `data`, without waiting: what is not accepted yet is in the event loop's memory."""
        self._transport.write(data)

    async def read(self, read_deadline: ReadDeadline) -> bytes:
        """Return what has arrived; nothing at the end of input; see `SyncConnection.read`."""
        while not self._pieces:
            if self._error is not None:
                raise httpx.ReadError(str(self._error))
            if self._over:
                return b""
            left, interrupt = read_deadline.seconds(httpx.ReadTimeout), read_deadline.interrupt
            if interrupt is None:
                await self._arrival(left)
                continue
            with interrupt.on(self, httpx.ReadTimeout):
                await self._arrival(left)
        return self._taken()

    def _taken(self) -> bytes:
        pieces, size = self._pieces, self._size
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if size <= _READ:
            self._size = 0
            return data
        pieces.append(data[_READ:])
        self._size = size - _READ
        if self._size <= _BACKLOG < size:
            self._transport.resume_reading()
        return data[:_READ]

    def _arrival(self, seconds: float) -> asyncio.Future[None]:
        """Return what is done as soon as something happens, or fails after so many seconds.

        A timer that is set stays: most answers come long before it, and one timer serves many reads.
        """
        self._due = due = self._loop.time() + seconds
        if self._timer is None or self._timer_due > due + _LATE:
            self._set_timer(due)
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def _set_timer(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due, self._timer = due, self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer, waiter = None, self._waiter
        if waiter is None or waiter.done():
            return
        if self._due > self._timer_due:
            self._set_timer(self._due)
        else:
            self._waiter = None  # an error leads to the frames that it passed, and from there back to here
            waiter.set_exception(httpx.ReadTimeout("timed out"))

    def is_fresh(self) -> bool:
        """Return whether nothing has arrived since it became idle, not even its end."""
        return not (self._pieces or self._over or self._transport.is_closing())

    @property
    def has_sent(self) -> bool:
        """Whether all that was sent has left."""
        return not self._transport.get_write_buffer_size()

    def fileno(self) -> int:
        """Return the socket's descriptor; -1 if it is closed."""
        sock = None if self._transport is None else self._transport.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    def get_extra_info(self, info: str) -> Any:
        """Return a fact of the connection, by asyncio's names."""
        return self._transport.get_extra_info(info)

    def leave(self) -> None:
        """Belong to the parent of this forked child: its event loop must not see the transport close."""
        keep_for_ever((self._transport, self._timer))
        self._transport = self._timer = None

    def close(self) -> None:
        """Close it at once; nothing more is read or sent."""
        self.is_closed, self._over, self._waiter = True, True, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()

    def close_soon(self) -> None:
        """Close it from a destructor, which may run in any thread."""
        with suppress(RuntimeError):  # the loop is closed, and so is all that it had
            self._loop.call_soon_threadsafe(self.close)


class AsyncPool(Pool[AsyncConnection]):
    """The connections of one event loop to one origin."""

    def __init__(
        self,
        origin: Origin,
        context: ssl.SSLContext | None,
        most: int = MOST_CONNECTIONS,
        family: Iterable[object] = (),
    ) -> None:
        super().__init__(origin, context, most, family)
        self._waiters: deque[asyncio.Future[AsyncConnection | None]] = deque()

    def handle_async_request(
        self, request: httpx.Request, read_deadline: ReadDeadline
    ) -> Coroutine[Any, Any, httpx.Response]:
        """Send a request, and return its response; see `SyncPool.handle_request`."""
        return self._response(request_bytes(request, self._origin), request.method, read_deadline)

    async def _response(self, data: bytes, method: str, read_deadline: ReadDeadline) -> httpx.Response:
        connection = self.take() or await self._connected(read_deadline)
        reader = ResponseReader(method)
        body = _AsyncBody(self, connection, reader, read_deadline)
        connection.send(data)
        del data  # neither it nor the request is kept while the answer is waited for
        while not reader.status:
            await body.read()
        return reader.response(body)

    async def aclose(self) -> None:
        """Close the idle connections."""
        self.close()

    async def end(self) -> None:
        """Close all at the end of the event loop."""
        for connection in self.opened:
            connection.close()

    async def _connected(self, read_deadline: ReadDeadline) -> AsyncConnection:
        """Return a new connection, or one that became idle while the pool was full."""
        opening = AsyncConnection()
        while (added := self._added(opening)) is None:
            if (idle := await self._turn(read_deadline.seconds(httpx.PoolTimeout))) is not None:
                return idle
        try:
            await added.open(self._origin, self._context, read_deadline)
        except BaseException:
            added.close()
            self.released(None)
            raise
        return added

    async def _turn(self, seconds: float) -> AsyncConnection | None:
        """Wait until a connection is idle, which is returned, or until there may be room for another."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[AsyncConnection | None] = loop.create_future()
        self._waiters.append(waiter)
        timer = loop.call_later(min(seconds, _LOOK_SECONDS), _grant, waiter, None)
        try:
            return await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self.released(waiter.result())  # to the next one
            raise
        finally:
            timer.cancel()

    def released(self, connection: AsyncConnection | None) -> None:
        """Give a connection to the request that has waited longest, or keep it; None for room for another."""
        while self._waiters:
            if _grant(self._waiters.popleft(), connection):
                return
        if connection is not None:
            self.release(connection)


def _grant(waiter: asyncio.Future[Any], connection: AsyncConnection | None) -> bool:
    if waiter.done():
        return False
    waiter.set_result(connection)
    return True


class _AsyncBody(httpx.AsyncByteStream):
    """The body of a response; see `_SyncBody`."""

    def __init__(
        self,
        pool: AsyncPool,
        connection: AsyncConnection,
        reader: ResponseReader,
        read_deadline: ReadDeadline,
    ) -> None:
        self._owner, self._reader, self._read_deadline = pool, reader, read_deadline
        self._connection: AsyncConnection | None = connection

    async def read(self) -> None:
        """Wait for the next piece of the response, and read it."""
        connection = self._connection
        if connection is None:
            raise httpx.StreamClosed
        try:
            self._reader.feed(await connection.read(self._read_deadline))
        except BaseException:
            self.close()
            raise
        if self._reader.over:
            self._connection = None
            if self._reader.keeps and connection.has_sent:
                self._owner.released(connection)
            else:
                connection.close()
                self._owner.released(None)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return itself: it is read once."""
        return self

    async def __anext__(self) -> bytes:
        """Return what arrives next."""
        reader = self._reader
        while not (data := reader.take()):
            if reader.over:
                raise StopAsyncIteration
            await self.read()
        return data

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        self.close()

    def close(self) -> None:
        """Close it; nothing is awaited."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            self._owner.released(None)

    def __del__(self) -> None:
        """Close the connection of a response that was dropped."""
        if self._connection is not None:
            self._connection.close_soon()
