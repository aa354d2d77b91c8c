"""What several processes know together on a Redis server: who must be left alone, and running totals.

Nobody waits for it. Reading returns what is known here, and has it read anew in the background if it is older
than `refresh`; writing counts here at once and is sent in the background. While the server is lost, what was
added is kept and sent when it is back.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.limits.loop_thread import LoopThread
from langchain_llmdispatch.redis.server import RedisServer

# A hash of who is held: `until|reason`, in the server's milliseconds. ARGV: name, seconds, reason.
_HOLD = """
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local till = now + math.ceil(tonumber(ARGV[2]) * 1000)
local held = redis.call('HGET', KEYS[1], ARGV[1])
if not held or tonumber(string.match(held, '^%d+')) < till then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', till) .. '|' .. ARGV[3])
end
if redis.call('PTTL', KEYS[1]) < till - now then redis.call('PEXPIRE', KEYS[1], till - now) end
return 1
"""
_HOLDS = """
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
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
# Totals are whole nano-units, so that no cent is lost to rounding. ARGV: nano-units, seconds to live.
_ADD = """
local total = redis.call('INCRBY', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return string.format('%d', total)
"""
_NANO = Decimal(10) ** 9
# Totals that are remembered here; the oldest go first.
_REMEMBERED = 4096


class Hold(NamedTuple):
    """Somebody who is to be left alone.

    Attributes:
        until: Until when, in the clock's monotonic seconds.
        reason: Why, in one word.
    """

    until: float
    reason: str


class _Total:
    """A running total: what the server said last, and what it has not heard yet, in nano-units."""

    __slots__ = ("heard", "lives", "unsent")

    def __init__(self, lives: int) -> None:
        self.heard = self.unsent = 0
        self.lives = lives


