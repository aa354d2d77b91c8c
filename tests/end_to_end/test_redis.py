"""Models in two processes share limits and health through Redis."""

from __future__ import annotations

import uuid
from pathlib import Path

from langchain_llmdispatch import Deployment, DispatcherChatModel, RetryPolicy
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.redis.health import RedisHealth
from langchain_llmdispatch.redis.limits import RedisLimits
from langchain_llmdispatch.redis.state import RedisState
from langchain_llmdispatch.testing import FakeClock
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.machines import WorkerFleet, deployments_tried
from tests.processes import start_fork


def test_models_in_two_processes_share_everything(server: LoopbackServer, redis_url: str) -> None:
    """After a 429 in one model the other one tries another deployment; limits hold for both."""
    prefix, clock = uuid.uuid4().hex, FakeClock()
    states = [RedisState(redis_url, prefix=prefix, timeout=5.0, refresh=0.0) for _ in range(2)]
    models = [
        DispatcherChatModel(
            models=[
                Deployment(
                    "openai:gpt-5.4-mini",
                    name=name,
                    base_url=server.base_url("openai", name),
                    api_key="key",
                    rpm=60,
                )
                for name in ("a", "b")
            ],
            clock=clock,
            env={},
            retry_policy=RetryPolicy(max_retries=0),
            health=RedisHealth(state),
            limiter=Limiter(
                clock=clock, shared=RedisLimits(redis_url, prefix=prefix, timeout=5.0, clock=clock)
            ),
        )
        for state in states
    ]
    server.script("openai", [Fault(status=429, headers={"retry-after": "30"})], "a")
    models[0].invoke("hi")
    assert states[0].sync()
    assert states[1].sync()
    answer = models[1].invoke("hi")
    assert answer.response_metadata["llmdispatch"]["deployment"] == "b"
    assert len(server.requests_to("openai", "a")) == 1
    for model, state in zip(models, states, strict=True):
        model.close()
        model.limiter.close()
        state.close()


def test_processes_keep_away_from_what_one_of_them_has_found_broken(
    fleet: WorkerFleet, tmp_path: Path
) -> None:
    """Two forks of one process, as a pool has them: one request to the broken deployment, not two."""
    ends = [start_fork(lambda: deployments_tried(fleet.failing, tmp_path)) for _ in range(2)]
    fleet.check_breaker([end() for end in ends])
