"""OpenAI's words for its prompt cache, which works by itself: a key, and a lifetime where there is a choice.

developers.openai.com/api/docs/guides/prompt-caching: requests of one `prompt_cache_key` reach one machine
(below 15 a minute). `prompt_cache_retention` is `24h` for the models listed there; from gpt-5.5 on it is the
only one, and from gpt-5.6 on what is cached lives for 30 minutes at least, is billed when it is written, and
`prompt_cache_options` can switch it off. Azure has the same words, in the API without dated versions:
learn.microsoft.com/azure/foundry/openai/how-to/prompt-caching. Both cache prompts from 1,024 tokens on.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from langchain_llmdispatch.vendors.prompt_cache import PromptCache

_EXTENDED = (
    *("gpt-4.1", "gpt-4.1-20*", "gpt-5", "gpt-5-20*", "gpt-5-codex*", "gpt-5.1*", "gpt-5.2*"),
    *("gpt-5.3*", "gpt-5.4", "gpt-5.4-20*"),
)
"""Models whose caches may be kept for 24 hours, or for minutes."""
_WRITES_COST = ("gpt-5.[6-9]*", "gpt-[6-9]*", "gpt-[1-9][0-9]*")


def cache_words(cache: PromptCache, key: str, model: str) -> dict[str, Any]:
    """Return the fields of a request's body."""
    if cache is False:
        return {"prompt_cache_options": {"mode": "explicit"}} if _is(model, _WRITES_COST) else {}
    words = {"prompt_cache_key": key}
    return words | {"prompt_cache_retention": "24h"} if cache == "1h" and _is(model, _EXTENDED) else words


def _is(model: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(model, glob) for glob in globs)
