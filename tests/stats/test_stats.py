"""Statistics: every request once, quantiles to one per cent, snapshots that add, subtract and travel."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import pickle
import random
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch import AllDeploymentsFailedError, RetryPolicy, UsageCallbackHandler
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.stats import counters
from langchain_llmdispatch.stats.counters import MOST_GROUPS, OTHER, Counters
from langchain_llmdispatch.stats.quantiles import RELATIVE_ERROR, Distribution, Sketch
from langchain_llmdispatch.stats.stats import Stats
from langchain_llmdispatch.stats.tally import Tally
from tests.end_to_end.test_failover import deployment, model_of
from tests.fakes import FakeClock
from tests.loopback.faults import ANSWER, Fault
from tests.loopback.server import LoopbackServer

# -- quantiles -----------------------------------------------------------------------------------------

_SECONDS = st.lists(st.floats(0.001, 5000), min_size=1, max_size=300)


def sketched(values: list[float]) -> Distribution:
    """Return the distribution of some durations."""
    return Sketch(values).snapshot()


@given(values=_SECONDS, share=st.floats(0.001, 1))
def test_quantiles_keep_their_stated_error(values: list[float], share: float) -> None:
    """A quantile is within one per cent of the sorted list's value at that rank."""
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    assert sketched(values).quantile(share) == pytest.approx(exact, rel=RELATIVE_ERROR * 1.0001)


@given(first=_SECONDS, second=_SECONDS)
def test_distributions_add_and_subtract_exactly(first: list[float], second: list[float]) -> None:
    """Two distributions added are the distribution of both lists; subtracted, the other one again."""
    both = sketched(first) + sketched(second)
    assert both.buckets == sketched(first + second).buckets
    assert (both - sketched(first)).buckets == sketched(second).buckets
    assert both.count == len(first) + len(second)


def test_quantiles_take_constant_memory() -> None:
    """A hundred thousand durations over nine decades fill a bounded number of buckets."""
    rng = random.Random(1)
    spread = sketched([10 ** rng.uniform(-5, 6) for _ in range(100_000)])
    assert len(spread.buckets) <= 1038
    assert spread.count == 100_000


def test_nothing_measured_is_zero() -> None:
    """An empty distribution has no quantiles to invent."""
    assert (Distribution().quantile(0.5), Distribution().mean) == (0.0, 0.0)


# -- counting ------------------------------------------------------------------------------------------


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
        error=None,
        retry=None,
        fallback=False,
        hedge=False,
        usage=None,
        cost=None,
        delay=0.0,
        waited=0.0,
        throttled=0.0,
        latency=1.0,
        ttft=None,
    )


def test_every_request_counts_once_over_retries_and_fallbacks(server: LoopbackServer) -> None:
    """Two failures, a fallback and an answer are three requests, told apart by vendor and deployment."""
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
    told = server.usage()["openai"]
    assert stats.input_tokens == told.input_tokens > answer.usage_metadata["input_tokens"]
    assert stats.wasted_usd == pytest.approx(stats.totals.wasted_tokens / 1e6)
    assert 0 < stats.wasted_usd < stats.cost_usd


def test_a_stream_that_is_left_is_abandoned_not_failed(server: LoopbackServer) -> None:
    """Leaving a stream counts its request as abandoned; nobody is blamed."""
    model = model_of(deployment(server, "openai"))
    stream = model.stream("hello")
    next(iter(stream))
    assert model.get_stats().in_flight == 1
    stream.close()  # type: ignore[attr-defined]
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
    stats, told = model.get_stats(), server.usage()
    assert (stats.calls.calls, stats.calls.answered, stats.in_flight) == (160, answered, 0)
    assert usage.answers == stats.successful_requests == stats.latency.count == answered
    assert stats.retries > 0 < stats.hedges
    assert usage.failed_requests == stats.failed_requests + stats.abandoned
    heard = (usage.input_tokens, usage.output_tokens, usage.cost, usage.wasted)
    assert heard == (stats.input_tokens, stats.output_tokens, stats.totals.cost, stats.totals.wasted)
    for account in "abc":
        ours, theirs = stats.deployment_stats[account], told[f"openai@{account}"]
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


# -- snapshots -----------------------------------------------------------------------------------------


@pytest.fixture
def stats(server: LoopbackServer) -> Stats:
    """Return statistics of a few calls on two vendors."""
    server.script("openai", [Fault.error("overloaded")])
    model = model_of(deployment(server, "openai"), deployment(server, "anthropic"), routes={})
    model.invoke("hello")
    asyncio.run(model.ainvoke("hello"))
    list(model.stream("hello", model="anthropic"))
    return model.get_stats()


