"""The sync driver: it waits by blocking the caller's thread."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import httpx
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.rate_limiters import BaseRateLimiter

from langchain_llmdispatch.callbacks.events import Run
from langchain_llmdispatch.dispatch.dispatch import Dispatch
from langchain_llmdispatch.drivers.bounded import STARTING, in_time, token
from langchain_llmdispatch.drivers.budget_room import wait_for_room
from langchain_llmdispatch.drivers.driver import Driver
from langchain_llmdispatch.drivers.exchange import Exchange
from langchain_llmdispatch.drivers.runner import Runner
from langchain_llmdispatch.drivers.verbs import Verbs
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.transport.body import close, finish, read, whole
from langchain_llmdispatch.transport.transport import Transport, timed_out
from langchain_llmdispatch.vendors.langchain.pacing import pace

if TYPE_CHECKING:
    from langchain_llmdispatch.local import server as local
else:
    local = LateModule("langchain_llmdispatch.local.server")


P = ParamSpec("P")
T = TypeVar("T")
_NO_HOOKS = (None, None)


class SyncDriver(Driver):
    """Drives calls in the caller's thread.

    Args:
        transport: Sends requests.
        limiter: Grants permits.
        pacer: LangChain's rate limiter of the model, which each call waits for once; None for none.
    """

    def __init__(self, transport: Transport, limiter: Limiter, pacer: BaseRateLimiter | None = None) -> None:
        verbs = Verbs(
            announce=_blocking(Run.admit),
            pending=_blocking(Run.pending),
            sleep=_blocking(lambda clock, seconds: clock.sleep(seconds)),
            acquire=_blocking(limiter.acquire),
            pace=_blocking(pace),
            room=_blocking(wait_for_room),
            base_url=_blocking(
                lambda it: in_time(partial(local.base_url, it.call.model), it.attempt.left(), STARTING)
            ),
            token=_blocking(token),
            send=_blocking(transport.send),
            body=_blocking(
                lambda it, response: whole(response, it.read_deadline, it.call.max_response_bytes)
            ),
            pieces=_pieces,
            next_piece=_blocking(_next_piece),
            finish=_blocking(finish),
            close=_blocking(close),
            generate=_blocking(lambda it: it.vendor.generate(it.begin(), it.seconds_left())),
            start=_start,
            detached=lambda coroutine: coroutine,
            first_done=_blocking(_first_done),
            stop=lambda _: None,  # a thread cannot be stopped
        )
        super().__init__(verbs, transport, limiter, pacer)

    def generate(self, dispatch: Dispatch, run: Run) -> ChatResult:
        """Return the first whole answer.

        Raises:
            DispatchError: No deployment has given one.
        """
        with run:
            return _finished(self._whole, dispatch, run)

    def stream(self, dispatch: Dispatch, run: Run) -> Iterator[ChatGenerationChunk]:
        """Yield the chunks of the first answer that begins.

        Raises:
            StreamInterruptedError: It broke after content was delivered.
            DispatchError: No deployment has given one.
        """
        lane = self._streamed(dispatch, run)
        with run:
            try:
                while True:
                    try:
                        chunks = _finished(lane.__anext__)
                    except StopAsyncIteration:
                        return
                    yield from chunks
            finally:
                _finished(lane.aclose)


def _blocking(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return a verb: a coroutine that calls `function` and never suspends."""

    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)

    return call


def _finished(function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function whose coroutine never suspends, and return the coroutine's result."""
    # An event loop that the caller blocks would adopt the async generators, and close them when it ends.
    hooks = sys.get_asyncgen_hooks()
    if hooks == _NO_HOOKS:
        return _result(function(*args, **kwargs))
    sys.set_asyncgen_hooks(None, None)
    try:
        return _result(function(*args, **kwargs))
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _result(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a verb of the sync driver has suspended")


def _body(exchange: Exchange, response: httpx.Response) -> bytes:
    return whole(response, exchange.read_deadline, exchange.call.max_response_bytes)


def _pieces(exchange: Exchange, response: httpx.Response | None) -> Iterator[Any]:
    if response is None:
        return exchange.vendor.stream(exchange.begin(), exchange.seconds_left())
    return read(response, exchange.read_deadline, exchange.stream_limit)


def _next_piece(exchange: Exchange, pieces: Iterator[Any]) -> Any:
    piece = next(pieces, None)
    # A vendor that runs in process was given the seconds, and cannot be interrupted.
    if piece is not None and exchange.vendor.runs and exchange.read_deadline.left() <= 0:
        raise timed_out(exchange.read_deadline)
    return piece


def _start(runner: Runner) -> None:
    run = copy_context().run
    threading.Thread(target=run, args=(_finished, runner.run), daemon=True).start()


def _first_done(runners: list[Runner], seconds: float | None) -> Runner | None:
    changed = runners[0].changed
    with changed:
        changed.wait_for(lambda: any(runner.done for runner in runners), seconds)
    return next((runner for runner in runners if runner.done), None)
