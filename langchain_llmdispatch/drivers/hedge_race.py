"""The race of a hedged call: the first request, a second one if it is late, and the first to begin answers.

Each request begins on its own, in a thread (sync) or a task (async), because a blocking read cannot be
interrupted to do something else. The request that begins to answer has claimed the race (`Race.claim`); its
caller then goes on reading in its own thread or task. The connection of the other one is shut down under its
reader, so that it ends by itself: nothing is cancelled, and nothing waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import aclosing

from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.dispatch import Dispatch
from langchain_llmdispatch.dispatch.hedging import Race
from langchain_llmdispatch.drivers.exchange import Exchange
from langchain_llmdispatch.drivers.runner import Lane, Runner
from langchain_llmdispatch.drivers.verbs import Verbs
from langchain_llmdispatch.errors import DispatchError


async def race(
    verbs: Verbs,
    dispatch: Dispatch,
    exchange: Exchange,
    lane_of: Callable[[Exchange], Lane],
    hedge_lane: Callable[[Attempt, Race], Lane],
) -> Lane:
    """Yield the pieces of the first of two requests to begin.

    Args:
        verbs: Start them, and wait for them.
        dispatch: The attempts of the call.
        exchange: The request that is about to be sent.
        lane_of: Returns its lane.
        hedge_lane: Returns the lane of the second attempt, which records its outcome.

    Raises:
        DispatchError: The only request failed. Of two, each failure is recorded where it happens.
    """
    attempt, changed = exchange.attempt, threading.Condition()
    contest = dispatch.begin_race(exchange)
    runners = [Runner(attempt, lane_of(exchange), changed)]
    try:
        verbs.start(runners[0])
        late = await verbs.first_done(runners, attempt.call.policy.hedge_after) is None
        if late and (hedge := dispatch.hedge(attempt)) is not None:
            runners.append(Runner(hedge, hedge_lane(hedge, contest), changed))
            verbs.start(runners[1])
        waiting = list(runners)
        while waiting and (ended := await verbs.first_done(waiting, None)) is not None:
            waiting.remove(ended)
            if contest.winner is ended.attempt:
                async with aclosing(ended.rest()) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            # An answer may begin at the same moment: it stands, and is the next to be done.
            if _decides(ended, alone=len(runners) == 1) and contest.end():
                return
    finally:
        contest.leave(exchange)
        for runner in runners:
            if not await runner.leave():
                verbs.stop(runner)


def _decides(ended: Runner, *, alone: bool) -> bool:
    """Record how a request ended that did not win, and return whether no other one can answer the call.

    Raises:
        DispatchError: It was the only one.
    """
    error, attempt = ended.error, ended.attempt
    if error is None or attempt.lost:
        return False
    if alone or not isinstance(error, DispatchError):
        raise error
    attempt.fail(error)
    return not (error.falls_back or error.is_retryable)
