"""A model on this machine: its file, and the process that serves it on loopback.

Owns: fetching and checking the model file, starting and stopping the server.
Must not know: deployments, calls, vendors' formats.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_llmdispatch.local.server import (
        DEFAULT_MODEL,
        LOCAL_MODELS,
        LocalModel,
        LocalModelError,
        LocalServer,
        base_url,
        fetch_model,
        find_model,
        local_server,
    )

__all__ = [
    "DEFAULT_MODEL",
    "LOCAL_MODELS",
    "LocalModel",
    "LocalModelError",
    "LocalServer",
    "base_url",
    "fetch_model",
    "find_model",
    "local_server",
]


def __getattr__(name: str) -> Any:
    """Import the implementation when a name is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("langchain_llmdispatch.local.server"), name)
