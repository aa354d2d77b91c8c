"""One model on the workers of Dask: one limit and one budget over Redis, statistics summed on the driver."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langchain_llmdispatch import Stats
from tests.loopback.server import LoopbackServer
from tests.machines import answer_all, fleet_model, together
from tests.redis.process import BINARY, RedisProcess

dask = pytest.importorskip("dask", reason="dask is not installed (pip install 'dask[distributed]')")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """Return the address of a Redis server."""
    if BINARY is None:
        pytest.skip("redis-server is not installed (apt install redis-server)")
    process = RedisProcess(tmp_path)
    process.start()
    yield process.url
    process.stop()


def taken(url: str, namespace: str) -> tuple[float, int]:
    """Return the requests that the shared bucket counts, and the processes that draw from it."""
    from redis import Redis

    with Redis.from_url(url, decode_responses=True) as client:
        (bucket,) = client.keys(f"{namespace}:*:requests")
        (members,) = client.keys(f"{namespace}:*:members")
        held: dict[str, str] = client.hgetall(bucket)
        counted = sum(float(value) for name, value in held.items() if name not in "lt")
        return counted, int(client.zcard(members))


def test_two_worker_processes_have_one_limit_one_budget_and_one_statistic(
    server: LoopbackServer, redis: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A bag over two processes: all requests are in one bucket, and no cent is above the budget."""
    import dask.bag as bags

    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    namespace = uuid.uuid4().hex
    budgets = [{"name": "all", "usd": 0.004, "per": "day"}]
    model = fleet_model(server, redis, namespace=namespace, budgets=budgets)
    bag = bags.from_sequence([f"Say {number}." for number in range(120)], npartitions=2)

    def part(questions: Any) -> list[Any]:
        together(tmp_path, 2)
        return [answer_all(model, list(questions))]

    results = bag.map_partitions(part).compute(scheduler="processes", num_workers=2, chunksize=1)
    stats = Stats.merge(each for _, each in results)
    requests = len(server.requests_to("openai"))
    assert requests == stats.total_requests == sum(len(answers) for answers, _ in results)
    assert taken(redis, namespace) == (requests, 2)
    assert 0.97 * 0.004 <= float(stats.totals.cost_usd) <= 0.004
