"""LangChain's callbacks for a call: events on the run, usage totals, logs.

Owns: `UsageCallbackHandler`, the custom events `llmdispatch.*`, log records.
Must not know: how attempts are decided; it only observes them.
"""

from __future__ import annotations

from langchain_llmdispatch.internal.lazy import lazy_names

_MODULES = {
    "Usage": "callbacks.usage",
    "UsageCallbackHandler": "callbacks.usage",
    "get_usage_callback": "callbacks.usage",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _MODULES)
