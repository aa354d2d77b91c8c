"""Middleware: layers between a model and the network. Tests record, replay and break exchanges with them.

A middleware is one generator for sync and async calls, like httpx's `Auth.auth_flow`: it yields what is to be
done next and returns the response. The two drivers at the end of this file do it, each in its colour.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import aclosing, closing
from typing import Any, NamedTuple, Protocol, TypeAlias

import httpx

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.transport.deadline import ReadDeadline

SECRETS = "llmdispatch.secrets"
"""The extension of a request without an attempt (of a job, of a count of tokens): returns its secrets."""


class Sleep(NamedTuple):
    """A step of a flow: wait.

    Attributes:
        seconds: How long.
        clock: The clock to wait on.
    """

    seconds: float
    clock: Clock


# A request is forwarded, and its response comes back unread. A response is read to its end, closed, and comes
# back. Nothing comes back after a `Sleep`.
Step: TypeAlias = httpx.Request | httpx.Response | Sleep
Flow: TypeAlias = Generator[Step, Any, httpx.Response]


class Middleware(Protocol):
    """A layer between a model and the network.

    `request.extensions["llmdispatch"]` is the attempt that a request serves. Errors are httpx's, as a network
    would raise them; anything else passes through the engine untouched and is blamed on no vendor. An error
    further down closes the flow: its `finally` clauses run, its `except` clauses do not see it.
    """

    @property
    def depth(self) -> int:
        """Its place: small numbers are near the model, large ones near the network."""

    @property
    def replays(self) -> bool:
        """Whether it never forwards a request."""

    def flow(self, request: httpx.Request, read_deadline: ReadDeadline, /) -> Flow:
        """Yield steps; return the response with its body unread, of its own or a forwarded one."""


def send_through(
    layers: Sequence[Middleware],
    request: httpx.Request,
    read_deadline: ReadDeadline,
    send: Callable[[httpx.Request], httpx.Response],
) -> httpx.Response:
    """Return the response to a request that passes through layers, the first one outermost, to `send`."""
    if not layers:
        return send(request)
    result: httpx.Response | None = None
    with closing(layers[0].flow(request, read_deadline)) as flow:
        while True:
            try:
                step = flow.send(result)
            except StopIteration as end:
                response: httpx.Response = end.value
                return response
            if isinstance(step, httpx.Request):
                result = send_through(layers[1:], step, read_deadline, send)
            elif isinstance(step, httpx.Response):
                with closing(step) as result:
                    step.read()
            else:
                step.clock.sleep(step.seconds)


async def asend_through(
    layers: Sequence[Middleware],
    request: httpx.Request,
    read_deadline: ReadDeadline,
    send: Callable[[httpx.Request], Awaitable[httpx.Response]],
) -> httpx.Response:
    """Return the response to a request that passes through layers; see `send_through`."""
    if not layers:
        return await send(request)
    result: httpx.Response | None = None
    with closing(layers[0].flow(request, read_deadline)) as flow:
        while True:
            try:
                step = flow.send(result)
            except StopIteration as end:
                response: httpx.Response = end.value
                return response
            if isinstance(step, httpx.Request):
                result = await asend_through(layers[1:], step, read_deadline, send)
            elif isinstance(step, httpx.Response):
                async with aclosing(step) as result:
                    await step.aread()
            else:
                await step.clock.asleep(step.seconds)
