"""Usage by kind of token, as vendors report it, and sums of tokens and dollars."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from langchain_llmdispatch.usage import Spending, TokenCounts


def usage(read: dict[str, Any] | None = None, made: dict[str, Any] | None = None) -> Any:
    """Return a message's usage."""
    details = {"input_token_details": read, "output_token_details": made}
    given = {name: value for name, value in details.items() if value is not None}
    return {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110, **given}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (usage(), TokenCounts(100, 10)),
        (usage({}, {}), TokenCounts(100, 10)),
        (usage({"cache_read": 40}, {"reasoning": 6}), TokenCounts(100, 10, cached=40, reasoning=6)),
        (usage({"cache_read": None, "audio": None}, {"reasoning": None}), TokenCounts(100, 10)),
        (usage({"audio": 3}, {"audio": 4}), TokenCounts(100, 10, audio_in=3, audio_out=4)),
        (usage({"cache_creation": 20}), TokenCounts(100, 10, written=20)),
        (
            usage({"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30}),
            TokenCounts(100, 10, written=50, written_1h=30),
        ),
        (
            usage({"cache_creation": 50, "ephemeral_1h_input_tokens": 30}),
            TokenCounts(100, 10, written=50, written_1h=30),
        ),
    ],
)
def test_usage_is_taken_apart_by_kind(given: Any, expected: TokenCounts) -> None:
    """Missing details and nulls are zero; cache writes come whole, by their time to live, or both."""
    assert TokenCounts.of(given) == expected


def test_counts_have_the_names_of_the_sums() -> None:
    """What is added up fits `Spending` by name."""
    counts = TokenCounts.of(usage({"cache_read": 40}, {"reasoning": 6}))
    held = Spending(**counts.summed())
    assert (held.input_tokens, held.output_tokens, held.cached_tokens, held.reasoning_tokens) == (
        100,
        10,
        40,
        6,
    )
    assert held.total_tokens == 110


def test_spending_adds_and_subtracts_exactly() -> None:
    """Dollars are decimals: no digit is lost."""
    one = Spending(input_tokens=3, cost=Decimal("0.1"), wasted=Decimal("0.02"))
    three = one + one + one
    assert (three.cost, three.cost_usd, three.wasted_usd) == (Decimal("0.3"), 0.3, 0.06)
    assert three - one - one == one
