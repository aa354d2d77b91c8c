"""Races: the waiting of a hedged call, sync in threads and async in tasks, line for line alike.

The first request begins in a thread (task) of its own, for a thread that waits cannot be told to do
something else. If it is late, the second one gets another. Whoever begins to answer has claimed the race
(`Race.claim`); its caller then goes on reading where the thread left off. The other one's connection is shut
down under it, so that it ends by itself: nobody is cancelled, nobody is waited for.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_llmdispatch.hedging import LostRaceError, Race

if TYPE_CHECKING:
    from langchain_llmdispatch.dispatch import Attempt
    from langchain_llmdispatch.exchange import Exchange

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


def race(exchange: Exchange, lane: Lane, another: Callable[[Attempt], Lane]) -> Lane:
    """Yield what the first of two requests to begin yields.

    Args:
        exchange: The request that is about to be sent.
        lane: Sends it, and yields its pieces.
        another: Returns the same for the second attempt; it records its outcome by itself.

    Raises:
        DispatchError: The only request failed. Of two, each failure is recorded where it happens.
    """
    run, bell = exchange.hedged_race(), threading.Condition()
    runners = [_Runner(exchange.attempt, lane, bell)]
    try:
        with bell:
            bell.wait_for(lambda: runners[0].done, exchange.late_after())
            late = not runners[0].done
        if late and (hedge := exchange.hedge()) is not None:
            runners.append(_Runner(hedge, another(hedge), bell))
        open_ = list(runners)
        while open_:
            with bell:
                bell.wait_for(lambda: any(runner.done for runner in open_))
            ended = next(runner for runner in open_ if runner.done)
            open_.remove(ended)
            if run.winner is ended.attempt:
                yield from ended.rest()
                return
            exchange.note(ended.attempt, ended.error, alone=len(runners) == 1, last=not open_)
            if exchange.hopeless(ended.attempt):
                return
    finally:
        run.leave(exchange)
        for runner in runners:
            runner.leave()
