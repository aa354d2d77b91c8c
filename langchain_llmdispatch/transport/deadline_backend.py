"""Network backends for httpcore's pools: `ReadDeadline` is kept on each read and write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpcore

from langchain_llmdispatch.transport.deadline import ReadDeadline

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

_TOGETHER = 64 * 1024  # bytes of a request that are kept back for those that follow


def _left(timeout: float | None, over: type[Exception]) -> float | None:
    if not isinstance(timeout, ReadDeadline):
        return timeout
    left = timeout.left()
    if left <= 0:
        raise over
    return min(left, 1e6)


class Stream(httpcore.NetworkStream):
    """A connection whose reads and writes keep to a `ReadDeadline`."""

    def __init__(self, stream: httpcore.NetworkStream, *, together: bool) -> None:
        self._stream, self._together, self._unsent = stream, together, b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what arrives within the read_deadline."""
        left = _left(timeout, httpcore.ReadTimeout)
        if isinstance(timeout, ReadDeadline) and timeout.wait is not None:
            with timeout.wait.on(self._stream):
                return self._stream.read(max_bytes, left)
        return self._stream.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write, or keep back what belongs together."""
        self._unsent += buffer
        if not (self._together and buffer) or len(self._unsent) > _TOGETHER:
            unsent, self._unsent = self._unsent, b""
            self._stream.write(unsent, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        """Close it."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the connection, encrypted from now on."""
        left = _left(timeout, httpcore.ConnectTimeout)
        secure = self._stream.start_tls(ssl_context, server_hostname, left)
        return Stream(secure, together=self._together)

    def get_extra_info(self, info: str) -> Any:
        """Return a fact of the connection."""
        return self._stream.get_extra_info(info)


class Backend(httpcore.NetworkBackend):
    """Connects through another backend, and keeps to a `ReadDeadline` then.

    Args:
        backend: Whose connections they are.
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
        left = _left(timeout, httpcore.ConnectTimeout)
        stream = self._backend.connect_tcp(host, port, left, local_address, socket_options)
        return Stream(stream, together=self._together)


class AsyncStream(httpcore.AsyncNetworkStream):
    """A connection whose reads and writes keep to a `ReadDeadline`."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, *, together: bool) -> None:
        self._stream, self._together, self._unsent = stream, together, b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Return what arrives within the read_deadline."""
        left = _left(timeout, httpcore.ReadTimeout)
        if isinstance(timeout, ReadDeadline) and timeout.wait is not None:
            with timeout.wait.on(self._stream):
                return await self._stream.read(max_bytes, left)
        return await self._stream.read(max_bytes, left)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Write, or keep back what belongs together."""
        self._unsent += buffer
        if not (self._together and buffer) or len(self._unsent) > _TOGETHER:
            unsent, self._unsent = self._unsent, b""
            await self._stream.write(unsent, _left(timeout, httpcore.WriteTimeout))

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """Return the connection, encrypted from now on."""
        left = _left(timeout, httpcore.ConnectTimeout)
        secure = await self._stream.start_tls(ssl_context, server_hostname, left)
        return AsyncStream(secure, together=self._together)

    def get_extra_info(self, info: str) -> Any:
        """Return a fact of the connection."""
        return self._stream.get_extra_info(info)


class AsyncBackend(httpcore.AsyncNetworkBackend):
    """Connects through another backend, and keeps to a `ReadDeadline` then; see `Backend`."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend, *, together: bool = False) -> None:
        self._backend, self._together = backend, together

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Return a connection."""
        left = _left(timeout, httpcore.ConnectTimeout)
        stream = await self._backend.connect_tcp(host, port, left, local_address, socket_options)
        return AsyncStream(stream, together=self._together)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._backend.sleep(seconds)
