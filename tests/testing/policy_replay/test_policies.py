"""Replay runs other policies against recorded calls in virtual time, always with the same result."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from langchain_llmdispatch import DispatcherChatModel
from langchain_llmdispatch.testing import Cassette, FakeClock, Faults, Journal, replay, use_clock
from tests.loopback.server import LoopbackServer
from tests.testing.models import COLOURS, answer, deployment, model_of
from tests.testing.policy_replay.calls import FAST, A, B, answered, calls, failed


def test_the_same_policy_gives_what_happened(server: LoopbackServer) -> None:
    """Real calls, replayed with the configuration that made them, take the same ways."""
    clock = FakeClock()
    journal = Journal(clock=clock)
    models = deployment(server, "openai"), deployment(server, "anthropic")
    with model_of(*models, clock=clock, callbacks=[journal]) as model, Faults(seed=3) as faults:
        faults.fail("openai:*", status=503, probability=0.3)
        faults.connect_error("openai:*", probability=0.2)
        for number in range(30):
            answer(model, COLOURS[number % 4])
            clock.advance(number % 5 + 1)
    result = replay(journal, {"models": [A, B], **FAST}, seed=1)  # the jitter of breakers is drawn
    [policy] = result.policies
    assert [call.deployment for call in policy.calls] == [call.deployment for call in result.recorded.calls]
    assert [call.requests for call in policy.calls] == [call.requests for call in result.recorded.calls]
    assert policy.failed == result.recorded.failed
    assert policy.cost_usd == result.recorded.cost_usd > 0
    assert set(policy.sources) == {"recorded"}


def test_another_policy_does_better_or_worse() -> None:
    """Where one vendor was down, a fallback would have answered; a dearer model would have cost more."""
    down = calls(20, failed(A, "OverloadedError", 503))
    well = calls(20, answered(B, 2.0))
    result = replay([*down, *well], {"models": [A], **FAST}, {"models": [A, B], **FAST}, {"models": [B]})
    alone, both, other = result.policies
    assert (alone.failed, both.failed, other.failed) == (40, 0, 0)
    assert both.answered_by == {B: 40}
    assert other.latency(0.5) == 2.0
    assert other.requests == 40 < both.requests
    assert both.cost_usd == other.cost_usd > 0


def test_breakers_limits_and_deadlines_work_in_virtual_time() -> None:
    """An hour of traffic: a dead deployment is not tried, a limit makes calls queue, the test does not wait."""
    began = time.monotonic()
    dead = calls(300, failed(A, "ServerError", 500), answered(B, 1.0), every=2.0)
    result = replay(dead, {"models": [A, B], **FAST, "retry_policy": {"max_retries": 0}})
    [policy] = result.policies
    assert policy.answered_by == {B: 300}
    assert policy.requests < 450, "the breaker is open most of the time"
    burst = calls(60, answered(A, 1.0), every=0.01)
    queued = replay(
        burst,
        {"models": [{"model": A, "rpm": 60}]},
        {"models": [{"model": A, "max_concurrency": 2}]},
        {"models": [{"model": A, "rpm": 60}], "deadline": 20},
    )
    paced, narrow, impatient = queued.policies
    assert 45 < (paced.latency(0.99) or 0) < 70
    assert 28 < (narrow.latency(0.99) or 0) < 31
    assert impatient.failed > 10
    assert time.monotonic() - began < 36000


def test_a_recorded_retry_after_is_waited_for() -> None:
    """A recorded Retry-After is what the replayed policy waits, if it has nowhere else to go."""
    limited = calls(3, failed(A, "RateLimitError", 429, retry_after_s=8.0), answered(A, 1.0), every=100)
    alone, both = replay(limited, {"models": [A], **FAST}, {"models": [A, B], **FAST}).policies
    assert alone.latency(0.5) == pytest.approx(9.2, abs=0.1)
    assert (both.latency(0.5) or 9) < 3
    assert both.assumed == {B}


def test_streams_hedges_and_timeouts() -> None:
    """First tokens count for streams; a hedge answers where the first deployment hangs."""
    slow = calls(10, answered(A, 30.0, ttft_s=20.0), every=60, stream=True)
    quick = calls(10, answered(B, 3.0, ttft_s=0.5), every=60, stream=True)
    result = replay(
        [*slow, *quick],
        {"models": [A, B]},
        {"models": [A, B], "first_token_timeout": 5},
        {"models": [A, B], "hedge_after": 2},
    )
    patient, strict, hedged = result.policies
    assert patient.ttft(0.5) == 20.0
    assert (strict.ttft(0.5) or 9) == pytest.approx(5.5, abs=0.1)
    assert (hedged.ttft(0.5) or 9) == pytest.approx(2.5, abs=0.1)
    assert hedged.answered_by[B] >= 15
    hung = calls(5, failed(A, "AttemptTimeoutError", None, 60.0), answered(B, 1.0), every=100)
    [policy] = replay(hung, {"models": [A, B], "timeout": 4, **FAST}).policies
    assert policy.latency(0.5) == pytest.approx(5.0, abs=0.1)


def test_routes_tools_images_and_sizes_count() -> None:
    """Rules and routes see what the recorded calls had."""
    recorded = [
        *calls(2, answered(A), route="fast"),
        *calls(2, answered(A), tools=3),
        *calls(2, answered(A), images=1),
        *calls(2, answered(A), input_tokens=60_000),
    ]
    config = {
        "routes": {"fast": [{"model": A, "name": "small"}], "rest": [B]},
        "models": [B, {"model": A, "name": "tools"}, {"model": A, "name": "long"}],
        "routing_rules": [
            {"deployment": "tools", "has_tools": True},
            {"deployment": "long", "min_input_tokens": 50_000},
        ],
    }
    [policy] = replay(recorded, config, assume={B: {"latency_s": 9.0}}).policies
    assert policy.answered_by == {"small": 2, B: 2, "tools": 2, "long": 2}
    assert policy.latency(1.0) == 9.0


def test_the_same_seed_gives_the_same_result() -> None:
    """What is drawn is drawn by seed; another seed may differ."""
    mixed = [
        *calls(40, answered(A, 1.0), every=3),
        *calls(40, failed(A, "ServerError", 500), every=3),
        *calls(40, answered(B, 2.0), every=3),
    ]
    config = {"models": [A, B], "strategy": "weighted", "retry_policy": {"max_retries": 1}}
    first, again, other = (replay(mixed, config, seed=seed).to_dict() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_nothing_is_sent_and_no_key_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A configuration that refers to variables replays on a machine that has none of them."""
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "MY_KEY"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "config.yaml"
    file.write_text(
        f"models:\n- model: {A}\n  api_key: ${{MY_KEY}}\n- azure:gpt-5.4-mini\n- local:qwen2.5-coder-0.5b\n"
    )
    [policy] = replay(calls(3, failed(A, "AuthenticationError", 401)), str(file)).policies
    assert policy.name == "config"
    assert policy.failed == 0


