"""Tallies: sums by field, JSON and back, and the columns of a table."""

from __future__ import annotations

import json
from dataclasses import fields
from decimal import Decimal

import pytest

from langchain_llmdispatch.stats.quantiles import Sketch
from langchain_llmdispatch.stats.tally import COLUMNS, CallTally, Tally

ONE = Tally(
    requests=3,
    successes=2,
    failures=1,
    input_tokens=100,
    output_tokens=20,
    cost=Decimal("0.0012"),
    wasted=Decimal("0.0001"),
    throttled=0.5,
    latency=Sketch([1.0, 2.0]).snapshot(),
)
CALLS = CallTally(calls=2, answered=1, failed=1, latency=Sketch([2.5]).snapshot())


@pytest.mark.parametrize("tally", [ONE, CALLS], ids=["requests", "calls"])
def test_tallies_add_and_subtract(tally: Tally | CallTally) -> None:
    """Every field is a sum, so a part taken away leaves the rest."""
    both = tally + tally
    for each in fields(tally):
        assert getattr(both, each.name) == getattr(tally, each.name) + getattr(tally, each.name)
    assert both - tally == tally
    assert tally - tally == type(tally)()


@pytest.mark.parametrize("tally", [ONE, CALLS], ids=["requests", "calls"])
def test_tallies_travel_as_json(tally: Tally | CallTally) -> None:
    """With their buckets they are the same again, to the last digit."""
    assert type(tally).from_dict(json.loads(json.dumps(tally.to_dict(buckets=True)))) == tally


def test_a_dict_has_plain_numbers() -> None:
    """Money in dollars, durations in seconds, by the names of the contract."""
    held = ONE.to_dict()
    assert (held["requests"], held["cost_usd"], held["throttled_s"]) == (3, 0.0012, 0.5)
    assert held["latency"]["count"] == 2
    assert "cost" not in held


def test_columns_are_plain_numbers() -> None:
    """Every column of a table is an int or a float, every counter among them."""
    assert all(isinstance(getattr(ONE, name), (int, float)) for name in COLUMNS)
    counters = {each.name for each in fields(Tally) if isinstance(each.default, int | float)}
    assert counters <= set(COLUMNS)


def test_what_was_not_measured_is_zero() -> None:
    """An empty tally has no latency to invent."""
    empty = Tally()
    assert (empty.average_latency, empty.p95_latency, empty.ttft, empty.cost_usd) == (0.0, 0.0, 0.0, 0.0)
