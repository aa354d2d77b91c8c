"""What one call may spend: its worst case is held before a request leaves, and settled after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from math import ceil
from typing import NamedTuple, Protocol

from langchain_llmdispatch.budgets.budget import Budget, BudgetReservation
from langchain_llmdispatch.budgets.scope import NO_SPENDER, Spender
from langchain_llmdispatch.budgets.state import BudgetState
from langchain_llmdispatch.catalog.prices import TokenCounts
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.attempt import NEVER_ARRIVED, Attempt
from langchain_llmdispatch.dispatch.hedging import LostRaceError
from langchain_llmdispatch.errors import BudgetExceededError

_ZERO = Decimal(0)
# As for prompts: about four bytes per token, and half as many tokens again at worst.
_MOST_TOKENS_PER_BYTE = 0.375
_LONGEST = 3600.0  # seconds; without a deadline a call looks again after so long


class Worst(NamedTuple):
    """The worst case of one request.

    Attributes:
        usd: Dollars at most, or None if that is unknown.
        tokens: Tokens in and out at most, or None.
    """

    usd: Decimal | None
    tokens: int | None


class WorstCost(Protocol):
    """Returns the worst case of one request to a target."""

    def __call__(self, target: Target, *, continued: int = 0) -> Worst:
        """Return it. `continued`: tokens of a broken answer that the request continues."""


class Room(NamedTuple):
    """What a call waits for whose budget is held by other requests.

    Attributes:
        changed: Registers a function that is called, in any thread, when a request is settled.
        seconds: How long to wait at most.
    """

    changed: Callable[[Callable[[], None]], None]
    seconds: float


class CallBudget:
    """What one call may spend: its own limits, and what shared budgets leave. An `Observer`.

    Args:
        worst: Returns the worst case of one request.
        limit: Dollars for the whole call, or None.
        budgets: Budgets that every request is charged to.
        spender: Who spends.

    Attributes:
        action: What was done because a budget is nearly spent: `cheaper`, or the name of a route; else empty.
    """

    action = ""

    def __init__(
        self,
        worst: WorstCost,
        *,
        limit: Decimal | None = None,
        budgets: Sequence[Budget] = (),
        spender: Spender = NO_SPENDER,
    ) -> None:
        limits = [limit, *(budget.usd for budget in budgets if budget.per_call)]
        self._limit = min((usd for usd in limits if usd is not None), default=None)
        tokens = [budget.tokens for budget in budgets if budget.per_call and budget.tokens is not None]
        self._token_limit = min(tokens, default=None)
        self._worst, self._spender = worst, spender
        self._budgets = [budget for budget in budgets if not budget.per_call]
        self._held = self._spent = _ZERO
        self._tokens_held = self._tokens_spent = 0
        self._open: dict[Attempt, tuple[Worst, Sequence[BudgetReservation]]] = {}

    @property
    def spent(self) -> Decimal:
        """Dollars that the call has spent."""
        return self._spent

    def accounts(self, target: Target | None = None) -> Iterator[tuple[Budget, str]]:
        """Yield the accounts that a request spends from; without a target those that any would."""
        for budget in self._budgets:
            for account in self._spender.accounts(budget.scope, target):
                yield budget, account

    # -- holding ------------------------------------------------------------------------------------

    def admit(self, attempt: Attempt) -> Room | None:
        """Hold the worst case of a request; if it does not fit only now, return what to wait for.

        Raises:
            BudgetExceededError: It does not fit even when no other request is open, or is unknown.
            LostRaceError: Another request of the call has answered meanwhile: nothing would give it back.
        """
        with attempt.call.lock:
            if attempt.record is not None:
                raise LostRaceError
            if attempt in self._open:
                return None
            worst, seen = self._checked(attempt), {id(budget): budget.settled for budget in self._budgets}
            short = self._hold(attempt, worst)
            if short is None:
                return None
            budget, account = short
            at, usd, tokens = attempt.call.clock.now(), worst.usd or _ZERO, worst.tokens or 0
            # A hedge does not wait for the request that it runs beside.
            if self._open or not budget.fits(usd, at, tokens=tokens, account=account):
                raise self._refusal(attempt, worst, budget.state(at, account))
        if (left := attempt.left()) <= 0:
            raise self._refusal(attempt, worst, budget.state(at, account))
        return Room(partial(budget.when_settled, seen=seen[id(budget)]), min(left, budget.poll or _LONGEST))

    def reserve(self, attempt: Attempt) -> None:
        """Hold the worst case of a request that is about to leave, unless `admit` has.

        Raises:
            BudgetExceededError: It does not fit, or is unknown.
        """
        if attempt in self._open:
            return
        worst = self._checked(attempt)
        if (short := self._hold(attempt, worst)) is not None:
            state = short[0].state(attempt.call.clock.now(), short[1])
            raise self._refusal(attempt, worst, state)

    def is_undecided(self, attempt: Attempt) -> bool:
        """Return whether a budget elsewhere has not decided on a request yet."""
        return any(budget.is_undecided(attempt) for budget in self._budgets)

    def give_up(self, attempt: Attempt) -> None:
        """Forget a request for which there is no room now."""
        for budget in self._budgets:
            budget.forget(attempt)

    def held_for(self, attempt: Attempt) -> Sequence[BudgetReservation]:
        """Return what is held in shared budgets for a request."""
        held = self._open.get(attempt)
        return () if held is None else held[1]

    def _checked(self, attempt: Attempt) -> Worst:
        """Return the worst case of a request, which fits the call's own limits.

        Raises:
            BudgetExceededError: It does not, or is unknown.
        """
        worst, name = self._worst_of(attempt), attempt.target.name
        dollars = self._limit is not None or any(budget.usd is not None for budget in self._budgets)
        if (dollars and worst.usd is None) or (not dollars and worst.tokens is None):
            raise BudgetExceededError("its worst-case cost is unknown", deployment=name)
        usd, tokens = worst.usd or _ZERO, worst.tokens or 0
        if self._limit is not None and self._spent + self._held + usd > self._limit:
            left = max(self._limit - self._spent - self._held, _ZERO)
            raise BudgetExceededError(
                f"up to ${usd:.6f} do not fit the ${left:.6f} that this call has left", deployment=name
            )
        counted = self._tokens_spent + self._tokens_held + tokens
        if self._token_limit is not None and counted > self._token_limit:
            raise BudgetExceededError(
                f"up to {tokens:,} tokens do not fit the {self._token_limit:,} of this call", deployment=name
            )
        return worst

    def _hold(self, attempt: Attempt, worst: Worst) -> tuple[Budget, str] | None:
        """Hold dollars and tokens in all budgets, or in none: then return the account that is short."""
        at, usd, tokens = attempt.call.clock.now(), worst.usd or _ZERO, worst.tokens or 0
        reserved: list[BudgetReservation] = []
        for budget, account in self.accounts(attempt.target):
            held = budget.reserve(usd, at, tokens=tokens, account=account, request=attempt)
            if held is None:
                for other in reserved:
                    other.settle(_ZERO)
                return budget, account
            reserved.append(held)
        self._open[attempt] = (worst, reserved)
        self._held += usd
        self._tokens_held += tokens
        return None

    def _worst_of(self, attempt: Attempt) -> Worst:
        delivered, target = attempt.call.delivered, attempt.target
        paused = attempt.call.paused
        if paused is not None and paused.target is target:
            return self._worst(target, continued=paused.tokens)
        if not (delivered and target.facts.prefill):
            return self._worst(target)
        size = sum(len(chunk.text.encode(errors="replace")) for chunk in delivered)
        return self._worst(target, continued=ceil(size * _MOST_TOKENS_PER_BYTE))

    def _refusal(self, attempt: Attempt, worst: Worst, state: BudgetState) -> BudgetExceededError:
        usd, tokens = worst.usd or _ZERO, worst.tokens or 0
        needed = (
            f"up to ${usd:.6f} do not fit the ${state.left_usd:.6f} left of" if state.usd is not None else ""
        )
        if state.left_tokens is not None and tokens > state.left_tokens:
            needed = f"up to {tokens:,} tokens do not fit the {state.left_tokens:,} left of"
        error = BudgetExceededError(f"{needed} {state}", deployment=attempt.target.name)
        error.state = state
        return error

    # -- settling -----------------------------------------------------------------------------------

    def ended(self, attempt: Attempt) -> None:
        """Replace what is held for a request by its cost."""
        held = self._open.pop(attempt, None)
        if held is None:
            for budget in self._budgets:
                budget.forget(attempt)
            return
        worst, reserved = held
        spent, tokens = charge_of(attempt, worst)
        self._held -= worst.usd or _ZERO
        self._tokens_held -= worst.tokens or 0
        self._spent += spent
        self._tokens_spent += tokens
        for each in reserved:
            each.settle(spent, tokens, attempt.target.name)

    # -- before the decision --------------------------------------------------------------------------

    def states(self, at: datetime, target: Target | None = None) -> Sequence[BudgetState]:
        """Return the states of the accounts that a request spends from; see `accounts`."""
        return [budget.state(at, account) for budget, account in self.accounts(target)]

    def nearest(self, at: datetime) -> BudgetState | None:
        """Return the account that is nearest to its end, if one is as near as its budget's `near`."""
        near = [
            state
            for budget, account in self.accounts()
            if (state := budget.state(at, account)).share >= budget.near
        ]
        return max(near, key=lambda state: state.share, default=None)

    def left_on(self, target: Target | None, at: datetime) -> Worst:
        """Return what a request may cost once no other one is open; None where nothing bounds it."""
        usd, tokens = [self._limit], [self._token_limit]
        for state in self.states(at, target):
            usd.append(None if state.usd is None else max(_ZERO, state.usd - state.spent_usd))
            tokens.append(None if state.tokens is None else max(0, state.tokens - state.spent_tokens))
        return Worst(
            min((each for each in usd if each is not None), default=None),
            min((each for each in tokens if each is not None), default=None),
        )


def charge_of(attempt: Attempt, worst: Worst) -> tuple[Decimal, int]:
    """Return the charge of a request, dollars and tokens: its cost, by estimate where it was not reported.

    What was refused or did not arrive costs nothing; nor does an answer in the background that is still to
    come, which the call that takes it up is charged for. Where nothing is known, the worst case is charged.
    """
    cost, estimate = attempt.cost, attempt.call.estimate
    if cost is None:
        unsent = not attempt.sent or getattr(attempt.error, "code", None) in NEVER_ARRIVED
        if attempt.refused or attempt.pending or unsent:
            return _ZERO, 0
        cost = estimate(attempt) if estimate is not None else None
    usd = worst.usd if cost is None or cost.usd is None else cost.usd
    counts = cost.priced.tokens if cost is not None and cost.priced is not None else None
    if attempt.usage is not None and not attempt.partial:
        counts = TokenCounts.of(attempt.usage)
    tokens = worst.tokens if counts is None else counts.input + counts.output
    return usd or _ZERO, tokens or 0
