"""One model on the workers of Dask: one limit, one breaker and one budget over Redis, statistics summed on the driver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.machines import QUESTIONS, WorkerFleet, answer_all, deployments_tried, together

pytest.importorskip("dask", reason="dask is not installed (pip install 'dask[distributed]')")


def taken(url: str, namespace: str) -> tuple[float, int]:
    """Return the requests that the shared bucket counts, and the processes that draw from it."""
    from redis import Redis

    with Redis.from_url(url, decode_responses=True) as client:
        (bucket,) = client.keys(f"{namespace}:*:requests")
        (members,) = client.keys(f"{namespace}:*:members")
        held: dict[str, str] = client.hgetall(bucket)
        counted = sum(float(value) for name, value in held.items() if name not in "lt")
        return counted, int(client.zcard(members))


def test_two_worker_processes_have_one_limit_one_breaker_one_budget_and_one_statistic(
    fleet: WorkerFleet, redis_url: str, tmp_path: Path
) -> None:
    """A bag over two processes: all requests are in one bucket, and what one of them has found broken, the other avoids."""
    import dask.bag as bags

    spending, failing = fleet.spending, fleet.failing  # the server itself stays here

    def part(questions: Any) -> list[Any]:
        together(tmp_path, 2)
        return [(deployments_tried(failing, tmp_path), answer_all(spending, list(questions)))]

    bag = bags.from_sequence(QUESTIONS, npartitions=2)
    results = bag.map_partitions(part).compute(scheduler="processes", num_workers=2, chunksize=1)
    fleet.check_breaker(tried for tried, _ in results)
    answers = sum(len(found) for _, (found, _) in results)
    fleet.check_budget(answers, [stats for _, (_, stats) in results])
    config = spending.redis
    assert config
    assert taken(redis_url, config.namespace) == (answers, 2)
