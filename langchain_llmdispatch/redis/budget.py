"""A budget that several processes spend from together."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.budgets.budget import Budget, BudgetReservation, Period

if TYPE_CHECKING:
    from langchain_llmdispatch.redis.state import RedisState

# Totals outlive the longest period, a month, by a day.
_LIVES = 32 * 86_400


class RedisBudget(Budget):
    """US dollars that may be spent per period, by all processes that use the same name on the same server.

        state = RedisState("redis://localhost:6379/0")
        daily = RedisBudget(state, "team-a", 20.0, "day")
        DispatcherChatModel("openai:gpt-6-luna", budget=daily)

    What a request may cost at worst is set aside for everybody to see before it leaves. A decision never
    waits for the server: what others set aside within the last moments may not be known yet. A process that
    dies leaves what it had set aside spent until the period ends. While the server is lost, the last known
    total and this process's own spending count, and what it spent is entered when the server is back.

    Args:
        state: Where the totals are shared.
        name: What the budget is called.
        usd: Dollars per period.
        period: As for `Budget`.
    """

    def __init__(
        self, state: RedisState, name: str, usd: float | Decimal | str, period: Period = "day"
    ) -> None:
        super().__init__(usd, period)
        self._state, self._name = state, name

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings: the totals are on the server."""
        return (type(self), (self._state, self._name, self.usd, self.period))

    def spent(self, at: datetime) -> Decimal:
        """Return the dollars that all have spent in the period of `at`, without those set aside."""
        return self._total("spent", self._period_of(at))

    def left(self, at: datetime) -> Decimal:
        """Return the dollars that anybody may still set aside in the period of `at`."""
        return max(Decimal(0), self.usd - self._total("committed", self._period_of(at)))

    def reserve(self, usd: Decimal, at: datetime) -> BudgetReservation | None:
        """Set dollars aside; None if they are not left."""
        period = self._period_of(at)
        with self._lock:
            if self._total("committed", period) + usd > self.usd:
                return None
            self._add("committed", period, usd)
        return BudgetReservation(self, period, usd)

    def settle(self, reservation: BudgetReservation, spent: Decimal) -> None:
        """Enter what a request cost, in the period in which it was sent."""
        self._add("committed", reservation.period, spent - reservation.usd)
        self._add("spent", reservation.period, spent)

    @property
    def _lives(self) -> int:
        return _LIVES if isinstance(self.period, str) else max(_LIVES, int(self.period * 2))

    def _total(self, kind: str, period: int) -> Decimal:
        return self._state.total(f"{self._name}:{period}:{kind}", lives=self._lives)

    def _add(self, kind: str, period: int, usd: Decimal) -> None:
        self._state.add(f"{self._name}:{period}:{kind}", usd, lives=self._lives)
