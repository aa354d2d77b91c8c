"""The counters behind `Stats`: an observer of attempts, thread-safe, in constant memory.

A request is counted in one group, for its deployment, route and tags; groups are added up by vendor, model,
route and tag only when a snapshot is read. So counting costs one lock and a few additions.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_llmdispatch.catalog.prices import TokenCounts
from langchain_llmdispatch.catalog.terms import PLAIN
from langchain_llmdispatch.errors import AttemptTimeoutError, DeadlineExceededError, RateLimitError
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.stats.quantiles import Sketch
from langchain_llmdispatch.stats.savings import savings_of

if TYPE_CHECKING:
    from langchain_llmdispatch.catalog.prices import Cost
    from langchain_llmdispatch.clock import Clock
    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.dispatch.attempt import Attempt
    from langchain_llmdispatch.dispatch.call_state import CallState, DeclinedAnswer
    from langchain_llmdispatch.stats import stats
    from langchain_llmdispatch.stats import tally as tallies
    from langchain_llmdispatch.stats.stats import By, Stats
    from langchain_llmdispatch.stats.tally import Tally
else:
    stats = LateModule("langchain_llmdispatch.stats.stats")
    tallies = LateModule("langchain_llmdispatch.stats.tally")

MOST_GROUPS = 1000
"""Combinations of deployment, route and tags that are counted apart."""
OTHER = "(other)"
"""The name under which everything beyond that is counted."""

STANDARD = "standard"
"""The name of the ordinary service tier."""
_NONE = frozenset[str]()
_PENDING = 64  # durations kept before they are put into buckets


class _GroupKey(NamedTuple):
    """The names under which a request is counted."""

    vendor: str
    model: str
    deployment: str
    route: str | None
    tags: frozenset[str]
    tier: str
    cache_miss: str | None = None

    def names(self, by: By) -> tuple[str, ...]:
        """Return the names in one dimension."""
        if by == "tag":
            return tuple(self.tags)
        name: str | None = getattr(self, by)
        return () if name is None else (name,)


_ELSEWHERE = _GroupKey(OTHER, OTHER, OTHER, None, _NONE, STANDARD)


class _Group:
    """The growing counters of one group, by the names of `Tally`'s fields."""

    __slots__ = ("_counts", "_first_token", "_latency")

    def __init__(self) -> None:
        self._counts: defaultdict[str, Any] = defaultdict(int)
        self._latency, self._first_token = Sketch(), Sketch()

    def count(self, attempt: Attempt) -> None:
        """Count a request that has ended."""
        counts, record = self._counts, attempt.record
        answered = record is not None and record.error is None
        counts["requests"] += 1
        counts["throttled"] += attempt.throttled
        counts["backoff"] += attempt.delay
        if answered:
            counts["successes"] += 1
            if attempt.apart is None:
                self._latency.pending.append(attempt.latency)
        else:
            self._count_failure(attempt)
        if attempt.number > 1:
            self._count_repeat(attempt)
        if attempt.ttft is not None:
            self._first_token.pending.append(attempt.ttft)
        if attempt.usage is not None:
            tokens = TokenCounts.of(attempt.usage)
            counts["input_tokens"] += tokens.input
            counts["output_tokens"] += tokens.output
            counts["cached_tokens"] += tokens.cached
            counts["reasoning_tokens"] += tokens.reasoning
            if tokens.cached or tokens.written or _may_save(attempt):
                self._count_savings(attempt)
        if attempt.cost is not None and attempt.cost.usd is not None:
            counts["cost"] += attempt.cost.usd
            if attempt.cost.estimated:
                counts["estimated"] += attempt.cost.usd
        elif answered:
            counts["unpriced_requests"] += 1
        self._fold()

    def _fold(self) -> None:
        """Put the durations into buckets, every so often."""
        if self._counts["requests"] % _PENDING == 0:
            self._latency.fold()
            self._first_token.fold()

    def _count_failure(self, attempt: Attempt) -> None:
        counts, error = self._counts, attempt.error
        if error is None:
            counts["abandoned" if attempt.crash is None else "crashed"] += 1
        else:
            counts["failures"] += 1
        counts["rate_limited"] += isinstance(error, RateLimitError)
        counts["timeouts"] += isinstance(error, (AttemptTimeoutError, DeadlineExceededError))
        self.waste(attempt, "wasted_hedged" if attempt.lost else "wasted_failed")

    def _count_savings(self, attempt: Attempt) -> None:
        for name, usd in savings_of(attempt):
            self._counts[name] += usd
        if (miss := attempt.cache_miss) is not None:
            self._counts["cache_misses"] += 1
            self._counts["lost_cache"] += miss.usd or 0

    def _count_repeat(self, attempt: Attempt) -> None:
        self._counts["retries"] += attempt.retry is not None
        self._counts["fallbacks"] += attempt.fallback
        self._counts["hedges"] += attempt.hedge

    def waste(self, attempt: Attempt | DeclinedAnswer, why: str) -> None:
        """Count the tokens and dollars of an attempt that brought no answer, or none that was used.

        Args:
            attempt: The attempt, or the answer.
            why: Its part of the waste, by the names of `Tally`.
        """
        if attempt.usage is not None:
            self._counts["wasted_tokens"] += attempt.usage["input_tokens"] + attempt.usage["output_tokens"]
        if attempt.cost is not None and attempt.cost.usd is not None:
            self._counts["wasted"] += attempt.cost.usd
            self._counts[why] += attempt.cost.usd

    def snapshot(self) -> Tally:
        """Return the counters as they are now."""
        return tallies.Tally(
            **self._counts, latency=self._latency.snapshot(), first_token=self._first_token.snapshot()
        )


