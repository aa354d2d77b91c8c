"""Budgets: dollars that may be spent in a period, one call's purse, and how many retries traffic may have.

All are told the time; none waits. What a request may cost at worst is set aside before it leaves, and what
it did cost is entered when it is over: so a budget holds even for requests that are under way together.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from langchain_llmdispatch.errors import BudgetExceededError, ConfigurationError
from langchain_llmdispatch.settings import nearest

if TYPE_CHECKING:
    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.dispatch.dispatch import Attempt

Period: TypeAlias = Literal["hour", "day", "week", "month"] | float
"""A calendar period in UTC, or so many seconds."""

_HOUR, _DAY, _WEEK = 3600, 86_400, 604_800
_SECONDS = {"hour": _HOUR, "day": _DAY}
_PERIODS = ("hour", "day", "week", "month")
_EPOCH_MONDAY = 4 * _DAY  # 1970-01-05
_ZERO = Decimal(0)
_OK = 200
_MOST_TOKENS_PER_BYTE = 0.375  # as for prompts: about four bytes each, and half as many again at worst


@dataclass(frozen=True, slots=True)
class Reservation:
    """Dollars set aside for one request.

    Attributes:
        budget: Where.
        period: The period they belong to.
        usd: How many.
    """

    budget: Budget
    period: int
    usd: Decimal

    def settle(self, spent: Decimal) -> None:
        """Enter what the request really cost; the rest is free again."""
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
        ConfigurationError: The amount is negative, or there is no such period.
    """

    def __init__(self, usd: float | Decimal | str, period: Period = "day") -> None:
        self.usd, self.period = Decimal(str(usd)), period
        if not (self.usd.is_finite() and self.usd >= 0):
            raise ConfigurationError(f"Budget: usd={usd!r} is no amount from 0 up.")
        if isinstance(period, str) and period not in _PERIODS:
            raise ConfigurationError(f"Budget: period={period!r} is not known.{nearest(period, _PERIODS)}")
        if not isinstance(period, str) and not period > 0:
            raise ConfigurationError(f"Budget: period={period!r} is no number of seconds.")
        self._lock = threading.RLock()
        self._index, self._held, self._spent = 0, _ZERO, _ZERO

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings: another process spends on its own account."""
        return (type(self), (self.usd, self.period))

    def __repr__(self) -> str:
        """Show the settings."""
        return f"Budget({format(self.usd, 'f')}, {self.period!r})"

    def spent(self, at: datetime) -> Decimal:
        """Return the dollars spent in the period of `at`, without those set aside."""
        with self._lock:
            self._turn(at)
            return self._spent

    def left(self, at: datetime) -> Decimal:
        """Return the dollars that may still be set aside in the period of `at`."""
        with self._lock:
            self._turn(at)
            return max(_ZERO, self.usd - self._spent - self._held)

    def reserve(self, usd: Decimal, at: datetime) -> Reservation | None:
        """Set dollars aside; None if they are not left."""
        with self._lock:
            self._turn(at)
            if self._spent + self._held + usd > self.usd:
                return None
            self._held += usd
            return Reservation(self, self._index, usd)

    def settle(self, reservation: Reservation, spent: Decimal) -> None:
        """Enter what a request cost, in the period in which it was sent."""
        with self._lock:
            if reservation.period == self._index:
                self._held -= reservation.usd
                self._spent += spent

    def _turn(self, at: datetime) -> None:
        index = self._period_of(at.astimezone(UTC))
        if index > self._index:  # never back: a clock may be set
            self._index, self._held, self._spent = index, _ZERO, _ZERO

    def _period_of(self, at: datetime) -> int:
        if self.period == "month":
            return at.year * 12 + at.month
        seconds = at.timestamp()
        if self.period == "week":
            return int((seconds - _EPOCH_MONDAY) // _WEEK)
        length = _SECONDS[self.period] if isinstance(self.period, str) else self.period
        return int(seconds // length)


class Worst(Protocol):
    """Tells the dollars that one request to a target can cost at most, or None if nobody knows."""

    def __call__(self, target: Target, *, said: int = 0) -> Decimal | None:
        """Return them; `said`: tokens of a broken answer that it would be given to continue."""


class CallBudget:
    """What one call may spend: its own limit, and what shared budgets have left.

    Args:
        worst: Returns the dollars that one request to a target can cost at most, or None if unknown.
        limit: Dollars for the whole call, or None.
        budgets: Budgets that every request is charged to.
    """

    def __init__(
        self,
        worst: Worst,
        *,
        limit: Decimal | None = None,
        budgets: Sequence[Budget] = (),
    ) -> None:
        self._worst, self._limit, self._budgets = worst, limit, budgets
        self._held = self._spent = _ZERO
        self._open: dict[Attempt, tuple[Decimal, Sequence[Reservation]]] = {}

    @property
    def spent(self) -> Decimal:
        """Dollars that the call has spent: what vendors reported, and the worst case where they did not."""
        return self._spent

    def take(self, attempt: Attempt) -> None:
        """Set aside what the request may cost at worst.

        Raises:
            BudgetExceededError: It does not fit, or nobody knows.
        """
        worst, name = self._worst_of(attempt), attempt.target.name
        if worst is None:
            raise BudgetExceededError("its worst case is unknown", deployment=name)
        if self._limit is not None and self._spent + self._held + worst > self._limit:
            left = self._limit - self._spent - self._held
            raise BudgetExceededError(
                f"up to ${worst:.6f} do not fit the ${max(left, _ZERO):.6f} that this call has left",
                deployment=name,
            )
        self._open[attempt] = (worst, self._reserved(worst, attempt))
        self._held += worst

    def _worst_of(self, attempt: Attempt) -> Decimal | None:
        delivered, target = attempt.dispatch.delivered, attempt.target
        if not (delivered and target.facts.prefill):
            return self._worst(target)
        size = sum(len(chunk.text.encode()) for chunk in delivered)
        return self._worst(target, said=ceil(size * _MOST_TOKENS_PER_BYTE))

    def _reserved(self, worst: Decimal, attempt: Attempt) -> Sequence[Reservation]:
        at = attempt.dispatch.clock.now()
        reserved: list[Reservation] = []
        for budget in self._budgets:
            held = budget.reserve(worst, at)
            if held is None:
                for other in reserved:
                    other.settle(_ZERO)
                raise BudgetExceededError(
                    f"up to ${worst:.6f} do not fit the ${budget.left(at):.6f} left of {budget!r}",
                    deployment=attempt.target.name,
                )
            reserved.append(held)
        return reserved

    def started(self, attempt: Attempt) -> None:
        """Do nothing: it was set aside before."""

    def ended(self, attempt: Attempt) -> None:
        """Enter what the request cost."""
        worst, reserved = self._open.pop(attempt, (_ZERO, ()))
        spent = cost_of_attempt(attempt, worst)
        self._held -= worst
        self._spent += spent
        for each in reserved:
            each.settle(spent)


def cost_of_attempt(attempt: Attempt, worst: Decimal) -> Decimal:
    """Return what a request is entered with: its cost, nothing if refused, the worst if nobody knows."""
    if attempt.cost is not None and attempt.cost.usd is not None and not attempt.partial:
        return attempt.cost.usd
    refused = attempt.status not in {None, _OK}
    unsent = not attempt.sent or getattr(attempt.error, "code", None) in {"connect", "pool"}
    return _ZERO if refused or unsent else worst


class RetryBudget:
    """Keeps retries a bounded share of traffic, so that they cannot drown a vendor that struggles.

    Each call deposits `ratio` of a retry, each retry withdraws one; deposits and withdrawals expire. On top,
    `floor` retries a second are always there, for those who call seldom. Going to another deployment is no
    retry. Safe to share between threads.

    Args:
        ratio: Retries per call.
        floor: Retries per second that are there in any case.
        window: Seconds after which deposits and withdrawals expire.
    """

    SLOTS = 10

    def __init__(self, *, ratio: float = 0.2, floor: float = 1.0, window: float = 60.0) -> None:
        self._ratio, self._floor, self._window = ratio, floor, window
        self._lock = threading.RLock()
        self._balances = [0.0] * self.SLOTS
        self._slot = 0

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a new one."""
        return (type(self), ())

    def deposit(self, now: float) -> None:
        """Note a call. `now` in monotonic seconds."""
        with self._lock:
            self._turn(now)
            self._balances[self._slot % self.SLOTS] += self._ratio

    def withdraw(self, now: float) -> bool:
        """Take one retry out; return whether there was one."""
        with self._lock:
            self._turn(now)
            if self._balance() < 1.0 - 1e-9:
                return False
            self._balances[self._slot % self.SLOTS] -= 1.0
            return True

    def balance(self, now: float) -> float:
        """Return the retries that there are."""
        with self._lock:
            self._turn(now)
            return self._balance()

    def _balance(self) -> float:
        return self._floor * self._window + sum(self._balances)

    def _turn(self, now: float) -> None:
        slot = int(now / self._window * self.SLOTS)
        for passed in range(self._slot + 1, min(slot, self._slot + self.SLOTS) + 1):
            self._balances[passed % self.SLOTS] = 0.0
        self._slot = max(self._slot, slot)
