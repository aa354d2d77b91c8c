"""Fake clocks, and their substitution for the real one."""

from __future__ import annotations

import time

import pytest

from langchain_llmdispatch import (
    DispatcherChatModel,
)
from langchain_llmdispatch.testing import (
    FakeClock,
    Faults,
    UnhurriedClock,
    use_clock,
)
from tests.loopback.server import LoopbackServer
from tests.testing.models import deployment


@pytest.mark.parametrize("clock", [FakeClock(), UnhurriedClock()], ids=["fake", "unhurried"])
def test_a_clock_is_substituted_in_models_made_elsewhere(server: LoopbackServer, clock: FakeClock) -> None:
    """An application's own model, made before the test, waits for nothing either; afterwards it does."""
    model = DispatcherChatModel(models=[deployment(server, "openai")], env={})
    began = time.monotonic()
    with use_clock(clock), Faults() as faults:
        faults.fail(status=429, retry_after=20, times=1)
        message = model.invoke("hello")
        assert model.clock.monotonic() >= 19.5
    assert time.monotonic() - began < 19.5
    assert clock.slept == pytest.approx([20.0], abs=0.5)
    assert message.response_metadata["llmdispatch"]["attempts"][1]["wait_ms"] >= 19_500
    assert abs(model.clock.monotonic() - time.monotonic()) < 1
    model.close()


def test_substitutes_nest_and_a_models_own_clock_is_kept(server: LoopbackServer) -> None:
    """The innermost substitute is in effect; a clock that was handed over is kept."""
    own, outer, inner = FakeClock(1), FakeClock(100), FakeClock(200)
    plain = DispatcherChatModel(models=[deployment(server, "openai")], env={}).clock
    with use_clock(outer):
        with use_clock(inner):
            assert plain.monotonic() == 200
        assert plain.monotonic() == 100
        assert own.monotonic() == 1
