"""Connections: one sync transport, one async transport per running event loop, made on first use.

Requests go to httpx's transports directly: no redirects, cookies or hooks in between, so a credential reaches
the host it was built for and no other. A user's own `httpx.Client` is used as it is, with redirects off.

A `ReadDeadline` is applied to every single read, by a network backend around httpcore's: a server that drips
one byte at a time cannot outlive a deadline, sync or async, and nothing is cancelled (cancelling leaks
httpcore's pool slots: encode/httpcore#1093).
"""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
import urllib.request
import weakref
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import suppress
from functools import cache
from typing import ClassVar
from urllib.parse import urlsplit

import httpx

from langchain_llmdispatch.errors import (
    AttemptTimeoutError,
    ConnectionFailedError,
    DispatchError,
    MalformedResponseError,
)
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.middleware import Middleware, asend_through, send_through
from langchain_llmdispatch.transport.pool import async_transport, make_interruptible, sync_transport

# httpx's default keeps 20 of 100 connections alive: measured, 2,000 calls at 512 in flight then open
# 2,000 connections. Equal numbers keep them.
LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=1000, keepalive_expiry=60.0)
CONNECT_TIMEOUT = 10.0
# Extensions of a request that name a user's own client to send it with.
SYNC_CLIENT, ASYNC_CLIENT = "llmdispatch.client", "llmdispatch.async_client"


@cache
def ssl_context() -> ssl.SSLContext:
    """Return the one TLS context of the process: making it costs about 20 ms, and it is not changed."""
    return httpx.create_ssl_context()


def _proxy_of(url: httpx.URL) -> str | None:
    proxies = urllib.request.getproxies()
    if not proxies or urllib.request.proxy_bypass(url.host):
        return None
    return proxies.get(url.scheme) or proxies.get("all")


class Transport:
    """The owner of all connections of one model. Threads and loops may share it.

    Args:
        middlewares: Layers around the network.

    Attributes:
        middlewares: Layers of this transport.
        process_middlewares: Layers of every transport of the process. Empty, except while a test runs:
            `langchain_llmdispatch.testing.middleware.installed` is the only place that sets it.
    """

    process_middlewares: ClassVar[tuple[Middleware, ...]] = ()

    def __init__(self, middlewares: Iterable[Middleware] = ()) -> None:
        self.middlewares = tuple(middlewares)
        self._lock = threading.Lock()
        self._proxies: dict[str, str | None] = {}
        self._sync: dict[str | None, httpx.HTTPTransport] = {}
        self._async: dict[asyncio.AbstractEventLoop, _LoopTransports] = {}
        # A model that is dropped without being closed leaves no open sockets behind.
        weakref.finalize(self, _close_if_ours, os.getpid(), self._sync)

    @property
    def replays(self) -> bool:
        """Whether no request will reach a server, because a layer responds to them all."""
        return any(layer.replays for layer in self._layers())

    def _layers(self) -> list[Middleware]:
        return sorted((*self.middlewares, *self.process_middlewares), key=lambda layer: layer.depth)

    def send(self, request: httpx.Request, read_deadline: ReadDeadline) -> httpx.Response:
        """Return the response with its body still unread; close it.

        Raises:
            ConnectionFailedError: No connection, or it broke.
            AttemptTimeoutError: The deadline passed.
            MalformedResponseError: The peer does not speak HTTP.
        """
        request.extensions["timeout"] = _timeouts(read_deadline)
        try:
            if self.middlewares or self.process_middlewares:
                return send_through(self._layers(), request, read_deadline, self._send)
            return self._send(request)
        except httpx.HTTPError as error:
            failure = failure_of(error, read_deadline)
        raise failure

    def _send(self, request: httpx.Request) -> httpx.Response:
        # A user's own client (`VendorConfig.http_client`) is used as it is; the user closes it.
        client: httpx.Client | None = request.extensions.get(SYNC_CLIENT)
        if client is not None:
            if request.extensions["timeout"]["read"].interrupt is not None:
                make_interruptible(client, request.url)
            return client.send(request, stream=True, follow_redirects=False)
        return self._transport(request.url).handle_request(request)

    async def asend(self, request: httpx.Request, read_deadline: ReadDeadline) -> httpx.Response:
        """Return the response with its body still unread; see `send`."""
        request.extensions["timeout"] = _timeouts(read_deadline)
        try:
            if self.middlewares or self.process_middlewares:
                return await asend_through(self._layers(), request, read_deadline, self._asend)
            return await self._asend(request)
        except httpx.HTTPError as error:
            failure = failure_of(error, read_deadline)
        raise failure

    async def _asend(self, request: httpx.Request) -> httpx.Response:
        client: httpx.AsyncClient | None = request.extensions.get(ASYNC_CLIENT)
        if client is not None:
            if request.extensions["timeout"]["read"].interrupt is not None:
                make_interruptible(client, request.url)
            return await client.send(request, stream=True, follow_redirects=False)
        transport = await self._loop_transport(request.url)
        return await transport.handle_async_request(request)

    def close(self) -> None:
        """Close the sync connections, and drop those of loops that have ended.

        The pools are kept: a request that is still on its way returns its connection to one of them.
        """
        with self._lock:
            self._async = {loop: held for loop, held in self._async.items() if not loop.is_closed()}
        _close(self._sync)

    async def aclose(self) -> None:
        """Close the sync connections and those of the running loop."""
        self.close()
        held = self._async.get(asyncio.get_running_loop())
        if held is not None:
            await held.aclose()

    def _proxy(self, url: httpx.URL) -> str | None:
        # Looked up once per host: reading the environment costs more than the rest of a request.
        if url.host not in self._proxies:
            self._proxies[url.host] = _proxy_of(url)
        return self._proxies[url.host]

    def _transport(self, url: httpx.URL) -> httpx.HTTPTransport:
        proxy = self._proxy(url)
        transport = self._sync.get(proxy)
        if transport is None:
            with self._lock:
                transport = self._sync.setdefault(proxy, sync_transport(ssl_context(), LIMITS, proxy))
        return transport

    async def _loop_transport(self, url: httpx.URL) -> httpx.AsyncHTTPTransport:
        loop = asyncio.get_running_loop()
        held = self._async.get(loop)
        if held is None:
            held = _LoopTransports()
            with self._lock:
                # A closed loop's connections are dead; a client kept for it would fail (or keep it alive).
                self._async = {k: v for k, v in self._async.items() if not k.is_closed()}
                self._async[loop] = held
            await held.keep()
        return held.get(self._proxy(url))


