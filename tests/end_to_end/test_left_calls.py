"""Calls that were left, cut or timed out are charged with what is known of them, and not their worst case."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from langchain_llmdispatch import Budget, DispatchError
from langchain_llmdispatch.testing import FakeClock
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import MODELS, deployment, model_of

COLOURS = each("colour", ["stream", "astream"])
PRICES = {"input_price": 1, "output_price": 10}
LONG = "tell me everything " * 40


def leave(model: Any, colour: str, chunks: int) -> None:
    """Read a few chunks of a stream, and leave it."""

    async def main() -> None:
        stream = model.astream(LONG, max_tokens=50_000)
        for _ in range(chunks):
            await anext(stream)
        await stream.aclose()

    if colour == "astream":
        asyncio.run(main())
        return
    stream = model.stream(LONG, max_tokens=50_000)
    for _ in range(chunks):
        next(stream)
    stream.close()


@COLOURS
@each("vendor", sorted(MODELS))
def test_a_stream_that_is_left_is_charged_with_its_prompt_and_what_came(
    server: LoopbackServer, vendor: str, colour: str
) -> None:
    """Far below the worst case of fifty thousand tokens, and marked as an estimate."""
    clock, budget = FakeClock(), Budget(10)
    model = model_of(deployment(server, vendor, **PRICES), clock=clock, budget=budget)
    leave(model, colour, 2)
    stats, spent = model.get_stats(), budget.spent(clock.now())
    assert Decimal("0.0001") < spent < Decimal("0.002")
    assert stats.cost == stats.estimated == stats.wasted == spent
    assert budget.left(clock.now()) == 10 - spent


def test_more_that_was_streamed_costs_more(server: LoopbackServer) -> None:
    """Tokens out are counted from what was handed over."""
    costs = []
    for chunks in (2, 4):
        model = model_of(deployment(server, "openai", **PRICES))
        leave(model, "stream", chunks)
        costs.append(model.get_stats().cost)
    assert costs[0] < costs[1]


@each("vendor", ["openai", "anthropic", "google"])
def test_a_request_that_timed_out_is_charged_with_its_prompt(server: LoopbackServer, vendor: str) -> None:
    """Nothing came back; the vendor has read the prompt."""
    server.script(vendor, [Fault.stall()])
    clock, budget = FakeClock(), Budget(10)
    fields = {"clock": clock, "budget": budget, "timeout": 1, "max_retries": 0}
    model = model_of(deployment(server, vendor, **PRICES), **fields)
    with pytest.raises(DispatchError) as failed:
        model.invoke(LONG, max_tokens=50_000)
    [record] = failed.value.attempts
    assert record.cost_usd is not None
    assert Decimal(record.cost_usd) == budget.spent(clock.now()) == model.get_stats().estimated
    assert Decimal("0.0001") < Decimal(record.cost_usd) < Decimal("0.001")


@each("kind", ["rate_limit", "overloaded", "auth"])
def test_a_refused_request_costs_nothing(server: LoopbackServer, kind: str) -> None:
    """A vendor that answers with an error bills nothing."""
    server.script("openai", [Fault.error(kind)])
    clock, budget = FakeClock(), Budget(10)
    model = model_of(deployment(server, "openai", **PRICES), clock=clock, budget=budget, max_retries=0)
    with pytest.raises(DispatchError):
        model.invoke(LONG)
    assert budget.spent(clock.now()) == model.get_stats().cost == 0
