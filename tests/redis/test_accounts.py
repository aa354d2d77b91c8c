"""Accounts on a Redis server: several processes hold and settle, and none of them overdraws."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime
from decimal import Decimal

from langchain_llmdispatch.budgets.call_budget import CallBudget, Worst
from langchain_llmdispatch.catalog.prices import Cost
from langchain_llmdispatch.drivers.budget_room import wait_for_room
from langchain_llmdispatch.errors import BudgetExceededError
from langchain_llmdispatch.redis.budget import RedisBudget
from langchain_llmdispatch.redis.state import RedisState
from langchain_llmdispatch.testing import FakeClock
from tests.calls import dispatch_of
from tests.redis.process import RedisProcess
from tests.targets import targets

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
WORST, COST = Decimal("0.01"), Decimal("0.004")


def spend(budget: RedisBudget, count: int) -> Decimal:
    """Make so many calls of a cost below their worst case, and return what they spent."""
    spent = Decimal(0)
    for _ in range(count):
        call = CallBudget(lambda _: Worst(WORST, 10), budgets=[budget])
        clock = FakeClock(date=NOON)
        dispatch = dispatch_of(targets("a"), clock=clock, observers=[call], send_checks=[call.reserve])
        attempt = next(dispatch.attempts())
        try:
            with attempt:
                while (room := call.admit(attempt)) is not None:
                    wait_for_room(room)
                attempt.send()
                attempt.status, attempt.cost = 200, Cost(COST, "deployment")
                attempt.succeed()
        except BudgetExceededError:
            pass
        if attempt.error is None:
            spent += COST
    return spent


def test_four_processes_share_a_dollar_to_one_percent(url: str) -> None:
    """All of it is used but the last worst case, and no cent more."""
    prefix = uuid.uuid4().hex
    states = [RedisState(url, prefix=prefix, timeout=5.0) for _ in range(4)]
    budgets = [RedisBudget(state, "team", 1, "day") for state in states]
    spent: list[Decimal] = []
    threads = [
        threading.Thread(target=lambda budget=budget: spent.append(spend(budget, 120))) for budget in budgets
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states[0].sync()
    total = sum(spent, Decimal(0))
    assert Decimal("0.99") <= total <= 1
    known = budgets[0].state(NOON)
    assert (known.spent_usd, known.held_usd) == (total, 0)
    assert known.by_deployment == {"a": total}
    for state in states:
        state.close()


def test_what_was_asked_for_and_not_sent_is_given_back(states: tuple[RedisState, RedisState]) -> None:
    """A request that is left before the server has responded holds nothing for good."""
    one, two = (RedisBudget(state, "team", 1, "day") for state in states)
    request = object()
    assert one.reserve(Decimal("0.6"), NOON, request=request) is None
    one.forget(request)
    assert states[0].sync()
    assert states[0].sync()
    two.left(NOON)
    assert states[1].sync()
    assert two.left(NOON) == 1


def test_while_the_server_is_lost_this_process_decides(fragile: RedisProcess) -> None:
    """What it spends then is sent when the server is back."""
    state = RedisState(fragile.url, timeout=0.5)
    budget = RedisBudget(state, "team", 1, "day")
    assert spend(budget, 10) == COST * 10
    fragile.stop()
    assert COST * 100 <= spend(budget, 400) <= 1
    assert budget.state(NOON).spent_usd <= 1
    state.close()
