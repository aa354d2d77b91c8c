"""Network backends for httpcore's pools that apply a `ReadDeadline` to each read and write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import httpcore

from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.tcp import KEEP_ALIVE

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

Socket = TypeVar("Socket", httpcore.NetworkStream, httpcore.AsyncNetworkStream)


def _left(timeout: float | None, over: type[Exception]) -> float | None:
    if not isinstance(timeout, ReadDeadline):
        return timeout
    left = timeout.left()
    if left <= 0:
        raise over
    return min(left, 1e6)


def _connecting(timeout: float | None) -> float | None:
    """Return until when a connection may be under way, from the first step on."""
    return timeout.connecting() if isinstance(timeout, ReadDeadline) else timeout


class _Timed(Generic[Socket]):
    """The stream below.

    httpcore reads a SOCKS proxy's replies without a timeout: `connecting` holds for these.
    """

    _stream: Socket

    def __init__(self, stream: Socket, connecting: float | None = None) -> None:
        self._stream = stream
        self._connecting = connecting if isinstance(connecting, ReadDeadline) else None

    def _left(self, timeout: float | None, over: type[Exception]) -> float | None:
        if timeout is not None:
            self._connecting = None
        return _left(self._connecting if timeout is None else timeout, over)

    def get_extra_info(self, info: str) -> Any:
        """Return a fact of the connection, by httpcore's names."""
        return self._stream.get_extra_info(info)


class DeadlineStream(_Timed[httpcore.NetworkStream], httpcore.NetworkStream):
    """A connection whose reads and writes end at a `ReadDeadline`."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what arrives before the deadline."""
        left = self._left(timeout, httpcore.ReadTimeout)
        if isinstance(timeout, ReadDeadline) and timeout.interrupt is not None:
            with timeout.interrupt.on(self._stream, httpcore.ReadTimeout):
                return self._stream.read(max_bytes, left)
        return self._stream.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write before the deadline."""
        self._stream.write(buffer, self._left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        """Close it."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the connection, encrypted from now on."""
        left = _left(self._connecting or _connecting(timeout), httpcore.ConnectTimeout)
        secure = self._stream.start_tls(ssl_context, server_hostname, left)
        return DeadlineStream(secure)


class AsyncDeadlineStream(_Timed[httpcore.AsyncNetworkStream], httpcore.AsyncNetworkStream):
    """A connection whose reads and writes end at a `ReadDeadline`."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what arrives before the deadline."""
        left = self._left(timeout, httpcore.ReadTimeout)
        if isinstance(timeout, ReadDeadline) and timeout.interrupt is not None:
            with timeout.interrupt.on(self._stream, httpcore.ReadTimeout):
                return await self._stream.read(max_bytes, left)
        return await self._stream.read(max_bytes, left)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write before the deadline."""
        await self._stream.write(buffer, self._left(timeout, httpcore.WriteTimeout))

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Return the connection, encrypted from now on."""
        left = _left(self._connecting or _connecting(timeout), httpcore.ConnectTimeout)
        secure = await self._stream.start_tls(ssl_context, server_hostname, left)
        return AsyncDeadlineStream(secure)


class DeadlineBackend(httpcore.NetworkBackend):
    """Connects through another backend; its connections apply a `ReadDeadline`.

    Args:
        backend: The backend that connects.
    """

    def __init__(self, backend: httpcore.NetworkBackend) -> None:
        self._backend = backend

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
        return DeadlineStream(stream, connecting)


class AsyncDeadlineBackend(httpcore.AsyncNetworkBackend):
    """Connects through another backend; see `DeadlineBackend`."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        self._backend = backend

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
        return AsyncDeadlineStream(stream, connecting)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._backend.sleep(seconds)
