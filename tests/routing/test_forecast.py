"""Forecasts: worst cases."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from langchain_core.messages import HumanMessage

from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.health.view import HealthView
from langchain_llmdispatch.routing.fleet import Fleet
from langchain_llmdispatch.routing.forecast import ForecastTable
from langchain_llmdispatch.types import ToolSpec
from tests.targets import learn, request, routing, target, targets


def test_the_worst_case_includes_writing_to_the_cache() -> None:
    """Marked prompts may cost twice at Anthropic (an hour's cache), as much as the usage would; others not."""
    claude, text = target("c", "anthropic:claude-haiku-4-5"), "x" * 40_000
    marked = {"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    plain = {"type": "text", "text": text}
    tool = ToolSpec("t", "", {}, extras={"cache_control": {"type": "ephemeral"}})

    def worst(block: dict[str, Any], **more: Any) -> Decimal:
        given = request([HumanMessage([block])], params={"max_tokens": 1}, **more)
        found = routing([claude], given).forecast.worst(claude)
        assert found is not None
        return found

    assert 1.99 < worst(marked) / worst(plain) <= 2
    assert worst(plain, tools=[tool]) > worst(plain) * 19 / 10
    assert worst(plain, extra={"cache_control": {"type": "ephemeral"}}) == worst(marked)


def test_a_warm_cache_lowers_the_cost_and_unknown_prices_have_none() -> None:
    """Cached tokens are priced as such from 1,024 on; without a price there is no cost."""
    claude, given = target("c", "anthropic:claude-haiku-4-5"), request("x" * 40_000)
    forecast = routing([claude], given).forecast
    cold, warm, short = (forecast.cost(claude, cached_tokens=tokens) for tokens in (0, 9000, 1000))
    assert cold is not None
    assert warm is not None
    assert warm < cold / 3
    assert short == cold
    unpriced = target("u", "compatible:some", base_url="http://127.0.0.1/v1")
    assert routing([unpriced], given).forecast.cost(unpriced) is None


def test_the_expected_output_is_learned_within_the_limit() -> None:
    """256 tokens at first, then the average of the deployment, else of all; never above `max_tokens`."""
    a, b = targets("a", "b")
    assert routing([a]).forecast.outputs(Fleet([a])) == [256]
    health = Health()
    learn(health, a, latency=1.0, tokens=40)
    assert routing([a, b], health=health).forecast.outputs(Fleet([a, b])) == [40, 40]
    short = request(params={"max_tokens": 10})
    assert routing([a, b], short, health=health).forecast.outputs(Fleet([a, b])) == [10, 10]


def test_a_table_reads_each_column_once_and_only_if_it_is_used() -> None:
    """Health is read once for all targets, however many values follow."""
    fleet = targets("a", "b", "c")

    class Counted(Health):
        reads = 0

        def snapshots(self, among: Iterable[Target], now: float) -> list[HealthView]:
            self.reads += 1
            return super().snapshots(among, now)

    health = Counted()
    table = ForecastTable(routing(fleet, health=health).forecast, Fleet(fleet))
    assert health.reads == 0
    assert len(table.costs()) == len(table.latencies()) == 3
    assert health.reads == 0
    assert table.views() is table.views()
    assert health.reads == 1
