"""Runnables bound around a chat model, taken apart: only the chat model itself can be a deployment.

`model.bind(temperature=0)` and `model.with_retry()` are a chat model with something around it. The bound
keywords become the deployment's parameters; the retries are left out, since they would multiply ours.
"""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable

from langchain_llmdispatch.errors import ConfigurationError

# Bound tools and output schemas are in one vendor's format; the DispatcherChatModel compiles them for all.
_NOT_HERE = ("tools", "tool_choice", "functions", "response_format", "ls_structured_output_format")
_INSTEAD = "hand in the chat model itself"


def without_bindings(value: Any) -> tuple[Any, dict[str, Any]]:
    """Return the chat model inside a runnable, and the keywords bound around it; other values as they are.

    Args:
        value: The model of a deployment, as handed in.

    Raises:
        ConfigurationError: A runnable that is not one chat model; the message names what to hand in.
    """
    bound: dict[str, Any] = {}
    while isinstance(value, Runnable) and not isinstance(value, BaseChatModel):
        if type(value).__name__ == "RunnableWithFallbacks":
            raise ConfigurationError(
                "a model .with_fallbacks() is several deployments: hand in models=[first, second, ...]."
            )
        inner = getattr(value, "bound", None)
        if not isinstance(inner, Runnable):
            raise ConfigurationError(f"a {type(value).__name__} is no deployment: {_INSTEAD}.")
        bound = {**getattr(value, "kwargs", {}), **bound}
        value = inner
    words = [word for word in _NOT_HERE if word in bound]
    if words:
        raise ConfigurationError(
            f"a model bound with {', '.join(words)} is no deployment: {_INSTEAD}, and bind tools and "
            "output schemas to the DispatcherChatModel, which compiles them for each vendor."
        )
    return value, {name: setting for name, setting in bound.items() if setting is not None}
