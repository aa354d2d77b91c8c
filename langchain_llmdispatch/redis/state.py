"""What several processes share on a Redis server: blocked deployments, and running totals.

No call waits for the server. Reading returns the last known values, which are read anew in the background if
they are older than `refresh`; writing counts here at once and is sent in the background. While the server is
lost, what was added is kept, and sent when it is back.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.limits.loop_thread import LoopThread
from langchain_llmdispatch.redis.server import RedisStore
from langchain_llmdispatch.settings import without_variables

_NOW = """
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
"""
# Blocks are a hash of `until|reason` by name, in the server's milliseconds. ARGV: name, seconds, reason.
_BLOCK = (
    _NOW
    + """
local till = now + math.ceil(tonumber(ARGV[2]) * 1000)
local held = redis.call('HGET', KEYS[1], ARGV[1])
if not held or tonumber(string.match(held, '^%d+')) < till then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', till) .. '|' .. ARGV[3])
end
if redis.call('PTTL', KEYS[1]) < till - now then redis.call('PEXPIRE', KEYS[1], till - now) end
return 1
"""
)
_BLOCKS = (
    _NOW
    + """
local answer, held = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do
  local till, reason = string.match(held[i + 1], '^(%d+)|(.*)$')
  if tonumber(till) <= now then redis.call('HDEL', KEYS[1], held[i])
  else
    answer[#answer + 1] = held[i]
    answer[#answer + 1] = string.format('%d', tonumber(till) - now)
    answer[#answer + 1] = reason
  end
end
return answer
"""
)
# Totals are whole nano-units, so that no cent is lost to rounding. ARGV: nano-units, seconds to live.
_ADD = """
local total = redis.call('INCRBY', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return string.format('%d', total)
"""
NANO = Decimal(10) ** 9
"""Nano-dollars, the unit of totals on the server, in a dollar."""
# Totals that are remembered here; the oldest are forgotten first.
_REMEMBERED = 4096


class Block(NamedTuple):
    """A deployment that admits no request for a time.

    Attributes:
        until: Until when, in the clock's monotonic seconds.
        reason: Why, in one word.
    """

    until: float
    reason: str


class _Total:
    """A running total in nano-units: the server's last value, and what was not sent to it yet."""

    __slots__ = ("confirmed", "lives", "unsent")

    def __init__(self, lives: int) -> None:
        self.confirmed = self.unsent = 0
        self.lives = lives


class RedisState(RedisStore):
    """Blocks and totals on a Redis server. Safe to share between threads and event loops; never waits.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        prefix: What all keys begin with; processes with the same prefix share.
        timeout: Seconds that the server may take to respond.
        refresh: Seconds after which known values are read anew.
        clock: The source of time.

    Raises:
        ConfigurationError: redis-py is not installed, or the URL is not one of Redis.
    """

    @without_variables
    def __init__(
        self,
        url: str,
        *,
        prefix: str = "llmdispatch",
        timeout: float = 0.15,
        refresh: float = 0.5,
        clock: Clock | None = None,
    ) -> None:
        self._refresh, self._clock = refresh, clock or Clock()
        super().__init__(url, prefix=prefix, clock=self._clock, timeout=timeout, refresh=refresh)
        self._blocks_key = f"{prefix}:holds"
        self._loop = LoopThread(self._clock)
        self._followers: set[weakref.WeakMethod[Callable[[], Coroutine[Any, Any, None]]]] = set()
        self._renew()
        forks.in_child(self._renew)

    def _renew(self) -> None:
        """Begin anew; in a forked child, too: what is not sent yet, the parent sends."""
        self._lock = threading.RLock()
        self._blocks: dict[str, Block] = {}
        self._unsent: set[str] = set()  # blocks that the server does not have yet
        self._totals: dict[str, _Total] = {}
        self._read_at = float("-inf")
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()  # one call at a time: answers arrive in the order of the calls

    # -- blocks ------------------------------------------------------------------------------------

    def block(self, name: str, seconds: float, reason: str = "") -> None:
        """Block `name` for `seconds` in all processes; a longer block is not shortened."""
        until = self._clock.monotonic() + seconds
        with self._lock:
            if until <= self._blocks.get(name, Block(0.0, "")).until:
                return
            self._blocks = {**self._blocks, name: Block(until, reason)}
            self._unsent.add(name)
        self._post(self._send_block, name, seconds, reason)

    def unblock(self, name: str) -> None:
        """End a block in all processes."""
        with self._lock:
            self._blocks = {held: block for held, block in self._blocks.items() if held != name}
        self._post(self._send_unblock, name)

    def blocks(self) -> Mapping[str, Block]:
        """Return the blocks that are known now."""
        self._read_if_stale()
        return self._blocks

    def blocked(self, name: str) -> tuple[float, str]:
        """Return the seconds for which `name` is blocked, and why; 0.0 if it is not."""
        found = self.blocks().get(name)
        left = found.until - self._clock.monotonic() if found is not None else 0.0
        return (left, found.reason) if found is not None and left > 0 else (0.0, "")

    # -- totals ------------------------------------------------------------------------------------

    def add(self, name: str, amount: Decimal, *, lives: int) -> None:
        """Add to a total.

        Args:
            name: The total's name.
            amount: How much, to nine decimals; negative to subtract.
            lives: Seconds after which a total without additions is forgotten.
        """
        with self._lock:
            self._total(name, lives).unsent += int(amount * NANO)
        self._post(self._send, name)

    def total(self, name: str, *, lives: int) -> Decimal:
        """Return a total as far as it is known now, with what was added here."""
        with self._lock:
            known = name in self._totals
            total = self._total(name, lives)
            value = Decimal(total.confirmed + total.unsent) / NANO
        self._read_if_stale(now=not known)
        return value

    # -- life --------------------------------------------------------------------------------------

    def sync(self, timeout: float = 5.0) -> bool:
        """Wait until what was written is sent and everything is read anew, and return whether it was.

        For the end of a batch job, and for tests; calls never need it.
        """
        done = threading.Event()
        self._post(self._finish, done)
        return done.wait(timeout) and self.is_up

    def close(self) -> None:
        """Stop the background thread; a later use starts it again."""
        self._loop.close()
        self._tasks, self._turn = set(), asyncio.Lock()

    def _total(self, name: str, lives: int) -> _Total:
        found = self._totals.get(name)
        if found is None:
            if len(self._totals) >= _REMEMBERED:
                self._forget_oldest()
            found = self._totals[name] = _Total(lives)
        return found

    def _forget_oldest(self) -> None:
        sent = [name for name, total in self._totals.items() if not total.unsent]
        for name in sent[: _REMEMBERED // 8]:
            del self._totals[name]

    def _read_if_stale(self, *, now: bool = False) -> None:
        moment = self._clock.monotonic()
        if now or moment - self._read_at >= self._refresh:
            self._read_at = moment
            self._post(self._read)

    def follow(self, reread: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Call a method whenever what is known is read anew, as long as its object lives."""
        self._followers.add(weakref.WeakMethod(reread))

    def run_soon(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine function on the background loop."""
        self._post(function)

    async def run(self, script: str, key: str, args: list[Any]) -> Any:
        """Return what a script returns for one key below the prefix; None while the server is lost."""
        return await self._server.run(script, [f"{self._prefix}:{key}"], args)

    @property
    def refresh(self) -> float:
        """Seconds after which known values are read anew."""
        return self._refresh

    def _post(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        self._loop.post(self._spawn, function, *args)

    # -- on the loop -------------------------------------------------------------------------------

    def _spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        task = asyncio.get_running_loop().create_task(function(*args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, done: threading.Event) -> None:
        others = [task for task in self._tasks if task is not asyncio.current_task()]
        await asyncio.gather(*others, return_exceptions=True)
        await self._read()
        done.set()

    async def _send_block(self, name: str, seconds: float, reason: str) -> None:
        async with self._turn:
            await self._send_held(name, seconds, reason)

    async def _send_held(self, name: str, seconds: float, reason: str) -> None:
        if await self._server.run(_BLOCK, [self._blocks_key], [name, seconds, reason]) is not None:
            self._unsent.discard(name)

    async def _send_unblock(self, name: str) -> None:
        async with self._turn:
            await self._server.call(lambda client: client.hdel(self._blocks_key, name))

    async def _send(self, name: str) -> None:
        async with self._turn:
            await self._send_total(name)

    async def _send_total(self, name: str) -> None:
        """Send what was added to a total; several additions at once, if they were made meanwhile."""
        total = self._totals.get(name)
        if total is None or not total.unsent:
            return
        with self._lock:
            sending, total.unsent = total.unsent, 0
            total.confirmed += sending  # counted all the while
        answer = await self._server.run(_ADD, [self._total_key(name)], [sending, total.lives])
        with self._lock:
            if answer is None:
                total.unsent, total.confirmed = total.unsent + sending, total.confirmed - sending
            else:
                total.confirmed = int(answer)

    async def _read(self) -> None:
        """Read blocks and totals, and send what could not be sent before."""
        async with self._turn:
            for name in [name for name, total in self._totals.items() if total.unsent]:
                await self._send_total(name)
            await self._send_unsent()
            await self._read_blocks()
            await self._read_totals()
            for follower in list(self._followers):
                if (reread := follower()) is None:
                    self._followers.discard(follower)
                else:
                    await reread()

    async def _send_unsent(self) -> None:
        """Send the blocks that a lost server did not get, for as long as they still last."""
        now = self._clock.monotonic()
        for name in list(self._unsent):
            block = self._blocks.get(name)
            if block is None or block.until <= now:
                self._unsent.discard(name)
            else:
                await self._send_held(name, block.until - now, block.reason)

    async def _read_blocks(self) -> None:
        held = await self._server.run(_BLOCKS, [self._blocks_key])
        if held is None:
            return
        now = self._clock.monotonic()
        triples = zip(held[::3], held[1::3], held[2::3], strict=True)
        read = {name: Block(now + int(left) / 1000, reason) for name, left, reason in triples}
        with self._lock:
            own = {name: block for name, block in self._blocks.items() if name in self._unsent}
            self._blocks = {**read, **own}

    async def _read_totals(self) -> None:
        names = list(self._totals)
        keys = [self._total_key(name) for name in names]
        answers = await self._server.call(lambda client: client.mget(keys)) if keys else None
        with self._lock:
            for name, answer in zip(names, answers or (), strict=False):
                if name in self._totals:
                    self._totals[name].confirmed = int(answer or 0)

    def _total_key(self, name: str) -> str:
        return f"{self._prefix}:total:{name}"
