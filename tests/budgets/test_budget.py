"""Budgets: dollars per period and per call, and retries as a share of traffic."""

from __future__ import annotations

import pickle
import random
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch import errors
from langchain_llmdispatch.budgets.budget import Budget, CallBudget, RetryBudget
from langchain_llmdispatch.catalog.prices import Cost
from langchain_llmdispatch.dispatch.dispatch import Attempt, Dispatch, Policy
from langchain_llmdispatch.dispatch.retries import RetryPolicy
from tests.fakes import FakeClock
from tests.fleet import NOON, targets

CENT = Decimal("0.01")


# -- per period ------------------------------------------------------------------------------------------


def test_what_is_set_aside_is_not_left_and_what_is_not_spent_comes_back() -> None:
    """Reserve the worst, settle the real: the difference is free again."""
    budget = Budget(1.0)
    held = budget.reserve(Decimal("0.6"), NOON)
    assert held is not None
    assert budget.left(NOON) == Decimal("0.4")
    assert budget.reserve(Decimal("0.41"), NOON) is None
    held.settle(Decimal("0.1"))
    assert (budget.spent(NOON), budget.left(NOON)) == (Decimal("0.1"), Decimal("0.9"))


@pytest.mark.parametrize(
    ("period", "same", "next_one"),
    [
        ("hour", timedelta(minutes=59), timedelta(minutes=60)),
        ("day", timedelta(hours=11), timedelta(hours=12)),
        ("week", timedelta(days=5), timedelta(days=6)),
        ("month", timedelta(days=6), timedelta(days=7)),
        (90.0, timedelta(seconds=60), timedelta(seconds=91)),
    ],
)
def test_periods_begin_anew(period: object, same: timedelta, next_one: timedelta) -> None:
    """Hours, days, weeks from Monday and months are the calendar's, in UTC; seconds are seconds."""
    budget = Budget(1, period)  # type: ignore[arg-type]
    held = budget.reserve(Decimal(1), NOON)
    assert held is not None
    held.settle(Decimal(1))
    assert budget.left(NOON + same) == 0
    assert budget.left(NOON + next_one) == 1


def test_what_ends_in_the_next_period_was_spent_in_the_last() -> None:
    """A request over midnight does not count against the new day."""
    budget, late = Budget(1, "day"), NOON + timedelta(hours=11.9)
    held = budget.reserve(Decimal(1), late)
    assert held is not None
    assert budget.left(late + timedelta(hours=1)) == 1
    held.settle(Decimal(1))
    assert budget.left(late + timedelta(hours=1)) == 1


def test_a_clock_set_back_brings_no_money() -> None:
    """Yesterday's budget is not opened again."""
    budget = Budget(1)
    held = budget.reserve(Decimal(1), NOON)
    assert held is not None
    assert budget.left(NOON - timedelta(days=1)) == 0


@given(st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1)), max_size=60))
def test_no_schedule_spends_more_than_the_budget(calls: list[tuple[int, float]]) -> None:
    """Whatever is asked for and however much of it is used, what is spent and held never exceeds it."""
    budget, held = Budget(1), []
    for n, (cents, used) in enumerate(calls):
        reserved = budget.reserve(cents * CENT, NOON)
        if reserved is not None:
            held.append((reserved, used))
        if n % 3 == 2 and held:
            oldest, share = held.pop(0)
            oldest.settle(oldest.usd * Decimal(str(share)))
        open_now = sum((each.usd for each, _ in held), Decimal(0))
        assert budget.spent(NOON) + open_now <= 1
        assert budget.left(NOON) == 1 - budget.spent(NOON) - open_now


def test_sixteen_threads_cannot_overdraw() -> None:
    """Exactly as many reservations succeed as fit."""
    budget, granted = Budget(1), []

    def work() -> None:
        granted.extend(1 for _ in range(50) if budget.reserve(CENT, NOON) is not None)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 100


@pytest.mark.parametrize(("usd", "period"), [(-1, "day"), (1, "dya"), (1, 0), (float("nan"), "day")])
def test_wrong_budgets_are_named(usd: float, period: object) -> None:
    """An amount below nothing or a period that is none is an error."""
    with pytest.raises(errors.ConfigurationError, match="Budget"):
        Budget(usd, period)  # type: ignore[arg-type]


def test_a_budget_pickles_as_a_fresh_one() -> None:
    """Another process spends on its own account."""
    other = pickle.loads(pickle.dumps(Budget(2.5, "week")))  # noqa: S301 - our own
    assert repr(other) == "Budget(2.5, 'week')"


# -- per call --------------------------------------------------------------------------------------------


