"""Redis servers that are lost, slow or never there."""

from __future__ import annotations

import asyncio
import logging
import pickle
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from langchain_llmdispatch import DispatcherChatModel, errors
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.redis.budget import RedisBudget
from langchain_llmdispatch.redis.health import RedisHealth
from langchain_llmdispatch.redis.limits import RedisLimits
from langchain_llmdispatch.redis.server import RedisServer
from langchain_llmdispatch.redis.state import RedisState
from langchain_llmdispatch.testing import FakeClock
from tests.cases import each
from tests.limits.bench import Bench, target
from tests.redis.process import RedisProcess, quiet


def test_a_lost_server_degrades_to_local_limits_with_one_warning_and_recovers(
    fragile: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """No call fails; the limit holds in this process; when the server is back it is shared again."""
    clock = FakeClock(1000.0)
    shared = RedisLimits(fragile.url, timeout=1.0, probe_every=3.0, clock=clock)
    bench, limited = Bench(clock, shared=shared), target(rpm=60)
    caplog.set_level(logging.WARNING, logger="langchain_llmdispatch")
    bench.go(limited)
    assert shared.is_up
    fragile.stop()
    times = [bench.go(limited) - 1000 for _ in range(8)]
    assert times[4] == 0.0  # with the one before: the burst of six
    assert times[-1] == pytest.approx(3.0, abs=0.01)
    assert not shared.is_up
    assert len([r for r in caplog.records if "does not answer" in r.message]) == 1
    fragile.start()
    for _ in range(5):
        clock.advance(3.0)
        bench.go(limited)
        quiet(bench)
    assert shared.is_up
    assert len(caplog.records) == 2
    assert "answers again" in caplog.records[-1].message
    bench.limiter.close()


def test_connections_from_before_an_outage_are_not_another_outage(
    fragile: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """However many there were, one loss and one return are logged."""
    clock = FakeClock()
    server = RedisServer(fragile.url, timeout=1.0, probe_every=3.0, clock=clock)
    caplog.set_level(logging.WARNING, logger="langchain_llmdispatch")

    async def at_once() -> list[Any]:
        return await asyncio.gather(*(server.call(lambda client: client.ping()) for _ in range(5)))

    async def outage() -> None:
        assert await at_once() == [True] * 5
        fragile.stop()
        assert await server.call(lambda client: client.ping()) is None
        fragile.start()
        clock.advance(3.0)
        assert await server.call(lambda client: client.ping()) is None  # it starts a probe
        assert server._probe is not None
        await server._probe
        assert await at_once() == [True] * 5
        await server._client().aclose()

    asyncio.run(outage())
    assert server.is_up
    assert len(caplog.records) == 2


def test_a_slow_server_costs_its_timeout_once(fragile: RedisProcess) -> None:
    """Real time: a server that stalls is waited for 30 ms, and then no more."""
    shared = RedisLimits(fragile.url, timeout=0.03, probe_every=60.0)
    limiter, bench = Limiter(shared=shared), Bench()
    limited = target(rpm=6000)
    fragile.command("CLIENT", "PAUSE", "5000", "ALL")
    began = time.monotonic()
    for _ in range(20):
        permit = limiter.acquire(bench.attempt(limited))
        assert permit is not None
        permit.release()
    assert time.monotonic() - began > 0.02
    assert not shared.is_up
    limiter.close()


def test_a_server_that_was_never_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong address is a warning, not a failure."""
    absent = RedisProcess(tmp_path)
    clock = FakeClock()
    bench = Bench(clock, shared=RedisLimits(f"redis://:hunter2@127.0.0.1:{absent.port}/0", clock=clock))
    caplog.set_level(logging.WARNING, logger="langchain_llmdispatch")
    assert [bench.go(target(rpm=60)) for _ in range(7)][-1] == pytest.approx(1.0, abs=0.01)
    assert "hunter2" not in caplog.text
    assert len(caplog.records) == 1
    bench.limiter.close()


def test_settings_are_checked_at_construction(url: str) -> None:
    """A wrong URL and a missing library raise before anything is sent; no password shows."""
    with pytest.raises(errors.ConfigurationError, match="Redis"):
        RedisLimits("http://localhost")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "redis", None)
        with pytest.raises(errors.ConfigurationError, match=r"\[redis\]"):
            RedisLimits(url)
    shown = repr(RedisLimits("redis://:hunter2@127.0.0.1:6379/0"))
    assert "hunter2" not in shown
    assert "127.0.0.1:6379" in shown


def test_pickling_keeps_the_server_and_nothing_else(url: str) -> None:
    """Batch workers share the same limits."""
    prefix = uuid.uuid4().hex
    state = RedisState(url, prefix=prefix)
    for value in (RedisLimits(url, prefix=prefix), state, RedisHealth(state), RedisBudget(state, "x", 1)):
        assert type(pickle.loads(pickle.dumps(value))) is type(value)
    copied = pickle.loads(pickle.dumps(Limiter(shared=RedisLimits(url, prefix=prefix))))
    assert copied._shared._prefix == prefix


@pytest.mark.parametrize(
    "place", ["redis://user:hunter2@127.0.0.1:1/0", "redis://127.0.0.1:1/0?password=hunter2"]
)
def test_no_pickle_holds_the_password(place: str) -> None:
    """Of none of the objects, nor of a model that holds them; another process takes it from its environment."""
    state = RedisState(place)
    shared = RedisLimits(place)
    held = (shared, state, RedisHealth(state), RedisBudget(state, "x", 1), Limiter(shared=shared))
    for value in held:
        data = pickle.dumps(value)
        assert b"hunter2" not in data
        assert type(pickle.loads(data)) is type(value)
        assert "hunter2" not in f"{value!r} {value}"
    fields: dict[str, Any] = {"limiter": held[-1], "health": held[2], "budget": held[3], "env": {}}
    one = DispatcherChatModel("openai:x", api_key="canary-key", **fields)
    data = pickle.dumps(one)
    assert b"hunter2" not in data
    assert b"canary-key" not in data


@each("wrong", ["redis://u:hun/ter2@h/0", "redis://h:hunter2/0", "http://h", 5, None])
def test_what_is_no_url_of_redis_is_refused_without_it(wrong: Any) -> None:
    """A slash in a password makes a port of a part of it, which parsers quote."""
    with pytest.raises(errors.ConfigurationError, match="Redis") as raised:
        RedisLimits(wrong)
    assert "hun" not in str(raised.value)
    assert raised.value.__context__ is None
    with pytest.raises(errors.ConfigurationError, match="takes a RedisState"):
        RedisHealth(wrong)
    with pytest.raises(errors.ConfigurationError, match="takes a RedisState"):
        RedisBudget(wrong, "x", 1)
