"""`Budget`: dollars and tokens that may be spent, per period and by scope.

The time is an argument; nothing waits. The worst case of a request is held before it leaves and settled by
its cost when it is over, so that a budget holds even for requests that are open at the same time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, TypeAlias, cast

from langchain_llmdispatch.budgets.ledger import ZERO, Account, AccountKey, Ledger
from langchain_llmdispatch.budgets.period import CALENDAR, Period, end_of, index_of, zone_of
from langchain_llmdispatch.budgets.scope import METADATA, SCOPES
from langchain_llmdispatch.budgets.state import BudgetState
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.settings import nearest

Per: TypeAlias = Literal["call", "run"] | Period
Money: TypeAlias = float | Decimal | str
_PER = ("call", "run", *CALENDAR)
_MOST_STATES = 20


@dataclass(frozen=True, slots=True)
class BudgetReservation:
    """Dollars and tokens held for one request.

    Attributes:
        budget: The budget they are taken from.
        key: The account and the period they belong to.
        usd: The dollars.
        tokens: The tokens.
    """

    budget: Budget
    key: AccountKey
    usd: Decimal
    tokens: int = 0

    def settle(self, spent: Decimal, tokens: int = 0, item: str = "") -> None:
        """Charge what the request cost; the rest is available again.

        Args:
            spent: Its dollars.
            tokens: Its tokens.
            item: What they were spent on: the deployment.
        """
        self.budget.settle(self, spent, tokens, item)


class Budget:
    """Dollars or tokens that may be spent, by all models that hold this object. Safe to share.

    Example:
        ```python
        daily = Budget(20.0, "day")
        each_run = Budget(usd=1, tokens=2_000_000, per="run")
        each_user = Budget(usd=5, per="month", scope="user", time_zone="Europe/Berlin")
        DispatcherChatModel("openai:gpt-6-luna", budget=[daily, each_run, each_user])
        ```

    Args:
        usd: Dollars, or None for no bound.
        period: `hour`, `day`, `week` (from Monday) or `month`, by the calendar; or seconds. Another word for
            `per`.
        tokens: Tokens in and out, or None for no bound.
        per: What it is for: one `call`; one `run`, which is LangChain's outermost one: a whole agent with its
            subagents; or a period. By default a day without a scope, and for good with one.
        scope: Who has it of their own: each `run`, `thread` (`configurable.thread_id`), `user` (the `user`
            parameter, or `user_id` in the metadata), `tag`, `metadata:KEY`, `deployment`, `vendor`, `model`.
            Calls without that value share one account. None for all calls together.
        time_zone: The zone of the calendar.
        near: The share spent from which `on_budget` acts, from 0 to 1.
        name: What it is called in messages and statistics.

    Raises:
        ConfigurationError: An amount, the period, the scope or the zone is not valid.

    Attributes:
        settled: How many requests have been settled.
    """

    poll: float | None = None
    """Seconds after which a call that waits for room looks again, where others' ends are not signalled."""

    def __init__(
        self,
        usd: Money | None = None,
        period: Per | None = None,
        *,
        tokens: int | None = None,
        per: Per | None = None,
        scope: str | None = None,
        time_zone: str | tzinfo = "UTC",
        near: float = 0.8,
        name: str | None = None,
    ) -> None:
        self.usd, self.tokens = _dollars(usd), _tokens(tokens)
        if usd is None and tokens is None:
            raise ConfigurationError("Budget: give usd, tokens, or both.")
        self._settings = (usd, per if period is None else period, tokens, scope, time_zone, near, name)
        chosen: Per | None = _checked_period(per if period is None else period)
        self.scope = _checked_scope("run" if chosen == "run" and scope is None else scope)
        if chosen == "run" and self.scope != "run":
            raise ConfigurationError(f"Budget: per='run' has the scope 'run', not {scope!r}.")
        self.per_call = chosen == "call"
        if chosen is None and self.scope is None:
            chosen = "day"
        self.period = None if chosen in {"run", "call"} else cast("Period | None", chosen)
        self.zone = _zone(time_zone)
        if not 0 <= near <= 1:
            raise ConfigurationError(f"Budget: near={near!r} must be from 0 to 1.")
        self.near, self.name = near, name
        self._ledger = Ledger()
        self._renew()
        forks.in_child(self._renew)

    def _renew(self) -> None:
        """Keep what was spent in a forked child; what is held, the parent settles."""
        self._lock = threading.RLock()
        self.settled = 0
        self._open = set[int]()
        self._waiting: list[Callable[[], None]] = []
        for _, account in self._ledger:
            account.held, account.held_tokens = ZERO, 0

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings: another process has spent nothing yet."""
        return (_remade, (type(self), self._settings))

    def __repr__(self) -> str:
        """Show the settings."""
        if self.name:
            return f"Budget({self.name!r})"
        usd, per, tokens, scope, *_ = self._settings
        parts = [format(self.usd, "f")] if self.usd is not None and usd is not None else []
        parts += [] if tokens is None else [f"tokens={tokens}"]
        if scope is None and tokens is None:
            return f"Budget({', '.join([*parts, repr(per if per is not None else self.period)])})"
        parts += [f"per={per!r}"] if per is not None else []
        return f"Budget({', '.join(parts + ([f'scope={scope!r}'] if scope else []))})"

    # -- what it holds -----------------------------------------------------------------------------

    def spent(self, at: datetime | None = None, account: str = "") -> Decimal:
        """Return the dollars spent in the period of `at` (default: now), without those held."""
        return self.state(at, account).spent_usd

    def left(self, at: datetime | None = None, account: str = "") -> Decimal:
        """Return the dollars that may still be held in the period of `at` (default: now).

        Args:
            at: The moment.
            account: Whose, in a budget with a scope: the thread's id, the user, ...

        Raises:
            ConfigurationError: It bounds no dollars; `state()` has the tokens.
        """
        left = self.state(at, account).left_usd
        if left is None:
            raise ConfigurationError(f"{self!r} bounds tokens only: see state().left_tokens.")
        return left

    def state(self, at: datetime | None = None, account: str = "") -> BudgetState:
        """Return what was spent and is left in the period of `at` (default: now)."""
        at = at or datetime.now(UTC)
        with self._lock:
            found = self._ledger.find(self._ledger.current(account, self._index(at))) or Account()
            return self._state_of(account, found, at)

    def states(self, at: datetime | None = None) -> Sequence[BudgetState]:
        """Return the states of its newest accounts, at most twenty."""
        at = at or datetime.now(UTC)
        with self._lock:
            index = self._index(at)
            now = [(key[0], held) for key, held in self._ledger if self.period is None or key[1] >= index]
            return [self._state_of(name, held, at) for name, held in now[:_MOST_STATES]]

    # -- holding and settling ----------------------------------------------------------------------

    def reserve(
        self, usd: Decimal, at: datetime, *, tokens: int = 0, account: str = "", request: object = None
    ) -> BudgetReservation | None:
        """Hold dollars and tokens; None if they are not left.

        Args:
            usd: Dollars.
            at: The moment.
            tokens: Tokens.
            account: Whose.
            request: What they are for; a shared budget that decides elsewhere finds it by that again.
        """
        del request  # what is decided here needs no name
        with self._lock:
            key = self._ledger.current(account, self._index(at))
            held = self._ledger.get(key)
            if not self._fits(held, usd, tokens, with_held=True):
                return None
            reservation = BudgetReservation(self, key, usd, tokens)
            held.hold(usd, tokens)
            self._open.add(id(reservation))
            return reservation

    def fits(self, usd: Decimal, at: datetime, *, tokens: int = 0, account: str = "") -> bool:
        """Return whether so much is left once nothing is held any more: whether it is worth waiting."""
        with self._lock:
            held = self._ledger.find(self._ledger.current(account, self._index(at))) or Account()
            return self._fits(held, usd, tokens, with_held=False)

    def settle(self, reservation: BudgetReservation, spent: Decimal, tokens: int = 0, item: str = "") -> None:
        """Charge what a request cost, in the period in which it was sent."""
        with self._lock:
            if id(reservation) not in self._open:
                return
            self._open.remove(id(reservation))
            account = self._ledger.find(reservation.key)
            if account is not None:
                account.hold(-reservation.usd, -reservation.tokens)
                account.spend(spent, tokens, item)
        self._signal()

    def hand_over(self, reservation: BudgetReservation) -> None:
        """Leave it to the process that adopts what is held; meanwhile this process holds nothing."""
        self.settle(reservation, ZERO)

    def adopt(self, key: AccountKey, usd: Decimal, tokens: int = 0) -> BudgetReservation:
        """Hold what an earlier process has held, whether or not it fits: it is to be settled here.

        Args:
            key: The account, and the period in which it was held.
            usd: Dollars.
            tokens: Tokens.
        """
        reservation = BudgetReservation(self, key, usd, tokens)
        with self._lock:
            self._ledger.get(key).hold(usd, tokens)
            self._open.add(id(reservation))
        return reservation

    def is_undecided(self, request: object) -> bool:
        """Return whether what is held elsewhere for a request is not known yet."""
        del request  # what is decided here is known at once
        return False

    def forget(self, request: object) -> None:
        """Give back what is held elsewhere for a request that is not sent after all."""

    def _signal(self) -> None:
        """Wake those that wait for room."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self.settled += 1
        for notify in waiting:
            notify()

    def when_settled(self, notify: Callable[[], None], seen: int) -> None:
        """Call `notify` once, in any thread, when a request is settled; at once if one was since `seen`."""
        with self._lock:
            if waits := self.settled == seen:
                self._waiting.append(notify)
        if not waits:
            notify()

    def _fits(self, account: Account, usd: Decimal, tokens: int, *, with_held: bool) -> bool:
        dollars = account.usd + usd + (account.held if with_held else ZERO)
        counted = account.tokens + tokens + (account.held_tokens if with_held else 0)
        return (self.usd is None or dollars <= self.usd) and (self.tokens is None or counted <= self.tokens)

    def _state_of(self, name: str, account: Account, at: datetime) -> BudgetState:
        return BudgetState(
            repr(self),
            name,
            self.usd,
            self.tokens,
            account.usd,
            account.held,
            account.tokens,
            account.held_tokens,
            dict(account.items),
            None if self.period is None else end_of(at, self.period, self.zone),
        )

    def _index(self, at: datetime) -> int:
        return 0 if self.period is None else index_of(at, self.period, self.zone)