def test_a_snapshot_does_not_change(stats: Stats) -> None:
    """Nothing of a snapshot can be set, and later calls do not show in it."""
    with pytest.raises(AttributeError):
        stats.totals = Tally()  # type: ignore[misc]
    with pytest.raises(TypeError):
        stats.vendor_stats["x"] = Tally()  # type: ignore[index]
    with pytest.raises(AttributeError):
        stats.vendor_stats["openai"].requests = 7  # type: ignore[misc]


def test_snapshots_subtract(server: LoopbackServer) -> None:
    """`after - before` is what happened in between, names that did nothing left out."""
    model = model_of(deployment(server, "openai"), deployment(server, "anthropic"))
    model.invoke("hello")
    before = model.get_stats()
    model.invoke("hello", model="anthropic")
    since = model.get_stats() - before
    assert (since.total_requests, list(since.vendor_stats), since.calls.calls) == (1, ["anthropic"], 1)
    assert since.input_tokens == server.usage()["anthropic"].input_tokens
    assert since.since == before.until
    assert (before - before) == Stats()


def test_snapshots_merge(stats: Stats) -> None:
    """Statistics of several processes add up, however they are handed over."""
    merged = Stats.merge([stats, stats, stats])
    assert merged.total_requests == 3 * stats.total_requests
    assert merged.totals.cost == 3 * stats.totals.cost
    assert merged.vendor_stats["openai"].failures == 3
    assert Stats.merge(stats, stats, stats) == merged
    held = json.loads(stats.to_json())
    assert Stats.merge([held, stats, held]) == Stats.merge(held, held, held) == merged
    assert Stats.merge([]) == Stats()


def test_what_cannot_be_read_again_says_so(stats: Stats) -> None:
    """A dict without distributions is for people; merging it is an error that says what to write instead."""
    with pytest.raises(ValueError, match=r"buckets=True"):
        Stats.merge([stats.to_dict()])


def test_a_difference_over_a_reset_is_an_error(server: LoopbackServer) -> None:
    """What happened before the reset is gone: no negative numbers are made up."""
    model = model_of(deployment(server, "openai"), clock=Clock())
    model.invoke("hello")
    before = model.get_stats()
    model.reset_stats()
    with pytest.raises(ValueError, match="reset"):
        _ = model.get_stats() - before


def test_pandas_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pandas the error names what to install."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"langchain-llmdispatch\[notebook\]"):
        Stats().to_pandas()


def test_snapshots_travel(stats: Stats) -> None:
    """Pickle and JSON give the same again."""
    assert pickle.loads(pickle.dumps(stats)) == stats  # noqa: S301 - our own
    assert Stats.from_json(stats.to_json()) == stats


def test_dict_is_json_safe_and_has_the_contract_s_names(stats: Stats) -> None:
    """`to_dict` holds every name of the contract, in plain JSON."""
    held = json.loads(json.dumps(stats.to_dict()))
    names = (
        *("total_requests", "successful_requests", "failed_requests", "average_latency", "p50_latency"),
        *("p95_latency", "p99_latency", "ttft", "input_tokens", "output_tokens", "cached_tokens"),
        *("reasoning_tokens", "cost_usd", "retries", "fallbacks", "rate_limited", "vendor_stats"),
        "deployment_stats",
    )
    assert set(names) <= set(held)
    assert all(hasattr(stats, name) and name in dir(stats) for name in names)
    assert held["vendor_stats"]["openai"]["requests"] == stats.vendor_stats["openai"].requests


def test_pandas(stats: Stats) -> None:
    """A table has one row per deployment or whatever is asked for."""
    table = stats.to_pandas()
    assert list(table.index) == list(stats.deployment_stats)
    assert table["requests"].sum() == stats.total_requests
    assert list(stats.to_pandas("vendor").index) == ["anthropic", "openai"]
    assert "p95_latency" in Stats().to_pandas("tag").columns


def test_repr_says_the_most_important(stats: Stats) -> None:
    """One line of text; an unknown attribute is an error."""
    assert repr(stats).startswith("Stats(requests=4, successes=3, failures=1")
    with pytest.raises(AttributeError):
        _ = stats.nonsense


def test_counting_is_cheap() -> None:
    """The counters hold one leaf per place: nothing else grows with requests."""
    held, attempt = Counters(FakeClock()), fake_attempt()
    for _ in range(1000):
        held.started(attempt)
        held.ended(attempt)
    assert len(held._groups) == 1
    assert counters.Counters is Counters
