"""httpx's own transports: for users' clients, for what `SyncPool` leaves out, and where httpx is patched.

Imported when first needed: httpcore takes a tenth of the CPU of a first model, and a plain call needs none.

The one module on underscored names of httpx and httpcore; `pyproject.toml` pins the tested versions
(docs/decisions/transport.md):

- the network backend of a transport's pool (`_pool`, `_network_backend`, `_transport_for_url`), so that a
  `ReadDeadline` ends each read: httpx takes none as an argument;
- the connections that a forked child inherits (`_connections`, `_network_stream`), which are its parent's.
"""

from __future__ import annotations

import copy
import os
import threading
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from langchain_llmdispatch.internal.forks import keep_for_ever
from langchain_llmdispatch.transport.deadline_backend import AsyncDeadlineBackend, DeadlineBackend
from langchain_llmdispatch.transport.sync_backend import SyncBackend

if TYPE_CHECKING:
    import ssl

    from langchain_llmdispatch.transport.deadline import ReadDeadline
    from langchain_llmdispatch.transport.own_client import OwnClient
    from langchain_llmdispatch.transport.pool import Origin

# httpcore imports them by name with its first async request, when a fork could come in between.
for _name in ("anyio.abc", "anyio.lowlevel", "anyio._backends._asyncio"):
    with suppress(ImportError):
        import_module(_name)

# httpx's default keeps 20 of 100 connections alive: measured, 2,000 calls at 512 in flight then open
# 2,000 connections. Equal numbers keep them.
LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=1000, keepalive_expiry=60.0)


class SyncDelegate:
    """Sends requests to one origin through httpx; see `SyncPool`.

    Args:
        origin: Where they go.
        context: For `https`.
    """

    def __init__(self, origin: Origin, context: ssl.SSLContext | None) -> None:
        self.transport = httpx.HTTPTransport(
            verify=context or False, limits=LIMITS, trust_env=False, proxy=origin.proxy
        )
        _apply(self.transport, DeadlineBackend)

    def handle_request(self, request: httpx.Request, read_deadline: ReadDeadline) -> httpx.Response:
        """Send a request, and return its response as soon as the head is there."""
        request.extensions["timeout"] = read_deadline.timeouts()
        return self.transport.handle_request(request)

    def close(self) -> None:
        """Close its connections."""
        self.transport.close()

    def leave_to_parent(self) -> None:
        """Leave its connections to the parent of this forked child."""
        leave_to_parent(self.transport)


class AsyncDelegate:
    """Sends requests to one origin through httpx; see `SyncDelegate`."""

    def __init__(self, origin: Origin, context: ssl.SSLContext | None) -> None:
        self.transport = httpx.AsyncHTTPTransport(
            verify=context or False, limits=LIMITS, trust_env=False, proxy=origin.proxy
        )
        _apply(self.transport, AsyncDeadlineBackend)

    async def handle_async_request(
        self, request: httpx.Request, read_deadline: ReadDeadline
    ) -> httpx.Response:
        """Send a request, and return its response as soon as the head is there."""
        request.extensions["timeout"] = read_deadline.timeouts()
        return await self.transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close its connections."""
        with suppress(httpx.HTTPError, RuntimeError, OSError):
            await self.transport.aclose()

    async def end(self) -> None:
        """Close them at the end of the event loop."""
        await self.aclose()

    def leave_to_parent(self) -> None:
        """Leave its connections to the parent of this forked child."""
        leave_to_parent(self.transport)


def apply_deadlines(client: Any, url: httpx.URL) -> None:
    """Make the pool of a user's own client apply a `ReadDeadline`, on connections opened from now on."""
    backend: type[Any] = DeadlineBackend if hasattr(client, "close") else AsyncDeadlineBackend
    _apply(client._transport_for_url(url), backend)


def _apply(transport: object, backend: type[Any]) -> None:
    pool = getattr(transport, "_pool", None)  # transports of tests have none
    own = getattr(pool, "_network_backend", None)
    if own is None or isinstance(own, backend):
        return
    if type(own) is httpcore.SyncBackend:  # gives the whole time to each address of a host
        own = SyncBackend()
    setattr(pool, "_network_backend", backend(own))


def leave_to_parent(transport: Any) -> None:
    """Release the copies that a forked child has of its parent's sockets; the connections stay the parent's.

    Each descriptor becomes one of the null device: closing a copy ends nothing, whatever still holds it here
    reads no byte that is meant for the parent, and its number is not given to another file.
    """
    pool = transport._pool
    if hasattr(pool._optional_thread_lock, "__enter__"):
        pool._optional_thread_lock = threading.RLock()  # should the garbage collector end a parent's request
    null = os.open(os.devnull, os.O_RDWR)
    for connection in list(pool._connections):
        if (descriptor := _descriptor(connection)) >= 0:
            os.dup2(null, descriptor, inheritable=False)
    os.close(null)


def renew_client(client: OwnClient) -> None:
    """Give a user's own client a pool without connections in a forked child; its settings stay."""
    for transport in (client._transport, *client._mounts.values()):
        if hasattr(transport, "_pool"):  # httpx's and httpx2's own; others have none
            leave_to_parent(transport)
            keep_for_ever(transport._pool)
            pool: Any = copy.copy(transport._pool)
            pool._connections, pool._requests = [], []
            if hasattr(transport, "handle_request"):
                pool._optional_thread_lock = threading.RLock()
            setattr(transport, "_pool", pool)


def _descriptor(connection: Any) -> int:
    """Return the file descriptor of a connection, through proxies; -1 if it is not open."""
    while connection is not None and not hasattr(connection, "_network_stream"):
        connection = getattr(connection, "_connection", None)
    socket = None if connection is None else connection._network_stream.get_extra_info("socket")
    return -1 if socket is None else int(socket.fileno())
