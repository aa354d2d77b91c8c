"""Layers between models and the network while a test runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

from langchain_llmdispatch.transport.middleware import Middleware
from langchain_llmdispatch.transport.transport import Transport

if TYPE_CHECKING:
    import httpx

    from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
    from langchain_llmdispatch.dispatch.dispatch import Attempt
    from langchain_llmdispatch.transport.deadline import ReadDeadline
    from langchain_llmdispatch.transport.middleware import AsyncSend, Send


class Layer(Middleware, Protocol):
    """A wire that knows its place."""

    @property
    def depth(self) -> int:
        """Small numbers are near the model, large ones near the network."""


_LOCK = threading.Lock()


@contextmanager
def installed(layer: Layer, model: DispatcherChatModel | None = None) -> Iterator[None]:
    """Put a layer under one model, or under every model of the process, while the context lasts.

    Process-wide on purpose: an application under test makes its own models, threads and event loops.
    """
    owner = Transport if model is None else model._transport  # noqa: SLF001 - ours
    with _LOCK:
        owner.middlewares = tuple(sorted([*owner.middlewares, layer], key=_depth))
    try:
        yield
    finally:
        with _LOCK:
            owner.middlewares = tuple(wire for wire in owner.middlewares if wire is not layer)


def _depth(wire: Middleware) -> int:
    return getattr(wire, "depth", 0)


def attempt_of(request: httpx.Request) -> Attempt | None:
    """Return the attempt that a request serves; None where it is not one of ours."""
    found: Attempt | None = request.extensions.get("llmdispatch")
    return found


def spoil(request: httpx.Request) -> None:
    """Say that the answer to a request will not arrive as it was sent."""
    request.extensions["llmdispatch_spoilt"] = True


def is_spoilt(request: httpx.Request) -> bool:
    """Return whether the answer to a request will not arrive as it was sent."""
    return "llmdispatch_spoilt" in request.extensions


def names_of(request: httpx.Request) -> tuple[str, ...]:
    """Return the words that a glob may mean a request's deployment by: its name, `vendor:model`."""
    attempt = attempt_of(request)
    if attempt is None:
        return (request.url.host,)
    target = attempt.target
    full = f"{target.vendor.name}:{target.model}"
    return tuple(dict.fromkeys((target.name, full)))


def matches(glob: str, names: tuple[str, ...]) -> bool:
    """Return whether any of the names fits the glob; case does not matter."""
    return any(fnmatchcase(name.casefold(), glob.casefold()) for name in names)


class CallLeftError(AssertionError):
    """A model was about to send a request to the network where a test forbids it."""


class NoNetwork:
    """A context in which no model may reach the network; a try fails the test, even if it is swallowed.

    Example:
        ```python
        with NoNetwork():
            app.answer("hello")  # from a cassette, or from a cache
        ```

    Attributes:
        tried: What was about to be sent, `vendor:model` and host each.
    """

    depth: ClassVar[int] = 90
    replays: ClassVar[bool] = True

    def __init__(self) -> None:
        self.tried: list[str] = []

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._context = installed(self)
        self._context.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop, and fail if something tried to leave and nobody said so."""
        self._context.__exit__(None, None, None)
        if self.tried and kind is None:
            raise CallLeftError(f"{len(self.tried)} call(s) tried to leave: {', '.join(self.tried)}")

    def send(self, request: httpx.Request, read_deadline: ReadDeadline, forward: Send) -> httpx.Response:  # noqa: ARG002
        """Refuse."""
        raise self._refusal(request)

    async def asend(
        self,
        request: httpx.Request,
        read_deadline: ReadDeadline,  # noqa: ARG002
        forward: AsyncSend,  # noqa: ARG002
    ) -> httpx.Response:
        """Refuse."""
        raise self._refusal(request)

    def _refusal(self, request: httpx.Request) -> CallLeftError:
        what = f"{names_of(request)[0]} at {request.url.host}"
        self.tried.append(what)
        return CallLeftError(f"a call tried to leave the process: {what}")
