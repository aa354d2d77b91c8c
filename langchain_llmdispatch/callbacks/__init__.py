"""What LangChain's callbacks learn of a call: events on the run, usage totals, logs.

Owns: `UsageCallbackHandler`, the custom events `llmdispatch.*`, log records.
Must not know: how attempts are decided; it only observes them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_llmdispatch.callbacks.usage import Usage, UsageCallbackHandler, get_usage_callback

__all__ = [
    "Usage",
    "UsageCallbackHandler",
    "get_usage_callback",
]


def __getattr__(name: str) -> Any:
    """Import the implementation when a name is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("langchain_llmdispatch.callbacks.usage"), name)
