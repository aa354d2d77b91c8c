"""ReadDeadline: how long the wire may keep an attempt waiting, and how a wait is ended from outside."""

from __future__ import annotations

import asyncio.trsock
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import httpcore

from langchain_llmdispatch.clock import Clock


class ReadDeadline(float):
    """How long the wire may still keep us waiting: a float for httpx, a moment for us.

    httpcore hands the timeout it was given to each read unchanged, so one object per attempt can be moved
    while the answer arrives.

    Attributes:
        until: The moment, in the clock's monotonic seconds, at which waiting ends.
        what: What is being waited for, for the error's text.
        clock: The clock that says what time it is.
        wait: What makes a wait in progress end at once; None where nobody will want that.
    """

    until: float
    what: str
    clock: Clock
    wait: Wait | None = None

    def __new__(cls, clock: Clock, until: float, what: str) -> Self:
        """Make one that ends at the moment `until`."""
        read_deadline = super().__new__(cls, max(0.001, min(until - clock.monotonic(), 1e6)))
        read_deadline.until, read_deadline.what, read_deadline.clock = until, what, clock
        return read_deadline

    def left(self) -> float:
        """Return the seconds left, negative when it is over."""
        return self.until - self.clock.monotonic()

    def extend(self, until: float, what: str) -> None:
        """Wait until another moment, for something else."""
        if self.wait is None or not self.wait.over:
            self.until, self.what = until, what

    def abandon(self) -> None:
        """Wait no longer: a read in progress ends at once, and no other begins. Any thread may ask for it.

        Nothing is cancelled, which would leak httpcore's pool slots (encode/httpcore#1093): the connection
        is shut down under the reader, who then sees it broken and closes it in the ordinary way.
        """
        self.until = float("-inf")
        if self.wait is not None:
            self.wait.end()


class Wait:
    """A read that another thread may end: a context manager around each one.

    Attributes:
        over: Whether it was ended; no other read begins.
    """

    def __init__(self) -> None:
        self.over = False
        self._lock = threading.Lock()
        self._stream: Any = None

    def on(self, stream: Any) -> Self:
        """Note whose bytes are about to be waited for.

        Raises:
            httpcore.ReadTimeout: It is over already.
        """
        with self._lock:
            if self.over:
                raise httpcore.ReadTimeout
            self._stream = stream
        return self

    def end(self) -> None:
        """End the read in progress, if there is one; a connection that is back in its pool is left alone."""
        with self._lock:
            self.over = True
            if self._stream is not None:
                _shut(self._stream.get_extra_info("socket"))

    def __enter__(self) -> Self:
        """Begin to wait."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Note that it came, or broke."""
        with self._lock:
            self._stream = None


def _shut(sock: Any) -> None:
    # The base class's method: an SSLSocket's own takes the TLS state away from under its reader.
    with suppress(OSError, AttributeError):
        if isinstance(sock, socket.socket):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        elif isinstance(sock, asyncio.trsock.TransportSocket):
            sock.shutdown(socket.SHUT_RDWR)
        else:  # uvloop's stands for a socket, and cannot shut it
            with socket.fromfd(sock.fileno(), sock.family, sock.type) as twin:
                twin.shutdown(socket.SHUT_RDWR)
