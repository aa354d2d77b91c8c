"""Routing strategies: how the deployments that can serve a request are ordered.

A strategy is one pure function of candidates and a source of randomness, and one line in `STRATEGIES`. It
returns the candidates, best first; those after the first one are the fallbacks. The same candidates and the
same seed give the same order.
"""

from __future__ import annotations

import inspect
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.settings import nearest

if TYPE_CHECKING:
    from langchain_llmdispatch.routing import candidate as candidate_module
    from langchain_llmdispatch.routing.candidate import Candidate
else:
    candidate_module = LateModule("langchain_llmdispatch.routing.candidate")


Order: TypeAlias = "Callable[[Sequence[Candidate], Random], Sequence[Candidate]]"
Strategy: TypeAlias = str | Mapping[str, float] | Callable[..., Any]

NEAR_BEST = 1.2
"""Deployments predicted to be at most this much slower than the fastest share its traffic."""
NEAR_BEST_SECONDS = 0.05
ABOUT = 1.0 + 1e-9
"""Tolerance of dollars that are compared as floats."""

REFERENCE_USD, REFERENCE_SECONDS, REFERENCE_IN_FLIGHT = 0.01, 5.0, 10.0
"""What counts as 1 when cost, latency and load are weighed against each other. Fixed, and not relative to the
candidates: so no candidate changes how two others compare."""


def ordered(candidates: Sequence[Candidate], rng: Random) -> Sequence[Candidate]:
    """Return the candidates as configured."""
    return candidates


def weighted(candidates: Sequence[Candidate], rng: Random) -> Sequence[Candidate]:
    """Return the candidates in random order by weight, drawn without replacement; weight 0 comes last."""
    # Efraimidis and Spirakis: the order of -log(U)/w is that of weighted draws.
    drawn = [-math.log(1.0 - rng.random()) / c.weight if c.weight else math.inf for c in candidates]
    return _by(drawn, candidates)


def round_robin(candidates: Sequence[Candidate], rng: Random) -> Sequence[Candidate]:
    """Return the candidates, least recently chosen first."""
    return _by(_column(candidates, "turns"), candidates)


def least_busy(candidates: Sequence[Candidate], rng: Random) -> Sequence[Candidate]:
    """Return the candidates, fewest requests in flight first."""
    return _by(_column(candidates, "loads"), candidates)


def lowest_latency(candidates: Sequence[Candidate], rng: Random) -> Sequence[Candidate]:
    """Return the candidates, lowest predicted latency first.

    Of those about as fast as the best two are drawn, and the less busy one comes first, so that many callers
    do not all choose the same one. A deployment that was never tried is tried once; one that was not tried
    for long is tried again, because predictions fade (see `HealthView.fresh`).
    """
    seconds = [_or_last(value) for value in _column(candidates, "latencies")]
    ranked = sorted(zip(seconds, [c.rank for c in candidates], candidates, strict=True))
    by_speed = [candidate for _, _, candidate in ranked]
    if not ranked:
        return by_speed
    if ranked[-1][0] == math.inf:
        new = next((c for time, _, c in ranked if time == math.inf and _is_new(c)), None)
        if new is not None:
            return _first(new, by_speed)
    near = bisect_right(ranked, ranked[0][0] * NEAR_BEST + NEAR_BEST_SECONDS, key=itemgetter(0))
    if near <= 1 or ranked[0][0] == math.inf:
        return by_speed
    place = int(rng.random() * near)
    other = (place + 1 + int(rng.random() * (near - 1))) % near
    loads = by_speed[0].table.loads()
    pair = [(seconds * (1 + loads[rank]), rank, c) for seconds, rank, c in (ranked[place], ranked[other])]
    return _first(min(pair)[2], by_speed)


def lowest_cost(candidates: Sequence[Candidate], rng: Random) -> Sequence[Candidate]:
    """Return the candidates, lowest predicted cost first; unknown prices come last."""
    return _by([_or_last(usd) for usd in _column(candidates, "costs")], candidates)


