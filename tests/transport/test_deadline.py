"""ReadDeadline: seconds for httpx, a moment that can be moved, and an end from another thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.transport.deadline import ReadDeadline, ReadInterrupt


class Connection:
    """A connected pair of sockets, one of them as httpcore's stream shows it."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()

    def close(self) -> None:
        """Close both."""
        self.ours.close()
        self.theirs.close()

    def get_extra_info(self, info: str) -> socket.socket:
        """Return the socket."""
        assert info == "socket"
        return self.ours


@pytest.fixture
def connection() -> Iterator[Connection]:
    """Return a connection that is closed after the test."""
    with closing(Connection()) as made:
        yield made


def test_it_is_the_seconds_left_and_bounded() -> None:
    """A positive number for httpx, however far or past the end is."""
    clock = FakeClock()
    now = clock.monotonic()
    assert float(ReadDeadline(clock, now + 3, "the answer")) == pytest.approx(3)
    assert float(ReadDeadline(clock, now - 3, "the answer")) == 0.001
    assert float(ReadDeadline(clock, float("inf"), "the answer")) == 1e6


def test_it_moves_with_the_answer() -> None:
    """Its end is judged by the clock, and can be moved while it is in use."""
    clock = FakeClock()
    deadline = ReadDeadline(clock, clock.monotonic() + 3, "the answer")
    clock.advance(2)
    assert deadline.left() == pytest.approx(1)
    deadline.extend(clock.monotonic() + 5, "the next piece")
    assert (deadline.left(), deadline.what) == (pytest.approx(5), "the next piece")


def test_abandoned_it_has_passed_and_cannot_be_moved(connection: Connection) -> None:
    """After another request has answered, no read begins any more."""
    clock = FakeClock()
    deadline = ReadDeadline(clock, clock.monotonic() + 3, "the answer")
    deadline.interrupt = ReadInterrupt()
    deadline.abandon()
    deadline.extend(clock.monotonic() + 5, "the next piece")
    assert deadline.left() < 0
    with pytest.raises(EOFError):
        deadline.interrupt.on(connection, EOFError)


def test_a_blocked_read_ends_at_once(connection: Connection) -> None:
    """The connection is shut under its reader, which sees the end of input."""
    interrupt, ended = ReadInterrupt(), threading.Event()

    def read() -> None:
        with interrupt.on(connection, EOFError):
            assert connection.ours.recv(1) == b""
        ended.set()

    thread = threading.Thread(target=read)
    thread.start()
    while interrupt._stream is None:
        threading.Event().wait(0.001)
    interrupt.end()
    assert ended.wait(60)
    thread.join()


def test_a_connection_that_is_back_in_its_pool_is_not_touched(connection: Connection) -> None:
    """An interrupt after the read shuts nothing."""
    interrupt = ReadInterrupt()
    with interrupt.on(connection, EOFError):
        pass
    interrupt.end()
    connection.theirs.send(b"x")
    assert connection.ours.recv(1) == b"x"
