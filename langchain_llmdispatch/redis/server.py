"""A Redis server that may be slow or lost: short timeouts, and no calls while it is down.

A call returns None instead of raising, and the caller continues with what this process has counted. The first
failure of an outage is logged, once; the server is then tried again in the background every few seconds.
"""

from __future__ import annotations

import asyncio
import logging
import os
import warnings
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, TypeVar

from pydantic import SecretStr

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.limits.loop_thread import ClockLoop
from langchain_llmdispatch.redis.address import lacks_password, with_password, without_password

T = TypeVar("T")
logger = logging.getLogger(__name__)


class RedisServer:
    """The connections to one Redis server, one pool per event loop.

    Args:
        url: `redis://`, `rediss://` or `unix://`, as redis-py takes it.
        timeout: Seconds that one call may take.
        probe_every: Seconds between two tries while the server is down.
        clock: The source of time for `probe_every`.

    Attributes:
        meanwhile: Returns what holds while the server is lost, for the warning.
        where: The server's address, without a password.

    Raises:
        ConfigurationError: redis-py is not installed, or the URL is not one of Redis.
    """

    def __init__(
        self, url: str, *, timeout: float = 0.15, probe_every: float = 3.0, clock: Clock | None = None
    ) -> None:
        self._url, self._timeout, self._probe_every = SecretStr(url), timeout, probe_every
        self._clock = clock or Clock()
        self._clients: dict[asyncio.AbstractEventLoop, _LoopClient] = {}
        self._down, self._try_at = False, 0.0
        self.meanwhile: Callable[[], str] = lambda: "health and budgets hold by what is known in this process"
        self._probe: asyncio.Task[None] | None = None
        forks.in_child(self._renew)
        self._redis = _redis()
        self.where = self._check()
        self._failures = (self._redis.exceptions.RedisError, OSError, TimeoutError)

    def _renew(self) -> None:
        """Forget the parent's connections in a forked child."""
        forks.keep_for_ever((self._clients, self._probe))
        self._clients, self._probe = {}, None

    def __repr__(self) -> str:
        """Show the address; never the password."""
        return f"RedisServer({getattr(self, 'where', None)!r})"

    @property
    def is_up(self) -> bool:
        """Whether the last call succeeded."""
        return not self._down

    async def call(self, command: Callable[[Any], Awaitable[T]]) -> T | None:
        """Return what `command` gets from a client, or None if the server does not respond in time."""
        if self._down:
            self._probe_if_due()
            return None
        try:
            async with asyncio.timeout(self._timeout):
                return await command(self._client())
        except self._failures as error:
            self._lose(error)
            return None

    async def run(self, script: str, keys: Sequence[str], numbers: Sequence[float | str] = ()) -> Any:
        """Return what a Lua script returns, or None if the server does not respond in time."""
        return await self.call(lambda _: self._held().script(script)(keys=keys, args=numbers))

    def _client(self) -> Any:
        return self._held().client

    def _held(self) -> _LoopClient:
        """Return the running loop's client; those of loops that have ended are dropped."""
        loop = asyncio.get_running_loop()
        held = self._clients.get(loop)
        if held is None:
            client = self._redis.asyncio.Redis.from_url(
                self._url.get_secret_value(),
                retry=None,
                socket_timeout=self._timeout,
                socket_connect_timeout=self._timeout,
                decode_responses=True,
            )
            if isinstance(loop, ClockLoop):
                loop.at_end.append(client.aclose)
            held = _LoopClient(client)
            living = {known: each for known, each in self._clients.items() if not known.is_closed()}
            self._clients = {**living, loop: held}
        return held

    def _lose(self, error: Exception) -> None:
        self._try_at = self._clock.monotonic() + self._probe_every
        if self._down:
            return
        self._down = True
        text = (
            f"Redis at {self.where} does not answer ({type(error).__name__}): {self.meanwhile()} "
            "until it is back"
        )
        logger.warning(text)
        # The time makes each loss a warning of its own: Python shows equal ones once.
        with forks.undivided():  # limits and health lose one server on two event loops at once
            announced = any(other.where == self.where for other in _LOST)
            _LOST.add(self)
        if announced:
            return
        with suppress(Warning):  # where warnings are errors, it is in the log, and no call fails
            warnings.warn(f"{text} (lost at {self._clock.now():%H:%M:%S} UTC)", RuntimeWarning, stacklevel=2)

    def _probe_if_due(self) -> None:
        now = self._clock.monotonic()
        if now >= self._try_at and (self._probe is None or self._probe.done()):
            self._try_at = now + self._probe_every
            self._probe = asyncio.get_running_loop().create_task(self._ping())

    async def _ping(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                client = self._client()
                # A connection from before the outage would fail once more.
                await client.connection_pool.disconnect(inuse_connections=False)
                await client.ping()
        except self._failures:
            return
        self._down = False
        with forks.undivided():
            _LOST.discard(self)
        logger.warning("Redis at %s answers again: limits are shared", self.where)

    def _check(self) -> str:
        known, url = None, self._url.get_secret_value()
        if isinstance(url, str):
            with suppress(ValueError):  # its text may quote a password
                known = self._redis.connection.parse_url(url)
        if known is None:
            raise ConfigurationError(
                "the URL of Redis is none: redis://, rediss:// or unix://, as in redis://:PASSWORD@host/0; a "
                "password's special characters are percent-encoded."
            )
        self._check_words(known)
        self._check_words(known)
        return str(known.get("path") or f"{known.get('host', 'localhost')}:{known.get('port', 6379)}")

    def _check_words(self, known: Mapping[str, Any]) -> None:
        """Check the words of the URL's query, which redis-py passes on to its connections."""
        settings, wrong = dict(known), ""
        connection = settings.pop("connection_class", self._redis.connection.Connection)
        try:
            connection(**settings)
        except TypeError as error:
            wrong = str(error).rpartition(" argument ")[2]
        if wrong:
            raise ConfigurationError(f"the URL of Redis has a word that redis-py does not know: {wrong}.")


_LOST: weakref.WeakSet[RedisServer] = weakref.WeakSet()
"""Those that are lost now: limits and health of one server are one loss to people."""


class _LoopClient:
    """The client of one event loop, and its scripts."""

    def __init__(self, client: Any) -> None:
        self.client, self._scripts = client, dict[str, Any]()

    def script(self, text: str) -> Any:
        """Return a script, which sends its digest, and its text only if the server does not have it."""
        if text not in self._scripts:
            self._scripts[text] = self.client.register_script(text)
        return self._scripts[text]


def check_state(owner: object, state: object) -> None:
    """Check that `owner` was given a `RedisState`.

    Raises:
        ConfigurationError: It is something else, such as a URL; the message does not repeat it.
    """
    if not isinstance(state, RedisStore):
        name = type(owner).__name__
        raise ConfigurationError(f"{name} takes a RedisState, not a {type(state).__name__}: RedisState(url).")


class RedisStore:
    """Base of what is kept on a Redis server under one prefix.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        prefix: What all keys begin with; processes with the same prefix share.
        clock: The source of time of the server's probes.
        settings: `timeout`, and further arguments of the subclass, for copies in other processes.
    """

    def __init__(self, url: str, *, prefix: str, clock: Clock | None, **settings: float) -> None:
        self._prefix, self._url, self._settings = prefix, SecretStr(url), {"prefix": prefix, **settings}
        known = {name: settings[name] for name in ("timeout", "probe_every") if name in settings}
        self._server = RedisServer(url, clock=clock, **known)

    def __repr__(self) -> str:
        """Show the address, never the password; error reporters show one that was refused, too."""
        server, prefix = getattr(self, "_server", None), getattr(self, "_prefix", None)
        return f"{type(self).__name__}({server!r}, prefix={prefix!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings without the password; the process that reads it takes REDIS_PASSWORD."""
        url = without_password(self._url.get_secret_value())
        return _rebuild, (type(self), {**self._settings, "url": url})

    @property
    def where(self) -> str:
        """The server's address, without a password, and what keys begin with."""
        return f"{self._server.where} ({self._prefix!r})"

    @property
    def meanwhile(self) -> str:
        """What holds while the server is lost."""
        return self._server.meanwhile()

    def describe_with(self, other: RedisStore) -> None:
        """Let the warning of either one name what holds for both while their server is lost."""
        own, others = self._server.meanwhile, other._server.meanwhile
        self._server.meanwhile = other._server.meanwhile = lambda: f"{own()}, {others()}"

    @property
    def is_up(self) -> bool:
        """Whether the server responded last."""
        return self._server.is_up


def _rebuild(cls: Callable[..., Any], settings: dict[str, Any]) -> Any:
    """Return a copy in another process; its password is in no pickle."""
    url, password = str(settings["url"]), os.environ.get("REDIS_PASSWORD")
    if password and lacks_password(url):
        settings = {**settings, "url": with_password(url, password)}
    return cls(**settings)


def _redis() -> Any:
    try:
        import_module("redis.asyncio")
        return import_module("redis")
    except ImportError:
        raise ConfigurationError(
            "shared limits need redis-py: pip install 'langchain-llmdispatch[redis]'"
        ) from None