def test_a_day_of_traffic_takes_seconds() -> None:
    """Two thousand calls replay at well over a hundred a second."""
    rng = random.Random(1)
    day = [
        *calls(1000, answered(A, rng.uniform(0.5, 2)), every=40),
        *calls(1000, answered(B, rng.uniform(0.5, 2)), every=40),
    ]
    began = time.monotonic()
    [policy] = replay(day, {"models": [A, B], "strategy": "lowest_latency"}).policies
    assert len(policy.calls) == 2000
    assert time.monotonic() - began < 3600


def test_a_model_keeps_its_own_limits_after_a_replay(server: LoopbackServer) -> None:
    """A simulation leaves nothing behind in other models."""
    replay(calls(2, answered(A)), {"models": [A]})
    model = DispatcherChatModel(models=[deployment(server, "openai")], env={})
    with model:
        assert model.invoke("hello").text


def test_a_replay_passes_neither_cassettes_nor_faults(tmp_path: Path) -> None:
    """Simulated requests are not recorded, not replayed from a recording, and do not fail on demand."""
    path = tmp_path / "empty.yaml"
    with Cassette(path, mode="rewrite") as cassette, Faults(strict=False) as faults:
        faults.fail(status=503)
        [policy] = replay(calls(3, answered(A)), {"models": [A]}).policies
    assert (policy.failed, policy.requests) == (0, 3)
    assert not cassette.written
    assert not path.exists()


async def test_a_notebook_can_replay() -> None:
    """Where an event loop runs already, the result is the same."""
    day = calls(5, answered(A, 2.0))
    configs = {"models": [A, B]}, {"models": [B, A]}
    here = replay(day, *configs).to_dict()
    assert here == await asyncio.to_thread(lambda: replay(day, *configs).to_dict())


def test_a_replay_keeps_its_own_time() -> None:
    """A clock that is substituted for the real one, as in every cassette's replay, does not move a simulation."""
    with use_clock(FakeClock()) as clock:
        [policy] = replay(calls(3, answered(A, 2.0)), {"models": [A]}).policies
    assert policy.latency(0.5) == 2.0
    assert clock.monotonic() == 0
