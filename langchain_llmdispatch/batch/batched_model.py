"""A model behind vendors' batch APIs: its calls, and what is done with each of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, convert_to_messages
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import (
    Runnable,
    RunnableBinding,
    RunnableConfig,
    RunnableLambda,
    RunnableParallel,
    RunnableSequence,
)
from langchain_core.runnables.config import get_async_callback_manager_for_config, merge_configs

from langchain_llmdispatch.batch.calls import BatchCalls
from langchain_llmdispatch.callbacks.events import Run
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.errors import ConfigurationError

_HINT = (
    "via='batch' takes a DispatcherChatModel, or what bind_tools, bind, with_config or "
    "with_structured_output makes of one"
)


class BatchedModel:
    """A chat model, and the steps after it.

    Args:
        model: A chat model, one with bound keywords or a config, or a chain that begins with one.
        config: For each call.

    Attributes:
        calls: The calls of the chat model.

    Raises:
        ConfigurationError: It is none of these.
    """

    def __init__(self, model: Runnable[Any, Any], config: RunnableConfig | None) -> None:
        first, self._then = _divided(model)
        kwargs: Mapping[str, Any] = {}
        while isinstance(first, RunnableBinding):
            kwargs, config = {**first.kwargs, **kwargs}, merge_configs(first.config, config)
            first = first.bound
        calls_of = getattr(first, "batch_calls", None)
        if calls_of is None:
            raise ConfigurationError(f"{_HINT}, not a {type(first).__name__}.")
        self.calls: BatchCalls = calls_of(config, kwargs)
        self._name = type(first).__name__

    async def finished(
        self, given: Any, message: AIMessage, attempt: Attempt | None, config: RunnableConfig
    ) -> Any:
        """Return what the whole model makes of an answer of the chat model; handlers see a run of it."""
        manager = get_async_callback_manager_for_config(config)
        if manager.handlers:
            shown = {"name": self._name, "type": "constructor", "lc": 1, "id": [self._name]}
            messages = convert_to_messages([given] if isinstance(given, str) else given)
            (run,) = await manager.on_chat_model_start(shown, [messages])
            if attempt is not None:
                async with Run(run) as events:
                    events.ended(attempt)
            await run.on_llm_end(LLMResult(generations=[[ChatGeneration(message=message)]]))
        return message if self._then is None else await self._then.ainvoke(message, config)


def _divided(model: Runnable[Any, Any]) -> tuple[Runnable[Any, Any], Runnable[Any, Any] | None]:
    """Return the chat model of a chain, and the rest of the chain, if there is one."""
    if not isinstance(model, RunnableSequence):
        return model, None
    first, *rest = model.steps
    if isinstance(first, RunnableParallel) and list(first.steps__) == ["raw"]:  # include_raw=True
        first, rest = first.steps__["raw"], [RunnableLambda(_raw), *rest]
    return first, rest[0] if len(rest) == 1 else RunnableSequence(*rest)


def _raw(message: AIMessage) -> dict[str, AIMessage]:
    return {"raw": message}
