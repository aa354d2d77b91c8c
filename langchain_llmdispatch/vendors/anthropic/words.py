"""The request words that Anthropic owns, besides those of its SDK, and what is known of them."""

from __future__ import annotations

from langchain_llmdispatch.vendors.words import OwnedWords, Word

WORDS = OwnedWords(
    "anthropic/words.json",
    {
        "betas": Word(switch=True),
        "mcp_servers": Word(secret=True, beta="mcp-client-2025-11-20"),
        "context_management": Word(beta="context-management-2025-06-27"),
        "container": Word(question=True),
        "cache_control": Word(harmless=True),
    },
)
