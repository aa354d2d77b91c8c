"""What was spent and is held, by account. Nothing here waits or reads a clock; its owner holds a lock."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from decimal import Decimal
from typing import TypeAlias

ZERO = Decimal(0)
MOST_ACCOUNTS = 10_000
"""Accounts that are kept; beyond that the oldest of those without open requests are forgotten."""
_MOST_ITEMS = 64  # deployments that an account lists apart

AccountKey: TypeAlias = tuple[str, int]
"""The account's name, and the number of its period."""


class Account:
    """What was spent of one budget by one spender in one period.

    Attributes:
        usd: Dollars spent.
        held: Dollars held for open requests.
        tokens: Tokens spent.
        held_tokens: Tokens held for open requests.
        items: Dollars by deployment.
    """

    __slots__ = ("held", "held_tokens", "items", "tokens", "usd")

    def __init__(self) -> None:
        self.usd = self.held = ZERO
        self.tokens = self.held_tokens = 0
        self.items: dict[str, Decimal] = {}

    def hold(self, usd: Decimal, tokens: int) -> None:
        """Hold dollars and tokens; negative ones are given back."""
        self.held += usd
        self.held_tokens += tokens

    def spend(self, usd: Decimal, tokens: int, item: str) -> None:
        """Charge dollars and tokens."""
        self.usd += usd
        self.tokens += tokens
        if item and (item in self.items or len(self.items) < _MOST_ITEMS):
            self.items[item] = self.items.get(item, ZERO) + usd


class Ledger:
    """Accounts by name and period, in bounded memory."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[AccountKey, Account] = OrderedDict()
        self._latest: dict[str, int] = {}

    def current(self, name: str, period: int) -> AccountKey:
        """Return the key of an account in a period; never in an earlier one than before: clocks go back."""
        return name, max(period, self._latest.get(name, period))

    def get(self, key: AccountKey) -> Account:
        """Return an account, a new one if there is none."""
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = Account()
            self._latest[key[0]] = key[1]
            self._forget(key)
        return account

    def find(self, key: AccountKey) -> Account | None:
        """Return an account, or None if there is none."""
        return self._accounts.get(key)

    def __iter__(self) -> Iterator[tuple[AccountKey, Account]]:
        """Yield the accounts in their latest periods, the newest first."""
        for key, account in reversed(self._accounts.items()):
            if self._latest.get(key[0]) == key[1]:
                yield key, account

    def _forget(self, newest: AccountKey) -> None:
        """Drop the account's earlier periods, and the oldest accounts beyond `MOST_ACCOUNTS`."""
        name, period = newest
        for key in [(name, earlier) for earlier in (period - 1, period - 2)]:
            if (old := self._accounts.get(key)) is not None and not old.held and not old.held_tokens:
                del self._accounts[key]
        if len(self._accounts) > MOST_ACCOUNTS:
            for key in list(self._accounts)[: MOST_ACCOUNTS // 8]:
                if key != newest and not self._accounts[key].held:
                    del self._accounts[key]
                    self._latest.pop(key[0], None)