def _remade(cls: type[Budget], settings: tuple[Any, ...]) -> Budget:
    usd, per, tokens, scope, time_zone, near, name = settings
    return cls(usd, per, tokens=tokens, scope=scope, time_zone=time_zone, near=near, name=name)


# -- checks --------------------------------------------------------------------------------------------


def _dollars(usd: Money | None) -> Decimal | None:
    if usd is None:
        return None
    try:
        amount = Decimal(str(usd))
    except InvalidOperation:
        amount = Decimal("nan")
    if not (amount.is_finite() and amount >= 0):
        raise ConfigurationError(f"Budget: usd={usd!r} must be a finite amount of at least 0.")
    return amount


def _tokens(tokens: int | None) -> int | None:
    if tokens is not None and (isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 0):
        raise ConfigurationError(f"Budget: tokens={tokens!r} must be a whole number of at least 0.")
    return tokens


def _checked_period(period: Any) -> Any:
    if isinstance(period, str) and period not in _PER:
        raise ConfigurationError(f"Budget: period={period!r} is not known.{nearest(period, _PER)}")
    if period is not None and not isinstance(period, str) and not period > 0:
        raise ConfigurationError(f"Budget: period={period!r} must be a positive number of seconds.")
    return period


def _checked_scope(scope: str | None) -> str | None:
    known = scope is None or scope in SCOPES or (scope.startswith(METADATA) and len(scope) > len(METADATA))
    if not known:
        names = (*SCOPES, f"{METADATA}KEY")
        raise ConfigurationError(f"Budget: scope={scope!r} is not known.{nearest(str(scope), names)}")
    return scope


def _zone(time_zone: str | tzinfo) -> tzinfo:
    try:
        return zone_of(time_zone)
    except (KeyError, ValueError) as cause:
        raise ConfigurationError(f"Budget: time_zone={time_zone!r} is not known.") from cause
