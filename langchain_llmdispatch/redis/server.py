"""A Redis server that may be slow or gone: short timeouts, and no calls while it is down.

Whoever asks gets None instead of an error, and goes on with what this process knows. The first failure of an
outage is warned of, once; the server is then tried again in the background every few seconds.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.limits.loop_thread import ClockLoop

T = TypeVar("T")
logger = logging.getLogger(__name__)


class RedisServer:
    """The connections to one Redis server, one pool per event loop.

    Args:
        url: `redis://`, `rediss://` or `unix://`, as redis-py takes it.
        timeout: Seconds that one exchange may take.
        probe_every: Seconds between two tries while the server is down.
        clock: The source of time for `probe_every`.

    Raises:
        ConfigurationError: redis-py is not installed, or the URL is none of Redis's.
    """

    def __init__(
        self, url: str, *, timeout: float = 0.15, probe_every: float = 3.0, clock: Clock | None = None
    ) -> None:
        self._url, self._timeout, self._probe_every = url, timeout, probe_every
        self._clock = clock or Clock()
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()
        self._scripts: dict[tuple[int, str], Any] = {}
        self._down, self._try_at = False, 0.0
        self._probe: asyncio.Task[None] | None = None
        self._redis = _redis()
        self._where = self._check()

    def __repr__(self) -> str:
        """Show where it is; never the password."""
        return f"RedisServer({self._where!r})"

    @property
    def is_up(self) -> bool:
        """Whether the last exchange went well."""
        return not self._down

    async def ask(self, question: Callable[[Any], Awaitable[T]]) -> T | None:
        """Return what `question` gets from a client, or None if the server does not answer in time."""
        if self._down:
            self._probe_if_due()
            return None
        try:
            async with asyncio.timeout(self._timeout):
                return await question(self._client())
        except self._failures() as error:
            self._lost(error)
            return None

    async def run(self, script: str, keys: Sequence[str], numbers: Sequence[float | str] = ()) -> Any:
        """Return what a Lua script answers, or None if the server does not in time."""
        return await self.ask(lambda client: self._script(client, script)(keys=keys, args=numbers))

    def _script(self, client: Any, text: str) -> Any:
        # A script object knows its digest, and loads the text where the server does not know it.
        found = self._scripts.get((id(client), text))
        if found is None:
            found = self._scripts[id(client), text] = client.register_script(text)
        return found

    def _client(self) -> Any:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = self._redis.asyncio.Redis.from_url(
                self._url,
                retry=None,
                socket_timeout=self._timeout,
                socket_connect_timeout=self._timeout,
                decode_responses=True,
            )
            if isinstance(loop, ClockLoop):
                loop.at_end.append(client.aclose)
        return client

    def _failures(self) -> tuple[type[Exception], ...]:
        return (self._redis.exceptions.RedisError, OSError, TimeoutError)

    def _lost(self, error: Exception) -> None:
        self._try_at = self._clock.monotonic() + self._probe_every
        if not self._down:
            self._down = True
            logger.warning(
                "Redis at %s does not answer (%s): limits hold in this process only until it is back",
                self._where,
                type(error).__name__,
            )

    def _probe_if_due(self) -> None:
        now = self._clock.monotonic()
        if now >= self._try_at and (self._probe is None or self._probe.done()):
            self._try_at = now + self._probe_every
            self._probe = asyncio.get_running_loop().create_task(self._ping())

    async def _ping(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                client = self._client()
                # Each connection from before the outage would be another outage to whoever gets it.
                await client.connection_pool.disconnect(inuse_connections=False)
                await client.ping()
        except self._failures():
            return
        self._down = False
        logger.warning("Redis at %s answers again: limits are shared", self._where)

    def _check(self) -> str:
        try:
            known = self._redis.connection.parse_url(self._url)
        except ValueError as error:
            raise ConfigurationError(f"Redis: {error}") from None
        return str(known.get("path") or f"{known.get('host', 'localhost')}:{known.get('port', 6379)}")


def _redis() -> Any:
    try:
        import redis  # noqa: PLC0415 - an extra
        import redis.asyncio  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError(
            "shared limits need redis-py: pip install 'langchain-llmdispatch[redis]'"
        ) from None
    return redis