def _by(values: Sequence[float], candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates in the order of their values, those with the same one in configured order."""
    ranks = [candidate.rank for candidate in candidates]  # no two are the same
    return [candidate for _, _, candidate in sorted(zip(values, ranks, candidates, strict=True))]


def _column(candidates: Sequence[Candidate], name: str) -> Sequence[Any]:
    """Return one prediction of each candidate, by the name of a method of `ForecastTable`."""
    if not candidates:
        return ()
    column = getattr(candidates[0].table, name)()
    return [column[candidate.rank] for candidate in candidates]


def _is_new(candidate: Candidate) -> bool:
    health = candidate.health
    return health.calls == 0 and health.in_flight == 0


def _or_last(value: float | None) -> float:
    return math.inf if value is None else value


def _first(chosen: Candidate, rest: Sequence[Candidate]) -> list[Candidate]:
    return [chosen, *[c for c in rest if c is not chosen]]


@dataclass(frozen=True, slots=True)
class Criteria:
    """Weighted criteria with ceilings: what a mapping given as `strategy` means.

    The score of a candidate is the sum of weight x value / reference; the lowest comes first. An unknown
    price counts as the reference; an unknown latency as 0, until the deployment has been tried.

    Attributes:
        cost: Weight of predicted dollars.
        latency: Weight of predicted seconds.
        load: Weight of requests in flight.
        failures: Weight of the share of failed requests.
        max_cost_usd: Dollars above which a candidate is left out; also if its price is unknown.
        max_latency_s: Seconds above which a candidate is left out.
        max_in_flight: Requests in flight from which on a candidate is left out.
    """

    cost: float = 0.0
    latency: float = 0.0
    load: float = 0.0
    failures: float = 0.0
    max_cost_usd: float | None = None
    max_latency_s: float | None = None
    max_in_flight: float | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Criteria:
        """Return the criteria in a mapping.

        Raises:
            ConfigurationError: A criterion is unknown, or a value is not a number from 0 up.
        """
        known = tuple(cls.__dataclass_fields__)
        for word, value in given.items():
            if word not in known:
                hint = nearest(str(word), known) or f" Known: {', '.join(known)}."
                raise ConfigurationError(f"strategy: {word!r} is not a criterion.{hint}")
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise ConfigurationError(f"strategy: {word}={value!r} must be a number from 0 up.")
        return cls(**given)

    @property
    def has_ceilings(self) -> bool:
        """Whether it can leave a candidate out."""
        return any(most is not None for most in (self.max_cost_usd, self.max_latency_s, self.max_in_flight))

    def exceeded_by(self, candidate: Candidate) -> str | None:
        """Return which ceiling the candidate is above, or None."""
        if self.max_cost_usd is not None:
            usd = candidate.cost_usd
            if usd is None:
                return "its price is unknown, and max_cost_usd is set"
            if usd > self.max_cost_usd * ABOUT:
                return f"about ${usd:.6f} is above max_cost_usd={self.max_cost_usd}"
        if self.max_latency_s is not None and (candidate.latency_s or 0.0) > self.max_latency_s:
            return f"about {candidate.latency_s:.1f} s is above max_latency_s={self.max_latency_s}"
        if self.max_in_flight is not None and candidate.health.in_flight >= self.max_in_flight:
            return f"{candidate.health.in_flight} requests in flight: max_in_flight={self.max_in_flight}"
        return None

    def scores(self, candidates: Sequence[Candidate]) -> Sequence[float]:
        """Return the score of each candidate; it depends on no other one."""
        totals = [0.0] * len(candidates)
        for weight, values in (
            (self.cost, self._dollars),
            (self.latency, self._seconds),
            (self.load, self._requests),
            (self.failures, self._failed),
        ):
            if weight:
                terms = zip(totals, values(candidates), strict=True)
                totals = [total + weight * value for total, value in terms]
        return totals

    # Each criterion as a share of its reference.

    def _dollars(self, candidates: Sequence[Candidate]) -> Sequence[float]:
        costs = _column(candidates, "costs")
        return [1.0 if usd is None else usd / REFERENCE_USD for usd in costs]

    def _seconds(self, candidates: Sequence[Candidate]) -> Sequence[float]:
        latencies = zip(_column(candidates, "latencies"), candidates, strict=True)
        return [
            (0.0 if _is_new(c) else 1.0) if seconds is None else seconds / REFERENCE_SECONDS
            for seconds, c in latencies
        ]

    def _requests(self, candidates: Sequence[Candidate]) -> Sequence[float]:
        return [load / REFERENCE_IN_FLIGHT for load in _column(candidates, "loads")]

    def _failed(self, candidates: Sequence[Candidate]) -> Sequence[float]:
        views = [candidate.health for candidate in candidates]
        return [(0.0 if view.success is None else 1.0 - view.success) * view.fresh for view in views]

    def __call__(self, candidates: Sequence[Candidate], rng: Random) -> Sequence[Candidate]:
        """Return the candidates, lowest score first."""
        return _by(self.scores(candidates), candidates)


BALANCED = Criteria(cost=0.4, latency=0.4, load=0.2)

STRATEGIES: dict[str, Order] = {
    "ordered": ordered,
    "weighted": weighted,
    "round_robin": round_robin,
    "least_busy": least_busy,
    "lowest_latency": lowest_latency,
    "lowest_cost": lowest_cost,
    "balanced": BALANCED,
}

WEIGHS_COST = frozenset({"lowest_cost", "balanced"})
"""Strategies that leave a thread's deployment if another one is cheaper even with a cold cache."""


def check_strategy(value: Any) -> Strategy:
    """Return the strategy.

    Raises:
        ConfigurationError: The name is unknown, or a criterion is wrong.
    """
    if isinstance(value, str) and value not in STRATEGIES:
        hint = nearest(value, STRATEGIES) or f" Use one of {', '.join(STRATEGIES)}, or a function."
        raise ConfigurationError(f"strategy {value!r} is not known.{hint}")
    if isinstance(value, Mapping):
        Criteria.of(value)
    checked: Strategy = value  # the field's type checks the rest
    return checked


def order_of(strategy: Strategy) -> Order:
    """Return the function that a strategy stands for."""
    if isinstance(strategy, str):
        return STRATEGIES[strategy]
    return Criteria.of(strategy) if isinstance(strategy, Mapping) else _custom(strategy)


def weighs_cost(strategy: Strategy) -> bool:
    """Return whether the strategy compares costs."""
    if isinstance(strategy, Mapping):
        return bool(strategy.get("cost"))
    return isinstance(strategy, str) and strategy in WEIGHS_COST


def _custom(function: Callable[..., Any]) -> Order:
    """Return a user's function as an order; it may take the candidates alone, and leave some out."""
    alone = _takes_one(function)

    def order(candidates: Sequence[Candidate], rng: Random) -> Sequence[Candidate]:
        chosen = function(candidates) if alone else function(candidates, rng)
        chosen = [chosen] if isinstance(chosen, candidate_module.Candidate) else list(chosen)
        given = {id(candidate) for candidate in candidates}
        kept = list(dict.fromkeys(map(id, chosen)))
        if not given.issuperset(kept):
            raise ConfigurationError("strategy returned something that is not among its candidates.")
        by_id = {id(candidate): candidate for candidate in candidates}
        return [by_id[key] for key in kept]

    return order


def _takes_one(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return False
    positional = [p for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    return len(positional) == 1
