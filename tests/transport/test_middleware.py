"""Middleware: one generator for sync and async, outermost first, closed when anything below it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.middleware import Flow, Middleware, Sleep, asend_through, send_through

REQUEST = httpx.Request("GET", "https://vendor.test/")
CLOCK = FakeClock()
DEADLINE = ReadDeadline(CLOCK, 1e9, "the answer")


class Layer:
    """A layer that notes each step, and may wait, answer by itself or read the response."""

    depth, replays = 0, False

    def __init__(self, name: str, steps: list[str], **options: bool) -> None:
        self.name, self.steps, self.options = name, steps, options

    def flow(self, request: httpx.Request, _: ReadDeadline, /) -> Flow:
        """Forward, with notes before and after."""
        self.steps.append(f"{self.name} in")
        try:
            if self.options.get("waits"):
                yield Sleep(3, CLOCK)
            if self.options.get("answers"):
                return httpx.Response(204)
            response = yield request
            if self.options.get("reads"):
                response = yield response
                assert response.is_closed
                self.steps.append(response.text)
            return response
        finally:
            self.steps.append(f"{self.name} out")


def sent(colour: str, layers: list[Middleware], send: Callable[[httpx.Request], httpx.Response]) -> Any:
    """Send a request through layers in one colour."""
    if colour == "sync":
        return send_through(layers, REQUEST, DEADLINE, send)

    async def asend(request: httpx.Request) -> httpx.Response:
        return send(request)

    return asyncio.run(asend_through(layers, REQUEST, DEADLINE, asend))


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that has not arrived yet."""

    def __iter__(self) -> Any:
        """Return the bytes."""
        yield b"hello"

    async def __aiter__(self) -> Any:
        """Return the bytes."""
        yield b"hello"


def network(_: httpx.Request) -> httpx.Response:
    """Return a response whose body is unread."""
    return httpx.Response(200, stream=Body())


colours = pytest.mark.parametrize("colour", ["sync", "async"])


@colours
def test_layers_are_passed_from_the_outermost_inwards_and_back(colour: str) -> None:
    """Each sees the request before, and the response after, those below it."""
    steps: list[str] = []
    response = sent(colour, [Layer("a", steps), Layer("b", steps)], network)
    assert response.status_code == 200
    assert steps == ["a in", "b in", "b out", "a out"]


@colours
def test_without_layers_the_network_responds(colour: str) -> None:
    """The response is the network's own, unread."""
    assert not sent(colour, [], network).is_closed


@colours
def test_a_layer_may_respond_by_itself(colour: str) -> None:
    """Nothing below it sees the request."""
    steps: list[str] = []
    assert sent(colour, [Layer("a", steps, answers=True), Layer("b", steps)], network).status_code == 204
    assert steps == ["a in", "a out"]


@colours
def test_a_layer_may_read_the_response_and_wait(colour: str) -> None:
    """A response that it yields is read and closed; a wait goes by the clock that it names."""
    steps: list[str] = []
    before = CLOCK.monotonic()
    sent(colour, [Layer("a", steps, reads=True, waits=True)], network)
    assert steps == ["a in", "hello", "a out"]
    assert CLOCK.monotonic() == before + 3


@colours
def test_an_error_below_closes_the_layers_above(colour: str) -> None:
    """Their `finally` clauses run, and the error passes through as it is."""
    steps: list[str] = []

    def broken(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("broken")

    with pytest.raises(httpx.ReadError, match="broken"):
        sent(colour, [Layer("a", steps), Layer("b", steps)], broken)
    assert steps == ["a in", "b in", "b out", "a out"]
