"""The request words that Ollama owns, besides those of its SDK, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_llmdispatch.vendors.parameters import ALIASES, NEUTRAL
from langchain_llmdispatch.vendors.words import OwnedWords, Word


def _options(value: Any) -> Mapping[str, Any]:
    """Return those of a model's options that other vendors have."""
    if not isinstance(value, Mapping):
        return {}
    return {ALIASES.get(name, name): inner for name, inner in value.items() if name in NEUTRAL}


def _format(value: Any) -> Mapping[str, Any]:
    """`"json"`, or a schema."""
    if value == "json":
        return {"response_format": {"type": "json_object"}}
    if not isinstance(value, Mapping):
        return {}
    named = {"name": str(value.get("title") or "answer"), "schema": value}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


# How a server uses its machine: no difference to an answer.
_OF_THE_MACHINE = (
    "keep_alive", "num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "num_keep", "numa", "low_vram",
    "f16_kv", "use_mmap", "use_mlock", "vocab_only", "logits_all", "embedding_only",
)  # fmt: skip
WORDS = OwnedWords(
    "ollama/words.json",
    {
        **{name: Word(harmless=True) for name in _OF_THE_MACHINE},
        "options": Word(means=_options),
        "format": Word(means=_format),
        # langchain-ollama's word for `think`; OpenAI's of the same name is an object.
        "reasoning": Word(means=lambda value: {"thinking": value}, as_neutral=True, types=(bool, str)),
        "repeat_penalty": Word(means=lambda value: {"repetition_penalty": value}),
        "min_p": Word(("options", "min_p")),
    },
)
