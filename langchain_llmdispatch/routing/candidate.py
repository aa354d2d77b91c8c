"""A deployment that may serve a request, as strategies see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.health.health import HealthView


class Foresight(Protocol):
    """What candidates ask about themselves, by rank; see `forecast.Outlook`."""

    def view(self, place: int) -> HealthView:
        """Return how the deployment is doing."""

    def cost(self, place: int) -> float | None:
        """Return the predicted dollars, or None if unknown."""

    def latency(self, place: int) -> float | None:
        """Return the predicted seconds, or None if unknown."""


class Candidate:
    """One deployment within one decision: the same however often it is asked.

    Only what a strategy reads is computed, once for all candidates.

    Args:
        target: The deployment, resolved.
        rank: Its place in configured order, from 0.
        foresight: Whom to ask for predictions.
        wait: Seconds until it may be asked (a vendor's Retry-After); 0.0 if now.
    """

    __slots__ = ("_foresight", "rank", "target", "wait")

    def __init__(self, target: Target, rank: int, foresight: Foresight, wait: float = 0.0) -> None:
        self.target, self.rank, self.wait = target, rank, wait
        self._foresight = foresight

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
        return self._foresight.view(self.rank)

    @property
    def cost_usd(self) -> float | None:
        """Predicted dollars of this request, or None if the price is unknown."""
        return self._foresight.cost(self.rank)

    @property
    def latency_s(self) -> float | None:
        """Predicted seconds of this request, or None if nothing was learned yet."""
        return self._foresight.latency(self.rank)

    def __repr__(self) -> str:
        """Name the deployment."""
        return f"<candidate {self.target.name}>"
