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
from langchain_llmdispatch.dispatch.retry_quota import RetryQuota
from langchain_llmdispatch.errors import (
    AttemptTimeoutError,
    DeadlineExceededError,
    DispatchError,
    NoDeploymentError,
    RateLimitError,
)


class Dispatch:
    """All attempts of one call.

    Args:
        call: The call, not yet begun.
        rng: The source of jitter.
        refusal: The error to raise if the call has no targets.
        queue_wait: Returns the seconds until our own limits admit a request to a target; None without limits.
        breaker_wait: Returns the seconds from a moment for which a target's breaker admits no request.
        retry_quota: Bounds retries over all calls; None for no bound.
    """

    def __init__(
        self,
        call: CallState,
        *,
        rng: random.Random,
        refusal: DispatchError | None = None,
        queue_wait: Callable[[Target], float] | None = None,
        breaker_wait: Callable[[Target, float], float] | None = None,
        retry_quota: RetryQuota | None = None,
    ) -> None:
        self.call = call
        self._policy, self._clock, self._rng, self._refusal = call.policy, call.clock, rng, refusal
        self._queue_wait, self._breaker_wait = queue_wait, breaker_wait
        self._retry_quota = retry_quota
        self._numbered = 0
        self._open: list[Attempt] = []

    def attempts(self) -> Iterator[Attempt]:
        """Yield attempts until one succeeds, or no better answer can follow one that was declined.

        Raises:
            DispatchError: The call's final error, with `.attempts`.
        """
        call = self.call
        if not call.candidates:
            raise self._failed(self._refusal or NoDeploymentError("no deployment can serve this request"))
        if self._retry_quota is not None:
            self._retry_quota.deposit(call.started)
        attempt: Attempt | None = self._attempt(self._first())
        best: Attempt | None = None
        while attempt is not None:
            call.race, self._open = None, [attempt]
            yield attempt
            ended = [one for one in self._open if one.error is not None or one.declined]
            if call.outcome is not None or not ended:
                return
            best = next((one for one in ended if one.declined), best)
            attempt = self._following(ended)
        call.finish("answered", best)

    def _first(self) -> TargetState:
        """Return the preferred candidate, or one that can go sooner if our own limits hold that up.

        Raises:
            DeadlineExceededError: None is available before the deadline.
        """
        call, chosen = self.call, self.call.candidates[0]
        queue_wait = self._queue_wait if len(call.candidates) > 1 else None
        if queue_wait is not None and queue_wait(chosen.target):
            chosen = min(call.candidates, key=self._preference)
        if chosen.ready_at < call.deadline:
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
        if begun or reserved >= self._policy.max_attempts or self._clock.monotonic() >= call.deadline:
            return None
        others = [c for c in call.others(late.candidate) if self._preference(c)[0] <= 0.0]
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
        following: Attempt | None = None
        for last in sorted(ended, key=lambda one: one.ended_at):
            chosen, retry = self._after(last)
            if chosen is not None:
                following = self._attempt(chosen, retry, fallback=chosen is not last.candidate)
            elif self.call.declined or last.error is None:
                return None
            else:
                raise self._failed(final_error(self.call, last.error))
        return following

    def _after(self, ended: Attempt) -> tuple[TargetState | None, RetryCallState | None]:
        """Return the candidate that is tried after an attempt, and the retry's state if it is the same."""
        if ended.error is None:
            return self._after_declined(ended.candidate), None
        error = deciding(ended.error, self.call.delivered, resume=self._policy.resume)
        return self._after_error(ended.candidate, error)

    def _after_declined(self, current: TargetState) -> TargetState | None:
        current.alive = False
        if self.call.sent >= self._policy.max_attempts:
            return None
        chosen = min(self.call.others(current), key=self._preference, default=None)
        return chosen if chosen is not None and self._in_time(chosen) else None

    def _after_error(
        self, current: TargetState, error: DispatchError
    ) -> tuple[TargetState | None, RetryCallState | None]:
        if self.call.sent >= self._policy.max_attempts or isinstance(error, DeadlineExceededError):
            return None, None
        others = [c for c in self.call.others(current) if c.may_follow(current, error)]
        retry = self._retry(current, error, others)
        if retry is None:
            current.alive = False
        else:
            current.ready_at = self._clock.monotonic() + retry.idle_for
        if not self._falls_back(error):
            others = []
        choice = others
        if retry is not None:
            choice = [current] if not others or _stays(error) else [*others, current]
        chosen = min(choice, key=self._preference, default=None)
        if chosen is not None and chosen.tries and not self._affords_retry(error):
            current.alive = False
            chosen = min((c for c in others if not c.tries), key=self._preference, default=None)
        if chosen is None or not self._in_time(chosen):
            return None, None
        return chosen, retry if chosen is current else None

    def _retry(
        self, current: TargetState, error: DispatchError, others: Sequence[TargetState]
    ) -> RetryCallState | None:
        # A retry never takes the last attempts that untried deployments need.
        untried = sum(1 for c in others if c.tries == 0) if self._falls_back(error) else 0
        if untried and self._policy.max_attempts - self.call.sent <= untried:
            return None
        retry = self._policy.retries.decide(error, current.tries, self._rng)
        if retry is not None and others and self._breaker_wait is not None:
            # Its breaker would keep the retry back after the wait.
            blocked = self._breaker_wait(current.target, self._clock.monotonic())
            return retry if blocked <= retry.idle_for else None
        return retry

    def _falls_back(self, error: DispatchError) -> bool:
        cascade = self._policy.cascade
        return error.falls_back or (cascade is not None and cascade.passes_on(error))

    def _affords_retry(self, error: DispatchError) -> bool:
        """Return whether the retry budget has one left; a retry at the vendor's own `Retry-After` is free."""
        announced = isinstance(error, RateLimitError) and error.retry_after is not None
        if announced or self._retry_quota is None:
            return True
        return self._retry_quota.withdraw(self._clock.monotonic())

    def _in_time(self, candidate: TargetState) -> bool:
        return max(candidate.ready_at, self._clock.monotonic()) < self.call.deadline

    def _preference(self, candidate: TargetState) -> tuple[float, int]:
        """Return the order in which candidates are tried: soonest, then least tried, then preferred."""
        queued = self._queue_wait(candidate.target) if self._queue_wait is not None else 0.0
        wait = max(candidate.ready_at - self._clock.monotonic(), queued, 0.0)
        return wait, candidate.tries * 1000 + candidate.rank

    # -- failure -----------------------------------------------------------------------------------

    def _failed(self, error: DispatchError) -> DispatchError:
        self.call.failure = error
        error.llmdispatch = failure_report(self.call)
        self.call.finish("failed")
        return error


def _stays(error: DispatchError) -> bool:
    """Return whether a retry goes to the same deployment although others are left.

    After a timeout or a rate limit another deployment goes first, if it is available sooner.
    """
    return not isinstance(error, (AttemptTimeoutError, RateLimitError))
