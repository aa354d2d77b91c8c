"""What every chat model of ours is observed by: statistics, logs, callbacks, displays.

`ObservedChatModel` stands between LangChain's `BaseChatModel` and `DispatcherChatModel`. It keeps the
counters, and it makes the LLM run known where LangChain does not hand it over: `_stream` and `_astream` get
no run manager, so `stream`, `astream` and the streaming branch of `invoke` leave it in a context variable
that the call reads once, at its beginning.
"""

from __future__ import annotations

import asyncio
import inspect
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar, cast

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    CallbackManager,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import RunnableConfig, ensure_config
from pydantic import PrivateAttr

from langchain_llmdispatch.callbacks.events import AMBIENT, Run, RunManager
from langchain_llmdispatch.callbacks.logs import CallLog
from langchain_llmdispatch.catalog.prices import load_prices, prices_are_loaded
from langchain_llmdispatch.dispatch.observer import Observers
from langchain_llmdispatch.stats.counters import Counters
from langchain_llmdispatch.stats.stats import Stats

if TYPE_CHECKING:
    from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
    from langchain_llmdispatch.clock import Clock


_F = TypeVar("_F", bound=Callable[..., Any])


def inspected(method: _F) -> _F:
    """Note a method's signature on it: LangChain inspects it at every call, which costs 50 us each time."""
    method.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    return method


class ObservedChatModel(BaseChatModel):
    """A chat model that counts, logs and reports what its calls become."""

    _counters: Counters | None = PrivateAttr(default=None)
    _log: CallLog = PrivateAttr()

    def _observe(self, clock: Clock, *, metrics: bool, console: bool) -> None:
        """Begin to count and to log.

        Args:
            clock: The source of time.
            metrics: Whether statistics are kept.
            console: Whether readable logs are printed.
        """
        self._counters = Counters(clock) if metrics else None
        self._log = CallLog(console=console)

    def _observers(self, run: Run) -> Observers:
        """Return who hears of a call: the statistics, the log, the run's handlers."""
        return Observers(self._counters, self._log, run.observer)

    # -- statistics --------------------------------------------------------------------------------

    def get_stats(self) -> Stats:
        """Return a snapshot of the statistics; it stays empty where `enable_metrics=False`."""
        return self._counters.snapshot() if self._counters is not None else Stats()

    def reset_stats(self) -> None:
        """Count from zero again."""
        if self._counters is not None:
            self._counters.reset()

    def _repr_html_(self) -> str:
        """Show the deployments in a notebook."""
        from langchain_llmdispatch.chat_model.html import model_html  # noqa: PLC0415 - only notebooks need it

        return model_html(cast("DispatcherChatModel", self))

    # -- batches -----------------------------------------------------------------------------------

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        progress: bool | None = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Answer several inputs in parallel, in order; see `Runnable.batch`.

        Args:
            inputs: The inputs.
            config: One config, or one per input; `max_concurrency` bounds how many run at once.
            return_exceptions: Whether a failure is returned in its place rather than raised.
            progress: Whether a bar shows how many are done and failed, tokens, dollars and the time left.
            kwargs: Further keywords for each call.
        """
        if not progress:
            return super().batch(inputs, config, return_exceptions=return_exceptions, **kwargs)
        from langchain_llmdispatch.chat_model.batch import run_batch  # noqa: PLC0415 - only where it is wanted

        return run_batch(self, inputs, config, return_exceptions=return_exceptions, **kwargs)

    async def abatch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        progress: bool | None = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Answer several inputs at once, in order; see `batch`."""
        if not progress:
            return await super().abatch(inputs, config, return_exceptions=return_exceptions, **kwargs)
        from langchain_llmdispatch.chat_model.batch import arun_batch  # noqa: PLC0415 - only where it is wanted

        return await arun_batch(self, inputs, config, return_exceptions=return_exceptions, **kwargs)

    # -- the LLM run, where LangChain does not hand it over ----------------------------------------

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's signature
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Stream the answer; see `BaseChatModel.stream`."""
        config = ensure_config(config)
        manager = CallbackManager.configure(*self._callbacks_of(config))
        config, ambient = _placed(config, manager, CallbackManagerForLLMRun)
        AMBIENT.set(ambient)
        try:
            yield from super().stream(input, config, stop=stop, **kwargs)
        finally:
            _forget(ambient)

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's signature
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Stream the answer; see `BaseChatModel.astream`."""
        await _prices_at_hand()
        config = ensure_config(config)
        manager = AsyncCallbackManager.configure(*self._callbacks_of(config))
        config, ambient = _placed(config, manager, AsyncCallbackManagerForLLMRun)
        AMBIENT.set(ambient)
        try:
            async with aclosing(cast("Any", super().astream(input, config, stop=stop, **kwargs))) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            _forget(ambient)

    def _generate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        AMBIENT.set(run_manager)
        try:
            return super()._generate_with_cache(messages, stop, run_manager, **kwargs)
        finally:
            _forget(run_manager)

    async def _agenerate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        await _prices_at_hand()
        AMBIENT.set(run_manager)
        try:
            return await super()._agenerate_with_cache(messages, stop, run_manager, **kwargs)
        finally:
            _forget(run_manager)

    def _callbacks_of(self, config: RunnableConfig) -> tuple[Any, ...]:
        return (
            config.get("callbacks"),
            self.callbacks,
            self.verbose,
            config.get("tags"),
            self.tags,
            config.get("metadata"),
            self.metadata,
        )


async def _prices_at_hand() -> None:
    """Have the price data loaded off the event loop, once in a process: it takes 0.1 s and more."""
    if not prices_are_loaded():
        await asyncio.to_thread(load_prices)


def _placed(
    config: RunnableConfig, manager: CallbackManager | AsyncCallbackManager, kind: type[Any]
) -> tuple[RunnableConfig, RunManager]:
    """Return a config whose run is known beforehand, and that run."""
    run_id = config.get("run_id") or uuid.uuid4()
    run = kind(
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
    return config, run


def _forget(run: RunManager | None) -> None:
    """Leave nothing in the caller's context, whether or not the call has begun."""
    if run is not None and AMBIENT.get() is run:
        AMBIENT.set(None)
