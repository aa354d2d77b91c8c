"""`RetryQuota`: retries as a share of all calls."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch import errors
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.dispatch.retries import RetryPolicy
from langchain_llmdispatch.dispatch.retry_quota import RetryQuota
from langchain_llmdispatch.testing import FakeClock
from tests.calls import dispatch_of
from tests.targets import targets


def test_low_traffic_always_has_retries() -> None:
    """One a second is available in any case, a minute's worth at first."""
    quota = RetryQuota()
    assert sum(quota.withdraw(0.0) for _ in range(100)) == 60
    assert not quota.withdraw(30.0)
    assert quota.withdraw(61.0)


def test_high_traffic_has_a_fifth_of_its_calls() -> None:
    """A thousand calls allow two hundred retries over the floor."""
    quota = RetryQuota(floor=0.0)
    for _ in range(1000):
        quota.deposit(5.0)
    assert sum(quota.withdraw(6.0) for _ in range(1000)) == 200
    assert not quota.withdraw(70.0)


@given(
    st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=300),
    st.floats(0.05, 0.5),
    st.floats(0, 2),
)
def test_retries_stay_within_their_share(steps: list[tuple[float, bool]], ratio: float, floor: float) -> None:
    """Over any schedule: retries <= ratio x calls + floor x (time + twice the window)."""
    quota, now, calls, retries = RetryQuota(ratio=ratio, floor=floor, window=10.0), 0.0, 0, 0
    for pause, is_call in steps:
        now += pause
        if is_call:
            quota.deposit(now)
            calls += 1
        else:
            retries += quota.withdraw(now)
    assert retries <= ratio * calls + floor * (now + 20.0) + 1


def test_a_call_without_a_retry_left_falls_back_at_once() -> None:
    """When the quota is spent, the same deployment is not tried again, but others are."""
    empty = RetryQuota(floor=0.0)
    policy = CallPolicy(RetryPolicy(jitter=False))

    def tried(quota: RetryQuota | None, error: errors.DispatchError, fleet: str) -> list[str]:
        clock, found = FakeClock(), []
        dispatch = dispatch_of(targets(*fleet), policy, clock=clock, retry_quota=quota)
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
    assert tried(RetryQuota(floor=1 / 60), down, "ab") == ["a", "a", "b"]
    assert tried(empty, errors.RateLimitError("x", retry_after=1.0), "a") == ["a", "a", "a"]
    assert tried(empty, errors.AttemptTimeoutError("x"), "ab") == ["a", "b"]
