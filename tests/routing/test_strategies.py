"""Strategies: each is a pure function of candidates and a seed; properties for all, examples for each."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.health.view import HealthView
from langchain_llmdispatch.routing.candidate import Candidate
from langchain_llmdispatch.routing.strategies import (
    BALANCED,
    STRATEGIES,
    Criteria,
    check_strategy,
    order_of,
    weighs_cost,
)
from tests.cases import each
from tests.targets import target

FLEET = [target(f"d{n}", weight=w) for n, w in enumerate((1, 3, 0, 2, 1, 5, 1, 1))]


@dataclass
class Known:
    """Predictions by rank, as a `ForecastTable` has them."""

    healths: list[HealthView] = field(default_factory=list)
    dollars: list[float | None] = field(default_factory=list)

    def views(self) -> list[HealthView]:
        """Return the health of each."""
        return self.healths

    def costs(self) -> list[float | None]:
        """Return the price of each."""
        assert self.dollars
        return self.dollars

    def latencies(self) -> list[float | None]:
        """Return the speed of each, for an answer of 100 tokens."""
        return [view.latency(100) for view in self.healths]

    def loads(self) -> list[int]:
        """Return the requests in flight of each."""
        return [view.in_flight for view in self.healths]

    def turns(self) -> list[int]:
        """Return when each was last chosen."""
        return [view.turn for view in self.healths]


def candidates(*known: tuple[HealthView, float | None]) -> list[Candidate]:
    """Return candidates with these healths and prices."""
    table = Known([view for view, _ in known], [usd for _, usd in known])
    return [Candidate(where, n, table) for n, where in enumerate(FLEET[: len(known)])]


def seen(ttft: float, **fields: object) -> HealthView:
    """Return the health of a deployment that was tried before."""
    return HealthView(**{"ttft": ttft, "calls": 9, "samples": 9, "idle": 1.0, **fields})


def names(order: Sequence[Candidate]) -> list[str]:
    """Return the names in order."""
    return [candidate.name for candidate in order]


VIEWS = st.builds(
    HealthView,
    in_flight=st.integers(0, 9),
    success=st.none() | st.floats(0, 1),
    ttft=st.none() | st.floats(0.01, 20),
    seconds_per_token=st.none() | st.floats(0, 0.2),
    calls=st.integers(0, 3),
    idle=st.none() | st.floats(0, 1000),
    turn=st.integers(0, 99),
    floor=st.floats(0, 30),
    fresh=st.floats(0, 1),
)
KNOWN = st.lists(st.tuples(VIEWS, st.none() | st.floats(0, 1)), min_size=1, max_size=len(FLEET))
MIXED = {"cost": 0.5, "latency": 0.3, "load": 0.1, "failures": 0.1}
ALL = [*STRATEGIES, MIXED, lambda found: found[::-1]]


@pytest.mark.parametrize("strategy", ALL, ids=lambda s: s if isinstance(s, str) else type(s).__name__)
@given(known=KNOWN, seed=st.integers(0, 2**32))
def test_every_strategy_is_a_pure_permutation(strategy: object, known: list, seed: int) -> None:
    """Each candidate is in the order once; the same seed gives the same order; the input is not changed."""
    order, given_in = order_of(strategy), candidates(*known)
    before = list(given_in)
    first = order(given_in, random.Random(seed))
    assert sorted(names(first)) == sorted(names(before))
    assert given_in == before
    assert names(order(candidates(*known), random.Random(seed))) == names(first)


def test_ordered_keeps_the_configured_order() -> None:
    """Nothing moves."""
    assert names(STRATEGIES["ordered"](candidates(*[(seen(1), 1)] * 4), random.Random(1))) == [
        "d0",
        "d1",
        "d2",
        "d3",
    ]


def test_weighted_draws_by_weight_and_zero_comes_last() -> None:
    """First places are shared 1 : 3 : 0 : 2; the place after a draw is drawn from the rest."""
    rng, found = random.Random(11), candidates(*[(seen(1), 1)] * 4)
    orders = [names(STRATEGIES["weighted"](found, rng)) for _ in range(6000)]
    first = Counter(order[0] for order in orders)
    assert [round(first[name] / 1000) for name in ("d0", "d1", "d2", "d3")] == [1, 3, 0, 2]
    assert {order[-1] for order in orders} == {"d2"}


def test_round_robin_chooses_the_least_recently_chosen() -> None:
    """Never chosen comes first, then the longest ago."""
    found = candidates((seen(1, turn=5), 1), (seen(1, turn=3), 1), (seen(1), 1), (seen(1, turn=4), 1))
    assert names(STRATEGIES["round_robin"](found, random.Random(1))) == ["d2", "d1", "d3", "d0"]


def test_least_busy_chooses_the_fewest_requests_in_flight() -> None:
    """Ties are in configured order."""
    found = candidates((seen(1, in_flight=2), 1), (seen(1), 1), (seen(1, in_flight=1), 1), (seen(1), 1))
    assert names(STRATEGIES["least_busy"](found, random.Random(1))) == ["d1", "d3", "d2", "d0"]


def test_lowest_cost_puts_unknown_prices_last_and_free_ones_first() -> None:
    """An unknown price is not a low one."""
    found = candidates((seen(1), 0.02), (seen(1), None), (seen(1), 0.0), (seen(1), 0.01))
    assert names(STRATEGIES["lowest_cost"](found, random.Random(1))) == ["d2", "d3", "d0", "d1"]


def test_lowest_latency_shares_among_the_fast_and_never_tries_the_slow() -> None:
    """Those about as fast as the best share the traffic as they get busy; a slow one gets none of it."""
    busy, first = Counter[str](), Counter[str]()
    rng = random.Random(1)
    for _ in range(60):
        views = [(seen(s, in_flight=busy[f"d{n}"]), 1.0) for n, s in enumerate((50.0, 0.5, 0.51, 0.52))]
        chosen = names(STRATEGIES["lowest_latency"](candidates(*views), rng))[0]
        first[chosen] += 1
        busy[chosen] += 1
    assert set(first) == {"d1", "d2", "d3"}
    assert min(first.values()) >= 15


def test_lowest_latency_prefers_the_less_busy_of_two_as_fast() -> None:
    """Of the pair that is drawn, the one with fewer requests in flight comes first."""
    found = candidates((seen(0.5, in_flight=7), 1), (seen(0.52), 1))
    for seed in range(50):
        assert names(STRATEGIES["lowest_latency"](found, random.Random(seed)))[0] == "d1"


def test_lowest_latency_tries_the_new_once() -> None:
    """One that was never tried comes first until it is tried; while its first request is in flight it waits."""
    new, busy, failed = HealthView(), HealthView(in_flight=1), HealthView(calls=1, idle=1.0)
    for view, first in ((new, "d1"), (busy, "d0"), (failed, "d0")):
        order = names(STRATEGIES["lowest_latency"](candidates((seen(0.5), 1), (view, 1)), random.Random(1)))
        assert order[0] == first


def test_lowest_latency_draws_only_from_the_near_best() -> None:
    """The drawn one is about as fast as the best, even if slower ones are idle."""
    busy = {0.5: 5, 0.52: 4, 0.54: 3}
    found = candidates(*[(seen(s, in_flight=busy.get(s, 0)), 1) for s in (4.0, 0.5, 0.52, 9.0, 0.54)])
    first = {names(STRATEGIES["lowest_latency"](found, random.Random(seed)))[0] for seed in range(60)}
    assert first == {"d2", "d4"}


@each("strategy", ["lowest_latency", "balanced", {"latency": 1}, {"failures": 1}])
def test_a_bad_deployment_is_tried_again_once_its_estimate_has_faded(strategy: object) -> None:
    """While fresh it comes last; when almost nothing of it counts any more, it comes first."""
    bad, good = seen(8.0, success=0.2), seen(0.5, success=0.9)
    for fresh, first in ((1.0, "d1"), (0.001, "d0")):
        found = candidates((bad._replace(fresh=fresh), 0.001), (good, 0.001))
        assert names(order_of(strategy)(found, random.Random(1)))[0] == first


@given(known=KNOWN, extra=st.tuples(VIEWS, st.none() | st.floats(0, 1e6)), seed=st.integers(0, 99))
def test_an_absurd_candidate_reorders_no_others(known: list, extra: tuple, seed: int) -> None:
    """Scores are relative to fixed references: other candidates change nothing between two."""
    known = known[: len(FLEET) - 1]
    for strategy in (BALANCED, Criteria.of(MIXED)):
        alone = names(strategy(candidates(*known), random.Random(seed)))
        joined = names(strategy(candidates(*known, extra), random.Random(seed)))
        assert [name for name in joined if name != FLEET[len(known)].name] == alone


def test_balanced_weighs_cost_against_time() -> None:
    """A cheap slow one loses to a slightly dearer fast one; a very dear one loses to both."""
    found = candidates((seen(20.0), 0.001), (seen(1.0), 0.004), (seen(0.5), 0.2))
    assert names(STRATEGIES["balanced"](found, random.Random(1))) == ["d1", "d0", "d2"]


def test_ceilings_leave_out_with_a_reason() -> None:
    """Too expensive, too slow, too busy and of unknown price are left out; of unknown latency is not."""
    criteria = Criteria.of({"cost": 1, "max_cost_usd": 0.01, "max_latency_s": 5, "max_in_flight": 3})
    assert criteria.exceeded_by(candidates((seen(5.0), 0.01))[0]) is None  # a ceiling is not above itself
    found = candidates(
        (seen(1.0), 0.02),
        (seen(9.0), 0.001),
        (seen(1.0, in_flight=3), 0.001),
        (seen(1.0), None),
        (HealthView(), 0),
    )
    reasons = [criteria.exceeded_by(candidate) for candidate in found]
    assert [reason is None for reason in reasons] == [False, False, False, False, True]
    assert "max_cost_usd" in reasons[0]
    assert "max_latency_s" in reasons[1]


def test_a_callable_may_take_one_or_two_arguments_and_leave_some_out() -> None:
    """It gets the candidates, and the source of randomness if it has a second parameter."""
    found = candidates(*[(seen(1), 1)] * 3)
    assert names(order_of(lambda c: c[1])(found, random.Random(1))) == ["d1"]
    assert names(order_of(lambda c, rng: rng.sample(list(c), 2))(found, random.Random(1))) == ["d0", "d2"]
    with pytest.raises(ConfigurationError, match="not among its candidates"):
        order_of(lambda c: [candidates((seen(1), 1))[0]])(found, random.Random(1))


@given(
    known=KNOWN, seed=st.integers(0, 99), most=st.tuples(st.floats(0, 1), st.floats(0, 20), st.integers(0, 9))
)
def test_no_candidate_above_a_ceiling_is_tried(known: list, seed: int, most: tuple) -> None:
    """Ceilings are hard: a candidate above one is left out whatever its score; others are not."""
    usd, seconds, busy = most
    criteria = Criteria.of({"cost": 1, "max_cost_usd": usd, "max_latency_s": seconds, "max_in_flight": busy})
    for candidate in criteria(candidates(*known), random.Random(seed)):
        cost, time = candidate.cost_usd, candidate.latency_s
        fits = cost is not None and cost <= usd and (time is None or time <= seconds)
        assert (criteria.exceeded_by(candidate) is None) == (fits and candidate.health.in_flight < busy)


@each(
    ("wrong", "message"),
    [
        ("lowest_cots", "Did you mean 'lowest_cost'"),
        ({"costs": 1}, "Did you mean 'cost'"),
        ({"cost": -1}, "cost=-1"),
        ({"cost": True}, "cost=True"),
        ({"max_latency_s": float("nan")}, "max_latency_s"),
    ],
)
def test_wrong_strategies_are_named(wrong: object, message: str) -> None:
    """A misspelt name or criterion, or a wrong number, is named in the error."""
    with pytest.raises(ConfigurationError, match=message):
        check_strategy(wrong)


def test_strategies_that_compare_costs() -> None:
    """A thread moves to a cheaper deployment only where cost is a criterion."""
    assert [weighs_cost(s) for s in ("lowest_cost", "balanced", "ordered", {"cost": 1}, {"latency": 1})] == [
        True,
        True,
        False,
        True,
        False,
    ]


def test_what_a_strategy_does_not_read_is_not_computed() -> None:
    """A strategy that reads no price computes none."""
    table = Known([seen(1)] * len(FLEET))
    found = [Candidate(where, n, table) for n, where in enumerate(FLEET)]  # it has no prices to give
    assert len(STRATEGIES["round_robin"](found, random.Random(1))) == len(FLEET)
