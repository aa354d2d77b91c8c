"""Tallies: the results of requests, or of whole calls, as immutable values that add and subtract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any

from langchain_llmdispatch.stats.quantiles import Distribution
from langchain_llmdispatch.types import Spending, Summable


@dataclass(frozen=True, slots=True)
class Tally(Spending):
    """The results of requests: all of them, or those of one vendor, deployment, model, route or tag.

    Tokens and dollars are those of `Spending`.

    Attributes:
        requests: Requests that left the process and have ended.
        successes: Those that were answered.
        failures: Those that ended in an error.
        abandoned: Those that the caller left, or that a hedged request overtook.
        crashed: Those that ended in an exception which is no `DispatchError`: of code that was handed in (a
            strategy, a middleware, a cassette without their recording), or a bug of this package.
        retries: Requests that repeated a failed one on the same deployment.
        fallbacks: Requests that went to another deployment after a failure.
        hedges: Requests that were sent beside a late one.
        rate_limited: Failures because of a rate limit (429).
        timeouts: Failures because of a timeout.
        cache_misses: Answers that did not read a prompt cache that was warm.
        unpriced_requests: Successes whose cost is unknown; they are not in `cost`.
        throttled: Seconds spent waiting for our own limits.
        backoff: Seconds slept between retries.
        wasted_failed: US dollars of `wasted` that went to requests that failed or were left.
        wasted_hedged: US dollars of it that went to requests that a hedged one overtook.
        wasted_declined: US dollars of it that went to answers that were not good enough, and requested again.
        saved_cache: US dollars that vendors' caches saved, less what writing to them cost.
        saved_tier: US dollars that service tiers saved against the ordinary one; negative for dearer tiers.
        lost_cache: US dollars that were lost because a warm prompt cache was missed (`cache_misses`).
        saved_route: US dollars that answers saved against the first deployment in configured order, by the
            same tokens; negative where they were dearer.
        latency: Successful requests, from sending to the end of the answer.
        first_token: Streamed requests, from sending to the first content.
    """

    requests: int = 0
    successes: int = 0
    failures: int = 0
    abandoned: int = 0
    crashed: int = 0
    retries: int = 0
    fallbacks: int = 0
    hedges: int = 0
    rate_limited: int = 0
    timeouts: int = 0
    unpriced_requests: int = 0
    cache_misses: int = 0
    throttled: float = 0.0
    backoff: float = 0.0
    wasted_failed: Decimal = Decimal(0)
    wasted_hedged: Decimal = Decimal(0)
    wasted_declined: Decimal = Decimal(0)
    saved_cache: Decimal = Decimal(0)
    saved_tier: Decimal = Decimal(0)
    saved_route: Decimal = Decimal(0)
    lost_cache: Decimal = Decimal(0)
    latency: Distribution = field(default_factory=Distribution)
    first_token: Distribution = field(default_factory=Distribution)

    @property
    def average_latency(self) -> float:
        """Seconds of a successful request on average; 0.0 while there is none."""
        return self.latency.mean

    @property
    def p50_latency(self) -> float:
        """Seconds that half of the successful requests did not exceed; within 1 %."""
        return self.latency.quantile(0.5)

    @property
    def p95_latency(self) -> float:
        """Seconds that 95 % of the successful requests did not exceed; within 1 %."""
        return self.latency.quantile(0.95)

    @property
    def p99_latency(self) -> float:
        """Seconds that 99 % of the successful requests did not exceed; within 1 %."""
        return self.latency.quantile(0.99)

    @property
    def ttft(self) -> float:
        """Seconds to the first content on average, of streamed requests; 0.0 while there is none."""
        return self.first_token.mean

    @property
    def p50_ttft(self) -> float:
        """Seconds to the first content that half of the streamed requests did not exceed; within 1 %."""
        return self.first_token.quantile(0.5)

    @property
    def p95_ttft(self) -> float:
        """Seconds to the first content that 95 % of the streamed requests did not exceed; within 1 %."""
        return self.first_token.quantile(0.95)

    @property
    def p99_ttft(self) -> float:
        """Seconds to the first content that 99 % of the streamed requests did not exceed; within 1 %."""
        return self.first_token.quantile(0.99)

    def to_dict(self, *, buckets: bool = False) -> dict[str, Any]:
        """Return JSON-safe values; money as numbers, durations in seconds."""
        out: dict[str, Any] = {name: getattr(self, name) for name in _COUNTED}
        out |= {"cost_usd": self.cost_usd, "wasted_usd": self.wasted_usd}
        out |= {"throttled_s": self.throttled, "backoff_s": self.backoff}
        out |= {"latency": self.latency.to_dict(buckets=buckets)}
        out |= {"first_token": self.first_token.to_dict(buckets=buckets)}
        if buckets:
            out |= {name: str(getattr(self, name)) for name in _MONEY}
        return out

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> Tally:
        """Return the tally that `to_dict(buckets=True)` wrote."""
        sums: dict[str, Any] = {name: int(held.get(name, 0)) for name in _COUNTED}
        sums |= {name: Decimal(held.get(name, 0)) for name in _MONEY}
        return cls(
            **sums,
            throttled=float(held["throttled_s"]),
            backoff=float(held["backoff_s"]),
            latency=Distribution.from_dict(held["latency"]),
            first_token=Distribution.from_dict(held["first_token"]),
        )


_COUNTED = tuple(each.name for each in fields(Tally) if type(each.default) is int)
_MONEY = tuple(each.name for each in fields(Tally) if type(each.default) is Decimal)
COLUMNS = (
    *_COUNTED,
    *("average_latency", "p50_latency", "p95_latency", "p99_latency", "ttft", "p95_ttft"),
    *("cost_usd", "wasted_usd", "throttled", "backoff"),
)
"""The attributes of a tally that are plain numbers, in the order of a table."""


@dataclass(frozen=True, slots=True)
class CallTally(Summable):
    """The results of whole calls, over all their retries and fallbacks.

    Attributes:
        calls: Calls that have ended.
        answered: Those that returned an answer.
        failed: Those that raised.
        abandoned: Those that the caller left before their end.
        crashed: Those that ended in an exception which is no `DispatchError`: of code that was handed in (a
            strategy, a middleware, a cassette without their recording), or a bug of this package.
        retries_refused: Retries that were not made because the retry quota was used up.
        latency: Answered calls, from the call to the end of the answer, waiting included.
    """

    calls: int = 0
    answered: int = 0
    failed: int = 0
    abandoned: int = 0
    crashed: int = 0
    retries_refused: int = 0
    latency: Distribution = field(default_factory=Distribution)

    def to_dict(self, *, buckets: bool = False) -> dict[str, Any]:
        """Return JSON-safe values, durations in seconds."""
        counts = {name: getattr(self, name) for name in _CALLED}
        return {**counts, "latency": self.latency.to_dict(buckets=buckets)}

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> CallTally:
        """Return the tally that `to_dict(buckets=True)` wrote."""
        counts = {name: int(held.get(name, 0)) for name in _CALLED}
        return cls(**counts, latency=Distribution.from_dict(held["latency"]))


_CALLED = tuple(each.name for each in fields(CallTally) if type(each.default) is int)
