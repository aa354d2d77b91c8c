"""One deployment's circuit breaker: closed, open or half-open, by the results of its requests.

It opens when fewer than four in five of the last half minute's calls succeeded, after five failures in a row,
or at once where the configuration is wrong (key, model, billing). Every moment is an argument, in monotonic
seconds.
"""

from __future__ import annotations

import math
import random
from collections import deque
from typing import Literal, NamedTuple, TypeAlias

from langchain_llmdispatch.errors.base import Blame

State: TypeAlias = Literal["closed", "open", "half_open"]

WINDOW = 30.0
"""Seconds over which successes are averaged: an older call weighs less, by `exp(-age / WINDOW)`."""
LEAST_CALLS = 5
"""Calls within the window below which the share of successes is not used."""
LEAST_SUCCESS = 0.8
"""Share of successes below which a breaker opens."""
LEAST_FAILED = 1.2
"""Failures, weighted by age, that are needed besides: one now, and another not long ago."""
MOST_FAILURES = 5
"""Failures in a row that open a breaker."""
FIRST_OPEN, LONGEST_OPEN = 5.0, 300.0
"""Seconds for which a breaker opens at first, doubling to the longest; half of each is jitter."""
SOON_OPEN, OPEN_SHARE = 10.0, 1 / 30
"""Seconds, and the share of the time since it was well, of which the larger bounds each opening.

So the end of an outage of up to five minutes is seen within ten seconds and the next call. A deployment that
is down gets six to twelve requests a minute at first, three to six after ten minutes, and one in four
minutes after three hours.
"""
SETTLED_AFTER = 60.0
"""Seconds for which a breaker must stay closed before its next opening counts as the first again."""
FIRST_OUT, LONGEST_OUT = 300.0, 3600.0
"""The same for a wrong configuration, which seldom heals by itself."""
LONGEST_COOLDOWN = 300.0
"""Seconds of a Retry-After that are applied at most."""
PROBE_LEASE = 120.0
"""Seconds after which a probe without an end no longer keeps others from probing."""

CLOSED: tuple[State, float, bool, str] = ("closed", 0.0, False, "")
"""The view of a closed breaker."""


class AttemptResult(NamedTuple):
    """How one request ended, as far as health is concerned.

    Attributes:
        blame: What the failure is attributed to; None for a success.
        reason: The error's class name, empty for a success.
        retry_after: Seconds of the response's Retry-After, or None.
        latency: Seconds from sending to the end.
        ttft: Seconds from sending to the first content, where streamed.
        tokens: Tokens of the answer, or None if unknown.
        timed_out: Whether it took too long: then `latency` is a lower bound.
    """

    blame: Blame | None = None
    reason: str = ""
    retry_after: float | None = None
    latency: float = 0.0
    ttft: float | None = None
    tokens: int | None = None
    timed_out: bool = False


