"""A budget that several processes spend from together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from langchain_llmdispatch.budgets.budget import Budget, BudgetReservation, Money, Per
from langchain_llmdispatch.budgets.ledger import AccountKey
from langchain_llmdispatch.budgets.state import BudgetState
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.redis.accounts import AccountChange, SharedAccounts, nano
from langchain_llmdispatch.redis.server import check_state
from langchain_llmdispatch.redis.state import RedisState

_LIVES = 32 * 86_400  # seconds: accounts outlive the longest period, a month, by a day
_LASTING = 400 * 86_400  # those without a period


class RedisBudget(Budget):
    """Dollars or tokens that may be spent by all processes that use the same name on the same server.

        state = RedisState("redis://localhost:6379/0")
        daily = RedisBudget(state, "team-a", 20.0, "day")
        each_user = RedisBudget(state, "users", usd=5, per="month", scope="user")
        DispatcherChatModel("openai:gpt-6-luna", budget=[daily, each_user])

    The worst case of a request is held on the server before it leaves, in one step with the comparison, so
    all processes together cannot overdraw it. While the server is lost, what was last known and what this
    process spends count, and are sent when it is back. What a process held when it died stays held until the
    period ends.

    Args:
        state: Where the accounts are shared.
        name: The budget's name.
        usd: Dollars, or None for no bound.
        period: As for `Budget`.
        settings: As for `Budget`: `tokens`, `per`, `scope`, `time_zone`, `near`.
    """

    poll = 0.05

    def __init__(
        self,
        state: RedisState,
        name: str,
        usd: Money | None = None,
        period: Per | None = None,
        **settings: Any,
    ) -> None:
        check_state(self, state)
        super().__init__(usd, period, **{"name": name, **settings})
        self._state, self._shared_name, self._given = state, name, (usd, period, settings)
        self._renew_shared()
        forks.in_child(self._renew_shared)

    def _renew_shared(self) -> None:
        self._accounts = SharedAccounts(self._state, self._signal, self._state.refresh)
        self._sent: dict[int, AccountChange] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings: the accounts are on the server."""
        usd, period, settings = self._given
        return (_remade, (type(self), self._state, self._shared_name, usd, period, settings))

    def state(self, at: datetime | None = None, account: str = "") -> BudgetState:
        """Return what all have spent and what is left, as far as it is known here."""
        at = at or datetime.now(UTC)
        key = self._key(account, at)
        with self._lock:
            self._ledger.get(key)  # so that `states` shows it
        return self._state_of(account, self._accounts.account(self._name_of(key), time.monotonic()), at)

    def states(self, at: datetime | None = None) -> Sequence[BudgetState]:
        """Return the states of the accounts that were used here last."""
        return [self.state(at, state.account) for state in super().states(at)]

    def fits(self, usd: Decimal, at: datetime, *, tokens: int = 0, account: str = "") -> bool:
        """Return whether so much is left once nothing is held any more, as far as is known here."""
        key = self._key(account, at)
        known = self._accounts.account(self._name_of(key), time.monotonic())
        return self._fits(known, usd, tokens, with_held=False)

    def reserve(
        self, usd: Decimal, at: datetime, *, tokens: int = 0, account: str = "", request: object = None
    ) -> BudgetReservation | None:
        """Hold dollars and tokens; None if they are not left, or the server has not responded yet.

        With a `request` the server decides: called again once it has, the result is final. Without one what
        is known here decides, and all processes learn of it in the background.
        """
        key = self._key(account, at)
        reservation = BudgetReservation(self, key, usd, tokens)
        if request is None:
            if not self._fits(
                self._accounts.account(self._name_of(key), time.monotonic()), usd, tokens, with_held=True
            ):
                return None
            self._accounts.send(self._hold(reservation, limited=False), counts=True)
        elif not self._granted(reservation, request):
            return None
        with self._lock:
            self._open.add(id(reservation))
        return reservation

    def settle(self, reservation: BudgetReservation, spent: Decimal, tokens: int = 0, item: str = "") -> None:
        """Charge what a request cost, in the period in which it was sent."""
        with self._lock:
            if id(reservation) not in self._open:
                return
            self._open.remove(id(reservation))
        deltas = (nano(spent), -nano(reservation.usd), tokens, -reservation.tokens)
        change = AccountChange(self._name_of(reservation.key), self._lives, deltas=deltas, item=item)
        self._accounts.send(change, counts=True)
        self._signal()

    def hand_over(self, reservation: BudgetReservation) -> None:
        """Leave what the server holds to the process that adopts it."""
        with self._lock:
            self._open.discard(id(reservation))

    def adopt(self, key: AccountKey, usd: Decimal, tokens: int = 0) -> BudgetReservation:
        """Return what an earlier process has held on the server, for it is to be settled here."""
        reservation = BudgetReservation(self, key, usd, tokens)
        with self._lock:
            self._open.add(id(reservation))
        return reservation

    def is_undecided(self, request: object) -> bool:
        """Return whether a response of the server is to come, or has come since `reserve`."""
        with self._lock:
            return id(request) in self._sent

    def forget(self, request: object) -> None:
        """Give back what the server holds, or is about to hold, for a request that is not sent after all."""
        with self._lock:
            change = self._sent.pop(id(request), None)
        if change is None:
            return
        change.left = True
        if change.granted:
            usd, held, tokens, held_tokens = change.deltas
            undo = AccountChange(change.key, change.lives, deltas=(-usd, -held, -tokens, -held_tokens))
            self._accounts.send(undo, counts=True)

    def _granted(self, reservation: BudgetReservation, request: object) -> bool:
        """Return whether the server has granted a request; send it there if that was not done yet."""
        with self._lock:
            change = self._sent.get(id(request))
            if change is not None and change.granted is not None:
                del self._sent[id(request)]
                return change.granted
            if change is not None:
                return False
            change = self._sent[id(request)] = self._hold(reservation, limited=True)
        self._accounts.send(change)
        return False

    def _hold(self, reservation: BudgetReservation, *, limited: bool) -> AccountChange:
        limits = (nano(self.usd), -1 if self.tokens is None else self.tokens) if limited else (-1, -1)
        deltas = (0, nano(reservation.usd), 0, reservation.tokens)
        return AccountChange(self._name_of(reservation.key), self._lives, limits, deltas)

    def _key(self, account: str, at: datetime) -> AccountKey:
        return account, self._index(at)

    def _name_of(self, key: AccountKey) -> str:
        return f"{self._shared_name}:{key[1]}:{key[0]}"

    @property
    def _lives(self) -> int:
        if self.period is None:
            return _LASTING
        return _LIVES if isinstance(self.period, str) else max(_LIVES, int(self.period * 2))


def _remade(
    cls: type[RedisBudget], state: RedisState, name: str, usd: Any, period: Any, settings: dict[str, Any]
) -> RedisBudget:
    return cls(state, name, usd, period, **settings)
