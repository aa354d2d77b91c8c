"""A target that may serve a request, as strategies see it."""

from __future__ import annotations

from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.health.view import HealthView
from langchain_llmdispatch.routing.forecast import ForecastTable


class Candidate:
    """One target within one decision; its values do not change while it lasts.

    Only what a strategy reads is computed, once for all candidates.

    Args:
        target: The target.
        rank: Its place in configured order, from 0.
        table: Predictions by rank.

    Attributes:
        table: Predictions by rank, a column for each kind.
        wait: Seconds until it may be tried (a cooldown); 0.0 if now.
        probes: Whether the next request to it shows whether it has recovered.
    """

    wait = 0.0
    probes = False

    def __init__(self, target: Target, rank: int, table: ForecastTable) -> None:
        self.target, self.rank, self.table = target, rank, table

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
        """Its health."""
        return self.table.views()[self.rank]

    @property
    def cost_usd(self) -> float | None:
        """Predicted dollars of this request, or None if the price is unknown."""
        return self.table.costs()[self.rank]

    @property
    def latency_s(self) -> float | None:
        """Predicted seconds of this request, or None if nothing was learned yet."""
        return self.table.latencies()[self.rank]

    def __repr__(self) -> str:
        """Name the deployment."""
        return f"<candidate {self.target.name}>"
