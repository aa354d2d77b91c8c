"""The request words that Cohere owns, besides those of its SDK, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_llmdispatch.vendors.words import OwnedWords, Word

_CATEGORIES = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
_THRESHOLDS = {
    "NONE": "BLOCK_NONE",
    "OFF": "BLOCK_NONE",
    "CONTEXTUAL": "BLOCK_ONLY_HIGH",
    "STRICT": "BLOCK_LOW_AND_ABOVE",
}


def _safety_settings(value: Any) -> Mapping[str, Any]:
    """Return Gemini's thresholds for a mode."""
    threshold = _THRESHOLDS.get(str(value).upper())
    if threshold is None:
        return {}
    return {"safety_settings": {f"HARM_CATEGORY_{name}": threshold for name in _CATEGORIES}}


WORDS = OwnedWords(
    "cohere/words.json",
    {
        "safety_mode": Word(means=_safety_settings),
        "priority": Word(harmless=True),
        "strict_tools": Word(harmless=True),
    },
)
