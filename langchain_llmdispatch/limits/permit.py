"""A permit: the right to send one attempt, from the wait for it to the settlement after it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.errors import LimitTimeoutError, RateLimitError
from langchain_llmdispatch.limits.loop_thread import pacing
from langchain_llmdispatch.limits.queue import LimitQueue, Waiter, limit_timeout
from langchain_llmdispatch.limits.quota import Quota


class Permit:
    """The right to send one attempt: a context manager that frees its slots and settles what it reserved.

    Args:
        attempt: The attempt; its deadline bounds the wait.
        queues: The queues of its deployment and its account.
        quota: The vendor's own limit.
        tokens: Tokens that it is expected to use.
        clock: The source of time.

    Attributes:
        granted: Resolves when the attempt may be sent; None if it need not wait.
        waited: Seconds it waited for that.
    """

    _queues: Sequence[LimitQueue] = ()
    _released = False

    def __init__(
        self, attempt: Attempt, queues: Sequence[LimitQueue], quota: Quota, tokens: float, clock: Clock
    ) -> None:
        self._attempt, self._quota, self._clock = attempt, quota, clock
        self._waiter = Waiter(tokens, attempt.left())
        self.granted: Future[None] | None = None
        self.waited, self._began = 0.0, clock.monotonic()
        self._task: asyncio.Task[None] | None = None
        self._queues = queues  # last: an interrupt before leaves nothing to give back

    def release(self) -> None:
        """Free the slots and settle; at once, from any thread, once."""
        if self._released or not self._queues:
            return
        self._released = True
        attempt = self._attempt
        if attempt.usage is not None and not attempt.partial:
            self._queues[0].learn(attempt.usage["output_tokens"])
        self._settle(requests=1.0 if attempt.sent else 0.0, tokens=self._tokens_used())

    def __enter__(self) -> Self:
        """Hold it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it; a rate limit that names a time holds back the queued attempts."""
        if self._queues and isinstance(error, RateLimitError) and error.retry_after:
            self._quota.close_for(error.retry_after)
        self.release()

    # -- for the limiter ---------------------------------------------------------------------------

    def try_enter(self) -> bool:
        """Grant it if it need not wait, and return whether that is so."""
        if not self._quota.closed_in() and all(queue.try_enter(self._waiter) for queue in self._queues):
            return True
        self._settle(requests=0.0, tokens=0.0)
        return False

    def enqueue(self) -> None:
        """Join the first queue; `granted` resolves when the attempt may be sent.

        Raises:
            LimitTimeoutError: The predicted wait ends after the deadline.
        """
        waits = [queue.paced_in(self._waiter.tokens) for queue in self._queues]
        wait = max([self._quota.closed_in(), *waits])
        if wait > self._waiter.max_wait:
            raise limit_timeout(wait, self._waiter.max_wait)
        self.granted = Future()
        for queue in self._queues[:1]:
            queue.join(self._waiter)

    def start(self) -> bool:
        """Begin to wait, and return False if the queues belong to a loop that was closed. On the loop."""
        granted = self.granted
        if granted is None or not granted.set_running_or_notify_cancel():
            return True
        loop = asyncio.get_running_loop()
        if not all(queue.belongs_to(loop) for queue in self._queues):
            granted.set_exception(LimitTimeoutError("the limiter was closed"))
            return False
        self._task = loop.create_task(self._wait())
        self._task.add_done_callback(lambda task: self._end_wait(task, granted))
        return True

    def abandon(self) -> None:
        """Give everything back: the caller that waited has left. On the loop."""
        self._released = True
        if self._task is None:
            self._leave_queue()
        elif not self._task.cancel():
            self._settle(requests=0.0, tokens=0.0)  # granted between the end of the wait and this call

    def _end_wait(self, task: asyncio.Task[None], granted: Future[None]) -> None:
        self._leave_queue()
        self.waited = self._clock.monotonic() - self._began
        error = LimitTimeoutError("the limiter was closed") if task.cancelled() else task.exception()
        if error is None:
            granted.set_result(None)
            return
        self._settle(requests=0.0, tokens=0.0)
        timed_out = isinstance(error, TimeoutError) and not isinstance(error, LimitTimeoutError)
        granted.set_exception(limit_timeout(None, self._waiter.max_wait) if timed_out else error)

    async def _wait(self) -> None:
        waiter = self._waiter
        waiter.until = self._began + waiter.max_wait
        async with asyncio.timeout_at(waiter.until if waiter.max_wait < float("inf") else None):
            async with AsyncExitStack() as turns:
                for place, queue in enumerate(self._queues):
                    if place:
                        queue.join(waiter)
                        turns.callback(queue.leave, waiter)
                    await turns.enter_async_context(queue.turn)
                    await self._opened()
                    await queue.admit(waiter)
                await self._opened()

    async def _opened(self) -> None:
        while (seconds := self._quota.closed_in()) > 0:
            with pacing():
                await asyncio.sleep(seconds)

    def _leave_queue(self) -> None:
        for queue in self._queues[:1]:
            queue.leave(self._waiter)

    # -- anywhere ----------------------------------------------------------------------------------

    def _tokens_used(self) -> float:
        attempt, reserved = self._attempt, self._waiter.tokens
        if attempt.usage is not None:
            used = float(attempt.usage["total_tokens"])
            return max(used, reserved) if attempt.partial else used
        return 0.0 if attempt.refused or not attempt.sent else reserved

    def _settle(self, *, requests: float, tokens: float) -> None:
        self._free_slots()
        charges, self._waiter.charges = self._waiter.charges, []
        for charge in charges:
            charge.queue.correct(charge, requests if charge.demand.kind == "requests" else tokens)

    def _free_slots(self) -> None:
        held = self._clock.monotonic() - self._began - self.waited
        for queue in self._queues:
            queue.free_slot(self._waiter, held)

    def __del__(self) -> None:
        """Give back what an interrupt kept its caller from giving back."""
        if self._queues:
            self._leave_queue()
            self.release()
            self._free_slots()
