"""Words as people write them for one vendor, and requests with several of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

SECRET = "canary-4f1d9c27ab"
_SCHEMA = {"title": "Answer", "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}

WORDS: Mapping[str, Mapping[str, Any]] = {
    "openai": {
        "prompt_cache_key": "chat-7",
        "prompt_cache_retention": "24h",
        "safety_identifier": "user-7",
        "store": True,
        "reasoning": {"effort": "high", "summary": "auto"},
        "text": {"verbosity": "low"},
        "include": ["reasoning.encrypted_content"],
        "truncation": "auto",
        "max_tool_calls": 3,
        "context_management": [{"type": "compaction", "compact_threshold": 9000}],
        "use_responses_api": True,
        "service_tier": "flex",
        "metadata": {"team": "a"},
        "verbosity": "high",
        "max_completion_tokens": 3000,
        "logit_bias": {"50256": -1},
        "presence_penalty": -0.5,
        "frequency_penalty": 1.5,
        "seed": 7,
        "top_logprobs": 2,
        "user": "user-8",
        "prediction": {"type": "content", "content": "x"},
        "web_search_options": {},
        "modalities": ["text"],
        "response_format": {"type": "json_object"},
        "parallel_tool_calls": False,
        "reasoning_effort": "xhigh",
        "temperature": 1.5,
        "extra_headers": {"x-canary": SECRET},
        "extra_query": {"canary": SECRET},
        "stream_usage": False,
    },
    "anthropic": {
        "betas": ["context-1m-2025-08-07"],
        "mcp_servers": [
            {"type": "url", "name": "m", "url": "https://mcp.example", "authorization_token": SECRET},
        ],
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "output_config": {"effort": "high"},
        "output_format": {"type": "json_schema", "schema": _SCHEMA},
        "effort": "max",
        "stop_sequences": ["END", " "],
        "top_k": 5,
        "top_p": 0.9,
        "service_tier": "standard_only",
        "metadata": {"user_id": "user-7"},
        "inference_geo": "us",
        "speed": "fast",
        "user_profile_id": "profile-7",
        "task_budget": {"type": "tokens", "total": 20_000},
        "max_tokens_to_sample": 3000,
        "extra_body": {"workspace_id": SECRET},
    },
    "google": {
        "safety_settings": {"HARM_CATEGORY_HARASSMENT": "BLOCK_NONE"},
        "labels": {"team": "a"},
        "thinking_budget": 1024,
        "thinking_level": "low",
        "include_thoughts": True,
        "thinking_config": {"thinking_budget": 512, "include_thoughts": True},
        "response_modalities": ["TEXT"],
        "response_mime_type": "application/json",
        "response_schema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
        "media_resolution": "MEDIA_RESOLUTION_LOW",
        "image_config": {"aspect_ratio": "1:1"},
        "generation_config": {"top_k": 3, "media_resolution": "MEDIA_RESOLUTION_LOW"},
        "max_output_tokens": 2000,
        "logprobs": 3,
        "service_tier": "priority",
        "seed": 7,
        "stop_sequences": ["END"],
        "presence_penalty": 0.5,
        "safetySettings": [{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_LOW_AND_ABOVE"}],
    },
    "cohere": {
        "documents": ["Cats purr."],
        "safety_mode": "STRICT",
        "citation_options": {"mode": "fast"},
        "priority": 1,
        "k": 5,
        "p": 0.5,
        "thinking": {"type": "enabled", "token_budget": 1024},
        "strict_tools": False,
        "stop_sequences": ["END"],
        "frequency_penalty": 0.3,
        "seed": 7,
        "logprobs": True,
    },
    "ollama": {
        "keep_alive": "5m",
        "num_ctx": 4096,
        "options": {"temperature": 0.2, "num_ctx": 1000},
        "reasoning": True,
        "think": "high",
        "format": "json",
        "num_predict": -1,
        "mirostat": 1,
        "repeat_penalty": 1.1,
        "repeat_last_n": 4,
        "tfs_z": 1.0,
        "typical_p": 0.9,
        "min_p": 0.05,
        "top_k": 9,
        "seed": 7,
    },
    "huggingface": {
        "repetition_penalty": 1.1,
        "typical_p": 0.95,
        "max_new_tokens": 100,
        "tool_prompt": "Use them.",
        "top_logprobs": 2,
        "seed": 7,
        "stream_options": {"include_usage": True},
        "user": "user-9",
        "min_p": 0.1,
    },
}


def requests(count: int, seed: int = 7) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield vendors and requests written for them, with 3 to 6 of a vendor's words each."""
    rng = random.Random(seed)
    for number in range(count):
        vendor = list(WORDS)[number % len(WORDS)]
        names = rng.sample(sorted(WORDS[vendor]), rng.randint(3, 6))
        yield vendor, {name: WORDS[vendor][name] for name in names}
