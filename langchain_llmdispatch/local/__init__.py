"""A model on this machine: its file, and the process that serves it on loopback.

Owns: fetching and checking the model file, starting and stopping the server.
Must not know: deployments, calls, vendors' formats.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_llmdispatch.errors import LocalModelError
    from langchain_llmdispatch.local.model_files import fetch_model, find_model
    from langchain_llmdispatch.local.models import DEFAULT_MODEL, LOCAL_MODELS, LocalModel
    from langchain_llmdispatch.local.server import LocalServer, base_url, local_server

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
_MODULES = ("local.models", "local.model_files", "local.server", "errors")


def __getattr__(name: str) -> Any:
    """Import the implementation when a name is first used."""
    if name in __all__:
        for module in _MODULES:
            found = import_module(f"langchain_llmdispatch.{module}")
            if name in vars(found):
                return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
