"""Connections: one sync transport, one async transport per running event loop, made on first use.

Requests go to httpx's transports directly: no redirects, cookies or hooks in between, so a credential reaches
the host it was built for and no other. A user's own client is used as it is, with redirects off.

A `ReadDeadline` is applied to every single read, by a network backend around httpcore's: a server that drips
one byte at a time cannot outlive a deadline, sync or async, and nothing is cancelled (cancelling leaks
httpcore's pool slots: encode/httpcore#1093).
"""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

import httpx

from langchain_llmdispatch.clock import LONGEST
from langchain_llmdispatch.errors import (
    AttemptTimeoutError,
    ConfigurationError,
    ConnectionFailedError,
    DispatchError,
    MalformedResponseError,
    UnusableDeploymentError,
)
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.transport.async_connection import AsyncPool
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.httpx2_client import asend_with, send_with
from langchain_llmdispatch.transport.middleware import Middleware, asend_through, send_through
from langchain_llmdispatch.transport.own_client import answer_in
from langchain_llmdispatch.transport.pool import Origin
from langchain_llmdispatch.transport.proxies import Proxies, ssl_context
from langchain_llmdispatch.transport.seams import is_patched
from langchain_llmdispatch.transport.sync_connection import SyncPool

_OWN_CLIENT_GRACE = 0.1  # seconds for a user's own client to notice the deadline by itself
if TYPE_CHECKING:
    from langchain_llmdispatch.transport import httpx_transports
    from langchain_llmdispatch.transport.httpx_transports import AsyncDelegate, SyncDelegate
    from langchain_llmdispatch.transport.own_client import AsyncClient, OwnClient, SyncClient
else:
    httpx_transports = LateModule("langchain_llmdispatch.transport.httpx_transports")

# Extensions of a request that name a user's own client to send it with.
SYNC_CLIENT, ASYNC_CLIENT = "llmdispatch.client", "llmdispatch.async_client"


