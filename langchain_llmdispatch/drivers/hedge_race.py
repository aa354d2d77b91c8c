"""Races: the waiting of a hedged call, sync in threads and async in tasks, line for line alike.

The first request begins in a thread (task) of its own, for a thread that waits cannot be told to do
something else. If it is late, the second one gets another. Whoever begins to answer has claimed the race
(`Race.claim`); its caller then goes on reading where the thread left off. The other one's connection is shut
down under it, so that it ends by itself: nothing is cancelled, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_llmdispatch.errors import DispatchError

if TYPE_CHECKING:
    from langchain_llmdispatch.dispatch.attempt import Attempt
    from langchain_llmdispatch.dispatch.dispatch import Dispatch
    from langchain_llmdispatch.drivers.exchange import Exchange

Lane: TypeAlias = Generator[Any, None, None]
AsyncLane: TypeAlias = AsyncGenerator[Any, None]

_NOTHING = object()


class _Runner:
    """One request on its way to its first piece, in a thread."""

    def __init__(self, attempt: Attempt, lane: Lane, bell: threading.Condition) -> None:
        self.attempt, self._lane, self._bell = attempt, lane, bell
        self.piece: Any = _NOTHING
        self.error: BaseException | None = None
        self.done = self._left = False
        threading.Thread(target=copy_context().run, args=(self._run,), daemon=True).start()

    def _run(self) -> None:
        piece, error = _NOTHING, None
        try:
            piece = next(self._lane, _NOTHING)
        except BaseException as failure:  # noqa: BLE001 - raised where it is waited for
            error = failure
        with self._bell:
            self.piece, self.error, self.done = piece, error, True
            self._bell.notify_all()
            left = self._left
        if left:
            self._lane.close()

    def rest(self) -> Lane:
        """Yield its first piece and those that follow."""
        try:
            if self.piece is not _NOTHING:
                yield self.piece
                yield from self._lane
        finally:
            self._lane.close()

    def leave(self) -> None:
        """Let it end by itself."""
        with self._bell:
            self._left, done = True, self.done
        if done:
            self._lane.close()


def race(dispatch: Dispatch, exchange: Exchange, lane: Lane, another: Callable[[Attempt], Lane]) -> Lane:
    """Yield what the first of two requests to begin yields.

    Args:
        dispatch: The attempts of the call.
        exchange: The request that is about to be sent.
        lane: Sends it, and yields its pieces.
        another: Does the same for the second attempt, and records its outcome.

    Raises:
        DispatchError: The only request failed. Of two, each failure is recorded where it happens.
    """
    attempt, bell = exchange.attempt, threading.Condition()
    run = dispatch.begin_race(exchange)
    runners = [_Runner(attempt, lane, bell)]
    try:
        with bell:
            late = not bell.wait_for(lambda: runners[0].done, attempt.call.policy.hedge_after)
        if late and (hedge := dispatch.hedge(attempt)) is not None:
            runners.append(_Runner(hedge, another(hedge), bell))
        waiting = list(runners)
        while waiting:
            with bell:
                bell.wait_for(lambda: any(runner.done for runner in waiting))
            ended = next(runner for runner in waiting if runner.done)
            waiting.remove(ended)
            if run.winner is ended.attempt:
                yield from ended.rest()
                return
            if _is_over(ended.attempt, ended.error, alone=len(runners) == 1):
                return
    finally:
        run.leave(exchange)
        for runner in runners:
            runner.leave()


class _AsyncRunner:
    """One request on its way to its first piece, in a task."""

    def __init__(self, attempt: Attempt, lane: AsyncLane, kept: set[asyncio.Task[None]]) -> None:
        self.attempt, self._lane = attempt, lane
        self.piece: Any = _NOTHING
        self.error: BaseException | None = None
        self.done = self._left = False
        self.task = asyncio.create_task(self._run())
        kept.add(self.task)
        self.task.add_done_callback(kept.discard)

    async def _run(self) -> None:
        try:
            self.piece = await anext(self._lane, _NOTHING)
        except BaseException as failure:  # noqa: BLE001 - raised where it is waited for
            self.error = failure
        self.done = True
        if self._left:
            await self._lane.aclose()

    async def rest(self) -> AsyncLane:
        """Yield its first piece and those that follow."""
        try:
            if self.piece is not _NOTHING:
                yield self.piece
                async for piece in self._lane:
                    yield piece
        finally:
            await self._lane.aclose()

    async def leave(self) -> None:
        """Let it end by itself."""
        self._left = True
        if self.done:
            await self._lane.aclose()
        elif self.attempt.target.vendor.runs:
            self.task.cancel()  # it has no connection of ours that could be shut down


async def arace(
    dispatch: Dispatch,
    exchange: Exchange,
    lane: AsyncLane,
    another: Callable[[Attempt], AsyncLane],
    kept: set[asyncio.Task[None]],
) -> AsyncLane:
    """Yield what the first of two requests to begin yields; see `race`.

    Args:
        dispatch: The attempts of the call.
        exchange: The request that is about to be sent.
        lane: Sends it, and yields its pieces.
        another: Does the same for the second attempt, and records its outcome.
        kept: Holds the tasks until they end.
    """
    attempt = exchange.attempt
    run = dispatch.begin_race(exchange)
    runners = [_AsyncRunner(attempt, lane, kept)]
    try:
        await asyncio.wait([runners[0].task], timeout=attempt.call.policy.hedge_after)
        late = not runners[0].done
        if late and (hedge := dispatch.hedge(attempt)) is not None:
            runners.append(_AsyncRunner(hedge, another(hedge), kept))
        waiting = list(runners)
        while waiting:
            await asyncio.wait([r.task for r in waiting], return_when=asyncio.FIRST_COMPLETED)
            ended = next(runner for runner in waiting if runner.done)
            waiting.remove(ended)
            if run.winner is ended.attempt:
                async with aclosing(ended.rest()) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            if _is_over(ended.attempt, ended.error, alone=len(runners) == 1):
                return
    finally:
        run.leave(exchange)
        for runner in runners:
            await runner.leave()


def _is_over(attempt: Attempt, error: BaseException | None, *, alone: bool) -> bool:
    """Note how a request ended that did not win, and return whether the other one is of no use any more."""
    if error is None or attempt.lost:
        return False
    if alone or not isinstance(error, DispatchError):
        raise error
    attempt.fail(error)
    return not (error.falls_back or error.is_retryable)
