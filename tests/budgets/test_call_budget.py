"""`CallBudget`: what one call may spend."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch import errors
from langchain_llmdispatch.budgets.budget import Budget
from langchain_llmdispatch.budgets.call_budget import CallBudget
from langchain_llmdispatch.catalog.prices import Cost
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.dispatch.retries import RetryPolicy
from langchain_llmdispatch.testing import FakeClock
from tests.calls import dispatch_of
from tests.targets import NOON, targets

CENT = Decimal("0.01")


def walk(
    budget: CallBudget, *outcomes: object, fleet: str = "ab", policy: CallPolicy | None = None
) -> list[str]:
    """Walk a call whose requests end so, in order; return the targets it tried, and the final error's name."""
    clock, tried, script = FakeClock(), [], list(outcomes)
    dispatch = dispatch_of(
        targets(*fleet),
        policy or CallPolicy(RetryPolicy(jitter=False)),
        clock=clock,
        observers=[budget],
        send_checks=[budget.reserve],
    )
    try:
        for attempt in dispatch.attempts():
            with attempt:
                clock.sleep(attempt.delay)
                attempt.send()
                tried.append(attempt.target.name)
                answer(attempt, script.pop(0))
    except errors.DispatchError as error:
        tried.append(type(error).__name__)
    return tried


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
    """Nothing is sent, and the error names what did not fit."""
    budget = CallBudget(lambda _: Decimal(2), limit=Decimal(1))
    assert walk(budget) == ["BudgetExceededError"]


def test_a_cheaper_deployment_may_still_fit() -> None:
    """A dear first choice is passed over for one that fits."""
    budget = CallBudget(lambda t: Decimal(2) if t.name == "a" else Decimal(1), limit=Decimal(1))
    assert walk(budget, "0.5") == ["b"]


def test_refused_requests_cost_nothing_and_lost_ones_the_worst() -> None:
    """A 503 is not billed; a broken connection may be, so its worst case is charged."""
    refused = CallBudget(lambda _: Decimal("0.5"), limit=Decimal("0.6"))
    assert walk(refused, errors.ServerError("x", status_code=503), "0.2") == ["a", "a"]
    assert refused.spent == Decimal("0.2")
    lost = CallBudget(lambda _: Decimal("0.5"), limit=Decimal("0.6"))
    assert walk(lost, errors.ConnectionFailedError("x")) == ["a", "AllDeploymentsFailedError"]
    assert lost.spent == Decimal("0.5")


def test_an_unknown_worst_case_fits_no_budget() -> None:
    """Without a price there is no bound."""
    assert walk(CallBudget(lambda _: None, limit=Decimal(1))) == ["BudgetExceededError"]


def test_shared_budgets_are_charged_and_given_back_together() -> None:
    """With two budgets, one that is empty leaves the other untouched."""
    full, empty = Budget(1), Budget(0)
    assert walk(CallBudget(lambda _: CENT, budgets=(full, empty))) == ["BudgetExceededError"]
    assert full.left(NOON) == 1
    budget = CallBudget(lambda _: CENT, budgets=(full,))
    assert walk(budget, "0.004") == ["a"]
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
    budget = CallBudget(lambda _: worst, limit=limit)
    tried = walk(
        budget, *[faults.get(each, each) for each in script], policy=CallPolicy(max_attempts=attempts)
    )
    assert budget.spent <= limit
    assert len(tried) <= attempts + 1
