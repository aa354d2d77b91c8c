"""Quantiles: within one per cent, in constant memory; distributions add and subtract exactly."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.stats.quantiles import RELATIVE_ERROR, Distribution, Sketch

_SECONDS = st.lists(st.floats(0.001, 5000), min_size=1, max_size=300)


def sketched(values: list[float]) -> Distribution:
    """Return the distribution of some durations."""
    return Sketch(values).snapshot()


@given(values=_SECONDS, share=st.floats(0.001, 1))
def test_quantiles_keep_their_stated_error(values: list[float], share: float) -> None:
    """A quantile is within one per cent of the sorted list's value at that rank."""
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    assert sketched(values).quantile(share) == pytest.approx(exact, rel=RELATIVE_ERROR * 1.0001)


@given(first=_SECONDS, second=_SECONDS)
def test_distributions_add_and_subtract_exactly(first: list[float], second: list[float]) -> None:
    """Two distributions added are the distribution of both lists; subtracted, the other one again."""
    both = sketched(first) + sketched(second)
    assert both.buckets == sketched(first + second).buckets
    assert (both - sketched(first)).buckets == sketched(second).buckets
    assert both.count == len(first) + len(second)


def test_quantiles_take_constant_memory() -> None:
    """A hundred thousand durations over nine decades fill a bounded number of buckets."""
    rng = random.Random(1)
    spread = sketched([10 ** rng.uniform(-5, 6) for _ in range(100_000)])
    assert len(spread.buckets) <= 1038
    assert spread.count == 100_000


def test_nothing_measured_is_zero() -> None:
    """An empty distribution has no quantiles to invent."""
    assert (Distribution().quantile(0.5), Distribution().mean) == (0.0, 0.0)
