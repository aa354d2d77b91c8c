"""A budget that two processes share."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from langchain_llmdispatch.redis.budget import RedisBudget
from langchain_llmdispatch.redis.state import RedisState

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_a_budget_is_spent_together(states: tuple[RedisState, RedisState]) -> None:
    """What one process reserved or spent is not left for the other; a new period begins at zero."""
    one, two = (RedisBudget(state, "team", 1, "day") for state in states)
    held = one.reserve(Decimal("0.6"), NOON)
    assert held is not None
    two.left(NOON)
    assert states[0].sync()
    assert states[1].sync()
    assert two.left(NOON) == Decimal("0.4")
    assert two.reserve(Decimal("0.5"), NOON) is None
    held.settle(Decimal("0.1"))
    assert states[0].sync()
    two.spent(NOON)
    assert states[1].sync()
    assert (two.spent(NOON), two.left(NOON)) == (Decimal("0.1"), Decimal("0.9"))
    assert two.reserve(Decimal("0.5"), NOON) is not None
    assert two.left(NOON.replace(day=25)) == Decimal(1)