def walk(purse: CallBudget, *outcomes: object, fleet: str = "ab", policy: Policy | None = None) -> list[str]:
    """Walk a call whose requests end so, in order; return whom it asked, and the final error's name."""
    clock, asked, script = FakeClock(), [], list(outcomes)
    dispatch = Dispatch(
        targets(*fleet),
        policy or Policy(RetryPolicy(jitter=False)),
        clock=clock,
        rng=random.Random(1),
        observer=purse,
        clearance=purse.take,
    )
    try:
        for attempt in dispatch.attempts():
            with attempt:
                clock.sleep(attempt.delay)
                attempt.send()
                asked.append(attempt.target.name)
                answer(attempt, script.pop(0))
    except errors.DispatchError as error:
        asked.append(type(error).__name__)
    return asked


def answer(attempt: Attempt, outcome: object) -> None:
    """End an attempt: an error is raised, a number is its cost."""
    if isinstance(outcome, errors.DispatchError):
        attempt.status = outcome.status_code
        raise outcome
    attempt.status = 200
    if isinstance(outcome, str):
        attempt.cost = Cost(Decimal(outcome), "deployment")
    attempt.succeed()


def test_a_call_whose_worst_case_does_not_fit_is_refused_before_sending() -> None:
    """Nothing leaves, and the error says what did not fit."""
    purse = CallBudget(lambda _: Decimal(2), limit=Decimal(1))
    assert walk(purse) == ["BudgetExceededError"]


def test_what_fails_over_to_a_cheaper_one_may_still_fit() -> None:
    """A dear first choice is passed over for one that fits."""
    purse = CallBudget(lambda t: Decimal(2) if t.name == "a" else Decimal(1), limit=Decimal(1))
    assert walk(purse, "0.5") == ["b"]


def test_refused_requests_cost_nothing_and_lost_ones_the_worst() -> None:
    """A 503 is not billed; of a broken connection nobody knows, so the worst is entered."""
    refused = CallBudget(lambda _: Decimal("0.5"), limit=Decimal("0.6"))
    assert walk(refused, errors.ServerError("x", status_code=503), "0.2") == ["a", "a"]
    assert refused.spent == Decimal("0.2")
    lost = CallBudget(lambda _: Decimal("0.5"), limit=Decimal("0.6"))
    assert walk(lost, errors.ConnectionFailedError("x")) == ["a", "AllDeploymentsFailedError"]
    assert lost.spent == Decimal("0.5")


def test_an_unknown_worst_case_fits_no_budget() -> None:
    """What nobody knows cannot be promised."""
    assert walk(CallBudget(lambda _: None, limit=Decimal(1))) == ["BudgetExceededError"]


def test_shared_budgets_are_charged_and_given_back_together() -> None:
    """With two budgets, one that is empty leaves the other untouched."""
    full, empty = Budget(1), Budget(0)
    assert walk(CallBudget(lambda _: CENT, budgets=(full, empty))) == ["BudgetExceededError"]
    assert full.left(NOON) == 1
    purse = CallBudget(lambda _: CENT, budgets=(full,))
    assert walk(purse, "0.004") == ["a"]
    day = datetime(2026, 11, 24, tzinfo=UTC)
    assert full.spent(day) == Decimal("0.004")


@given(
    st.lists(st.sampled_from(["0.1", "0.3", None, 503, "lost"]), min_size=12, max_size=12),
    st.integers(1, 20),
    st.integers(1, 8),
)
def test_no_fault_schedule_overspends_a_call(script: list, tenths: int, attempts: int) -> None:
    """What a call really spends, unreported answers at their worst, never exceeds its limit."""
    limit, worst = Decimal(tenths) / 10, Decimal("0.3")
    faults = {503: errors.ServerError("x", status_code=503), "lost": errors.ConnectionFailedError("x")}
    purse = CallBudget(lambda _: worst, limit=limit)
    asked = walk(purse, *[faults.get(each, each) for each in script], policy=Policy(max_attempts=attempts))
    assert purse.spent <= limit
    assert len(asked) <= attempts + 1


# -- retries ---------------------------------------------------------------------------------------------


def test_seldom_callers_always_have_retries() -> None:
    """One a second is there in any case, a minute's worth at first."""
    budget = RetryBudget()
    assert sum(budget.withdraw(0.0) for _ in range(100)) == 60
    assert not budget.withdraw(30.0)
    assert budget.withdraw(61.0)


def test_busy_callers_have_a_fifth_of_their_calls() -> None:
    """A thousand calls allow two hundred retries over the floor."""
    budget = RetryBudget(floor=0.0)
    for _ in range(1000):
        budget.deposit(5.0)
    assert sum(budget.withdraw(6.0) for _ in range(1000)) == 200
    assert budget.balance(70.0) == 0


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
    """When the budget is spent, the same deployment is not asked again, but others are."""
    empty = RetryBudget(floor=0.0)
    policy = Policy(RetryPolicy(jitter=False))

    def asked(budget: RetryBudget | None, error: errors.DispatchError, fleet: str) -> list[str]:
        clock, found = FakeClock(), []
        dispatch = Dispatch(targets(*fleet), policy, clock=clock, rng=random.Random(1), retry_budget=budget)
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
