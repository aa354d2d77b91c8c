"""Breakers and cooldowns that two processes share."""

from __future__ import annotations

import random

import pytest

from langchain_llmdispatch import errors
from langchain_llmdispatch.health.breaker import AttemptResult
from langchain_llmdispatch.redis.health import RedisHealth
from langchain_llmdispatch.redis.state import RedisState
from langchain_llmdispatch.testing import FakeClock
from tests.calls import dispatch_of
from tests.limits.bench import target


def test_a_breaker_that_opens_in_one_process_is_open_in_the_other(
    states: tuple[RedisState, RedisState],
) -> None:
    """After a wrong key here the other process does not try the deployment, without a failure of its own."""
    one, two = (RedisHealth(state, rng=random.Random(1)) for state in states)
    to = target()
    one.learn(to, 10.0, object(), AttemptResult(blame="configuration", reason="AuthenticationError"))
    assert not one.all_available
    assert states[0].sync()
    assert states[1].sync()
    assert not two.all_available
    left, cooling = two.blocked(to, 500.0)
    assert 0 < left <= 300.01
    assert not cooling
    assert not two.admits(to, 500.0)
    assert two.admits(to, 500.0, last_resort=True)
    assert two.snapshot(to, 500.0).state == "open"
    assert two.blocked(target("b"), 500.0) == (0.0, False)
    attempt = next(dispatch_of([to, target("b")], clock=FakeClock(500.0), send_checks=[two.check]).attempts())
    with attempt:
        with pytest.raises(errors.BreakerOpenError):
            attempt.send()
        attempt.fail(errors.ServerError("x"))
    two.reset("a")
    assert states[1].sync()
    assert states[0].sync()
    assert states[0].blocks() == {}
    assert two.all_available


def test_a_cooldown_is_shared(states: tuple[RedisState, RedisState]) -> None:
    """A 429 with Retry-After cools the deployment down in all processes; no breaker opens."""
    one, two = (RedisHealth(state) for state in states)
    to = target()
    one.learn(to, 0.0, object(), AttemptResult(blame="limits", reason="RateLimitError", retry_after=200.0))
    assert states[0].sync()
    assert states[1].sync()
    left, cooling = two.blocked(to, 0.0)
    assert 100 < left <= 200.01
    assert cooling
    assert two.admits(to, 0.0)
