"""Latency estimates (also through `health/view.py`): both parts, forgetting, fading and recovery."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.health.breaker import AttemptResult
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.health.latency import LatencyEstimate
from tests.targets import fail, learn, targets

A, B = targets("a", "b")


@given(st.lists(st.integers(1, 2000), min_size=2, max_size=40), st.floats(0.05, 5), st.floats(0.0005, 0.1))
def test_both_parts_of_latency_are_found_in_streams(lengths: list[int], first: float, each: float) -> None:
    """From streamed answers of any lengths: the time to the first token, and the time per token."""
    latency = LatencyEstimate()
    for n, tokens in enumerate(lengths):
        latency.learn(n * 1.0, first + tokens * each, first, tokens)
    found_first, found_each = latency.estimate
    assert found_first == pytest.approx(first)
    assert found_each is None if set(lengths) == {1} else found_each == pytest.approx(each, rel=0.01)


@given(st.lists(st.integers(1, 2000), min_size=2, max_size=40), st.floats(0.05, 5), st.floats(0.0005, 0.1))
def test_whole_answers_are_predicted_at_their_usual_length(
    lengths: list[int], first: float, each: float
) -> None:
    """From whole answers: what lies on a line is predicted by it, at the lengths that were seen."""
    latency = LatencyEstimate()
    for n, tokens in enumerate(lengths):
        latency.learn(n * 1.0, first + tokens * each, None, tokens)
    found_first, found_each = latency.estimate
    assert found_first is not None
    assert found_each is not None
    assert found_first >= 0
    assert found_each >= 0
    if max(lengths[-5:]) - min(lengths[-5:]) > 50:
        mean = lengths[-1]
        assert found_first + found_each * mean == pytest.approx(first + each * mean, rel=0.05)


def test_failures_are_never_fast_and_timeouts_are_slow() -> None:
    """A vendor that fails in a millisecond has no latency; one that timed out after 8 s takes at least that."""
    health = Health()
    fail(health, A, times=3, latency=0.001)
    assert health.snapshot(A, 0.0).latency(100) is None
    learn(health, B, latency=0.3, ttft=0.1, tokens=20)
    fail(health, B, times=1, latency=8.0, timed_out=True)
    assert health.snapshot(B, 0.0).latency(20) == 8.0


def test_an_overdue_request_counts_before_its_answer() -> None:
    """Half the age of the oldest request in flight is a lower bound."""
    health = Health()
    learn(health, A, latency=0.3, ttft=0.1, tokens=20)
    health.begin(A, 0.0, "late")
    assert health.snapshot(A, 0.5).latency(20) == pytest.approx(0.3)
    assert health.snapshot(A, 6.0).latency(20) == pytest.approx(3.0)


def test_thin_traffic_averages_over_a_few_answers_and_heavy_traffic_over_half_a_minute() -> None:
    """One odd answer an hour moves the estimate by a third; one of many a second hardly at all."""
    thin, heavy = LatencyEstimate(), LatencyEstimate()
    for n in range(200):
        thin.learn(n * 3600.0, 1.0, 1.0, None)
        heavy.learn(n * 0.1, 1.0, 1.0, None)
    thin.learn(200 * 3600.0, 4.0, 4.0, None)
    heavy.learn(20.0, 4.0, 4.0, None)
    assert thin.estimate[0] == pytest.approx(2.0)
    assert heavy.estimate[0] == pytest.approx(1.0, abs=0.05)


def was_slow(*, passed_over: int) -> Health:
    """Return health in which A answered in 8 s, and then B got so many requests."""
    health = Health()
    learn(health, A, times=20, latency=8.0, ttft=8.0, tokens=1)
    learn(health, B, times=passed_over, latency=0.4, ttft=0.4, tokens=1)
    return health


def test_estimates_fade_only_while_others_are_tried() -> None:
    """Time alone, or requests alone, change nothing: neither an idle night nor a busy second."""
    busy, idle = was_slow(passed_over=5000), was_slow(passed_over=50)
    assert busy.snapshot(A, 29.0).latency(1) == pytest.approx(8.0)
    assert idle.snapshot(A, 36_000.0).latency(1) == pytest.approx(8.0)
    seen = [busy.snapshot(A, at).latency(1) or 0.0 for at in (30.0, 60.0, 90.0, 120.0)]
    assert seen == pytest.approx([8.0, 8.0 * math.exp(-1), 8.0 * math.exp(-2), 8.0 * math.exp(-3)])
    few = was_slow(passed_over=300)
    assert few.snapshot(A, 3600.0).latency(1) == pytest.approx(8.0 * math.exp(-2))


def test_one_answer_brings_back_a_deployment_that_recovered() -> None:
    """The answer after a long time counts for all that had faded; no second request goes before it."""
    health = was_slow(passed_over=5000)
    assert (health.snapshot(A, 120.0).latency(1) or 9.0) < 0.5
    health.begin(A, 120.0, "probe")
    assert health.snapshot(A, 120.0).latency(1) == pytest.approx(8.0)
    health.learn(A, 120.3, "probe", AttemptResult(latency=0.3, ttft=0.3, tokens=1))
    assert health.snapshot(A, 120.3).latency(1) == pytest.approx(0.3, abs=0.1)


def test_one_answer_puts_back_a_deployment_that_is_still_slow() -> None:
    """It counts as well, and the next try is as far away as the first was."""
    health = was_slow(passed_over=5000)
    health.begin(A, 120.0, "probe")
    health.learn(A, 128.0, "probe", AttemptResult(latency=8.0, ttft=8.0, tokens=1))
    assert health.snapshot(A, 128.0).latency(1) == pytest.approx(8.0, abs=1.0)
    assert health.snapshot(A, 150.0).fresh == 1.0


def test_a_failed_try_keeps_what_had_faded() -> None:
    """A failure shows no latency: what had faded stays so until an answer comes."""
    health = was_slow(passed_over=5000)
    health.begin(A, 120.0, "probe")
    health.learn(A, 121.0, "probe", AttemptResult("health", "ServerError"))
    learn(health, A, at=122.0, latency=0.3, ttft=0.3, tokens=1)
    assert health.snapshot(A, 122.0).latency(1) == pytest.approx(0.3, abs=0.1)
