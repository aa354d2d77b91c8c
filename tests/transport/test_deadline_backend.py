"""Backends with deadlines: each read and write gets what is left."""

from __future__ import annotations

import asyncio
from typing import Any

import httpcore
import pytest

from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.deadline_backend import AsyncDeadlineBackend, DeadlineBackend
from tests.cases import each


class Below(httpcore.NetworkBackend, httpcore.NetworkStream):
    """A backend and its only stream: keeps what it is given, with the time that is left."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, float | None]] = []

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *_: Any, **__: Any) -> Below:
        """Note the connection."""
        self.calls.append((host, timeout))
        return self

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Note the read."""
        self.calls.append(("read", timeout))
        return b"x"

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Note the write."""
        self.calls.append((buffer, timeout))


class AsyncBelow(httpcore.AsyncNetworkBackend, httpcore.AsyncNetworkStream):
    """The same, awaited."""

    def __init__(self) -> None:
        self.below = Below()

    async def connect_tcp(self, *args: Any, **kwargs: Any) -> AsyncBelow:
        """Note the connection."""
        self.below.connect_tcp(*args, **kwargs)
        return self

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Note the read."""
        return self.below.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Note the write."""
        self.below.write(buffer, timeout)


def run(colour: str, timeouts: list[float | None], writes: list[bytes]) -> Below:
    """Connect, write and read with these timeouts in one colour; return what came through."""
    connect, write, read = timeouts
    if colour == "sync":
        below = Below()
        stream = DeadlineBackend(below).connect_tcp("host", 443, connect)
        for data in writes:
            stream.write(data, write)
        stream.read(10, read)
        return below
    held = AsyncBelow()

    async def main() -> None:
        stream = await AsyncDeadlineBackend(held).connect_tcp("host", 443, connect)
        for data in writes:
            await stream.write(data, write)
        await stream.read(10, read)

    asyncio.run(main())
    return held.below


colours = pytest.mark.parametrize("colour", ["sync", "async"])
each_colour = each("colour", ["sync", "async"])


@colours
def test_each_step_gets_what_is_left(colour: str) -> None:
    """A deadline becomes the seconds that are left now; plain seconds and no limit pass unchanged."""
    clock = FakeClock()
    deadline = ReadDeadline(clock, clock.monotonic() + 5, "the answer")
    clock.advance(2)
    below = run(colour, [7.0, None, deadline], [b"hi"])
    assert below.calls == [("host", 7.0), (b"hi", None), ("read", pytest.approx(3))]


@each_colour
@each(
    ("step", "error"), list(enumerate([httpcore.ConnectTimeout, httpcore.WriteTimeout, httpcore.ReadTimeout]))
)
def test_a_step_after_the_end_is_a_timeout(colour: str, step: int, error: type[Exception]) -> None:
    """Nothing is begun after the deadline, each kind of step by its own name."""
    clock = FakeClock()
    deadline = ReadDeadline(clock, clock.monotonic() + 5, "the answer")
    clock.advance(6)
    timeouts: list[float | None] = [None, None, None]
    timeouts[step] = deadline
    with pytest.raises(error):
        run(colour, timeouts, [b"hi"])


@colours
def test_a_reply_without_a_timeout_ends_with_the_connections_own(colour: str) -> None:
    """A SOCKS proxy's replies are read without a timeout by httpcore; those after the first request are free."""
    clock = FakeClock()
    deadline = ReadDeadline(clock, clock.monotonic() + 60, "the answer")
    below = run(colour, [deadline, None, None], [b"hi"])
    assert below.calls[1:] == [(b"hi", pytest.approx(10)), ("read", pytest.approx(10))]
    below = run(colour, [deadline, deadline, None], [b"hi"])
    assert below.calls[1:] == [(b"hi", pytest.approx(60)), ("read", None)]
