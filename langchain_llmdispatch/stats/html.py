"""Statistics as HTML: the most important numbers, a table by deployment, the rest folded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.internal.budget_html import budgets_html
from langchain_llmdispatch.internal.html import (
    BAD,
    NOTHING,
    WARN,
    Markup,
    aligned,
    cards,
    count,
    dollars,
    dot,
    folded,
    heading,
    muted_line,
    page,
    seconds,
    share,
    table,
)

if TYPE_CHECKING:
    from langchain_llmdispatch.stats.stats import By, Stats
    from langchain_llmdispatch.stats.tally import Tally

_COLUMNS = (
    *("requests", "failed", "retries", "rate limited", "median", "p95", "first token"),
    *("tokens in", "tokens out", "cost", "wasted"),
)


def stats_html(stats: Stats) -> Markup:
    """Return statistics as a display."""
    total = stats.totals
    begun, until = stats.since.strftime("%Y-%m-%d %H:%M"), stats.until.strftime("%Y-%m-%d %H:%M")
    until = until[11:] if until[:10] == begun[:10] else until
    title = heading("Statistics", f"{begun} to {until} UTC")
    if not (total.requests or stats.calls.calls or stats.in_flight):
        return page(title, muted_line("nothing counted yet"))
    parts = [title, cards(_summary(stats))]
    if total.requests:
        others: tuple[By, ...] = ("vendor", "model", "route", "tag")
        parts.append(_by("deployment", stats))
        parts += [folded(f"by {by}", _by(by, stats)) for by in others if stats.groups[by]]
        if stats.budgets:
            parts.append(budgets_html(stats.budgets))
        parts.append(muted_line("latencies of answered requests; percentiles within 1 %"))
    return page(*parts)


def _summary(stats: Stats) -> dict[str, Any]:
    total = stats.totals
    values: dict[str, Any] = {
        "calls": count(stats.calls.calls),
        "requests": count(total.requests),
        "of requests answered": share(total.successes, total.requests),
        "cost": _cost(total, dollars(total.cost)),
        "tokens": count(total.total_tokens),
        "median": seconds(total.p50_latency if total.successes else None),
        "p95": seconds(total.p95_latency if total.successes else None),
        "retries": count(total.retries),
        "fallbacks": count(total.fallbacks),
    }
    values |= {"first token": seconds(total.p50_ttft)} if total.first_token.count else {}
    extra = {"hedges": total.hedges, "in flight": stats.in_flight}
    extra |= {"abandoned": total.abandoned, "crashed": total.crashed}
    values |= {name: count(number) for name, number in extra.items() if number}
    values |= {"throttled": seconds(total.throttled)} if total.throttled else {}
    return values | ({"wasted": dollars(total.wasted)} if total.wasted else {})


def _by(by: By, stats: Stats) -> Markup:
    """Return a table by one dimension, the name with the most requests first."""
    groups = sorted(stats.groups[by].items(), key=lambda item: -item[1].requests)
    costs = aligned(tally.cost for _, tally in groups)
    wasted = aligned(tally.wasted for _, tally in groups)
    rows = [
        (
            name,
            count(tally.requests),
            dot(count(tally.failures), BAD) if tally.failures else "0",
            count(tally.retries),
            dot(count(tally.rate_limited), WARN) if tally.rate_limited else "0",
            seconds(tally.p50_latency if tally.successes else None),
            seconds(tally.p95_latency if tally.successes else None),
            seconds(tally.p50_ttft if tally.first_token.count else None),
            count(tally.input_tokens),
            count(tally.output_tokens),
            _cost(tally, cost),
            lost if tally.wasted else NOTHING,
        )
        for (name, tally), cost, lost in zip(groups, costs, wasted, strict=True)
    ]
    return table([by, *_COLUMNS], rows)


def _cost(tally: Tally, shown: str) -> str:
    """Return how a cost is shown that may be unknown, in part or as a whole."""
    if not tally.cost and (not tally.successes or tally.unpriced_requests >= tally.successes):
        return "unknown" if tally.successes else NOTHING
    return f"≥ {shown}" if tally.unpriced_requests else shown
