"""Prometheus: a real scrape of what happened, with bounded labels."""

from __future__ import annotations

import asyncio

import prometheus_client as prometheus
import pytest
from langchain_core.language_models import FakeListLLM

from langchain_llmdispatch.telemetry import PrometheusCallbackHandler
from langchain_llmdispatch.telemetry.prometheus import MOST_DEPLOYMENTS
from tests.callbacks.handlers import COLOURS
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of
from tests.telemetry.scraping import scrape


def test_other_models_of_a_chain_do_not_unsettle_the_gauge() -> None:
    """A completion model, which begins by another event, ends without calls in flight below zero."""
    registry = prometheus.CollectorRegistry()
    FakeListLLM(responses=["hi"]).invoke("x", {"callbacks": [PrometheusCallbackHandler(registry=registry)]})
    assert scrape(registry)["llmdispatch_calls_in_flight"] == 0


@pytest.mark.parametrize("colour", ["invoke", "astream"])
def test_prometheus_scrapes_what_happened(server: LoopbackServer, colour: str) -> None:
    """Requests, errors, retries, fallbacks, tokens and dollars are in a real scrape."""
    server.script("openai", [Fault.error("overloaded")] * 3)
    registry = prometheus.CollectorRegistry()
    prices = {"input_price": 1, "output_price": 1}
    model = model_of(
        deployment(server, "openai", **prices),
        deployment(server, "anthropic", **prices),
        callbacks=[PrometheusCallbackHandler(registry=registry)],
    )
    COLOURS[colour][1](model, {})
    samples = scrape(registry)
    first = 'deployment="openai",model="gpt-5.4-mini"'
    second = 'deployment="anthropic",model="claude-haiku-4-5"'
    failed = f'llmdispatch_requests_total{{{first},outcome="OverloadedError",vendor="openai"}}'
    assert samples[failed] == 3
    assert samples[f'llmdispatch_retries_total{{{first},vendor="openai"}}'] == 2
    assert samples[f'llmdispatch_fallbacks_total{{{second},vendor="anthropic"}}'] == 1
    reported = server.usage()["anthropic"]
    tokens = (
        f'llmdispatch_tokens_total{{{second.replace(",model", ",kind=%output%,model")},vendor="anthropic"}}'
    )
    assert samples[tokens.replace("%", '"')] == reported.output_tokens
    dollars = samples[f'llmdispatch_cost_usd_total{{{second},vendor="anthropic"}}']
    assert dollars == pytest.approx((reported.input_tokens + reported.output_tokens) / 1e6)
    assert samples['llmdispatch_calls_total{outcome="ok"}'] == 1
    assert samples["llmdispatch_calls_in_flight"] == 0
    assert samples[f'llmdispatch_request_seconds_count{{{second},vendor="anthropic"}}'] == 1


def test_prometheus_labels_are_bounded() -> None:
    """Beyond the bound deployments share one label."""
    registry = prometheus.CollectorRegistry()
    handler = PrometheusCallbackHandler(registry=registry)
    for n in range(MOST_DEPLOYMENTS + 30):
        handler.on_custom_event("llmdispatch.retry", {"vendor": "v", "model": "m", "deployment": f"d{n}"})
    samples = scrape(registry)
    retried = {name: value for name, value in samples.items() if name.startswith("llmdispatch_retries_total")}
    assert len(retried) == MOST_DEPLOYMENTS + 1
    assert max(retried.values()) == 30


def test_a_notebook_s_cell_may_run_again(server: LoopbackServer) -> None:
    """A second handler on the same registry shares its metrics instead of failing."""
    registry = prometheus.CollectorRegistry()
    for _ in range(2):
        handler = PrometheusCallbackHandler(registry=registry)
        asyncio.run(model_of(deployment(server, "openai")).ainvoke("hello", {"callbacks": [handler]}))
    assert scrape(registry)['llmdispatch_calls_total{outcome="ok"}'] == 2


@each("colour", ["ainvoke", "astream"])
@each("hedges", [None, 0.01])
def test_a_cancelled_call_is_in_flight_no_more(
    server: LoopbackServer, colour: str, hedges: float | None
) -> None:
    """The gauge is back at 0, a race of two requests included."""
    for vendor in ("openai", "anthropic"):
        server.script(vendor, [Fault.slow_head(60)])
    registry = prometheus.CollectorRegistry()
    model = model_of(
        deployment(server, "openai"),
        deployment(server, "anthropic"),
        callbacks=[PrometheusCallbackHandler(registry=registry)],
        hedge_after=hedges,
    )

    async def call() -> None:
        if colour == "ainvoke":
            await model.ainvoke("hello")
        else:
            _ = [chunk async for chunk in model.astream("hello")]

    async def main() -> None:
        task = asyncio.create_task(call())
        while len(server.requests) < (1 if hedges is None else 2):
            await asyncio.sleep(0.001)
        assert scrape(registry)["llmdispatch_calls_in_flight"] == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    samples = scrape(registry)
    assert samples["llmdispatch_calls_in_flight"] == 0
    assert sum(value for name, value in samples.items() if name.startswith("llmdispatch_calls_total")) == 1
