"""`RetryQuota`: retries as a share of all calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch import errors
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.dispatch.retries import RetryPolicy
from langchain_llmdispatch.dispatch.retry_quota import RetryBalance, RetryQuota
from langchain_llmdispatch.testing import FakeClock
from tests.calls import dispatch_of
from tests.targets import targets


def test_low_traffic_always_has_retries() -> None:
    """One a second is available in any case, a minute's worth at first."""
    balance = RetryBalance(RetryQuota())
    assert sum(balance.withdraw(0.0) for _ in range(100)) == 60
    assert not balance.withdraw(30.0)
    assert balance.withdraw(61.0)


def test_high_traffic_has_a_fifth_of_its_calls() -> None:
    """A thousand calls allow two hundred retries over the floor."""
    balance = RetryBalance(RetryQuota(floor=0.0))
    for _ in range(1000):
        balance.deposit(5.0)
    assert sum(balance.withdraw(6.0) for _ in range(1000)) == 200
    assert not balance.withdraw(70.0)


@given(
    st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=300),
    st.floats(0.05, 0.5),
    st.floats(0, 2),
)
def test_retries_stay_within_their_share(steps: list[tuple[float, bool]], ratio: float, floor: float) -> None:
    """Over any schedule: retries <= ratio x calls + floor x (time + twice the window)."""
    balance, now, calls, retries = RetryBalance(RetryQuota(ratio=ratio, floor=floor, window=10.0)), 0.0, 0, 0
    for pause, is_call in steps:
        now += pause
        if is_call:
            balance.deposit(now)
            calls += 1
        else:
            retries += balance.withdraw(now)
    assert retries <= ratio * calls + floor * (now + 20.0) + 1


def test_a_call_without_a_retry_left_falls_back_at_once() -> None:
    """When the quota is spent, the same deployment is not tried again, but others are."""
    empty = RetryBalance(RetryQuota(floor=0.0))
    policy = CallPolicy(RetryPolicy(jitter=False))

    def tried(balance: RetryBalance | None, error: errors.DispatchError, fleet: str) -> list[str]:
        clock, found = FakeClock(), []
        dispatch = dispatch_of(targets(*fleet), policy, clock=clock, retry_balance=balance)
        try:
            for attempt in dispatch.attempts():
                with attempt:
                    clock.sleep(attempt.delay)
                    attempt.send()
                    found.append(attempt.target.name)
                    raise error
        except errors.AllDeploymentsFailedError:
            return found
        raise AssertionError

    down = errors.ServerError("x")
    assert tried(None, down, "ab") == ["a", "a", "a", "b", "b", "b"]
    assert tried(empty, down, "ab") == ["a", "b"]
    assert tried(RetryBalance(RetryQuota(floor=1 / 60)), down, "ab") == ["a", "a", "b"]
    assert tried(empty, errors.RateLimitError("x", retry_after=1.0), "a") == ["a", "a", "a"]
    assert tried(empty, errors.AttemptTimeoutError("x"), "ab") == ["a", "b"]


def test_what_the_quota_stops_is_named() -> None:
    """The final error shows it, and the call counts it; a call that the quota stopped nothing of does not."""
    clock, empty = FakeClock(), RetryBalance(RetryQuota(floor=0.0, ratio=0.0))
    for balance, count in ((empty, 1), (None, 0)):
        dispatch = dispatch_of(targets("a"), CallPolicy(), clock=clock, retry_balance=balance)
        with pytest.raises(errors.AllDeploymentsFailedError) as raised:
            for attempt in dispatch.attempts():
                with attempt:
                    attempt.send()
                    raise errors.ServerError("down")
        assert ("retry_quota" in str(raised.value)) == bool(count)
        assert raised.value.llmdispatch.get("retries_refused", 0) == dispatch.call.retries_refused == count


def test_a_race_that_nothing_wins_draws_one_retry() -> None:
    """Both requests of a hedged call fail, and one attempt follows: one retry, and one place in the call."""
    clock, balance = FakeClock(), RetryBalance(RetryQuota(floor=0.1, ratio=0.0))
    policy = CallPolicy(RetryPolicy(jitter=False), hedge_after=1.0)
    dispatch = dispatch_of(targets("a", "b"), policy, clock=clock, retry_balance=balance)
    attempts = dispatch.attempts()
    first = next(attempts)
    first.send()
    hedge = dispatch.hedge(first)
    assert hedge is not None
    hedge.send()
    for one in (hedge, first):
        clock.advance(1.0)
        one.fail(errors.ServerError("down"))
    following = next(attempts)
    assert (following.number, following.target.name) == (3, "a")
    assert balance.left(clock.monotonic()) == 5


def test_calls_are_forgotten_after_the_window_however_often_it_is_looked_at() -> None:
    """A call counts for one window: no less, and not for ever."""
    balance = RetryBalance(RetryQuota(floor=0.0, ratio=1.0, window=10.0))
    balance.deposit(1.0)
    assert [balance.left(float(second)) for second in range(1, 14)] == [1] * 10 + [0] * 3


def test_each_refused_retry_is_counted() -> None:
    """A call whose deployments each lose a retry shows how many were not made."""
    policy = CallPolicy(retries=RetryPolicy(jitter=False))
    balance = RetryBalance(RetryQuota(floor=0.0, ratio=0.0))
    dispatch = dispatch_of(targets("a", "b", "c"), policy, clock=FakeClock(), retry_balance=balance)
    tried = []
    with pytest.raises(errors.AllDeploymentsFailedError):
        for attempt in dispatch.attempts():
            with attempt:
                attempt.send()
                tried.append(attempt.target.name)
                raise errors.ServerError("x")
    assert tried == ["a", "b", "c"]
    assert dispatch.call.retries_refused == 3


def test_only_a_rate_limits_own_date_is_free() -> None:
    """A retry at the moment that a 429 names draws nothing; one that any other error names does."""
    for error, free in [
        (errors.RateLimitError("x", retry_after=1), True),
        (errors.RateLimitError("x"), False),
        (errors.OverloadedError("x", retry_after=1), False),
    ]:
        balance = RetryBalance(RetryQuota(floor=0.0, ratio=0.0))
        dispatch = dispatch_of(targets("a"), CallPolicy(), clock=FakeClock(), retry_balance=balance)
        attempts = dispatch.attempts()
        with next(attempts) as first:
            first.send()
            raise error
        if free:
            assert next(attempts).retry is not None
        else:
            with pytest.raises(errors.DispatchError):
                next(attempts)
