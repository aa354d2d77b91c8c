"""A budget that several processes spend from together."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from langchain_llmdispatch.budgets.budget import Budget, BudgetReservation, Period
from langchain_llmdispatch.redis.server import check_state
from langchain_llmdispatch.redis.state import RedisState

# Totals outlive the longest period, a month, by a day.
_LIVES = 32 * 86_400


class RedisBudget(Budget):
    """US dollars that may be spent per period, by all processes that use the same name on the same server.

        state = RedisState("redis://localhost:6379/0")
        daily = RedisBudget(state, "team-a", 20.0, "day")
        DispatcherChatModel("openai:gpt-6-luna", budget=daily)

    The worst-case cost of a request is reserved for all processes before it leaves. A decision never waits
    for the server: what others reserved within the last moments may not be known yet. What a process had
    reserved when it died stays reserved until the period ends. While the server is lost, the last known total
    and this process's own spending count; its spending is sent when the server is back.

    Args:
        state: Where the totals are shared.
        name: The budget's name.
        usd: Dollars per period.
        period: As for `Budget`.
    """

    def __init__(
        self, state: RedisState, name: str, usd: float | Decimal | str, period: Period = "day"
    ) -> None:
        check_state(self, state)
        super().__init__(usd, period)
        self._state, self._name = state, name

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings: the totals are on the server."""
        return (type(self), (self._state, self._name, self.usd, self.period))

    def spent(self, at: datetime) -> Decimal:
        """Return the dollars that all have spent in the period of `at`, without those reserved."""
        return self._total("spent", self._period_of(at))

    def left(self, at: datetime) -> Decimal:
        """Return the dollars that may still be reserved in the period of `at`."""
        return max(Decimal(0), self.usd - self._total("committed", self._period_of(at)))

    def reserve(self, usd: Decimal, at: datetime) -> BudgetReservation | None:
        """Reserve dollars; None if they are not left."""
        period = self._period_of(at)
        with self._lock:
            if self._total("committed", period) + usd > self.usd:
                return None
            self._add("committed", period, usd)
        return BudgetReservation(self, period, usd)

    def settle(self, reservation: BudgetReservation, spent: Decimal) -> None:
        """Charge what a request cost, in the period in which it was sent."""
        self._add("committed", reservation.period, spent - reservation.usd)
        self._add("spent", reservation.period, spent)

    @property
    def _lives(self) -> int:
        return _LIVES if isinstance(self.period, str) else max(_LIVES, int(self.period * 2))

    def _total(self, kind: str, period: int) -> Decimal:
        return self._state.total(f"{self._name}:{period}:{kind}", lives=self._lives)

    def _add(self, kind: str, period: int, usd: Decimal) -> None:
        self._state.add(f"{self._name}:{period}:{kind}", usd, lives=self._lives)
