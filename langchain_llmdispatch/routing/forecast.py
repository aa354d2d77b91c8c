"""What a request would cost and how long it would take, per deployment, as of one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmdispatch.catalog.prices import DatedPrices, prices_at
from langchain_llmdispatch.health.health import UNSEEN, Health, HealthView

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from decimal import Decimal

    from langchain_llmdispatch.catalog.rates import TieredRates
    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.routing.needs import Needs

USUAL_OUTPUT = 256
"""Tokens of an answer that are expected before any was seen."""
LEAST_CACHED = 1024
"""Tokens of a prompt below which vendors cache nothing."""


class Forecast:
    """Predicts cost and latency of one request; every answer is as of the moment it was made for.

    Args:
        needs: What the request needs.
        health: What is known of the deployments, or None.
        now: The moment, in the clock's monotonic seconds.
        at: The same moment by the calendar, for prices.
    """

    __slots__ = ("_health", "_prices", "at", "needs", "now")

    def __init__(self, needs: Needs, health: Health | None, now: float, at: datetime) -> None:
        self.needs, self.now, self.at = needs, now, at
        self._health = health
        self._prices: DatedPrices | None = None

    # -- all deployments of a decision at once: what strategies compare --------------------------------

    def views(self, targets: Sequence[Target]) -> Sequence[HealthView]:
        """Return how each is doing, at one moment."""
        health = self._health
        return [UNSEEN] * len(targets) if health is None else health.snapshots(targets, self.now)

    def outputs(self, targets: Sequence[Target]) -> Sequence[float]:
        """Return the tokens that an answer of each will have, as experience has it, within its limit."""
        learned = self._health.expected_outputs(targets) if self._health is not None else None
        if learned is None:
            learned = [USUAL_OUTPUT] * len(targets)
        asked = self.needs.output_limit
        if asked is not None:
            return [min(asked, tokens) for tokens in learned]
        return [
            min(tokens, own.get("max_tokens", tokens)) if (own := target.deployment.params) else tokens
            for target, tokens in zip(targets, learned, strict=True)
        ]

    def costs(self, targets: Sequence[Target], outputs: Sequence[float]) -> Sequence[float | None]:
        """Return about the dollars that an answer of each will cost, or None where unknown.

        Args:
            targets: Who would answer.
            outputs: How many tokens each would have.
        """
        tokens = self.needs.tokens
        costs: list[float | None] = []
        for target, output in zip(targets, outputs, strict=True):
            price = target.price
            tiers = price.fixed or price.rates(self._prices or self._look_up())
            if tiers is None:
                costs.append(None)
            else:
                rates = tiers.tiers[0] if not tiers.starts else tiers.of_length(tokens)
                request, read, written = rates.floats
                costs.append(request + read * tokens + written * output)
        return costs

    # -- one deployment ----------------------------------------------------------------------------

    def view(self, target: Target) -> HealthView:
        """Return how the deployment is doing."""
        return self._health.snapshot(target, self.now) if self._health is not None else UNSEEN

    def output_tokens(self, target: Target) -> float:
        """Return the tokens that the answer will have, as experience has it, within the limit asked for."""
        return self.outputs((target,))[0]

    def most_output(self, target: Target) -> int | None:
        """Return the tokens that the answer can have at most, or None if there is no known limit."""
        asked, able = self._limit(target), target.facts.max_output_tokens
        if asked is None or able is None:
            return able if asked is None else asked
        return min(asked, able)

    def latency(self, target: Target, view: HealthView) -> float | None:
        """Return the seconds that the answer will take, or None if unknown."""
        return view.latency(self.output_tokens(target))

    def cost(self, target: Target, *, cached_tokens: int = 0) -> Decimal | None:
        """Return the dollars that the answer will cost, or None if unknown.

        Args:
            target: Who would answer.
            cached_tokens: Tokens of the prompt that the vendor has in its cache.
        """
        cached = cached_tokens if cached_tokens >= LEAST_CACHED else 0
        return self._price(target, self.needs.tokens, round(self.output_tokens(target)), cached)

    def worst(self, target: Target, *, said: int = 0) -> Decimal | None:
        """Return the dollars that one request can cost at most, or None if that is unknown.

        Args:
            target: Who would answer.
            said: Tokens of a broken answer that it would be given to continue.
        """
        output = self.most_output(target)
        if output is None:
            # Where tokens cost nothing, their number does not matter.
            nothing = self._price(target, 1, 1, 0)
            return nothing if nothing == 0 else None
        tokens, tiers = self.needs.most_tokens + said, self._tiers(target)
        caches = self.needs.marks_cache
        return None if tiers is None else tiers.of_length(tokens).at_most(tokens, output, caches=caches)

    def _limit(self, target: Target) -> int | None:
        asked = self.needs.output_limit
        own = target.deployment.params
        return own.get("max_tokens") if asked is None and own else asked

    def _price(self, target: Target, tokens: int, output: int, cached: int) -> Decimal | None:
        tiers = self._tiers(target)
        return None if tiers is None else tiers.of_length(tokens).of_tokens(tokens, output, cached)

    def _tiers(self, target: Target) -> TieredRates | None:
        return target.price.fixed or target.price.rates(self._prices or self._look_up())

    def _look_up(self) -> DatedPrices:
        self._prices = prices_at(self.at)
        return self._prices


class Outlook:
    """What is foreseen of the deployments of one decision, by place; each column is computed when first read.

    Args:
        forecast: Who foresees it.
        targets: The deployments.
    """

    __slots__ = ("_costs", "_forecast", "_latencies", "_outputs", "_targets", "_views")

    def __init__(self, forecast: Forecast, targets: Sequence[Target]) -> None:
        self._forecast, self._targets = forecast, targets
        self._views: Sequence[HealthView] | None = None
        self._outputs: Sequence[float] | None = None
        self._latencies: Sequence[float | None] | None = None
        self._costs: Sequence[float | None] | None = None

    def view(self, place: int) -> HealthView:
        """Return how the deployment at this place is doing."""
        return (self._views or self._look())[place]

    def cost(self, place: int) -> float | None:
        """Return the predicted dollars of its answer, or None if unknown."""
        if self._costs is None:
            self._costs = self._forecast.costs(self._targets, self._expected())
        return self._costs[place]

    def latency(self, place: int) -> float | None:
        """Return the predicted seconds of its answer, or None if unknown."""
        if self._latencies is None:
            views, outputs = self._views or self._look(), self._expected()
            self._latencies = [view.latency(n) for view, n in zip(views, outputs, strict=True)]
        return self._latencies[place]

    def _look(self) -> Sequence[HealthView]:
        self._views = self._forecast.views(self._targets)
        return self._views

    def _expected(self) -> Sequence[float]:
        if self._outputs is None:
            self._outputs = self._forecast.outputs(self._targets)
        return self._outputs
