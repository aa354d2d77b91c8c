"""A network backend for httpcore's async pool on asyncio's own transports.

httpcore's default goes through anyio, which visits the event loop several times for each read and write. Here
what arrives is kept until the next read. TLS, proxies and the pool stay httpcore's and asyncio's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpcore

from langchain_llmdispatch.transport.sync_backend import is_address

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

_BACKLOG = 256 * 1024  # unread bytes at which the transport stops reading
_EYEBALLS = 0.25  # seconds after which the next address is tried as well
_INFO = {"ssl_object": "ssl_object", "socket": "socket", "client_addr": "sockname", "server_addr": "peername"}


class AsyncioStream(httpcore.AsyncNetworkStream, asyncio.Protocol):
    """One connection of one event loop.

    Args:
        loop: The loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._transport = loop, asyncio.Transport()
        self._pieces: list[bytes] = []
        self._size, self._over, self._full = 0, False, False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

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
        self._over, self._error, self._full = True, exc, False
        self._wake()

    def pause_writing(self) -> None:
        """Note that the send buffer is full."""
        self._full = True

    def resume_writing(self) -> None:
        """Note that the send buffer has drained."""
        self._full = False
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- httpcore's stream -------------------------------------------------------------------------

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has arrived, at least one byte; nothing at the end of input."""
        while not self._pieces:
            if self._error is not None:
                raise httpcore.ReadError(str(self._error))
            if self._over:
                return b""
            await self._wait(timeout, httpcore.ReadTimeout)
        data = b"".join(self._pieces)
        data, rest = data[:max_bytes], data[max_bytes:]
        if self._size > _BACKLOG >= len(rest):
            self._transport.resume_reading()
        self._pieces, self._size = [rest] if rest else [], len(rest)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of `buffer`."""
        if not buffer:
            return
        self._transport.write(buffer)
        while self._full:
            await self._wait(timeout, httpcore.WriteTimeout)
        if self._error is not None:
            raise httpcore.WriteError(str(self._error))

    async def aclose(self) -> None:
        """Close it at once; nothing more is read or written."""
        self._over = True
        self._transport.abort()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Return the stream, encrypted from now on."""
        try:
            async with asyncio.timeout(timeout):
                secure = await self._loop.start_tls(
                    self._transport, self, ssl_context, server_hostname=server_hostname
                )
        except TimeoutError as error:
            self._transport.abort()
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            self._transport.abort()
            raise httpcore.ConnectError(str(error)) from error
        except BaseException:
            self._transport.abort()
            raise
        if secure is None:  # asyncio's word for a transport that was closed meanwhile
            raise httpcore.ConnectError("the connection was closed during the TLS handshake")
        self._transport = secure
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return a fact of the connection, by httpcore's names."""
        if info == "is_readable":  # of an idle connection: it cannot be used any more
            return bool(self._pieces) or self._over or self._transport.is_closing()
        return self._transport.get_extra_info(_INFO[info]) if info in _INFO else None

    async def _wait(self, timeout: float | None, over: type[Exception]) -> None:
        self._waiter = waiter = self._loop.create_future()
        timer = None if timeout is None else self._loop.call_later(timeout, _give_up, waiter, over)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()


class AsyncioBackend(httpcore.AsyncNetworkBackend):
    """Connects through the running event loop, asyncio's or uvloop's."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Return a connection."""
        loop = asyncio.get_running_loop()
        # uvloop has no such option; one address needs no race, which may drop an open socket if cancelled.
        races = isinstance(loop, asyncio.BaseEventLoop) and not is_address(host)
        options: dict[str, Any] = {"happy_eyeballs_delay": _EYEBALLS} if races else {}
        try:
            async with asyncio.timeout(timeout):
                transport, stream = await loop.create_connection(
                    lambda: AsyncioStream(loop),
                    host,
                    port,
                    local_addr=None if local_address is None else (local_address, 0),
                    **options,
                )
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        for option in socket_options or ():
            transport.get_extra_info("socket").setsockopt(*option)
        return stream

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def _give_up(waiter: asyncio.Future[None], over: type[Exception]) -> None:
    if not waiter.done():
        waiter.set_exception(over())
