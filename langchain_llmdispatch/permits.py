"""A permit: leave to send one attempt, from the wait for it to the settlement after it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from langchain_llmdispatch.errors import LimitTimeoutError, RateLimitError
from langchain_llmdispatch.gates import Entry, Gate, NoRoomError
from langchain_llmdispatch.limiter_loop import pacing

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.dispatch import Attempt
    from langchain_llmdispatch.limiter import Limiter

# A wait shorter than this many seconds is none: no event, no reason to go elsewhere.
NEGLIGIBLE = 0.005
_OK = 200


class Permit:
    """Leave to send one attempt: a context manager that gives back what it holds, and settles.

    Attributes:
        free: Whether nothing limits the attempt.
        passed: Done when the attempt may be sent.
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
        "free",
        "passed",
        "waited",
    )

    def __init__(
        self, limiter: Limiter, attempt: Attempt, gates: tuple[Gate, ...], entry: Entry, *, free: bool
    ) -> None:
        self._limiter, self._attempt, self._gates, self._entry = limiter, attempt, gates, entry
        self.free, self.waited = free, 0.0
        self.passed: Future[None] = Future() if not free else _PASSED
        self._task: asyncio.Task[None] | None = None
        self._used: float | None = None
        self._began, self._over = 0.0, False

    def heard(self, headers: Mapping[str, str]) -> None:
        """Believe a response's headers where they say that nothing is left."""
        self._limiter.heard(self._attempt.target, headers)

    def settle(self, usage: UsageMetadata | None) -> None:
        """Note what the vendor says was used; without it `release` asks the attempt."""
        if usage is not None:
            self._used = float(usage["total_tokens"])

    def release(self) -> None:
        """Give back the slot and settle; at once, from any thread, once."""
        if self._over:
            return
        self._over = True
        if not self.free:
            self._limiter.finish(self)

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

    def told(self) -> None:
        """Tell whoever observes the call that it waited."""
        if self.waited > NEGLIGIBLE:
            self._attempt.dispatch.observer.throttled(self._attempt, self.waited)

    def fail(self, error: BaseException) -> None:
        """Give everything back: the wait ended without leave."""
        if isinstance(error, LimitTimeoutError):
            self.told()
        self.release()

    # -- on the loop -------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to wait."""
        if not self._over and self.passed.set_running_or_notify_cancel():
            self._task = asyncio.get_running_loop().create_task(self._wait())

    def end(self) -> None:
        """Give back the slots, and correct what was taken by what was used."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            return
        attempt, entry = self._attempt, self._entry
        output = attempt.usage["output_tokens"] if attempt.usage is not None else None
        if output is not None and self._gates:
            self._gates[0].learn(output)
        self._give_back(requests=1.0 if attempt.sent else 0.0, tokens=self._tokens_used(entry.tokens))

    def _tokens_used(self, reserved: float) -> float:
        attempt = self._attempt
        if self._used is not None:
            return self._used
        if attempt.usage is not None:
            return float(attempt.usage["total_tokens"])
        refused = attempt.status not in {None, _OK}
        return 0.0 if refused or not attempt.sent else reserved

    def _give_back(self, *, requests: float, tokens: float) -> None:
        entry, held = self._entry, self._limiter.clock.monotonic() - self._began - self.waited
        for charge in entry.charges:
            charge.gate.correct(charge, requests if charge.draw.kind == "requests" else tokens)
        for gate in entry.slots:
            gate.leave(held)
        entry.charges, entry.slots = [], []

    async def _wait(self) -> None:
        loop, entry = asyncio.get_running_loop(), self._entry
        self._began = loop.time()
        entry.until = self._began + entry.patience
        try:
            async with asyncio.timeout_at(entry.until if entry.patience < float("inf") else None):
                await self._pass()
        except (TimeoutError, NoRoomError) as error:
            seconds = error.seconds if isinstance(error, NoRoomError) else None
            self._stop(no_room(seconds, entry.patience))
        except asyncio.CancelledError:
            self._stop(None)
            raise
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
            self._stop(error)
        else:
            self.waited = loop.time() - self._began
            self.passed.set_result(None)

    def _stop(self, error: BaseException | None) -> None:
        self.waited = self._limiter.clock.monotonic() - self._began
        self._give_back(requests=0.0, tokens=0.0)
        if error is not None:
            self.passed.set_exception(error)
        else:
            self.passed.set_exception(LimitTimeoutError("the limiter was closed"))

    async def _pass(self) -> None:
        async with AsyncExitStack() as turns:
            for gate in self._gates:
                gate.line_up(self._entry)
                turns.callback(gate.leave_line, self._entry)
                await turns.enter_async_context(gate.turn)
                await self._opened()
                await gate.admit(self._entry)
            await self._opened()

    async def _opened(self) -> None:
        while (seconds := self._limiter.closed_in(self._attempt.target)) > 0:
            with pacing():
                await asyncio.sleep(seconds)


_PASSED: Future[None] = Future()
_PASSED.set_result(None)


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
