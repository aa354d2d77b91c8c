"""What a request would cost and how long it would take, per deployment, as of one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmdispatch.health import UNSEEN, Health, HealthView
from langchain_llmdispatch.prices import estimate

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from langchain_llmdispatch.routing.needs import Needs
    from langchain_llmdispatch.targets import Target

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

    def __init__(self, needs: Needs, health: Health | None, now: float, at: datetime) -> None:
        self.needs, self.now, self.at = needs, now, at
        self._health = health

    def view(self, target: Target) -> HealthView:
        """Return how the deployment is doing."""
        return self._health.snapshot(target, self.now) if self._health is not None else UNSEEN

    def output_tokens(self, target: Target) -> float:
        """Return the tokens that the answer will have, as experience has it, within the limit asked for."""
        learned = self._health.expected_output(target) if self._health is not None else None
        expected, limit = (USUAL_OUTPUT if learned is None else learned), self._limit(target)
        return expected if limit is None else min(expected, limit)

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

    def worst(self, target: Target) -> Decimal | None:
        """Return the dollars that one request can cost at most, or None if that is unknown."""
        output = self.most_output(target)
        if output is None:
            # Where tokens cost nothing, their number does not matter.
            nothing = self._price(target, 1, 1, 0)
            return nothing if nothing == 0 else None
        return self._price(target, self.needs.most_tokens, output, 0)

    def _limit(self, target: Target) -> int | None:
        asked = self.needs.output_limit
        own = target.deployment.params
        return own.get("max_tokens") if asked is None and own else asked

    def _price(self, target: Target, tokens: int, output: int, cached: int) -> Decimal | None:
        deployment = target.deployment
        return estimate(
            target.vendor.catalog or target.vendor.name,
            target.model,
            tokens,
            output,
            at=self.at,
            cached_tokens=cached,
            input_price=deployment.input_price,
            output_price=deployment.output_price,
            base_url=target.endpoint.base_url,
        ).usd
