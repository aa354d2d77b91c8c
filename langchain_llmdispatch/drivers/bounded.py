"""What an attempt waits for before it is sent, no longer than it has time: tokens, a local model's start.

A function cannot be stopped. One that is late runs on in its thread, and its result is dropped.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

from pydantic import SecretStr

from langchain_llmdispatch.clock import LONGEST
from langchain_llmdispatch.deployments.credentials import checked_token
from langchain_llmdispatch.errors import AttemptTimeoutError, UnusableDeploymentError
from langchain_llmdispatch.transport.worker import started
from langchain_llmdispatch.vendors.redaction import redact

T = TypeVar("T")
TokenProvider: TypeAlias = Callable[[], Any]

STARTING = "the model on this machine"
"""What is waited for while a local model starts."""
_KEY = "the api_key function"


def in_time(function: Callable[[], T], seconds: float, what: str) -> T:
    """Return the function's result.

    Args:
        function: Called without arguments, in a thread of its own.
        seconds: How long it may take.
        what: What is waited for, in words.

    Raises:
        AttemptTimeoutError: It took longer.
    """
    return _ended(started(function), seconds, what).result()


async def ain_time(function: Callable[[], T], seconds: float, what: str) -> T:
    """Return the function's result, without stopping the event loop; see `in_time`."""
    ended = await _aended(asyncio.wrap_future(started(function)), seconds, what)
    return ended.result()


def token(provider: TokenProvider, seconds: float) -> SecretStr:
    """Return the token that an `api_key` function returns; an async one runs in an event loop of its own.

    Raises:
        UnusableDeploymentError: It raises, or returns no token.
        AttemptTimeoutError: It takes longer than `seconds`.
    """

    def call() -> Any:
        found = provider()
        return asyncio.run(_awaited(found)) if inspect.isawaitable(found) else found

    return _token_of(_ended(started(call), seconds, _KEY))


async def atoken(provider: TokenProvider, seconds: float) -> SecretStr:
    """Return the token that an `api_key` function returns; an async one runs in this event loop."""
    if inspect.iscoroutinefunction(provider):
        return _token_of(await _aended(asyncio.ensure_future(provider()), seconds, _KEY))
    ended = await _aended(asyncio.wrap_future(started(provider)), seconds, _KEY)
    if ended.exception() is None and inspect.isawaitable(ended.result()):
        ended = await _aended(asyncio.ensure_future(ended.result()), seconds, _KEY)
    return _token_of(ended)


def _ended(future: Future[T], seconds: float, what: str) -> Future[T]:
    concurrent.futures.wait([future], _timeout(seconds))
    if not future.done():
        raise _late(what)
    return future


async def _aended(future: asyncio.Future[T], seconds: float, what: str) -> asyncio.Future[T]:
    try:
        await asyncio.wait([future], timeout=_timeout(seconds))
    finally:
        late = not future.done()
        if late:
            future.add_done_callback(_retrieve)
            future.cancel()
    if late:
        raise _late(what)
    return future


def _retrieve(ended: asyncio.Future[Any]) -> None:
    """Take what a late function raises, so that its event loop does not log it: it may hold a credential."""
    if not ended.cancelled():
        ended.exception()


async def _awaited(coming: Awaitable[T]) -> T:
    return await coming


def _token_of(ended: Future[Any] | asyncio.Future[Any]) -> SecretStr:
    error = ended.exception()
    if isinstance(error, Exception):
        # Without its cause, whose frames may hold a credential.
        text = f"{_KEY} failed: {type(error).__name__}: {redact(str(error))}"
        raise UnusableDeploymentError(text)
    return checked_token(ended.result())


def _late(what: str) -> AttemptTimeoutError:
    return AttemptTimeoutError(f"timed out waiting for {what}", code=what.replace(" ", "_"))


def _timeout(seconds: float) -> float | None:
    return max(0.0, seconds) if seconds < LONGEST else None
