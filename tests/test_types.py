"""Frozen values: what is shared cannot be changed, and records become the JSON of metadata."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError
from decimal import Decimal

import pytest

from langchain_llmdispatch.catalog.prices import TokenCounts
from langchain_llmdispatch.types import AttemptRecord, Spending, TimeLimits

RECORD = AttemptRecord("openai", "gpt-6", "first", status=200, wait_ms=3, latency_ms=40, ttft_ms=12)


def test_a_record_becomes_json_by_its_own_names() -> None:
    """Keys are those of `response_metadata`, values JSON-safe, and the dict is a copy."""
    held = RECORD.to_dict()
    assert json.loads(json.dumps(held)) == held
    assert held["deployment"] == "first"
    assert set(held) == {
        *("vendor", "model", "deployment", "status", "error", "wait_ms", "latency_ms", "ttft_ms"),
        *("request_id", "started_ms", "cost_usd"),
    }
    held["status"] = 500
    assert RECORD.status == 200


def test_values_are_frozen_and_travel() -> None:
    """Nothing shared can be set; pickled they are equal."""
    with pytest.raises(FrozenInstanceError):
        RECORD.status = 500
    assert pickle.loads(pickle.dumps(RECORD)) == RECORD
    assert TimeLimits().deadline == 600.0


def test_spending_adds_and_subtracts_exactly() -> None:
    """Dollars are decimals: no digit is lost; counts by kind fit by name."""
    counts = TokenCounts(100, 10, cached=40, reasoning=6)
    one = Spending(**counts.summed(), cost=Decimal("0.1"), wasted=Decimal("0.02"))
    three = one + one + one
    assert (three.cost, three.cost_usd, three.wasted_usd) == (Decimal("0.3"), 0.3, 0.06)
    assert (three.total_tokens, three.cached_tokens, three.reasoning_tokens) == (330, 120, 18)
    assert three - one - one == one
