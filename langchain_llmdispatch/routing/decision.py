"""What one routing decision depends on, and what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from random import Random
from typing import Literal, NamedTuple, TypeAlias

from langchain_llmdispatch.budgets.call_budget import Worst
from langchain_llmdispatch.catalog.prices import Cost
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.errors import BudgetExceededError, DispatchError, NoDeploymentError
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.routing.affinity import Affinity
from langchain_llmdispatch.routing.forecast import Forecast
from langchain_llmdispatch.routing.needs import Needs
from langchain_llmdispatch.routing.rules import RoutingRule
from langchain_llmdispatch.routing.warmth import Warmth
from langchain_llmdispatch.types import ChatRequest

ExclusionKind: TypeAlias = Literal[
    "vendor", "unfit", "doubt", "budget", "health", "ceiling", "strategy", "key"
]


class Exclusion(NamedTuple):
    """A deployment that was left out.

    Attributes:
        deployment: Its name.
        kind: A stable word for the reason.
        reason: The reason, in words.
    """

    deployment: str
    kind: ExclusionKind
    reason: str


@dataclass(eq=False)
class RoutingRequest:
    """Everything one decision depends on.

    Attributes:
        request: The request.
        targets: The targets that the call may use, in configured order.
        rng: The source of randomness.
        now: The moment, in the clock's monotonic seconds.
        at: The same moment by the calendar, for prices.
        health: The health of the deployments, or None.
        model: The model, route or deployment that the call names, for rules.
        allowed_vendors: The only vendors that this run allows, or None.
        thread: The id of the conversation, or None.
        limit: Dollars that the call may cost in the worst case, or None.
        left_on: Returns what a request to a target may cost at worst; None without budgets.
        cheaper: Whether cheaper deployments are preferred, since a budget is nearly spent.
        longest_wait: Seconds of a cooldown that are worth waiting for.
        patience: Seconds of a cooldown that the call waits for its first choice, though others are available.
        affinity: Which deployment answered which thread last.
        warmth: What prompt caches hold of which thread; None if that is not known.
        pool: All targets that rules may name.
        routes: Targets by route, for rules.
    """

    request: ChatRequest
    targets: Sequence[Target]
    rng: Random
    now: float
    at: datetime
    health: Health | None = None
    model: str = ""
    allowed_vendors: Sequence[str] | None = None
    thread: str | None = None
    limit: Decimal | None = None
    left_on: Callable[[Target], Worst] | None = None
    cheaper: bool = False
    longest_wait: float = 60.0
    patience: float = 0.0
    affinity: Affinity | None = None
    warmth: Warmth | None = None
    pool: Sequence[Target] = ()
    routes: Mapping[str, Sequence[Target]] = field(default_factory=dict)

    @cached_property
    def needs(self) -> Needs:
        """What the request needs of a deployment; read off it when first used."""
        return Needs(self.request)

    @cached_property
    def forecast(self) -> Forecast:
        """Predictions as of `now`."""
        return Forecast(self.needs, self.health, self.now, self.at)

    def estimate(self, attempt: Attempt) -> Cost:
        """Return the cost of a request whose vendor did not report its usage; see `routing/unreported.py`."""
        from langchain_llmdispatch.routing.unreported import estimated_cost

        return estimated_cost(attempt, self.needs)

    def warm_tokens(self, target: Target) -> int:
        """Return how many tokens of the prompt a target's cache holds, by what vendors reported."""
        if self.warmth is None:
            return 0
        return self.warmth.tokens_on(self.thread, target, self.now, self.needs.prefix_tokens)

    @property
    def bounded(self) -> bool:
        """Whether something bounds what the call may cost."""
        return self.limit is not None or self.left_on is not None

    def left(self, target: Target) -> Worst:
        """Return what a request to a target may cost at worst; None where nothing bounds it."""
        return Worst(self.limit, None) if self.left_on is None else self.left_on(target)

    def worst(self, target: Target, *, continued: int = 0) -> Worst:
        """Return what one request to `target` can cost at most; see `Forecast.worst`."""
        usd = self.forecast.worst(target, continued=continued)
        most = self.forecast.most_output(target)
        return Worst(usd, None if most is None else self.needs.worst_tokens + continued + most)


forks.renew_properties(RoutingRequest)


class Decision(NamedTuple):
    """The targets that a call tries, in order, and those that it does not.

    Attributes:
        targets: What to try, best first; the last resorts at the end.
        waits: Seconds until each may be tried, in the same order; empty if all may be now.
        excluded: What was left out, with reasons.
        rule: The rule that matched, or None.
        pinned: Why the first one stays where it was: `tool loop` or `thread`; empty if it does not.
        last_resorts: How many of the last targets have an open breaker: they are tried before the call fails.
    """

    targets: Sequence[Target]
    waits: Sequence[float] = ()
    excluded: Sequence[Exclusion] = ()
    rule: RoutingRule | None = None
    pinned: str = ""
    last_resorts: int = 0

    def error(self) -> DispatchError:
        """Return the error of a decision without targets."""
        if not self.excluded:
            return NoDeploymentError("there is no deployment")
        listed = "; ".join(f"{each.deployment}: {each.reason}" for each in self.excluded)
        if any(each.kind == "budget" for each in self.excluded):
            return BudgetExceededError(f"no deployment's worst case fits the budget: {listed}")
        return NoDeploymentError(f"no deployment can serve this request: {listed}")