class Counters:
    """Counts the results of requests and calls. Share one between models to count them together.

    Args:
        clock: The source of the snapshots' times.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._renew()
        forks.in_child(self._renew)

    def _renew(self) -> None:
        """Count from zero in a forked child, so that the statistics of all processes can be added up."""
        self._lock = threading.RLock()
        self._in_flight = set[int]()  # by identity, which an attempt that ends twice leaves once
        self._begin()

    def _begin(self) -> None:
        self._since = self._clock.now()
        self._groups: dict[_GroupKey, _Group] = {}
        self._calls: defaultdict[str, int] = defaultdict(int)
        self._retries_refused = 0
        self._latency = Sketch()

    # -- an observer -------------------------------------------------------------------------------

    def started(self, attempt: Attempt) -> None:
        """Count a request in flight."""
        with self._lock:
            self._in_flight.add(id(attempt))

    def ended(self, attempt: Attempt) -> None:
        """Count a request, if it left the process."""
        if attempt.sent:
            with self._lock:
                self._in_flight.discard(id(attempt))
                self._group(attempt.target, attempt.call, attempt.cost, attempt.cache_miss).count(attempt)

    def finished(self, call: CallState, answer: Attempt | None) -> None:
        """Count a call; answers that were declined were wasted, except one that had to do."""
        with self._lock:
            for declined in call.declined:
                if answer is None or declined.record is not answer.record:
                    self._group(declined.target, call, declined.cost).waste(declined, "wasted_declined")
            self._calls[call.outcome or "abandoned"] += 1
            self._retries_refused += call.retries_refused
            if call.outcome == "answered" and (answer is None or answer.apart is None):
                self._latency.pending.append(call.clock.monotonic() - call.started)
                if len(self._latency.pending) >= _PENDING:
                    self._latency.fold()

    # -- its owner's ---------------------------------------------------------------------------------

    def snapshot(self) -> Stats:
        """Return the counters as they are now."""
        make = stats.Stats.of  # imported before others wait for the lock
        with self._lock:
            groups = [(key, group.snapshot()) for key, group in list(self._groups.items())]
            calls = tallies.CallTally(
                sum(self._calls.values()),
                **self._calls,
                retries_refused=self._retries_refused,
                latency=self._latency.snapshot(),
            )
            in_flight, since = len(self._in_flight), self._since
        return make(
            sum((tally for _, tally in groups), tallies.Tally()),
            {by: _grouped(groups, by) for by in stats.DIMENSIONS},
            calls,
            in_flight=in_flight,
            since=since,
            until=self._clock.now(),
        )

    def reset(self) -> None:
        """Count from zero again; requests in flight are counted when they end."""
        with self._lock:
            self._begin()

    def _group(self, target: Target, call: CallState, cost: Cost | None, miss: Any = None) -> _Group:
        tags, request = target.deployment.tags, call.request
        if request.tags:
            tags = tags | {tag for tag in request.tags if not tag.startswith("seq:step:")}
        tier = STANDARD if cost is None or cost.terms is PLAIN else cost.terms.tier or STANDARD
        cause = None if miss is None else miss.cause
        key = _GroupKey(target.vendor.name, target.model, target.name, request.route, tags, tier, cause)
        group = self._groups.get(key)
        return group if group is not None else self._new_group(key)

    def _new_group(self, key: _GroupKey) -> _Group:
        if len(self._groups) >= MOST_GROUPS:
            # Tags and routes are the likeliest to be unbounded: they are given up before the deployment.
            coarse = key._replace(route=OTHER if key.route else None, tags=_NONE)
            key = coarse if coarse in self._groups else _ELSEWHERE
        return self._groups.setdefault(key, _Group())


def _may_save(attempt: Attempt) -> bool:
    """Return whether a request may have saved something by its tier, or by where it went."""
    cost, first = attempt.cost, attempt.call.first_choice
    elsewhere = first is not None and first is not attempt.target
    sold_otherwise = cost is not None and cost.terms is not PLAIN
    return elsewhere or sold_otherwise or attempt.cache_miss is not None


def _grouped(groups: list[tuple[_GroupKey, Tally]], by: By) -> dict[str, Tally]:
    tallies: dict[str, Tally] = {}
    for key, tally in groups:
        for name in key.names(by):
            tallies[name] = tallies[name] + tally if name in tallies else tally
    return tallies
