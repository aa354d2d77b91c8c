"""Blocks and totals that two processes share."""

from __future__ import annotations

import threading
import time
from decimal import Decimal

from langchain_llmdispatch.redis.state import RedisState
from langchain_llmdispatch.testing import FakeClock
from tests.redis.process import RedisProcess


def test_a_block_holds_for_all_and_is_never_shortened(states: tuple[RedisState, RedisState]) -> None:
    """A block in one process holds in all; the longer one wins; `unblock` ends it in all."""
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
    """No amount is lost."""
    clock = FakeClock()
    state = RedisState(fragile.url, timeout=1.0, refresh=1.0, clock=clock)
    assert state.sync()
    fragile.stop()
    state.add("t", Decimal("1.5"), lives=600)
    assert not state.sync()
    assert state.total("t", lives=600) == Decimal("1.5")
    fragile.start()
    for _ in range(12_000):
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
