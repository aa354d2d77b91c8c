"""The counters behind `Stats`: an observer of attempts, thread-safe, in constant memory.

A request is counted in one leaf, for its deployment, route and tags; leaves are added up by vendor, model,
route and tag only when somebody reads a snapshot. So counting costs one lock and a dozen additions.
"""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from langchain_llmdispatch.errors import AttemptTimeoutError, DeadlineExceededError, RateLimitError
from langchain_llmdispatch.stats.quantiles import Sketch
from langchain_llmdispatch.stats.stats import By, Stats
from langchain_llmdispatch.stats.tally import Calls, Tally

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.clock import Clock
    from langchain_llmdispatch.dispatch.dispatch import Attempt, Dispatch

MOST_GROUPS = 1000
"""Combinations of deployment, route and tags that are told apart."""
OTHER = "(other)"
"""The name under which everything beyond that is counted."""

# Shorter waits are our own work, not a limit.
_NOTICEABLE = 0.002
_NONE = frozenset[str]()


class _Place(NamedTuple):
    """Where a request is counted."""

    vendor: str
    model: str
    deployment: str
    route: str | None
    tags: frozenset[str]

    def names(self, by: By) -> tuple[str, ...]:
        """Return the place's names in one dimension."""
        if by == "tag":
            return tuple(self.tags)
        name: str | None = getattr(self, by)
        return () if name is None else (name,)


_ELSEWHERE = _Place(OTHER, OTHER, OTHER, None, _NONE)


class _Leaf:
    """The growing counters of one place."""

    __slots__ = (
        *("requests", "successes", "failures", "abandoned", "retries", "fallbacks", "hedges", "rate_limited"),
        *("timeouts", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "wasted_tokens"),
        *("unpriced_requests", "cost", "wasted", "throttled", "backoff", "latency", "first_token"),
    )

    def __init__(self) -> None:
        self.requests = self.successes = self.failures = self.abandoned = 0
        self.retries = self.fallbacks = self.hedges = self.rate_limited = self.timeouts = 0
        self.input_tokens = self.output_tokens = self.cached_tokens = self.reasoning_tokens = 0
        self.wasted_tokens = self.unpriced_requests = 0
        self.cost = self.wasted = Decimal(0)
        self.throttled = self.backoff = 0.0
        self.latency, self.first_token = Sketch(), Sketch()

    def count(self, attempt: Attempt) -> None:
        """Count a request that is over."""
        self.requests += 1
        self._count_reason(attempt)
        wasted = attempt.record is None or attempt.record.error is not None
        if attempt.error is not None:
            self._count_failure(attempt)
        elif wasted:
            self.abandoned += 1
        else:
            self.successes += 1
            self.latency.add(attempt.latency)
            self.unpriced_requests += attempt.cost is None or attempt.cost.usd is None
        if attempt.ttft is not None:
            self.first_token.add(attempt.ttft)
        if attempt.usage is not None:
            self._count_tokens(attempt.usage, wasted=wasted)
        if attempt.cost is not None and attempt.cost.usd is not None:
            self.cost += attempt.cost.usd
            if wasted:
                self.wasted += attempt.cost.usd

    def _count_reason(self, attempt: Attempt) -> None:
        self.retries += attempt.retry is not None
        self.fallbacks += attempt.fallback
        self.hedges += attempt.hedge
        self.backoff += attempt.delay
        if attempt.throttled > _NOTICEABLE:
            self.throttled += attempt.throttled

    def _count_failure(self, attempt: Attempt) -> None:
        self.failures += 1
        self.rate_limited += isinstance(attempt.error, RateLimitError)
        self.timeouts += isinstance(attempt.error, (AttemptTimeoutError, DeadlineExceededError))

    def _count_tokens(self, usage: UsageMetadata, *, wasted: bool) -> None:
        self.input_tokens += usage["input_tokens"]
        self.output_tokens += usage["output_tokens"]
        if read := usage.get("input_token_details"):
            self.cached_tokens += read.get("cache_read") or 0
        if made := usage.get("output_token_details"):
            self.reasoning_tokens += made.get("reasoning") or 0
        if wasted:
            self.wasted_tokens += usage["input_tokens"] + usage["output_tokens"]

    def waste(self, attempt: Attempt) -> None:
        """Note that an answer that was counted as a success has been of no use."""
        if attempt.usage is not None:
            self.wasted_tokens += attempt.usage["input_tokens"] + attempt.usage["output_tokens"]
        if attempt.cost is not None and attempt.cost.usd is not None:
            self.wasted += attempt.cost.usd

    def snapshot(self) -> Tally:
        """Return the counters as they are now."""
        held = {name: getattr(self, name) for name in self.__slots__}
        measured = {"latency": self.latency.snapshot(), "first_token": self.first_token.snapshot()}
        return Tally(**{**held, **measured})


