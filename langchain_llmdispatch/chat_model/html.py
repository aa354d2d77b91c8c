"""A model as HTML for notebooks: its deployments with their state, limits and prices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from langchain_llmdispatch.catalog.price_list import prices_as_of
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.config.schema import ModelFields
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.health.html import health_html
from langchain_llmdispatch.internal.html import (
    NOTHING,
    Markup,
    aligned,
    count,
    heading,
    muted,
    muted_line,
    page,
    plural,
    seconds,
    table,
    text,
)
from langchain_llmdispatch.stats.stats import Stats

_COLUMNS = (
    *("deployment", "model", "state", "limits", "context", "$/M in", "$/M out", "requests", "median"),
)


def model_html(
    fields: ModelFields, targets: Sequence[Target], stats: Stats, health: Health, clock: Clock
) -> Markup:
    """Return the deployments of a model as HTML: their state, limits, prices and requests.

    Args:
        fields: The model's configuration.
        targets: Its deployments.
        stats: Its statistics.
        health: The state of the deployments.
        clock: The source of time.
    """
    now = clock.now()
    input_prices = aligned((_price(target, 1, 0, now) for target in targets), "")
    output_prices = aligned((_price(target, 0, 1, now) for target in targets), "")
    moment = clock.monotonic()
    rows = [
        _row(target, stats, health_html(health.snapshot(target, moment), moment), prices)
        for target, *prices in zip(targets, input_prices, output_prices, strict=True)
    ]
    source = muted_line(f"prices: {prices_as_of()}") if rows else ""
    summary = ", ".join(_summary(fields))
    return page(heading("DispatcherChatModel", summary), table(_COLUMNS, rows, kinds="wwwwnnnnn"), source)


def _summary(fields: ModelFields) -> list[str]:
    """Return what holds for all deployments."""
    facts = [
        f"strategy {_strategy(fields.strategy)}",
        f"at most {plural(fields.max_attempts, 'request')} a call",
    ]
    if fields.deadline is not None:
        facts.append(f"within {seconds(fields.deadline)}")
    if fields.hedge_after is not None:
        facts.append(f"a second one after {seconds(fields.hedge_after)}")
    if fields.routes:
        facts.append("routes " + ", ".join(f"{name} ({len(to)})" for name, to in fields.routes.items()))
    return facts


def _strategy(strategy: Any) -> str:
    if isinstance(strategy, str):
        return strategy
    if callable(strategy):
        return str(getattr(strategy, "__name__", "of your own"))
    return ", ".join(f"{name} {value:g}" for name, value in strategy.items())


def _row(target: Target, stats: Stats, state: Markup, prices: Sequence[str]) -> Sequence[Any]:
    tally = stats.deployment_stats.get(target.name)
    window = target.facts.context_window
    return (
        target.name,
        Markup(f"{muted(target.vendor.name)} {text(target.model)}"),
        state,
        _limits(target),
        count(window) if window else None,
        *prices,
        count(tally.requests) if tally else 0,
        seconds(tally.p50_latency if tally and tally.successes else None),
    )


def _limits(target: Target) -> str:
    own, shared = target.deployment, target.config
    limits = {"rpm": own.rpm or shared.rpm, "tpm": own.tpm or shared.tpm, "at once": own.max_concurrency}
    return ", ".join(f"{count(round(limit))} {name}" for name, limit in limits.items() if limit) or NOTHING


def _price(target: Target, input_tokens: int, output_tokens: int, at: datetime) -> Decimal | None:
    """Return USD per million tokens of a short prompt."""
    cost = target.price.estimate(input_tokens, output_tokens, at)
    return None if cost.usd is None else cost.usd * 1_000_000