class RedisState:
    """Holds and totals on a Redis server. Safe to share between threads and event loops; never blocks.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        prefix: What all keys begin with; processes with the same prefix share.
        timeout: Seconds that the server may take to answer.
        refresh: Seconds after which what is known is read anew.
        clock: The source of time.

    Raises:
        ConfigurationError: redis-py is not installed, or the URL is none of Redis's.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "llmdispatch",
        timeout: float = 0.15,
        refresh: float = 0.5,
        clock: Clock | None = None,
    ) -> None:
        self._settings = (url, prefix, timeout, refresh)
        self._prefix, self._refresh = prefix, refresh
        self._clock = clock or Clock()
        self._server = RedisServer(url, timeout=timeout, clock=self._clock)
        self._loop = LoopThread(self._clock, self._renew)
        self._renew()

    def __repr__(self) -> str:
        """Show where it is; never the password."""
        return f"RedisState({self._server!r}, prefix={self._prefix!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings; connections are each process's own."""
        return (_rebuild, self._settings)

    def _renew(self) -> None:
        self._lock = threading.RLock()
        self._holds: dict[str, Hold] = {}
        self._totals: dict[str, _Total] = {}
        self._read_at = float("-inf")
        self._unsaid: set[str] = set()  # holds that the server has not heard of
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()  # one exchange at a time: answers come in the order of the questions

    # -- holds -------------------------------------------------------------------------------------

    def hold(self, name: str, seconds: float, reason: str = "") -> None:
        """Have `name` left alone for so many seconds, by everybody; a longer hold is not shortened."""
        until = self._clock.monotonic() + seconds
        with self._lock:
            if until <= self._holds.get(name, Hold(0.0, "")).until:
                return
            self._holds = {**self._holds, name: Hold(until, reason)}
            self._unsaid.add(name)
        self._loop.post(self._spawn_hold, name, seconds, reason)

    def release(self, name: str) -> None:
        """End a hold."""
        with self._lock:
            self._holds = {held: hold for held, hold in self._holds.items() if held != name}
        self._loop.post(self._spawn_release, name)

    def holds(self) -> Mapping[str, Hold]:
        """Return who is held, as far as is known now."""
        self._read_if_stale()
        return self._holds

    def held(self, name: str) -> tuple[float, str]:
        """Return the seconds that `name` is held for, and why; 0.0 if it is not."""
        found = self.holds().get(name)
        left = found.until - self._clock.monotonic() if found is not None else 0.0
        return (left, found.reason) if found is not None and left > 0 else (0.0, "")

    # -- totals ------------------------------------------------------------------------------------

    def add(self, name: str, amount: Decimal, *, lives: int) -> None:
        """Add to a total.

        Args:
            name: Which.
            amount: How much, to nine decimals; negative to take back.
            lives: Seconds after which a total that nobody adds to is forgotten.
        """
        with self._lock:
            self._total(name, lives).unsent += int(amount * _NANO)
        self._loop.post(self._spawn_send, name)

    def total(self, name: str, *, lives: int) -> Decimal:
        """Return a total, as far as is known now, what was added here included."""
        with self._lock:
            known = name in self._totals
            total = self._total(name, lives)
            value = Decimal(total.heard + total.unsent) / _NANO
        self._read_if_stale(now=not known)
        return value

    # -- life --------------------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether the server answered last."""
        return self._server.is_up

    def sync(self, timeout: float = 5.0) -> bool:
        """Wait until what was written is sent and everything is read anew, and return whether that went well.

        For the end of a batch job, and for tests; calls never need it.
        """
        done = threading.Event()
        self._loop.post(self._spawn, self._settle(done))
        return done.wait(timeout) and self.is_up

    def close(self) -> None:
        """Stop the background thread; a later use starts it again."""
        self._loop.close()
        self._tasks, self._turn = set(), asyncio.Lock()

    # -- on the loop -------------------------------------------------------------------------------

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
            self._loop.post(self._spawn_read)

    def _spawn(self, what: Any) -> None:
        task = asyncio.get_running_loop().create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _spawn_hold(self, name: str, seconds: float, reason: str) -> None:
        self._spawn(self._send_hold(name, seconds, reason))

    def _spawn_release(self, name: str) -> None:
        self._spawn(self._send_release(name))

    def _spawn_send(self, name: str) -> None:
        self._spawn(self._send(name))

    def _spawn_read(self) -> None:
        self._spawn(self._read())

    async def _settle(self, done: threading.Event) -> None:
        others = [task for task in self._tasks if task is not asyncio.current_task()]
        await asyncio.gather(*others, return_exceptions=True)
        await self._read()
        done.set()

    async def _send_hold(self, name: str, seconds: float, reason: str) -> None:
        async with self._turn:
            await self._server.run(_HOLD, [f"{self._prefix}:holds"], [name, seconds, reason])
            self._unsaid.discard(name)

    async def _send_release(self, name: str) -> None:
        async with self._turn:
            await self._server.ask(lambda client: client.hdel(f"{self._prefix}:holds", name))

    async def _send(self, name: str) -> None:
        async with self._turn:
            await self._send_total(name)

    async def _send_total(self, name: str) -> None:
        """Send what was added to a total; several additions at once, if they came meanwhile."""
        total = self._totals.get(name)
        if total is None or not total.unsent:
            return
        with self._lock:
            sending, total.unsent = total.unsent, 0
            total.heard += sending  # counted all the while
        answer = await self._server.run(_ADD, [f"{self._prefix}:total:{name}"], [sending, total.lives])
        with self._lock:
            if answer is None:
                total.unsent, total.heard = total.unsent + sending, total.heard - sending
            else:
                total.heard = int(answer)

    async def _read(self) -> None:
        """Read holds and totals, and send what could not be sent before."""
        async with self._turn:
            for name in [name for name, total in self._totals.items() if total.unsent]:
                await self._send_total(name)
            await self._read_holds()
            await self._read_totals()

    async def _read_holds(self) -> None:
        held = await self._server.run(_HOLDS, [f"{self._prefix}:holds"])
        if held is None:
            return
        now = self._clock.monotonic()
        heard = {held[i]: Hold(now + int(held[i + 1]) / 1000, held[i + 2]) for i in range(0, len(held), 3)}
        with self._lock:
            own = {name: hold for name, hold in self._holds.items() if name in self._unsaid}
            self._holds = {**heard, **own}

    async def _read_totals(self) -> None:
        names = list(self._totals)
        keys = [f"{self._prefix}:total:{name}" for name in names]
        answers = await self._server.ask(lambda client: client.mget(keys)) if keys else None
        with self._lock:
            for name, answer in zip(names, answers or (), strict=False):
                if name in self._totals:
                    self._totals[name].heard = int(answer or 0)


def _rebuild(url: str, prefix: str, timeout: float, refresh: float) -> RedisState:
    return RedisState(url, prefix=prefix, timeout=timeout, refresh=refresh)
