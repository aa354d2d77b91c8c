"""Redis servers, and benches and states as two processes would have them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from langchain_llmdispatch.redis.limits import RedisLimits
from langchain_llmdispatch.redis.state import RedisState
from langchain_llmdispatch.testing import FakeClock
from tests.limits.bench import Bench
from tests.redis.process import RedisProcess


@pytest.fixture
def url(redis_url: str) -> str:
    """Return the server's address."""
    return redis_url


@pytest.fixture
def fragile(tmp_path: Path, redis_server: RedisProcess) -> Iterator[RedisProcess]:
    """Return a server that a test may kill."""
    process = RedisProcess(tmp_path)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def pair(url: str) -> Iterator[tuple[Bench, Bench]]:
    """Return two benches, as two processes would have them, on one clock and one server."""
    clock, prefix = FakeClock(1000.0), uuid.uuid4().hex
    both = [Bench(clock, shared=RedisLimits(url, prefix=prefix, timeout=5.0, clock=clock)) for _ in range(2)]
    yield both[0], both[1]
    for bench in both:
        bench.limiter.close()


@pytest.fixture
def states(url: str) -> Iterator[tuple[RedisState, RedisState]]:
    """Return two states, as two processes would have them."""
    prefix = uuid.uuid4().hex
    both = [RedisState(url, prefix=prefix, timeout=5.0, refresh=1000.0) for _ in range(2)]
    yield both[0], both[1]
    for state in both:
        state.close()
