"""`Budget`: dollars per period."""

from __future__ import annotations

import pickle
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch import errors
from langchain_llmdispatch.budgets.budget import Budget
from langchain_llmdispatch.budgets.ledger import MOST_ACCOUNTS
from tests.cases import each
from tests.targets import NOON

CENT = Decimal("0.01")


def test_what_is_reserved_is_not_left_and_what_is_not_spent_comes_back() -> None:
    """Reserve the worst case, settle the cost: the difference is available again."""
    budget = Budget(1.0)
    held = budget.reserve(Decimal("0.6"), NOON)
    assert held is not None
    assert budget.left(NOON) == Decimal("0.4")
    assert budget.reserve(Decimal("0.41"), NOON) is None
    held.settle(Decimal("0.1"))
    assert (budget.spent(NOON), budget.left(NOON)) == (Decimal("0.1"), Decimal("0.9"))


@each(
    ("period", "same", "next_one"),
    [
        ("hour", timedelta(minutes=59), timedelta(minutes=60)),
        ("day", timedelta(hours=11), timedelta(hours=12)),
        ("week", timedelta(days=5), timedelta(days=6)),
        ("month", timedelta(days=6), timedelta(days=7)),
        (90.0, timedelta(seconds=60), timedelta(seconds=91)),
    ],
)
def test_a_new_period_has_the_whole_budget(period: object, same: timedelta, next_one: timedelta) -> None:
    """Hours, days, weeks from Monday and months are the calendar's, in UTC; seconds are seconds."""
    budget = Budget(1, period)
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


def test_a_clock_set_back_frees_no_dollars() -> None:
    """Yesterday's budget is not opened again."""
    budget = Budget(1)
    held = budget.reserve(Decimal(1), NOON)
    assert held is not None
    assert budget.left(NOON - timedelta(days=1)) == 0


@given(st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1)), max_size=60))
def test_no_schedule_spends_more_than_the_budget(calls: list[tuple[int, float]]) -> None:
    """Whatever is reserved and however much of it is used, spent and reserved dollars never exceed it."""
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


@each(("usd", "period"), [(-1, "day"), (1, "dya"), (1, 0), (float("nan"), "day")])
def test_wrong_budgets_are_named(usd: float, period: object) -> None:
    """A negative amount or an unknown period is an error."""
    with pytest.raises(errors.ConfigurationError, match="Budget"):
        Budget(usd, period)


def test_a_budget_pickles_as_a_fresh_one() -> None:
    """Another process spends on its own account."""
    other = pickle.loads(pickle.dumps(Budget(2.5, "week")))
    assert repr(other) == "Budget(2.5, 'week')"


def test_each_spender_has_a_budget_of_its_own() -> None:
    """What one spends is left for the other; without a period it is not reset."""
    budget = Budget(1, scope="user")
    held = budget.reserve(Decimal(1), NOON, account="ann")
    assert held is not None
    held.settle(Decimal(1), 30, "openai")
    assert budget.reserve(CENT, NOON + timedelta(days=400), account="ann") is None
    assert budget.left(NOON, "bob") == 1
    assert budget.state(NOON, "ann").by_deployment == {"openai": Decimal(1)}
    assert [(state.account, state.spent_tokens) for state in budget.states(NOON)] == [("ann", 30)]


def test_left_is_known_without_a_moment() -> None:
    """The clock of the machine serves."""
    assert Budget(2.5).left() == Decimal("2.5")
    assert Budget(tokens=5).state().left_tokens == 5
    with pytest.raises(errors.ConfigurationError, match="left_tokens"):
        Budget(tokens=5).left()


def test_a_day_is_the_users() -> None:
    """By the calendar of a time zone, and the state shows when it ends."""
    budget = Budget(1, "day", time_zone="Asia/Tokyo")
    state = budget.state(NOON)
    assert state.resets_at is not None
    assert state.resets_at.hour == 15


@each(
    ("settings", "words"),
    [
        ({}, "usd, tokens"),
        ({"usd": 1, "scope": "uesr"}, "user"),
        ({"usd": 1, "scope": "metadata:"}, "scope"),
        ({"usd": 1, "per": "runn"}, "run"),
        ({"usd": 1, "per": "run", "scope": "user"}, "per='run'"),
        ({"tokens": -1}, "tokens"),
        ({"tokens": True}, "tokens"),
        ({"usd": "abc"}, "usd"),
        ({"usd": 1, "time_zone": "Europe/Atlantis"}, "time_zone"),
        ({"usd": 1, "near": 2}, "near"),
    ],
)
def test_wrong_settings_are_named(settings: dict, words: str) -> None:
    """With the nearest right word."""
    with pytest.raises(errors.ConfigurationError, match=words):
        Budget(**settings)


def test_accounts_are_bounded() -> None:
    """Spenders without end do not fill the memory."""
    budget = Budget(1, scope="thread")
    for number in range(MOST_ACCOUNTS + 100):
        held = budget.reserve(CENT, NOON, account=str(number))
        assert held is not None
        held.settle(CENT)
    assert len(list(budget._ledger)) <= MOST_ACCOUNTS


def test_what_is_held_may_be_left_to_another_process() -> None:
    """It holds nothing here until it is adopted, whether or not it fits; it is settled once, in its own period."""
    one, two = Budget(1.0, "day"), Budget(0.1, "day")
    held = one.reserve(Decimal("0.6"), NOON)
    assert held is not None
    one.hand_over(held)
    assert one.left(NOON) == 1
    adopted = two.adopt(held.key, held.usd)
    assert two.state(NOON).held_usd == Decimal("0.6")
    adopted.settle(Decimal("0.05"))
    adopted.settle(Decimal("0.05"))
    held.settle(Decimal("0.05"))
    assert (two.state(NOON).spent_usd, two.state(NOON).held_usd) == (Decimal("0.05"), 0)
    assert one.spent(NOON) == 0
    assert two.spent(NOON + timedelta(days=1)) == 0
    assert not two.is_undecided(object())
