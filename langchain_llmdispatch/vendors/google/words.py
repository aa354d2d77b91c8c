"""The request words that Gemini owns, besides those of its SDK, and what is known of them."""

from __future__ import annotations

from langchain_llmdispatch.vendors.words import OwnedWords, Word

WORDS = OwnedWords("google/words.json", {"cached_content": Word(question=True)})
