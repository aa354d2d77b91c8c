"""The one module on underscored names of httpx and httpcore; `pyproject.toml` pins the tested versions.

What it replaces, and why (docs/decisions/httpcore.md has the figures):

- httpcore's choice of a connection (`_assign_requests_to_connections`, over `_connections`, `_requests` and
  `_max_connections`): httpcore 1.0 examines all connections for each of them, when a request begins and when
  it ends, and polls every idle socket; 512 requests at once spend nearly all their time there. Here a pass
  over all is made now and then, and a request takes the connection that has been idle longest: near the
  front of the list, so that the search ends early however many there are.
- its pool's lock (`_optional_thread_lock`): reentrant, since the garbage collector may close an abandoned
  stream at any moment.
- the pool of an `httpx.HTTPTransport` (`_pool`), and the network backend of the pool of a user's own client
  (`_transport_for_url`, `_network_backend`): httpx takes neither as an argument.

- the connections that a forked child inherits (`_connections`, `_network_stream`), which are its parent's.

Connecting, TLS, HTTP and closing stay httpcore's, and vcrpy, respx and pytest-httpx find the classes that
they patch.
"""

from __future__ import annotations

import copy
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import httpcore
import httpx

from langchain_llmdispatch.internal.forks import keep_for_ever
from langchain_llmdispatch.transport.asyncio_backend import AsyncioBackend
from langchain_llmdispatch.transport.deadline_backend import AsyncDeadlineBackend, DeadlineBackend
from langchain_llmdispatch.transport.sync_backend import SyncBackend

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator


# A pass over all connections is due after so many requests began or ended, or after so many seconds.
_OFTEN, _SECONDS = 64, 1.0


class _Assignment:
    """The choice of a connection, for both pools. Called with the pool's lock held."""

    _connections: list[Any]
    _requests: list[Any]
    _max_connections: int
    _optional_thread_lock: Any
    create_connection: Any
    _turns, _swept = 0, 0.0

    def _assign_requests_to_connections(self) -> list[Any]:
        closing: list[Any] = []
        taken = {id(request.connection) for request in self._requests}
        self._turns += 1
        if self._turns >= _OFTEN or time.monotonic() - self._swept >= _SECONDS:
            self._sweep(taken, closing)
        for request in [request for request in self._requests if request.is_queued()]:
            origin = request.request.url.origin
            connection = self._idle(origin, taken, closing) or self._opened(origin, taken, closing)
            if connection is None:
                break
            request.assign_to_connection(connection)
            taken.add(id(connection))
        return closing

    def _sweep(self, taken: set[int], closing: list[Any]) -> None:
        """Drop closed connections; close those that expired or that their server closed."""
        self._turns, self._swept = 0, time.monotonic()
        for connection in self._free(taken):
            if connection.is_closed():
                self._drop(connection)
            elif connection.has_expired():
                self._drop(connection, closing)

    def _idle(self, origin: Any, taken: set[int], closing: list[Any]) -> Any:
        """Return an idle connection to `origin`, or None."""
        for connection in self._free(taken):
            if not (connection.is_available() and connection.can_handle_request(origin)):
                continue
            self._drop(connection)
            if connection.has_expired():
                closing.append(connection)
                continue
            self._connections.append(connection)  # to the end: those in front have been idle longest
            return connection
        return None

    def _opened(self, origin: Any, taken: set[int], closing: list[Any]) -> Any:
        """Return a new connection to `origin`, or None where the pool is full of busy ones."""
        if len(self._connections) >= self._max_connections:
            self._sweep(taken, closing)
        if len(self._connections) >= self._max_connections:
            idle = next((each for each in self._free(taken) if each.is_idle()), None)
            if idle is None:
                return None
            self._drop(idle, closing)
        connection = self.create_connection(origin)
        self._connections.append(connection)
        return connection

    def _forget(self, request: httpcore.Request) -> list[Any]:
        """Remove what an interrupted request has left in the pool; return the connections to close.

        Where an interrupt or a cancellation comes at the wrong moment, httpcore leaves the request, or its
        connection in a state from which it is never chosen again (encode/httpcore#1093).
        """
        with self._optional_thread_lock:
            self._requests[:] = [each for each in self._requests if each.request is not request]
            taken = {id(each.connection) for each in self._requests}
            stuck = [
                each
                for each in self._free(taken)
                if _is_locked(each) or not (each.is_idle() or each.is_closed())
            ]
            for connection in stuck:
                self._drop(connection)
            return [*stuck, *self._assign_requests_to_connections()]

    def _free(self, taken: set[int]) -> Iterator[Any]:
        # A connection belongs to its request from here on, though it looks idle until that has begun: a check
        # for expiry then may find the other request's answer on it, and close it.
        return (connection for connection in list(self._connections) if id(connection) not in taken)

    def _drop(self, connection: Any, closing: list[Any] | None = None) -> None:
        # The garbage collector may have closed a stream, and so changed the list, since the last look.
        if connection in self._connections:
            self._connections.remove(connection)
            if closing is not None:
                closing.append(connection)


