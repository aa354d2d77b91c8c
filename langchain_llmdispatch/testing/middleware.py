"""Middleware for tests: where it is installed, and what it reads from a request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, ClassVar, Self

from langchain_llmdispatch.transport.middleware import Middleware
from langchain_llmdispatch.transport.transport import Transport

if TYPE_CHECKING:
    import httpx

    from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
    from langchain_llmdispatch.dispatch.attempt import Attempt
    from langchain_llmdispatch.transport.deadline import ReadDeadline
    from langchain_llmdispatch.transport.middleware import Flow


_LOCK = threading.Lock()


@contextmanager
def installed(layer: Middleware, model: DispatcherChatModel | None = None) -> Iterator[None]:
    """Put a layer under one model, or under every model of the process, while the context lasts.

    Process-wide on purpose: an application under test makes its own models, threads and event loops.
    """
    owner: type[Transport] | Transport = Transport if model is None else model._engine.transport  # noqa: SLF001 - no public way
    name = "process_middlewares" if model is None else "middlewares"
    with _LOCK:
        setattr(owner, name, (*getattr(owner, name), layer))
    try:
        yield
    finally:
        with _LOCK:
            setattr(owner, name, tuple(other for other in getattr(owner, name) if other is not layer))


def attempt_of(request: httpx.Request) -> Attempt | None:
    """Return the attempt that a request serves; None where it is not one of ours."""
    found: Attempt | None = request.extensions.get("llmdispatch")
    return found


def mark_damaged(request: httpx.Request) -> None:
    """Mark a request whose response will not arrive as it was sent."""
    request.extensions["llmdispatch_damaged"] = True


def is_damaged(request: httpx.Request) -> bool:
    """Return whether the response to a request will not arrive as it was sent."""
    return "llmdispatch_damaged" in request.extensions


def names_of(request: httpx.Request) -> tuple[str, ...]:
    """Return what a glob may match of a request's deployment: its name, `vendor:model`."""
    attempt = attempt_of(request)
    if attempt is None:
        return (request.url.host,)
    target = attempt.target
    full = f"{target.vendor.name}:{target.model}"
    return tuple(dict.fromkeys((target.name, full)))


def matches(glob: str, names: tuple[str, ...]) -> bool:
    """Return whether any of the names matches the glob; case does not matter."""
    return any(fnmatchcase(name.casefold(), glob.casefold()) for name in names)


class CallLeftError(AssertionError):
    """A model was about to send a request to the network where a test forbids it."""


class NoNetwork:
    """A context in which no model may reach the network; an attempt fails the test, even if it is swallowed.

    Example:
        ```python
        with NoNetwork():
            app.answer("hello")  # from a cassette, or from a cache
        ```

    Attributes:
        tried: The requests that were about to be sent, as `deployment at host`.
    """

    depth: ClassVar[int] = 90
    replays: ClassVar[bool] = True

    def __init__(self) -> None:
        self.tried: list[str] = []

    def __enter__(self) -> Self:
        """Close the network to models."""
        self._context = installed(self)
        self._context.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Open it, and fail if a request was about to be sent."""
        self._context.__exit__(None, None, None)
        if self.tried and kind is None:
            raise CallLeftError(f"{len(self.tried)} request(s) to the network: {', '.join(self.tried)}")

    def flow(self, request: httpx.Request, _: ReadDeadline) -> Flow:
        """Refuse.

        Raises:
            CallLeftError: Always.
        """
        what = f"{names_of(request)[0]} at {request.url.host}"
        self.tried.append(what)
        raise CallLeftError(f"a request to the network: {what}")
