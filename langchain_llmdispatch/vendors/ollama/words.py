"""The request words that Ollama owns, besides those of its SDK, and what is known of them."""

from __future__ import annotations

from langchain_llmdispatch.vendors.words import OwnedWords

WORDS = OwnedWords("ollama/words.json")
