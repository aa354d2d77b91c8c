"""Limits that several processes and machines share, on a Redis server.

    limiter = Limiter(shared=RedisLimits("redis://localhost:6379/0"))
    DispatcherChatModel(models=[Deployment("openai:gpt-6-luna", rpm=500)], limiter=limiter)

One script takes a request's amounts from all its buckets at once, atomically, and returns when it may be
sent: the same bucket, the same window of the last minute and the same order of arrival as within one process.
Time is the server's own, so that machines need not agree on it. `max_concurrency` holds per process.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.limits.bucket import Window
from langchain_llmdispatch.limits.queue import Admission, Demand
from langchain_llmdispatch.redis.membership import LIVES, Membership
from langchain_llmdispatch.redis.server import RedisStore
from langchain_llmdispatch.settings import without_variables

# ARGV[1] is the time in seconds; negative: the server's.
_NOW = """
local now = tonumber(ARGV[1])
if now < 0 then
  local t = redis.call('TIME')
  now = tonumber(t[1]) + tonumber(t[2]) / 1000000
end
"""

# A bucket is a hash: `l` its level, as of `t`, and by number what was taken in each slice of the last minute.
# ARGV: now, max_wait, slice, then for each key: per minute, burst, allowed, amount; last a process's id, or
# an empty text. The last key is a sorted set of the processes that draw from these buckets, by when each is
# forgotten.
_RESERVE = (
    _NOW
    + """
