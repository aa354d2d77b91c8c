"""`CallBudget`: what one call may spend."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch import errors
from langchain_llmdispatch.budgets.budget import Budget
from langchain_llmdispatch.budgets.call_budget import CallBudget, Worst
from langchain_llmdispatch.catalog.prices import Cost
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.hedging import LostRaceError
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
    budget = CallBudget(lambda _: Worst(Decimal(2), 10), limit=Decimal(1))
    assert walk(budget) == ["BudgetExceededError"]


def test_nothing_is_held_for_a_hedge_that_has_lost_before_it_was_sent() -> None:
    """Its end is over, so that nothing would give it back."""
    shared = Budget(usd=1)
    budget = CallBudget(lambda _: Worst(CENT, 10), budgets=[shared])
    dispatch = dispatch_of(targets(*"ab"), CallPolicy(hedge_after=1.0), clock=FakeClock(), observers=[budget])
    first = next(dispatch.attempts())
    with first:
        first.send()
        hedge = dispatch.hedge(first)
        assert hedge is not None
        hedge.lose()
        with pytest.raises(LostRaceError):
            budget.admit(hedge)
        answer(first, "0.001")
    assert shared.state(NOON).held_usd == 0


def test_a_cheaper_deployment_may_still_fit() -> None:
    """A dear first choice is passed over for one that fits."""
    budget = CallBudget(lambda t: Worst(Decimal(2 if t.name == "a" else 1), 10), limit=Decimal(1))
    assert walk(budget, "0.5") == ["b"]


def test_refused_requests_cost_nothing_and_lost_ones_the_worst() -> None:
    """A 503 is not billed; a broken connection may be, so its worst case is charged."""
    refused = CallBudget(lambda _: Worst(Decimal("0.5"), 10), limit=Decimal("0.6"))
    assert walk(refused, errors.ServerError("x", status_code=503), "0.2") == ["a", "a"]
    assert refused.spent == Decimal("0.2")
    lost = CallBudget(lambda _: Worst(Decimal("0.5"), 10), limit=Decimal("0.6"))
    assert walk(lost, errors.ConnectionFailedError("x")) == ["a", "AllDeploymentsFailedError"]
    assert lost.spent == Decimal("0.5")


def test_an_unknown_worst_case_fits_no_budget() -> None:
    """Without a price there is no bound."""
    assert walk(CallBudget(lambda _: Worst(None, None), limit=Decimal(1))) == ["BudgetExceededError"]


def test_shared_budgets_are_charged_and_given_back_together() -> None:
    """With two budgets, one that is empty leaves the other untouched."""
    full, empty = Budget(1), Budget(0)
    assert walk(CallBudget(lambda _: Worst(CENT, 10), budgets=(full, empty))) == ["BudgetExceededError"]
    assert full.left(NOON) == 1
    budget = CallBudget(lambda _: Worst(CENT, 10), budgets=(full,))
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
    budget = CallBudget(lambda _: Worst(worst, 10), limit=limit)
    tried = walk(
        budget, *[faults.get(each, each) for each in script], policy=CallPolicy(max_attempts=attempts)
    )
    assert budget.spent <= limit
    assert len(tried) <= attempts + 1


def test_tokens_are_bounded_as_dollars_are() -> None:
    """A budget of tokens needs no price; its worst case is held and what was used is charged."""
    tokens = Budget(tokens=25)
    budget = CallBudget(lambda _: Worst(None, 10), budgets=(tokens,))
    assert walk(budget, "0.004") == ["a"]
    assert (tokens.state(NOON).spent_tokens, tokens.state(NOON).held_tokens) == (10, 0)
    dear = CallBudget(lambda _: Worst(None, 20), budgets=(tokens,))
    assert walk(dear) == ["BudgetExceededError"]
    assert walk(CallBudget(lambda _: Worst(CENT, None), budgets=(tokens,))) == ["BudgetExceededError"]


def test_a_budget_per_call_is_a_limit_of_the_call() -> None:
    """Two requests of one call do not fit; two calls do."""
    each = Budget(usd="0.6", tokens=15, per="call")
    worst = Worst(Decimal("0.5"), 10)
    fault = errors.ServerError("x", status_code=500)
    for _ in range(2):
        assert walk(CallBudget(lambda _: worst, budgets=(each,)), "0.1") == ["a"]
    lost = CallBudget(lambda _: worst, budgets=(each,))
    assert walk(lost, errors.ConnectionFailedError("x")) == ["a", "AllDeploymentsFailedError"]
    assert walk(CallBudget(lambda _: worst, budgets=(each,)), fault, "0.1") == ["a", "a"]


def test_a_refusal_says_what_was_spent_on_what() -> None:
    """The error holds the state, and its text the deployments."""
    full, clock = Budget(1, "day", name="team"), FakeClock(date=NOON)
    assert walk(CallBudget(lambda _: Worst(Decimal("0.9"), 10), budgets=(full,)), "0.8") == ["a"]
    dispatch = dispatch_of(targets("b"), clock=clock)
    attempt = next(dispatch.attempts())
    budget = CallBudget(lambda _: Worst(Decimal("0.9"), 10), budgets=(full,))
    with pytest.raises(
        errors.BudgetExceededError, match=r"\$0.800000 of \$1 spent \(a \$0.800000\)"
    ) as refused:
        budget.admit(attempt)
    assert refused.value.state.by_deployment == {"a": Decimal("0.8")}


def test_room_that_others_hold_is_waited_for() -> None:
    """What does not fit only now is waited for; the end of the other request is signalled."""
    shared, clock = Budget(1), FakeClock(date=NOON)
    first, second = (CallBudget(lambda _: Worst(Decimal("0.7"), 10), budgets=(shared,)) for _ in range(2))
    one, two = (next(dispatch_of(targets("a"), clock=clock).attempts()) for _ in range(2))
    assert first.admit(one) is None
    room = second.admit(two)
    assert room is not None
    signals: list[int] = []
    room.changed(lambda: signals.append(1))
    assert signals == []
    first.ended(one)
    assert signals == [1]
    assert second.admit(two) is None
    room.changed(lambda: signals.append(2))  # it was settled since: at once
    assert signals == [1, 2]
