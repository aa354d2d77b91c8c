"""`RetryBudget`: retries as a share of all calls."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch import errors
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.dispatch.retries import RetryPolicy
from langchain_llmdispatch.dispatch.retry_budget import RetryBudget
from langchain_llmdispatch.testing import FakeClock
from tests.calls import dispatch_of
from tests.targets import targets


def test_low_traffic_always_has_retries() -> None:
    """One a second is available in any case, a minute's worth at first."""
    budget = RetryBudget()
    assert sum(budget.withdraw(0.0) for _ in range(100)) == 60
    assert not budget.withdraw(30.0)
    assert budget.withdraw(61.0)


def test_high_traffic_has_a_fifth_of_its_calls() -> None:
    """A thousand calls allow two hundred retries over the floor."""
    budget = RetryBudget(floor=0.0)
    for _ in range(1000):
        budget.deposit(5.0)
    assert sum(budget.withdraw(6.0) for _ in range(1000)) == 200
    assert not budget.withdraw(70.0)


@given(
    st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=300),
    st.floats(0.05, 0.5),
    st.floats(0, 2),
)
def test_retries_stay_within_their_share(steps: list[tuple[float, bool]], ratio: float, floor: float) -> None:
    """Over any schedule: retries <= ratio x calls + floor x (time + twice the window)."""
    budget, now, calls, retries = RetryBudget(ratio=ratio, floor=floor, window=10.0), 0.0, 0, 0
    for pause, is_call in steps:
        now += pause
        if is_call:
            budget.deposit(now)
            calls += 1
        else:
            retries += budget.withdraw(now)
    assert retries <= ratio * calls + floor * (now + 20.0) + 1


def test_a_call_without_a_retry_left_falls_back_at_once() -> None:
    """When the budget is spent, the same deployment is not tried again, but others are."""
    empty = RetryBudget(floor=0.0)
    policy = CallPolicy(RetryPolicy(jitter=False))

    def asked(budget: RetryBudget | None, error: errors.DispatchError, fleet: str) -> list[str]:
        clock, found = FakeClock(), []
        dispatch = dispatch_of(targets(*fleet), policy, clock=clock, retry_budget=budget)
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
    assert asked(None, down, "ab") == ["a", "a", "a", "b", "b", "b"]
    assert asked(empty, down, "ab") == ["a", "b"]
    assert asked(RetryBudget(floor=1 / 60), down, "ab") == ["a", "a", "b"]
    assert asked(empty, errors.RateLimitError("x", retry_after=1.0), "a") == ["a", "a", "a"]
    assert asked(empty, errors.AttemptTimeoutError("x"), "ab") == ["a", "b"]
