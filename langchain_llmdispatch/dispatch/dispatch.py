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
from decimal import Decimal
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.dispatch.attempt import Attempt, Candidate
from langchain_llmdispatch.dispatch.hedging import Hedging, Race
from langchain_llmdispatch.dispatch.observer import Observer, Observers
from langchain_llmdispatch.dispatch.report import failure
from langchain_llmdispatch.dispatch.resume import caused, deciding, interrupted, may_continue
from langchain_llmdispatch.dispatch.retries import RetryPolicy
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
from langchain_llmdispatch.types import AttemptRecord, TimeLimits

if TYPE_CHECKING:
    from langchain_core.messages import AIMessageChunk
    from tenacity import RetryCallState

    from langchain_llmdispatch.budgets.budget import RetryBudget
    from langchain_llmdispatch.catalog.prices import Cost
    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.dispatch.cascade import Cascade
    from langchain_llmdispatch.drivers.exchange import Exchange
    from langchain_llmdispatch.types import ChatRequest

__all__ = ["Attempt", "Attempts", "Dispatch", "Outcome", "Policy"]

Attempts: TypeAlias = Iterator[Attempt]
Outcome: TypeAlias = Literal["answered", "failed", "abandoned"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What bounds a call.

    Attributes:
        retries: When and how the same deployment is asked again.
        max_attempts: Requests that may leave the process for one call, over everything.
        times: The time limits of the call.
        resume: Whether a stream that breaks after content is taken up again.
        cascade: When an answer sends the call on; None if each one is good enough.
        hedging: When another deployment is asked beside one that is late; None for never.
    """

    retries: RetryPolicy = field(default_factory=RetryPolicy)
    max_attempts: int = 6
    times: TimeLimits = field(default_factory=TimeLimits)
    resume: bool = False
    cascade: Cascade | None = None
    hedging: Hedging | None = None


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
        costs: What its requests cost, of those whose vendors said what they used.
        delivered: What the caller has of streams that broke.
        declined: Attempts whose answers were whole but not good enough.
        settled: Makes the last of those answers, for a call that ends without a better one.
        worst: Tells the dollars that a request to a target may cost; None if nobody knows.
        kept_back: Tells the seconds for which a target's breaker will let no request pass.
        refusal: Why nobody can serve the call, where it has no targets.
        race: The requests that are on their way at once, if they are.
        lock: Held while an attempt is sent or ends: hedged ones do so in several threads.
    """

    request: ChatRequest | None = None
    outcome: Outcome | None = None
    failure: DispatchError | None = None
    thread: str | None = None
    settled: Callable[[], list[Any]] = list
    worst: Callable[[Target], Decimal | None] | None = None
    kept_back: Callable[[Target], float] = staticmethod(lambda _: 0.0)
    refusal: DispatchError | None = None
    race: Race | None = None

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
        self.sent, self._numbered, self.lock = 0, 0, Lock()
        self._ended: list[Attempt] = []
        self.records: list[AttemptRecord] = []
        self.errors: list[DispatchError] = []
        self.costs: list[Cost] = []
        self.delivered: list[AIMessageChunk] = []
        self.declined: list[Attempt] = []
        self._candidates = [Candidate(target, rank) for rank, target in enumerate(targets)]
        for candidate, wait in zip(self._candidates, waits, strict=False):
            candidate.ready_at = self.started + wait

    def attempts(self) -> Attempts:
        """Yield attempts until one succeeds, or an answer that was declined is the best there is.

        Raises:
            DispatchError: The call's final error, with `.attempts`.
        """
        if not self._candidates:
            raise self._failed(self.refusal or NoDeploymentError("no deployment can serve this request"))
        if self._retry_budget is not None:
            self._retry_budget.deposit(self.started)
        first = self._first()
        if first.ready_at >= self.deadline:
            late = first.ready_at - self.started
            text = f"nobody may be asked for {late:.1f} s, which is after the call's deadline"
            raise self._failed(DeadlineExceededError(text, retry_after=late))
        attempt: Attempt | None = self._attempt(first)
        while attempt is not None:
            self.race, self._ended = None, []
            yield attempt
            if self.outcome is not None or not self._ended:
                return
            attempt = self._following(self._ended)
        self._finish("answered", self.declined[-1])

    def _attempt(
        self, candidate: Candidate, retry: RetryCallState | None = None, *, fallback: bool = False
    ) -> Attempt:
        delay = max(0.0, candidate.ready_at - self.clock.monotonic())
        candidate.tries += 1
        self._numbered += 1
        return Attempt(self, candidate, number=self._numbered, delay=delay, retry=retry, fallback=fallback)

    def _following(self, ended: Sequence[Attempt]) -> Attempt | None:
        """Return the attempt after those that ended, or None if an answer that was declined has to do.

        Raises:
            DispatchError: The call's final error.
        """
        following: Attempt | None = None
        for last in ended:
            chosen, retry = self._after(last)
            if chosen is None and self.declined:
                return None
            if chosen is None:
                assert last.error is not None  # noqa: S101 - it was not declined
                raise self._failed(self._final(last.error))
            if last is ended[-1]:
                following = self._attempt(chosen, retry, fallback=chosen is not last.candidate)
        return following

    def _after(self, ended: Attempt) -> tuple[Candidate | None, RetryCallState | None]:
        if ended.error is None:
            return self._better(ended.candidate), None
        error = deciding(ended.error, self.delivered, resume=self.policy.resume)
        return self._next(ended.candidate, error)

    # -- hedging -----------------------------------------------------------------------------------

    def begin_race(self, exchange: Exchange) -> Race:
        """Let a request that is about to be sent be raced by another one."""
        self.race = Race()
        self.race.enter(exchange)
        return self.race

    def late_after(self, attempt: Attempt) -> float | None:
        """Return the seconds after which an attempt is late; None for never."""
        assert self.policy.hedging is not None  # noqa: S101 - else there is no race
        return self.policy.hedging.after(attempt.target, stream=self.request is None or self.request.stream)

    def hedge(self, late: Attempt) -> Attempt | None:
        """Return one more attempt beside one that is late; None if there is none to spare.

        It goes to another deployment that may be asked at once, and never takes the place of a queue.
        """
        hedging, now = self.policy.hedging, self.clock.monotonic()
        begun = late.begun or self.delivered  # a stream that is taken up again is past its first content
        spoken_for = self.sent + (not late.sent)
        if hedging is None or begun or spoken_for >= self.policy.max_attempts or now >= self.deadline:
            return None
        others = [c for c in self._others(late.candidate) if self._preference(c)[0] <= 0.0]
        chosen = min(others, key=self._preference, default=None)
        if chosen is None or not hedging.affords(self.worst(chosen.target) if self.worst else None):
            return None
        attempt = self._attempt(chosen)
        attempt.hedge = True
        return attempt

    def _first(self) -> Candidate:
        """Return the preferred one, or whoever can go sooner if our own limits hold it up."""
        preferred = self._candidates[0]
        if self._ready_in is None or not self._ready_in(preferred.target):
            return preferred
        return min(self._candidates, key=self._preference)

    def has_only(self, candidate: Candidate) -> bool:
        """Return whether no other candidate is left to ask."""
        return not self._others(candidate)

    def keyed_like(self, target: Target) -> Sequence[Target]:
        """Return the call's other targets that send the same key to the same address."""
        candidates = [candidate.target for candidate in self._candidates]
        return [other for other in candidates if other is not target and _same_key(other, target)]

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
        with self.lock:
            if attempt.sent:
                self.records.append(attempt.record)
            if attempt.cost is not None:
                self.costs.append(attempt.cost)
            if attempt.error is not None:
                self.errors.append(attempt.error)
                self.delivered += attempt.chunks
            if attempt.declined:
                self.declined.append(attempt)
            self.observer.ended(attempt)
            if attempt.error is not None or attempt.declined:
                self._ended.append(attempt)
            elif not attempt.lost:
                self._finish("answered" if attempt.record.error is None else "abandoned", attempt)

    def _finish(self, outcome: Outcome, last: Attempt | None = None) -> None:
        if self.outcome is None:
            self.outcome = outcome
            self.observer.finished(self, last if outcome == "answered" else None)

    def _failed(self, error: DispatchError) -> DispatchError:
        self.failure = error
        error.llmdispatch = failure(self)
        self._finish("failed")
        return error

    def _next(
        self, current: Candidate, error: DispatchError
    ) -> tuple[Candidate | None, RetryCallState | None]:
        """Return who is asked next, and tenacity's state if it is the same again."""
        if self.sent >= self.policy.max_attempts or isinstance(error, DeadlineExceededError):
            return None, None
        others = [c for c in self._others(current) if _may_serve(c, current, error)]
        retry = self._retry(current, error, others)
        if retry is not None and others and self.kept_back(current.target) > retry.idle_for:
            retry = None  # its breaker would send us away after the wait
        if retry is None:
            current.alive = False
        else:
            current.ready_at = self.clock.monotonic() + retry.idle_for
        if not self._falls_back(error):
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

    def _others(self, current: Candidate) -> Sequence[Candidate]:
        """Return who else may be asked: who lost a race, only as often as a failed one."""
        most = self.policy.retries.max_retries
        return [c for c in self._candidates if c.alive and c is not current and c.tries <= most]

    def _better(self, current: Candidate) -> Candidate | None:
        """Return who is asked after an answer that was not good enough."""
        current.alive = False
        if self.sent >= self.policy.max_attempts:
            return None
        chosen = min(self._others(current), key=self._preference, default=None)
        late = chosen is None or max(chosen.ready_at, self.clock.monotonic()) >= self.deadline
        return None if late else chosen

    def _falls_back(self, error: DispatchError) -> bool:
        cascade = self.policy.cascade
        return error.falls_back or (cascade is not None and cascade.passes_on(error))

    def _retry(
        self, current: Candidate, error: DispatchError, others: Sequence[Candidate]
    ) -> RetryCallState | None:
        # A retry never takes the last attempts that untried deployments need.
        untried = sum(1 for c in others if c.tries == 0) if self._falls_back(error) else 0
        if self.policy.max_attempts - self.sent <= untried and untried:
            return None
        return self.policy.retries.decide(error, current.tries, self.rng)

    def _affords(self, error: DispatchError) -> bool:
        """Whether there is a retry left for this error; a vendor that says when to come back is believed."""
        told = isinstance(error, RateLimitError) and error.retry_after is not None
        if told or self._retry_budget is None:
            return True
        return self._retry_budget.withdraw(self.clock.monotonic())

    @staticmethod
    def _stays(error: DispatchError) -> bool:
        """Whether a retry goes to the same deployment although others are left.

        What is transient does. After a timeout or a rate limit another one goes first, if it can go sooner.
        """
        return not isinstance(error, (AttemptTimeoutError, RateLimitError))

    def _preference(self, candidate: Candidate) -> tuple[float, int]:
        queued = self._ready_in(candidate.target) if self._ready_in is not None else 0.0
        wait = max(candidate.ready_at - self.clock.monotonic(), queued, 0.0)
        return wait, candidate.tries * 1000 + candidate.rank

    def _final(self, last: DispatchError) -> DispatchError:
        records = tuple(self.records)
        if self.delivered and not isinstance(last, StreamInterruptedError):
            last = interrupted(last, self.delivered)
        caller_fault = not last.falls_back and not last.is_retryable
        if caller_fault or isinstance(last, (DeadlineExceededError, StreamInterruptedError)):
            last.attempts = records
            return last
        if isinstance(last, BudgetExceededError) and not records:
            return last
        final = AllDeploymentsFailedError.of(self.errors, records)
        return caused(final, last)


def _same_key(one: Target, other: Target) -> bool:
    ours, theirs = one.endpoint, other.endpoint
    keyed = ours.api_key is not None and ours.token_provider is None and theirs.token_provider is None
    return keyed and one.account == other.account and ours.headers == theirs.headers


def _may_serve(other: Candidate, current: Candidate, error: DispatchError) -> bool:
    """Whether another target may succeed where this one failed: overflow needs a larger window."""
    if not isinstance(error, ContextOverflowError):
        return may_continue(other.target.facts, error)
    ours, theirs = current.target.facts.context_window, other.target.facts.context_window
    return ours is None or theirs is None or theirs > ours
