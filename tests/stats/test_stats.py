"""Snapshots of statistics: immutable, add, subtract, travel, and become tables."""

from __future__ import annotations

import asyncio
import json
import pickle
import sys

import pytest

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.stats.stats import Stats
from langchain_llmdispatch.stats.tally import Tally
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


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
        stats.totals = Tally()
    with pytest.raises(TypeError):
        stats.vendor_stats["x"] = Tally()
    with pytest.raises(AttributeError):
        stats.vendor_stats["openai"].requests = 7


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
    """A dict without distributions is for people; merging it is an error that names what to write instead."""
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
    assert pickle.loads(pickle.dumps(stats)) == stats
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
    """A table has one row per deployment or name of another dimension."""
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
