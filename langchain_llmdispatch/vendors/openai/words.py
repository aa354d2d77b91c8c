"""The request words that OpenAI and its family own, besides those of SDKs, and what is known of them."""

from __future__ import annotations

from langchain_llmdispatch.vendors.words import OwnedWords, Word

WORDS = OwnedWords(
    "openai/words.json",
    {
        "use_responses_api": Word(switch=True),
        "previous_response_id": Word(question=True),
        "conversation": Word(question=True),
        "prompt": Word(question=True),
    },
)
HUGGINGFACE = OwnedWords("openai/words_of_huggingface.json", takes_unknown=True)
COMPATIBLE = OwnedWords(takes_unknown=True)
