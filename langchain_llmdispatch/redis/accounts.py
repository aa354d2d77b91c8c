"""Accounts of budgets on a Redis server: held and settled there in one step, so that no process overdraws.

Operations are queued and sent in order by the state's background loop; nothing here waits. While the server
is lost they stay queued, what was last known and what was done here count, and they are sent when it is back.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from langchain_llmdispatch.budgets.ledger import MOST_ACCOUNTS, Account
from langchain_llmdispatch.redis.state import NANO, RedisState

# An account is a hash of whole nano-dollars and tokens: usd, held, tokens, held_tokens, and `on:NAME` by
# deployment. ARGV: seconds to live, limit of dollars and of tokens (-1: none), then a change of each field.
_CHANGE = """
local now = redis.call('HMGET', KEYS[1], 'usd', 'held', 'tokens', 'held_tokens')
local n = function(i) return tonumber(now[i] or 0) or 0 end
local most, most_tokens = tonumber(ARGV[2]), tonumber(ARGV[3])
local usd, held = n(1) + tonumber(ARGV[4]), n(2) + tonumber(ARGV[5])
local tokens, held_tokens = n(3) + tonumber(ARGV[6]), n(4) + tonumber(ARGV[7])
local granted, changes = 1, false
for i = 4, 7 do changes = changes or ARGV[i] ~= '0' end
if (most >= 0 and usd + held > most) or (most_tokens >= 0 and tokens + held_tokens > most_tokens) then
  granted = 0
else
  for i, name in ipairs({'usd', 'held', 'tokens', 'held_tokens'}) do
    if ARGV[3 + i] ~= '0' then redis.call('HINCRBY', KEYS[1], name, ARGV[3 + i]) end
  end
  if ARGV[8] ~= '' and ARGV[4] ~= '0' then redis.call('HINCRBY', KEYS[1], 'on:' .. ARGV[8], ARGV[4]) end
  if changes then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
end
return {granted, redis.call('HGETALL', KEYS[1])}
"""
_REREAD = 64  # accounts


@dataclass(slots=True)
class AccountChange:
    """A change of one account that is being sent to the server.

    Attributes:
        key: The account's key.
        lives: Seconds after which the account is forgotten without further changes.
        limits: Nano-dollars and tokens that it must not exceed; -1 for no limit.
        deltas: Changes of dollars spent and held (nano-dollars), and of tokens spent and held.
        item: The deployment that the dollars were spent on.
        granted: Whether the server has made it; None before it has responded.
        left: Whether its caller has left: it is undone if it is granted.
    """

    key: str
    lives: int
    limits: tuple[int, int] = (-1, -1)
    deltas: tuple[int, int, int, int] = (0, 0, 0, 0)
    item: str = ""
    granted: bool | None = None
    left: bool = False


@dataclass(slots=True)
class _Known:
    """What is known of an account: the server's last values, and changes that are on their way."""

    confirmed: dict[str, int] = field(default_factory=dict)
    pending: tuple[int, int, int, int] = (0, 0, 0, 0)
    read_at: float = float("-inf")


