"""A model behind vendors' batch APIs: its calls, and what is done with each of its answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

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
        for binding in _bindings(first):
            kwargs, config = {**binding.kwargs, **kwargs}, merge_configs(binding.config, config)
            first = binding.bound
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


def takes_keywords(model: Runnable[Any, Any]) -> bool:
    """Return whether the keywords of a call reach a chat model of ours: it is one, or begins with one."""
    first, _ = _divided(model)
    for binding in _bindings(first):
        first = binding.bound
    return hasattr(first, "batch_calls")


def with_keywords(model: Runnable[Any, Any], params: Mapping[str, Any]) -> Runnable[Any, Any]:
    """Return a model whose calls have further keywords; a chain hands them to its first step."""
    if not params:
        return model
    if not isinstance(model, RunnableSequence):
        return model.bind(**params)
    first, *rest = model.steps
    if _is_raw(first):  # which hands no keywords on
        first = RunnableParallel(raw=first.steps__["raw"].bind(**params))
    else:
        first = first.bind(**params)
    return RunnableSequence(first, *rest, name=model.name)


def _bindings(model: Any) -> Iterator[RunnableBinding[Any, Any]]:
    while isinstance(model, RunnableBinding):
        yield model
        model = model.bound


def _is_raw(step: Runnable[Any, Any]) -> TypeGuard[RunnableParallel[Any]]:
    """Return whether a step is the first one of `with_structured_output(..., include_raw=True)`."""
    return isinstance(step, RunnableParallel) and list(step.steps__) == ["raw"]


def _divided(model: Runnable[Any, Any]) -> tuple[Runnable[Any, Any], Runnable[Any, Any] | None]:
    """Return the chat model of a chain, and the rest of the chain, if there is one."""
    if not isinstance(model, RunnableSequence):
        return model, None
    first, *rest = model.steps
    if _is_raw(first):
        first, rest = first.steps__["raw"], [RunnableLambda(_raw), *rest]
    return first, rest[0] if len(rest) == 1 else RunnableSequence(*rest)


def _raw(message: AIMessage) -> dict[str, AIMessage]:
    return {"raw": message}
