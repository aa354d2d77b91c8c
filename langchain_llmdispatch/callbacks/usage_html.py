"""What a chain used as HTML: everything together, and by deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.internal.html import Markup, aligned, cards, count, dollars, heading, page, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from langchain_llmdispatch.callbacks.usage import Usage

_COLUMNS = ("deployment", "answers", "failed", "tokens in", "tokens out", "cost")


def usage_html(total: Usage, by_deployment: Mapping[str, Usage], budget_usd: Decimal | None) -> Markup:
    """Return usage as a display.

    Args:
        total: Everything together.
        by_deployment: Its parts.
        budget_usd: The budget in US dollars, if there is one.
    """
    shown = {
        "answers": count(total.answers),
        "cost": dollars(total.cost, unknown=total.unpriced_answers, answers=total.answers),
        "tokens in": count(total.input_tokens),
        "tokens out": count(total.output_tokens),
        "failed requests": count(total.failed_requests),
    }
    if total.wasted:
        shown["wasted"] = dollars(total.wasted)
    if total.cached_answers:
        shown["from cache"] = count(total.cached_answers)
    if budget_usd is not None:
        shown["budget"] = dollars(budget_usd)
    groups = sorted(by_deployment.items(), key=lambda item: -item[1].cost)
    costs = aligned(usage.cost for _, usage in groups)
    rows = [_row(name, usage, cost) for (name, usage), cost in zip(groups, costs, strict=True)]
    return page(heading("Usage"), cards(shown), table(_COLUMNS, rows) if rows else "")


def _row(name: str, usage: Usage, cost: str) -> Sequence[Any]:
    if usage.unpriced_answers:
        cost = f"≥ {cost}" if usage.cost else "unknown"
    tokens = count(usage.input_tokens), count(usage.output_tokens)
    return name, count(usage.answers), count(usage.failed_requests), *tokens, cost
