"""What a request would cost and how long it would take, per target, as of one moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from langchain_llmdispatch.catalog.price_key import DatedPrices
from langchain_llmdispatch.catalog.price_list import prices_at
from langchain_llmdispatch.catalog.prices import DeploymentPrice, TieredRates
from langchain_llmdispatch.catalog.terms import PLAIN
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.health.view import UNSEEN, HealthView
from langchain_llmdispatch.routing.fleet import Fleet
from langchain_llmdispatch.routing.needs import Needs
from langchain_llmdispatch.vendors.prompt_cache import NAME as PROMPT_CACHE

_ZERO = Decimal(0)
USUAL_OUTPUT = 256
"""Tokens of an answer that are expected before any was seen."""
LEAST_CACHED = 1024
"""Tokens of a prompt below which vendors cache nothing."""


class Forecast:
    """Predicts cost and latency of one request, as of one moment.

    Args:
        needs: What the request needs.
        health: The health of the deployments, or None.
        now: The moment, in the clock's monotonic seconds.
        at: The same moment by the calendar, for prices.
    """

    __slots__ = ("_health", "_prices", "at", "needs", "now")

    def __init__(self, needs: Needs, health: Health | None, now: float, at: datetime) -> None:
        self.needs, self.now, self.at = needs, now, at
        self._health = health
        self._prices: DatedPrices | None = None

    # -- all deployments of a decision at once: what strategies compare --------------------------------

    def views(self, fleet: Fleet) -> Sequence[HealthView]:
        """Return the health of each, at one moment."""
        health = self._health
        return [UNSEEN] * len(fleet.keys) if health is None else health.snapshots(fleet.targets, self.now)

    def loads(self, fleet: Fleet) -> Sequence[int]:
        """Return the requests in flight of each."""
        return [0] * len(fleet.keys) if self._health is None else self._health.loads(fleet.keys)

    def turns(self, fleet: Fleet) -> Sequence[int]:
        """Return when each was last chosen, as a number that only grows; 0 if never."""
        return [0] * len(fleet.keys) if self._health is None else self._health.turns(fleet.keys)

    def outputs(self, fleet: Fleet) -> Sequence[float]:
        """Return the tokens that an answer of each is expected to have, within its limit."""
        learned: Sequence[float] | None = None
        if self._health is not None:
            learned = self._health.expected_outputs(fleet.keys)
        if learned is None:
            learned = [USUAL_OUTPUT] * len(fleet.keys)
        if not (limits := fleet.limits(self.needs)):
            return learned
        pairs = zip(learned, limits, strict=True)
        return [tokens if limit is None else min(limit, tokens) for tokens, limit in pairs]

    def latencies(self, fleet: Fleet, outputs: Sequence[float]) -> Sequence[float | None]:
        """Return the seconds that an answer of each, of so many tokens, will take; None where unknown."""
        health = self._health
        return [None] * len(outputs) if health is None else health.latencies(fleet.keys, outputs, self.now)

    def costs(self, fleet: Fleet, outputs: Sequence[float]) -> Sequence[float | None]:
        """Return the dollars that an answer of each is expected to cost, None where unknown; as floats.

        Args:
            fleet: The targets.
            outputs: Tokens of the answer of each.
        """
        tiers: Sequence[TieredRates | None]
        if self.needs.names_terms or fleet.has_terms:
            tiers = [self._tiers(target) for target in fleet.targets]
        else:
            tiers = fleet.rates(self._prices or self._look_up())
        tokens = self.needs.tokens
        return [_dollars(each, tokens, output) for each, output in zip(tiers, outputs, strict=True)]

    # -- one deployment ----------------------------------------------------------------------------

    def view(self, target: Target) -> HealthView:
        """Return the health of the deployment."""
        return self._health.snapshot(target, self.now) if self._health is not None else UNSEEN

    def output_tokens(self, target: Target) -> float:
        """Return the tokens that the answer is expected to have, within the limit of the request."""
        return self.outputs(Fleet((target,)))[0]

    def most_output(self, target: Target) -> int | None:
        """Return the tokens that the answer can have at most, or None if there is no known limit."""
        limits = (self.needs.output_limit_on(target), target.facts.max_output_tokens)
        return min((limit for limit in limits if limit is not None), default=None)

    def latency(self, target: Target, view: HealthView) -> float | None:
        """Return the seconds that the answer will take, or None if unknown."""
        return view.latency(self.output_tokens(target))

    def cost(self, target: Target, *, cached_tokens: int = 0) -> Decimal | None:
        """Return the dollars that the answer will cost, or None if unknown.

        Args:
            target: The target.
            cached_tokens: Tokens of the prompt that the vendor has in its cache.
        """
        cached = cached_tokens if cached_tokens >= LEAST_CACHED else 0
        return self._price(target, self.needs.tokens, round(self.output_tokens(target)), cached)

    def worst(self, target: Target, *, continued: int = 0) -> Decimal | None:
        """Return the dollars that one request can cost at most, or None if that is unknown.

        Args:
            target: The target.
            continued: Tokens of a broken answer that the request continues.
        """
        output = self.most_output(target)
        if output is None:
            # Where tokens cost nothing, their number does not matter.
            nothing = self._price(target, 1, 1, 0)
            return nothing if nothing == 0 else None
        tokens = self.needs.worst_tokens + continued
        marked = self.needs.marks_cache or bool(target.deployment.params.get(PROMPT_CACHE))
        caches = marked or target.vendor.billing.writes_cache
        tiers, fees = self._tiers(target), self._most_fees(target)
        if tiers is None or fees is None:
            return None
        return tiers.of_length(tokens).at_most(tokens, output, caches=caches) + fees

    def _most_fees(self, target: Target) -> Decimal | None:
        """Return the dollars that tools of the vendor can cost at most, or None if some fee is unknown."""
        tools = self.needs.request.server_tools
        if not tools:
            return _ZERO
        price, total = self._price_of(target), _ZERO
        for kind, number in target.vendor.billing.most_fees(tools):
            if (fee := price.fee(kind, self.at)) is None:
                return None
            total += fee.of(number)
        return total

    def _price(self, target: Target, tokens: int, output: int, cached: int) -> Decimal | None:
        tiers = self._tiers(target)
        return None if tiers is None else tiers.of_length(tokens).of_tokens(tokens, output, cached)

    def _tiers(self, target: Target) -> TieredRates | None:
        price = self._price_of(target)
        return price.fixed or price.rates(self._prices or self._look_up())

    def _price_of(self, target: Target) -> DeploymentPrice:
        """Return the price of a target on the terms that the request selects."""
        terms = self.needs.terms_on(target)
        return target.price if terms is PLAIN else target.price.on(terms)

    def _look_up(self) -> DatedPrices:
        self._prices = prices_at(self.at)
        return self._prices


def _dollars(tiers: TieredRates | None, tokens: int, output: float) -> float | None:
    if tiers is None:
        return None
    rates = tiers.of_length(tokens) if tiers.starts else tiers.tiers[0]
    request, read, written = rates.floats
    return request + read * tokens + written * output


class ForecastTable:
    """Predictions for all targets of one decision, by place; each column is computed when first read.

    Args:
        forecast: The predictions.
        fleet: The targets, in configured order.
    """

    __slots__ = ("_costs", "_fleet", "_forecast", "_latencies", "_loads", "_outputs", "_turns", "_views")

    def __init__(self, forecast: Forecast, fleet: Fleet) -> None:
        self._forecast, self._fleet = forecast, fleet
        self._views: Sequence[HealthView] | None = None
        self._outputs: Sequence[float] | None = None
        self._latencies: Sequence[float | None] | None = None
        self._costs: Sequence[float | None] | None = None
        self._loads: Sequence[int] | None = None
        self._turns: Sequence[int] | None = None

    def views(self) -> Sequence[HealthView]:
        """Return the health of each."""
        if self._views is None:
            self._views = self._forecast.views(self._fleet)
        return self._views

    def costs(self) -> Sequence[float | None]:
        """Return the predicted dollars of each answer, or None if unknown."""
        if self._costs is None:
            self._costs = self._forecast.costs(self._fleet, self._expected())
        return self._costs

    def latencies(self) -> Sequence[float | None]:
        """Return the predicted seconds of each answer, or None if unknown."""
        if self._latencies is None:
            self._latencies = self._forecast.latencies(self._fleet, self._expected())
        return self._latencies

    def loads(self) -> Sequence[int]:
        """Return the requests in flight of each."""
        if self._loads is None:
            self._loads = self._forecast.loads(self._fleet)
        return self._loads

    def turns(self) -> Sequence[int]:
        """Return when each was last chosen, as a number that only grows; 0 if never."""
        if self._turns is None:
            self._turns = self._forecast.turns(self._fleet)
        return self._turns

    def _expected(self) -> Sequence[float]:
        if self._outputs is None:
            self._outputs = self._forecast.outputs(self._fleet)
        return self._outputs
