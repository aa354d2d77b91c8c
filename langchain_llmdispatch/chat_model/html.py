"""A model's display in a notebook: its deployments, how they do, their limits and prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.catalog.prices import prices_as_of
from langchain_llmdispatch.health.html import health_html
from langchain_llmdispatch.html import (
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

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from decimal import Decimal

    from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.stats.stats import Stats

_COLUMNS = (
    *("deployment", "model", "state", "limits", "context", "$/M in", "$/M out", "requests", "median"),
)


def model_html(model: DispatcherChatModel) -> Markup:
    """Return a model's deployments: who they are, how they do, their limits and prices."""
    targets, stats, now = model.deployments(), model.get_stats(), model.clock.now()
    prices = zip(
        aligned((_price(target, 1, 0, now) for target in targets), ""),
        aligned((_price(target, 0, 1, now) for target in targets), ""),
        strict=True,
    )
    rows = [_row(model, target, stats, price) for target, price in zip(targets, prices, strict=True)]
    priced = muted_line(f"prices: {prices_as_of()}") if rows else ""
    shown = table(_COLUMNS, rows, kinds="wwwwnnnnn")
    return page(heading("DispatcherChatModel", ", ".join(_facts(model))), shown, priced)


def _facts(model: DispatcherChatModel) -> list[str]:
    """Return what holds for all deployments."""
    facts = [
        f"strategy {_strategy(model.strategy)}",
        f"at most {plural(model.max_attempts, 'request')} a call",
    ]
    if model.deadline is not None:
        facts.append(f"within {seconds(model.deadline)}")
    if model.hedge_after is not None:
        facts.append(f"a second one after {seconds(model.hedge_after)}")
    if model.routes:
        facts.append("routes " + ", ".join(f"{name} ({len(to)})" for name, to in model.routes.items()))
    return facts


def _strategy(strategy: Any) -> str:
    if isinstance(strategy, str):
        return strategy
    if callable(strategy):
        return str(getattr(strategy, "__name__", "of your own"))
    return ", ".join(f"{name} {value:g}" for name, value in strategy.items())


def _row(model: DispatcherChatModel, target: Target, stats: Stats, prices: tuple[str, str]) -> Sequence[Any]:
    tally = stats.deployment_stats.get(target.name)
    window = target.facts.context_window
    health, now = model._desk.health, model.clock.monotonic()  # noqa: SLF001 - it displays what is inside
    return (
        target.name,
        Markup(f"{muted(target.vendor.name)} {text(target.model)}"),
        health_html(health.snapshot(target, now), now),
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
