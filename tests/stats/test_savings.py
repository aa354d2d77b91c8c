"""What a request saved: by cache, tier and route."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from langchain_llmdispatch.catalog.terms import NO_BILL, Bill, Terms
from langchain_llmdispatch.stats.savings import savings_of
from langchain_llmdispatch.testing import FakeClock
from tests.calls import dispatch_of
from tests.targets import target

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def saved(model: str, read: dict[str, int], bill: Bill = NO_BILL, first: Any = None) -> dict[str, Decimal]:
    """Return what an answer of a thousand tokens saved."""
    vendor = "anthropic" if model.startswith("claude") else "openai"
    own = target("own", model=f"{vendor}:{model}")
    attempt = next(dispatch_of([own], clock=FakeClock(date=NOW)).attempts())
    usage: Any = {"input_tokens": 1000, "output_tokens": 0, "total_tokens": 1000, "input_token_details": read}
    attempt.usage, attempt.cost = usage, own.price.cost(usage, NOW, bill=bill)
    attempt.call.first_choice = first
    return dict(savings_of(attempt))


def test_reading_from_a_cache_saves_and_writing_costs() -> None:
    """Claude Haiku 4.5: 0.90 less for a token that is read, 0.25 more for one that is written."""
    assert saved("claude-haiku-4-5", {"cache_read": 600}) == {"saved_cache": Decimal("0.00054")}
    assert saved("claude-haiku-4-5", {"cache_creation": 400}) == {"saved_cache": Decimal("-0.0001")}
    assert saved("claude-haiku-4-5", {}) == {}


def test_tiers_save_or_cost() -> None:
    """Flex is half the price, priority twice."""
    assert saved("gpt-6-luna", {}, Bill(Terms("flex"))) == {"saved_tier": Decimal("0.00005")}
    assert saved("gpt-6-luna", {}, Bill(Terms("priority"))) == {"saved_tier": Decimal("-0.0001")}


def test_another_route_than_the_first_choice_saves() -> None:
    """By the same tokens at the first deployment."""
    dear = target("dear", model="openai:gpt-6.1-sol")
    assert saved("gpt-6-luna", {}, first=dear) == {"saved_route": Decimal("0.0019")}
