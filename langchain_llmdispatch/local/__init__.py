"""A model on this machine: its file, and the process that serves it on loopback.

Owns: fetching and checking the model file, starting and stopping the server.
Must not know: deployments, calls, vendors' formats.
"""

from __future__ import annotations

from langchain_llmdispatch.internal.lazy import lazy_names

_MODULES = {
    "DEFAULT_MODEL": "local.models",
    "LOCAL_MODELS": "local.models",
    "LocalModel": "local.models",
    "LocalModelError": "errors",
    "LocalServer": "local.server",
    "base_url": "local.server",
    "fetch_model": "local.model_files",
    "find_model": "local.model_files",
    "local_server": "local.server",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _MODULES)
