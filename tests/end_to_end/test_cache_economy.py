"""The cache has a price: a thread stays where it is warm, moves when that pays, and each miss is named."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
from langchain_core.messages import HumanMessage, SystemMessage

from benchmarks.cache_economy import MODELS, TODAY, SimulatedVendor, outcomes
from langchain_llmdispatch import Deployment, DispatcherChatModel, VendorConfig
from langchain_llmdispatch.testing import FakeClock

LONG = "You are a careful agent. " * 400
THREAD: Any = {"configurable": {"thread_id": "t"}}


def _model(clock: FakeClock, vendors: dict[str, SimulatedVendor], **fields: Any) -> DispatcherChatModel:
    """Return a model on simulated vendors that cache by their documented rules."""
    configs = {}
    for name, vendor in vendors.items():
        mock = httpx.MockTransport(vendor)
        configs[name] = VendorConfig(api_key="key", http_client=httpx.Client(transport=mock))
    models = [Deployment(f"{name}:{MODELS[name]}", name=name) for name in vendors]
    return DispatcherChatModel(models=models, vendors=configs, env={}, clock=clock, max_tokens=500, **fields)


def test_an_agent_of_twenty_turns_with_an_outage() -> None:
    """At most a quarter of what it costs uncached, and 0.6 of a router that is blind to caches."""
    found = outcomes(seeds=3)
    ours = found["stays where it is warm"]
    assert ours.usd <= Decimal("0.25") * found["without caches"].usd
    assert ours.usd <= Decimal("0.6") * found["shuffled, blind to caches"].usd
    assert ours.misses == ["moved"]
    assert len(set(ours.vendors)) == 2


def test_a_miss_is_in_the_metadata_and_in_the_statistics() -> None:
    """With its cause and its dollars; `explain` shows what a warm prefix saves."""
    clock = FakeClock(date=TODAY)
    vendors = {"anthropic": SimulatedVendor("anthropic", clock, caches=True)}
    model = _model(clock, vendors, prompt_cache=True)
    history = [SystemMessage(LONG), HumanMessage("one")]
    for _ in range(2):
        history += [model.invoke(history, THREAD), HumanMessage("more")]
    [planned] = model.explain(history, THREAD).candidates
    assert planned.warm_tokens > 2000
    assert planned.warm_usd == Decimal("2.7") * planned.warm_tokens / 1_000_000
    assert "warm cache" in str(model.explain(history, THREAD))
    history[0] = SystemMessage("X" + LONG[1:])
    facts = model.invoke(history, THREAD).response_metadata["llmdispatch"]
    assert facts["cache_miss"]["cause"] == "system_changed"
    assert "character 0" in facts["cache_miss"]["detail"]
    stats = model.get_stats()
    assert (stats.cache_misses, stats.lost_cache) == (1, Decimal(facts["cache_miss"]["usd"]))
    assert list(stats.cost_by("cache_miss")) == ["system_changed"]
    assert stats.saved_cache > 0


def test_a_warm_thread_moves_only_when_that_pays() -> None:
    """Gemini is cheaper for a new thread; one that is warm at Anthropic stays, until its cache has expired."""
    clock = FakeClock(date=TODAY)
    vendors = {name: SimulatedVendor(name, clock, caches=True) for name in ("anthropic", "google")}
    model = _model(clock, vendors, prompt_cache=True, strategy="lowest_cost")
    history: list[Any] = [SystemMessage(LONG), HumanMessage("one")]
    assert model.explain(history, THREAD).candidates[0].deployment == "google"
    vendors["google"].down = True
    for _ in range(2):
        history += [model.invoke(history, THREAD), HumanMessage("more")]
    vendors["google"].down = False
    clock.advance(60)
    assert model.explain(history, THREAD).candidates[0].deployment == "anthropic"
    assert model.explain(history).candidates[0].deployment == "google"
    clock.advance(300)
    assert model.explain(history, THREAD).candidates[0].deployment == "google"
