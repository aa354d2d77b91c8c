"""`prompt_cache`: whether a vendor is to cache the beginning of prompts, and for how long.

True is the vendor's usual lifetime, `"5m"` and `"1h"` one at least as long where the vendor has a choice,
False no caching where it can be declined. Vendors that cache by themselves (Gemini, DeepSeek, servers of
one's own) need no word for it, and get none.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from langchain_core.messages import SystemMessage

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.types import RUN_CHOICES

if TYPE_CHECKING:
    from langchain_llmdispatch.types import ChatRequest

PromptCache: TypeAlias = bool | Literal["5m", "1h"]
NAME = "prompt_cache"
_VALUES = (True, False, "5m", "1h")


def checked_prompt_cache(value: Any) -> Any:
    """Return a value of `prompt_cache`, or None.

    Raises:
        ConfigurationError: It is another one.
    """
    if value is None or isinstance(value, bool) or value in _VALUES[2:]:
        return value
    raise ConfigurationError(f"{NAME}={value!r} is not known: True, False, '5m' or '1h'.")


def cache_key(request: ChatRequest) -> str:
    """Return what requests with the same beginning share: their thread, or system message and tools.

    It is a digest, so that no vendor learns a thread's id by it.
    """
    choices = request.metadata.get(RUN_CHOICES)
    thread = choices.get("thread_id") if isinstance(choices, Mapping) else None
    if thread:
        return _digest("thread", str(thread))
    first, tools = request.messages[0], [tool.name for tool in request.tools]
    kind = "system" if isinstance(first, SystemMessage) else "turn"
    return _digest(kind, repr((first.content, tools)))


def _digest(kind: str, text: str) -> str:
    return sha256(f"{kind}\0{text}".encode(errors="surrogatepass")).hexdigest()[:32]
