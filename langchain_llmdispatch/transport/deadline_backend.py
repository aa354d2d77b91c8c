"""Network backends for httpcore's pools that apply a `ReadDeadline` to each read and write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import httpcore

from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.sync_backend import KEEP_ALIVE

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

Socket = TypeVar("Socket", httpcore.NetworkStream, httpcore.AsyncNetworkStream)
CONNECT_TIMEOUT = 10.0
"""Seconds for a connection: the name's lookup, all addresses, a proxy and TLS together."""
_TOGETHER = 64 * 1024  # bytes of a request that are held back for those that follow


def _left(timeout: float | None, over: type[Exception]) -> float | None:
    if not isinstance(timeout, ReadDeadline):
        return timeout
    left = timeout.left()
    if left <= 0:
        raise over
    return min(left, 1e6)


def _connecting(timeout: float | None) -> float | None:
    """Return until when a connection may be under way, from the first step on."""
    if not isinstance(timeout, ReadDeadline):
        return timeout
    clock = timeout.clock
    return ReadDeadline(clock, min(timeout.until, clock.monotonic() + CONNECT_TIMEOUT), "a connection")


class _Outgoing(Generic[Socket]):
    """The stream below, and the bytes that are held back until the rest of their request follows.

    httpcore reads a SOCKS proxy's replies without a timeout: `connecting` holds for these.
    """

    _stream: Socket

    def __init__(self, stream: Socket, *, together: bool, connecting: float | None = None) -> None:
        self._stream, self._together, self._unsent = stream, together, b""
        self._connecting = connecting if isinstance(connecting, ReadDeadline) else None

    def _left(self, timeout: float | None, over: type[Exception]) -> float | None:
        if timeout is not None:
            self._connecting = None
        return _left(self._connecting if timeout is None else timeout, over)

    def _held_back(self) -> bytes:
        """Return what is written before a read: the end of a body of unknown length is not announced."""
        due, self._unsent = self._unsent, b""
        return due

    def _due(self, buffer: bytes) -> bytes | None:
        """Return what is written now; None while it is held back."""
        self._unsent += buffer
        if self._together and buffer and len(self._unsent) <= _TOGETHER:
            return None
        due, self._unsent = self._unsent, b""
        return due

    def get_extra_info(self, info: str) -> Any:
        """Return a fact of the connection, by httpcore's names."""
        return self._stream.get_extra_info(info)


class DeadlineStream(_Outgoing[httpcore.NetworkStream], httpcore.NetworkStream):
    """A connection whose reads and writes end at a `ReadDeadline`."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what arrives before the deadline."""
        left = self._left(timeout, httpcore.ReadTimeout)
        if self._unsent:
            self._stream.write(self._held_back(), left)
        if isinstance(timeout, ReadDeadline) and timeout.interrupt is not None:
            with timeout.interrupt.on(self._stream):
                return self._stream.read(max_bytes, left)
        return self._stream.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write, or hold back what leaves together with the rest."""
        if (due := self._due(buffer)) is not None:
            self._stream.write(due, self._left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        """Close it."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the connection, encrypted from now on."""
        left = _left(self._connecting or _connecting(timeout), httpcore.ConnectTimeout)
        secure = self._stream.start_tls(ssl_context, server_hostname, left)
        return DeadlineStream(secure, together=self._together)


class AsyncDeadlineStream(_Outgoing[httpcore.AsyncNetworkStream], httpcore.AsyncNetworkStream):
    """A connection whose reads and writes end at a `ReadDeadline`."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what arrives before the deadline."""
        left = self._left(timeout, httpcore.ReadTimeout)
        if self._unsent:
            await self._stream.write(self._held_back(), left)
        if isinstance(timeout, ReadDeadline) and timeout.interrupt is not None:
            with timeout.interrupt.on(self._stream):
                return await self._stream.read(max_bytes, left)
        return await self._stream.read(max_bytes, left)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write, or hold back what leaves together with the rest."""
        if (due := self._due(buffer)) is not None:
            await self._stream.write(due, self._left(timeout, httpcore.WriteTimeout))

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Return the connection, encrypted from now on."""
        left = _left(self._connecting or _connecting(timeout), httpcore.ConnectTimeout)
        secure = await self._stream.start_tls(ssl_context, server_hostname, left)
        return AsyncDeadlineStream(secure, together=self._together)


class DeadlineBackend(httpcore.NetworkBackend):
    """Connects through another backend; its connections apply a `ReadDeadline`.

    Args:
        backend: The backend that connects.
        together: Whether a request's head and body leave together. httpcore's HTTP/1.1 writes a head, its
            body and, at the end of both, nothing; HTTP/2 and SOCKS do not.
    """

    def __init__(self, backend: httpcore.NetworkBackend, *, together: bool = False) -> None:
        self._backend, self._together = backend, together

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Return a connection."""
        connecting = _connecting(timeout)
        left = _left(connecting, httpcore.ConnectTimeout)
        socket_options = KEEP_ALIVE if socket_options is None else socket_options
        stream = self._backend.connect_tcp(host, port, left, local_address, socket_options)
        return DeadlineStream(stream, together=self._together, connecting=connecting)


class AsyncDeadlineBackend(httpcore.AsyncNetworkBackend):
    """Connects through another backend; see `DeadlineBackend`."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend, *, together: bool = False) -> None:
        self._backend, self._together = backend, together

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Return a connection."""
        connecting = _connecting(timeout)
        left = _left(connecting, httpcore.ConnectTimeout)
        socket_options = KEEP_ALIVE if socket_options is None else socket_options
        stream = await self._backend.connect_tcp(host, port, left, local_address, socket_options)
        return AsyncDeadlineStream(stream, together=self._together, connecting=connecting)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._backend.sleep(seconds)
