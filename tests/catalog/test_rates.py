"""Rates: linear in tokens, and by the length of the prompt."""

from __future__ import annotations

from decimal import Decimal

import pytest

from langchain_llmdispatch.catalog.rates import FREE, TieredRates, TokenRates

RATES = TokenRates(Decimal(2), Decimal(3), cached=Decimal(-1), written=Decimal(1), written_1h=Decimal(4))


def test_tokens_cost_by_kind() -> None:
    """Cached ones cost less than plain ones, and there are never more of them than were sent."""
    assert RATES.of_tokens(10, 1) == 23
    assert RATES.of_tokens(10, 1, cached=4) == 19
    assert RATES.of_tokens(10, 1, cached=99) == 13


def test_the_most_that_tokens_can_cost() -> None:
    """Where the prompt may be cached, all of it may be written for an hour."""
    assert RATES.at_most(10, 1, caches=False) == 23
    assert RATES.at_most(10, 1, caches=True) == 23 + 50
    discount = TokenRates(Decimal(2), Decimal(3), written=Decimal(-1))
    assert discount.at_most(10, 1, caches=True) == 23


@pytest.mark.parametrize(("tokens", "rates"), [(0, 0), (100, 0), (101, 1), (200, 1), (201, 2)])
def test_a_tier_begins_after_its_start(tokens: int, rates: int) -> None:
    """A prompt of exactly so many tokens still pays the lower price."""
    tiers = [TokenRates(Decimal(n), Decimal(n)) for n in range(3)]
    assert TieredRates((100, 200), tiers, "list").of_length(tokens) is tiers[rates]


def test_free_is_zero_at_any_length() -> None:
    """What runs on the user's own machines."""
    assert FREE.of_length(10**9).of_tokens(10**9, 10**9) == 0
    assert FREE.source == "local"
