"""What a request saved: by the vendor's cache, by its service tier, and by not going to the first choice."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from langchain_llmdispatch.catalog.terms import PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_llmdispatch.dispatch.attempt import Attempt


def savings_of(attempt: Attempt) -> Iterator[tuple[str, Decimal]]:
    """Yield the dollars that a request saved, by the names of `Tally`; negative where it cost more."""
    cost, usage = attempt.cost, attempt.usage
    if cost is None or cost.usd is None or cost.priced is None or usage is None:
        return
    rates, tokens, _, at, _ = cost.priced
    cached = rates.cached * tokens.cached + rates.written * tokens.written
    if cached := cached + rates.written_1h * tokens.written_1h:
        yield "saved_cache", -cached
    if cost.terms != PLAIN:
        ordinary = attempt.target.price.cost(usage, at).usd
        if ordinary is not None and cost.terms.tier:
            yield "saved_tier", ordinary - cost.usd
    first = attempt.call.first_choice
    if first is not None and first is not attempt.target and attempt.accepted:
        there = first.price.cost(usage, at).usd
        if there is not None:
            yield "saved_route", there - cost.usd
