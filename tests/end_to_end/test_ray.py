"""One model in Ray Data: tasks and actors share one limit and one budget. `make scale` runs it: Ray takes long to start."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langchain_llmdispatch import Stats
from tests.loopback.server import LoopbackServer
from tests.machines import answer_all, fleet_model
from tests.redis.process import BINARY, RedisProcess

pytestmark = pytest.mark.skipif(not os.environ.get("LLMDISPATCH_TEST_SCALE"), reason="make scale runs it")
ROOT = Path(__file__).parents[2]
ENV = {"OPENAI_API_KEY": "sk-test", "PYTHONPATH": str(ROOT), "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """Return the address of a Redis server."""
    if BINARY is None:
        pytest.skip("redis-server is not installed (apt install redis-server)")
    process = RedisProcess(tmp_path)
    process.start()
    yield process.url
    process.stop()


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return Ray with two workers."""
    module = pytest.importorskip("ray", reason="ray is not installed (pip install 'ray[data]')")
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    module.init(num_cpus=6, _node_ip_address="127.0.0.1", include_dashboard=False, log_to_driver=False)
    yield module
    module.shutdown()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.enable_socket
def test_actors_of_ray_data_have_one_budget_and_one_statistic(
    server: LoopbackServer, redis: str, ray: Any
) -> None:
    """`map_batches` with two actors, a copy of the model each: answers, requests and cents add up."""
    budgets = [{"name": "all", "usd": 0.004, "per": "day"}]
    model = fleet_model(server, redis, namespace=uuid.uuid4().hex, budgets=budgets)

    class Answers:
        def __init__(self) -> None:
            self.model = model

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            answers, stats = answer_all(self.model, [str(each) for each in batch["item"]])
            return {"answers": [len(answers)], "stats": [Stats.from_dict(stats).to_json()]}

    rows = ray.data.from_items([f"Say {number}." for number in range(120)]).repartition(6)
    done = rows.map_batches(Answers, batch_size=20, compute=ray.data.ActorPoolStrategy(size=2)).take_all()
    requests = len(server.requests_to("openai"))
    assert requests == sum(each["answers"] for each in done)
    assert 0.97 * 0.004 <= requests * 0.000045 <= 0.004
