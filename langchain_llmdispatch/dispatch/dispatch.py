"""The attempts of one call: order, retry, fallback, deadline, in one place for sync and async.

`Dispatch.attempts()` is a plain iterator. It decides; it never waits or sends, and has no clock of its own.
A driver walks it:

    for attempt in dispatch.attempts():
        with attempt:                     # records the outcome; swallows errors that the policy decides upon
            ...wait attempt.delay, send, decode...
            attempt.succeed()

When a `with` ends in a `DispatchError`, the iterator resumes and either yields the next attempt or raises
the call's final error. Any other exception (cancellation, Ctrl-C, a bug of ours) passes through untouched and
counts against no deployment.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from tenacity import RetryCallState

from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.call_state import CallState, TargetState
from langchain_llmdispatch.dispatch.hedging import Race, Racer
from langchain_llmdispatch.dispatch.report import failure_report, final_error
from langchain_llmdispatch.dispatch.resume import deciding
from langchain_llmdispatch.dispatch.retry_quota import RetryBalance
from langchain_llmdispatch.errors import (
    AttemptTimeoutError,
    AuthenticationError,
    BreakerOpenError,
    DeadlineExceededError,
    DispatchError,
    NoDeploymentError,
    RateLimitError,
    StreamInterruptedError,
)


class Dispatch:
    """All attempts of one call.

    Args:
        call: The call, not yet begun.
        rng: The source of jitter.
        refusal: The error to raise if the call has no targets.
        queue_wait: Returns the seconds until our own limits admit a request to a target; None without limits.
        breaker_wait: Returns the seconds from a moment for which a target's breaker admits no request.
        retry_balance: Bounds retries over all calls; None for no bound.
    """

    def __init__(
        self,
        call: CallState,
        *,
        rng: random.Random,
        refusal: DispatchError | None = None,
        queue_wait: Callable[[Target], float] | None = None,
        breaker_wait: Callable[[Target, float], float] | None = None,
        retry_balance: RetryBalance | None = None,
    ) -> None:
        self.call = call
        self._policy, self._clock, self._rng, self._refusal = call.policy, call.clock, rng, refusal
        self._queue_wait, self._breaker_wait = queue_wait, breaker_wait
        self._retry_balance = retry_balance
        self._numbered, self._patience = 0, call.policy.wait_for_preferred
        self._open: list[Attempt] = []

    def attempts(self) -> Iterator[Attempt]:
        """Yield attempts until one succeeds, or no better answer can follow one that was declined.

        Raises:
            DispatchError: The call's final error, with `.attempts`.
        """
        call = self.call
        if not call.candidates:
            raise self._failed(self._refusal or NoDeploymentError("no deployment can serve this request"))
        if self._retry_balance is not None:
            self._retry_balance.deposit(call.started)
        attempt: Attempt | None = self._attempt(self._first())
        best: Attempt | None = None
        while attempt is not None:
            call.race, self._open = None, [attempt]
            yield attempt
            ended = [one for one in self._open if one.error is not None or one.declined or one.paused_turn]
            if call.outcome is not None or not ended:
                return
            best = next((one for one in ended if one.declined or one.paused_turn), best)
            attempt = self._following(ended)
        call.finish("answered", best)

    def _first(self) -> TargetState:
        """Return the preferred candidate, or one that can go sooner if our own limits hold that up.

        Raises:
            DeadlineExceededError: None is available before the deadline.
        """
        call, chosen = self.call, self.call.candidates[0]
        if len(call.candidates) > 1:
            wait = self._wait(chosen)
            if wait > self._patience or not self._in_time(chosen):
                chosen = self._best(call.candidates) or chosen
            elif wait:
                self._patience -= wait
        if self._in_time(chosen):
            return chosen
        wait = chosen.ready_at - call.started
        text = f"no deployment is available for {wait:.1f} s; the call's deadline is sooner"
        raise self._failed(DeadlineExceededError(text, retry_after=wait))

    def _attempt(
        self,
        candidate: TargetState,
        retry: RetryCallState | None = None,
        *,
        fallback: bool = False,
        hedge: bool = False,
    ) -> Attempt:
        delay = max(0.0, candidate.ready_at - self._clock.monotonic())
        candidate.tries += 1
        number = self._numbered = self._numbered + 1
        return Attempt(self.call, candidate, number, delay, retry=retry, fallback=fallback, hedge=hedge)

    # -- hedging -----------------------------------------------------------------------------------

    def begin_race(self, racer: Racer) -> Race:
        """Return a race that a request which is about to be sent takes part in."""
        self.call.race = race = Race()
        race.enter(racer)
        return race

    def hedge(self, late: Attempt) -> Attempt | None:
        """Return one more attempt beside one that is late; None if no request can be spared.

        It goes to another deployment that is available at once, and never waits in a queue.
        """
        call = self.call
        begun = late.begun or call.delivered  # a stream that is resumed is past its first content
        reserved = call.sent + (not late.sent)
        if (
            begun
            or call.paused is not None
            or reserved >= self._policy.max_attempts
            or self._clock.monotonic() >= call.deadline
        ):
            return None
        others = [c for c in call.others(late.candidate) if not c.last_resort and not self._wait(c)]
        if not others:
            return None
        attempt = self._attempt(min(others, key=self._preference), hedge=True)
        self._open.append(attempt)
        return attempt

    # -- what follows ------------------------------------------------------------------------------

    def _following(self, ended: Sequence[Attempt]) -> Attempt | None:
        """Return the attempt after those that ended, or None if a declined answer is the call's.

        Raises:
            DispatchError: The call's final error.
        """
        *lost, last = sorted(ended, key=lambda one: one.ended_at)
        for one in lost:  # of a race that nothing has won
            if one.error is None:
                one.candidate.alive = False
            elif not (self._falls_back(one.error) or one.error.is_retryable):
                last = one
            else:
                self._retry(one.candidate, one.error, self.call.others(one.candidate))
        chosen, retry = self._after(last)
        if chosen is not None:
            return self._attempt(chosen, retry, fallback=chosen is not last.candidate)
        if last.error is None or self._has_answer(last.error):
            return None
        raise self._failed(final_error(self.call, last.error))

    def _has_answer(self, error: DispatchError) -> bool:
        """Return whether there is something to return after the last error: declined, or paused."""
        paused = self.call.paused is not None and not isinstance(error, StreamInterruptedError)
        return paused or bool(self.call.declined)

    def _after(self, ended: Attempt) -> tuple[TargetState | None, RetryCallState | None]:
        """Return the candidate that is tried after an attempt, and the retry's state if it is the same."""
        if ended.paused_turn:
            ended.candidate.tries = 0  # what continues an answer may be retried as often as what began it
            return ended.candidate, None
        if ended.error is None:
            return self._after_declined(ended.candidate), None
        error = deciding(ended.error, self.call.delivered, resume=self._policy.resume)
        return self._after_error(ended.candidate, error, outdated=ended.outdated)

    def _after_declined(self, current: TargetState) -> TargetState | None:
        current.alive = False
        if self.call.sent >= self._policy.max_attempts:
            return None
        return self._best(self.call.others(current))

    def _after_error(
        self, current: TargetState, error: DispatchError, *, outdated: bool
    ) -> tuple[TargetState | None, RetryCallState | None]:
        if self.call.sent >= self._policy.max_attempts or isinstance(error, DeadlineExceededError):
            return None, None
        if outdated and not current.whole_history:
            current.whole_history = True
            return current, self._policy.retries.at_once(error, current.tries)
        if isinstance(error, AuthenticationError):
            self._refuse_key(current)
        others = [c for c in self.call.others(current) if c.may_follow(current, error)]
        retry = self._retry(current, error, others)
        begun = self.call.paused is not None and self.call.paused.delivered
        if begun or not self._falls_back(error):  # a stream that has begun is continued where it was paused
            others = []
        choice = [*others, current] if current.alive else others
        if retry is not None and others and self._stays(current, error, retry):
            choice = [current]
        chosen = self._best(choice)
        if chosen is current and isinstance(error, AttemptTimeoutError):
            chosen = self._best(others) or current
        if chosen is not None and chosen.tries and not self._affords_retry(error):
            current.alive = False
            chosen = self._best([c for c in others if not c.tries])
        return chosen, retry if chosen is current else None

    def _retry(
        self, current: TargetState, error: DispatchError, others: Sequence[TargetState]
    ) -> RetryCallState | None:
        """Return the state of another try of the same deployment, or None; set if it may have one later."""
        if isinstance(error, BreakerOpenError):  # it has opened since the decision; nothing was sent
            current.last_resort, current.tries = 1, current.tries - 1
            return None
        # A retry never takes the last attempts that untried deployments need.
        untried = sum(1 for c in others if not (c.tries or c.last_resort)) if self._falls_back(error) else 0
        spared = untried and self._policy.max_attempts - self.call.sent <= untried
        retry = None if spared else self._policy.retries.decide(error, current.tries, self._rng)
        current.alive = retry is not None
        if retry is None:
            return None
        now = self._clock.monotonic()
        current.ready_at = now + retry.idle_for
        if (
            others
            and self._breaker_wait is not None
            and self._breaker_wait(current.target, now) > retry.idle_for
        ):
            current.last_resort = 1
            return None
        return retry

    def _refuse_key(self, refused: TargetState) -> None:
        """Try the targets that are out with the same refused key last of all, and only one of them."""
        alike, now = self.call.keyed_like(refused.target), self._clock.monotonic()
        for candidate in self.call.candidates:
            if not any(candidate.target is target for target in alike):
                continue
            if self._breaker_wait is not None and self._breaker_wait(candidate.target, now):
                candidate.alive = candidate.alive and not refused.last_resort
                candidate.last_resort = 2

    def _stays(self, current: TargetState, error: DispatchError, retry: RetryCallState) -> bool:
        """Return whether a retry goes to the same deployment although others are left.

        After a timeout or a rate limit another deployment goes first, if it is available sooner; but a call
        may have patience with its first choice.
        """
        if isinstance(error, AttemptTimeoutError) or current.last_resort:
            return False
        if not isinstance(error, RateLimitError):
            return True
        if current.rank or retry.idle_for > self._patience:
            return False
        self._patience -= retry.idle_for
        return True

    def _falls_back(self, error: DispatchError) -> bool:
        cascade = self._policy.cascade
        return error.falls_back or (cascade is not None and cascade.passes_on(error))

    def _affords_retry(self, error: DispatchError) -> bool:
        """Return whether the retry quota has one left; a retry at the vendor's own `Retry-After` is free."""
        announced = isinstance(error, RateLimitError) and error.retry_after is not None
        if announced or self._retry_balance is None or self._retry_balance.withdraw(self._clock.monotonic()):
            return True
        self.call.retries_refused += 1
        return False

    def _in_time(self, candidate: TargetState) -> bool:
        return max(candidate.ready_at, self._clock.monotonic()) < self.call.deadline

    def _wait(self, candidate: TargetState) -> float:
        """Return the seconds until a candidate may be tried: of its cooldown, or of our own limits."""
        queued = self._queue_wait(candidate.target) if self._queue_wait is not None else 0.0
        return max(candidate.ready_at - self._clock.monotonic(), queued, 0.0)

    def _preference(self, candidate: TargetState) -> tuple[int, float, int]:
        """Return what orders candidates: soonest, then least tried, then rank; last resorts at the end."""
        return candidate.last_resort, self._wait(candidate), candidate.tries * 1000 + candidate.rank

    def _best(self, candidates: Sequence[TargetState]) -> TargetState | None:
        """Return the candidate that is tried next of those that may be before the deadline, or None."""
        return min(filter(self._in_time, candidates), key=self._preference, default=None)

    # -- failure -----------------------------------------------------------------------------------

    def _failed(self, error: DispatchError) -> DispatchError:
        self.call.failure = error
        error.llmdispatch = failure_report(self.call)
        self.call.finish("failed")
        return error
