"""Wires: layers between a model and the network. Tests record, replay and break exchanges with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import httpx

    from langchain_llmdispatch.transport.deadline import ReadDeadline

Send: TypeAlias = "Callable[[httpx.Request], httpx.Response]"
AsyncSend: TypeAlias = "Callable[[httpx.Request], Awaitable[httpx.Response]]"


class Middleware(Protocol):
    """A layer between a model and the network.

    `request.extensions["llmdispatch"]` is the attempt that a request serves. Errors are httpx's, as a network
    would raise them; anything else passes through the engine untouched and is blamed on no vendor.
    """

    @property
    def replays(self) -> bool:
        """Whether it never forwards a request."""

    def send(self, request: httpx.Request, read_deadline: ReadDeadline, forward: Send) -> httpx.Response:
        """Return a response with its body unread, of one's own or from `forward(request)`."""

    async def asend(
        self, request: httpx.Request, read_deadline: ReadDeadline, forward: AsyncSend
    ) -> httpx.Response:
        """Return a response with its body unread; see `send`."""


def through(middlewares: Sequence[Middleware], read_deadline: ReadDeadline, send: Send) -> Send:
    """Return `send` behind the middlewares, the first one outermost."""
    for wire in reversed(middlewares):
        send = partial(wire.send, read_deadline=read_deadline, forward=send)
    return send


def athrough(middlewares: Sequence[Middleware], read_deadline: ReadDeadline, send: AsyncSend) -> AsyncSend:
    """Return `send` behind the middlewares, the first one outermost."""
    for wire in reversed(middlewares):
        send = partial(wire.asend, read_deadline=read_deadline, forward=send)
    return send
