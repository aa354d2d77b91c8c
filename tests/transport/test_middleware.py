"""Middleware: one generator, driven in either colour."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import httpx
import pytest

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.middleware import Flow, Middleware, Sleep, asend_through, send_through
from langchain_llmdispatch.transport.transport import Transport

REQUEST = httpx.Request("POST", "https://vendor.test/")


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that notes when it is closed."""

    closed = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body."""
        yield b"whole"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body."""
        yield b"whole"

    def close(self) -> None:
        """Note it."""
        self.closed = True

    async def aclose(self) -> None:
        """Note it."""
        self.closed = True


class Layer:
    """A middleware that notes what passes."""

    replays = False

    def __init__(self, name: str, notes: list[str], depth: int = 0) -> None:
        self.name, self.notes, self.depth = name, notes, depth

    def flow(self, request: httpx.Request, read_deadline: ReadDeadline) -> Flow:
        """Forward a request with a header more; read and close the response."""
        try:
            self.notes.append(f"{self.name} sends")
            headers = {**request.headers, self.name: "1"}
            response = yield httpx.Request(request.method, request.url, headers=headers)
            self.notes.append(f"{self.name} receives")
            yield Sleep(5, read_deadline.clock)
            read = yield response
            assert read.content == b"whole"
            return read
        finally:
            self.notes.append(f"{self.name} ends")


@pytest.fixture(params=["sync", "async"])
def through(request: pytest.FixtureRequest) -> Any:
    """Return a function that sends a request through layers in one colour."""

    def send(layers: Sequence[Middleware], network: Any, clock: Clock | None = None) -> httpx.Response:
        deadline = ReadDeadline(clock or FakeClock(), 100.0, "the answer")
        if request.param == "sync":
            return send_through(layers, REQUEST, deadline, network)

        async def asend(sent: httpx.Request) -> httpx.Response:
            return network(sent)

        return asyncio.run(asend_through(layers, REQUEST, deadline, asend))

    return send


def test_layers_nest(through: Any) -> None:
    """The first one is the outermost; each may change the request, wait, and read the response."""
    notes: list[str] = []
    clock, body = FakeClock(), Body()

    def network(request: httpx.Request) -> httpx.Response:
        notes.append(f"network gets {sorted(set(request.headers) & {'a', 'b'})}")
        return httpx.Response(200, stream=body)

    response = through([Layer("a", notes), Layer("b", notes)], network, clock)
    assert response.content == b"whole"
    assert body.closed
    assert clock.slept == [5, 5]
    assert notes == [
        *("a sends", "b sends", "network gets ['a', 'b']"),
        *("b receives", "b ends", "a receives", "a ends"),
    ]


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), KeyboardInterrupt()])
def test_an_error_further_down_ends_each_flow(through: Any, error: BaseException) -> None:
    """Their `finally` clauses run, and the error passes unchanged."""
    notes: list[str] = []

    def network(request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(type(error)) as raised:
        through([Layer("a", notes), Layer("b", notes)], network)
    assert raised.value is error
    assert notes == ["a sends", "b sends", "b ends", "a ends"]


def test_without_layers_the_request_is_sent(through: Any) -> None:
    """Nothing is added."""
    assert through([], lambda request: httpx.Response(204)).status_code == 204


def test_layers_of_the_process_and_of_a_transport_are_sorted_by_depth() -> None:
    """Both kinds are in effect at the same time, whichever was installed first."""
    notes: list[str] = []
    transport = Transport([Layer("own", notes, depth=50)])
    Transport.process_middlewares = (Layer("far", notes, depth=90), Layer("near", notes, depth=10))
    try:
        assert [layer.name for layer in transport._layers()] == ["near", "own", "far"]
        assert [layer.name for layer in Transport()._layers()] == ["near", "far"]
        assert not transport.replays
    finally:
        Transport.process_middlewares = ()