class SharedAccounts:
    """The accounts of one budget, as far as they are known here.

    Args:
        state: Whose server and background loop are used.
        changed: Called, in the background, when the server has responded.
        refresh: Seconds after which an account is read anew.
    """

    def __init__(self, state: RedisState, changed: Callable[[], None], refresh: float) -> None:
        self._state, self._changed, self._refresh = state, changed, refresh
        self._lock = threading.RLock()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._queue: deque[AccountChange] = deque()
        self._sending = False
        state.follow(self.reread)

    async def reread(self) -> None:
        """Read the accounts that were used last anew."""
        with self._lock:
            begins, self._sending = not self._sending, True
        if begins:
            await self._send_all()
        with self._lock:
            keys = list(self._known)[-_REREAD:]
        for key in keys:
            change = AccountChange(key, 0)
            if (answer := await self._ask(change)) is not None:
                self._learn(change, answer)

    def account(self, key: str, now: float) -> Account:
        """Return an account as far as it is known; it is read anew in the background if that is long ago."""
        with self._lock:
            known = self._of(key)
            stale = now - known.read_at >= self._refresh
            if stale:
                known.read_at = now
            usd, held, tokens, held_tokens = known.pending
            confirmed = known.confirmed
        if stale:
            self.send(AccountChange(key, 0))
        account = Account()
        account.usd = Decimal(confirmed.get("usd", 0) + usd) / NANO
        account.held = Decimal(confirmed.get("held", 0) + held) / NANO
        account.tokens = confirmed.get("tokens", 0) + tokens
        account.held_tokens = confirmed.get("held_tokens", 0) + held_tokens
        items = {name: value for name, value in confirmed.items() if name.startswith("on:")}
        account.items = {name[3:]: Decimal(value) / NANO for name, value in items.items()}
        return account

    def send(self, change: AccountChange, *, counts: bool = False) -> None:
        """Queue a change.

        Args:
            change: The change.
            counts: Whether it counts here at once, and not only once the server has made it.
        """
        with self._lock:
            if counts:
                known = self._of(change.key)
                known.pending = _sum(known.pending, change.deltas)
            self._queue.append(change)
            begins, self._sending = not self._sending, True
        if begins:
            self._state.run_soon(self._send_all)

    async def _send_all(self) -> None:
        """Send what is queued, in order, until the queue is empty or the server is lost."""
        while True:
            with self._lock:
                change = self._queue[0] if self._queue else None
                self._sending = change is not None
            if change is None:
                return
            answer = await self._ask(change)
            if answer is None:
                self._give_up()
                return
            self._apply(change, answer)
            self._changed()

    async def _ask(self, change: AccountChange) -> Any:
        """Return the server's response to a change, or None while it is lost."""
        fields = (change.lives, *change.limits, *change.deltas, change.item)
        return await self._state.run(_CHANGE, change.key, [*fields])

    def _learn(self, change: AccountChange, answer: Any) -> bool:
        """Keep the values of an account that a response has, and return whether the change was made."""
        flat = [text.decode() if isinstance(text, bytes) else text for text in answer[1]]
        with self._lock:
            pairs = zip(flat[::2], flat[1::2], strict=True)
            self._of(change.key).confirmed = {str(name): int(value) for name, value in pairs}
        return bool(answer[0])

    def _apply(self, change: AccountChange, answer: Any) -> None:
        with self._lock:
            granted = self._learn(change, answer)
            self._queue.popleft()
            known = self._of(change.key)
            if change.limits == (-1, -1):  # it counted at once
                known.pending = _sum(known.pending, tuple(-each for each in change.deltas))
            change.granted = granted
            undo = granted and change.left
        if undo:
            self.send(AccountChange(change.key, change.lives, deltas=_negative(change.deltas)), counts=True)

    def _give_up(self) -> None:
        """Stop sending for now: holds that wait for the server are decided by what is known here."""
        with self._lock:
            self._sending = False
            waiting = [change for change in self._queue if change.limits != (-1, -1)]
            self._queue = deque(change for change in self._queue if change.limits == (-1, -1))
            for change in waiting:
                if not change.left:
                    change.granted = self._fits_here(change)
                    if change.granted:
                        known = self._of(change.key)
                        known.pending = _sum(known.pending, change.deltas)
                        self._queue.append(AccountChange(change.key, change.lives, deltas=change.deltas))
        self._changed()

    def _fits_here(self, change: AccountChange) -> bool:
        known = self._of(change.key)
        names = ("usd", "held", "tokens", "held_tokens")
        values = [known.confirmed.get(name, 0) for name in names]
        usd, held, tokens, held_tokens = _sum(_sum(known.pending, change.deltas), tuple(values))
        most, most_tokens = change.limits
        return (most < 0 or usd + held <= most) and (most_tokens < 0 or tokens + held_tokens <= most_tokens)

    def _of(self, key: str) -> _Known:
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MOST_ACCOUNTS:
                self._known.popitem(last=False)
            known = self._known[key] = _Known()
        return known


def nano(usd: Decimal | None) -> int:
    """Return whole nano-dollars; -1 for no limit."""
    return -1 if usd is None else int(usd * NANO)


def _sum(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, int, int, int]:
    a, b, c, d = (x + y for x, y in zip(one, other, strict=True))
    return a, b, c, d


def _negative(deltas: tuple[int, ...]) -> tuple[int, int, int, int]:
    return _sum((0, 0, 0, 0), tuple(-each for each in deltas))
