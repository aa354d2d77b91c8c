"""`Fleet`: what is kept of the same targets from one decision to the next is what each of them would show."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

from langchain_llmdispatch.catalog.price_list import prices_at
from langchain_llmdispatch.routing.fleet import Fleet
from langchain_llmdispatch.routing.needs import Needs
from langchain_llmdispatch.routing.router import Router
from tests.cases import each
from tests.routing.decisions import BLIND, FLEET, IMAGE, PRICED, SEARCH
from tests.targets import NOON, request, routing, target

SHORT = target("short", params={"max_tokens": 7})
SMALL = target("small", "compatible:own", base_url="http://127.0.0.1:9/v1", profile={"max_input_tokens": 900})
MUTE = target("mute", "compatible:mute", base_url="http://127.0.0.1:9/v1", profile={"tool_calling": False})
ALL = (*FLEET, BLIND, *PRICED, SHORT, SMALL, MUTE)


@given(
    among=st.lists(st.sampled_from(ALL), min_size=1, max_size=4),
    length=st.sampled_from([1, 900, 8_000, 600_000, 9_000_000]),
    limit=st.none() | st.sampled_from([5, 5_000, 70_000, 900_000]),
    tools=st.booleans(),
)
def test_what_meets_the_needs_as_a_whole_meets_them_one_by_one(
    among: list, length: int, limit: int | None, *, tools: bool
) -> None:
    """No target of a fleet lacks anything that the fleet as a whole does not."""
    params = {} if limit is None else {"max_tokens": limit}
    needs = Needs(request("x" * length, params=params, tools=(SEARCH,) if tools else ()))
    fleet = Fleet(among)
    if fleet.meets(needs):
        assert [needs.unmet_by(one) for one in among] == [None] * len(among)
    limits = [needs.output_limit_on(one) for one in among]
    assert list(fleet.limits(needs) or [None] * len(among)) == limits


@each("among, given", [(FLEET, {}), (FLEET, {"tools": (SEARCH,)}), ((BLIND, SMALL), {}), (PRICED, {})])
def test_common_needs_are_met_at_a_glance(among: tuple, given: dict[str, Any]) -> None:
    """A short request needs no look at each target."""
    assert Fleet(among).meets(Needs(request(**given)))


@each("given", ["text", "tools"])
def test_a_target_that_may_lack_something_is_looked_at(given: str) -> None:
    """The fleet does not say which one lacks it."""
    needs = Needs(request("x" * 9_000) if given == "text" else request(tools=(SEARCH,)))
    assert not Fleet((*FLEET, SMALL if given == "text" else MUTE)).meets(needs)


def test_media_are_looked_at() -> None:
    """Kinds of media differ."""
    assert not Fleet(FLEET).meets(Needs(request([HumanMessage(IMAGE)])))


def test_rates_are_read_once_per_price_list() -> None:
    """They are those of each target."""
    fleet, dated = Fleet(PRICED), prices_at(NOON)
    rates = fleet.rates(dated)
    assert rates is fleet.rates(dated)
    assert rates == [one.price.rates_at(NOON) for one in PRICED]


def test_a_router_keeps_the_fleets_of_its_routes() -> None:
    """Other targets are another fleet, also where one has gone and its place in memory is taken."""
    router = Router("lowest_cost")
    for among in (FLEET, PRICED, FLEET, *[(one,) for one in PRICED] * 40):
        chosen = router.decide(routing(among)).targets
        assert set(map(id, chosen)) == set(map(id, among))
    assert len(router._fleets) <= 64
