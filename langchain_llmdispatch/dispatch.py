"""The attempts of one call: order, retry, fallback, deadline, in one place for sync and async.

`Dispatch.attempts()` is a plain iterator. It decides; it never waits, sends or touches a clock of its own.
A driver walks it:

    for attempt in dispatch.attempts():
        with attempt:                     # records the outcome; swallows what policy can answer
            ...wait attempt.delay, send, decode...
            return attempt.succeed(...)

When a `with` ends in a `DispatchError`, the iterator resumes and either yields the next attempt or raises
the call's final error. Anything else (cancellation, Ctrl-C, a bug of ours) passes through untouched and is
blamed on nobody.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.errors import (
    AllDeploymentsFailedError,
    AttemptTimeoutError,
    BudgetExceededError,
    ContextOverflowError,
    DeadlineExceededError,
    DispatchError,
    NoDeploymentError,
    RateLimitError,
    StreamInterruptedError,
)
from langchain_llmdispatch.observers import Observer, Observers
from langchain_llmdispatch.retries import RetryPolicy
from langchain_llmdispatch.types import AttemptRecord, Change, TimeLimits

if TYPE_CHECKING:
    from langchain_core.messages import AIMessageChunk
    from langchain_core.messages.ai import UsageMetadata
    from tenacity import RetryCallState

    from langchain_llmdispatch.budgets import RetryBudget
    from langchain_llmdispatch.prices import Cost
    from langchain_llmdispatch.targets import Target
    from langchain_llmdispatch.types import ChatRequest

Attempts: TypeAlias = Iterator["Attempt"]
Outcome: TypeAlias = Literal["answered", "failed", "abandoned"]


@dataclass(slots=True)
class _Candidate:
    """A target's standing within one call."""

    target: Target
    rank: int
    tries: int = 0
    ready_at: float = 0.0
    alive: bool = True