class Transport:
    """The owner of all connections of one model. Threads and loops may share it.

    Args:
        middlewares: Layers around the network.
        environment: Variables that name proxies and certificates; None for the process's own.

    Attributes:
        middlewares: Layers of this transport.
        process_middlewares: Layers of every transport of the process. Empty, except while a test runs:
            `langchain_llmdispatch.testing.middleware.installed` is the only place that sets it.
    """

    process_middlewares: ClassVar[tuple[Middleware, ...]] = ()

    def __init__(
        self, middlewares: Iterable[Middleware] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        self.middlewares = tuple(middlewares)
        self._environment, self._named_proxies = environment, Proxies(environment)
        self._lock = threading.Lock()
        self._sync: dict[Key, SyncPool | SyncDelegate] = {}
        self._async: dict[asyncio.AbstractEventLoop, _LoopSenders] = {}
        # With what renews each: a forked child must not import it.
        self._clients = weakref.WeakKeyDictionary[Any, Callable[[Any], None]]()
        # The origins that users' own clients reach through pools which apply our deadlines.
        self._deadlines: weakref.WeakKeyDictionary[OwnClient, set[str]] = weakref.WeakKeyDictionary()
        # A model that is dropped without being closed leaves no open sockets behind.
        self._end = weakref.finalize(self, _close, self._sync)
        forks.in_child(self._renew)

    def _renew(self) -> None:
        """Forget the parent's connections in a forked child, and close its copies of their sockets."""
        self._end.detach()
        forks.keep_for_ever((self._sync, self._async))
        for sender in self._sync.values():
            sender.leave_to_parent()
        for held in self._async.values():
            held.leave_to_parent()
        for client, renew in list(self._clients.items()):
            renew(client)
        self._deadlines.clear()
        self._lock, self._sync, self._async = threading.Lock(), {}, {}
        self._end = weakref.finalize(self, _close, self._sync)

    def renew_in_children(self, *clients: OwnClient | None) -> None:
        """Renew a user's own clients in forked children; None is ignored."""
        for client in clients:
            if client is not None:
                self._clients[client] = httpx_transports.renew_client

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
            UnusableDeploymentError: The proxy, the certificates or the user's own client cannot be used.
        """
        try:
            if self.middlewares or self.process_middlewares:
                send = partial(self._send, read_deadline=read_deadline)
                return send_through(self._layers(), request, read_deadline, send)
            return self._send(request, read_deadline)
        except (httpx.HTTPError, httpx.InvalidURL, ConfigurationError) as error:
            failure = failure_of(error, read_deadline)
        raise failure

    def _send(self, request: httpx.Request, read_deadline: ReadDeadline) -> httpx.Response:
        # A user's own client (`VendorConfig.http_client`) is used as it is; the user closes it.
        client: SyncClient | None = request.extensions.get(SYNC_CLIENT)
        if client is not None:
            self._adopt(client, request, read_deadline)
            try:
                if not isinstance(client, httpx.Client):
                    return send_with(client, request)
                return client.send(request, stream=True, follow_redirects=False)
            except Exception as error:  # noqa: BLE001 - its hooks, auth and transports may raise anything
                return answer_in(error)
        key = _key(request)
        sender = self._sync.get(key) or self._sender(key, request.url)
        return sender.handle_request(request, read_deadline)

    def _adopt(self, client: OwnClient, request: httpx.Request, read_deadline: ReadDeadline) -> None:
        """Prepare a request for a user's own client; see `adopt`."""
        request.extensions["timeout"] = read_deadline.timeouts()
        adopt(client, request)
        origin, prepared = request.headers["host"], self._deadlines.setdefault(client, set())
        if origin not in prepared:
            httpx_transports.apply_deadlines(client, request.url)
            prepared.add(origin)

    async def asend(self, request: httpx.Request, read_deadline: ReadDeadline) -> httpx.Response:
        """Return the response with its body still unread; see `send`."""
        try:
            if self.middlewares or self.process_middlewares:
                send = partial(self._asend, read_deadline=read_deadline)
                return await asend_through(self._layers(), request, read_deadline, send)
            coming = self._asend(request, read_deadline)
            del request  # a long prompt is not kept while its answer is waited for
            return await coming
        except (httpx.HTTPError, httpx.InvalidURL, ConfigurationError) as error:
            failure = failure_of(error, read_deadline)
        raise failure

    def _asend(
        self, request: httpx.Request, read_deadline: ReadDeadline
    ) -> Coroutine[Any, Any, httpx.Response]:
        if request.extensions.get(ASYNC_CLIENT) is not None:
            return self._asend_with(request.extensions[ASYNC_CLIENT], request, read_deadline)
        held = self._async.get(asyncio.get_running_loop())
        if held is None:
            return self._asend_first(request, read_deadline)
        key = _key(request)
        sender = held.get(key) or self._async_sender(held, key, request.url)
        return sender.handle_async_request(request, read_deadline)

    async def _asend_first(self, request: httpx.Request, read_deadline: ReadDeadline) -> httpx.Response:
        await self._make_senders_of_loop()
        coming = self._asend(request, read_deadline)
        del request  # as in `asend`
        return await coming

    async def _asend_with(
        self, client: AsyncClient, request: httpx.Request, read_deadline: ReadDeadline
    ) -> httpx.Response:
        self._adopt(client, request, read_deadline)
        try:
            return await self._in_time(client, request, read_deadline)
        except Exception as error:  # noqa: BLE001 - as in `_send`
            return answer_in(error)

    async def _in_time(
        self, client: AsyncClient, request: httpx.Request, read_deadline: ReadDeadline
    ) -> httpx.Response:
        # Its hooks, its auth and transports of its own apply no `ReadDeadline`.
        left = read_deadline.left()
        try:
            async with asyncio.timeout(left + _OWN_CLIENT_GRACE if left < LONGEST else None):
                if not isinstance(client, httpx.AsyncClient):
                    return await asend_with(client, request)
                return await client.send(request, stream=True, follow_redirects=False)
        except TimeoutError:
            raise httpx.ReadTimeout("the client has not returned in time", request=request) from None

    def close(self) -> None:
        """Close the sync connections, and drop those of loops that have ended.

        The pools are kept: a request that is still in flight returns its connection to one of them.
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

    def _origin(self, url: httpx.URL) -> Origin:
        """Return where requests to a URL go.

        Raises:
            ConfigurationError: The environment names a proxy that cannot be used.
        """
        port = url.port or (443 if url.scheme == "https" else 80)
        return Origin(url.scheme, url.raw_host.decode(), port, self._named_proxies.of(url))

    def _context(self, origin: Origin) -> ssl.SSLContext | None:
        # Certificates are not read for plain HTTP.
        return ssl_context(self._environment) if origin.encrypts else None

    def _sender(self, key: Key, url: httpx.URL) -> SyncPool | SyncDelegate:
        origin = self._origin(url)
        made: SyncPool | SyncDelegate
        with forks.undivided():  # OpenSSL has locks that no child could release
            if origin.is_direct and not key.delegated:
                made = SyncPool(origin, self._context(origin), family=self._sync.values())
            else:
                made = httpx_transports.SyncDelegate(origin, self._context(origin))
        with self._lock:
            return self._sync.setdefault(key, made)

    def _async_sender(self, held: _LoopSenders, key: Key, url: httpx.URL) -> AsyncPool | AsyncDelegate:
        origin = self._origin(url)
        with forks.undivided():
            if origin.is_direct and not key.delegated:
                return held.add(key, AsyncPool(origin, self._context(origin), family=held.senders))
            return held.add(key, httpx_transports.AsyncDelegate(origin, self._context(origin)))

    async def _make_senders_of_loop(self) -> None:
        held = _LoopSenders()
        with self._lock:
            # A closed loop's connections are dead; a client kept for it would fail (or keep it alive).
            self._async = {k: v for k, v in self._async.items() if not k.is_closed()}
            self._async[asyncio.get_running_loop()] = held
        await held.keep()


class Key(NamedTuple):
    """What the requests of one sender have in common.

    Attributes:
        scheme: The scheme.
        host: The host.
        port: The port, if the URL names one.
        delegated: Whether httpx sends them, not a pool of ours.
    """

    scheme: bytes
    host: bytes
    port: int | None
    delegated: bool


def _key(request: httpx.Request) -> Key:
    url = request.url
    return Key(url.raw_scheme, url.raw_host, url.port, is_patched() or not _is_in_memory(request))


def _is_in_memory(request: httpx.Request) -> bool:
    try:
        return request.content is not None
    except httpx.RequestNotRead:
        return False


def _close(senders: Mapping[Key, SyncPool | SyncDelegate]) -> None:
    for sender in list(senders.values()):
        sender.close()


class _LoopSenders:
    """The senders of one event loop; they close themselves when `asyncio.run` ends the loop."""

    def __init__(self) -> None:
        self._senders: dict[Key, AsyncPool | AsyncDelegate] = {}
        self._keeper = self._keep()
        self.get, self.senders = self._senders.get, self._senders.values()

    def add(self, key: Key, sender: AsyncPool | AsyncDelegate) -> AsyncPool | AsyncDelegate:
        return self._senders.setdefault(key, sender)

    def leave_to_parent(self) -> None:
        for sender in self.senders:
            sender.leave_to_parent()

    async def keep(self) -> None:
        await anext(self._keeper)

    async def aclose(self) -> None:
        for sender in list(self.senders):
            await sender.aclose()

    async def _keep(self) -> AsyncGenerator[None, None]:
        # A suspended async generator is closed by loop.shutdown_asyncgens(), which asyncio.run calls: the
        # only hook that a loop offers for its end.
        try:
            yield
        finally:
            for sender in list(self.senders):
                await sender.end()


def timed_out(read_deadline: ReadDeadline) -> AttemptTimeoutError:
    """Return the error of a deadline that has passed."""
    return AttemptTimeoutError(
        f"timed out waiting for {read_deadline.what}", code=read_deadline.what.replace(" ", "_")
    )


_QUOTE = re.compile(r":?\s*(?:bytearray\()?(?<!\w)b['\"].*", re.DOTALL)
_NOT_OF_A_VALUE = re.compile(rb"[^\t\x20-\x7e\x80-\xff]")


def failure_of(error: Exception, read_deadline: ReadDeadline) -> DispatchError:
    """Return our error for httpx's or a setting's.

    Raise it outside the handler, since httpx's error holds the request.
    """
    if isinstance(error, DispatchError):
        return error
    if isinstance(error, httpx.ConnectTimeout):
        return AttemptTimeoutError("timed out connecting", code="connect")
    if isinstance(error, httpx.PoolTimeout):
        return AttemptTimeoutError("timed out waiting for a free connection", code="pool")
    if isinstance(error, httpx.TimeoutException):
        return timed_out(read_deadline)
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol, ConfigurationError)):
        return UnusableDeploymentError(str(error))
    if isinstance(error, httpx.LocalProtocolError):  # its text may quote a header
        return MalformedResponseError("LocalProtocolError: the request cannot be written as HTTP")
    if isinstance(error, httpx.DecodingError):
        return MalformedResponseError(f"{type(error).__name__}: {error}")
    # The text of a protocol error quotes what the peer has sent, which may be the request.
    text = _QUOTE.sub("", str(error)) if isinstance(error, httpx.ProtocolError) else str(error)
    code = "connect" if isinstance(error, httpx.ConnectError) else None
    return ConnectionFailedError(f"{type(error).__name__}: {text or 'connection closed'}", code=code)


def origin(url: str) -> str:
    """Return scheme, host and port of a URL, for messages that must not hold its path or query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def adopt(client: OwnClient, request: httpx.Request) -> None:
    """Add the client's own headers, query parameters and cookies to a request; the request's win.

    Its auth, hooks, proxies and transports apply when it sends the request. Its timeouts do not: those of the
    attempt hold, on connections that it opens from now on.

    Raises:
        UnusableDeploymentError: The client is closed, or a header of its own is not valid in HTTP.
    """
    if client.is_closed:
        raise UnusableDeploymentError("the http_client of VendorConfig is closed; the model needs it open")
    for raw, value in client.headers.raw:
        name = raw.decode("ascii", "replace")
        if _NOT_OF_A_VALUE.search(value):
            raise UnusableDeploymentError(
                f"the http_client of VendorConfig: HTTP does not allow the value of its header {name!r}"
            )
    own: Any = request.url.params.multi_items()
    params: Any = client.params.merge(own) if client.params else None
    headers = request.headers
    built = client.build_request(request.method, str(request.url), headers=headers.raw, params=params)
    if "content-length" not in headers:
        built.headers.pop("content-length", None)  # the body is not given to `build_request`
    request.url, request.headers = httpx.URL(str(built.url)), httpx.Headers(built.headers.raw)
