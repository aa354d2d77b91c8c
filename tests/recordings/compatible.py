"""What recorded exchanges of other OpenAI-style servers say, and of other vendors' compatible endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.recordings import openai

if TYPE_CHECKING:
    from langchain_llmdispatch.types import Call
    from tests.recordings.expected import Expected

FOLDERS = dict.fromkeys(("openai_compat", "ollama", "cohere", "gemini", "anthropic"), ("chat.completions",))
"""Where such exchanges are; of the vendors with codecs of their own only their compatible endpoints."""


def expected(exchange: dict[str, Any]) -> Expected | None:
    """Return what must be found in the exchange."""
    return openai.reading(exchange)


def call(exchange: dict[str, Any]) -> Call:
    """Return a call like that of the exchange."""
    return openai.call(exchange)
