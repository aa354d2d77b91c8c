"""A model's display in a notebook: its deployments, how they do, their limits and prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.display import (
    BAD,
    GOOD,
    NOTHING,
    QUIET,
    WARN,
    Markup,
    count,
    dot,
    heading,
    page,
    quiet,
    seconds,
    table,
)
from langchain_llmdispatch.prices import estimate, prices_as_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from langchain_llmdispatch.chat_model import DispatcherChatModel
    from langchain_llmdispatch.stats import Stats
    from langchain_llmdispatch.targets import Target


def model_html(model: DispatcherChatModel) -> Markup:
    """Return a model's deployments: who they are, how they do, their limits and prices."""
    stats = model.get_stats()
    rows = [_row(model, target, stats) for target in model.deployments()]
    columns = (
        *("deployment", "vendor and model", "state", "limits"),
        *("context", "$/M in", "$/M out", "requests", "median"),
    )
    facts = [f"strategy {_strategy(model.strategy)}", f"at most {model.max_attempts} requests a call"]
    if model.deadline is not None:
        facts.append(f"within {seconds(model.deadline)}")
    if model.routes:
        facts.append("routes " + ", ".join(model.routes))
    priced = quiet(f"prices: {prices_as_of()}") if rows else ""
    return page(heading("DispatcherChatModel", ", ".join(facts)), table(columns, rows, words=4), priced)


def _strategy(strategy: Any) -> str:
    if isinstance(strategy, str):
        return strategy
    if callable(strategy):
        return str(getattr(strategy, "__name__", "of your own"))
    return ", ".join(f"{name} {value:g}" for name, value in strategy.items())


def _row(model: DispatcherChatModel, target: Target, stats: Stats) -> Sequence[Any]:
    tally = stats.deployment_stats.get(target.name)
    window = target.facts.context_window
    now = model.clock.now()
    return (
        target.name,
        f"{target.vendor.name} {target.model}",
        _state(model, target),
        _limits(target),
        count(window) if window else None,
        _price(target, 1, 0, now),
        _price(target, 0, 1, now),
        count(tally.requests) if tally else 0,
        seconds(tally.p50_latency if tally and tally.successes else None),
    )


def _state(model: DispatcherChatModel, target: Target) -> Markup:
    health = getattr(model, "_health", None)
    if health is None:
        return dot("unknown", QUIET)
    view, words = (
        health.snapshot(target, model.clock.monotonic()),
        {"closed": "good", "half_open": "on trial"},
    )
    if view.state == "closed" and view.cooling:
        return dot("cooling down", WARN)
    colours = {"closed": GOOD, "half_open": WARN}
    reason = f" ({view.reason})" if view.reason and view.state != "closed" else ""
    return dot(f"{words.get(view.state, 'out')}{reason}", colours.get(view.state, BAD))


def _limits(target: Target) -> str:
    own, shared = target.deployment, target.config
    limits = {"rpm": own.rpm or shared.rpm, "tpm": own.tpm or shared.tpm, "at once": own.max_concurrency}
    return ", ".join(f"{count(round(limit))} {name}" for name, limit in limits.items() if limit) or NOTHING


def _price(target: Target, input_tokens: int, output_tokens: int, at: datetime) -> str:
    """Return USD per million tokens of a short prompt."""
    own = target.deployment
    cost = estimate(
        target.vendor.name,
        target.model,
        input_tokens,
        output_tokens,
        at=at,
        input_price=own.input_price,
        output_price=own.output_price,
        base_url=target.endpoint.base_url,
    )
    return "unknown" if cost.usd is None else f"{float(cost.usd * 1_000_000):g}"
