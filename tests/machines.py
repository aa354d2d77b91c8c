"""What runs on each worker of Dask, Ray and process pools: calls with one model that shares over Redis."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from langchain_llmdispatch import BudgetExceededError, Deployment, DispatcherChatModel
from tests.loopback.server import LoopbackServer

ANSWER_TOKENS = 16


def fleet_model(server: LoopbackServer, redis: str, **settings: Any) -> DispatcherChatModel:
    """Return a model at the loopback server that shares over Redis; keys come from the environment.

    Args:
        server: The vendor.
        redis: The URL of Redis.
        settings: `rpm`, `namespace`, `budgets`.
    """
    config = {"url": redis, "timeout": 5.0, "namespace": settings["namespace"]}
    deployment = Deployment(
        "openai:gpt-5.4-mini", base_url=server.base_url("openai"), rpm=settings.get("rpm", 60_000)
    )
    budgets = settings.get("budgets", ())
    return DispatcherChatModel(
        models=[deployment], max_tokens=ANSWER_TOKENS, redis={**config, "budgets": budgets}
    )


def together(folder: Path, count: int) -> None:
    """Wait until so many processes have come here."""
    (folder / f"process-{os.getpid()}").touch()
    until = time.monotonic() + 60
    while len(list(folder.glob("process-*"))) < count and time.monotonic() < until:
        time.sleep(0.01)


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