_LOCKS = ("_request_lock", "_connect_lock", "_state_lock")


def _is_locked(connection: Any) -> bool:
    """Return whether a connection without a request is locked: an interrupt came as a lock was taken."""
    while connection is not None:
        for name in _LOCKS:
            lock = getattr(getattr(connection, name, None), "_lock", None)
            if lock is not None and lock.locked():
                return True
        connection = getattr(connection, "_connection", None)
    return False


class Pool(_Assignment, httpcore.ConnectionPool):
    """The connections of all threads.

    Args:
        context: For `https`; None where it is not needed.
        limits: How many connections there may be, and how long they stay idle.
        proxy: The address of a proxy (`http`, `https`, `socks5`), credentials included; None for none.
    """

    def __init__(
        self, context: ssl.SSLContext | None, limits: httpx.Limits, proxy: str | None = None
    ) -> None:
        backend = DeadlineBackend(SyncBackend(), together=proxy is None)
        super().__init__(**_options(context, limits, proxy), network_backend=backend)
        self._optional_thread_lock = threading.RLock()

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send a request; nothing of it stays in the pool if it is interrupted."""
        try:
            response = super().handle_request(request)
            response.stream = _Body(response.stream, self, request)
        except BaseException:
            self.forget(request)
            raise
        return response

    def forget(self, request: httpcore.Request) -> None:
        """Remove what an interrupted request has left in the pool."""
        for connection in self._forget(request):
            with suppress(Exception):
                connection.close()


class _Body:
    """A response's body, whose connection goes back to the pool or is closed, whatever interrupts it.

    Args:
        stream: httpcore's.
        pool: The pool of its connection.
        request: The request.
    """

    _closed = True

    def __init__(self, stream: Any, pool: Pool | AsyncPool, request: httpcore.Request) -> None:
        self._stream, self._pool, self._request = stream, pool, request
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return cast("AsyncIterator[bytes]", aiter(self._stream))

    def close(self) -> None:
        """Close it."""
        broke = self._stream._closed  # by an error or an interrupt while it was read
        if not self._closed:
            self._stream.close()
            self._end(broke=broke)

    async def aclose(self) -> None:
        """Close it."""
        broke = self._stream._closed
        if not self._closed:
            await self._stream.aclose()
            self._end(broke=broke)

    def _end(self, *, broke: bool) -> None:
        if broke:
            self._pool.forget(self._request)
        self._closed = True

    def __del__(self) -> None:
        """Close it if its reader was interrupted before it was closed."""
        if not self._closed:
            self._pool.forget(self._request)


class AsyncPool(_Assignment, httpcore.AsyncConnectionPool):
    """The connections of one event loop; see `Pool`."""

    def __init__(
        self, context: ssl.SSLContext | None, limits: httpx.Limits, proxy: str | None = None
    ) -> None:
        backend = AsyncDeadlineBackend(AsyncioBackend(), together=proxy is None)
        super().__init__(**_options(context, limits, proxy), network_backend=backend)

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send a request; nothing of it stays in the pool if it is cancelled."""
        try:
            response = await super().handle_async_request(request)
            response.stream = _Body(response.stream, self, request)
        except BaseException:
            self.forget(request)
            raise
        return response

    def forget(self, request: httpcore.Request) -> None:
        """Remove what a cancelled request has left in the pool; nothing is awaited here."""
        for connection in self._forget(request):
            closing = connection.aclose()
            with suppress(StopIteration, Exception):
                closing.send(None)  # our streams are closed without suspending
            closing.close()


