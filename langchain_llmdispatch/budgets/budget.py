"""`Budget`: dollars that may be spent in a period.

The time is an argument; nothing waits. The worst-case cost of a request is reserved before it leaves and
settled by its cost when it is over, so that a budget holds even for requests that are open at the same time.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.settings import nearest

Period: TypeAlias = Literal["hour", "day", "week", "month"] | float
"""A calendar period in UTC, or so many seconds."""

_HOUR, _DAY, _WEEK = 3600, 86_400, 604_800
_SECONDS = {"hour": _HOUR, "day": _DAY}
_PERIODS = ("hour", "day", "week", "month")
_EPOCH_MONDAY = 4 * _DAY  # 1970-01-05
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class BudgetReservation:
    """Dollars reserved for one request.

    Attributes:
        budget: The budget they are taken from.
        period: The period they belong to.
        usd: The amount.
    """

    budget: Budget
    period: int
    usd: Decimal

    def settle(self, spent: Decimal) -> None:
        """Charge what the request cost; the rest is available again."""
        self.budget.settle(self, spent)


class Budget:
    """US dollars that may be spent per period, by all models that hold this object. Safe to share.

    Example:
        ```python
        daily = Budget(20.0, "day")
        DispatcherChatModel("openai:gpt-6-luna", budget=daily)
        ```

    Args:
        usd: Dollars per period.
        period: `hour`, `day`, `week` (from Monday) or `month`, by the calendar in UTC; or seconds.

    Raises:
        ConfigurationError: The amount is negative, or the period is unknown.
    """

    def __init__(self, usd: float | Decimal | str, period: Period = "day") -> None:
        self.usd, self.period = Decimal(str(usd)), period
        if not (self.usd.is_finite() and self.usd >= 0):
            raise ConfigurationError(f"Budget: usd={usd!r} must be a finite amount of at least 0.")
        if isinstance(period, str) and period not in _PERIODS:
            raise ConfigurationError(f"Budget: period={period!r} is not known.{nearest(period, _PERIODS)}")
        if not isinstance(period, str) and not period > 0:
            raise ConfigurationError(f"Budget: period={period!r} must be a positive number of seconds.")
        self._index, self._spent = 0, _ZERO
        self._renew()
        forks.in_child(self._renew)

    def _renew(self) -> None:
        """Keep what was spent in a forked child; what is reserved, the parent settles."""
        self._lock = threading.RLock()
        self._held, self._open = _ZERO, set[int]()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings: another process has spent nothing yet."""
        return (type(self), (self.usd, self.period))

    def __repr__(self) -> str:
        """Show the settings."""
        return f"Budget({format(self.usd, 'f')}, {self.period!r})"

    def spent(self, at: datetime) -> Decimal:
        """Return the dollars spent in the period of `at`, without those reserved."""
        with self._lock:
            self._turn(at)
            return self._spent

    def left(self, at: datetime) -> Decimal:
        """Return the dollars that may still be reserved in the period of `at`."""
        with self._lock:
            self._turn(at)
            return max(_ZERO, self.usd - self._spent - self._held)

    def reserve(self, usd: Decimal, at: datetime) -> BudgetReservation | None:
        """Reserve dollars; None if they are not left."""
        with self._lock:
            self._turn(at)
            if self._spent + self._held + usd > self.usd:
                return None
            reservation = BudgetReservation(self, self._index, usd)
            self._held += usd
            self._open.add(id(reservation))
            return reservation

    def settle(self, reservation: BudgetReservation, spent: Decimal) -> None:
        """Charge what a request cost, in the period in which it was sent."""
        with self._lock:
            if id(reservation) in self._open:
                self._open.remove(id(reservation))
                self._held -= reservation.usd
                self._spent += spent

    def _turn(self, at: datetime) -> None:
        index = self._period_of(at.astimezone(UTC))
        if index > self._index:  # never back, as a clock may be
            self._index, self._held, self._spent = index, _ZERO, _ZERO
            self._open.clear()

    def _period_of(self, at: datetime) -> int:
        if self.period == "month":
            return at.year * 12 + at.month
        seconds = at.timestamp()
        if self.period == "week":
            return int((seconds - _EPOCH_MONDAY) // _WEEK)
        length = _SECONDS[self.period] if isinstance(self.period, str) else self.period
        return int(seconds // length)
