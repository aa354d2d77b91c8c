"""A permit: leave to send one attempt, from the wait for it to the settlement after it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from langchain_llmdispatch.errors import LimitTimeoutError, RateLimitError
from langchain_llmdispatch.limits.loop_thread import pacing
from langchain_llmdispatch.limits.queue import Entry, LimitQueue, NoRoomError

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.dispatch.dispatch import Attempt
    from langchain_llmdispatch.limits.limiter import Limiter

# A wait shorter than this many seconds is none: no event, no reason to go elsewhere.
NEGLIGIBLE = 0.005
_OK = 200


class Permit:
    """Leave to send one attempt: a context manager that gives back what it holds, and settles.

    Attributes:
        passed: Done when the attempt may be sent; None if it need not wait.
        waited: Seconds it waited for that.
    """

    __slots__ = (
        "_attempt",
        "_began",
        "_entry",
        "_gates",
        "_limiter",
        "_over",
        "_task",
        "_used",
        "passed",
        "waited",
    )

    def __init__(self, limiter: Limiter, attempt: Attempt, gates: Sequence[LimitQueue], entry: Entry) -> None:
        self._limiter, self._attempt, self._gates, self._entry = limiter, attempt, gates, entry
        self.passed: Future[None] | None = None
        self.waited = self._began = 0.0
        self._task: asyncio.Task[None] | None = None
        self._used: float | None = None
        self._over = False

    def heard(self, headers: Mapping[str, str]) -> None:
        """Believe a response's headers where they say that nothing is left."""
        self._limiter.heard(self._attempt.target, headers)

    def settle(self, usage: UsageMetadata | None) -> None:
        """Note what the vendor says was used; without it `release` asks the attempt."""
        if usage is not None:
            self._used = float(usage["total_tokens"])

    def release(self) -> None:
        """Give back the slot and settle; at once, from any thread, once."""
        if self._over or not self._gates:
            return
        self._over = True
        attempt, entry = self._attempt, self._entry
        if attempt.usage is not None and not attempt.partial:
            self._gates[0].learn(attempt.usage["output_tokens"])
        self._give_back(requests=1.0 if attempt.sent else 0.0, tokens=self._tokens_used(entry.tokens))

    def __enter__(self) -> Self:
        """Hold it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it; a rate limit that names a time holds those up who are in line."""
        if self._gates and isinstance(error, RateLimitError) and error.retry_after:
            self._limiter.close_for(self._attempt.target, error.retry_after)
        self.release()

    # -- for the limiter ---------------------------------------------------------------------------

    def try_pass(self) -> bool:
        """Pass if that needs no waiting, and return whether it did."""
        self._began = self._limiter.clock.monotonic()
        if all(gate.try_pass(self._entry) for gate in self._gates):
            return True
        self._give_back(requests=0.0, tokens=0.0)
        return False

    def line_up(self) -> Future[None]:
        """Take a place in the first line, and return what is done when the attempt may be sent."""
        self.passed, self._began = Future(), self._limiter.clock.monotonic()
        for gate in self._gates[:1]:
            gate.line_up(self._entry)
        return self.passed

    def told(self) -> None:
        """Tell whoever observes the call that it waited."""
        if self.waited > NEGLIGIBLE:
            self._attempt.dispatch.observer.throttled(self._attempt, self.waited)

    # -- on the loop -------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to wait."""
        if self.passed is None or not self.passed.set_running_or_notify_cancel():
            return
        loop = asyncio.get_running_loop()
        if all(gate.waits_on(loop) for gate in self._gates):
            self._task = loop.create_task(self._pass())
            self._task.add_done_callback(self._arrived)
        else:  # it lined up while the limiter was being closed
            self._limiter.forget(self._gates)
            self.passed.set_exception(LimitTimeoutError("the limiter was closed"))

    def abandon(self) -> None:
        """Give everything back: whoever waited has left."""
        self._over = True
        if self._task is None:
            self._leave_line()
        elif not self._task.cancel():
            self._give_back(requests=0.0, tokens=0.0)  # it had just passed

    def _arrived(self, task: asyncio.Task[None]) -> None:
        assert self.passed is not None  # noqa: S101 - made before the task
        self._leave_line()
        self.waited = self._limiter.clock.monotonic() - self._began
        error = LimitTimeoutError("the limiter was closed") if task.cancelled() else task.exception()
        if error is None:
            self.passed.set_result(None)
            return
        self._give_back(requests=0.0, tokens=0.0)
        if isinstance(error, (TimeoutError, NoRoomError)):
            error = no_room(getattr(error, "seconds", None), self._entry.max_wait)
        self.passed.set_exception(error)

    async def _pass(self) -> None:
        entry = self._entry
        entry.until = self._began + entry.max_wait
        async with asyncio.timeout_at(entry.until if entry.max_wait < float("inf") else None):
            async with AsyncExitStack() as turns:
                for place, gate in enumerate(self._gates):
                    if place:
                        gate.line_up(entry)
                        turns.callback(gate.leave_line, entry)
                    await turns.enter_async_context(gate.turn)
                    await self._opened()
                    await gate.admit(entry)
                await self._opened()

    def _leave_line(self) -> None:
        for gate in self._gates[:1]:
            gate.leave_line(self._entry)

    # -- anywhere ----------------------------------------------------------------------------------

    def _tokens_used(self, reserved: float) -> float:
        attempt = self._attempt
        if self._used is not None:
            return self._used
        if attempt.usage is not None:
            used = float(attempt.usage["total_tokens"])
            return max(used, reserved) if attempt.partial else used
        refused = attempt.status not in {None, _OK}
        return 0.0 if refused or not attempt.sent else reserved

    def _give_back(self, *, requests: float, tokens: float) -> None:
        entry = self._entry
        charges, slots, entry.charges, entry.slots = entry.charges, entry.slots, [], []
        for charge in charges:
            charge.gate.correct(charge, requests if charge.draw.kind == "requests" else tokens)
        if slots:
            held = self._limiter.clock.monotonic() - self._began - self.waited
            for gate in slots:
                gate.leave(held)

    async def _opened(self) -> None:
        while (seconds := self._limiter.closed_in(self._attempt.target)) > 0:
            with pacing():
                await asyncio.sleep(seconds)


def no_room(seconds: float | None, left: float) -> LimitTimeoutError:
    """Return the error of a wait that does not fit.

    Args:
        seconds: How long it would have been, or None if unknown.
        left: Seconds that were left for it.
    """
    when = f"for {seconds:.1f} s" if seconds is not None else "in time"
    return LimitTimeoutError(
        f"the limits have no room {when}, and {max(left, 0.0):.1f} s are left", retry_after=seconds
    )
