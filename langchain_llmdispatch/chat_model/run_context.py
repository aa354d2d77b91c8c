"""The LLM run of a stream, which LangChain does not pass to `_stream` and `_astream`.

Where `invoke` streams underneath, `_should_stream` gets the run manager right before `_stream` is called;
`stream` and `astream` never pass it, so they create the run beforehand, with its id and handlers. Either way
it stands in a context variable until `_stream` takes it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from contextvars import ContextVar
from types import TracebackType
from typing import TypeVar, cast

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    CallbackManager,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import ChatGenerationChunk, LLMResult
from langchain_core.runnables import RunnableConfig, ensure_config

from langchain_llmdispatch.callbacks.events import RunManager

_RUN: ContextVar[RunManager | None] = ContextVar("llmdispatch_run", default=None)
_INVOKED: ContextVar[RunManager | None] = ContextVar("llmdispatch_invoked", default=None)
_Run = TypeVar("_Run", CallbackManagerForLLMRun, AsyncCallbackManagerForLLMRun)


async def end_cancelled(run: RunManager | None, error: asyncio.CancelledError) -> None:
    """End the run of a call that is cancelled, which LangChain does in `astream` only."""
    if isinstance(run, AsyncCallbackManagerForLLMRun):
        await run.on_llm_error(error, response=LLMResult(generations=[]))


async def settled_stream(
    chunks: AsyncIterator[ChatGenerationChunk], run: RunManager | None
) -> AsyncIterator[ChatGenerationChunk]:
    """Yield the chunks that `ainvoke` streams underneath; end the run if the call is cancelled."""
    try:
        async with aclosing(cast("AsyncGenerator[ChatGenerationChunk]", chunks)):
            async for chunk in chunks:
                yield chunk
    except (asyncio.CancelledError, GeneratorExit) as left:
        error = left if isinstance(left, asyncio.CancelledError) else asyncio.CancelledError()
        await end_cancelled(run, error)
        raise


def set_run(run: RunManager | None) -> None:
    """Keep the run of an `invoke` until the stream underneath it, which begins next, takes it."""
    _RUN.set(run)
    if isinstance(run, AsyncCallbackManagerForLLMRun):
        _INVOKED.set(run)


def is_invoked(run: RunManager | None) -> bool:
    """Return whether a stream that begins is underneath an `invoke`, which ends no cancelled run."""
    invoked = _INVOKED.get()
    if invoked is None:
        return False
    _INVOKED.set(None)
    return invoked is run


def take_run() -> RunManager | None:
    """Return the run of the stream that begins now, if one was kept."""
    run = _RUN.get()
    if run is not None:
        _RUN.set(None)
    return run


def kept_run() -> RunManager | None:
    """Return the run of the stream that begins now, and leave it for `_stream`."""
    return _RUN.get()


class StreamRun:
    """The run of one stream, created before LangChain starts it; a context manager around the stream.

    Args:
        model: The model that streams.
        config: As for `stream`.
        kind: The class of run manager.

    Attributes:
        run: The manager of the run.
        config: The config to stream with: its run has the id and handlers of this one.
    """

    def __init__(self, model: BaseChatModel, config: RunnableConfig | None, kind: type[_Run]) -> None:
        config = ensure_config(config)
        is_sync = issubclass(kind, CallbackManagerForLLMRun)
        manager = (CallbackManager if is_sync else AsyncCallbackManager).configure(
            config["callbacks"],
            model.callbacks,
            model.verbose,
            config["tags"],
            model.tags,
            config["metadata"],
            model.metadata,
        )
        run_id = config.get("run_id") or uuid.uuid4()
        self.run: RunManager = kind(
            run_id=run_id,
            handlers=manager.handlers,
            inheritable_handlers=manager.inheritable_handlers,
            parent_run_id=manager.parent_run_id,
            tags=manager.tags,
            inheritable_tags=manager.inheritable_tags,
            metadata=manager.metadata,
            inheritable_metadata=manager.inheritable_metadata,
        )
        if manager.handlers:
            config = {**config, "callbacks": manager, "run_id": run_id}
        self.config: RunnableConfig = config

    def __enter__(self) -> RunnableConfig:
        """Keep the run for `_stream`, and return the config to stream with."""
        _RUN.set(self.run)
        return self.config

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing in the caller's context, also where the stream has not begun."""
        if _RUN.get() is self.run:
            _RUN.set(None)