class Breaker:
    """One deployment's breaker and cooldown. Callers hold the lock.

    Results count only if their request left in the present generation: requests that were sent before the
    breaker opened do not show the present state.

    Attributes:
        success: Share of successes, or None without calls; it does not change with time alone.
        failures: Failures since the last success.
        tripped: Whether it is open or half-open.
        reason: What opened it, as an error's class name.
        open_until: Until when it is open.
        cool_until: Until when the deployment cools down after a Retry-After.
        probed_until: Until when the present probe keeps other requests back.
        generation: How often it has opened.
        opens: How often it has opened without having settled since.
        bad_since: When the first of these openings was.
        closed_at: When it last closed.
    """

    def __init__(self) -> None:
        self.generation = self.failures = self.opens = 0
        self.open_until = self.cool_until = self.probed_until = 0.0
        self.closed_at, self.bad_since = -math.inf, 0.0
        self.tripped, self.reason = False, ""
        self._forget()

    def _forget(self) -> None:
        self._at = self._succeeded = self._failed = 0.0
        self.success: float | None = None
        self._recent: deque[float] = deque(maxlen=LEAST_CALLS)

    def state(self, now: float) -> State:
        """Return whether requests are admitted now."""
        if now < self.open_until or now < self.cool_until:
            return "open"
        return "half_open" if self.tripped else "closed"

    def view(self, now: float) -> tuple[State, float, bool, str]:
        """Return its state, until when it is open, whether only a cooldown closes it, and why."""
        state, until = self.state(now), max(self.open_until, self.cool_until)
        if state == "closed":
            return CLOSED
        return state, until if until > now else 0.0, state == "open" and not self.tripped, self.reason

    def succeed(self, now: float) -> None:
        """Record an answer, which closes it."""
        if self.tripped:
            self.tripped, self.open_until, self.closed_at = False, 0.0, now
            self._forget()
        self.failures = 0
        self.probed_until = 0.0
        self._count(now, succeeded=True)

    def fail(self, now: float, result: AttemptResult, rng: random.Random) -> None:
        """Record a failure of the vendor, which may open it, or a wrong configuration, which does."""
        if result.blame == "configuration":
            self.trip(now, jittered(FIRST_OUT, LONGEST_OUT, self._times_opened(now), rng), result.reason)
            return
        self.failures += 1
        self._count(now, succeeded=False)
        if self.tripped or self._is_bad(now):
            seconds = jittered(FIRST_OPEN, self._longest(now), self._times_opened(now), rng)
            named = result.retry_after
            self.trip(now, seconds if named is None else min(named, LONGEST_COOLDOWN), result.reason)

    def _count(self, now: float, *, succeeded: bool) -> None:
        kept = math.exp(min(0.0, self._at - now) / WINDOW)
        self._succeeded = self._succeeded * kept + succeeded
        self._failed = self._failed * kept + (not succeeded)
        self.success = self._succeeded / (self._succeeded + self._failed)
        self._at = max(self._at, now)
        self._recent.append(now)

    def _is_bad(self, now: float) -> bool:
        if self.failures >= MOST_FAILURES:
            return True
        enough = len(self._recent) == LEAST_CALLS and now - self._recent[0] <= WINDOW
        # One failure among a few calls is no trend.
        return enough and self._failed >= LEAST_FAILED and (self.success or 0.0) < LEAST_SUCCESS

    def _times_opened(self, now: float) -> int:
        """Return how often it opened without having settled since: each time is longer than the last."""
        if not self.tripped and now - self.closed_at >= SETTLED_AFTER:
            self.opens = 0
        return self.opens

    def _longest(self, now: float) -> float:
        """Return the seconds for which it may open now; the longer ago it was well, the more."""
        bad_for = now - self.bad_since if self._times_opened(now) else 0.0
        return min(max(SOON_OPEN, bad_for * OPEN_SHARE), LONGEST_OPEN)

    def trip(self, now: float, seconds: float, reason: str) -> None:
        """Open for `seconds`."""
        self.tripped, self.reason = True, reason
        self.open_until = max(self.open_until, now + seconds)
        self.bad_since = self.bad_since if self.opens else now
        self.opens += 1
        self.generation += 1
        self.probed_until = 0.0

    def suspect(self, now: float, until: float, reason: str) -> None:
        """Open without a failure of its own, unless it has answered within the last minute.

        The answer to a request that is in flight still counts, and closes it.
        """
        answered = self.failures == 0 and bool(self._recent) and now - self._recent[-1] < SETTLED_AFTER
        if not (self.tripped or answered):
            self.tripped, self.reason, self.open_until = True, reason, max(self.open_until, until)

    def cool(self, until: float, reason: str) -> None:
        """Admit no request before `until`, without counting a failure."""
        if until > self.cool_until:
            self.cool_until = until
            self.reason = self.reason if self.tripped else reason


def jittered(first: float, longest: float, doublings: int, rng: random.Random) -> float:
    """Return a time that doubles from `first` to `longest`, half of it random ("equal jitter")."""
    seconds = min(first * 2.0 ** min(doublings, 60), longest)
    return seconds / 2 + rng.uniform(0.0, seconds / 2)
