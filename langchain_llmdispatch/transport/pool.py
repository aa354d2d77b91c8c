"""The connections to one origin: idle ones are used again, and there are never more than so many."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Iterable
from typing import Generic, NamedTuple, Protocol, TypeVar
from weakref import WeakValueDictionary

import httpx

MOST_CONNECTIONS = 1000
"""Connections to one origin at a time; more requests wait."""
IDLE_SECONDS = 60.0
"""How long a connection may be idle."""
_SWEEP_SECONDS = 1.0  # idle connections are looked through this often at most


class Origin(NamedTuple):
    """Where requests go.

    Attributes:
        scheme: `http` or `https`.
        host: As it is looked up.
        port: The port.
        proxy: The address of an `http` proxy on the way, credentials included; None for none.
    """

    scheme: str
    host: str
    port: int
    proxy: str | None

    @property
    def first_hop(self) -> tuple[str, int]:
        """Host and port that are connected to."""
        if self.proxy is None:
            return self.host, self.port
        url = httpx.URL(self.proxy)
        return url.raw_host.decode(), url.port or 80

    @property
    def is_direct(self) -> bool:
        """Whether a pool of ours goes there, by TCP or an `http` proxy; other proxies are httpx's."""
        return self.scheme in {"http", "https"} and (self.proxy is None or self.proxy.startswith("http:"))

    @property
    def encrypts(self) -> bool:
        """Whether certificates are needed on the way."""
        return self.scheme == "https" or (self.proxy is not None and self.proxy.startswith("https:"))

    @property
    def tunnels(self) -> bool:
        """Whether a proxy only carries bytes that are encrypted."""
        return self.proxy is not None and self.scheme == "https"


class Pooled(Protocol):
    """A connection of a pool.

    Attributes:
        idle_since: When it became idle, in seconds of `time.monotonic`.
        is_closed: Whether it is closed; it is not yet, while it is being opened.
    """

    idle_since: float
    is_closed: bool

    def is_fresh(self) -> bool:
        """Return whether nothing has arrived on it since it became idle, not even its end."""

    def close(self) -> None:
        """Close it at once."""

    def fileno(self) -> int:
        """Return its file descriptor; -1 if it has none."""

    def leave(self) -> None:
        """Belong to the parent of this forked child from now on: closing it closes nothing there."""


Held = TypeVar("Held", bound=Pooled)


class Pool(Generic[Held]):
    """The connections to one origin.

    Args:
        origin: Where they lead.
        context: For `https`; None for `http`.
        most: How many there may be.
        family: Pools that are looked through with this one, since one that gets no requests never looks.

    A connection in use belongs to its request alone. One that is dropped, because Ctrl-C or a cancellation
    came at any moment, is gone with it: nothing here has to be given back. No lock is held: the steps on the
    list of idle connections are atomic.

    Attributes:
        idle: The connections that wait for a request; the one that was used last comes last.
    """

    def __init__(
        self,
        origin: Origin,
        context: ssl.SSLContext | None,
        most: int = MOST_CONNECTIONS,
        family: Iterable[object] = (),
    ) -> None:
        self._origin, self._context, self._most = origin, context, most
        self._family = family
        self._opened: WeakValueDictionary[int, Held] = WeakValueDictionary()
        self.idle: list[Held] = []
        self._swept = 0.0

    def take(self) -> Held | None:
        """Return an idle connection, the one that was used last; None where there is none."""
        while self.idle:
            try:
                connection = self.idle.pop()
            except IndexError:  # another thread has taken it
                return None
            if time.monotonic() - connection.idle_since < IDLE_SECONDS and connection.is_fresh():
                return connection
            connection.close()
        return None

    def release(self, connection: Held) -> None:
        """Keep a connection for the next request."""
        now = connection.idle_since = time.monotonic()
        self.idle.append(connection)
        if now - self._swept >= _SWEEP_SECONDS:
            self._swept = now
            for pool in (self, *self._family):
                if isinstance(pool, Pool):
                    pool.sweep(now)

    def sweep(self, now: float) -> None:
        """Close what has been idle for too long."""
        for connection in [each for each in self.idle if now - each.idle_since >= IDLE_SECONDS]:
            try:
                self.idle.remove(connection)
            except ValueError:  # another thread has taken it
                continue
            connection.close()

    def _added(self, connection: Held) -> Held | None:
        """Count a connection that is about to be opened, and return it; None where the pool is full."""
        if len(self._opened) >= self._most and len(self.opened) >= self._most:
            return None
        self._opened[id(connection)] = connection
        return connection

    @property
    def opened(self) -> list[Held]:
        """All connections that are not closed, idle ones included."""
        held = [
            reference() for reference in self._opened.valuerefs()
        ]  # copied in one step: other threads add
        return [each for each in held if each is not None and not each.is_closed]

    @property
    def busy(self) -> list[Held]:
        """The connections that are in use."""
        idle = {id(each) for each in self.idle}
        return [each for each in self.opened if id(each) not in idle]

    def close(self) -> None:
        """Close the idle connections; those in use are closed by their requests."""
        while self.idle:
            self.idle.pop().close()

    def leave_to_parent(self) -> None:
        """Release the copies that a forked child has of its parent's sockets; connections stay the parent's.

        Each descriptor becomes one of the null device: closing a copy ends nothing, whatever still holds it
        here reads no byte that is meant for the parent, and its number is not given to another file.
        """
        null = os.open(os.devnull, os.O_RDWR)
        for connection in self.opened:
            if (descriptor := connection.fileno()) >= 0:
                os.dup2(null, descriptor, inheritable=False)
            connection.leave()
        os.close(null)
