"""A deployment that may serve a request, as strategies see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from decimal import Decimal

    from langchain_llmdispatch.health import HealthView
    from langchain_llmdispatch.targets import Target


class Foresight(Protocol):
    """What a candidate asks about itself; see `forecast.Forecast`."""

    def view(self, target: Target) -> HealthView:
        """Return how the deployment is doing."""

    def cost(self, target: Target) -> Decimal | None:
        """Return the predicted dollars, or None if unknown."""

    def latency(self, target: Target, view: HealthView) -> float | None:
        """Return the predicted seconds, or None if unknown."""


class Candidate:
    """One deployment within one decision: read-only, and the same however often it is asked.

    Only what a strategy reads is computed, once.

    Args:
        target: The deployment, resolved.
        rank: Its place in configured order, from 0.
        foresight: Whom to ask for predictions.
        wait: Seconds until it may be asked (a vendor's Retry-After); 0.0 if now.
    """

    __slots__ = ("_cost", "_foresight", "_latency", "_view", "rank", "target", "wait")

    def __init__(self, target: Target, rank: int, foresight: Foresight, wait: float = 0.0) -> None:
        self.target, self.rank, self.wait = target, rank, wait
        self._foresight = foresight
        self._view: HealthView | None = None
        self._cost: tuple[float | None] | None = None
        self._latency: tuple[float | None] | None = None

    @property
    def name(self) -> str:
        """The deployment's name."""
        return self.target.name

    @property
    def vendor(self) -> str:
        """The vendor's name."""
        return self.target.vendor.name

    @property
    def model(self) -> str:
        """The vendor's model id."""
        return self.target.model

    @property
    def weight(self) -> float:
        """Its share of traffic, relative to the others'."""
        return self.target.deployment.weight

    @property
    def health(self) -> HealthView:
        """How it is doing."""
        if self._view is None:
            self._view = self._foresight.view(self.target)
        return self._view

    @property
    def cost_usd(self) -> float | None:
        """Predicted dollars of this request, or None if the price is unknown."""
        if self._cost is None:
            usd = self._foresight.cost(self.target)
            self._cost = (None if usd is None else float(usd),)
        return self._cost[0]

    @property
    def latency_s(self) -> float | None:
        """Predicted seconds of this request, or None if nothing was learned yet."""
        if self._latency is None:
            self._latency = (self._foresight.latency(self.target, self.health),)
        return self._latency[0]

    def __repr__(self) -> str:
        """Name the deployment."""
        return f"<candidate {self.target.name}>"
