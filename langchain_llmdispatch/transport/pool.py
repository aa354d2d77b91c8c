"""httpcore's connection pools, with another way to choose a connection.

httpcore 1.0 looks at all connections for each of them, when a request begins and when it ends, and asks the
system about every idle one: measured, 512 requests at once spend nearly all their time there. Here a pass
over all is made now and then, and a request takes the connection that has rested longest: near the front of
the list, so that the search ends early however many there are. Connecting, TLS, HTTP and closing stay
httpcore's, and vcrpy, respx and pytest-httpx find its classes where they look for them.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator


# A pass over all connections is due after so many requests began or ended, or after so many seconds.
_OFTEN, _SECONDS = 64, 1.0


class _Choosing:
    """What both pools do in place of httpcore's own. Called with the pool's lock held."""

    _connections: list[Any]
    _requests: list[Any]
    _max_connections: int
    _turns, _swept = 0, 0.0

    def _assign_requests_to_connections(self) -> list[Any]:
        closing: list[Any] = []
        taken = {id(request.connection) for request in self._requests}
        self._turns += 1
        if self._turns >= _OFTEN or time.monotonic() - self._swept >= _SECONDS:
            self._sweep(taken, closing)
        for request in [request for request in self._requests if request.is_queued()]:
            origin = request.request.url.origin
            connection = self._rested(origin, taken, closing) or self._opened(origin, taken, closing)
            if connection is None:
                break
            request.assign_to_connection(connection)
            taken.add(id(connection))
        return closing

    def _sweep(self, taken: set[int], closing: list[Any]) -> None:
        """Forget what is closed; close what rested too long or was closed by its server."""
        self._turns, self._swept = 0, time.monotonic()
        for connection in self._free(taken):
            if connection.is_closed():
                self._drop(connection)
            elif connection.has_expired():
                self._drop(connection, closing)

    def _rested(self, origin: Any, taken: set[int], closing: list[Any]) -> Any:
        """Return an idle connection to `origin`, or None."""
        for connection in self._free(taken):
            if not (connection.is_available() and connection.can_handle_request(origin)):
                continue
            self._drop(connection)
            if connection.has_expired():
                closing.append(connection)
                continue
            self._connections.append(connection)  # to the end: who waits in front has rested longest
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
        connection = self.create_connection(origin)  # type: ignore[attr-defined] # httpcore's
        self._connections.append(connection)
        return connection

    def _free(self, taken: set[int]) -> Iterator[Any]:
        # A connection is its request's from here on, though it looks idle until that has begun: whoever asks
        # it then whether it has expired may find the other's answer on it, and close it.
        return (connection for connection in list(self._connections) if id(connection) not in taken)

    def _drop(self, connection: Any, closing: list[Any] | None = None) -> None:
        # The garbage collector may have closed a stream, and so changed the list, since we looked.
        if connection in self._connections:
            self._connections.remove(connection)
            if closing is not None:
                closing.append(connection)


class Pool(_Choosing, httpcore.ConnectionPool):
    """The connections of all threads.

    Args:
        context: For `https`.
        limits: How many connections there may be, and how long they rest.
        backend: What reaches the network.
        proxy: The address of a proxy (`http`, `https`, `socks5`), credentials included; None for none.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        limits: httpx.Limits,
        backend: httpcore.NetworkBackend,
        proxy: str | None = None,
    ) -> None:
        super().__init__(**_options(context, limits, proxy), network_backend=backend)
        # Reentrant, for the garbage collector may close an abandoned stream at any moment, this lock held.
        self._optional_thread_lock = threading.RLock()  # type: ignore[assignment]


class AsyncPool(_Choosing, httpcore.AsyncConnectionPool):
    """The connections of one event loop; see `Pool`."""

    def __init__(
        self,
        context: ssl.SSLContext,
        limits: httpx.Limits,
        backend: httpcore.AsyncNetworkBackend,
        proxy: str | None = None,
    ) -> None:
        super().__init__(**_options(context, limits, proxy), network_backend=backend)


def _options(context: ssl.SSLContext, limits: httpx.Limits, proxy: str | None) -> dict[str, Any]:
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
