"""Budgets, health and spending on a real Redis server, which these tests start themselves on loopback."""

from __future__ import annotations

import asyncio
import logging
import pickle
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from langchain_llmdispatch import Deployment, DispatcherChatModel, RetryPolicy, errors
from langchain_llmdispatch.health.breaker import AttemptResult
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.redis.budget import RedisBudget
from langchain_llmdispatch.redis.health import RedisHealth
from langchain_llmdispatch.redis.limits import RedisLimits
from langchain_llmdispatch.redis.server import RedisServer
from langchain_llmdispatch.redis.state import RedisState
from tests.fakes import FakeClock
from tests.limits.bench import Bench, target, usage
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer

BINARY = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(
    BINARY is None, reason="redis-server is not installed (apt install redis-server)"
)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


class RedisProcess:
    """A Redis server of this test run's own, on loopback, that keeps nothing."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, and return when it listens."""
        assert BINARY is not None
        command = [
            BINARY,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            command, cwd=self._directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise RuntimeError("redis-server did not start")

    def stop(self) -> None:
        """Kill it: what it knew is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def command(self, *words: str) -> None:
        """Send one command, without any client library."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall((" ".join(words) + "\r\n").encode())
            connection.recv(100)


@pytest.fixture(scope="module")
def server_of_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    """Return one server for all tests that do not break it."""
    process = RedisProcess(tmp_path_factory.mktemp("redis"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def url(server_of_run: RedisProcess) -> str:
    """Return the server's address."""
    return server_of_run.url


@pytest.fixture
def fragile(tmp_path: Path) -> Iterator[RedisProcess]:
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


# -- limits ------------------------------------------------------------------------------------------


def test_two_processes_draw_from_one_budget(pair: tuple[Bench, Bench]) -> None:
    """Six of 60 a minute go at once, whoever asks; then one a second."""
    limited = target(rpm=60)
    times = [pair[n % 2].go(limited) - 1000 for n in range(12)]
    assert times[5] == 0.0
    assert times[11] == pytest.approx(6.0, abs=0.01)


def test_tokens_are_shared_too_and_the_scarcer_budget_sets_the_pace(pair: tuple[Bench, Bench]) -> None:
    """Both budgets are drawn from in one step."""
    limited = target(rpm=600, tpm=6000)
    times = [pair[n % 2].go(limited, 300) - 1000 for n in range(12)]
    assert times[-1] == pytest.approx(30.0, abs=0.1)


def test_no_minute_admits_more_than_a_tenth_above_the_limit_for_all_together(
    pair: tuple[Bench, Bench],
) -> None:
    """Small or nearly the whole limit at once, from either process: no minute sees more than 1.1 limits."""
    rng, limited = random.Random(5), target(tpm=1000)
    went = []
    for _ in range(80):
        size = rng.choice([5.0, 50.0, 300.0, 900.0])
        if rng.random() < 0.2:
            pair[0].clock.advance(rng.uniform(0, 40))
        went.append((rng.choice(pair).go(limited, size), size))
    worst = max(sum(n for when, n in went if start <= when < start + 59.999) for start, _ in went)
    assert worst <= 1100.001


def test_what_was_not_used_is_given_back_to_all(pair: tuple[Bench, Bench]) -> None:
    """A reservation of 600 of which 100 were used leaves 500 for the other process."""
    limited = target(tpm=6000)
    with pair[0].take(limited, 600) as permit:
        permit._attempt.usage = usage(100)
    _quiet(pair[0])
    assert pair[1].go(limited, 500) - 1000 == pytest.approx(0.0, abs=0.01)
    assert pair[1].go(limited, 100) - 1000 == pytest.approx(1.0, abs=0.02)


def test_a_request_above_the_whole_limit_is_not_refused(pair: tuple[Bench, Bench]) -> None:
    """It waits for a full bucket, and is owed for afterwards."""
    limited = target(tpm=600)
    pair[0].go(limited, 60)
    assert pair[1].go(limited, 1200) - 1000 == pytest.approx(61.0, abs=1.0)
    assert pair[0].go(limited, 1) - 1000 >= 114.0


def test_a_wait_that_does_not_fit_takes_nothing(pair: tuple[Bench, Bench]) -> None:
    """Who cannot wait so long leaves the budget as it was."""
    limited = target(rpm=6)
    pair[0].go(limited)
    with pytest.raises(errors.LimitTimeoutError) as caught:
        pair[1].take(limited, deadline=5.0)
    assert caught.value.retry_after == pytest.approx(10.0, abs=0.1)
    assert pair[1].go(limited) - 1000 == pytest.approx(10.0, abs=0.1)


def test_ready_in_knows_what_others_took(pair: tuple[Bench, Bench]) -> None:
    """After one exchange a process predicts from what all have used."""
    limited = target(rpm=60)
    for _ in range(5):
        pair[0].go(limited)
    pair[1].go(limited)
    assert pair[1].limiter.ready_in(limited) == pytest.approx(1.0, abs=0.01)


async def test_cancelled_waiters_give_their_place_back(pair: tuple[Bench, Bench]) -> None:
    """Whoever leaves the line leaves nothing behind on the server."""
    bench, limited = pair[0], target(rpm=60, max_concurrency=1)
    holder = await bench.limiter.aacquire(bench.attempt(limited))
    assert holder is not None
    waiters = [asyncio.ensure_future(bench.limiter.aacquire(bench.attempt(limited))) for _ in range(3)]
    await asyncio.sleep(0.01)
    for waiter in waiters:
        waiter.cancel()
    await asyncio.gather(*waiters, return_exceptions=True)
    holder.release()
    await asyncio.to_thread(_quiet, bench)
    assert [await asyncio.to_thread(pair[1].go, limited) - 1000 for _ in range(6)][-1] == 0.0


def _quiet(bench: Bench) -> None:
    """Wait until corrections have reached the server."""

    async def wait() -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.gather(*others, return_exceptions=True)
        done.set()

    bench.settled()
    done = threading.Event()
    tasks: list[Any] = []
    bench.limiter._loop.post(lambda: tasks.append(asyncio.ensure_future(wait())))
    assert done.wait(5)


# -- a server that is not there ----------------------------------------------------------------------


def test_a_lost_server_degrades_to_local_limits_with_one_warning_and_recovers(
    fragile: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """No call fails; the budget holds in this process; when the server is back it is shared again."""
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
        _quiet(bench)
    assert shared.is_up
    assert len(caplog.records) == 2
    assert "answers again" in caplog.records[-1].message
    bench.limiter.close()


def test_connections_from_before_an_outage_are_no_outage_of_their_own(
    fragile: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """However many there were, the server is lost once and found once."""
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
        assert await server.call(lambda client: client.ping()) is None  # it has the server looked for
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
    assert 0.02 < time.monotonic() - began < 2.0
    assert not shared.is_up
    limiter.close()


def test_a_server_that_was_never_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong address is a warning, not a failure."""
    nobody = RedisProcess(tmp_path)
    clock = FakeClock()
    bench = Bench(clock, shared=RedisLimits(f"redis://:hunter2@127.0.0.1:{nobody.port}/0", clock=clock))
    caplog.set_level(logging.WARNING, logger="langchain_llmdispatch")
    assert [bench.go(target(rpm=60)) for _ in range(7)][-1] == pytest.approx(1.0, abs=0.01)
    assert "hunter2" not in caplog.text
    assert len(caplog.records) == 1
    bench.limiter.close()


def test_settings_are_checked_at_construction(url: str) -> None:
    """A URL that is none, and a missing library, are said before anything is sent; no password shows."""
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
    """Batch workers draw from the same budget."""
    prefix = uuid.uuid4().hex
    state = RedisState(url, prefix=prefix)
    for value in (RedisLimits(url, prefix=prefix), state, RedisHealth(state), RedisBudget(state, "x", 1)):
        assert type(pickle.loads(pickle.dumps(value))) is type(value)  # noqa: S301 - our own bytes
    copied = pickle.loads(pickle.dumps(Limiter(shared=RedisLimits(url, prefix=prefix))))  # noqa: S301
    assert copied._shared._prefix == prefix


# -- holds and totals --------------------------------------------------------------------------------


@pytest.fixture
def states(url: str) -> Iterator[tuple[RedisState, RedisState]]:
    """Return two states, as two processes would have them."""
    prefix = uuid.uuid4().hex
    both = [RedisState(url, prefix=prefix, timeout=5.0, refresh=1000.0) for _ in range(2)]
    yield both[0], both[1]
    for state in both:
        state.close()


def test_a_hold_is_known_to_all_and_never_shortened(states: tuple[RedisState, RedisState]) -> None:
    """What one process leaves alone, all do; the longer hold wins; a release ends it for all."""
    one, two = states
    one.block("a", 300.0, "ServerError")
    assert 200 < one.blocked("a")[0] <= 300  # the server's time is real, and the machine may be busy
    assert one.sync()
    two.block("a", 100.0, "cooling")
    assert two.sync()
    left, reason = two.blocked("a")
    assert 200 < left <= 300.01
    assert reason == "ServerError"
    assert two.blocked("b") == (0.0, "")
    two.unblock("a")
    assert two.sync()
    assert one.sync()
    assert one.blocked("a") == (0.0, "")


def test_totals_are_exact_and_shared(states: tuple[RedisState, RedisState]) -> None:
    """Many threads in two processes add; nothing is lost, nothing is rounded."""

    def work(state: RedisState) -> None:
        for _ in range(100):
            state.add("t", Decimal("0.000000001"), lives=60)

    threads = [threading.Thread(target=work, args=(states[n % 2],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for state in (*states, *states):
        assert state.sync()
    assert [state.total("t", lives=60) for state in states] == [Decimal("0.000000800")] * 2


def test_what_is_added_while_the_server_is_lost_is_sent_later(fragile: RedisProcess) -> None:
    """Nothing that was spent is forgotten."""
    clock = FakeClock()
    state = RedisState(fragile.url, timeout=1.0, refresh=1.0, clock=clock)
    assert state.sync()
    fragile.stop()
    state.add("t", Decimal("1.5"), lives=600)
    assert not state.sync()
    assert state.total("t", lives=600) == Decimal("1.5")
    fragile.start()
    for _ in range(200):
        clock.advance(3.0)
        if state.sync():
            break
        time.sleep(0.005)
    assert state.sync()
    fresh = RedisState(fragile.url)
    fresh.total("t", lives=600)
    assert fresh.sync()
    assert fresh.total("t", lives=600) == Decimal("1.5")
    for each in (state, fresh):
        each.close()


def test_a_breaker_that_opens_in_one_process_holds_back_the_other(
    states: tuple[RedisState, RedisState],
) -> None:
    """A wrong key here, and the other process leaves the deployment alone without having failed itself."""
    one, two = (RedisHealth(state, rng=random.Random(1)) for state in states)
    to = target()
    one.learn(to, 10.0, object(), AttemptResult(blame="configuration", reason="AuthenticationError"))
    assert not one.all_available
    assert states[0].sync()
    assert states[1].sync()
    assert not two.all_available
    left, cooling = two.blocked(to, 500.0)
    assert 0 < left <= 300.01
    assert not cooling
    assert not two.admits(to, 500.0)
    assert two.admits(to, 500.0, last_resort=True)
    assert two.snapshot(to, 500.0).state == "open"
    assert two.blocked(target("b"), 500.0) == (0.0, False)


def test_a_vendors_wish_to_wait_is_shared(states: tuple[RedisState, RedisState]) -> None:
    """A 429's Retry-After closes the deployment for all, as a cooldown, not as a breaker."""
    one, two = (RedisHealth(state) for state in states)
    to = target()
    one.learn(to, 0.0, object(), AttemptResult(blame="limits", reason="RateLimitError", retry_after=200.0))
    assert states[0].sync()
    assert states[1].sync()
    left, cooling = two.blocked(to, 0.0)
    assert 100 < left <= 200.01
    assert cooling
    assert two.admits(to, 0.0)


def test_a_budget_is_spent_together(states: tuple[RedisState, RedisState]) -> None:
    """What one process set aside or spent is not left for the other; a new period begins at zero."""
    one, two = (RedisBudget(state, "team", 1, "day") for state in states)
    held = one.reserve(Decimal("0.6"), NOON)
    assert held is not None
    two.left(NOON)
    assert states[0].sync()
    assert states[1].sync()
    assert two.left(NOON) == Decimal("0.4")
    assert two.reserve(Decimal("0.5"), NOON) is None
    held.settle(Decimal("0.1"))
    assert states[0].sync()
    two.spent(NOON)
    assert states[1].sync()
    assert (two.spent(NOON), two.left(NOON)) == (Decimal("0.1"), Decimal("0.9"))
    assert two.reserve(Decimal("0.5"), NOON) is not None
    assert two.left(NOON.replace(day=25)) == Decimal(1)


# -- the whole engine --------------------------------------------------------------------------------


def test_models_in_two_processes_share_everything(server: LoopbackServer, url: str) -> None:
    """A model that was told to wait tells the other one, which goes elsewhere; limits hold for both."""
    prefix, clock = uuid.uuid4().hex, FakeClock()
    states = [RedisState(url, prefix=prefix, timeout=5.0, refresh=0.0) for _ in range(2)]
    models = [
        DispatcherChatModel(
            models=[
                Deployment(
                    "openai:gpt-5.4-mini",
                    name=name,
                    base_url=server.base_url("openai", name),
                    api_key="key",
                    rpm=60,
                )
                for name in ("a", "b")
            ],
            clock=clock,
            env={},
            retry_policy=RetryPolicy(max_retries=0),
            health=RedisHealth(state),
            limiter=Limiter(clock=clock, shared=RedisLimits(url, prefix=prefix, timeout=5.0, clock=clock)),
        )
        for state in states
    ]
    server.script("openai", [Fault(status=429, headers={"retry-after": "30"})], "a")
    models[0].invoke("hi")
    assert states[0].sync()
    assert states[1].sync()
    answer = models[1].invoke("hi")
    assert answer.response_metadata["llmdispatch"]["deployment"] == "b"
    assert len(server.requests_to("openai", "a")) == 1
    for model, state in zip(models, states, strict=True):
        model.close()
        model.limiter.close()
        state.close()
