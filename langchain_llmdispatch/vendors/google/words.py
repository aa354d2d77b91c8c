"""The request words that Gemini owns, besides those of its SDK, and what is known of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langchain_llmdispatch.vendors.compile.references import in_lower_case
from langchain_llmdispatch.vendors.words import OwnedWords, Word

_AS_THEY_ARE = frozenset({"responseSchema", "responseJsonSchema"})
"""Fields with objects whose keys are the caller's."""


def camel(word: str) -> str:
    """Return a word of the SDK as the API spells it."""
    head, *tail = word.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in tail)


def camel_keys(value: Any) -> Any:
    """Return a configuration object with its keys as the API spells them, schemas apart."""
    if isinstance(value, Mapping):
        spelled = ((camel(str(key)), inner) for key, inner in value.items())
        return {key: inner if key in _AS_THEY_ARE else camel_keys(inner) for key, inner in spelled}
    return [camel_keys(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _instruction(value: Any) -> Any:
    """Return the content that the SDK makes of a text or a list of texts."""
    texts = [value] if isinstance(value, str) else value
    return {"parts": [{"text": text} for text in texts]} if _are_texts(texts) else value


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


# -- safety --------------------------------------------------------------------------------------------


def _safety(value: Any) -> Any:
    """Return the list of settings that LangChain's `{category: threshold}` stands for."""
    if isinstance(value, Mapping):
        pairs = value.items()
        return [{"category": _name(category), "threshold": _name(level)} for category, level in pairs]
    return value


def _name(value: Any) -> str:
    return str(getattr(value, "value", value))


def _safety_mode(value: Any) -> Mapping[str, Any]:
    """Return Cohere's mode for Gemini's thresholds."""
    settings = _safety(value)
    if not isinstance(settings, list) or not all(isinstance(each, Mapping) for each in settings):
        return {}
    levels = {str(each.get("threshold")) for each in settings}
    if levels and levels <= {"BLOCK_NONE", "OFF"}:
        return {"safety_mode": "NONE"}
    return {"safety_mode": "STRICT" if "BLOCK_LOW_AND_ABOVE" in levels else "CONTEXTUAL"}


# -- thinking ------------------------------------------------------------------------------------------


def _of_thinking(name: str) -> Callable[[Any], Mapping[str, Any]]:
    return lambda value: {"thinking": {name: value}}


def _thinking_config(value: Any) -> Mapping[str, Any]:
    return {"thinking": camel_keys(value)} if isinstance(value, Mapping) else {}


# -- the answer's format -------------------------------------------------------------------------------


def _schema(value: Any) -> Mapping[str, Any]:
    """Return the format that a schema stands for; Gemini's older schemas have types in capitals."""
    if not isinstance(value, Mapping):
        return {}
    named = {"name": str(value.get("title") or "answer"), "schema": in_lower_case(value)}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def _mime_type(value: Any) -> Mapping[str, Any]:
    return {"response_format": {"type": "json_object"}} if value == "application/json" else {}


_CONFIG = ("image_config", "speech_config", "audio_transcription_config", "tool_config")
WORDS = OwnedWords(
    "google/words.json",
    {
        "cached_content": Word(question=True),
        "system_instruction": Word(form=_instruction, system=True),
        "safety_settings": Word(form=_safety, means=_safety_mode),
        "thinking_budget": Word(means=_of_thinking("thinkingBudget"), as_neutral=True),
        "thinking_level": Word(means=_of_thinking("thinkingLevel"), as_neutral=True),
        "include_thoughts": Word(means=_of_thinking("includeThoughts"), as_neutral=True),
        "thinking_config": Word(means=_thinking_config, as_neutral=True),
        "response_mime_type": Word(means=_mime_type),
        "response_schema": Word(means=_schema),
        "response_json_schema": Word(means=_schema),
        "labels": Word(harmless=True),
        "store": Word(harmless=True),
        "generation_config": Word(("generationConfig",), form=camel_keys),
        "generationConfig": Word(("generationConfig",), form=camel_keys),
        **{name: Word(form=camel_keys) for name in _CONFIG},
    },
)
