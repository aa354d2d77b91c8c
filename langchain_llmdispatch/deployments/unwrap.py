"""Runnables around a chat model, taken apart: what is handed in as a deployment is a chat model itself.

`model.bind(temperature=0)` and `model.with_retry()` are a chat model and something around it. The bound
keywords become the deployment's parameters; the retries are left out, since they would multiply ours.
"""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable

from langchain_llmdispatch.errors import ConfigurationError

# Bound tools and shapes are one vendor's dialect; they belong on the router, which speaks all of them.
_ROUTERS_OWN = ("tools", "tool_choice", "functions", "response_format", "ls_structured_output_format")
_INSTEAD = "hand in the chat model itself"


def unwrapped(value: Any) -> tuple[Any, dict[str, Any]]:
    """Return the chat model in a runnable, and the keywords bound around it; other values as they are.

    Args:
        value: What was handed in as a deployment's model.

    Raises:
        ConfigurationError: A runnable that is not one chat model; the message says what to hand in.
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
    words = [word for word in _ROUTERS_OWN if word in bound]
    if words:
        raise ConfigurationError(
            f"a model bound with {', '.join(words)} is no deployment: {_INSTEAD}, and bind tools and "
            "answer shapes to the DispatcherChatModel, which spells them for each vendor."
        )
    return value, {name: setting for name, setting in bound.items() if setting is not None}
