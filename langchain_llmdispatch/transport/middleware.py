"""Wires: layers between a model and the network. Tests record, replay and break exchanges with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import httpx

    from langchain_llmdispatch.transport.deadline import Patience

Send: TypeAlias = "Callable[[httpx.Request], httpx.Response]"
AsyncSend: TypeAlias = "Callable[[httpx.Request], Awaitable[httpx.Response]]"


class Wire(Protocol):
    """A layer between a model and the network.

    `request.extensions["llmdispatch"]` is the attempt that a request serves. Errors are httpx's, as a network
    would raise them; anything else passes through the engine untouched and is blamed on no vendor.
    """

    @property
    def replays(self) -> bool:
        """Whether it never forwards a request."""

    def send(self, request: httpx.Request, patience: Patience, forward: Send) -> httpx.Response:
        """Return a response with its body unread, of one's own or from `forward(request)`."""

    async def asend(self, request: httpx.Request, patience: Patience, forward: AsyncSend) -> httpx.Response:
        """Return a response with its body unread; see `send`."""


def through(wires: Sequence[Wire], patience: Patience, send: Send) -> Send:
    """Return `send` behind the wires, the first one outermost."""
    for wire in reversed(wires):
        send = partial(wire.send, patience=patience, forward=send)
    return send


def athrough(wires: Sequence[Wire], patience: Patience, send: AsyncSend) -> AsyncSend:
    """Return `send` behind the wires, the first one outermost."""
    for wire in reversed(wires):
        send = partial(wire.asend, patience=patience, forward=send)
    return send
