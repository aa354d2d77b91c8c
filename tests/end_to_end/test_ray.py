"""One model in Ray Data: actors share one breaker and one budget. `make scale` runs it: Ray takes long to start."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langchain_llmdispatch import Stats
from tests.machines import QUESTIONS, WorkerFleet, answer_all, deployments_tried

pytestmark = pytest.mark.skipif(not os.environ.get("LLMDISPATCH_TEST_SCALE"), reason="make scale runs it")


@pytest.fixture
def ray(worker_env: None) -> Iterator[Any]:
    """Return Ray with two workers."""
    module = pytest.importorskip("ray", reason="ray is not installed (pip install 'ray[data]')")
    module.init(num_cpus=6, _node_ip_address="127.0.0.1", include_dashboard=False, log_to_driver=False)
    yield module
    module.shutdown()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.enable_socket
def test_actors_of_ray_data_have_one_breaker_one_budget_and_one_statistic(
    ray: Any, fleet: WorkerFleet, tmp_path: Path
) -> None:
    """`map_batches` with two actors, a copy of the models each: answers, requests and cents add up."""
    spending, failing = fleet.spending, fleet.failing  # the server itself stays here

    class Answers:
        def __init__(self) -> None:
            self.tried = [deployments_tried(failing, tmp_path)]

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            answers, stats = answer_all(spending, [str(each) for each in batch["item"]])
            tried, self.tried = repr(self.tried), []
            return {
                "answers": [len(answers)],
                "stats": [Stats.from_dict(stats).to_json()],
                "tried": [tried],
            }

    rows = ray.data.from_items(list(QUESTIONS)).repartition(6)
    done = rows.map_batches(Answers, batch_size=20, compute=ray.data.ActorPoolStrategy(size=2)).take_all()
    fleet.check_breaker(tried for each in done for tried in ast.literal_eval(each["tried"]))
    stats = [Stats.from_json(str(each["stats"])) for each in done]
    fleet.check_budget(sum(each["answers"] for each in done), stats)