def _options(context: ssl.SSLContext | None, limits: httpx.Limits, proxy: str | None) -> dict[str, Any]:
    return {
        "proxy": None if proxy is None else _proxy(httpx.Proxy(proxy)),
        "ssl_context": context,
        "max_connections": limits.max_connections,
        "max_keepalive_connections": limits.max_keepalive_connections,
        "keepalive_expiry": limits.keepalive_expiry,
    }


def _proxy(proxy: httpx.Proxy) -> httpcore.Proxy:
    url = proxy.url  # its credentials are in `raw_auth`
    where = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    return httpcore.Proxy(where, auth=proxy.raw_auth)


def sync_transport(
    context: ssl.SSLContext | None, limits: httpx.Limits, proxy: str | None
) -> httpx.HTTPTransport:
    """Return an httpx transport on a `Pool`; see there."""
    transport = httpx.HTTPTransport(verify=context or False, limits=limits, trust_env=False)
    transport._pool = Pool(context, limits, proxy)
    return transport


def async_transport(
    context: ssl.SSLContext | None, limits: httpx.Limits, proxy: str | None
) -> httpx.AsyncHTTPTransport:
    """Return an httpx transport on an `AsyncPool`; see there."""
    transport = httpx.AsyncHTTPTransport(verify=context or False, limits=limits, trust_env=False)
    transport._pool = AsyncPool(context, limits, proxy)
    return transport


def apply_deadlines(client: httpx.Client | httpx.AsyncClient, url: httpx.URL) -> None:
    """Make the pool of a user's own client apply a `ReadDeadline`, on connections opened from now on."""
    wanted: type[Any] = DeadlineBackend if isinstance(client, httpx.Client) else AsyncDeadlineBackend
    pool = getattr(client._transport_for_url(url), "_pool", None)  # transports of tests have none
    own = getattr(pool, "_network_backend", None)
    if own is None or isinstance(own, wanted):
        return
    if type(own) is httpcore.SyncBackend:  # gives the whole time to each address of a host
        own = SyncBackend()
    setattr(pool, "_network_backend", wanted(own))


def leave_to_parent(transport: httpx.HTTPTransport | httpx.AsyncHTTPTransport) -> None:
    """Release the copies that a forked child has of its parent's sockets; the connections stay the parent's.

    Each descriptor becomes one of the null device: closing a copy ends nothing, whatever still holds it here
    reads no byte that is meant for the parent, and its number is not given to another file.
    """
    pool: Any = transport._pool
    if hasattr(pool._optional_thread_lock, "__enter__"):
        pool._optional_thread_lock = threading.RLock()  # should the garbage collector end a parent's request
    null = os.open(os.devnull, os.O_RDWR)
    for connection in list(pool._connections):
        if (descriptor := _descriptor(connection)) >= 0:
            os.dup2(null, descriptor, inheritable=False)
    os.close(null)


def renew_client(client: httpx.Client | httpx.AsyncClient) -> None:
    """Give a user's own client a pool without connections in a forked child; its settings stay."""
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, (httpx.HTTPTransport, httpx.AsyncHTTPTransport)):
            leave_to_parent(transport)
            keep_for_ever(transport._pool)
            pool: Any = copy.copy(transport._pool)
            pool._connections, pool._requests = [], []
            if isinstance(transport, httpx.HTTPTransport):
                pool._optional_thread_lock = threading.RLock()
            transport._pool = pool


def _descriptor(connection: Any) -> int:
    """Return the file descriptor of a connection, through proxies; -1 if it is not open."""
    while connection is not None and not hasattr(connection, "_network_stream"):
        connection = getattr(connection, "_connection", None)
    socket = None if connection is None else connection._network_stream.get_extra_info("socket")
    return -1 if socket is None else int(socket.fileno())
