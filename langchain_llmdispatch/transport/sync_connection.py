"""Connections of threads: a request is sent on a socket, and its response is read from there."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx

from langchain_llmdispatch.transport.http1 import ResponseReader, request_bytes, tunnel_bytes
from langchain_llmdispatch.transport.pool import MOST_CONNECTIONS, Origin, Pool
from langchain_llmdispatch.transport.tcp import connected

if TYPE_CHECKING:
    import ssl

    from langchain_llmdispatch.transport.deadline import ReadDeadline

_READ = 64 * 1024  # bytes that are read at once
_LOOK_SECONDS = 0.05  # between two looks at a full pool: a connection may also end without notice


class SyncConnection:
    """A socket, with TLS or without, that is closed with this object."""

    def __init__(self) -> None:
        self._socket: Any = None
        self.idle_since, self.is_closed = 0.0, False

    def open(self, origin: Origin, context: ssl.SSLContext | None, read_deadline: ReadDeadline) -> None:
        """Connect, through the origin's proxy if it has one.

        Raises:
            httpx.ConnectTimeout: It took too long.
            httpx.ConnectError: There is no connection, or its certificate is not trusted.
            httpx.ProxyError: The proxy refused.
        """
        until = read_deadline.connecting()
        try:
            self._socket = connected(*origin.first_hop, until.seconds(httpx.ConnectTimeout))
            if origin.tunnels:
                self._tunnel(origin, until)
            if context is not None:
                self._socket.settimeout(until.seconds(httpx.ConnectTimeout))
                self._socket = context.wrap_socket(self._socket, server_hostname=origin.host)
        except (httpx.TimeoutException, TimeoutError):
            raise httpx.ConnectTimeout("timed out") from None
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error

    def _tunnel(self, origin: Origin, until: ReadDeadline) -> None:
        self.send(tunnel_bytes(origin), until)
        reader = ResponseReader("CONNECT")
        while not reader.status:
            reader.feed(self.read(until))
        reader.check_tunnel()

    def send(self, data: bytes, read_deadline: ReadDeadline) -> bool:
        """Send all of `data`; return whether it was accepted: a server may respond early, and close.

        Raises:
            httpx.WriteTimeout: The deadline passed.
        """
        left = read_deadline.seconds(httpx.WriteTimeout)
        try:
            sent = self._sent_at_once(data)
            if sent < len(data):
                self._socket.settimeout(left)
                self._socket.sendall(data[sent:])
        except TimeoutError:
            raise httpx.WriteTimeout("timed out") from None
        except OSError:
            return False
        return True

    def _sent_at_once(self, data: bytes) -> int:
        """Send what there is room for, mostly all of it, and return how much that was.

        With a timeout, Python asks the system whether there is room before it sends: one more system call,
        and one more moment in which another thread takes the interpreter.
        """
        self._socket.settimeout(0)
        try:
            sent: int = self._socket.send(data)
        except OSError:  # there is no room, or an error that comes again
            sent = 0
        return sent

    def read(self, read_deadline: ReadDeadline) -> bytes:
        """Return what arrives next; nothing at the end of input.

        Raises:
            httpx.ReadTimeout: The deadline passed, or the read was abandoned.
            httpx.ReadError: The connection broke.
        """
        interrupt = read_deadline.interrupt
        try:
            self._socket.settimeout(read_deadline.seconds(httpx.ReadTimeout))
            if interrupt is None:
                data: bytes = self._socket.recv(_READ)
            else:
                with interrupt.on(self, httpx.ReadTimeout):
                    data = self._socket.recv(_READ)
        except TimeoutError:
            raise httpx.ReadTimeout("timed out") from None
        except OSError as error:
            raise httpx.ReadError(str(error)) from error
        return data

    def is_fresh(self) -> bool:
        """Return whether nothing has arrived since it became idle, not even its end."""
        if self.is_closed:
            return False
        if not hasattr(select, "poll"):  # Windows, gevent
            return not select.select([self._socket], [], [], 0)[0]
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def fileno(self) -> int:
        """Return the socket's descriptor; -1 if it is closed."""
        return -1 if self._socket is None else int(self._socket.fileno())

    def get_extra_info(self, info: str) -> Any:
        """Return the socket, as httpcore's streams do."""
        return self._socket if info == "socket" else None

    def leave(self) -> None:
        """Belong to the parent of this forked child: the descriptor is one of the null device already."""

    def close(self) -> None:
        """Close it."""
        self.is_closed = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()

    def __del__(self) -> None:
        """Close it, whatever interrupted its request."""
        self.close()


