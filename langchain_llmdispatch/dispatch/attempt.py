"""One request to one deployment: what is noted of it while it is on its way, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from langchain_llmdispatch.dispatch.hedging import LostRaceError
from langchain_llmdispatch.dispatch.resume import caused, interrupted
from langchain_llmdispatch.errors import AttemptTimeoutError, DeadlineExceededError, DispatchError
from langchain_llmdispatch.types import AttemptRecord, Change

if TYPE_CHECKING:
    from langchain_core.messages import AIMessageChunk
    from langchain_core.messages.ai import UsageMetadata
    from tenacity import RetryCallState

    from langchain_llmdispatch.catalog.prices import Cost
    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.dispatch.dispatch import Dispatch


@dataclass(slots=True)
class Candidate:
    """A target's standing within one call."""

    target: Target
    rank: int
    tries: int = 0
    ready_at: float = 0.0
    alive: bool = True


class Attempt:
    """One request to one deployment: a context manager that records what became of it.

    Attributes:
        number: Its place in the call, from 1.
        target: Where it goes.
        delay: Seconds to wait before sending.
        retry: Tenacity's state where it repeats the deployment that just failed, else None.
        fallback: Whether it goes to another deployment than the attempt before it.
        deadline: The moment the whole call ends, in the clock's monotonic seconds.
        times: The time limits that hold for its target.
        error: What it ended with, or None.
        changes: What was altered so that the request fits the target.
        committed: Whether content has been handed to the caller.
        declined: Whether its answer was whole, but not good enough (see `Cascade`).
        lost: Whether another request of the call answered first (see `Race`).
        candidate: Its target's standing within the call.
        usage: What the vendor says it used, also where the answer was no good; None if it did not say.
        partial: Whether `usage` is what was said before the answer broke off: more may have been used.
        cost: What that cost; None where the usage is unknown.
        waited: Seconds slept or queued before sending.
        throttled: Seconds of them spent waiting for our own limits.
        latency: Seconds from sending to the end.
        ttft: Seconds from sending to the first streamed content, or None.
    """

    partial = False
    hedge = False  # whether it was sent while an earlier one was still open
    usage: UsageMetadata | None = None
    cost: Cost | None = None
    waited = throttled = latency = 0.0
    ttft: float | None = None

    def __init__(
        self,
        dispatch: Dispatch,
        candidate: Candidate,
        *,
        number: int,
        delay: float,
        retry: RetryCallState | None,
        fallback: bool,
    ) -> None:
        self._dispatch, self.candidate = dispatch, candidate
        self.number, self.target, self.delay = number, candidate.target, delay
        self.retry, self.fallback = retry, fallback
        self.deadline = dispatch.deadline
        self.times = candidate.target.limits(dispatch.policy.times)
        self.changes: Sequence[Change] = ()
        self.error: DispatchError | None = None
        self.committed = self.declined = self.lost = False
        self.record: AttemptRecord | None = None
        self.status: int | None = None
        self.request_id: str | None = None
        self.chunks: list[AIMessageChunk] = []
        self._opened_at = dispatch.clock.monotonic()
        self._sent_at: float | None = None
        self._first_at: float | None = None

    @property
    def sent(self) -> bool:
        """Whether a request left the process."""
        return self._sent_at is not None

    @property
    def begun(self) -> bool:
        """Whether content has arrived."""
        return self._first_at is not None

    @property
    def accepted(self) -> bool:
        """Whether its answer is the call's, once it is over."""
        return self.error is None and not self.declined and not self.lost

    @property
    def dispatch(self) -> Dispatch:
        """The call that this attempt belongs to."""
        return self._dispatch

    @property
    def last_resort(self) -> bool:
        """Whether nobody else is left to ask."""
        return self._dispatch.has_only(self.candidate)

    def left(self) -> float:
        """Return the seconds until the call's deadline."""
        return self.deadline - self._dispatch.clock.monotonic()

    def send(self) -> None:
        """Note that the request leaves the process now.

        Raises:
            DeadlineExceededError: There is no time left to send it.
            BreakerOpenError: Its deployment is out, and another one is left.
            BudgetExceededError: Its worst case does not fit what is left of a budget.
            LostRaceError: Another request of the call has answered meanwhile.
        """
        if self.left() <= 0:
            raise DeadlineExceededError("the call's deadline has passed", deployment=self.target.name)
        with self._dispatch.lock:
            if self.record is not None:
                raise LostRaceError
            self._dispatch.clear(self)
            self._sent_at = self._dispatch.clock.monotonic()
            self._dispatch.sent += 1
            self._dispatch.observer.started(self)

    def answered(self, status: int, request_id: str | None) -> None:
        """Note that a response has begun."""
        self.status, self.request_id = status, request_id

    def content(self) -> None:
        """Note that the first content has arrived; from now on nothing can be taken back."""
        if self._first_at is None:
            self._first_at = self._dispatch.clock.monotonic()

    def succeed(self) -> AttemptRecord:
        """Note that the answer is whole, and return the attempt's record.

        Raises:
            LostRaceError: Another request of the call has answered meanwhile.
        """
        self.claim()
        self.record = self._record(None)
        self._dispatch.end(self)
        return self.record

    def claim(self) -> None:
        """Answer the call, rather than another request that is on its way too.

        Raises:
            LostRaceError: That one has answered already.
        """
        if self.record is not None:
            raise LostRaceError
        if self._dispatch.race is not None:
            self._dispatch.race.claim(self)

    def lose(self) -> None:
        """Note that another request of the call answered first."""
        self._close(LostRaceError())

    def fail(self, error: DispatchError) -> None:
        """Note how it ended, before its `with` does."""
        self._close(error)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Record the outcome; swallow errors that policy decides upon."""
        return self._close(error) and self.error is not None

    def _close(self, error: BaseException | None) -> bool:
        """Record the outcome, once; whatever happens after that is the caller's."""
        with self._dispatch.lock:
            if self.record is not None:
                return False
            if isinstance(error, DispatchError):
                self.error = self._judged(error)
            self.lost = isinstance(error, LostRaceError)
            self.record = self._record(error)
        self._dispatch.end(self)
        return True

    def _judged(self, error: DispatchError) -> DispatchError:
        _forget_transport(error)
        if isinstance(error, AttemptTimeoutError) and self.left() <= 0:
            error = caused(DeadlineExceededError(f"the call's deadline has passed: {error.message}"), error)
        error.vendor = error.vendor or self.target.vendor.name
        error.deployment = error.deployment or self.target.name
        error.request_id = error.request_id or self.request_id
        if error.status_code is None and self.status not in {None, 200}:
            error.status_code = self.status
        return interrupted(error, [*self._dispatch.delivered, *self.chunks]) if self.committed else error

    def _record(self, error: BaseException | None) -> AttemptRecord:
        now, sent = self._dispatch.clock.monotonic(), self._sent_at
        shown = self.error or error
        self.waited = (now if sent is None else sent) - self._opened_at
        self.latency = now - sent if sent is not None else 0.0
        self.ttft = self._first_at - sent if self._first_at is not None and sent is not None else None
        return AttemptRecord(
            vendor=self.target.vendor.name,
            model=self.target.model,
            deployment=self.target.name,
            status=self.status if self.status is not None else getattr(shown, "status_code", None),
            error=type(shown).__name__ if shown is not None else None,
            wait_ms=_ms(self.waited),
            latency_ms=_ms(self.latency),
            ttft_ms=_ms(self.ttft) if self.ttft is not None else None,
            request_id=self.request_id or getattr(shown, "request_id", None),
            started_ms=_ms(self._opened_at - self._dispatch.started),
        )


def _forget_transport(error: BaseException) -> None:
    """Cut httpx's errors out of the chain: they hold the request, and with it the key."""
    seen: BaseException | None = error
    while seen is not None:
        for name in ("__cause__", "__context__"):
            linked = getattr(seen, name)
            if linked is not None and type(linked).__module__.partition(".")[0] in {"httpx", "httpcore"}:
                setattr(seen, name, None)
        seen = seen.__cause__ or seen.__context__


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
