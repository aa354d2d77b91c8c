"""The request words that Anthropic owns, besides those of its SDK, and what is known of them.

Names of beta features: `AnthropicBetaParam` of anthropic 2.14, and langchain-anthropic 1.7.10.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_llmdispatch.vendors.words import OwnedWords, Word


def _output_config(value: Any) -> Mapping[str, Any]:
    """`output_config`: an effort, an answer's format."""
    if not isinstance(value, Mapping):
        return {}
    meant = {"reasoning_effort": value.get("effort"), **_format(value.get("format"))}
    return {name: inner for name, inner in meant.items() if inner is not None}


def _format(value: Any) -> Mapping[str, Any]:
    """`{"type": "json_schema", "schema": ...}`."""
    if not isinstance(value, Mapping) or not isinstance(value.get("schema"), Mapping):
        return {}
    named = {"name": str(value["schema"].get("title") or "answer"), "schema": value["schema"]}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def _speed(value: Any) -> Mapping[str, Any]:
    return {"service_tier": "fast"} if value == "fast" else {}


WORDS = OwnedWords(
    "anthropic/words.json",
    {
        "betas": Word(switch=True),
        "system": Word(system=True),
        "reuse_last_container": Word(switch=True, harmless=True),
        "mcp_servers": Word(beta="mcp-client-2025-11-20"),
        "context_management": Word(beta="context-management-2025-06-27", types=(Mapping,)),
        "container": Word(question=True),
        "thread": Word(question=True, beta="message-threads-2026-08-12"),
        "cache_control": Word(harmless=True),
        "diagnostics": Word(harmless=True, beta="cache-diagnosis-2026-04-07"),
        "output_config": Word(means=_output_config),
        "output_format": Word(means=_format, as_neutral=True),
        "speed": Word(means=_speed, harmless=True, beta="fast-mode-2026-02-01"),
        "user_profile_id": Word(harmless=True, beta="user-profiles-2026-03-24"),
        "task_budget": Word(("output_config", "task_budget"), beta="task-budgets-2026-03-13"),
        "billing_policy": Word(harmless=True),
        "workspace_id": Word(harmless=True),
    },
)
