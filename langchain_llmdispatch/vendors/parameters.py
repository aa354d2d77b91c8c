"""The names of parameters: the neutral ones, vendors' words that mean the same, and what is sent as it is."""

from __future__ import annotations

from collections.abc import Mapping

COMMON = frozenset({"temperature", "max_tokens", "top_p", "stop", "reasoning_effort"})
"""Parameters that every vendor has."""
PENALTIES = frozenset({"presence_penalty", "frequency_penalty"})
LOGPROBS = frozenset({"logprobs", "top_logprobs"})
CHAT = COMMON | PENALTIES | LOGPROBS | {"seed", "user", "logit_bias"}
"""Parameters of the original chat completions, which most servers take."""
SERVER = CHAT | {"top_k", "min_p", "thinking", "service_tier"}
"""What OpenAI-compatible servers take."""

ALIASES: Mapping[str, str] = {
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "max_tokens_to_sample": "max_tokens",
    "max_new_tokens": "max_tokens",
    "num_predict": "max_tokens",
    "stop_sequences": "stop",
    "effort": "reasoning_effort",
    "think": "thinking",
    "p": "top_p",
    "k": "top_k",
    "random_seed": "seed",
    "request_metadata": "metadata",
}
"""Vendors' words that mean a neutral parameter."""

NEUTRAL: frozenset[str] = SERVER | {"metadata", "verbosity", "prompt_cache"} | ALIASES.keys()
"""Every name that is a parameter here; any other is a word of vendors."""

ADDRESSED = ("extra_headers", "extra_query", "extra_body")
"""Words whose values go as they are into requests to the first choice of a call, and to no other vendor."""