class Counters:
    """Counts what becomes of requests and calls. Share one between models to count them together.

    Args:
        clock: The source of the snapshots' times.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._in_flight = 0
        self._begin()

    def _begin(self) -> None:
        self._since = self._clock.now()
        self._leaves: dict[_Place, _Leaf] = {}
        self._answered = self._failed = self._abandoned = 0
        self._latency = Sketch()

    # -- an observer -------------------------------------------------------------------------------

    def started(self, attempt: Attempt) -> None:  # noqa: ARG002 - an observer's signature
        """Note that a request is on its way."""
        with self._lock:
            self._in_flight += 1

    def ended(self, attempt: Attempt) -> None:
        """Count a request, if it left the process."""
        if not attempt.sent:
            return
        place = _place_of(attempt)
        with self._lock:
            self._in_flight -= 1
            self._leaf(place).count(attempt)

    def finished(self, dispatch: Dispatch, answer: Attempt | None) -> None:
        """Count a whole call; answers that were declined have been of no use, unless one had to do."""
        seconds = dispatch.clock.monotonic() - dispatch.started
        with self._lock:
            for declined in dispatch.declined:
                if declined is not answer:
                    self._leaf(_place_of(declined)).waste(declined)
            if dispatch.outcome == "answered":
                self._answered += 1
                self._latency.add(seconds)
            elif dispatch.outcome == "failed":
                self._failed += 1
            else:
                self._abandoned += 1

    # -- its owner's ---------------------------------------------------------------------------------

    def snapshot(self) -> Stats:
        """Return what was counted so far."""
        with self._lock:
            leaves = [(place, leaf.snapshot()) for place, leaf in list(self._leaves.items())]
            calls = self._calls()
            in_flight, since = self._in_flight, self._since
        return Stats(
            sum((tally for _, tally in leaves), Tally()),
            {by: _grouped(leaves, by) for by in ("vendor", "deployment", "model", "route", "tag")},
            calls,
            in_flight=in_flight,
            since=since,
            until=self._clock.now(),
        )

    def reset(self) -> None:
        """Begin anew; requests that are on their way are counted when they end."""
        with self._lock:
            self._begin()

    def _calls(self) -> Calls:
        answered, failed, abandoned = self._answered, self._failed, self._abandoned
        return Calls(answered + failed + abandoned, answered, failed, abandoned, self._latency.snapshot())

    def _leaf(self, place: _Place) -> _Leaf:
        leaf = self._leaves.get(place)
        if leaf is not None:
            return leaf
        if len(self._leaves) >= MOST_GROUPS:
            # Tags and routes are the likeliest to be without end: give them up before the deployment.
            coarse = place._replace(route=OTHER if place.route else None, tags=_NONE)
            place = coarse if coarse in self._leaves else _ELSEWHERE
        return self._leaves.setdefault(place, _Leaf())


def _place_of(attempt: Attempt) -> _Place:
    target, request = attempt.target, attempt.dispatch.request
    tags = target.deployment.tags
    if request is not None and request.tags:
        tags = tags | {tag for tag in request.tags if not tag.startswith("seq:step:")}
    return _Place(target.vendor.name, target.model, target.name, request.route if request else None, tags)


def _grouped(leaves: list[tuple[_Place, Tally]], by: By) -> dict[str, Tally]:
    groups: dict[str, Tally] = {}
    for place, tally in leaves:
        for name in place.names(by):
            groups[name] = groups[name] + tally if name in groups else tally
    return groups
