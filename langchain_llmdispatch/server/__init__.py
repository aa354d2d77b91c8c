"""One endpoint for many applications: OpenAI's chat completions and responses over the router.

Owns: HTTP requests in OpenAI's format, their answers and errors, API keys of one's own.
Must not know: vendors, how a call is made.
"""

from __future__ import annotations

from langchain_llmdispatch.internal.lazy import lazy_names

_MODULES = {
    "create_app": "server.app",
    "serve": "server.serve",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _MODULES)