@dataclass(frozen=True, slots=True)
class Policy:
    """What bounds a call.

    Attributes:
        retries: When and how the same deployment is asked again.
        max_attempts: Requests that may leave the process for one call, over everything.
        times: The time limits of the call.
    """

    retries: RetryPolicy = field(default_factory=RetryPolicy)
    max_attempts: int = 6
    times: TimeLimits = field(default_factory=TimeLimits)


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
        usage: What the vendor says it used, also where the answer was no good; None if it did not say.
        cost: What that cost; None where the usage is unknown.
        waited: Seconds slept or queued before sending.
        latency: Seconds from sending to the end.
        ttft: Seconds from sending to the first streamed content, or None.
    """

    hedge = False  # whether it was sent while an earlier one was still open
    usage: UsageMetadata | None = None
    cost: Cost | None = None
    waited = latency = 0.0
    ttft: float | None = None

    def __init__(
        self,
        dispatch: Dispatch,
        candidate: _Candidate,
        *,
        number: int,
        delay: float,
        retry: RetryCallState | None,
        fallback: bool,
    ) -> None:
        self._dispatch, self._candidate = dispatch, candidate
        self.number, self.target, self.delay = number, candidate.target, delay
        self.retry, self.fallback = retry, fallback
        self.deadline = dispatch.deadline
        self.times = candidate.target.limits(dispatch.policy.times)
        self.changes: Sequence[Change] = ()
        self.error: DispatchError | None = None
        self.committed = False
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
    def dispatch(self) -> Dispatch:
        """The call that this attempt belongs to."""
        return self._dispatch

    @property
    def last_resort(self) -> bool:
        """Whether nobody else is left to ask."""
        return self._dispatch.has_only(self._candidate)

    def left(self) -> float:
        """Return the seconds until the call's deadline."""
        return self.deadline - self._dispatch.clock.monotonic()

    def send(self) -> None:
        """Note that the request leaves the process now.

        Raises:
            DeadlineExceededError: There is no time left to send it.
            BreakerOpenError: Its deployment is out, and another one is left.
            BudgetExceededError: Its worst case does not fit what is left of a budget.
        """
        if self.left() <= 0:
            raise DeadlineExceededError("the call's deadline has passed", deployment=self.target.name)
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
        """Note that the answer is whole, and return the attempt's record."""
        self.record = self._record(None)
        self._dispatch.end(self)
        return self.record

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Record the outcome; swallow errors that policy decides upon."""
        if self.record is not None:  # it had succeeded; whatever happens now is the caller's
            return False
        if isinstance(error, DispatchError):
            self.error = self._judged(error)
        self.record = self._record(error)
        self._dispatch.end(self)
        return self.error is not None

    def _judged(self, error: DispatchError) -> DispatchError:
        _forget_transport(error)
        if isinstance(error, AttemptTimeoutError) and self.left() <= 0:
            error = _caused(DeadlineExceededError(f"the call's deadline has passed: {error.message}"), error)
        error.vendor = error.vendor or self.target.vendor.name
        error.deployment = error.deployment or self.target.name
        error.request_id = error.request_id or self.request_id
        if error.status_code is None and self.status not in {None, 200}:
            error.status_code = self.status
        return self._interrupted(error) if self.committed else error

    def _interrupted(self, error: DispatchError) -> DispatchError:
        partial = self.chunks[0] if self.chunks else None
        for chunk in self.chunks[1:]:
            partial = partial + chunk  # type: ignore[operator] # never None here
        assert partial is not None  # noqa: S101 - committed means that a chunk was delivered
        where = {name: getattr(error, name) for name in ("vendor", "deployment", "code", "request_id")}
        broken = StreamInterruptedError(
            f"the stream broke after content was delivered: {error.message}", partial=partial, **where
        )
        return _caused(broken, error)

    def _record(self, error: BaseException | None) -> AttemptRecord:
        now, sent = self._dispatch.clock.monotonic(), self._sent_at
        shown = self.error or error
        self.waited = (sent or now) - self._opened_at
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
        )


class Dispatch:
    """All attempts of one call, and what is known when it ends.

    Args:
        targets: Whom to try, in order of preference.
        policy: What bounds the call.
        clock: The source of time.
        rng: The source of jitter.
        observer: Who is told of each attempt.
        ready_in: Tells the seconds until our own limits let a request to a target go; None without limits.
        waits: Seconds until each target may be asked, in their order; empty if all may be now.
        clearance: Asked right before each request leaves; it raises to keep the request back.
        retry_budget: Whether the same deployment may be asked again, with all other traffic in view.

    Attributes:
        thread: What the conversation is known by, if it is.
        request: What was asked, for those who want to know; set by whoever begins the call.
        outcome: What became of the call; None until it is over.
        failure: The error that the call ended with, if it failed.
    """

    request: ChatRequest | None = None
    outcome: Outcome | None = None
    failure: DispatchError | None = None
    thread: str | None = None

    def __init__(
        self,
        targets: Sequence[Target],
        policy: Policy,
        *,
        clock: Clock,
        rng: random.Random,
        observer: Observer | None = None,
        ready_in: Callable[[Target], float] | None = None,
        waits: Sequence[float] = (),
        clearance: Callable[[Attempt], None] | None = None,
        retry_budget: RetryBudget | None = None,
    ) -> None:
        self._ready_in, self._clearance, self._retry_budget = ready_in, clearance, retry_budget
        self.policy, self.clock, self.rng = policy, clock, rng
        self.observer = observer if isinstance(observer, Observers) else Observers(observer)
        self.started = clock.monotonic()
        seconds = policy.times.deadline
        self.deadline = self.started + seconds if seconds is not None else float("inf")
        self.sent = 0
        self.records: list[AttemptRecord] = []
        self.errors: list[DispatchError] = []
        self._candidates = [_Candidate(target, rank) for rank, target in enumerate(targets)]
        for candidate, wait in zip(self._candidates, waits, strict=False):
            candidate.ready_at = self.started + wait

    def attempts(self) -> Attempts:
        """Yield attempts until one succeeds.

        Raises:
            DispatchError: The call's final error, with `.attempts`.
        """
        if not self._candidates:
            raise self._failed(NoDeploymentError("no deployment can serve this request"))
        if self._retry_budget is not None:
            self._retry_budget.deposit(self.started)
        candidate, retry, fallback = self._first(), None, False
        while True:
            delay = max(0.0, candidate.ready_at - self.clock.monotonic())
            candidate.tries += 1
            attempt = Attempt(
                self,
                candidate,
                number=len(self.records) + 1,
                delay=delay,
                retry=retry,
                fallback=fallback,
            )
            yield attempt
            if attempt.error is None:
                return
            chosen, retry = self._next(candidate, attempt.error)
            if chosen is None:
                raise self._failed(self._final(attempt.error))
            candidate, fallback = chosen, chosen is not candidate

    def _first(self) -> _Candidate:
        """Return the preferred one, or whoever can go sooner if our own limits hold it up."""
        preferred = self._candidates[0]
        if self._ready_in is None or not self._ready_in(preferred.target):
            return preferred
        return min(self._candidates, key=self._preference)

    def has_only(self, candidate: _Candidate) -> bool:
        """Return whether no other candidate is left to ask."""
        return not any(other.alive for other in self._candidates if other is not candidate)

    def clear(self, attempt: Attempt) -> None:
        """Ask whether a request may leave now.

        Raises:
            DispatchError: It may not.
        """
        if self._clearance is not None:
            self._clearance(attempt)

    def end(self, attempt: Attempt) -> None:
        """Note the end of an attempt."""
        assert attempt.record is not None  # noqa: S101 - set just before
        if attempt.sent:
            self.records.append(attempt.record)
        if attempt.error is not None:
            self.errors.append(attempt.error)
        self.observer.ended(attempt)
        if attempt.error is None and attempt.record.error is None:
            self._finish("answered", attempt)
        elif attempt.error is None:
            self._finish("abandoned")

    def _finish(self, outcome: Outcome, answer: Attempt | None = None) -> None:
        if self.outcome is None:
            self.outcome = outcome
            self.observer.finished(self, answer)

    def _failed(self, error: DispatchError) -> DispatchError:
        self.failure = error
        self._finish("failed")
        return error

    def _next(
        self, current: _Candidate, error: DispatchError
    ) -> tuple[_Candidate | None, RetryCallState | None]:
        """Return who is asked next, and tenacity's state if it is the same again."""
        if self.sent >= self.policy.max_attempts or isinstance(error, DeadlineExceededError):
            return None, None
        others = [c for c in self._candidates if c.alive and c is not current and _may_serve(c, current, error)]
        retry = self._retry(current, error, others)
        if retry is None:
            current.alive = False
        else:
            current.ready_at = self.clock.monotonic() + retry.idle_for
        if not error.falls_back:
            others = []
        choice = others
        if retry is not None and (not others or self._stays(error)):
            choice = [current]
        elif retry is not None:
            choice = [*others, current]
        chosen = min(choice, key=self._preference, default=None)
        if chosen is not None and chosen.tries and not self._affords(error):
            current.alive = False
            chosen = min((c for c in others if not c.tries), key=self._preference, default=None)
        if chosen is None or max(chosen.ready_at, self.clock.monotonic()) >= self.deadline:
            return None, None
        return chosen, retry if chosen is current else None

    def _retry(
        self, current: _Candidate, error: DispatchError, others: Sequence[_Candidate]
    ) -> RetryCallState | None:
        # A retry never takes the last attempts that untried deployments need.
        untried = sum(1 for c in others if c.tries == 0) if error.falls_back else 0
        if self.policy.max_attempts - self.sent <= untried and untried:
            return None
        return self.policy.retries.decide(error, current.tries, self.rng)

    def _affords(self, error: DispatchError) -> bool:
        """Whether there is a retry left for this error; a vendor that says when to come back is believed."""
        if self._retry_budget is None or (isinstance(error, RateLimitError) and error.retry_after is not None):
            return True
        return self._retry_budget.withdraw(self.clock.monotonic())

    @staticmethod
    def _stays(error: DispatchError) -> bool:
        """Whether a retry goes to the same deployment although others are left.

        What is transient does. After a timeout or a rate limit another one goes first, if it can go sooner.
        """
        return not isinstance(error, (AttemptTimeoutError, RateLimitError))

    def _preference(self, candidate: _Candidate) -> tuple[float, int]:
        queued = self._ready_in(candidate.target) if self._ready_in is not None else 0.0
        wait = max(candidate.ready_at - self.clock.monotonic(), queued, 0.0)
        return wait, candidate.tries * 1000 + candidate.rank

    def _final(self, last: DispatchError) -> DispatchError:
        records = tuple(self.records)
        caller_fault = not last.falls_back and not last.is_retryable
        if caller_fault or isinstance(last, (DeadlineExceededError, StreamInterruptedError)):
            last.attempts = records
            return last
        if isinstance(last, BudgetExceededError) and not records:
            return last
        final = AllDeploymentsFailedError.of(self.errors, records)
        return _caused(final, last)


def _may_serve(other: _Candidate, current: _Candidate, error: DispatchError) -> bool:
    """Whether another target may succeed where this one failed: overflow needs a larger window."""
    if not isinstance(error, ContextOverflowError):
        return True
    ours, theirs = current.target.facts.context_window, other.target.facts.context_window
    return ours is None or theirs is None or theirs > ours


def _caused(error: DispatchError, cause: DispatchError) -> DispatchError:
    error.__cause__ = cause
    return error


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
