"""What both drivers do, written once: walk the attempts, wait for permits, send, read, and pass answers on.

It is written as coroutines, and whatever may wait is a verb: each driver has a table of `Verbs` of its own.
`AsyncDriver` awaits the coroutines like any others. The verbs of `SyncDriver` block instead of suspending, so
that its coroutines run to their end at the first `send(None)`: in the caller's thread, and without an event
loop.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, aclosing, nullcontext
from functools import partial
from typing import Any

import httpx
from langchain_core.outputs import ChatResult
from langchain_core.rate_limiters import BaseRateLimiter

from langchain_llmdispatch.callbacks.events import Run
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.dispatch import Dispatch
from langchain_llmdispatch.dispatch.hedging import LostRaceError, Race
from langchain_llmdispatch.dispatch.report import llm_output
from langchain_llmdispatch.drivers.background import mark_final, streamed_answer, whole_answer
from langchain_llmdispatch.drivers.exchange import Exchange
from langchain_llmdispatch.drivers.hedge_race import race
from langchain_llmdispatch.drivers.relay import CONNECTION_ERRORS, parts_of, relay_of
from langchain_llmdispatch.drivers.runner import Lane
from langchain_llmdispatch.drivers.verbs import Verbs
from langchain_llmdispatch.errors import AttemptTimeoutError, DeadlineExceededError, DispatchError
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.transport.transport import Transport

# Seconds; a shorter wait for a permit is the limiter's own work, not a limit's.
_NOTICEABLE = 0.002
_UNLIMITED = nullcontext()


class Driver:
    """What both drivers do.

    Args:
        verbs: Whatever may wait.
        transport: Whether requests reach a server.
        limiter: Learns from the headers of responses.
        pacer: LangChain's rate limiter of the model, which each call waits for once; None for none.
    """

    def __init__(
        self, verbs: Verbs, transport: Transport, limiter: Limiter, pacer: BaseRateLimiter | None
    ) -> None:
        self._verbs, self._transport, self._limiter, self._pacer = verbs, transport, limiter, pacer

    async def _whole(self, dispatch: Dispatch, run: Run) -> ChatResult:
        """Return the first whole answer that is accepted."""
        outputs: list[Any] = []
        async for some in self._outputs(dispatch, run, self._answer):
            outputs += some
        return ChatResult(generations=outputs, llm_output=llm_output(outputs[-1].message))

    def _streamed(self, dispatch: Dispatch, run: Run) -> Lane:
        """Yield the chunks of the first answer that begins."""
        return self._outputs(dispatch, run, self._streamed_lane)

    def _streamed_lane(self, exchange: Exchange) -> Lane:
        return self._chunks(exchange) if exchange.background is None else self._chunks_in_background(exchange)

    async def _outputs(self, dispatch: Dispatch, run: Run, lane_of: Callable[[Exchange], Lane]) -> Lane:
        """Yield what the caller gets, in lists.

        Args:
            dispatch: The attempts of the call.
            run: LangChain's run.
            lane_of: Sends an exchange's request, and yields its answer.
        """
        call = dispatch.call
        for attempt in dispatch.attempts():
            with attempt:
                exchange = Exchange(attempt)
                exchange.run = run
                with await self._admitted(exchange, run):
                    if call.budget is not None:
                        await self._fund(attempt)
                    if call.policy.hedge_after is None or exchange.background is not None:
                        lane = lane_of(exchange)
                    else:
                        hedge_lane = partial(self._hedge, lane_of)
                        lane = race(self._verbs, dispatch, exchange, lane_of, hedge_lane)
                    try:
                        async for outputs in lane:
                            yield outputs
                    finally:
                        await lane.aclose()
            if call.outcome == "answered":
                return
        yield (call.paused or call.declined[-1]).outputs()

    async def _hedge(self, lane_of: Callable[[Exchange], Lane], attempt: Attempt, contest: Race) -> Lane:
        """Send a second request beside one that is late, and yield its answer."""
        with attempt:
            exchange = Exchange(attempt)
            contest.enter(exchange)
            with await self._admitted(exchange, None):
                if attempt.call.budget is not None:
                    await self._fund(attempt)
                async with aclosing(lane_of(exchange)) as lane:
                    async for outputs in lane:
                        yield outputs

    async def _admitted(self, exchange: Exchange, run: Run | None) -> AbstractContextManager[object]:
        """Wait until an attempt may be sent, and return what releases its permit."""
        attempt, verbs = exchange.attempt, self._verbs
        if attempt.number > 1 and run is not None:
            await verbs.announce(run, attempt)
        if attempt.delay > 0:
            await verbs.sleep(attempt.call.clock, attempt.delay)
        if attempt.number == 1 and self._pacer is not None:
            await self._paced(self._pacer, attempt.left())
        permit = exchange.permit = await verbs.acquire(attempt, attempt.call.request)
        if permit is None:
            return _UNLIMITED
        attempt.throttled = permit.waited if permit.waited > _NOTICEABLE else 0.0
        return permit

    async def _paced(self, pacer: BaseRateLimiter, seconds: float) -> None:
        """Wait for LangChain's rate limiter of the model.

        Raises:
            DeadlineExceededError: It admits no request before the call's deadline.
        """
        try:
            await self._verbs.pace(pacer, seconds)
        except AttemptTimeoutError as late:
            text = f"the call's deadline has passed: {late.message}"
        else:
            return
        raise DeadlineExceededError(text)

    # -- one exchange ------------------------------------------------------------------------------

    async def _send(self, exchange: Exchange) -> httpx.Response:
        if exchange.needs_server and not self._transport.replays:
            exchange.locate(await self._verbs.base_url(exchange))
        if (provider := exchange.call.endpoint.token_provider) is not None:
            exchange.authorize(await self._verbs.token(provider, exchange.seconds_to_prepare()))
        return await self._verbs.send(exchange.request(), exchange.read_deadline)

    def _answered(self, exchange: Exchange, response: httpx.Response) -> None:
        exchange.answered(response)
        self._limiter.apply_headers(exchange.attempt.target, exchange.headers)

    async def _fund(self, attempt: Attempt) -> None:
        """Wait until the call's budget has room for the worst case of a request, and hold it."""
        while (room := attempt.call.budget.admit(attempt)) is not None:
            await self._verbs.room(room)

    async def _answer(self, exchange: Exchange) -> Lane:
        """Yield a whole answer, unless a cascade declines it."""
        verbs = self._verbs
        if exchange.vendor.runs:
            try:
                message = await verbs.generate(exchange)
            except (DispatchError, LostRaceError):
                raise
            except Exception as cause:
                raise exchange.malformed("the answer", cause) from cause
        else:
            try:
                response = await self._send(exchange)
                try:
                    self._answered(exchange, response)
                    body = await verbs.body(exchange, response)
                finally:
                    if not response.is_closed:
                        await verbs.close(response)
                message = exchange.decode(response, body)
            except DispatchError as error:
                mark_final(exchange, error)
                raise
            if message.response_metadata.get("finish_state") == "suspended":
                message = await whole_answer(verbs, exchange, message)
        yield exchange.accept(message)

    async def _chunks_in_background(self, exchange: Exchange) -> Lane:
        """Yield the chunks of a streamed answer that its vendor makes in the background."""
        try:
            response = await self._send(exchange)
            chunks = streamed_answer(self._verbs, exchange, response, self._answered)
            async with aclosing(chunks) as lane:
                async for some in lane:
                    yield some
        except DispatchError as error:
            mark_final(exchange, error)
            raise

    async def _chunks(self, exchange: Exchange) -> Lane:
        """Yield the chunks of a streamed answer, unless a cascade declines it."""
        verbs, now = self._verbs, exchange.attempt.call.clock.monotonic
        response = None if exchange.vendor.runs else await self._send(exchange)
        opened: list[Any] = [response] if response is not None else []
        try:
            if response is not None:
                self._answered(exchange, response)
                if response.status_code != httpx.codes.OK:
                    exchange.refuse(response, await verbs.body(exchange, response))
            pieces = verbs.pieces(exchange, response)
            opened.insert(0, pieces)
            relay = relay_of(exchange, exchange.headers)
            try:
                while not relay.done and (piece := await verbs.next_piece(exchange, pieces)) is not None:
                    for part in parts_of(piece):
                        if chunks := relay.feed(part):
                            handed_over = now()
                            yield chunks
                            exchange.paused(now() - handed_over)
            except CONNECTION_ERRORS as error:
                relay.broken(error)
            yield relay.close()
            if response is not None:
                relay.linger()
                await verbs.finish(pieces)
        finally:
            exchange.settle()
            for one in opened:
                await verbs.close(one)
