"""The request words that OpenAI and its family own, besides those of SDKs, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_llmdispatch.vendors.words import OwnedWords, Word


def _reasoning(value: Any) -> Mapping[str, Any]:
    """`{"effort": ..., "summary": ...}`."""
    effort = value.get("effort") if isinstance(value, Mapping) else None
    return {"reasoning_effort": effort} if effort else {}


def _text(value: Any) -> Mapping[str, Any]:
    """`{"verbosity": ..., "format": {"type": "json_schema", ...}}`."""
    if not isinstance(value, Mapping):
        return {}
    meant = {"verbosity": value.get("verbosity"), "response_format": value.get("format")}
    return {name: inner for name, inner in meant.items() if inner}


def _retention(value: Any) -> Mapping[str, Any]:
    """How long a prompt stays cached; Anthropic has five minutes and an hour."""
    return {"cache_control": {"type": "ephemeral", **({"ttl": "1h"} if value == "24h" else {})}}


_STREAM_USAGE = Word(switch=True)
WORDS = OwnedWords(
    "openai/words.json",
    {
        "use_responses_api": Word(switch=True),
        "stream_usage": _STREAM_USAGE,
        "background": Word(harmless=True),
        "instructions": Word(system=True),
        "reasoning": Word(means=_reasoning, types=(Mapping,)),
        "text": Word(means=_text, types=(Mapping,)),
        "context_management": Word(types=(list, tuple)),
        "use_previous_response_id": Word(switch=True, harmless=True),
        "previous_response_id": Word(question=True),
        "conversation": Word(question=True),
        "prompt": Word(question=True, types=(Mapping,)),
        "safety_identifier": Word(means=lambda value: {"user": value}, harmless=True),
        "prompt_cache_key": Word(harmless=True),
        "prompt_cache_options": Word(harmless=True),
        "prompt_cache_retention": Word(means=_retention, harmless=True),
        "prediction": Word(harmless=True),
        "store": Word(harmless=True),
        "stream_options": Word(harmless=True),
    },
)
_PENALTY = Word(("repetition_penalty",), means=lambda value: {"repeat_penalty": value})
HUGGINGFACE = OwnedWords(
    "openai/words_of_huggingface.json",
    {
        # Text Generation Inference: huggingface.co/docs/text-generation-inference, `GenerateParameters`.
        **{name: Word((name,)) for name in ("typical_p", "do_sample", "truncate", "watermark")},
        "repetition_penalty": _PENALTY,
        "stream_usage": _STREAM_USAGE,
        # `huggingface_hub.InferenceClient`'s: an inference provider, and who pays.
        "provider": Word(switch=True, harmless=True, types=(str,)),
        "bill_to": Word(header="X-HF-Bill-To", harmless=True),
    },
    takes_unknown=True,
)
# Words of compatible servers that other vendors own, too: docs.vllm.ai (`SamplingParams`), llama.cpp's
# server. What no vendor owns passes anyway.
_OF_SERVERS = (
    "typical_p", "mirostat", "mirostat_tau", "mirostat_eta", "repeat_last_n", "repeat_penalty",
)  # fmt: skip
_SHARED = {name: Word((name,), shared=True) for name in (*_OF_SERVERS, "repetition_penalty")}
COMPATIBLE = OwnedWords(
    "openai/words.json",
    {**_SHARED, "stream_usage": _STREAM_USAGE},
    takes_unknown=True,
    shared="chat",
)
# openrouter.ai/docs/api-reference/overview
OPENROUTER = OwnedWords(
    "openai/words.json",
    {
        **_SHARED,
        **{name: Word((name,)) for name in ("reasoning", "cache_control", "prompt_cache_key")},
        "provider": Word(("provider",), types=(Mapping,)),
        "repetition_penalty": _PENALTY,
        "stream_usage": _STREAM_USAGE,
    },
    takes_unknown=True,
    shared="chat",
)
# Refuse unknown fields: docs.mistral.ai/api, docs.perplexity.ai/api-reference.
STRICT = OwnedWords(own={"stream_usage": _STREAM_USAGE})
