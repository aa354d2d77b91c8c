"""What one call may spend: its worst-case cost is reserved before a request leaves, and settled after it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from math import ceil
from typing import Protocol

from langchain_llmdispatch.budgets.budget import Budget, BudgetReservation
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.attempt import NEVER_ARRIVED, Attempt
from langchain_llmdispatch.errors import BudgetExceededError

_ZERO = Decimal(0)
# As for prompts: about four bytes per token, and half as many tokens again at worst.
_MOST_TOKENS_PER_BYTE = 0.375


class WorstCost(Protocol):
    """Returns the dollars that one request to a target can cost at most, or None if unknown."""

    def __call__(self, target: Target, *, continued: int = 0) -> Decimal | None:
        """Return them. `continued`: tokens of a broken answer that the request continues."""


class CallBudget:
    """What one call may spend: its own limit, and what shared budgets have left.

    Args:
        worst: Returns the worst-case cost of one request.
        limit: Dollars for the whole call, or None.
        budgets: Budgets that every request is charged to.
    """

    def __init__(
        self,
        worst: WorstCost,
        *,
        limit: Decimal | None = None,
        budgets: Sequence[Budget] = (),
    ) -> None:
        self._worst, self._limit, self._budgets = worst, limit, budgets
        self._held = self._spent = _ZERO
        self._open: dict[Attempt, tuple[Decimal, Sequence[BudgetReservation]]] = {}

    @property
    def spent(self) -> Decimal:
        """Dollars that the call has spent: what vendors reported, and the worst case where they did not."""
        return self._spent

    def reserve(self, attempt: Attempt) -> None:
        """Reserve the worst-case cost of a request that is about to leave.

        Raises:
            BudgetExceededError: It does not fit, or is unknown.
        """
        worst, name = self._worst_of(attempt), attempt.target.name
        if worst is None:
            raise BudgetExceededError("its worst-case cost is unknown", deployment=name)
        if self._limit is not None and self._spent + self._held + worst > self._limit:
            left = max(self._limit - self._spent - self._held, _ZERO)
            raise BudgetExceededError(
                f"up to ${worst:.6f} do not fit the ${left:.6f} that this call has left", deployment=name
            )
        self._open[attempt] = (worst, self._reserved(worst, attempt))
        self._held += worst

    def _worst_of(self, attempt: Attempt) -> Decimal | None:
        delivered, target = attempt.call.delivered, attempt.target
        paused = attempt.call.paused
        if paused is not None and paused.target is target:
            return self._worst(target, continued=paused.tokens)
        if not (delivered and target.facts.prefill):
            return self._worst(target)
        size = sum(len(chunk.text.encode(errors="replace")) for chunk in delivered)
        return self._worst(target, continued=ceil(size * _MOST_TOKENS_PER_BYTE))

    def _reserved(self, worst: Decimal, attempt: Attempt) -> Sequence[BudgetReservation]:
        at = attempt.call.clock.now()
        reserved: list[BudgetReservation] = []
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

    def ended(self, attempt: Attempt) -> None:
        """Replace the reservation of a request by its cost."""
        worst, reserved = self._open.pop(attempt, (_ZERO, ()))
        spent = cost_of_attempt(attempt, worst)
        self._held -= worst
        self._spent += spent
        for each in reserved:
            each.settle(spent)


def cost_of_attempt(attempt: Attempt, worst: Decimal) -> Decimal:
    """Return the charge of a request: its cost, by estimate where it was not reported; nothing if refused.

    Where nothing at all is known of it, the worst case is charged.
    """
    cost, estimate = attempt.cost, attempt.call.estimate
    if cost is None:
        unsent = not attempt.sent or getattr(attempt.error, "code", None) in NEVER_ARRIVED
        if attempt.refused or unsent:
            return _ZERO
        cost = estimate(attempt) if estimate is not None else None
    return worst if cost is None or cost.usd is None else cost.usd