local max_wait, grain = tonumber(ARGV[2]), tonumber(ARGV[3])
local wait, buckets, last = 0, {}, #KEYS - 1
for i = 1, last do
  local key = KEYS[i]
  local limit, burst = tonumber(ARGV[4 * i]), tonumber(ARGV[4 * i + 1])
  local allowed, amount = tonumber(ARGV[4 * i + 2]), tonumber(ARGV[4 * i + 3])
  local rate, level, at, total, slices, over = limit / 60, 0, now, 0, {}, {}
  local held = redis.call('HGETALL', key)
  for j = 1, #held, 2 do
    local name, value = held[j], tonumber(held[j + 1])
    if name == 'l' then level = value
    elseif name == 't' then at = value
    else
      local ends = (tonumber(name) + 1) * grain + 60
      if ends <= now then over[#over + 1] = name
      else
        slices[#slices + 1] = {ends, value}
        total = total + value
      end
    end
  end
  level = math.max(0, level - math.max(0, now - at) * rate)
  wait = math.max(wait, (level + math.min(amount, burst) - burst) / rate)
  table.sort(slices, function(a, b) return a[1] < b[1] end)
  for _, slice in ipairs(slices) do
    if total + amount <= allowed + 0.000001 then break end
    total = total - slice[2]
    wait = math.max(wait, slice[1] - now)
  end
  buckets[i] = {rate, level, amount, over}
end
local granted = wait <= max_wait
local answer = {granted and '1' or '0', string.format('%.6f', wait), string.format('%.6f', now + wait)}
for i = 1, last do
  local key = KEYS[i]
  local rate, level, amount, over = unpack(buckets[i])
  if granted then
    level = level + amount
    local slice = string.format('%d', math.floor((now + wait) / grain))
    redis.call('HSET', key, 'l', string.format('%.17g', level), 't', string.format('%.6f', now))
    redis.call('HINCRBYFLOAT', key, slice, string.format('%.17g', amount))
    if #over > 0 then redis.call('HDEL', key, unpack(over)) end
    redis.call('PEXPIRE', key, math.ceil((math.max(level / rate, wait) + 120) * 1000))
  end
  answer[3 + i] = string.format('%.6f', level)
end
local id, members = ARGV[#ARGV], KEYS[#KEYS]
if id ~= '' then
  redis.call('ZADD', members, now + {lives}, id)
  redis.call('ZREMRANGEBYSCORE', members, '-inf', now)
  redis.call('EXPIRE', members, {lives} + 1)
  answer[#answer + 1] = redis.call('ZCARD', members)
end
return answer
""".replace("{lives}", str(LIVES))
)

# ARGV: now, the moment of the reservation, slice, per minute, difference.
_CORRECT = (
    _NOW
    + """
local level, at = tonumber(redis.call('HGET', KEYS[1], 'l')), tonumber(redis.call('HGET', KEYS[1], 't'))
if not level then return 0 end
level = math.max(0, level - math.max(0, now - at) * tonumber(ARGV[4]) / 60)
level = math.max(0, level + tonumber(ARGV[5]))
redis.call('HSET', KEYS[1], 'l', string.format('%.17g', level), 't', string.format('%.6f', math.max(now, at)))
local slice = string.format('%d', math.floor(tonumber(ARGV[2]) / tonumber(ARGV[3])))
local taken = tonumber(redis.call('HGET', KEYS[1], slice))
if taken then
  redis.call('HSET', KEYS[1], slice, string.format('%.17g', math.max(0, taken + tonumber(ARGV[5]))))
end
return 1
"""
)


class RedisLimits(RedisStore):
    """Limits on a Redis server; hand it to `Limiter(shared=...)`.

    A server that is lost or slow costs one `timeout`. Until it responds again, which is tried every few
    seconds, each process takes its share of the limits: with four processes at last, a quarter. One warning
    per loss reports it. Processes are counted by what they draw: every few seconds a reservation has the
    process's id with it, which the server forgets after a minute.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        prefix: What all keys begin with; processes with the same prefix share.
        timeout: Seconds that the server may take to respond.
        probe_every: Seconds between two tries while the server is down.
        processes: The least number of processes that are assumed to share while the server is lost, for those
            that never reached it.
        clock: The source of time, for tests; default: the server's own.

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
        probe_every: float = 3.0,
        processes: int = 1,
        clock: Clock | None = None,
    ) -> None:
        settings = {"timeout": timeout, "probe_every": probe_every, "processes": processes}
        super().__init__(url, prefix=prefix, clock=clock, **settings)
        self._clock, self._members = clock, Membership(processes)
        self._server.meanwhile = self._members.meanwhile

    async def reserve(self, name: str, demands: Sequence[Demand], max_wait: float) -> Admission | None:
        """Take `demands` from the buckets of the queue `name`; None if the server does not respond."""
        keys = [self._key(name, demand) for demand in demands]
        numbers: list[float | str] = [self._now(), min(max_wait, 1e9), Window.GRAIN]
        for demand in demands:
            bucket = demand.bucket
            numbers += [bucket.per_minute, bucket.burst, bucket.allowed, demand.amount]
        beat = self._members.beat(name, self._monotonic())
        answer = await self._server.run(_RESERVE, [*keys, self._key_of(name, "members")], [*numbers, beat])
        if answer is None:
            return None
        if beat:
            self._members.count(name, int(answer.pop()), self._monotonic())
        granted, wait, at, *used = answer
        return Admission(float(wait), granted == "1", float(at), [float(level) for level in used])

    async def correct(self, name: str, demand: Demand, at: float, difference: float) -> None:
        """Add `difference` to what was taken for the moment `at`."""
        numbers = (self._now(), at, Window.GRAIN, demand.bucket.per_minute, difference)
        await self._server.run(_CORRECT, [self._key(name, demand)], numbers)

    def processes(self, name: str) -> int:
        """Return how many processes drew from the queue `name` when that was last known."""
        return self._members.of(name)

    def _key(self, name: str, demand: Demand) -> str:
        return self._key_of(name, demand.kind)

    def _key_of(self, name: str, kind: str) -> str:
        # The braces keep the buckets of one queue on one node of a cluster.
        return f"{self._prefix}:{{{name}}}:{kind}"

    def _monotonic(self) -> float:
        return time.monotonic() if self._clock is None else self._clock.monotonic()

    def _now(self) -> float:
        return self._clock.monotonic() if self._clock is not None else -1.0