def _close(transports: Mapping[str | None, httpx.HTTPTransport]) -> None:
    for transport in list(transports.values()):
        transport.close()


def _close_if_ours(process: int, transports: Mapping[str | None, httpx.HTTPTransport]) -> None:
    # A forked child leaves its parent's connections, and locks that may be held there, as they are.
    if os.getpid() == process:
        _close(transports)


class _LoopTransports:
    """The transports of one event loop; they close themselves when `asyncio.run` ends the loop."""

    def __init__(self) -> None:
        self._transports: dict[str | None, httpx.AsyncHTTPTransport] = {}
        self._keeper = self._keep()

    def get(self, proxy: str | None) -> httpx.AsyncHTTPTransport:
        if proxy not in self._transports:
            self._transports[proxy] = async_transport(ssl_context(), LIMITS, proxy)
        return self._transports[proxy]

    async def keep(self) -> None:
        await anext(self._keeper)

    async def aclose(self) -> None:
        for transport in list(self._transports.values()):
            with suppress(httpx.HTTPError, RuntimeError, OSError):
                await transport.aclose()

    async def _keep(self) -> AsyncGenerator[None, None]:
        # A suspended async generator is closed by loop.shutdown_asyncgens(), which asyncio.run calls: the
        # only hook that a loop offers for its end.
        try:
            yield
        finally:
            await self.aclose()


def _timeouts(read_deadline: ReadDeadline) -> dict[str, float | None]:
    connect = min(CONNECT_TIMEOUT, float(read_deadline))
    return {"connect": connect, "read": read_deadline, "write": read_deadline, "pool": float(read_deadline)}


def timed_out(read_deadline: ReadDeadline) -> AttemptTimeoutError:
    """Return the error of a deadline that has passed."""
    return AttemptTimeoutError(
        f"timed out waiting for {read_deadline.what}", code=read_deadline.what.replace(" ", "_")
    )


def failure_of(error: httpx.HTTPError, read_deadline: ReadDeadline) -> DispatchError:
    """Return our error for httpx's; raise it outside the handler, since httpx's error holds the request."""
    if isinstance(error, httpx.ConnectTimeout):
        return AttemptTimeoutError("timed out connecting", code="connect")
    if isinstance(error, httpx.PoolTimeout):
        return AttemptTimeoutError("timed out waiting for a free connection", code="pool")
    if isinstance(error, httpx.TimeoutException):
        return timed_out(read_deadline)
    if isinstance(error, (httpx.DecodingError, httpx.LocalProtocolError)):
        return MalformedResponseError(f"{type(error).__name__}: {error}")
    return ConnectionFailedError(f"{type(error).__name__}: {error or 'connection closed'}")


def origin(url: str) -> str:
    """Return scheme, host and port of a URL, for messages that must not hold its path or query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
