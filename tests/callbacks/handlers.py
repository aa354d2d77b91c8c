"""Handlers that note what they are notified of, and the ways to call a model, for the tests of this folder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler

from langchain_llmdispatch import (
    DispatcherChatModel,
)


class RecordingHandler(BaseCallbackHandler):
    """Notes what it is notified of, and on which run."""

    run_inline = True

    def __init__(self) -> None:
        self.seen: list[tuple[str, UUID]] = []
        self.data: list[tuple[str, dict[str, Any]]] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note the start."""
        self.seen.append(("start", run_id))

    def on_retry(self, retry_state: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note a retry."""
        self.seen.append(("on_retry", run_id))

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note an event."""
        self.seen.append((name.removeprefix("llmdispatch."), run_id))
        self.data.append((name.removeprefix("llmdispatch."), data))

    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note the end."""
        self.seen.append(("end", run_id))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Note an error."""
        self.seen.append(("error", run_id))

    def names(self) -> list[str]:
        """Return what was seen, in order."""
        return [name for name, _ in self.seen]


class AsyncRecordingHandler(AsyncCallbackHandler):
    """The same, awaited."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.loops: set[int] = set()

    async def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        """Note an event."""
        self.loops.add(id(asyncio.get_running_loop()))
        self.names.append(name.removeprefix("llmdispatch."))

    async def on_retry(self, retry_state: Any, **kwargs: Any) -> None:
        """Note a retry."""
        self.names.append("on_retry")


Config = dict[str, Any]


async def collect(model: DispatcherChatModel, config: Config) -> None:
    async for _ in model.astream("hello", config):
        pass


COLOURS: dict[str, tuple[bool, Callable[[DispatcherChatModel, Config], Any]]] = {
    "invoke": (False, lambda model, config: model.invoke("hello", config)),
    "ainvoke": (False, lambda model, config: asyncio.run(model.ainvoke("hello", config))),
    "stream": (False, lambda model, config: list(model.stream("hello", config))),
    "astream": (False, lambda model, config: asyncio.run(collect(model, config))),
    "invoke, streaming": (True, lambda model, config: model.invoke("hello", config)),
    "ainvoke, streaming": (True, lambda model, config: asyncio.run(model.ainvoke("hello", config))),
}
colours = pytest.mark.parametrize(("streaming", "run"), COLOURS.values(), ids=COLOURS)
