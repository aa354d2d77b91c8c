"""ReadDeadline: until when a read may block, and how another thread ends a blocked read."""

from __future__ import annotations

import asyncio.trsock
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from langchain_llmdispatch.clock import LONGEST, Clock

CONNECT_TIMEOUT = 10.0
"""Seconds for a connection: the name's lookup, all addresses, a proxy and TLS together."""


class ReadDeadline(float):
    """Until when the network may block an attempt: a number of seconds for httpx, a moment for us.

    httpcore passes the timeout that it was given to each read unchanged, so one object per attempt can be
    moved while the answer arrives.

    Attributes:
        until: The end, in the clock's monotonic seconds.
        what: What is waited for, for the error's text.
        clock: The source of time.
        interrupt: Ends a blocked read at once; None where no other request races this one.
    """

    __slots__ = ("clock", "interrupt", "until", "what")
    clock: Clock
    interrupt: ReadInterrupt | None
    until: float
    what: str

    def __new__(cls, clock: Clock, until: float, what: str, most: float = 1e6) -> Self:
        """Make a deadline that ends at the moment `until`; as a number, it is `most` seconds at most."""
        read_deadline = super().__new__(cls, max(0.001, min(until - clock.monotonic(), most)))
        read_deadline.until, read_deadline.what, read_deadline.clock = until, what, clock
        read_deadline.interrupt = None
        return read_deadline

    def left(self) -> float:
        """Return the seconds left, negative when it has passed."""
        return self.until - self.clock.monotonic()

    def seconds(self, over: type[Exception]) -> float:
        """Return the seconds left, for a socket or an event loop, which have an upper bound.

        Args:
            over: What is raised where none are left.
        """
        if (left := self.until - self.clock.monotonic()) <= 0:
            raise over("timed out")
        return min(left, LONGEST)

    def connecting(self) -> ReadDeadline:
        """Return until when a connection may be under way that is begun now."""
        return ReadDeadline(
            self.clock, min(self.until, self.clock.monotonic() + CONNECT_TIMEOUT), "a connection"
        )

    def timeouts(self) -> dict[str, float | None]:
        """Return the timeouts of an httpx request by which this object reaches our network backends."""
        return {"connect": self.connecting(), "read": self, "write": self, "pool": float(self)}

    def extend(self, until: float, what: str) -> None:
        """Move the end to another moment, for something else."""
        if self.interrupt is None or not self.interrupt.over:
            self.until, self.what = until, what

    def shift(self, seconds: float) -> None:
        """Move the end by seconds in which nothing was waited for."""
        self.until += seconds

    def abandon(self) -> None:
        """End a blocked read at once, and let no other begin. Any thread may call it.

        Nothing is cancelled, which would leak httpcore's pool slots (encode/httpcore#1093): the connection
        is shut down under the reader, which finds it broken and closes it in the ordinary way.
        """
        self.until = float("-inf")
        if self.interrupt is not None:
            self.interrupt.end()


class ReadInterrupt:
    """A blocked read that another thread may end: a context manager around each read.

    Attributes:
        over: Whether it was ended; no other read begins.
    """

    def __init__(self) -> None:
        self.over = False
        self._lock = threading.Lock()
        self._stream: Any = None

    def on(self, stream: Any, over: type[Exception]) -> Self:
        """Register the stream that is about to be read.

        Args:
            stream: The stream.
            over: What is raised where the interrupt came already.
        """
        with self._lock:
            if self.over:
                raise over("timed out")
            self._stream = stream
        return self

    def end(self) -> None:
        """Shut the connection of the read in progress; one that is back in its pool is not touched."""
        with self._lock:
            self.over = True
            if self._stream is not None:
                _shut(self._stream.get_extra_info("socket"))

    def __enter__(self) -> Self:
        """Begin the read."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the read: the stream is no longer registered."""
        with self._lock:
            self._stream = None


def _shut(sock: Any) -> None:
    # The base class's method: an SSLSocket's own removes the TLS state under its reader.
    with suppress(OSError, AttributeError):
        if isinstance(sock, socket.socket):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        elif isinstance(sock, asyncio.trsock.TransportSocket):
            sock.shutdown(socket.SHUT_RDWR)
        else:  # uvloop's stand-in for a socket has no shutdown
            with socket.fromfd(sock.fileno(), sock.family, sock.type) as twin:
                twin.shutdown(socket.SHUT_RDWR)
