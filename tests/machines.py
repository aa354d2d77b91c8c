"""What runs on each worker of Dask, Ray and process pools: calls with one model that shares over Redis."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_llmdispatch import BudgetExceededError, Deployment, DispatcherChatModel, Stats
from langchain_llmdispatch.redis import RedisHealth
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer

ANSWER_TOKENS = 16
USD = 0.004
QUESTIONS = tuple(f"Say {number}." for number in range(120))
BROKEN = "broken"
ROOT = Path(__file__).parents[1]
ENV = {"OPENAI_API_KEY": "sk-test", "PYTHONPATH": str(ROOT), "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


def fleet_model(server: LoopbackServer, redis: str, **settings: Any) -> DispatcherChatModel:
    """Return a model at the loopback server that shares over Redis; keys come from the environment.

    Args:
        server: The vendor.
        redis: The URL of Redis.
        settings: `rpm`, `namespace`, `budgets`, `accounts` (a deployment for each).
    """
    config = {"url": redis, "timeout": 5.0, "namespace": settings["namespace"]}
    rpm = settings.get("rpm", 60_000)
    deployments = [
        Deployment(
            "openai:gpt-5.4-mini",
            name=account or None,
            base_url=server.base_url("openai", account),
            rpm=rpm,
        )
        for account in settings.get("accounts", ("",))
    ]
    budgets = settings.get("budgets", ())
    return DispatcherChatModel(
        models=deployments, max_tokens=ANSWER_TOKENS, redis={**config, "budgets": budgets}
    )


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until another process has come so far; a minute at most."""
    until = time.monotonic() + 60
    while not holds() and time.monotonic() < until:
        time.sleep(0.01)


def together(folder: Path, count: int) -> None:
    """Wait until so many processes have come here."""
    (folder / f"process-{os.getpid()}").touch()
    wait_for(lambda: len(list(folder.glob("process-*"))) >= count)


def answer_all(model: DispatcherChatModel, questions: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Return the answers that the budget allows, and this copy's statistics."""
    answers = []
    before = model.get_stats()
    for question in questions:
        try:
            answers.append(model.invoke(question).text)
        except BudgetExceededError:
            break
    return answers, (model.get_stats() - before).to_dict(buckets=True)


def answer_for(model: DispatcherChatModel, seconds: float, threads: int) -> dict[str, Any]:
    """Call for so long from a few threads, and return this copy's statistics."""
    until = time.monotonic() + seconds

    def work(_: int) -> None:
        while time.monotonic() < until:
            try:
                model.invoke("hi")
            except BudgetExceededError:
                return

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    return model.get_stats().to_dict(buckets=True)


def deployments_tried(model: DispatcherChatModel, folder: Path) -> tuple[bool, list[str]]:
    """Return whether this process is the first one, and what a call of it tried.

    The first one meets the deployment that is broken; the others call when its breaker is known to them.
    """
    health = model.shared_state.health if model.shared_state is not None else None
    assert isinstance(health, RedisHealth)
    try:
        (folder / "first").touch(exist_ok=False)
    except FileExistsError:
        wait_for((folder / "met").exists)
        wait_for(lambda: not health.all_available)
        return False, _tried(model)
    tried = _tried(model)
    health.shared.sync()
    (folder / "met").touch()
    return True, tried


def _tried(model: DispatcherChatModel) -> list[str]:
    facts = model.invoke("hi").response_metadata["llmdispatch"]
    return [each["deployment"] for each in facts["attempts"]]


# -- what all engines are tested by ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkerFleet:
    """One model with a budget and one whose first deployment is broken, for two worker processes.

    Attributes:
        server: The vendor.
        spending: The model with a budget.
        failing: The model whose first deployment is broken.
        folder: Where the processes wait for each other.
    """

    server: LoopbackServer
    spending: DispatcherChatModel
    failing: DispatcherChatModel
    folder: Path

    @classmethod
    def of(cls, server: LoopbackServer, redis: str, folder: Path) -> WorkerFleet:
        """Return the models; the broken deployment refuses its key."""
        server.script("openai", [Fault(status=401)], BROKEN, repeat=True)
        budgets = [{"name": "all", "usd": USD, "per": "day"}]
        return cls(
            server,
            fleet_model(server, redis, namespace=uuid.uuid4().hex, budgets=budgets),
            fleet_model(server, redis, namespace=uuid.uuid4().hex, accounts=(BROKEN, "whole")),
            folder,
        )

    def check_breaker(self, tried: Iterable[tuple[bool, list[str]]]) -> None:
        """Check that one worker met the broken deployment, and the other one kept away from it."""
        assert sorted(tried) == [(False, ["whole"]), (True, [BROKEN, "whole"])]
        assert len(self.server.requests_to("openai", BROKEN)) == 1

    def check_budget(self, answers: int, stats: Iterable[Any]) -> None:
        """Check that no cent is above the budget, and that statistics of all workers are those of the vendor."""
        merged = Stats.merge(stats)
        assert merged.total_requests == answers == len(self.server.requests_to("openai"))
        assert 0.97 * USD <= float(merged.totals.cost_usd) <= USD
