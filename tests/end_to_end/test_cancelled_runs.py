"""Cancelled calls end LangChain's run."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler

from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


class Runs(AsyncCallbackHandler):
    """Notes the beginnings and ends of runs."""

    def __init__(self) -> None:
        self.events: list[str] = []

    async def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        """Note it."""
        self.events.append("start")

    async def on_llm_end(self, *_: Any, **__: Any) -> None:
        """Note it."""
        self.events.append("end")

    async def on_llm_error(self, error: BaseException, **_: Any) -> None:
        """Note it."""
        self.events.append(type(error).__name__)


@pytest.mark.parametrize("method", ["ainvoke", "astream"])
def test_a_cancelled_call_ends_its_run(server: LoopbackServer, method: str) -> None:
    """Handlers are notified once that the run is over."""
    model, runs = model_of(deployment(server, "openai")), Runs()

    async def call() -> None:
        if method == "ainvoke":
            await model.ainvoke("hello", config={"callbacks": [runs]})
        else:
            async for _ in model.astream("hello", config={"callbacks": [runs]}):
                pass

    async def main() -> None:
        task = asyncio.create_task(call())
        while not model.get_stats().in_flight:
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await model.aclose()

    asyncio.run(main())
    assert runs.events == ["start", "CancelledError"]
