"""Counters: every request once, whatever became of it, in bounded memory and from many threads."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from langchain_llmdispatch import AllDeploymentsFailedError, RetryPolicy, UsageCallbackHandler
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.stats.counters import MOST_GROUPS, OTHER, Counters
from langchain_llmdispatch.testing import FakeClock
from tests.loopback.faults import ANSWER, Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


def fake_attempt(name: str = "a", *, route: str | None = None, tags: frozenset[str] = frozenset()) -> Any:
    """Return what counting looks at, of a request that was answered in a second."""
    target = SimpleNamespace(
        name=name, model="m", vendor=SimpleNamespace(name="v"), deployment=SimpleNamespace(tags=tags)
    )
    request = SimpleNamespace(route=route, tags=frozenset())
    return SimpleNamespace(
        target=target,
        call=SimpleNamespace(request=request),
        record=SimpleNamespace(error=None),
        number=1,
        sent=True,
        apart=None,
        error=None,
        retry=None,
        fallback=False,
        hedge=False,
        usage=None,
        cost=None,
        cache_miss=None,
        delay=0.0,
        waited=0.0,
        throttled=0.0,
        latency=1.0,
        ttft=None,
    )


def test_every_request_counts_once_over_retries_and_fallbacks(server: LoopbackServer) -> None:
    """Two failures, a fallback and an answer are three requests, distinguished by vendor and deployment."""
    server.script("openai", [Fault.error("overloaded"), Fault.error("rate_limit")])
    model = model_of(deployment(server, "openai", "first"), deployment(server, "anthropic", "second"))
    server.script("openai", [Fault.error("overloaded"), Fault.error("rate_limit")], "first")
    model.invoke("hello")
    stats = model.get_stats()
    assert (stats.total_requests, stats.successful_requests, stats.failed_requests) == (3, 1, 2)
    assert (stats.retries, stats.fallbacks, stats.rate_limited) == (1, 1, 1)
    assert stats.vendor_stats["openai"].failures == stats.deployment_stats["first"].requests == 2
    assert stats.vendor_stats["anthropic"].successes == 1
    assert stats.model_stats["claude-haiku-4-5"].requests == 1
    assert (stats.calls.calls, stats.calls.answered) == (1, 1)
    assert stats.backoff == pytest.approx(0.5)
    assert stats.in_flight == 0
    assert len(server.requests) == stats.total_requests


def test_tokens_and_cost_are_those_of_the_answers(server: LoopbackServer) -> None:
    """Totals equal the sum over the messages, to the last digit."""
    model = model_of(deployment(server, "openai", input_price=3, output_price=7))
    answers = [model.invoke("word " * n) for n in range(1, 6)]
    stats = model.get_stats()
    assert stats.input_tokens == sum(a.usage_metadata["input_tokens"] for a in answers)
    assert stats.output_tokens == sum(a.usage_metadata["output_tokens"] for a in answers)
    costs = [a.response_metadata["llmdispatch"]["cost_usd"] for a in answers]
    assert stats.totals.cost == sum(map(type(stats.totals.cost), costs))
    assert stats.cost_usd == pytest.approx(float(sum(map(float, costs))))
    assert stats.unpriced_requests == 0


def test_failed_calls_count(server: LoopbackServer) -> None:
    """A call that fails everywhere leaves each of its requests behind, and no latency."""
    server.script("openai", [Fault.error("overloaded")], repeat=True)
    model = model_of(deployment(server, "openai"))
    with pytest.raises(AllDeploymentsFailedError):
        model.invoke("hello")
    stats = model.get_stats()
    assert (stats.total_requests, stats.failed_requests, stats.calls.failed) == (3, 3, 1)
    assert (stats.latency.count, stats.average_latency, stats.p95_latency) == (0, 0.0, 0.0)


def test_an_answer_that_is_no_good_is_paid_for(server: LoopbackServer) -> None:
    """An empty answer is a failure whose tokens and dollars count, as wasted."""
    server.script("openai", [Fault.empty_answer()])
    model = model_of(deployment(server, "openai", input_price=1, output_price=1))
    answer = model.invoke("hello there")
    stats = model.get_stats()
    reported = server.usage()["openai"]
    assert stats.input_tokens == reported.input_tokens > answer.usage_metadata["input_tokens"]
    assert stats.wasted_usd == pytest.approx(stats.totals.wasted_tokens / 1e6)
    assert 0 < stats.wasted_usd < stats.cost_usd


def test_a_stream_that_is_left_is_abandoned_not_failed(server: LoopbackServer) -> None:
    """Leaving a stream counts its request as abandoned; no deployment is blamed."""
    model = model_of(deployment(server, "openai"))
    stream = model.stream("hello")
    next(iter(stream))
    assert model.get_stats().in_flight == 1
    stream.close()
    stats = model.get_stats()
    assert (stats.total_requests, stats.abandoned, stats.failed_requests, stats.in_flight) == (1, 1, 0, 0)
    assert stats.calls.abandoned == 1


def test_streams_measure_the_first_token(server: LoopbackServer) -> None:
    """Streamed requests have a time to the first token, whole ones do not."""
    server.script("openai", [Fault.slow_first(0.02)])
    model = model_of(deployment(server, "openai"), clock=Clock())
    list(model.stream("hello"))
    model.invoke("hello")
    stats = model.get_stats()
    assert stats.first_token.count == 1
    assert 0.015 < stats.ttft <= stats.p99_ttft * 1.02 < 1
    assert stats.latency.count == 2


def test_routes_and_tags(server: LoopbackServer) -> None:
    """Requests are counted by route, and by tag of deployment and run."""
    fast = deployment(server, "openai", tags=frozenset({"cheap"}))
    model = model_of(routes={"fast": [fast], "smart": [deployment(server, "anthropic")]}, model="fast")
    model.invoke("hello", {"tags": ["nightly"]})
    list(model.stream("hello", {"tags": ["nightly"]}))
    model.invoke("hello", model="smart")
    stats = model.get_stats()
    assert {name: tally.requests for name, tally in stats.route_stats.items()} == {"fast": 2, "smart": 1}
    assert {name: tally.requests for name, tally in stats.tag_stats.items()} == {"cheap": 2, "nightly": 2}


def test_metrics_can_be_off(server: LoopbackServer) -> None:
    """With `enable_metrics=False` nothing is counted, and asking gives empty statistics."""
    model = model_of(deployment(server, "openai"), enable_metrics=False)
    model.invoke("hello")
    model.reset_stats()
    assert model.get_stats().total_requests == 0
    assert model._engine.counters is None


def test_two_models_share_nothing(server: LoopbackServer) -> None:
    """Statistics belong to one model."""
    one, two = model_of(deployment(server, "openai")), model_of(deployment(server, "openai"))
    one.invoke("hello")
    assert (one.get_stats().total_requests, two.get_stats().total_requests) == (1, 0)


def test_names_without_end_are_bounded() -> None:
    """Beyond the bound new names count under `(other)`, and the totals stay whole."""
    held = Counters(FakeClock())
    for n in range(MOST_GROUPS + 50):
        held.ended(fake_attempt(tags=frozenset({f"user-{n}"})))
    for n in range(50):
        held.ended(fake_attempt(f"deployment-{n}"))
    stats = held.snapshot()
    assert stats.total_requests == MOST_GROUPS + 100
    assert len(stats.tag_stats) == MOST_GROUPS
    assert stats.deployment_stats[OTHER].requests == 100
    assert len(held._groups) <= MOST_GROUPS + 2


def test_counting_is_thread_safe() -> None:
    """Eight threads lose no request, and snapshots taken meanwhile are consistent."""
    held, attempt, seen = Counters(FakeClock()), fake_attempt(), []

    def work() -> None:
        for _ in range(2000):
            held.started(attempt)
            held.ended(attempt)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        stats = held.snapshot()
        seen.append(stats.total_requests == stats.successful_requests == stats.latency.count)
    assert all(seen)
    assert held.snapshot().total_requests == 16_000
    assert held.snapshot().in_flight == 0


def test_nothing_is_lost_or_doubled_under_threads_retries_fallbacks_and_hedges(
    server: LoopbackServer,
) -> None:
    """Sixteen threads in four colours: statistics, callback and vendors agree on every request."""
    rng = random.Random(3)
    faults = (
        Fault.error("overloaded"),
        Fault.error("rate_limit"),
        Fault.empty_answer(),
        Fault.slow_head(0.04),
    )
    for account in "abc":
        steps = [rng.choice(faults) if rng.random() < 0.4 else ANSWER for _ in range(600)]
        server.script("openai", steps, account)
    usage = UsageCallbackHandler()
    model = model_of(
        *(deployment(server, "openai", account, input_price=1, output_price=2) for account in "abc"),
        strategy="round_robin",
        hedge_after=0.015,
        retry_policy=RetryPolicy(initial_delay=0.001, jitter=False, max_retry_after=0.01),
        clock=Clock(),
        callbacks=[usage],
    )

    async def collect(text: str) -> None:
        async for _ in model.astream(text):
            pass

    calls: tuple[Callable[[str], Any], ...] = (
        model.invoke,
        lambda text: list(model.stream(text)),
        lambda text: asyncio.run(model.ainvoke(text)),
        lambda text: asyncio.run(collect(text)),
    )

    def work(n: int) -> bool:
        with contextlib.suppress(AllDeploymentsFailedError):
            calls[n % 4](f"call {n}")
            return True
        return False

    with ThreadPoolExecutor(16) as pool:
        answered = sum(pool.map(work, range(160)))
    stats, reported = model.get_stats(), server.usage()
    assert (stats.calls.calls, stats.calls.answered, stats.in_flight) == (160, answered, 0)
    assert usage.answers == stats.successful_requests == stats.latency.count == answered
    assert stats.retries > 0 < stats.hedges
    assert usage.failed_requests == stats.failed_requests + stats.abandoned
    counted = (usage.input_tokens, usage.output_tokens, usage.cost, usage.wasted)
    assert counted == (stats.input_tokens, stats.output_tokens, stats.totals.cost, stats.totals.wasted)
    for account in "abc":
        ours, theirs = stats.deployment_stats[account], reported[f"openai@{account}"]
        assert ours.requests == ours.successes + ours.failures + ours.abandoned
        # A request that is overtaken while it leaves may never arrive.
        assert ours.requests - ours.abandoned <= theirs.requests <= ours.requests


def test_reset_begins_anew_and_keeps_what_is_in_flight(server: LoopbackServer) -> None:
    """After a reset the counters are zero; a request on its way is counted when it ends."""
    model = model_of(deployment(server, "openai"))
    model.invoke("hello")
    stream = model.stream("hello")
    next(iter(stream))
    model.reset_stats()
    assert (model.get_stats().total_requests, model.get_stats().in_flight) == (0, 1)
    list(stream)
    assert (model.get_stats().total_requests, model.get_stats().in_flight) == (1, 0)


def test_memory_does_not_grow_with_requests() -> None:
    """One group per deployment, route and tags; durations are put into buckets before they add up."""
    held, attempt = Counters(FakeClock()), fake_attempt()
    for _ in range(1000):
        held.started(attempt)
        held.ended(attempt)
    (group,) = held._groups.values()
    assert len(group._latency.pending) < 64
    assert held.snapshot().latency.count == 1000