class SyncPool(Pool[SyncConnection]):
    """The connections of all threads to one origin."""

    def __init__(
        self,
        origin: Origin,
        context: ssl.SSLContext | None,
        most: int = MOST_CONNECTIONS,
        family: Iterable[object] = (),
    ) -> None:
        super().__init__(origin, context, most, family)
        self._freed, self._waiting = threading.Condition(), 0

    def handle_request(self, request: httpx.Request, read_deadline: ReadDeadline) -> httpx.Response:
        """Send a request, and return its response as soon as the head is there.

        Raises:
            httpx.TransportError: There is no connection, it broke, or a deadline passed.
        """
        data = request_bytes(request, self._origin)
        connection = self.take() or self._connected(read_deadline)
        reader = ResponseReader(request.method)
        body = _SyncBody(self, connection, reader, read_deadline)
        try:
            body.begin(data)
        except BaseException:
            body.close()
            raise
        return reader.response(body)

    def _connected(self, read_deadline: ReadDeadline) -> SyncConnection:
        """Return a new connection, or one that became idle while the pool was full."""
        opening = SyncConnection()
        with self._freed:
            while (added := self._added(opening)) is None:
                self._waiting += 1
                try:
                    self._freed.wait(min(read_deadline.seconds(httpx.PoolTimeout), _LOOK_SECONDS))
                finally:
                    self._waiting -= 1
                if (idle := self.take()) is not None:
                    return idle
        try:
            added.open(self._origin, self._context, read_deadline)
        except BaseException:
            added.close()
            raise
        return added

    def release(self, connection: SyncConnection) -> None:
        """Keep a connection for the next request."""
        super().release(connection)
        if self._waiting:
            with self._freed:
                self._freed.notify()


class _SyncBody(httpx.SyncByteStream):
    """The body of a response. Its connection goes back to the pool at its end, or is closed before.

    Args:
        pool: The pool.
        connection: The connection, which belongs to this response.
        reader: Reads the response.
        read_deadline: Until when a read may block; it moves while the answer arrives.
    """

    def __init__(
        self, pool: SyncPool, connection: SyncConnection, reader: ResponseReader, read_deadline: ReadDeadline
    ) -> None:
        self._owner, self._reader, self._read_deadline = pool, reader, read_deadline
        self._connection: SyncConnection | None = connection
        self._sent = False

    def begin(self, data: bytes) -> None:
        """Send the request, and read the head."""
        self._sent = self._connection is not None and self._connection.send(data, self._read_deadline)
        while not self._reader.status:
            self._read()

    def _read(self) -> None:
        connection = self._connection
        if connection is None:
            raise httpx.StreamClosed
        try:
            self._reader.feed(connection.read(self._read_deadline))
        except BaseException:
            self.close()
            raise
        if self._reader.over:
            self._connection = None
            if self._reader.keeps and self._sent:
                self._owner.release(connection)
            else:
                connection.close()

    def __iter__(self) -> Iterator[bytes]:
        """Yield what arrives, as it arrives."""
        reader = self._reader
        while True:
            if data := reader.take():
                yield data
            if reader.over:
                return
            self._read()

    def close(self) -> None:
        """Close the connection, unless the body was read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
