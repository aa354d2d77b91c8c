"""Details of a cost: every kind, its units and rate, and their sum."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from langchain_llmdispatch.catalog.cost_details import details_of, total_of
from langchain_llmdispatch.catalog.prices import Cost
from langchain_llmdispatch.catalog.terms import Bill, Terms
from tests.catalog.listings import cost, price

NOW = datetime(2026, 11, 28, tzinfo=UTC)
USAGE: Any = {
    "input_tokens": 1000,
    "output_tokens": 300,
    "total_tokens": 1300,
    "input_token_details": {
        "cache_read": 200,
        "ephemeral_5m_input_tokens": 100,
        "ephemeral_1h_input_tokens": 50,
    },
    "output_token_details": {"reasoning": 100},
}


def test_each_kind_has_units_and_a_rate() -> None:
    """Claude Haiku 4.5: 1 in, 0.10 read, 1.25 and 2 written, 5 out; reasoning is output."""
    spent = cost("anthropic", "claude-haiku-4-5", USAGE, at=NOW)
    details = details_of(spent)
    assert {kind: (line["units"], line["rate"]) for kind, line in details.items()} == {
        "input": (650, "1"),
        "cache_read": (200, "0.1"),
        "cache_write": (100, "1.25"),
        "cache_write_1h": (50, "2"),
        "output": (200, "5"),
        "reasoning": (100, "5"),
    }
    assert sum(Decimal(line["usd"]) for line in details.values()) == spent.usd
    assert {line["per"] for line in details.values()} == {1_000_000}
    assert {line["as_of"] for line in details.values()} == {"2026-11-28"}


def test_an_unknown_cost_has_no_details_and_says_why() -> None:
    """The model, or the terms, that are not listed."""
    unknown = cost("openai", "gpt-99", USAGE, at=NOW)
    assert (unknown.usd, details_of(unknown)) == (None, {})
    assert "'gpt-99' is not listed for openai" in unknown.unknown
    scale = price("openai", "gpt-6-luna").cost(USAGE, NOW, bill=Bill(Terms("scale")))
    assert scale.unknown == "the price of tier 'scale' of 'gpt-6-luna' is not listed for openai"
    fee = price("openai", "gpt-6-luna").cost(USAGE, NOW, bill=Bill(fees=[("teleport", 1)]))
    assert fee.unknown == "no price is known of teleport"


def test_a_total_joins_the_details() -> None:
    """Units and dollars of both add up; a rate that differs becomes the one of both together."""
    one = cost("anthropic", "claude-haiku-4-5", USAGE, at=NOW)
    other = cost("anthropic", "claude-opus-4-8", USAGE, at=NOW)
    both, same = total_of([one, other]), total_of([one, one])
    assert (one.usd, other.usd) == (Decimal("0.002395"), Decimal("0.011975"))
    assert both.usd == Decimal("0.01437")
    details = details_of(both)
    assert details["output"]["units"] == 400
    assert sum(Decimal(line["usd"]) for line in details.values()) == both.usd
    assert details_of(same)["input"]["rate"] == "1"
    assert total_of([one, Cost(None, unknown="why")]).unknown == "why"
    assert total_of([]) == Cost(None)
